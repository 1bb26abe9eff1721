"""A page of a class: the parameters of list and find in, rows with a cursor and a total out."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Integer, Select, and_, bindparam, func, select

from shared.contracts.objects import OBJECTS
from shared.kernel.context import Context
from shared.kernel.rights import visible_to
from shared.lists import cursor as cursors
from shared.lists.columns import Columns, Given, fieldset
from shared.lists.filters import Wanted, wanted
from shared.lists.naming import resolve
from shared.lists.order import Order, make_order
from shared.query.mapping import Tags
from shared.query.planning import Probes
from shared.query.scan import in_transaction
from shared.query.tree import Query
from shared.storage.record import Record, Row

Keys = list[Any]

PAGE = 50
# So many orders are remembered, each with what selects by it, and so many statements of whole pages.
ORDERS = 50
PAGES = 100
# What only memory can decide ($regex, and attributes without a column) is looked at in stretches, up to a bound a page.
STRETCH = 500
LOOKED_AT = 20_000
COUNTED = 100_000


class Estimate(int):
    """A total that was not counted to the end; ``envelope`` says so."""


def envelope(items: Iterable[Any], next: str | None, total: int) -> dict[str, Any]:
    """Many objects as the contract shows them: ``items``, ``next``, ``total`` and, where so, ``total_is_estimate``."""
    body = {"items": list(items), "next": next, "total": int(total)}
    if isinstance(total, Estimate):
        body["total_is_estimate"] = True
    return body


class Lister:
    """Lists and finds the objects of one class in this service's database.

    ``mapping`` says where attributes lie that are not in the column of their name (see ``Columns``), ``tags`` where
    the open tags of Data are found. Finding by name wants an index on ``name``.
    """

    def __init__(self, record: Record, mapping: Mapping[str, Given] | None = None, tags: Tags | None = None) -> None:
        self.record = record
        self.fields = fieldset(record.noun)
        self.columns = Columns(record, mapping, tags)
        self._names = tuple(column.key for column in record.table.columns)
        self._ordered = functools.lru_cache(ORDERS)(self._made_order)
        self._kept_rows = functools.lru_cache(PAGES)(_rows)

    def page(self, connection: Connection, parameters: Mapping[str, Any], where: ColumnElement[bool] | None = None,
             owner: str | None = None, total: int | None = None, must_exist: bool = True, visible: ColumnElement[bool] | None = None,
             ) -> tuple[list[Row], str | None, int]:
        """The rows of one page, the cursor of the next (None at the end), and how many there are in all.

        ``parameters`` are those of ``listing(noun)``, checked. ``attr1`` may be a ``Query`` that was parsed already. ``where`` narrows the
        list further; what is often asked has the same one each time, by which the statement is kept. At what is not ``owner``'s
        (None is everybody's) or does not meet ``visible`` nothing of the answer hints, whatever was asked for. A caller who has
        counted already gives the ``total``. Destroyed objects are left out unless ``state`` asks for them. ``must_exist``: a plain id
        or name that is not there is an error and not an empty page; that is
        what find does and list does not. A page may be short, and still have a next, when the query needs memory to
        decide; its total is then an ``Estimate`` where counting was given up.

        Raises:
            NotFound: ``attr1`` is a plain id or name that is not there.
            Malformed: ``attr1`` is no query over the class, or ``cursor.invalid``.
            Invalid: ``parameter.invalid``, ``sort.invalid`` or ``cursor.invalid``.
        """
        mine = self.mine(owner, visible)
        text = parameters.get("sort") or None
        order = self._order(connection, text)
        conditions = []
        if parameters.get("cursor"):
            text, after = cursors.read(parameters["cursor"], self._of(owner, parameters), order.text if text else None)
            order = self._order(connection, text)
            conditions = [order.after(after)]
        want = wanted(connection, self.columns, self.fields, parameters, mine, must_exist)
        if where is not None:
            want = want.narrowed(where)
        limit = parameters.get("limit") or PAGE
        if want.test is None:
            found, more = self._stretch(connection, order, want, conditions, limit)
            last = found[-1][1] if found else []
            whole = not conditions and not more
            if total is None or whole:
                total = len(found) if whole else self._count(connection, want)
        else:
            found, more, last = self._tested(connection, order, want, conditions, limit)
            total = self._count_tested(connection, want) if total is None else total
        following = cursors.write(self._of(owner, parameters), order.text, last) if more else None
        return [row for row, _ in found], following, total

    def probes(self, connection: Connection, queries: Sequence[Query]) -> Probes:
        """What a statement before can ask, so that ``page`` asks nothing before the page itself of these queries."""
        return Probes(connection, queries, self.columns.mapping)

    def answer(self, connection: Connection, parameters: Mapping[str, Any], where: ColumnElement[bool] | None = None,
               owner: str | None = None, render: Callable[[Row], Any] | None = None, must_exist: bool = True,
               visible: ColumnElement[bool] | None = None) -> dict[str, Any]:
        """``page`` as the contract shows it: rendered objects in an ``envelope``."""
        rows, following, total = self.page(connection, parameters, where, owner, must_exist=must_exist, visible=visible)
        return envelope(map(render or self.record.render, rows), following, total)

    def named(self, connection: Connection, ref: str, context: Context, *, destroyed: bool = False,
              whose: Callable[[Context], str | None] = visible_to) -> Row:
        """The row that an id or a name means for this caller: among what he sees, his own first; see ``naming.resolve``."""
        return resolve(connection, self.record, ref, self.mine(whose(context)), destroyed=destroyed, prefers=context.owner)

    def resolve(self, connection: Connection, ref: str, owner: str | None = None, *, destroyed: bool = False,
                visible: ColumnElement[bool] | None = None, prefers: str = "") -> Row:
        """The row that an id or a name means, among those of ``owner`` (None is everybody's) that are ``visible``."""
        return resolve(connection, self.record, ref, self.mine(owner, visible), destroyed=destroyed, prefers=prefers)

    def mine(self, owner: str | None, visible: ColumnElement[bool] | None = None) -> list[ColumnElement[bool]]:
        """The conditions of what is there at all for a caller."""
        table = self.record.table
        own = [table.c.owner == owner] if owner is not None and "owner" in table.c else []
        return own if visible is None else [*own, visible]

    def _of(self, owner: str | None, parameters: Mapping[str, Any]) -> str:
        """Which list a cursor belongs to."""
        return cursors.fingerprint(self.record.noun, owner, {
            name: value.to_json() if isinstance(value, Query) else value
            for name, value in parameters.items() if name not in ("limit", "cursor", "sort")})

    def _order(self, connection: Connection, text: str | None) -> Order:
        return self._ordered(text or OBJECTS[self.record.noun].by_default, connection.dialect)

    def _made_order(self, text: str, dialect: Dialect) -> Order:
        return make_order(text, self.fields, self.columns, dialect)

    def _stretch(self, connection: Connection, order: Order, want: Wanted, conditions: Sequence[ColumnElement[bool]], limit: int,
                 ) -> tuple[list[tuple[Row, Keys]], bool]:
        """At most ``limit`` rows with their sort keys, and whether there are more behind them."""
        made = self._kept_rows if want.lasts and not conditions else _rows
        rows = connection.execute(made(order, *want.conditions, *conditions), {**want.values, "at_most": limit + 1}).all()
        count = len(self._names)
        return [(dict(zip(self._names, row)), list(row[count:])) for row in rows[:limit]], len(rows) > limit

    def _tested(self, connection: Connection, order: Order, want: Wanted, conditions: list[ColumnElement[bool]],
                limit: int) -> tuple[list[tuple[Row, Keys]], bool, Keys]:
        """As ``_stretch``, for rows that a test in memory must pass too; also the keys of the last row looked at.

        It gives the page up after ``LOOKED_AT`` rows; what was found so far is a page of its own.
        """
        assert want.test is not None
        found: list[tuple[Row, Keys]] = []
        last: Keys = []
        for _ in range(LOOKED_AT // STRETCH):
            stretch, more = self._stretch(connection, order, want, conditions, STRETCH)
            for row, last in stretch:
                if not want.test(self.columns.document(row)):
                    continue
                if len(found) == limit:
                    return found, True, found[-1][1]
                found.append((row, last))
            if not more:
                return found, False, last
            conditions = [order.after(last)]
        return found, True, last

    def _count(self, connection: Connection, want: Wanted) -> int:
        statement = select(func.count()).select_from(self.record.table).where(and_(True, *want.conditions))
        return connection.execute(statement, want.values).scalar_one()

    def _count_tested(self, connection: Connection, want: Wanted) -> int:
        assert want.test is not None
        statement = select(self.record.table).where(and_(True, *want.conditions)).limit(COUNTED + 1)
        seen = hits = 0
        for row in in_transaction(connection).execution_options(yield_per=STRETCH).execute(statement, want.values).mappings():
            seen += 1
            if seen > COUNTED:
                return Estimate(hits)
            hits += want.test(self.columns.document(row))
        return hits


def _rows(order: Order, *conditions: ColumnElement[bool]) -> Select[Any]:
    return order.rows.where(*conditions).limit(bindparam("at_most", type_=Integer()))
