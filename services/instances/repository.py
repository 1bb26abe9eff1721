"""The queries of the service, each with a name and a sentence."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, not_, or_, select, tuple_, update

from services.instances.models import INSTANCE, METADATA, access_table as access, instance_table as table, made_table, undoing_table
from shared.kernel import clock
from shared.lists import Lister
from shared.storage import leases
from shared.storage.bulk import insert_first
from shared.storage.record import Row

instances = Lister(INSTANCE, {
    "reference": (table.c.reference_id, table.c.reference_name),
    "request": (table.c.request_id, table.c.request_name),
    "source": (table.c.source_id, table.c.source_name),
})
ANY_ATTEMPT = 1_000_000_000
# No request has more data than this.
MOST_ENTRIES = 1_000_000
LIVE = ("Provisioning", "Ready", "Broken")


def held_by(connection: Connection, owner: str, promised: Sequence[Sequence[Any]] = ()) -> dict[str, Any]:
    """What an owner has now: ``{instances, bytes, made}``, bytes being those of copies that are there or under way.

    Of the attempts ``promised`` (``[request, attempt]`` each) those are ``made`` whose instances are all written; they are counted,
    the instances of the others are not. An instance that is to be brought back is ``[instance, version in which it was destroyed]``.
    """
    # Who is made is asked first: an attempt whose instances come between the two looks is left out, not counted in part.
    made = {tuple(row) for row in connection.execute(select(made_table.c.request_id, made_table.c.attempt).where(
        tuple_(made_table.c.request_id, made_table.c.attempt).in_([tuple(one) for one in promised])))} if promised else set()
    versions = {row.id: row.version for row in connection.execute(select(table.c.id, table.c.version).where(
        table.c.id.in_([one for one, _ in promised])))} if promised else {}
    made |= {(one, version) for one, version in promised if versions.get(one, version) > version}
    unmade = [tuple(one) for one in promised if tuple(one) not in made]
    mine = (table.c.owner == owner, table.c.state.in_(LIVE), table.c.destroyed_at.is_(None),
            *((not_(tuple_(table.c.request_id, table.c.attempt).in_(unmade)),) if unmade else ()))
    instances = connection.execute(select(func.count()).select_from(table).where(*mine)).scalar_one()
    copied = connection.execute(select(func.coalesce(func.sum(access.c.size), 0)).select_from(
        access.join(table, table.c.id == access.c.instance_id)).where(
        *mine, access.c.action.in_(("copy", "move")), access.c.state.in_(("pending", "ready")))).scalar_one()
    return {"instances": instances, "bytes": int(copied), "made": [list(one) for one in made]}


def _rows(connection: Connection, statement: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def live_of_request(connection: Connection, request: str, limit: int, up_to: int) -> list[Row]:
    """The instances of a request that are not destroyed, of attempts up to ``up_to``, and do not stand alone."""
    return _rows(connection, select(table).where(
        table.c.request_id == request, table.c.state.in_(LIVE), table.c.attempt <= up_to, table.c.alone.is_(False),
    ).order_by(table.c.id).limit(limit))


def living() -> Any:
    """That an instance lives, said so that the state is not looked up: of the many that live few are due, and their times are indexed."""
    return func.coalesce(table.c.state, "").in_(LIVE)


def _due(connection: Connection, ids: Sequence[str] | None, limit: int, *conditions: Any) -> list[Row]:
    if ids is not None:
        conditions = (*conditions, table.c.id.in_(list(ids)))
    return _rows(connection, select(table).where(living(), *conditions).limit(limit))


def expired(connection: Connection, now: str, limit: int, ids: Sequence[str] | None = None) -> list[Row]:
    """The instances whose time is over and whom nobody keeps (those among ``ids``, when given).

    One whose pin is over is none of them as long as the pin is there: who takes that away gives it the time of a warning.
    """
    return _due(connection, ids, limit, table.c.expires_at <= now, table.c.pinned.is_(False))


def to_warn(connection: Connection, now: str, limit: int, ids: Sequence[str] | None = None) -> list[Row]:
    """The instances of whose end it is time to warn."""
    return _due(connection, ids, limit, table.c.warn_at <= now, table.c.expires_at > now, table.c.pinned.is_(False))


def pins_over(connection: Connection, now: str, limit: int, ids: Sequence[str] | None = None) -> list[Row]:
    """The instances whose pin has come to its end."""
    return _due(connection, ids, limit, table.c.pinned_until <= now)


def pinned_of_request(connection: Connection, request: str, limit: int) -> list[Row]:
    """The pinned instances of a request."""
    return _rows(connection, select(table).where(
        table.c.request_id == request, table.c.state.in_(LIVE), table.c.pinned.is_(True)).order_by(table.c.id).limit(limit))


def latest_end(connection: Connection, request: str) -> str | None:
    """When the last of a request's instances ends; None where one has no end, or none is left."""
    row = connection.execute(select(func.count(), func.count(table.c.expires_at), func.max(table.c.expires_at)).where(
        table.c.request_id == request, table.c.state.in_(LIVE))).one()
    return row[2] if row[0] == row[1] else None


