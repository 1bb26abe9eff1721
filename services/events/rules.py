"""What is read out of messages, patterns, requests and scans. Decides; touches no database and no broker."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from shared.bus.dead_letters import DeadLetter, dead_letter_of
from shared.bus.encoding import Undecodable, decode_as, encode
from shared.bus.event import original_key
from shared.bus.message import Delivery
from shared.contracts.event import EVENTS, HANDLED
from shared.kernel import clock, ids
from shared.kernel.errors import Invalid, did_you_mean, nearest
from shared.kernel.secrets import redacted, written_out
from shared.query.values import clean, is_clean, storable

ID_LENGTH = 128
NAME_LENGTH = 512
REPLAY = "x-replay-of"
# Counted up by brokers at each delivery, so no part of what a message is.
COUNTERS = ("x-delivery-count", "x-acquired-count")
# What of the AMQP properties goes along with a replay.
KEPT = ("message_id", "correlation_id", "content_type", "content_encoding")


# --- the log -------------------------------------------------------------------------------------------------------

def body_of(delivery: Delivery) -> dict[str, Any]:
    """The body of a message; of one that cannot be read, what the log shows in its place."""
    try:
        body = decode_as(delivery.body, delivery.properties.get("content_type"), delivery.properties.get("content_encoding"))
    except Undecodable as error:
        return {"obj": None, "unreadable": str(error)[:500]}
    return body if isinstance(body, dict) else {"obj": None, "unreadable": "the body is no object"}


def message_id(delivery: Delivery, body: Mapping[str, Any]) -> str | None:
    """The id that the publisher gave the message, or None."""
    for said in (delivery.properties.get("message_id"), body.get("id")):
        if isinstance(said, str) and said:
            fits = len(said) <= ID_LENGTH and is_clean(said)
            return said if fits else f"long_{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()}"
    return None


def likeness(delivery: Delivery) -> str:
    """The beginning of the ids of all messages like this one that came without an id."""
    headers = {key: value for key, value in delivery.headers.items() if key not in COUNTERS}
    return f"foreign_{_digest(original_key(delivery), delivery.body, headers)[:32]}_"


def entry(delivery: Delivery, body: dict[str, Any], its_id: str, now: str, whose: str) -> dict[str, Any]:
    """The row of the event log for a message of this owner (empty: everybody's); ``now`` stands in where it says no time."""
    name = original_key(delivery)
    obj = body.get("obj")
    said = body.get("time")
    time = _stamp(said, now)
    if said == time and body.get("event") == name and body.get("id") == its_id and type(obj) is dict:
        # One of ours, which is almost every one: shown as it came.
        text = delivery.body.decode()
    else:
        own = delivery.properties.get("correlation_id")
        body = {"obj": None, "changed": [], "correlation_id": own if isinstance(own, str) else its_id, "causation_id": None,
                **body, "event": name, "id": its_id, "time": time}
        # Of a stranger, who may have written a secret into it.
        text = encode(redacted(storable(body))).decode()
    if type(obj) is dict:
        object_id, object_name = _column(obj.get("id")), _column(obj.get("name"))
    else:
        named = _column(obj)
        object_id, object_name = (named, None) if ids.is_id(named) else (None, named)
    return {
        "id": its_id, "name": _column(name), "noun": _column(name.partition(".")[0]), "object_id": object_id,
        "object_name": object_name, "owner": _column(whose) or "", "correlation_id": _column(body.get("correlation_id")),
        "causation_id": _column(body.get("causation_id")), "time": time, "body": text,
    }


def _stamp(given: Any, now: str) -> str:
    if not isinstance(given, str):
        return now
    if len(given) == 27 and given[10] == "T" and given[19] == "." and given[26] == "Z" and given.isascii():
        return given
    try:
        return clock.stamp(clock.parse_time(given))
    except (ValueError, OverflowError):
        return now


def _column(value: Any) -> str | None:
    """A text for a column that is searched: bounded, and of characters that every database has."""
    if not isinstance(value, str):
        return None
    value = value[:NAME_LENGTH]
    return value if value.isascii() and "\x00" not in value else clean(value)


def _digest(name: str, body: bytes, headers: Mapping[str, Any]) -> str:
    told = json.dumps([name, dict(headers)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode() + b"\0" + body).hexdigest()


# --- dead letters --------------------------------------------------------------------------------------------------

def death_of(delivery: Delivery, now: str, whose: str) -> dict[str, Any]:
    """The row of a dead letter, but for its id: what died where, and why, and to whom it belongs."""
    letter = dead_letter_of(delivery)
    like = {key: value for key, value in letter.headers.items() if key not in COUNTERS}
    return {
        "death": _digest(letter.queue, letter.body, {**like, "": letter.id}),
        "event": _column(letter.event), "queue": _column(letter.queue), "reason": clean(letter.reason),
        "code": _column(letter.code), "attempts": letter.attempts, "time": now, "body": letter.body,
        "headers": storable(dict(letter.headers)),
        "properties": storable({key: letter.properties.get(key) for key in KEPT}),
        "exchange": _column(letter.exchange), "replayed_at": None, "owner": _column(whose) or "",
    }


def letter_of(row: Mapping[str, Any]) -> DeadLetter:
    """A dead letter as it came, from its row; its headers say which one it was."""
    return DeadLetter(
        id=row["properties"].get("message_id"), queue=row["queue"], event=row["event"], exchange=row["exchange"],
        code=row["code"], reason=row["reason"], attempts=row["attempts"], body=row["body"],
        headers={**row["headers"], REPLAY: row["id"]}, properties=row["properties"])


# --- what is asked of the log --------------------------------------------------------------------------------------

def patterns(event: str | None) -> list[str]:
    """The names and patterns in ``datarequest.*,data.create``; none of them means everything."""
    found = [part.strip() for part in (event or "").split(",") if part.strip()]
    return [] if any(part in ("#", "*") for part in found) else found


def is_pattern(text: str) -> bool:
    return "*" in text or "#" in text


def mistaken(pattern: str) -> Invalid | None:
    """The refusal of a name or pattern that none of our messages has and that is near one; None when it may be meant so."""
    known = [*EVENTS, *dict.fromkeys(f"{event.noun}.*" for event in EVENTS.values())]
    glob = pattern.replace("#", "*")
    if any(fnmatchcase(name, glob) for name in EVENTS) or not nearest(pattern, known):
        return None
    detail = f"There is no message '{pattern}' in the log.{did_you_mean(pattern, known)}"
    return Invalid("parameter.invalid", detail, next_step="Name a message, or all of a class as datarequest.* does.",
                   errors=[{"pointer": "/event", "detail": detail}], nearest=nearest(pattern, known, 3))


# --- sending -------------------------------------------------------------------------------------------------------

def sendable(event: str, obj: Any) -> tuple[str, Any]:
    """(what the order of messages goes by, the object) of a message that may be sent.

    Raises:
        Invalid: ``event.not_handled``, or ``parameter.invalid`` for something that is no object, id or name.
    """
    if event not in HANDLED:
        raise Invalid("event.not_handled", f"'{event[:100]}' is not a message that can be sent.{did_you_mean(event, HANDLED)}",
                      next_step=f"Send one of {', '.join(HANDLED)}.", nearest=nearest(event, HANDLED, 3),
                      errors=[{"pointer": "/event", "detail": "Nothing handles this message."}])
    noun = EVENTS[event].noun
    if isinstance(obj, str) and obj.lstrip().startswith("{"):
        obj = _object(obj)
    if isinstance(obj, Mapping):
        # Whose it is comes with the call, never in it.
        obj = {key: value for key, value in obj.items() if key != "owner"}
        named = obj.get("id") or obj.get("name")
        if not obj:
            raise _bad_object("The object is empty.")
        for where in written_out(obj):
            raise _bad_object(f"'{where.rpartition('/')[2]}' is a secret, and messages are kept and read by others.")
    else:
        named = obj = obj.strip() if isinstance(obj, str) else obj
        if not isinstance(obj, str) or not obj or len(obj) > 200 or not is_clean(obj):
            raise _bad_object("An object, an id or a name is needed here.")
    if ids.is_id(named) and not ids.is_id(named, noun):
        raise _bad_object(f"{named} is the id of a {ids.noun_of(named)}; {event} is about a {noun}.")
    return clean(named)[:64] if isinstance(named, str) and named else event, storable(obj)


def _object(text: str) -> Any:
    from marshmallow import ValidationError

    from shared.contracts.fields import json_value

    try:
        return json_value(text)
    except ValidationError as error:
        raise _bad_object(" ".join(map(str, error.messages))) from None


def _bad_object(detail: str) -> Invalid:
    return Invalid("parameter.invalid", f"do.event.send: obj: {detail}",
                   next_step="Give the object, its id or its name.", errors=[{"pointer": "/obj", "detail": detail}])


# --- operations ----------------------------------------------------------------------------------------------------

KINDS = ("datarequest", "scan", "audit")
STATUSES = ("running", "waiting", "succeeded", "failed", "cancelled")
_OPEN = ["Init", "Needed", "Selected", "Evaluated"]
_SCANS = {"running": "running", "done": "succeeded", "failed": "failed", "cancelled": "cancelled"}

QUERY_OF_STATUS: dict[str, Mapping[str, Any]] = {
    "running": {"state": {"$in": _OPEN}, "blocked_by": None},
    "waiting": {"state": {"$in": _OPEN}, "blocked_by": {"$ne": None}},
    "succeeded": {"state": {"$in": ["Satisfied", "Completed"]}},
    "failed": {"state": "Failed", "reason.code": {"$ne": "cancelled"}},
    "cancelled": {"state": "Failed", "reason.code": "cancelled"},
}
"""Which requests have a status, as a query over requests."""


def status_of_request(request: Mapping[str, Any]) -> str:
    """Where a request stands, seen as an operation."""
    if request["state"] in ("Satisfied", "Completed"):
        return "succeeded"
    if request["state"] == "Failed":
        return "cancelled" if (request.get("reason") or {}).get("code") == "cancelled" else "failed"
    return "waiting" if request.get("blocked_by") else "running"


def of_request(request: Mapping[str, Any], progress: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A request as an operation."""
    return {
        "id": ids.with_noun(request["id"], "operation"), "kind": "datarequest", "status": status_of_request(request),
        "subject": {"id": request["id"], "name": request["name"]},
        "progress": {"state": request["state"], "attempt": request["attempt"], **(progress or {})},
        "message": request.get("message"), "reason": request.get("reason") or request.get("blocked_by"),
        "created_at": request["created_at"], "updated_at": request["updated_at"],
        "result": f"/edgemere/diml/dml/do/datarequest/show?id={request['id']}",
    }


def of_scan(scan: Mapping[str, Any]) -> dict[str, Any]:
    """A scan, or an audit, as an operation; its subject is the source."""
    source = scan["source"]
    counts = {name: scan.get(name) for name in ("files", "bytes", "added", "changed", "vanished", "problem_count")}
    counts |= {name: scan[name] for name in ("lost", "dark", "corrupt", "lost_copy", "changed_copy", "dark_copy", "repaired") if name in scan}
    return {
        "id": ids.with_noun(scan["id"], "operation"), "kind": scan.get("kind") or "scan", "status": _SCANS.get(scan["state"], scan["state"]),
        "subject": {"id": source["id"], "name": source.get("name")},
        "progress": {"state": scan["state"], **{name: count for name, count in counts.items() if count is not None}},
        "message": scan.get("message"), "reason": scan.get("reason"),
        "created_at": scan["started_at"], "updated_at": scan.get("ended_at") or scan.get("updated_at") or scan["started_at"],
        "result": f"/edgemere/diml/dml/fmdm/datasource/show?id={source['id']}",
    }


def progress_of(instances: Sequence[Mapping[str, Any]], total: int, ready: int) -> dict[str, Any]:
    """How far the instances of a request are; bytes only where all instances were looked at."""
    found: dict[str, Any] = {"instances_done": ready, "instances_total": total}
    if len(instances) == total:
        found["bytes_done"] = sum(instance.get("bytes_done") or 0 for instance in instances)
        found["bytes_total"] = sum(instance.get("bytes_total") or 0 for instance in instances)
        moving = [instance["progress"] for instance in instances if instance.get("progress")]
        if moving:
            found["phase"] = "copying" if any(one["phase"] == "copying" for one in moving) else "verifying"
        left = [one["seconds_left"] for one in moving if one.get("seconds_left") is not None]
        if left:
            found["seconds_left"] = max(left)
    return found


def check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    """Refuse a status or kind that does not exist, with the nearest one."""
    if value is not None and value not in known:
        detail = f"There is no {name} '{value[:100]}'.{did_you_mean(value, known)}"
        raise Invalid("parameter.invalid", detail, next_step=f"Use one of {', '.join(known)}.",
                      errors=[{"pointer": f"/{name}", "detail": detail}], nearest=nearest(value, known))
