"""Every place where a person's name is kept is one that his removal knows, and the document says until when."""
from __future__ import annotations

import importlib
import re

import pytest
from sqlalchemy import String, Text
from sqlalchemy.types import TypeDecorator

from shared.contracts.table import SERVICES
from tests.support.servers import ROOT

MODELS = {service: importlib.import_module(f"services.{service}.models") for service in SERVICES}
# What columns are called that are names of persons, in whatever table.
NAMES = re.compile(r"(^|_)(owner|by|who|person|user|pin|access)$")
# The removal's own word for whom it is about, which ends with it; and a time.
OTHERS = {("events", "removal", "person"), ("requests", "datarequest", "needed_by")}


def columns() -> list[tuple[str, str, str]]:
    return [(service, table.name, column.name) for service in SERVICES for table in MODELS[service].METADATA.tables.values() for column in table.columns
            if isinstance(column.type, (String, Text, TypeDecorator)) or "JSON" in str(column.type).upper()]


def places() -> set[tuple[str, str, str]]:
    return {(service, place.table, place.column) for service in SERVICES for place in MODELS[service].PERSONS}


def test_every_column_that_names_a_person_is_a_place_of_its_service_and_stands_in_the_document():
    named = {one for one in columns() if NAMES.search(one[2])}
    assert named - places() - OTHERS == set()
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.partition("### Persons")[2].partition("\n## ")[0]
    of_each = {"idempotency", "history"}
    kept = {f"{service}.{table}" for service, table, _ in places() if table not in of_each} | {"events.removal"}
    said = set(re.findall(rf"`((?:{'|'.join(SERVICES)})\.[a-z_]+)`", section.partition("| until |")[2])) - {"events.retention_days"}
    assert said == kept
    # Each line says an end.
    for line in section.splitlines():
        if re.match(r"\| (`[a-z]+\.|each service)", line):
            assert re.search(r"removal|retention|end", line.rsplit("|", 2)[1]), line


@pytest.mark.parametrize("service", SERVICES)
def test_a_place_is_a_column_that_is_there(service):
    for place in MODELS[service].PERSONS:
        assert place.column in MODELS[service].METADATA.tables[place.table].c, place
    for noun in MODELS[service].OPEN:
        assert "owner" in MODELS[service].METADATA.tables[noun].c