def kept_data(connection: Connection, request: str, all_live: bool) -> list[Row]:
    """What those instances of a request hold that outlive it: all that live, or those that stand alone or are pinned.

    One that is just being brought back is among them.
    """
    outlive = table.c.state.in_(LIVE)
    if not all_live:
        outlive = and_(outlive, or_(table.c.alone.is_(True), table.c.pinned.is_(True)))
    coming = table.c.id.in_(select(undoing_table.c.instance_id).where(undoing_table.c.request_id == request))
    return _rows(connection, select(access.c.data_id, table.c.attempt).join(table, table.c.id == access.c.instance_id).where(
        table.c.request_id == request, or_(outlive, coming)))


def states_of_request(connection: Connection, request: str) -> dict[tuple[int, str], int]:
    """How many instances a request has by attempt and state."""
    return {(row.attempt, row.state): row.n for row in connection.execute(
        select(table.c.attempt, table.c.state, func.count().label("n"))
        .where(table.c.request_id == request).group_by(table.c.attempt, table.c.state))}


def broken_of_request(connection: Connection, request: str) -> list[Row]:
    """What a request's broken instances hold, the broken entries first: all of it goes with them, and must come again."""
    return _rows(connection, select(
        table.c.id.label("instance_id"), table.c.name.label("instance"), table.c.reason, table.c.attempt,
        access.c.data_id, access.c.name, access.c.checksum, access.c.error)
        .join(access, access.c.instance_id == table.c.id)
        .where(table.c.request_id == request, table.c.state == "Broken")
        .order_by((access.c.state == "broken").desc(), access.c.instance_id, access.c.position).limit(MOST_ENTRIES))


def refs(connection: Connection, limit: int, **of: str) -> list[dict[str, Any]]:
    """The refs of the live instances of a request or of a reference, in the order of their numbers."""
    column, value = next((getattr(table.c, f"{key}_id"), value) for key, value in of.items())
    return [{"id": row.id, "name": row.name} for row in connection.execute(
        select(table.c.id, table.c.name).where(column == value, table.c.state.in_(LIVE))
        .order_by(func.length(table.c.name), table.c.name).limit(limit))]


def live_data(connection: Connection, request: str) -> list[str]:
    """The data that a request's Ready instances hold."""
    return list(connection.execute(
        select(access.c.data_id).join(table, table.c.id == access.c.instance_id)
        .where(table.c.request_id == request, table.c.state == "Ready", access.c.state == "ready")).scalars())


def live_count(connection: Connection, request: str) -> int:
    """How many instances of a request are not destroyed."""
    return connection.execute(select(func.count()).select_from(table).where(
        table.c.request_id == request, table.c.state.in_(LIVE))).scalar_one()


