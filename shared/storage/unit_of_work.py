"""The one door for changes: a row with its version, its history and its messages, in one transaction.

Publishes nothing itself: messages are rows of the outbox, and the relay sends them after the commit.
"""
from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.contracts.event import EVENTS, INTERNAL
from shared.kernel import clock
from shared.kernel.context import WHOSE, Context
from shared.kernel.errors import Conflict, PreconditionFailed, VersionConflict
from shared.kernel.ids import new_id
from shared.storage.bulk import insert_first, insert_rows, insert_together, insert_unless_there, update_rows
from shared.storage.record import Record, Row
from shared.storage.schema import AS_GIVEN, INTERNAL_SHARDS, SHARDS

# So many ids of what one transaction changed are in its line of the audit log; the number of all is there, too.
AUDITED = 20

Changes = Mapping[str, Any] | Callable[[Row], Mapping[str, Any]] | None


class UnitOfWork:
    """Changes that commit together or not at all. Made by ``Database.transaction``."""

    def __init__(self, connection: Connection, context: Context, tables: Mapping[str, Any]) -> None:
        self.connection = connection
        self._tables = tables
        self.context = context
        # Where one transaction does the work of several calls: whose work is done on an object, by its id.
        self.causes: dict[str, Context] = {}
        self.said = 0
        self._now = ""
        self._lately: tuple[Any, str] | None = None
        self._messages: list[dict[str, Any]] = []
        self._last_said: dict[str, str] = {}
        self._history: list[dict[str, Any]] = []
        self._updated: dict[str, tuple[Record, Row, dict[str, None]]] = {}
        self._made: set[str] = set()
        self._touched: dict[Context, dict[str, None]] = {}
        self._remembered = {""}
        self._unmatched = context.if_match

    # --- reading -----------------------------------------------------------------------------------------------

    def rows(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        return [dict(row) for row in self.connection.execute(statement, parameters).mappings()]

    def row(self, statement: Any) -> Row | None:
        found = self.connection.execute(statement).mappings().first()
        return dict(found) if found is not None else None

    def get(self, record: Record, object_id: str) -> Row | None:
        """The row of this id as it is now (locked for this transaction where the database can)."""
        return self.row(select(record.table).where(record.table.c.id == object_id).with_for_update())

    # --- the door ----------------------------------------------------------------------------------------------

    def create(self, record: Record, rows: Sequence[Row], *events: str, ignore_existing: bool = False) -> list[Row]:
        """Insert objects and lead them through ``events`` of their net.

        ``rows`` need an ``id`` and their own columns; version, times and state are filled in here. With
        ``ignore_existing`` rows whose id is there already are left as they are and not announced.
        Returns the rows that were inserted.
        """
        if not rows:
            return []
        now = clock.stamp()
        states = self._path(record, record.net.initial, events) if record.net else []
        made = []
        columns = {str(column.key): None for column in record.table.columns}
        ordered = [name for name in columns if name + AS_GIVEN in columns]
        for row in rows:
            full = {**columns, **row, "version": 1, "created_at": row.get("created_at") or now, "updated_at": now}
            full |= {name + AS_GIVEN: orjson.dumps(full[name]).decode() for name in ordered if full[name] is not None}
            if record.net:
                full["state"] = states[-1][2] if states else record.net.initial
            made.append(full)
        if ignore_existing:
            fresh = insert_unless_there(self.connection, record.table, made)
            made = [row for row in made if row["id"] in fresh]
        else:
            insert_rows(self.connection, record.table, made)
        if not made:
            return []
        self._record_history(record, made, states, now)
        self.audited(*(row["id"] for row in made))
        for row in made:
            self._made.add(row["id"])
            names = [f"{record.noun}.create", *(f"{record.noun}.{to.lower()}" for _, _, to in states)]
            self._say(record, row, names, [], [record.net.initial, *(to for _, _, to in states)] if record.net else [])
        for row in made if self.causes else made[:1]:
            self.remember(record.noun, row["id"])
        return made

    def move(self, record: Record, rows: Sequence[Row], *events: str, changes: Changes = None,
             detail: Mapping[str, Any] | None = None) -> list[Row]:
        """Lead objects through ``events`` of their net, with further changes to their columns.

        Raises:
            Conflict: ``<noun>.illegal_move``; nothing was changed.
            VersionConflict: somebody changed one of the rows since it was read.
            PreconditionFailed: the caller's ``If-Match`` names another version.
        """
        if not rows:
            return []
        assert record.net is not None
        groups: dict[str, list[tuple[str, str, str]]] = {}
        for row in rows:
            if row["state"] not in groups:
                groups[row["state"]] = self._path(record, row["state"], events, record.handle(row))
        moved = self._write(record, rows, changes, lambda row: {"state": groups[row["state"]][-1][2]})
        now = moved[0]["updated_at"]
        before = {row["id"]: row["state"] for row in rows}
        for state, steps in groups.items():
            of_state = [row for row in moved if before[row["id"]] == state]
            self._record_history(record, of_state, steps, now, detail)
            for row in of_state:
                names = [f"{record.noun}.{to.lower()}" for _, _, to in steps]
                self._say(record, row, names, ["state"], [to for _, _, to in steps])
        return moved

    def change(self, record: Record, rows: Sequence[Row], changes: Changes) -> list[Row]:
        """Change columns of objects without a move. Raises as ``move`` does."""
        return self._write(record, rows, changes, lambda row: {}) if rows else []

    def destroy(self, record: Record, rows: Sequence[Row], changes: Changes = None) -> list[Row]:
        """Mark objects destroyed: they leave lists and free their names; ``<noun>.destroy`` says so."""
        if not rows:
            return []
        gone = clock.stamp()
        if record.net and "Destroyed" in record.net.states:
            for row in rows:
                self._path(record, row["state"], ("destroy",), record.handle(row))
            final: Mapping[str, Any] = {"state": "Destroyed", "destroyed_at": gone}
        else:
            final = {"destroyed_at": gone}
        old = {row["id"]: row.get("state") or "" for row in rows}
        moved = self._write(record, rows, changes, lambda row: final, announce=False)
        history = [{
            "object_id": row["id"], "noun": record.noun, "event": "destroy", "from_state": old[row["id"]],
            "to_state": row.get("state") or "", "version": row["version"], "at": gone,
            "causation_id": self._cause_of(row["id"]).causation_id, "detail": None,
        } for row in moved]
        self._history += history
        for row in moved:
            self._updated.pop(row["id"], None)
            self._say(record, row, [f"{record.noun}.destroy"], [])
        return moved

    def revive(self, record: Record, rows: Sequence[Row], changes: Changes = None) -> list[Row]:
        """Take destroyed objects back with a new version; ``<noun>.create`` says so. For classes without a net."""
        if not rows:
            return []
        moved = self._write(record, rows, changes, lambda row: {"destroyed_at": None}, announce=False)
        for row in moved:
            self._say(record, row, [f"{record.noun}.create"], [])
        return moved

    # --- messages ----------------------------------------------------------------------------------------------

    def announce(self, record: Record, row: Row, name: str) -> None:
        """Say a message of the event table about an object as it is in this transaction."""
        self._say(record, row, [name], [])

    def tell(self, name: str, object_id: str, body: Any, whose: str | None = None) -> str:
        """Say a message that is about no row of this service, to ``whose`` it is (else the caller's); ordered with others of ``object_id``.

        Returns its id.

        One among the services is caused by what this transaction said last: it is in no log, so what follows from it
        names that cause instead of it.
        """
        return self._append(name, object_id, orjson.dumps(body).decode(), [], self.context.owner if whose is None else whose)

    def audited(self, *object_ids: str) -> None:
        """Note that the call changes these objects: the audit log says so with the commit. Rows changed here do it by themselves.

        Nothing is noted for work that no action of a logged-in caller began, such as that of a message.
        """
        if not self.causes:
            self._touch(self.context, object_ids)
        else:
            for object_id in object_ids:
                self._touch(self._cause_of(object_id), (object_id,))

    def was_read(self, action: str, object_ids: Sequence[str], count: int) -> None:
        """Note that the caller is given ``count`` objects of what these ids name to read: the audit log says so with the commit."""
        self._append("audit.changed", object_ids[0], orjson.dumps({"kind": "read", **self._line(
            self.context.having(action=action), object_ids, count)}).decode(), [], self.context.owner)

    def was_refused(self, owner: str, code: str, object_ids: Sequence[str]) -> None:
        """Note that data was not given to ``owner`` for what was found in it: the audit log says so with the commit."""
        self._append("audit.changed", object_ids[0], orjson.dumps({"kind": "found", **self._line(
            self.context.having(owner=owner, action="instances.inspect"), object_ids, len(object_ids)), "outcome": code}).decode(), [], owner)

    def first_times(self, consumer: str, message_ids: Iterable[str]) -> set[str]:
        """Those of these messages that ``consumer`` has not handled yet; remembers them with this transaction."""
        table, now = self._table("inbox"), clock.stamp()
        rows = [{"consumer": consumer, "message_id": message_id, "at": now} for message_id in sorted(set(message_ids))]
        return insert_first(self.connection, table, rows, table.c.message_id)

    def first_time(self, consumer: str, message_id: str | None) -> bool:
        """Whether ``consumer`` has not handled this message yet; remembers it with this transaction."""
        if not message_id:
            return True
        table = self._table("inbox")
        statement = self._insert(table).values(consumer=consumer, message_id=message_id, at=clock.stamp())
        return self.connection.execute(statement.on_conflict_do_nothing()).rowcount == 1

    def flush(self) -> None:
        """Write history and messages; called once, at the end of the transaction."""
        for record, row, columns in self._updated.values():
            if changed := record.changed(columns):
                self._append(f"{record.noun}.updated", row["id"], orjson.dumps(record.render(row)).decode(), changed, record.whose(row))
        self._updated.clear()
        for context, touched in self._touched.items():
            self._say_audited(context, list(touched))
        self._touched.clear()
        insert_together(self.connection, [(self._table("history"), self._history), (self._table("outbox"), self._messages)])
        self.said += len(self._messages)
        self._history, self._messages = [], []

    # --- inside ------------------------------------------------------------------------------------------------

    def _touch(self, context: Context, object_ids: Sequence[str]) -> None:
        if context.action:
            self._touched.setdefault(context, {}).update(dict.fromkeys(object_ids))

    def _say_audited(self, context: Context, touched: Sequence[str]) -> None:
        line = self._line(context, touched, len(touched))
        self._append("audit.changed", touched[0], orjson.dumps(line).decode(), [], context.owner)

    def _line(self, context: Context, object_ids: Sequence[str], count: int) -> dict[str, Any]:
        return {"owner": context.owner, "credential": context.credential, "address": context.address, "action": context.action,
                "outcome": "ok", "objects": object_ids[:AUDITED], "count": count, "correlation_id": context.correlation_id,
                "time": self._now or clock.stamp()}

    def _cause_of(self, object_id: str) -> Context:
        return self.causes.get(object_id, self.context)

    def _table(self, name: str) -> Any:
        return self._tables[name]

    def _insert(self, table: Any) -> Any:
        dialect = postgresql if self.connection.dialect.name == "postgresql" else sqlite
        return dialect.insert(table)

    @staticmethod
    def _path(record: Record, state: str, events: Iterable[str], name: str = "") -> list[tuple[str, str, str]]:
        steps = []
        for event in events:
            move = record.net.move(state, event, name)
            steps.append((state, event, move.target))
            state = move.target
        return steps

    def _write(self, record: Record, rows: Sequence[Row], changes: Changes,
               final: Callable[[Row], Mapping[str, Any]], announce: bool = True) -> list[Row]:
        self._check_match(record, rows)
        now = clock.stamp()
        written, moved = [], []
        for row in rows:
            given = changes(row) if callable(changes) else (changes or {})
            new = {**given, **final(row)}
            written.append({"id": row["id"], "old_version": row["version"], **new})
            moved.append({**row, **new, "version": row["version"] + 1, "updated_at": now})
            if announce and row["id"] not in self._made:
                _, _, names = self._updated.pop(row["id"], (None, None, {}))
                names.update(dict.fromkeys(key for key, value in new.items() if row.get(key) != value))
                self._updated[row["id"]] = (record, moved[-1], names)
        count = update_rows(self.connection, record.table, written, now)
        if count != len(rows):
            raise VersionConflict(
                f"{record.noun}.version_conflict",
                f"{len(rows) - count} of {len(rows)} {record.noun} objects were changed by somebody else meanwhile.",
                next_step="Read the object again and repeat.")
        self.remember(record.noun, rows[0]["id"])
        self.audited(*(row["id"] for row in rows))
        return moved

    def _check_match(self, record: Record, rows: Sequence[Row]) -> None:
        wanted, self._unmatched = self._unmatched, None
        if wanted is not None and rows[0]["version"] != wanted:
            raise PreconditionFailed(
                f"{record.noun}.changed", f"{record.noun} {record.handle(rows[0])} has version {rows[0]['version']}, not {wanted}.",
                next_step="Read it again, and repeat with its ETag.", version=rows[0]["version"])

    def remember(self, noun: str, object_id: str) -> None:
        """Tie the key of a repeated call to what the call is answered with; changes of such rows do so by themselves."""
        context = self._cause_of(object_id)
        if context.idempotency_key in self._remembered or context.answers not in ("", noun):
            return
        self._remembered.add(context.idempotency_key)
        table = self._table("idempotency")
        statement = self._insert(table).values(
            key=context.idempotency_key, fingerprint=context.fingerprint, noun=noun,
            object_id=object_id, at=clock.stamp())
        if self.connection.execute(statement.on_conflict_do_nothing()).rowcount != 1:
            raise Conflict("idempotency.in_progress", "The same call is being carried out right now.")

    def _record_history(self, record: Record, rows: Sequence[Row], steps: Sequence[tuple[str, str, str]], now: str,
                        detail: Mapping[str, Any] | None = None) -> None:
        history = [{
            "object_id": row["id"], "noun": record.noun, "event": event, "from_state": source, "to_state": target,
            "version": row["version"], "at": now, "causation_id": self._cause_of(row["id"]).causation_id, "detail": detail,
        } for row in rows for source, event, target in steps]
        self._history += history

    def _say(self, record: Record, row: Row, names: Sequence[str], changed: list[str], states: Sequence[str] = ()) -> None:
        """Append a message for each name; ``states`` are what the object was in at each, where that differs."""
        obj, whose = record.render(row), record.whose(row)
        if len(set(states)) < 2:
            text = orjson.dumps(obj).decode()
            for name in names:
                self._append(name, row["id"], text, changed, whose)
            return
        for name, state in zip(names, states, strict=True):
            obj["state"] = state
            self._append(name, row["id"], orjson.dumps(obj).decode(), changed, whose)

    def _append(self, name: str, object_id: str, obj: str, changed: list[str], whose: str) -> str:
        event = EVENTS[name]
        message_id = new_id("event")
        # One transaction happens at one moment.
        self._now = now = self._now or clock.stamp()
        context = self._cause_of(object_id)
        correlation = context.correlation_id or message_id
        cause = context.causation_id
        if event.exchange == INTERNAL:
            cause = self._last_said.get(context.correlation_id, cause)
        self._last_said[context.correlation_id] = message_id
        tail = orjson.dumps({
            "changed": changed, "event": name, "id": message_id, "time": now,
            "correlation_id": correlation, "causation_id": cause or None,
        }).decode()
        self._messages.append({
            "id": message_id, "shard": _shard(object_id, event.exchange), "exchange": event.exchange,
            "name": name, "object_id": object_id,
            "headers": self._headers(context, correlation, whose),
            # The object is encoded once for all messages about it.
            "body": f'{{"obj":{obj},{tail[1:]}',
        })
        return message_id

    def _headers(self, context: Context, correlation: str, whose: str) -> str:
        """What goes along with a message: what it belongs to, whose its object is, and on whose behalf it was said."""
        wanted = (context, correlation, whose)
        if self._lately is None or self._lately[0] != wanted:
            said = {"nameko.correlation_id": correlation, WHOSE: whose, "nameko.owner": context.owner,
                    **({"nameko.roles": context.roles} if context.roles else {}), **({"nameko.mesh": True} if context.mesh else {}),
                    **({"traceparent": context.traceparent} if context.traceparent else {})}
            self._lately = (wanted, orjson.dumps(said).decode())
        return self._lately[1]


def _shard(object_id: str, exchange: str) -> int:
    number = zlib.crc32(object_id.encode())
    if exchange == INTERNAL:
        return SHARDS - INTERNAL_SHARDS + number % INTERNAL_SHARDS
    return number % (SHARDS - INTERNAL_SHARDS)
