"""What a list was asked for, as conditions on its table: filters, ``attr1``, and what is hidden without asking."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from shared.contracts.objects import OBJECTS
from shared.kernel.errors import Invalid, Malformed, located, nearest
from shared.kernel.ids import is_id
from shared.lists.columns import Columns
from shared.lists.naming import not_found
from shared.query.fields import FieldSet
from shared.query.parse import parse, plain_name
from shared.query.planning import plan
from shared.query.tree import And, Clause, Node, Or, Query, walk
from shared.query.values import is_clean
from shared.storage.record import Record

Test = Callable[[Mapping[str, Any]], bool]
DESTROYED = "Destroyed"


@dataclass(frozen=True)
class Wanted:
    """Conditions for the database, with the parameters that a statement of them runs with, and, for what it cannot decide, a test of the
    rendered object. ``lasts`` says that the conditions are the same objects whenever this is asked.
    """

    conditions: tuple[ColumnElement[bool], ...] = ()
    test: Test | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    lasts: bool = False

    def narrowed(self, *conditions: ColumnElement[bool]) -> Wanted:
        return replace(self, conditions=(*self.conditions, *conditions))


def wanted(connection: Connection, columns: Columns, fields: FieldSet, parameters: Mapping[str, Any],
           mine: Sequence[ColumnElement[bool]] = (), must_exist: bool = True) -> Wanted:
    """What these parameters of a list or find ask for among the objects that meet the conditions ``mine``. Raises as ``Lister.page`` does."""
    record, table = columns.record, columns.table
    conditions = list(mine)
    states = _states(record, parameters)
    asks_destroyed = DESTROYED in states
    for attribute in OBJECTS[record.noun].filters:
        value = parameters.get(attribute.name)
        if value is None:
            continue
        if attribute.name == "state":
            conditions.append(or_(*(columns.equals("state", state) for state in states)))
        else:
            _check_storable(attribute.name, value)
            conditions.append(columns.equals(attribute.name, value))
    hidden = columns.alive
    visible = [] if hidden is None or asks_destroyed else [hidden]
    expression = parameters.get("attr1")
    if isinstance(expression, str):
        expression = expression.strip()
    if not expression or isinstance(expression, Query) and expression.is_empty:
        return Wanted((*conditions, *visible))
    if isinstance(expression, str):
        exact = _exact(columns, expression)
        if connection.execute(select(table.c.id).where(exact, *mine, *visible).limit(1)).first() is not None:
            return Wanted((*conditions, *visible, exact))
        if plain_name(expression) is not None and not must_exist:
            return Wanted((*conditions, exact, *visible))
        if plain_name(expression) is not None:
            gone = is_id(expression) and connection.execute(
                select(table.c.id).where(table.c.id == expression, *mine)).first() is not None
            with located("/attr1"):
                raise not_found(connection, record, expression, mine, gone)
    with located("/attr1"):
        query = expression if isinstance(expression, Query) else parse(expression, fields)
        _check_states(record, query.root)
    if hidden is not None and record.net and DESTROYED in record.net.states and _asks_for_destroyed(query.root):
        visible = []
    compiled = plan(connection, query, columns.mapping)
    return Wanted((*conditions, *visible, compiled.where), compiled.residual, compiled.values, compiled.lasts and not conditions)


def _states(record: Record, parameters: Mapping[str, Any]) -> list[str]:
    """The states that the parameter names, in their own spelling."""
    given = parameters.get("state")
    if given is None or record.net is None:
        return [given] if given is not None else []
    known = {state.casefold(): state for state in record.net.states}
    states = []
    for word in (part.strip() for part in given.split(",")):
        state = known.get(word.casefold())
        if state is None:
            raise Invalid("parameter.invalid", **_no_state(record, word, "/state"))
        states.append(state)
    return states


def _check_states(record: Record, root: Node | None) -> None:
    """Refuse a query for a state that the class does not have: it would find nothing for ever, and say nothing of it."""
    for clause in walk(root) if record.net else ():
        if clause.name.text == "state" and clause.op in ("$eq", "$ne", "$in", "$nin"):
            for value in clause.value if isinstance(clause.value, tuple) else (clause.value,):
                if isinstance(value, str) and value not in record.net.states:
                    raise Malformed("query.bad_operand", **_no_state(record, value, ""))


def _no_state(record: Record, word: str, pointer: str) -> dict[str, Any]:
    states = record.net.states
    near = [state for state in states if state.casefold() == word.casefold()] or nearest(word, states)
    detail = f"A {record.noun} has no state '{word[:100]}'." + (f" Did you mean '{near[0]}'?" if near else "")
    return {"detail": detail, "next_step": f"Its states are {', '.join(states)}.", "errors": [{"pointer": pointer, "detail": detail}], "nearest": near}


def _check_storable(name: str, value: str) -> None:
    if not is_clean(value):
        raise Invalid("parameter.invalid", f"'{name}' holds a NUL or half of a surrogate pair, which no stored text has.",
                      errors=[{"pointer": f"/{name}", "detail": "not a text that can be stored"}])


def _exact(columns: Columns, text: str) -> ColumnElement[bool]:
    table = columns.table
    _check_storable("attr1", text)
    if is_id(text) or "name" not in table.c:
        return table.c.id == text
    return table.c.name == text


def _asks_for_destroyed(node: Node | None) -> bool:
    """Whether a query wants destroyed objects by name of their state; what it negates it does not want."""
    if isinstance(node, Clause):
        if node.name.text != "state":
            return False
        return node.value == DESTROYED if node.op == "$eq" else node.op == "$in" and DESTROYED in node.value
    return isinstance(node, (And, Or)) and any(_asks_for_destroyed(item) for item in node.items)
