"""The query over the catalogue: a page of data with their sources, the funnel, and what may be a slip of the pen.

The order without ``sort`` is that of the ids: the same on every machine, and as cheap on page 100 as on page 1.
Data of sources that are Suspended or Shutdown does not match. Reads only.
"""
from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_
from sqlalchemy.exc import OperationalError

from services.catalog import reading, repository, totals
from services.catalog.access import Sight, sight
from services.catalog.completing import completions
from services.catalog.models import PLACES, data_table, render_data
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, EdgemereError, located
from shared.lists import Estimate, envelope
from shared.query.fields import DATA_FIELDS
from shared.query.funnel import funnel
from shared.query.hints import hints as relaxed
from shared.query.matcher import predicate, value_of
from shared.query.parse import parse
from shared.query.tree import Clause, Query, walk
from shared.query.unknown_tags import unknown_tags
from shared.storage.record import Row

Page = tuple[Sequence[Row], str | None, int, dict[str, Any] | None, list[dict[str, Any]]]
"""What was found: the rows of a page, its next, the total, the funnel, the warnings."""
_NAMED = 5
_ALIVE = data_table.c.destroyed_at.is_(None)
# Hints are worth some seconds, not more.
HINTS_LIMIT_S = 5.0


def query(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """``{"items", "next", "total", "funnel", "warnings", "sources"}``.

    With ``complete`` only the ``completions`` of what is being typed (see ``services.catalog.completing``).

    ``funnel`` is ``{"base", "steps": [{"clause", "json", "remaining"}], "estimate"}``, None when it was not asked
    for. ``sources`` has each source that occurs among the items, by id. ``warnings`` are ``{"code", "detail", …}``.

    Raises:
        Malformed: ``query.*``, the expression cannot be parsed, or ``cursor.invalid``.
        Invalid: ``sort.invalid``.
    """
    if parameters.get("complete") is not None:
        return {**envelope([], None, 0), "completions": completions(uses, parameters["complete"])}
    with located("/expression"):
        wanted = parse(parameters.get("expression"), DATA_FIELDS)
    with uses.db.reading() as connection:
        now = _Now(connection, uses.context, totals.basis(connection, repository.data.probes(connection, [wanted])))
        found = _looked_up(now, wanted, parameters)
        answer = _page(now, found)
    reading.note(uses, found[0], "fmdm.query")
    return answer


def query_all(uses: Uses, expressions: Sequence[Any], limit: int,
              rights: Sequence[tuple[str, Sequence[str]]] | None = None) -> list[dict[str, Any] | None]:
    """The first page of each of several queries, as ``query`` answers it; None for one that cannot be parsed.

    ``rights`` has for each the owner and the roles for whom it is asked.
    """
    wanted = [_parsed(expression) for expression in expressions]
    found: list[tuple[_Now, Page] | None] = []
    of_all: dict[Context, _Now] = {}
    with uses.db.reading() as connection:
        basis = totals.basis(connection, repository.data.probes(connection, [one for one in wanted if one is not None]))
        contexts = [uses.context] * len(expressions) if rights is None else [Context(owner, tuple(roles)) for owner, roles in rights]
        for one, context in zip(wanted, contexts, strict=True):
            now = of_all.get(context) or of_all.setdefault(context, _Now(connection, context, basis))
            found.append(None if one is None else (now, _looked_up(now, one, {"limit": limit})))
        places = {row["source_id"] for one in found if one for row in one[1][0]}
        for now in of_all.values():
            now.sources(places)
        return [one and _page(*one) for one in found]


def _parsed(expression: Any) -> Query | None:
    try:
        return parse(expression, DATA_FIELDS)
    except EdgemereError:
        return None


class _Now:
    """What all queries of one call stand on that are asked for one caller, each asked once."""

    def __init__(self, connection: Connection, context: Context, basis: totals.Basis) -> None:
        self.connection = connection
        self.unused = basis.unused
        self.seen = sight(connection, context, counted=True, any_rule=basis.any_rule)
        self.base = _base(self.unused, self.seen)
        self.base_count = basis.count - self.seen.hidden
        self._sources: dict[str, dict[str, Any]] = {}

    def sources(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Sources by id, as those who decide need them."""
        wanted = sorted(set(ids))
        if missing := [one for one in wanted if one not in self._sources]:
            self._sources.update({row["id"]: plain_source(row) for row in repository.sources_to_judge(self.connection, missing)})
        return {one: self._sources[one] for one in wanted}


def _looked_up(now: _Now, wanted: Query, parameters: Mapping[str, Any]) -> Page:
    connection, counted, total = now.connection, None, None
    counts = parameters.get("funnel", True)
    # Of one clause the funnel says how many match, which a page that has them all says, too.
    short = counts and len(wanted.clauses) == 1 and not parameters.get("cursor")
    if counts and not short:
        counted, total = _funnel(now, wanted)
    elif wanted.is_empty:
        total = now.base_count
    asked = {name: parameters.get(name) for name in ("limit", "cursor", "sort")}
    rows, following, total = repository.data.page(
        connection, {**asked, "attr1": wanted}, now.base, total=0 if short and total is None else total, visible=now.seen.condition)
    if short and following is None:
        clause, total = wanted.clauses[0], len(rows)
        counted = {"base": max(now.base_count, total), "steps": [{"clause": clause.label, "json": clause.json, "remaining": total}],
                   "estimate": False}
    elif short:
        counted, total = _funnel(now, wanted)
    unknown = [] if rows and _needs_each_tag(wanted) else unknown_tags(connection, wanted, PLACES, now.seen.condition)
    warnings = [*_unknown(unknown), *([] if rows else _no_patterns(wanted)), *_left_out(now.unused), *_hidden(now.seen)]
    if counted is not None and now.seen.hidden:
        # Of all there is, not of what matches: else a query could be made to tell what hidden data says.
        counted["hidden_by_access"] = now.seen.hidden
    return rows, following, total, counted, warnings


def _page(now: _Now, found: Page) -> dict[str, Any]:
    rows, following, total, counted, warnings = found
    return {
        **envelope([render_data(row) for row in rows], following, total), "funnel": counted, "warnings": warnings,
        "sources": now.sources(row["source_id"] for row in rows),
    }


def _funnel(now: _Now, wanted: Query) -> tuple[dict[str, Any], int]:
    counted = funnel(now.connection, wanted, PLACES, now.base, base_rows=now.base_count, index_is_base=not now.unused, but=now.seen.unseen)
    last = counted["steps"][-1]["remaining"] if counted["steps"] else counted["base"]
    return counted, Estimate(last) if counted["estimate"] else last


def hints(uses: Uses, expression: Any, wanted: int = 1) -> dict[str, Any]:
    """What to change in a query that finds too little, and how many Data would match then (see ``shared.query.hints``).

    ``{"matches", "hints": [...], "estimate", "gave_up"}``; ``gave_up`` says that counting took longer than it may, and then
    there are no hints.

    Raises:
        Malformed: ``query.*``, the expression cannot be parsed.
    """
    with located("/expression"):
        query = parse(expression, DATA_FIELDS)
    with uses.db.reading() as connection:
        basis = totals.basis(connection)
        unused, seen = basis.unused, sight(connection, uses.context, counted=True, any_rule=basis.any_rule)
        if not uses.db.is_sqlite:
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(HINTS_LIMIT_S * 1000)}")
        try:
            found = relaxed(connection, query, PLACES, _base(unused, seen), base_rows=basis.count - seen.hidden,
                            index_is_base=not unused and seen.condition is None, wanted=wanted)
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != "57014":
                raise
            return {"matches": None, "hints": [], "estimate": True, "gave_up": True}
    return {**found, "gave_up": False}


def why_not(uses: Uses, expression: Any, data: str, owner: str | None = None, roles: Sequence[str] = ()) -> dict[str, Any]:
    """What each clause of a query finds in one Data, which may be destroyed: ``{"data", "source", "clauses", "hidden"}``.

    ``hidden``: whether the caller sees it and ``owner``, with these ``roles``, does not.

    ``clauses``: ``[{"clause", "field", "value", "said", "holds"}]``; ``said`` is the value in words. ``data``: an id, a name or a path.

    Raises:
        NotFound: ``data.not_found``. Conflict: ``data.ambiguous``. Malformed: ``query.*``.
    """
    with located("/expression"):
        query = parse(expression, DATA_FIELDS)
    with uses.db.reading() as connection:
        row = _meant(connection, data, sight(connection, uses.context).condition)
        asks = Context(owner, tuple(roles)) if owner is not None else uses.context
        hidden = not repository.data_rows(connection, [row["id"]], sight(connection, asks).condition) and not row["destroyed_at"]
        document = render_data(row)
        source = plain_source(repository.sources_by_ids(connection, [row["source_id"]])[0])
    clauses = []
    for conjunct in query.clauses:
        names = list({clause.name.text: clause.name for clause in walk(conjunct.node)}.values())
        values = {name.text: value_of(name, document) for name in names}
        value = next(iter(values.values())) if len(values) == 1 else values
        clauses.append({"clause": conjunct.label, "field": ", ".join(values), "value": value, "said": _in_words(value),
                        "holds": predicate(conjunct.node)(document)})
    return {"data": document, "source": source, "clauses": clauses, "hidden": hidden}


def _meant(connection: Connection, data: str, seen: ColumnElement[bool] | None) -> Row:
    """The Data of this id, name or path among what is ``seen``; a path may begin with the name of its source and a slash."""
    found = repository.at_path(connection, data, seen=seen)
    if not found:
        return repository.data.resolve(connection, data, destroyed=True, visible=seen)
    if "/" not in data:
        # What lies at the top of a source has its name for a path; whoever writes that may mean another one of the name.
        found = repository.named_so(connection, data, seen=seen)
    if len(found) == 1:
        return found[0]
    raise Conflict("data.ambiguous", f"{len(found)} Data have the {'path' if '/' in data else 'name'} '{data}'.",
                   next_step="Name one by its id, or as SOURCE/PATH.",
                   candidates=[{"id": row["id"], "name": row["name"], "source": row["source_name"], "path": row["path"]} for row in found])


def _in_words(value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, Mapping) and set(value) == {"id", "name"}:
        value = value["name"]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        value = ", ".join(value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"


def plain_source(row: Row) -> dict[str, Any]:
    """A source as those who decide need it, of its parameters what says how it may be used."""
    return {
        "id": row["id"], "name": row["name"], "state": "Destroyed" if row["destroyed_at"] else row["state"],
        "adaptor": row["adaptor"], "location": row["location"], "tags": row["tags"] or {}, "cost": row["cost"] or {},
        "capacity": row["capacity"], "used": row["used"], "writable": row["writable"],
        "local": row["adaptor"] == "file", "deletable": (row["parameters"] or {}).get("deletable") is True,
        "limits": (row["parameters"] or {}).get("limits") or {},
    }


def _base(unused: Sequence[Row], seen: Sight) -> ColumnElement[bool]:
    used = _in_use(*(row["id"] for row in unused))
    return used if seen.condition is None else and_(used, seen.condition)


@functools.lru_cache(1)
def _in_use(*unused: str) -> ColumnElement[bool]:
    """Living Data of other sources than these: one object while these are the same."""
    return and_(_ALIVE, data_table.c.source_id.not_in(unused)) if unused else _ALIVE


def _needs_each_tag(query: Query) -> bool:
    """Whether a match proves that every tag of the query exists."""
    return all(isinstance(node, Clause) and node.op not in ("$ne", "$nin") and node.value is not None and node.value is not False
               and (node.op != "$in" or None not in node.value) for node in query.conjuncts)


def _unknown(fields: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    warnings = []
    for one in fields:
        meant = f" Did you mean '{one['nearest'][0]}'?" if one["nearest"] else ""
        warnings.append({"code": "unknown_tag", "field": one["field"], "nearest": one["nearest"],
                         "detail": f"No Data has the tag '{one['field']}'.{meant}"})
    return warnings


def _no_patterns(query: Query) -> list[dict[str, Any]]:
    """Of a query that finds nothing: texts with a star that stand for themselves, because they are quoted, or in JSON without ``$like``."""
    texts = [(clause.name.text, text) for clause in walk(query.root) if clause.op in ("$eq", "$in")
             for text in (clause.value if clause.op == "$in" else [clause.value]) if isinstance(text, str) and "*" in text]
    return [{"code": "no_pattern", "field": field,
             "detail": f"'{field}' is compared with \"{text[:100]}\" as it stands, star and all: quoted, or in JSON, it is no pattern. "
                       f"As one it is {{\"{field}\": {{\"$like\": …}}}}, or without quotes, with a backslash before each blank."}
            for field, text in texts[:_NAMED]]


def _hidden(seen: Sight) -> list[dict[str, Any]]:
    if not seen.hidden:
        return []
    return [{"code": "hidden_by_access", "count": seen.hidden,
             "detail": f"{seen.hidden} Data {'is' if seen.hidden == 1 else 'are'} hidden by access: not looked at for this query."}]


def _left_out(unused: Sequence[Row]) -> list[dict[str, Any]]:
    there = [row for row in unused if not row["destroyed_at"]]
    if not there:
        return []
    names = ", ".join(f"'{row['name']}' ({row['state']})" for row in there[:_NAMED])
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    count = sum(row["data_count"] for row in there)
    return [{"code": "source_out_of_use", "sources": [{"id": row["id"], "name": row["name"]} for row in there[:100]],
             "detail": f"{count} Data {'is' if count == 1 else 'are'} not looked at, in sources that are out of use: {names}{more}."}]
