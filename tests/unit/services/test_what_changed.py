"""What a message names as changed is what a reader of the object sees changed, for every column of every class."""
from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Float, Integer

from services.catalog.models import DATA, SOURCE
from services.instances.models import INSTANCE
from services.requests.models import REFERENCE, REQUEST
from services.reservations.models import RESERVATION
from shared.contracts.objects import OBJECTS

RECORDS = (REQUEST, REFERENCE, RESERVATION, INSTANCE, SOURCE, DATA)
# What every change brings along, and what says that the object is gone.
ALWAYS = {"version", "created_at", "updated_at", "destroyed_at", "id"}
COLUMNS = [(record, column) for record in RECORDS for column in record.table.columns if column.name not in ALWAYS]


def value(column: Column[Any], number: int) -> Any:
    if column.name == "shown":
        return [{"data": {"id": "data_1", "name": "a"}, "action": "leave", "bytes": number}]
    if isinstance(column.type, JSON):
        return {"a": number}
    if isinstance(column.type, Boolean):
        return bool(number % 2)
    if isinstance(column.type, (Integer, Float)):
        return number
    return f"text-{number}"


@pytest.mark.parametrize(("record", "column"), COLUMNS, ids=[f"{record.noun}.{column.name}" for record, column in COLUMNS])
def test_the_attributes_named_are_those_that_look_different(record, column):
    before = {other.name: value(other, 2) for other in record.table.columns} | {"destroyed_at": None}
    one, other = record.render(before), record.render({**before, column.name: value(column, 5)})
    seen = {name for name in {*one, *other} if one.get(name) != other.get(name)}
    # The data of an instance are part of its entries, and never change alone.
    named = set(record.changed([column.name]))
    assert seen - {"data", "entries"} <= named <= set(OBJECTS[record.noun].fields)


@pytest.mark.parametrize("record", RECORDS, ids=[record.noun for record in RECORDS])
def test_an_object_has_every_attribute_of_the_contract_and_no_other(record):
    row = {column.name: value(column, 2) for column in record.table.columns} | {"destroyed_at": None}
    assert set(record.render(row)) - {"entries"} == set(OBJECTS[record.noun].fields)
