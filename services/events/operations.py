"""Operations: requests, scans and audits as something under way. Derived from them at each call and stored nowhere."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.events import rules
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, DeadlineExceeded, NotFound, Unavailable
from shared.kernel.ids import is_id, noun_of, with_noun
from shared.lists import Estimate, envelope
from shared.lists import cursor as cursors

PAGE = 50
# Instances whose bytes are added up; of more only their number is told.
LOOKED_AT = 200
SCAN_PAGES = 20
FOLLOWED = ("operation", "datarequest", "scan")


def show(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """One operation; it may be named by its own id or by that of what it follows.

    Raises:
        NotFound: ``operation.not_found``.
    """
    kind, subject = _found(uses, parameters["id"])
    if kind == "scan":
        return rules.of_scan(subject)
    progress = _progress(uses, subject["id"]) if subject["state"] in ("Evaluated", "Satisfied") else None
    return rules.of_request(subject, progress)


def cancel(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """Stop what an operation follows; one that was cancelled already stays so.

    Raises:
        NotFound: ``operation.not_found``.
        Conflict: ``operation.over`` or ``datarequest.illegal_move``, there is nothing left to stop.
    """
    kind, subject = _found(uses, parameters["id"])
    if kind == "scan":
        scan = rules.of_scan(subject)
        if scan["status"] == "running":
            scan = rules.of_scan(uses.mesh.call("catalog", "scan_cancel", id=subject["id"]))
        if scan["status"] != "cancelled":
            raise Conflict("operation.over", f"The scan of '{scan['subject']['name']}' is over: it {scan['status']}.",
                           next_step="There is nothing left to stop.")
        return scan
    if rules.status_of_request(subject) == "cancelled":
        return rules.of_request(subject)
    return rules.of_request(uses.mesh.call("requests", "cancel", id=subject["id"]))


def find(uses: Uses, parameters: dict[str, Any]) -> dict[str, Any]:
    """A page of operations, the newest first: requests and scans merged by their ULIDs, which tell when they began.

    Raises:
        Invalid: ``parameter.invalid`` or ``cursor.invalid``.
    """
    status, kind = parameters.get("status"), parameters.get("kind")
    rules.check_choice("status", status, rules.STATUSES)
    rules.check_choice("kind", kind, rules.KINDS)
    limit = parameters.get("limit") or PAGE
    of = cursors.fingerprint("operation", uses.context.owner, status, kind)
    before, scan_page = _position(parameters.get("cursor"), of)
    found: list[dict[str, Any]] = []
    total = 0
    if kind in (None, "datarequest"):
        page = uses.mesh.call("requests", "list", sort="-id", limit=limit + 1, attr1=_requests_before(before, status))
        found += [rules.of_request(request) for request in page["items"]]
        total += page["total"] if before is None else _total_of_requests(uses, status)
    scans = _Scans(uses, before, status, scan_page, kind)
    if kind != "datarequest":
        found += scans.read(limit + 1)
        total += scans.total
    found.sort(key=lambda operation: operation["id"], reverse=True)
    more, found = len(found) > limit, found[:limit]
    following = cursors.write(of, "-id", [found[-1]["id"], scans.page_of(found[-1]["id"])]) if more else None
    return envelope(found, following, Estimate(total) if scans.estimated and kind != "datarequest" else total)


class _Scans:
    """The scans of one page, read from the catalogue's list; remembers on which of its pages each was."""

    def __init__(self, uses: Uses, before: str | None, status: str | None, page: str | None, kind: str | None) -> None:
        self._uses, self._before, self._status, self._page, self._kind = uses, before, status, page, kind
        self._pages: list[tuple[str, str | None]] = []
        self.total = 0
        self.estimated = False

    def read(self, wanted: int) -> list[dict[str, Any]]:
        """At most ``wanted`` scans that are older than the position and have the status."""
        found: list[dict[str, Any]] = []
        cursor = self._page
        for _ in range(SCAN_PAGES):
            page = self._uses.mesh.call("catalog", "scan_list", limit=min(wanted, 200), cursor=cursor)
            self.total = page["total"]
            # The catalogue counts scans and audits of any status.
            self.estimated = self._status is not None or self._kind is not None or bool(page.get("total_is_estimate"))
            for scan in map(rules.of_scan, page["items"]):
                self._pages.append((scan["id"], cursor))
                if (self._before is None or scan["id"] < self._before) and self._status in (None, scan["status"]) \
                        and self._kind in (None, scan["kind"]):
                    found.append(scan)
            cursor = page["next"]
            if cursor is None or len(found) >= wanted:
                break
        return found[:wanted]

    def page_of(self, last: str) -> str | None:
        """The page of the catalogue's list on which the scans older than ``last`` begin."""
        return next((cursor for scan_id, cursor in self._pages if scan_id < last),
                    self._pages[-1][1] if self._pages else self._page)


def _found(uses: Uses, ref: str) -> tuple[str, Mapping[str, Any]]:
    noun = noun_of(ref)
    if noun not in FOLLOWED:
        raise _not_found(ref)
    if noun != "scan":
        try:
            return "datarequest", uses.mesh.call("requests", "show", id=with_noun(ref, "datarequest"))
        except NotFound:
            pass
    if noun != "datarequest":
        try:
            return "scan", uses.mesh.call("catalog", "scan_show", id=with_noun(ref, "scan"))
        except NotFound:
            pass
    raise _not_found(ref)


def _progress(uses: Uses, request_id: str) -> dict[str, Any] | None:
    """How far the instances are; nothing where they cannot be asked, for the request itself is known."""
    try:
        page = uses.mesh.call("instances", "list", request=request_id, limit=LOOKED_AT)
        items, total = page["items"], page["total"]
        ready = sum(instance["state"] == "Ready" for instance in items)
        if total > len(items):
            ready = uses.mesh.call("instances", "list", request=request_id, state="Ready", limit=1)["total"]
    except (Unavailable, DeadlineExceeded):
        return None
    return rules.progress_of(items, total, ready)


def _requests_before(before: str | None, status: str | None) -> dict[str, Any]:
    query = dict(rules.QUERY_OF_STATUS[status]) if status else {}
    if before is not None:
        query["id"] = {"$lt": with_noun(before, "datarequest")}
    return query


def _total_of_requests(uses: Uses, status: str | None) -> int:
    return uses.mesh.call("requests", "list", limit=1, attr1=_requests_before(None, status))["total"]


def _position(cursor: str | None, of: str) -> tuple[str | None, str | None]:
    if not cursor:
        return None, None
    _, after = cursors.read(cursor, of, None)
    if len(after) != 2 or not is_id(after[0], "operation") or not isinstance(after[1], (str, type(None))):
        raise cursors.not_a_cursor()
    return after[0], after[1]


def _not_found(ref: str) -> NotFound:
    return NotFound("operation.not_found", f"There is no operation '{ref[:200]}'.",
                    next_step="'operation list' shows what there is; an operation has the id of its request or scan.")
