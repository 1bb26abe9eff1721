"""Every action of the server as a method. Made from the action table by .ci/generate; do not change it by hand."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .connection import Server


class DoDatarequestCalls:
    """The actions of datarequest."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            *,
            name: str | None = None,
            query: str | Mapping[str, Any] | None = None,
            data_reference: str | Mapping[str, Any] | None = None,
            target: str | Mapping[str, Any] | None = None,
            action: str | None = None,
            granularity: str | None = None,
            select: Mapping[str, Any] | None = None,
            wait: bool | None = None,
            deadline: str | float | None = None,
            lifetime: str | float | None = None,
            workload: str | None = None,
            labels: Mapping[str, Any] | None = None,
            all: bool | None = None,
            fulfill: bool | None = None,
            needed_by: str | float | None = None,
            standing: bool | None = None,
            group: Mapping[str, Any] | None = None,
            lock: Mapping[str, Any] | None = None,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Ask for data: create a request and, unless told otherwise, start to fulfil it.

        Args:
            name: Its name; without one it is numbered.
            query: What data is needed, as JSON or as a line.
            data_reference: The reference to make it from.
            target: The source that receives copies; it needs parameters.writable: true.
            action: The action wished for.
            granularity: An instance per data or per source.
            select: How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together,
                apart, expected_reads}.
            wait: Wait in Needed while nothing matches or there is no room.
            deadline: When to give up: a time, or a duration from now.
            lifetime: How long the instances live after they are ready.
            workload: What the data is for.
            labels: Free labels.
            all: Says that an empty query means everything.
            fulfill: False leaves it in Init.
            needed_by: When the data must be ready: a time, or a duration from now. It warns when that cannot be met.
            standing: Attach new matching data as it appears.
            group: Several queries in one, all of them or none: {member: query, member: {query, select}}.
            lock: A lock that 'datarequest lock' wrote: the same bytes once more.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
            Invalid: ``query.empty``: An empty query would create something for everything; `all: true` says that this is meant.
            Invalid: ``group.invalid``: A group cannot be read; the pointer says which member.
            Invalid: ``lock.malformed``: This is not a lock, or not a whole one.
            Invalid: ``lock.altered``: The lock was altered after it was written.
            Invalid: ``lock.other_catalogue``: The lock is of another catalogue; ids and places of it mean nothing here.
            Invalid: ``lock.gone``: Data of the lock is gone, and nothing has the same bytes; `errors` names each with what is nearest to
                it.
            Conflict: ``datarequest.name_taken``: There is a request of this name already.
            NotFound: ``datareference.not_found``: There is no such reference.
            Invalid: ``idempotency.mismatch``: The Idempotency-Key was used before for something else.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/create", True, "object", 0),
            {"name": name, "query": query, "data_reference": data_reference, "target": target, "action": action,
             "granularity": granularity, "select": select, "wait": wait, "deadline": deadline, "lifetime": lifetime,
             "workload": workload, "labels": labels, "all": all, "fulfill": fulfill, "needed_by": needed_by, "standing":
             standing, "group": group, "lock": lock},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def fulfill(
            self,
            id: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Start to fulfil a request that is in Init.

        Args:
            id: required; The id or name of the object.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/fulfill", True, "object", 0),
            {"id": id},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            data_reference: str | None = None,
            target: str | None = None,
            workload: str | None = None,
            action: str | None = None,
            granularity: str | None = None,
            parent: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the requests.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            data_reference: The reference it was made from.
            target: The source that receives copies and moves.
            workload: What the data is for.
            action: The requester's wish: leave, mount, copy, move or auto.
            granularity: An instance per data, or per source.
            parent: The standing request for which this one attaches what came later.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "data_reference": data_reference, "target": target,
             "workload": workload, "action": action, "granularity": granularity, "parent": parent, "owner": owner, "limit":
             limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def find(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            data_reference: str | None = None,
            target: str | None = None,
            workload: str | None = None,
            action: str | None = None,
            granularity: str | None = None,
            parent: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find requests by id, name or query.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            data_reference: The reference it was made from.
            target: The source that receives copies and moves.
            workload: What the data is for.
            action: The requester's wish: leave, mount, copy, move or auto.
            granularity: An instance per data, or per source.
            parent: The standing request for which this one attaches what came later.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/find", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "data_reference": data_reference, "target": target,
             "workload": workload, "action": action, "granularity": granularity, "parent": parent, "owner": owner, "limit":
             limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one request.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/show", False, "object", 0),
            {"id": id},
            timeout_s=timeout_s,
        )

    def plan(
            self,
            *,
            name: str | None = None,
            query: str | Mapping[str, Any] | None = None,
            data_reference: str | Mapping[str, Any] | None = None,
            target: str | Mapping[str, Any] | None = None,
            action: str | None = None,
            granularity: str | None = None,
            select: Mapping[str, Any] | None = None,
            wait: bool | None = None,
            deadline: str | float | None = None,
            lifetime: str | float | None = None,
            workload: str | None = None,
            labels: Mapping[str, Any] | None = None,
            all: bool | None = None,
            fulfill: bool | None = None,
            needed_by: str | float | None = None,
            standing: bool | None = None,
            group: Mapping[str, Any] | None = None,
            lock: Mapping[str, Any] | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Say what a request would do, writing nothing: candidates, decisions, costs, room, budget, refusals.

        Args:
            name: Its name; without one it is numbered.
            query: What data is needed, as JSON or as a line.
            data_reference: The reference to make it from.
            target: The source that receives copies; it needs parameters.writable: true.
            action: The action wished for.
            granularity: An instance per data or per source.
            select: How candidates are chosen: {mode: all|best|first, count, minimum, distinct, prefer, max_cost, max_bytes, together,
                apart, expected_reads}.
            wait: Wait in Needed while nothing matches or there is no room.
            deadline: When to give up: a time, or a duration from now.
            lifetime: How long the instances live after they are ready.
            workload: What the data is for.
            labels: Free labels.
            all: Says that an empty query means everything.
            fulfill: False leaves it in Init.
            needed_by: When the data must be ready: a time, or a duration from now. It warns when that cannot be met.
            standing: Attach new matching data as it appears.
            group: Several queries in one, all of them or none: {member: query, member: {query, select}}.
            lock: A lock that 'datarequest lock' wrote: the same bytes once more.
            limit: How many candidates at most in one page.
            cursor: Where to go on: the `next` of the page before.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
            Invalid: ``query.empty``: An empty query would create something for everything; `all: true` says that this is meant.
            Invalid: ``group.invalid``: A group cannot be read; the pointer says which member.
            Invalid: ``lock.malformed``: This is not a lock, or not a whole one.
            Invalid: ``lock.altered``: The lock was altered after it was written.
            Invalid: ``lock.other_catalogue``: The lock is of another catalogue; ids and places of it mean nothing here.
            Invalid: ``lock.gone``: Data of the lock is gone, and nothing has the same bytes; `errors` names each with what is nearest to
                it.
            Conflict: ``datarequest.name_taken``: There is a request of this name already.
            NotFound: ``datareference.not_found``: There is no such reference.
            Malformed: ``cursor.invalid``: The cursor is not one of this list.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/plan", False, "document", 0),
            {"name": name, "query": query, "data_reference": data_reference, "target": target, "action": action,
             "granularity": granularity, "select": select, "wait": wait, "deadline": deadline, "lifetime": lifetime,
             "workload": workload, "labels": labels, "all": all, "fulfill": fulfill, "needed_by": needed_by, "standing":
             standing, "group": group, "lock": lock, "limit": limit, "cursor": cursor},
            timeout_s=timeout_s,
        )

    def explain(
            self,
            id: str | Mapping[str, Any],
            *,
            why_not: str | Mapping[str, Any] | None = None,
            reservation: str | Mapping[str, Any] | None = None,
            at: int | None = None,
            attempt: int | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Explain a request: funnel, hints, every decision, what each step was caused by, what ends a wait.

        Args:
            id: required; The id or name of the object.
            why_not: A Data (id, name or path): why it is not used, or which clause, rule or replica stands against it.
            reservation: The reservation to show alone, with its decision record.
            at: A version of the request: its explanation as it was then.
            attempt: The end of an attempt: its explanation as it was then.
            limit: How many reservations at most in one page.
            cursor: Where the reservations go on: the `reservations.next` of the page before.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            NotFound: ``explanation.not_found``: The request has no such version or attempt, or it is no longer kept.
            NotFound: ``datareservation.not_found``: There is no such reservation.
            NotFound: ``data.not_found``: There is no such data.
            Conflict: ``data.ambiguous``: Several data have this name; `candidates` lists them.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/explain", False, "document", 0),
            {"id": id, "why_not": why_not, "reservation": reservation, "at": at, "attempt": attempt, "limit": limit,
             "cursor": cursor},
            timeout_s=timeout_s,
        )

    def cancel(
            self,
            id: str | Mapping[str, Any],
            *,
            because: str | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Give up a request that is under way.

        Args:
            id: required; The id or name of the object.
            because: Why, in a sentence.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/cancel", True, "object", 0),
            {"id": id, "because": because},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def retry(
            self,
            id: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Start a new attempt of a failed request.

        Args:
            id: required; The id or name of the object.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/retry", True, "object", 0),
            {"id": id},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def complete(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Say that the data is no longer needed: claims are released and copies removed.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
            Conflict: ``datarequest.pinned``: Somebody keeps instances of the request; `instances` names them with their pins.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/complete", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def destroy(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Remove a request that has no live instances.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.in_use``: The request has live instances; `instances` names them.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/destroy", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def lock(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Write down ids, checksums and the policy revision; 'datarequest create --lock' gives the same bytes.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.nothing_to_lock``: Nothing is confirmed for the request, so there is nothing to write down.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datarequest/lock", True, "document", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoDatareferenceCalls:
    """The actions of datareference."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            name: str,
            query: str | Mapping[str, Any],
            *,
            short_name: str | None = None,
            connection: Mapping[str, Any] | None = None,
            defaults: Mapping[str, Any] | None = None,
            standing: bool | None = None,
            all: bool | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Describe needed data under a name.

        Args:
            name: required; Its name.
            short_name: The name without what it belongs to.
            query: required; What data is needed, as JSON or as a line.
            connection: How the application connects; secrets by name.
            defaults: Defaults for its requests: target, action, granularity, select, …
            standing: Attach new matching data as it appears, and say where data is cheaper.
            all: Says that an empty query means everything.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
            Invalid: ``query.empty``: An empty query would create something for everything; `all: true` says that this is meant.
            Conflict: ``datareference.name_taken``: There is a reference of this name with another query.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/create", True, "object", 0),
            {"name": name, "short_name": short_name, "query": query, "connection": connection, "defaults": defaults,
             "standing": standing, "all": all},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            request: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the references.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            request: The request that provisions it, the newest one.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "request": request, "owner": owner, "limit": limit,
             "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def find(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            request: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find references by id, name or query.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            request: The request that provisions it, the newest one.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            NotFound: ``datareference.not_found``: There is no such reference.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/find", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "request": request, "owner": owner, "limit": limit,
             "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one reference.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datareference.not_found``: There is no such reference.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/show", False, "object", 0),
            {"id": id},
            timeout_s=timeout_s,
        )

    def provision(
            self,
            id: str | Mapping[str, Any],
            *,
            swap: bool | None = None,
            undo: bool | None = None,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Provision a reference anew: start a new request for its data.

        Args:
            id: required; The id or name of the object.
            swap: Keep what it has until its data is ready where it is cheapest now, then turn to that in one step.
            undo: Turn back to the former place, within requests.swap_grace_s.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datareference.not_found``: There is no such reference.
            Conflict: ``datareference.illegal_move``: The state of the reference does not allow this; `legal` lists what it allows.
            Conflict: ``datareference.nothing_to_swap``: The reference has no Ready data that could change place.
            Conflict: ``datareference.swap_under_way``: The reference is changing place already.
            Conflict: ``datareference.nothing_to_undo``: The reference has no change of place that could be undone.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/provision", True, "object", 0),
            {"id": id, "swap": swap, "undo": undo},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def destroy(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Remove a reference that has no live instances.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datareference.not_found``: There is no such reference.
            Conflict: ``datareference.in_use``: The reference has live instances or an open request.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareference/destroy", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoDatareservationCalls:
    """The actions of datareservation."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            request: str | None = None,
            data: str | None = None,
            source: str | None = None,
            action: str | None = None,
            member: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the reservations.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name of the data that it claims.
            state: The state in the net of its class.
            request: The request that it belongs to.
            data: The data.
            source: Where the data lies.
            action: What was decided: leave, mount, copy, move or reject.
            member: Of a group: the member that it was reserved for.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareservation/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "request": request, "data": data, "source": source,
             "action": action, "member": member, "owner": owner, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def find(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            request: str | None = None,
            data: str | None = None,
            source: str | None = None,
            action: str | None = None,
            member: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find reservations by id, name or query.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name of the data that it claims.
            state: The state in the net of its class.
            request: The request that it belongs to.
            data: The data.
            source: Where the data lies.
            action: What was decided: leave, mount, copy, move or reject.
            member: Of a group: the member that it was reserved for.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            NotFound: ``datareservation.not_found``: There is no such reservation.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareservation/find", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "request": request, "data": data, "source": source,
             "action": action, "member": member, "owner": owner, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one reservation with the decision that was taken.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datareservation.not_found``: There is no such reservation.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareservation/show", False, "object", 0),
            {"id": id},
            timeout_s=timeout_s,
        )

    def confirm(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Confirm a reservation by hand.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datareservation.not_found``: There is no such reservation.
            Conflict: ``datareservation.illegal_move``: The state of the reservation does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareservation/confirm", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def free(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Give a reservation back: its claim is released.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datareservation.not_found``: There is no such reservation.
            Conflict: ``datareservation.illegal_move``: The state of the reservation does not allow this; `legal` lists what it allows.
            Conflict: ``datareservation.in_use``: An instance stands on this reservation.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datareservation/free", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoPolicyCalls:
    """The actions of policy."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(self, *, timeout_s: float | None = None) -> Any:
        """List the policy rules in their order, and what is wrong with a newer file that does not count."""
        return self._server.call(("/edgemere/diml/dml/do/policy/list", False, "page", 0), {}, timeout_s=timeout_s)

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one policy rule.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``policy.not_found``: There is no such policy rule.
        """
        return self._server.call(("/edgemere/diml/dml/do/policy/show", False, "object", 0), {"id": id}, timeout_s=timeout_s)

    def test(self, file: str | Mapping[str, Any], *, since: str | float | None = None, timeout_s: float | None = None) -> Any:
        """Try a policy file on past decisions: what would differ, and at what cost. Nothing is changed.

        Args:
            file: required; The policies as YAML text or an object.
            since: How far back to look: a duration such as 30d, or a time. 30 days unless it says otherwise.

        Raises:
            Invalid: ``policy.invalid``: The policy file cannot be used; `errors` says where.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/policy/test", False, "document", 0),
            {"file": file, "since": since},
            timeout_s=timeout_s,
        )


class DoDatainstanceCalls:
    """The actions of datainstance."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            dataref: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Turn a reference into instances: find, reserve and provision its data.

        Args:
            dataref: required; An id, a name, or an inline reference {name, query, …}.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datareference.not_found``: There is no such reference.
            Conflict: ``datareference.ambiguous``: Several references have this name; `candidates` lists them.
            Conflict: ``datareference.name_taken``: There is a reference of this name with another query.
            Invalid: ``query.empty``: An empty query would create something for everything; `all: true` says that this is meant.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/create", True, "document", 30),
            {"dataref": dataref},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def destroy(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | Mapping[str, Any] | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Destroy an instance; a copy leaves its path at once.

        Args:
            attr1: The id or name of the instance.
            id: The same, as the other actions call it.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.ambiguous``: Several instances have this name; `candidates` lists them.
            Invalid: ``datainstance.unnamed``: No instance was named.
            Conflict: ``datainstance.pinned``: Somebody keeps the instance; `pin` says who, why and until when.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/destroy", True, "object", 0),
            {"attr1": attr1, "id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def find(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            reference: str | None = None,
            request: str | None = None,
            source: str | None = None,
            workload: str | None = None,
            member: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find instances by id, name or query.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            reference: The reference it was made for.
            request: The request it was made for.
            source: The source of its data.
            workload: What the data is for.
            member: Of a group: the member that it was made for.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/find", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "reference": reference, "request": request, "source":
             source, "workload": workload, "member": member, "owner": owner, "limit": limit, "cursor": cursor, "sort":
             sort},
            timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            reference: str | None = None,
            request: str | None = None,
            source: str | None = None,
            workload: str | None = None,
            member: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the instances.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            reference: The reference it was made for.
            request: The request it was made for.
            source: The source of its data.
            workload: What the data is for.
            member: Of a group: the member that it was made for.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "reference": reference, "request": request, "source":
             source, "workload": workload, "member": member, "owner": owner, "limit": limit, "cursor": cursor, "sort":
             sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one instance: where its data is and how to read it.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/show", False, "object", 0),
            {"id": id},
            timeout_s=timeout_s,
        )

    def content(
            self,
            id: str | Mapping[str, Any],
            *,
            data: str | Mapping[str, Any] | None = None,
            first: int | None = None,
            last: int | None = None,
    ) -> Any:
        """Read the bytes of one data of an instance.

        Args:
            id: required; The id or name of the object.
            data: The id, name or path of the data; needed when the instance has several.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.not_ready``: The instance is not Ready, so its bytes cannot be read.
            Invalid: ``datainstance.no_bytes``: The data lies in a simulated source, which has no bytes.
            NotFound: ``data.not_found``: There is no such data.
            Invalid: ``datainstance.data_needed``: The instance has several data; name one of them.
        """
        return self._server.content("/edgemere/diml/dml/do/datainstance/content", {"id": id, "data": data}, first, last)

    def retry(
            self,
            id: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Try a broken instance again.

        Args:
            id: required; The id or name of the object.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.illegal_move``: The state of the instance does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/retry", True, "object", 0),
            {"id": id},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def renew(
            self,
            id: str | Mapping[str, Any],
            *,
            for_: str | float | None = None,
            until: str | float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Let an instance live longer: by its own lifetime from now, for a span, or until a time.

        Args:
            id: required; The id or name of the instance.
            for_: How long from now; without it, its own lifetime.
            until: A time instead, or a duration from now.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.no_end``: The instance has no lifetime, so there is no end to set later.
            Conflict: ``datainstance.not_ready``: The instance is not Ready, so its bytes cannot be read.
            Invalid: ``parameter.invalid``: A parameter has a value that cannot be used.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/renew", True, "object", 0),
            {"id": id, "for": for_, "until": until},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def pin(
            self,
            id: str | Mapping[str, Any],
            *,
            owner: str | None = None,
            reason: str | None = None,
            until: str | float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Keep an instance: it does not expire, and is neither reaped nor destroyed.

        Args:
            id: required; The id or name of the object.
            owner: Who keeps it; without it, the caller.
            reason: Why, in a sentence.
            until: Until when: a time, or a duration from now. Without it, until it is unpinned.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.pinned``: Somebody keeps the instance; `pin` says who, why and until when.
            Conflict: ``datainstance.request_over``: The request of the instance has ended.
            Invalid: ``parameter.invalid``: A parameter has a value that cannot be used.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/pin", True, "object", 0),
            {"id": id, "owner": owner, "reason": reason, "until": until},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def unpin(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """No longer keep an instance: its lifetime counts again.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/unpin", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def undo(
            self,
            id: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Bring a destroyed instance back within its grace time; it is verified before it is Ready.

        Args:
            id: required; The id or name of the object.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datainstance.not_found``: There is no such instance.
            Conflict: ``datainstance.illegal_move``: The state of the instance does not allow this; `legal` lists what it allows.
            Conflict: ``datainstance.grace_over``: The grace time of the destroyed instance is over; `undo_until` says since when.
            Conflict: ``datainstance.name_taken``: Another instance has the name of the destroyed one by now.
            Conflict: ``datainstance.request_over``: The request of the instance has ended.
            Conflict: ``datainstance.in_progress``: The instance is being brought back, or its copies are being removed, right now.
            Conflict: ``source.no_capacity``: A source has no room for what was asked; nothing was claimed.
            Conflict: ``datasource.not_ready``: The source is not Ready.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/datainstance/undo", True, "object", 0),
            {"id": id},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoEventDeadCalls:
    """The actions of dead."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            event: str | None = None,
            queue: str | None = None,
            code: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the messages that could not be handled, and why.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: Its id.
            event: The name of the message.
            queue: The queue whose handler failed.
            code: Why, as a code.
            owner: Whom the message belonged to; empty: nobody, so that an Administrator alone sees it.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/event/dead/list", False, "page", 0),
            {"attr1": attr1, "id": id, "event": event, "queue": queue, "code": code, "owner": owner, "limit": limit,
             "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def replay(
            self,
            *,
            id: str | None = None,
            event: str | None = None,
            queue: str | None = None,
            all: bool | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Hand dead letters to their handlers again.

        Args:
            id: One dead letter.
            event: All dead letters of this message.
            queue: All dead letters of this queue.
            all: Every dead letter that was not replayed yet.

        Raises:
            NotFound: ``deadletter.not_found``: There is no such dead letter.
            Invalid: ``deadletter.unnamed``: No dead letter was named.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/event/dead/replay", True, "page", 0),
            {"id": id, "event": event, "queue": queue, "all": all},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoEventCalls:
    """The actions of event."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.dead = DoEventDeadCalls(server)

    def list(
            self,
            *,
            after: int | None = None,
            event: str | None = None,
            object: str | None = None,
            correlation_id: str | None = None,
            since: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List what happened, in order.

        Args:
            after: Only messages after this sequence.
            event: A name, or a pattern such as datarequest.*
            object: The id or name of the object.
            correlation_id: Everything that belongs to one call.
            since: Only messages since this time, or this long ago.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: `sequence` (oldest first) or `-sequence`.

        Raises:
            Invalid: ``parameter.invalid``: A parameter has a value that cannot be used.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/event/list", False, "page", 0),
            {"after": after, "event": event, "object": object, "correlation_id": correlation_id, "since": since, "limit":
             limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def stream(
            self,
            *,
            event: str | None = None,
            class_: str | None = None,
            object: str | None = None,
            owner: str | None = None,
            query: str | Mapping[str, Any] | None = None,
            after: int | None = None,
    ) -> Iterator[Any]:
        """Follow what happens, live; resumes from a sequence without a gap.

        Args:
            event: A name, or a pattern such as datarequest.*; several with commas.
            class_: A class of objects, such as datarequest; several with commas.
            object: The id or name of the object.
            owner: Whom the object belongs to.
            query: A query over the object, where all messages are about one class.
            after: Resume after this sequence.
        """
        return self._server.events(
            "/edgemere/diml/dml/do/event/stream",
            {"event": event, "class": class_, "object": object, "owner": owner, "query": query, "after": after},
        )

    def send(
            self,
            event: str,
            obj: Any,
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Send one of the messages that the product handles.

        Args:
            event: required; datareference.provisioning, datarequest.needed or datarequest.selected.
            obj: required; The object, its id or its name.

        Raises:
            Invalid: ``event.not_handled``: The product does not handle this message; only three can be sent.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/event/send", True, "document", 0),
            {"event": event, "obj": obj},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoOperationCalls:
    """The actions of operation."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(
            self,
            *,
            status: str | None = None,
            kind: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List what is, or was, under way.

        Args:
            status: running, waiting, succeeded, failed or cancelled.
            kind: datarequest, scan or audit.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/operation/list", False, "page", 0),
            {"status": status, "kind": kind, "limit": limit, "cursor": cursor},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show how far something long has come.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``operation.not_found``: There is no such operation.
        """
        return self._server.call(("/edgemere/diml/dml/do/operation/show", False, "object", 0), {"id": id}, timeout_s=timeout_s)

    def cancel(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Stop something long.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``operation.not_found``: There is no such operation.
            Conflict: ``operation.over``: The operation is over; there is nothing left to stop.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/operation/cancel", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoApikeyCalls:
    """The actions of apikey."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            name: str | None = None,
            *,
            owner: str | None = None,
            roles: Any = None,
            lifetime: str | float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Make a key for a program or a person; its secret is shown this once.

        Args:
            name: What the key is for: a label, unique for its owner. Without one it is called apikey-<n>.
            owner: Whom the key speaks for; another than oneself needs an Administrator.
            roles: What the key may do: no more than whoever makes it. Without it the same.
            lifetime: When the key ends by itself: 90d, 12h. Without it never.

        Raises:
            Conflict: ``apikey.name_taken``: The owner has a living key of this name.
            Denied: ``apikey.roles``: A key cannot have a role that its maker does not have.
            Denied: ``apikey.denied``: Only an Administrator may do this with keys of others.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/apikey/create", True, "object", 0),
            {"name": name, "owner": owner, "roles": roles, "lifetime": lifetime},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            kind: str | None = None,
            state: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List keys: one's own; an Administrator sees everybody's.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: What it is for; unique for its owner.
            kind: key, or session: what a login on the page made of a key or token.
            state: Active, Expired or Revoked.
            owner: Whom it speaks for.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/apikey/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "kind": kind, "state": state, "owner": owner, "limit": limit, "cursor":
             cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show what a key may do, and when it was last used; never its secret.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``apikey.not_found``: There is no such key among those that the caller may see.
        """
        return self._server.call(("/edgemere/diml/dml/do/apikey/show", False, "object", 0), {"id": id}, timeout_s=timeout_s)

    def rotate(
            self,
            id: str | Mapping[str, Any],
            *,
            overlap: str | float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Give a key a new secret, shown this once; the one before may work on for a while.

        Args:
            id: required; The id or name of the object.
            overlap: How long the secret before goes on working, at most 30d. Without it, it ends at once.

        Raises:
            NotFound: ``apikey.not_found``: There is no such key among those that the caller may see.
            Conflict: ``apikey.over``: The key has ended; it gets no new secret.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/apikey/rotate", True, "object", 0),
            {"id": id, "overlap": overlap},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def revoke(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """End a key at once, everywhere, with the sessions that were opened with it.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``apikey.not_found``: There is no such key among those that the caller may see.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/apikey/revoke", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoIdentityCalls:
    """The actions of identity."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def show(self, *, timeout_s: float | None = None) -> Any:
        """Show who is calling: the owner, the roles, the credential that says so, and what was done with his keys."""
        return self._server.call(("/edgemere/diml/dml/do/identity/show", False, "document", 0), {}, timeout_s=timeout_s)

    def seen(
            self,
            *,
            upto: int | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Say that what was done with one's keys was seen: answers stop to tell it.

        Args:
            upto: The id of the last notice that was seen. Without it all of them.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/identity/seen", True, "document", 0),
            {"upto": upto},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoPersonCalls:
    """The actions of person."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def show(self, owner: str | None = None, *, timeout_s: float | None = None) -> Any:
        """Show what there is of a person, and until when the audit log keeps the name.

        Args:
            owner: Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator.

        Raises:
            Denied: ``person.denied``: Only an Administrator may ask about somebody else.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/person/show", False, "document", 0),
            {"owner": owner},
            timeout_s=timeout_s,
        )

    def export(
            self,
            owner: str | None = None,
            *,
            limit: int | None = None,
            cursor: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Give out everything that is kept of a person, row by row.

        Args:
            owner: Who: the name that is the owner of what is his. Without it oneself; another needs an Administrator.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.

        Raises:
            Denied: ``person.denied``: Only an Administrator may ask about somebody else.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/person/export", False, "page", 0),
            {"owner": owner, "limit": limit, "cursor": cursor},
            timeout_s=timeout_s,
        )

    def remove(
            self,
            owner: str,
            *,
            preview: bool | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Remove a person: his credentials end, and a pseudonym takes the place of his name in everything that is kept.

        Args:
            owner: required; Who: the name that is the owner of what is his.
            preview: Whether to say only what would be done, and what stands in the way.

        Raises:
            Conflict: ``person.in_use``: The person still has open requests, references, instances or scans; they are ended first.
            Conflict: ``person.oneself``: Nobody removes himself.
            NotFound: ``person.not_found``: There is nothing of such a person.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/person/remove", True, "document", 0),
            {"owner": owner, "preview": preview},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class DoAuditCalls:
    """The actions of audit."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            kind: str | None = None,
            owner: str | None = None,
            credential: str | None = None,
            address: str | None = None,
            action: str | None = None,
            outcome: str | None = None,
            correlation_id: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List who changed what, with which outcome, and whose login was refused.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: Its id.
            kind: changed (written with the change), answered (what the caller was told), login, refused (a login), read, found (data was
                refused), or forgotten.
            owner: On whose behalf.
            credential: The id of the key, or the subject of the token.
            address: Where the call came from.
            action: The action of the table.
            outcome: ok, or the stable code of the error.
            correlation_id: The call that it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Denied: ``audit.denied``: Only an Administrator may read the audit log.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/audit/list", False, "page", 0),
            {"attr1": attr1, "id": id, "kind": kind, "owner": owner, "credential": credential, "address": address, "action":
             action, "outcome": outcome, "correlation_id": correlation_id, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def verify(self, *, sequence: int | None = None, hash: str | None = None, timeout_s: float | None = None) -> Any:
        """Look whether anything in the audit log was changed, taken out or put in since it was written.

        Args:
            sequence: The position that was noted.
            hash: The hash that was noted with it: shows whether the end was cut off since.

        Raises:
            Denied: ``audit.denied``: Only an Administrator may read the audit log.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/audit/verify", False, "document", 0),
            {"sequence": sequence, "hash": hash},
            timeout_s=timeout_s,
        )


class DoCalls:
    """The actions of ``diml dml do``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.datarequest = DoDatarequestCalls(server)
        self.datareference = DoDatareferenceCalls(server)
        self.datareservation = DoDatareservationCalls(server)
        self.policy = DoPolicyCalls(server)
        self.datainstance = DoDatainstanceCalls(server)
        self.event = DoEventCalls(server)
        self.operation = DoOperationCalls(server)
        self.apikey = DoApikeyCalls(server)
        self.identity = DoIdentityCalls(server)
        self.person = DoPersonCalls(server)
        self.audit = DoAuditCalls(server)

    def reserve(
            self,
            request: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find the data that a request needs and reserve it.

        Args:
            request: required; An id, a name, or an inline request.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.ambiguous``: Several requests have this name; `candidates` lists them.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/reserve", True, "object", 0),
            {"request": request},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def evaluate(
            self,
            request: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Decide how each reserved data is used, and have it provisioned.

        Args:
            request: required; An id, a name, or an inline request.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datarequest.not_found``: There is no such request.
            Conflict: ``datarequest.ambiguous``: Several requests have this name; `candidates` lists them.
            Conflict: ``datarequest.illegal_move``: The state of the request does not allow this; `legal` lists what it allows.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
        """
        return self._server.call(
            ("/edgemere/diml/dml/do/evaluate", True, "object", 0),
            {"request": request},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class FmdmDatasourceCalls:
    """The actions of datasource."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            name: str,
            adaptor: str,
            *,
            parameters: Mapping[str, Any] | None = None,
            capacity: Mapping[str, Any] | None = None,
            cost: Mapping[str, Any] | None = None,
            tags: Mapping[str, Any] | None = None,
            location: str | None = None,
            access: Any = None,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Register a source and scan it.

        Args:
            name: required; Its name.
            adaptor: required; The kind of source: file, http, fsspec, sql or simulated.
            parameters: Where it is: {rootdir, writable} for file, {url, …} for fsspec and sql; docs/sources.md has all.
            capacity: {bytes, readers}; null is unlimited.
            cost: {per_gib_out, per_gib_in, per_gib_month, per_request, latency_ms, mib_per_s}.
            tags: Free tags.
            location: Where in the world it is.
            access: Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one
                everybody.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            Conflict: ``datasource.name_taken``: There is a source of this name already.
            Invalid: ``source.unknown_adaptor``: There is no such kind of source.
            Invalid: ``source.bad_parameters``: The parameters do not fit the kind of source.
            Invalid: ``source.rootdir_missing``: The folder does not exist.
            Invalid: ``source.rootdir_unreadable``: The folder cannot be read.
            Invalid: ``source.rootdir_not_allowed``: The folder lies outside the allowed roots, or is the orchestrator's own.
            Invalid: ``source.bad_listing``: The listing cannot be used; `errors` says where.
            Denied: ``source.address_not_allowed``: The address is an internal one, which sources may not reach.
            Invalid: ``access.invalid``: The access rules of a source cannot be used; `errors` says which.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/create", True, "object", 30),
            {"name": name, "adaptor": adaptor, "parameters": parameters, "capacity": capacity, "cost": cost, "tags": tags,
             "location": location, "access": access},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def simulate(
            self,
            name: str,
            listing: str | Mapping[str, Any],
            *,
            capacity: Mapping[str, Any] | None = None,
            cost: Mapping[str, Any] | None = None,
            tags: Mapping[str, Any] | None = None,
            location: str | None = None,
            access: Any = None,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Make a simulated source from a listing.

        Args:
            name: required; Its name.
            listing: required; A mapping from path to {type, size, tags}, or its YAML text.
            capacity: {bytes, readers}; null is unlimited.
            cost: What using it costs.
            tags: Free tags.
            location: Where in the world it is.
            access: Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without one
                everybody.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            Conflict: ``datasource.name_taken``: There is a source of this name already.
            Invalid: ``source.bad_listing``: The listing cannot be used; `errors` says where.
            Invalid: ``access.invalid``: The access rules of a source cannot be used; `errors` says which.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/simulate", True, "object", 30),
            {"name": name, "listing": listing, "capacity": capacity, "cost": cost, "tags": tags, "location": location,
             "access": access},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            state: str | None = None,
            adaptor: str | None = None,
            location: str | None = None,
            owner: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the sources.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The name, unique per class and owner.
            state: The state in the net of its class.
            adaptor: The kind of source: file, http, fsspec, sql or simulated.
            location: Where in the world it is.
            owner: Whom it belongs to.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "state": state, "adaptor": adaptor, "location": location, "owner":
             owner, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one source.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/show", False, "object", 0),
            {"id": id},
            timeout_s=timeout_s,
        )

    def scan(
            self,
            id: str | Mapping[str, Any],
            *,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Look what was added, changed or vanished at a source.

        Args:
            id: required; The id or name of the object.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.illegal_move``: The state of the source does not allow this; `legal` lists what it allows.
            Conflict: ``datasource.not_ready``: The source is not Ready.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/scan", True, "object", 30),
            {"id": id},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def suspend(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Take a source out of use for a while: its data no longer matches.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.illegal_move``: The state of the source does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/suspend", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def resume(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Take a suspended source into use again.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.illegal_move``: The state of the source does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/resume", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def shutdown(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Take a source out of use for good.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.illegal_move``: The state of the source does not allow this; `legal` lists what it allows.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/shutdown", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def destroy(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Remove a source and its data from the catalogue; the bytes stay where they are.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.in_use``: Live instances or claims stand on the source; they are named.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/destroy", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def access(
            self,
            id: str | Mapping[str, Any],
            access: Any,
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Say who may see which data of a source; what is reserved already stays reserved.

        Args:
            id: required; The id or name of the object.
            access: required; Who may see which of its data: [{when: query, owners, roles}], the first rule that applies decides; without
                one everybody.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Invalid: ``access.invalid``: The access rules of a source cannot be used; `errors` says which.
            Denied: ``denied``: The caller may not do this.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/access", True, "object", 0),
            {"id": id, "access": access},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def audit(
            self,
            id: str | Mapping[str, Any],
            *,
            repair: Any = None,
            verify: bool | None = None,
            wait_s: float | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Compare the catalogue with what lies at a source, both ways; report, or repair.

        Args:
            id: required; The id or name of the object.
            repair: none, catalogue (it takes over what lies there), copies (lost ones are made again), all (both), dark (nobody's copies
                go).
            verify: Read every byte that has a known checksum, and compare: finds what changed without changing size and time.
            wait_s: seconds to wait for the end of what this begins.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.not_ready``: The source is not Ready.
            Conflict: ``datasource.busy``: The source is being scanned, or audited in another way.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/audit", True, "object", 30),
            {"id": id, "repair": repair, "verify": verify},
            wait_s=wait_s, idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def findings(
            self,
            id: str | Mapping[str, Any],
            *,
            kind: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List what the newest audit of a source found.

        Args:
            id: required; The id or name of the object.
            kind: Only these: lost, dark, changed, corrupt, lost_copy, changed_copy, dark_copy.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/findings", False, "page", 0),
            {"id": id, "kind": kind, "limit": limit, "cursor": cursor},
            timeout_s=timeout_s,
        )

    def reap(
            self,
            id: str | Mapping[str, Any],
            *,
            bytes: int | None = None,
            apply: bool | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Say which copies would go to free a target, the least recently used first; with apply they go.

        Args:
            id: required; The id or name of the object.
            bytes: How many bytes; without it, down to the low mark of its capacity.
            apply: Destroy what would go. Without it nothing is written.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``datasource.not_writable``: The source does not take copies; it needs parameters.writable: true.
            Invalid: ``datasource.unbounded``: The source has no bound of bytes, so that it is not known how much must go.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/datasource/reap", True, "document", 0),
            {"id": id, "bytes": bytes, "apply": apply},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class FmdmDataCalls:
    """The actions of data."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def create(
            self,
            source: str | Mapping[str, Any],
            path: str,
            *,
            type: str | None = None,
            size: int | None = None,
            media_type: str | None = None,
            checksum: str | None = None,
            tags: Mapping[str, Any] | None = None,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Register one data in a source by hand.

        Args:
            source: required; The source that holds it.
            path: required; The place within the source.
            type: What it is.
            size: Bytes.
            media_type: The media type.
            checksum: sha256:… where known.
            tags: Its metadata.

        Raises:
            NotFound: ``datasource.not_found``: There is no such source.
            Conflict: ``data.path_taken``: There is data at this path already.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/data/create", True, "object", 0),
            {"source": source, "path": path, "type": type, "size": size, "media_type": media_type, "checksum": checksum,
             "tags": tags},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )

    def list(
            self,
            *,
            attr1: str | Mapping[str, Any] | None = None,
            id: str | None = None,
            name: str | None = None,
            path: str | None = None,
            type: str | None = None,
            media_type: str | None = None,
            checksum: str | None = None,
            source: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """List the data.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The base name.
            path: The place within the source.
            type: file, dir, object, table or stream.
            media_type: The media type.
            checksum: sha256:… where known.
            source: The source that holds it.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/data/list", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "path": path, "type": type, "media_type": media_type, "checksum":
             checksum, "source": source, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def find(
            self,
            attr1: str | Mapping[str, Any] | None = None,
            *,
            id: str | None = None,
            name: str | None = None,
            path: str | None = None,
            type: str | None = None,
            media_type: str | None = None,
            checksum: str | None = None,
            source: str | None = None,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find data by id, name or query.

        Args:
            attr1: An id, a name, or a query over the object's fields.
            id: The id: a ULID with the prefix of its class.
            name: The base name.
            path: The place within the source.
            type: file, dir, object, table or stream.
            media_type: The media type.
            checksum: sha256:… where known.
            source: The source that holds it.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.

        Raises:
            NotFound: ``data.not_found``: There is no such data.
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/data/find", False, "page", 0),
            {"attr1": attr1, "id": id, "name": name, "path": path, "type": type, "media_type": media_type, "checksum":
             checksum, "source": source, "limit": limit, "cursor": cursor, "sort": sort},
            timeout_s=timeout_s,
        )

    def show(self, id: str | Mapping[str, Any], *, timeout_s: float | None = None) -> Any:
        """Show one data with its metadata.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``data.not_found``: There is no such data.
            Conflict: ``data.ambiguous``: Several data have this name; `candidates` lists them.
        """
        return self._server.call(("/edgemere/diml/dml/fmdm/data/show", False, "object", 0), {"id": id}, timeout_s=timeout_s)

    def destroy(
            self,
            id: str | Mapping[str, Any],
            *,
            idempotency_key: str | None = None,
            if_match: int | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Remove one data from the catalogue; the bytes stay where they are.

        Args:
            id: required; The id or name of the object.

        Raises:
            NotFound: ``data.not_found``: There is no such data.
            Conflict: ``data.in_use``: Live instances stand on the data; they are named.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/data/destroy", True, "object", 0),
            {"id": id},
            idempotency_key=idempotency_key, if_match=if_match, timeout_s=timeout_s,
        )


class FmdmCalls:
    """The actions of ``diml dml fmdm``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.datasource = FmdmDatasourceCalls(server)
        self.data = FmdmDataCalls(server)

    def query(
            self,
            expression: str | Mapping[str, Any] | None = None,
            *,
            limit: int | None = None,
            cursor: str | None = None,
            sort: str | None = None,
            funnel: bool | None = None,
            complete: Mapping[str, Any] | None = None,
            timeout_s: float | None = None,
    ) -> Any:
        """Find data by its metadata, with a count of what each clause leaves.

        Args:
            expression: What to find, as JSON or as a line; empty is everything.
            limit: How many at most in one page.
            cursor: Where to go on: the `next` of the page before.
            sort: A field, or several with commas; a minus before it turns it round.
            funnel: Count what each clause leaves.
            complete: Instead of data, what a beginning may go on with: {field: "own"} or {value: "dar", of: "owner"}.

        Raises:
            Malformed: ``query.syntax``: The query cannot be parsed; `errors` says where.
            Malformed: ``query.unknown_operator``: The query uses an operator that does not exist.
            Malformed: ``query.unknown_field``: The query names a field that the class does not have.
            Malformed: ``query.bad_operand``: An operator got a value that it cannot use.
        """
        return self._server.call(
            ("/edgemere/diml/dml/fmdm/query", False, "page", 0),
            {"expression": expression, "limit": limit, "cursor": cursor, "sort": sort, "funnel": funnel, "complete":
             complete},
            timeout_s=timeout_s,
        )

