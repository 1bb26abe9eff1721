"""What to change in a query that finds too little, and how many rows would match then: counted, never guessed.

Each conjunct is left out or, where it is a comparison, loosened by the least that gains something; where no single change
gains anything, two are left out together. Entry point: ``hints``.
"""
from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, true

from shared.query.loosening import loosening_of
from shared.query.mapping import TableMapping
from shared.query.near_misses import MOST_CONJUNCTS, near_misses
from shared.query.render import shorthand
from shared.query.tree import Clause, Node, Query, conjunction

MOST = 10
_RANK = {"loosen": 0, "drop": 1, "drop_two": 2}


def hints(
    conn: Connection, query: Query, mapping: TableMapping, base_where: ColumnElement[bool] | None = None, *,
    base_rows: int | None = None, index_is_base: bool = False, wanted: int = 1, max_rows: int = 20_000, max_seconds: float = 2.0,
) -> dict[str, Any]:
    """``{"matches", "hints": [{"kind", "clauses", "to", "query", "line", "matches", "more", "exact", "sentence"}], "estimate"}``.

    ``kind``: ``loosen`` (``to`` takes the place of the one of ``clauses``), ``drop`` or ``drop_two``. ``query`` and ``line``
    are the whole query with the change, ``matches`` what it finds. A bound moves so far that ``wanted`` rows match, where
    there are so many. First what changes least, then what gains most; at most ``MOST``. ``exact`` is false where nearer
    values may lie beyond those looked at, or ``matches`` is an estimate: ``max_rows`` and ``max_seconds`` bound what is
    looked at for conjuncts beyond SQL.
    """
    base = true() if base_where is None else base_where
    nodes = query.conjuncts
    if not nodes:
        return {"matches": base_rows, "hints": [], "estimate": False}
    loosenings = {at: one for at, node in enumerate(nodes[:MOST_CONJUNCTS]) if (one := loosening_of(node, mapping)) is not None}
    bounds = {"max_rows": max_rows, "max_seconds": max_seconds, "index_is_base": index_is_base, "base_rows": base_rows}
    near = near_misses(conn, query, mapping, base, loosenings, 1, **bounds)
    matches = near.counts.get(frozenset(), 0)
    found: list[dict[str, Any]] = []
    for at in range(min(len(nodes), MOST_CONJUNCTS)):
        gained = near.counts.get(frozenset({at}), 0)
        if not gained:
            continue
        found.append(_hint(query, "drop", (at,), None, matches + gained, gained, not near.estimated & {None, at}))
        loosened = loosenings[at].choose(near.values.get(at, {}), matches, wanted) if at in loosenings else None
        if loosened is not None and loosened.rows:
            exact = not loosened.bounded and not near.estimated & {None, at}
            found.append(_hint(query, "loosen", (at,), loosened.clause, matches + loosened.rows, loosened.rows, exact))
    if not found and not matches and len(nodes) > 2:
        near = near_misses(conn, query, mapping, base, {}, 2, **bounds)
        found = [_hint(query, "drop_two", tuple(sorted(missed)), None, rows, rows, not near.estimated)
                 for missed, rows in near.counts.items() if len(missed) == 2 and rows]
    found.sort(key=lambda one: (_RANK[one["kind"]], -one["matches"], one.pop("at")))
    return {"matches": matches, "hints": found[:MOST], "estimate": None in near.estimated}


def _hint(query: Query, kind: str, at: tuple[int, ...], instead: Clause | None, matches: int, more: int, exact: bool) -> dict[str, Any]:
    nodes = query.conjuncts
    kept: list[Node] = [instead if place in at else node for place, node in enumerate(nodes) if place not in at or instead is not None]
    changed = Query(query.field_set, conjunction(kept) if kept else None)
    clauses = [shorthand(nodes[place]) for place in at]
    to = shorthand(instead) if instead is not None else None
    about = "" if exact else "about "
    said = f"{about}{matches} Data {'matches' if matches == 1 else 'match'}"
    sentence = f"With {to} instead of {clauses[0]} {said}." if to else f"Without {' and '.join(clauses)} {said}."
    return {"kind": kind, "clauses": clauses, "to": to, "query": changed.to_json(), "line": changed.to_shorthand(),
            "matches": matches, "more": more, "exact": exact, "sentence": sentence, "at": at}
