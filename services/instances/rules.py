"""How instances are grouped and named, and what may be tried again. Decides; reads and writes nothing."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.kernel import clock
from shared.kernel.ids import derived_id
from shared.sources.mounted import READ_THROUGH
from shared.sources.paths import moved_path, target_path

CONTENT = "/edgemere/diml/dml/do/datainstance/content?id={instance}&data={data}"

SCANNER_AWAY = "scanner.unavailable"
MOST_STEPS = 10  # Of the back-off, after which it grows no more.

Reservation = Mapping[str, Any]


def grouped(reservations: Sequence[Reservation], granularity: str) -> dict[str, list[Reservation]]:
    """The reservations of each instance, by the key that the instance has within its attempt."""
    groups: dict[str, list[Reservation]] = {}
    for reservation in reservations:
        key = reservation["data_id"] if granularity == "data" else reservation["source_id"]
        if granularity != "data" and reservation.get("member"):
            key = f"{reservation['member']}:{key}"
        groups.setdefault(key, []).append(reservation)
    return groups


def instance_id(request: Mapping[str, Any], key: str) -> str:
    """The id of the instance of this group: the same however often the step is repeated."""
    return derived_id("datainstance", request["id"], request["attempt"], key)


def free_names(base: str, taken: set[str]) -> Iterator[str]:
    """``<base>-<n>``, n from 0, without those that are taken."""
    number = 0
    while True:
        name = f"{base}-{number}"
        if name not in taken:
            yield name
        number += 1


def instance_row(request: Mapping[str, Any], key: str, name: str, group: Sequence[Reservation]) -> dict[str, Any]:
    """The row of a new instance, without its entries."""
    sources = {reservation["source_id"]: reservation["source_name"] for reservation in group}
    source = next(iter(sources.items())) if len(sources) == 1 else (None, None)
    return {
        "id": instance_id(request, key), "owner": request["owner"], "name": name,
        "reference_id": request.get("reference_id"), "reference_name": request.get("reference_name"),
        "request_id": request["id"], "request_name": request["name"], "source_id": source[0], "source_name": source[1],
        "attempt": request["attempt"], "workload": request.get("workload"), "entries": len(group),
        "member": group[0].get("member"), "lifetime": request.get("lifetime"), "pinned": False, "alone": False, "undone": False,
        "bytes_total": sum(reservation["snapshot"].get("size") or 0 for reservation in group), "bytes_done": 0,
    }


def end_at(end: str, expiring_s: float) -> dict[str, Any]:
    """The columns of an instance that ends then: it is warned of ``expiring_s`` before (half way, where that is less)."""
    left_s = (clock.parse_time(end) - clock.utc_now()).total_seconds()
    lead_s = min(expiring_s, left_s / 2)
    return {"expires_at": end, "warn_at": clock.stamp_in(left_s - lead_s) if lead_s > 0 else None}


def time_begins(row: Mapping[str, Any], expiring_s: float) -> dict[str, Any]:
    """The columns of an instance that becomes Ready: from now on it is used, and its lifetime runs."""
    now = {"used_at": clock.stamp()}
    if row["lifetime"] is None:
        return now
    return {**now, **end_at(max(clock.stamp_in(row["lifetime"]), row.get("expires_at") or ""), expiring_s)}


def entry_row(instance: Mapping[str, Any], position: int, reservation: Reservation) -> dict[str, Any]:
    """The row of one access entry of an instance, still pending."""
    data = reservation["snapshot"]
    action = reservation["action"]
    copies = action in ("copy", "move")
    if action == "move":
        # Moved data keeps its place: at the target it is data of its own, and outlives the instance.
        where = moved_path(data["path"])
    else:
        where = target_path(instance["name"], data["path"]) if action in ("copy", "mount") else None
    return {
        "instance_id": instance["id"], "data_id": reservation["data_id"], "position": position,
        "request_id": instance["request_id"], "name": data["name"], "action": reservation["action"], "state": "pending",
        "source_id": reservation["source_id"], "source_path": data["path"],
        "target_id": reservation["target_id"] if copies else None,
        "target_path": where,
        "size": data.get("size"), "checksum": data.get("checksum"), "media_type": data.get("media_type"),
        "modified_at": data.get("modified_at"), "uri": data.get("uri") if action == "leave" else None, "path": None,
        "verified": None, "tries": 0, "retry_at": None, "purge_at": None, "error": None, "via": None, "step": None,
        "seen": None, "attempts": None, "inspected": None,
    }


def attempt(entry: Mapping[str, Any], error: Mapping[str, Any], at: str) -> dict[str, Any]:
    """One link of the chain of attempts: where it was tried, and what came of it."""
    return {"source": entry["source_id"], "data": {"id": entry["data_id"], "name": entry["name"]}, "at": at,
            "error": {"code": error.get("code"), "detail": error.get("detail")}}


def key_of(entry: Mapping[str, Any]) -> str:
    """The name under which the mover knows an entry, for ever."""
    return f"{entry['instance_id']}:{entry['data_id']}"


def job_item(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the mover takes it."""
    item = {"key": key_of(entry), "source": entry["source_id"], "path": entry["source_path"], "size": entry["size"],
            "modified_at": entry["modified_at"], "checksum": entry["checksum"], "media_type": entry["media_type"]}
    if entry["action"] in ("copy", "move"):
        item |= {"target": entry["target_id"], "target_path": entry["target_path"]}
    if entry["action"] == "move":
        item |= {"moves": True, "seen": (entry["seen"] or {}).get("stat")}
    if entry["action"] == "mount":
        item |= {"mount_path": entry["target_path"]}
    return item