def gone_data(connection: Connection, gone: Mapping[str, int], after: Sequence[str], limit: int) -> list[Row]:
    """What instances held that are Destroyed and have been since these versions, after an ``(instance, data)``."""
    still = [row.id for row in connection.execute(select(table.c.id, table.c.version).where(
        table.c.id.in_(list(gone)), table.c.state == "Destroyed")) if row.version == gone[row.id]]
    of_instance, of_data = after or ("", "")
    return _rows(connection, select(
        access.c.instance_id, access.c.data_id, table.c.attempt, table.c.version)
        .join(table, table.c.id == access.c.instance_id)
        .where(access.c.instance_id.in_(still), or_(access.c.instance_id > of_instance, and_(
            access.c.instance_id == of_instance, access.c.data_id > of_data)))
        .order_by(access.c.instance_id, access.c.data_id).limit(limit))


def checksums_of(connection: Connection, request: str) -> dict[str, str]:
    """The checksums that were found when a request's data was read, by data."""
    return dict(tuple(row) for row in connection.execute(
        select(access.c.data_id, access.c.checksum).where(access.c.request_id == request, access.c.checksum.is_not(None))))


def bytes_of(connection: Connection, request: str) -> dict[str, int]:
    """How many bytes the live instances of a request will have, and have: ``{"total", "done"}``."""
    total, done = connection.execute(select(
        func.coalesce(func.sum(table.c.bytes_total), 0), func.coalesce(func.sum(table.c.bytes_done), 0))
        .where(table.c.request_id == request, table.c.state.in_(LIVE))).one()
    return {"total": int(total), "done": int(done)}


def names_like(connection: Connection, owner: str, base: str) -> set[str]:
    """The names ``<base>-…`` that live instances of this owner have."""
    low, high = base + "-", base + "."
    return set(connection.execute(
        select(table.c.name).where(table.c.owner == owner, table.c.destroyed_at.is_(None),
                                   table.c.name >= low, table.c.name < high)).scalars())


def name_is_taken(connection: Connection, owner: str, name: str) -> bool:
    """Whether a live instance of this owner has the name."""
    return connection.execute(select(table.c.id).where(
        table.c.owner == owner, table.c.name == name, table.c.destroyed_at.is_(None))).first() is not None


