"""Who may see which Data of a source: its ordered rules, and what follows from them for one caller, in SQL.

A rule is ``{"when": a query over data, "owners": [...], "roles": [...]}``. Each Data carries the first rule of its source that
applies to it (``data.access_rule``), found when it is written; so a question compares one column, whatever the rules say. Without a
rule a Data is everybody's. The owner of a source and Administrators see all of it. Docs: docs/sources.md.
"""
from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, any_, cast, delete, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from services.catalog.models import PLACES, SOURCE, data_table, grant_table, render_data, rule_table, source_table
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError, Invalid, did_you_mean
from shared.kernel.ids import new_id
from shared.kernel.rights import ROLES, sees_all
from shared.query import DATA_FIELDS, matches, parse
from shared.query.sql import compile_sql
from shared.storage.bulk import insert_rows
from shared.storage.database import Database
from shared.storage.record import Row
from shared.storage.schema import Id
from shared.storage.unit_of_work import UnitOfWork

Rules = Sequence[Mapping[str, Any]]
EVERYBODY = "*"
MOST = 50
NAMES = 1000
# So many rules that let one caller see are written out in a statement; of more the database looks them up itself.
MOST_LISTED = 1000
MEMBERS = ("when", "owners", "roles")


# --- what is written -------------------------------------------------------------------------------------------------

def check(given: Any, pointer: str = "/access") -> list[dict[str, Any]]:
    """Rules in the form that is kept: ``when`` as JSON, names once each.

    Raises:
        Invalid: ``access.invalid``, with a pointer.
    """
    if not isinstance(given, list) or len(given) > MOST:
        raise _invalid(pointer, f"Access is a list of at most {MOST} rules.")
    return [_checked(f"{pointer}/{at}", rule) for at, rule in enumerate(given)]


def _checked(where: str, rule: Any) -> dict[str, Any]:
    if not isinstance(rule, Mapping):
        raise _invalid(where, "A rule is an object {when, owners, roles}.")
    for name in rule:
        if name not in MEMBERS:
            raise _invalid(f"{where}/{name}", f"A rule has no member '{str(name)[:80]}'.{did_you_mean(str(name), MEMBERS)}")
    if "owners" not in rule and "roles" not in rule:
        raise _invalid(where, "A rule says for whom it is: owners, roles, or both. An empty list is for nobody.")
    owners, roles = (_names(f"{where}/{name}", rule.get(name) or []) for name in ("owners", "roles"))
    for role in roles:
        if role not in ROLES:
            raise _invalid(f"{where}/roles", f"There is no role '{role[:80]}'.{did_you_mean(role, ROLES)}")
    try:
        query = parse(rule.get("when"), DATA_FIELDS)
    except EdgemereError as error:
        raise _invalid(f"{where}/when", error.detail) from None
    if any(condition is None for condition in compile_sql(query, PLACES, "sqlite").conditions):
        raise _invalid(f"{where}/when", "A rule cannot hold a $regex: the database has to decide it by itself.")
    return {"when": query.to_json(), "owners": owners, "roles": roles}