def given_back(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the mover takes it when it is to be removed or brought back."""
    if entry["action"] == "mount":
        return {"key": key_of(entry), "mount_path": entry["target_path"]}
    return {"key": key_of(entry), "target": entry["target_id"], "target_path": entry["target_path"], "checksum": entry["checksum"]}


def ready_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a good result of the mover says about an entry."""
    return {"state": "ready", "uri": result.get("uri"), "path": result.get("path"), "size": result.get("size"),
            "checksum": result.get("checksum"), "verified": result["verified"], "error": None, "retry_at": None, "purge_at": None,
            **({"inspected": result["inspected"]} if "inspected" in result else {})}


def copied_values(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the good copy of a move says about its entry, which is not ready before the catalogue says so."""
    return {**ready_values(result), "state": "pending", "step": "copied", "tries": 0,
            "seen": {"stat": result["seen"], "fingerprint": result["fingerprint"], "modified_at": result["modified_at"]}}


def mounted_values(entry: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """What a good mount says about its entry. What has no path here is read through this server, under a relative URI."""
    values = {**ready_values(result), "via": result["via"]}
    if result["via"] == READ_THROUGH:
        values["uri"] = CONTENT.format(instance=entry["instance_id"], data=entry["data_id"])
    return values


def worth_another_try(error: Mapping[str, Any], tries: int, most: int) -> bool:
    """Whether an entry that failed is tried again: what can pass, and a change in the middle of a copy once. The scanner is waited for."""
    if error.get("code") == SCANNER_AWAY:
        return True
    if error.get("code") == "source.changed_during_copy":
        return tries < 1
    return bool(error.get("retryable")) and tries < most


def outcome(entry: Mapping[str, Any], result: Mapping[str, Any], most: int) -> dict[str, Any]:
    """What a result of the mover makes of an entry, which is tried at most ``most`` times again."""
    if result["ok"]:
        if entry["action"] == "mount":
            return mounted_values(entry, result)
        if entry["action"] == "move" and not entry["step"]:
            return copied_values(result)
        return ready_values(result)
    error = result["error"]
    if error.get("code") == "target.trash_empty":
        # It was destroyed before it was whole: it is copied again.
        return {"purge_at": None}
    if error.get("code") == "cancelled":
        return {"tries": entry["tries"]}
    if worth_another_try(error, entry["tries"], most):
        before = entry["error"] or {}
        since = before["since"] if before.get("code") == error.get("code") and before.get("since") else clock.stamp()
        return {"tries": entry["tries"] + 1, "error": {**error, "since": since},
                "retry_at": clock.stamp_in(min(30, 0.2 * 4 ** min(entry["tries"], MOST_STEPS)))}
    return {"state": "broken", "error": error, "retry_at": None}


def is_over(entry: Mapping[str, Any], result: Mapping[str, Any], most: int) -> bool:
    """Whether the mover has nothing more to do for an entry after this result, good or bad."""
    return bool(result["ok"]) or outcome(entry, result, most).get("state") == "broken"