def existing(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these instances are there already."""
    found: set[str] = set()
    for start in range(0, len(ids), 5000):
        found.update(connection.execute(select(table.c.id).where(table.c.id.in_(ids[start:start + 5000]))).scalars())
    return found


def claim_making(connection: Connection, attempts: Sequence[tuple[str, int]]) -> set[str]:
    """Write that all instances of these ``(request, attempt)`` are made, or that none are to be any more; the requests of which
    nobody had written that before. Whoever writes the same at this moment is waited for."""
    return insert_first(connection, made_table, [
        {"request_id": request, "attempt": attempt, "at": clock.stamp()} for request, attempt in sorted(attempts)], made_table.c.request_id)


def entries_of(connection: Connection, instance: str) -> list[Row]:
    """The access entries of one instance, in their order."""
    return _rows(connection, select(access).where(access.c.instance_id == instance).order_by(access.c.position))


def entries_of_all(connection: Connection, ids: Sequence[str]) -> dict[str, list[Row]]:
    """The first access entries of several instances, in their order."""
    found: dict[str, list[Row]] = {instance: [] for instance in ids}
    for row in _rows(connection, select(access).where(access.c.instance_id.in_(list(ids)))
                     .order_by(access.c.instance_id, access.c.position)):
        found[row["instance_id"]].append(row)
    return found


def pending(connection: Connection, request: str, now: str, limit: int) -> list[Row]:
    """What is still to be verified or copied for a request, and is due."""
    return _rows(connection, select(access).join(table, table.c.id == access.c.instance_id).where(
        access.c.request_id == request, access.c.state == "pending", table.c.state == "Provisioning",
        or_(access.c.retry_at.is_(None), access.c.retry_at <= now)).order_by(access.c.instance_id, access.c.position).limit(limit))


def next_retry(connection: Connection, request: str) -> str | None:
    """When the next pending entry of a request is due; None when nothing is pending."""
    row = connection.execute(select(func.count(), func.min(func.coalesce(access.c.retry_at, "")))
                             .join(table, table.c.id == access.c.instance_id)
                             .where(access.c.request_id == request, access.c.state == "pending",
                                    table.c.state == "Provisioning")).one()
    return row[1] if row[0] else None


def tried_again(connection: Connection, request: str) -> list[Row]:
    """The pending entries of a request that failed before and are to be tried again."""
    return _rows(connection, select(access.c.tries, access.c.retry_at, access.c.error).join(table, table.c.id == access.c.instance_id).where(
        access.c.request_id == request, access.c.state == "pending", access.c.retry_at.is_not(None), table.c.state == "Provisioning"))


def leaving(connection: Connection, limit: int, request: str) -> list[Row]:
    """Copies of a request's destroyed instances that are still at their path."""
    return _rows(connection, select(access).where(access.c.state == "leaving", access.c.request_id == request).limit(limit))


def is_leaving(connection: Connection, instance: str) -> bool:
    """Whether copies of an instance are still at their path, or on the way to the trash."""
    return connection.execute(select(access.c.data_id).where(
        access.c.instance_id == instance, access.c.state == "leaving").limit(1)).first() is not None


def data_of(connection: Connection, instance: str) -> list[str]:
    """The data of an instance."""
    return list(connection.execute(select(access.c.data_id).where(access.c.instance_id == instance)
                                   .order_by(access.c.position)).scalars())


def with_copies_at(connection: Connection, target: str, after: Sequence[str] | None, limit: int) -> list[Row]:
    """Ready instances with copies at a target, the least recently used first; each with ``last_use, bytes, copies``."""
    last_use = func.coalesce(table.c.used_at, table.c.created_at)
    statement = select(table, last_use.label("last_use"), func.sum(access.c.size).label("bytes"), func.count().label("copies")).join(
        access, access.c.instance_id == table.c.id).where(
        access.c.target_id == target, access.c.action == "copy", access.c.state == "ready", table.c.state == "Ready").group_by(table.c.id)
    if after:
        statement = statement.where(or_(last_use > after[0], and_(last_use == after[0], table.c.id > after[1])))
    return _rows(connection, statement.order_by(last_use, table.c.id).limit(limit))


def copies_at(connection: Connection, target: str, ids: Sequence[str]) -> dict[str, list[Row]]:
    """The ready copies that instances have at a target."""
    found: dict[str, list[Row]] = {instance: [] for instance in ids}
    for row in _rows(connection, select(access).where(
            access.c.instance_id.in_(list(ids)), access.c.target_id == target, access.c.action == "copy", access.c.state == "ready")):
        found[row["instance_id"]].append(row)
    return found


def entries_by_keys(connection: Connection, target: str | None, keys: Sequence[Sequence[str]]) -> list[Row]:
    """The entries of these ``(instance, data)`` whose place is at a target; None is at none, as of what is mounted."""
    found: list[Row] = []
    for start in range(0, len(keys), 400):
        part = keys[start:start + 400]
        found += _rows(connection, select(access).where(access.c.target_id == target if target else access.c.target_id.is_(None), or_(*(
            and_(access.c.instance_id == instance, access.c.data_id == data) for instance, data in part))))
    return found


def copies_page(connection: Connection, target: str, after: Sequence[str] | None, limit: int) -> list[Row]:
    """The ready copies of Ready instances at a target, after an ``(instance, data)``."""
    statement = select(access).join(table, table.c.id == access.c.instance_id).where(
        access.c.target_id == target, access.c.action == "copy", access.c.state == "ready", table.c.state == "Ready")
    if after:
        statement = statement.where(or_(access.c.instance_id > after[0], and_(access.c.instance_id == after[0], access.c.data_id > after[1])))
    return _rows(connection, statement.order_by(access.c.instance_id, access.c.data_id).limit(limit))


def mounts_page(connection: Connection, after: Sequence[str] | None, limit: int) -> list[Row]:
    """What Ready instances have mounted, after an ``(instance, data)``."""
    statement = select(access).join(table, table.c.id == access.c.instance_id).where(
        access.c.action == "mount", access.c.state == "ready", table.c.state == "Ready")
    if after:
        statement = statement.where(or_(access.c.instance_id > after[0], and_(access.c.instance_id == after[0], access.c.data_id > after[1])))
    return _rows(connection, statement.order_by(access.c.instance_id, access.c.data_id).limit(limit))


def ready_count(connection: Connection, request: str) -> int:
    """How many instances of a request are Ready."""
    return connection.execute(select(func.count()).select_from(table).where(
        table.c.request_id == request, table.c.state == "Ready")).scalar_one()


def left_on(connection: Connection, data: Sequence[str]) -> list[Row]:
    """Entries of live instances that read these data at their source."""
    return _rows(connection, select(access).join(table, table.c.id == access.c.instance_id).where(
        access.c.data_id.in_(list(data)), access.c.action.in_(("leave", "mount")), access.c.state.in_(("ready", "pending")),
        table.c.state.in_(("Provisioning", "Ready"))))


def set_step(connection: Connection, keys: Sequence[tuple[str, str]], step: str) -> None:
    """Write how far entries that move are."""
    for start in range(0, len(keys), 400):
        part = keys[start:start + 400]
        connection.execute(update(access).where(or_(*(
            and_(access.c.instance_id == instance, access.c.data_id == data) for instance, data in part))).values(step=step))


def leased(connection: Connection, names: Iterable[str]) -> set[str]:
    """Those of these leases that somebody holds now."""
    lease = METADATA.tables["lease"]
    return set(connection.execute(select(lease.c.name).where(lease.c.name.in_(list(names)), lease.c.until >= leases.moment(connection))).scalars())


def by_ids(connection: Connection, ids: Iterable[str]) -> list[Row]:
    """Instances by their ids."""
    return _rows(connection, select(table).where(table.c.id.in_(list(ids))))


def mark(connection: Connection, keys: Sequence[tuple[str, str]], values: Mapping[str, Any], was: str) -> None:
    """Give entries a new state, those that are still in the state ``was``."""
    for start in range(0, len(keys), 400):
        part = keys[start:start + 400]
        connection.execute(update(access).where(access.c.state == was, or_(*(
            and_(access.c.instance_id == instance, access.c.data_id == data) for instance, data in part))).values(**values))


def timeline(connection: Connection, request: str) -> list[Row]:
    """The moves of a request's instances, those of one kind as one line."""
    history = METADATA.tables["history"]
    return _rows(connection, select(
        history.c.event, history.c.from_state, history.c.to_state, history.c.causation_id,
        func.min(history.c.at).label("at"), func.count().label("n"))
        .join(table, table.c.id == history.c.object_id).where(table.c.request_id == request)
        .group_by(history.c.event, history.c.from_state, history.c.to_state, history.c.causation_id)
        .order_by(func.min(history.c.seq)))


def simulated_of_request(connection: Connection, request: str) -> int:
    """How many instances of a request have no bytes behind them."""
    return connection.execute(select(func.count(func.distinct(access.c.instance_id))).where(
        access.c.request_id == request, access.c.state == "ready", access.c.verified == "simulated")).scalar_one()


def live_where(connection: Connection, condition: Any, limit: int) -> list[Row]:
    """The live instances that meet a condition, in the order of their making."""
    return _rows(connection, select(table).where(condition, table.c.state.in_(LIVE)).order_by(table.c.id).limit(limit))


def is_made(connection: Connection, request: str, attempt: int) -> bool:
    """Whether all instances of an attempt are written."""
    return connection.execute(select(made_table.c.at).where(
        made_table.c.request_id == request, made_table.c.attempt == attempt)).first() is not None