def _names(where: str, given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > NAMES or not all(isinstance(one, str) and 0 < len(one) <= 200 for one in given):
        raise _invalid(where, f"A list of at most {NAMES} names is needed here; \"*\" among the owners is everybody.")
    return list(dict.fromkeys(given))


def _invalid(pointer: str, detail: str) -> Invalid:
    return Invalid("access.invalid", f"access: {detail}", errors=[{"pointer": pointer, "detail": detail}],
                   next_step='Write for example [{"when": "sensitivity:high", "owners": ["ada"]}, {"when": {}, "roles": ["DataScientist"]}].')


def write(uow: UnitOfWork, source: Row, rules: Rules) -> None:
    """Let these be the rules of a source, whose row the caller holds; its Data is sorted under them in this transaction."""
    connection = uow.connection
    old = select(rule_table.c.id).where(rule_table.c.source_id == source["id"])
    connection.execute(delete(grant_table).where(grant_table.c.rule_id.in_(old)))
    connection.execute(delete(rule_table).where(rule_table.c.source_id == source["id"]))
    rows = [{"id": new_id("datasource"), "source_id": source["id"], "position": at, "when": rule["when"], "data_count": 0} for at, rule in enumerate(rules)]
    insert_rows(connection, rule_table, rows)
    insert_rows(connection, grant_table, [
        {"rule_id": row["id"], "who": who} for row, rule in zip(rows, rules, strict=True) for who in sorted(_granted(source, rule))])
    here = data_table.c.source_id == source["id"]
    connection.execute(update(data_table).where(here, data_table.c.access_rule.is_not(None)).values(access_rule=None))
    for row in reversed(rows):
        # The first that applies is written last.
        found = select(data_table.c.id).where(here, compile_sql(parse(row["when"], DATA_FIELDS), PLACES, connection).where)
        connection.execute(update(data_table).where(here, data_table.c.id.in_(found)).values(access_rule=row["id"]))
    _recount(connection, source["id"])


def _recount(connection: Connection, source_id: str) -> None:
    under = select(func.count()).where(data_table.c.access_rule == rule_table.c.id, data_table.c.destroyed_at.is_(None)).scalar_subquery()
    connection.execute(update(rule_table).where(rule_table.c.source_id == source_id).values(data_count=under))


def count(uow: UnitOfWork, gone: Iterable[Row] = (), come: Iterable[Row] = ()) -> None:
    """Count, at their rules, living Data that went and came. The caller holds the rows of their sources.

    A rule that nobody has counted yet stays so.
    """
    more = Counter(row["access_rule"] for row in come)
    more.subtract(row["access_rule"] for row in gone)
    for rule, number in sorted((rule, number) for rule, number in more.items() if rule and number):
        uow.connection.execute(update(rule_table).where(rule_table.c.id == rule).values(data_count=rule_table.c.data_count + number))


def count_what_is_not(db: Database) -> None:
    """Count what is under the rules that nobody has counted: those of a release before this."""
    with db.reading() as connection:
        sources = list(connection.execute(select(rule_table.c.source_id).where(rule_table.c.data_count.is_(None)).distinct()).scalars())
    for source_id in sources:
        with db.transaction() as uow:
            uow.get(SOURCE, source_id)
            _recount(uow.connection, source_id)


def _granted(source: Row, rule: Mapping[str, Any]) -> set[str]:
    owners = {EVERYBODY if owner == EVERYBODY else f"owner:{owner}" for owner in (*rule["owners"], source["owner"])}
    return owners | {f"role:{role}" for role in rule["roles"]}


def sorter(connection: Connection, source: Row) -> Callable[[Mapping[str, Any]], str | None]:
    """What says of the row of a Data of this source which rule applies to it."""
    if not source["access"]:
        return lambda row: None
    rules = [(row.id, _test(orjson.dumps(row.when).decode())) for row in connection.execute(
        select(rule_table.c.id, rule_table.c.when).where(rule_table.c.source_id == source["id"]).order_by(rule_table.c.position))]

    def sort(row: Mapping[str, Any]) -> str | None:
        document = render_data({"version": 1, "created_at": None, "updated_at": None, **row})
        return next((rule for rule, test in rules if test(document)), None)
    return sort


@functools.lru_cache(maxsize=500)
def _test(when: str) -> Callable[[Mapping[str, Any]], bool]:
    return matches(parse(orjson.loads(when), DATA_FIELDS))


# --- what a caller sees ----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Sight:
    """What of the catalogue is there for a caller: a condition on ``data``, None for everything; and, where that was asked for, how many
    Data it hides (``hidden``) and their ids (``unseen``).
    """

    condition: ColumnElement[bool] | None = None
    hidden: int = 0
    unseen: Select[Any] | None = None


def sight(connection: Connection, context: Context, *, counted: bool = False, any_rule: bool | None = None) -> Sight:
    """What this caller sees. ``counted``: also how much of what can match at all he does not see, and which. ``any_rule`` says whether
    there is a rule at all, where that is known."""
    if sees_all(context):
        return Sight()
    if any_rule is None:
        any_rule = connection.execute(_any_rule()).first() is not None
    if not any_rule:
        return Sight()
    who = [EVERYBODY, f"owner:{context.owner}", *(f"role:{role}" for role in context.roles)]
    # Few rules, many Data: what applies to a Data is looked for among the rules that let him see, not the other way round; a
    # rule that is written meanwhile lets nobody see.
    seen = select(grant_table.c.rule_id).where(grant_table.c.who.in_(who))
    # Of rows it is not asked as a list: knowing how many remain, PostgreSQL would sort them all for the first page.
    condition = or_(data_table.c.access_rule.is_(None), data_table.c.access_rule.in_(seen))
    if not counted:
        return Sight(condition)
    listed, other = _listed(connection, seen), data_table.alias("under_rules")
    unseen = select(other.c.id).where(
        other.c.destroyed_at.is_(None), other.c.access_rule.is_not(None), not_(_is_among(other.c.access_rule, seen, listed)))
    return Sight(condition, _hidden(connection, seen, listed), unseen)


@functools.cache
def _any_rule() -> Select[Any]:
    return select(rule_table.c.id).limit(1)


def _listed(connection: Connection, seen: Select[Any]) -> list[str] | None:
    """The rules that let the caller see, where PostgreSQL can do with a list of them: of what a list leaves it has statistics."""
    if connection.dialect.name != "postgresql":
        return None
    found = list(connection.execute(seen.limit(MOST_LISTED + 1)).scalars())
    return found if len(found) <= MOST_LISTED else None


def _is_among(column: ColumnElement[Any], seen: Select[Any], listed: list[str] | None) -> ColumnElement[bool]:
    return column.in_(seen) if listed is None else column == any_(cast(listed, ARRAY(Id)))


def _hidden(connection: Connection, seen: Select[Any], listed: list[str] | None) -> int:
    table = rule_table
    hides = [source_table.c.state == "Ready", source_table.c.destroyed_at.is_(None), not_(_is_among(table.c.id, seen, listed))]
    rules = table.join(source_table, source_table.c.id == table.c.source_id)
    kept, uncounted = connection.execute(select(func.coalesce(func.sum(table.c.data_count), 0), func.count() - func.count(table.c.data_count))
                                         .select_from(rules).where(*hides)).one()
    if not uncounted:
        return int(kept)
    return int(kept) + connection.execute(select(func.count()).select_from(data_table).where(
        data_table.c.access_rule.in_(select(table.c.id).select_from(rules).where(*hides, table.c.data_count.is_(None))),
        data_table.c.destroyed_at.is_(None))).scalar_one()


def rules_of(context: Context, source: Row) -> dict[str, Any]:
    """The rules of a source as a member of its answer, for those who may know them."""
    return {"access": source["access"] or []} if sees_all(context) or context.owner == source["owner"] else {}


def change(uow: UnitOfWork, source: Row, rules: Rules) -> Row:
    """Write new rules on a source, whose row the caller holds."""
    write(uow, source, rules)
    moved, = uow.change(SOURCE, [source], {"access": list(rules) or None})
    return moved
