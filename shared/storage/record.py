"""What the storage must know of a class of objects: its table, its net, and how a row looks on the wire."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table

from shared.contracts.objects import OBJECTS
from shared.nets.net import Net

Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A class of objects in this service's database.

    ``render`` turns a row into the object of the contract; it may not read anything but the row. ``handle`` gives
    what a person calls the object in a sentence. ``shows`` names the attribute in which a column that is no attribute
    itself comes out; columns that are neither are the service's own business, and no message says that they changed.
    ``whose`` says of a row who alone may see it; empty is everybody.
    """

    noun: str
    table: Table
    render: Callable[[Mapping[str, Any]], dict[str, Any]]
    net: Net | None = None
    shows: Mapping[str, str] = field(default_factory=dict)
    whose: Callable[[Mapping[str, Any]], str] = lambda row: row["owner"]

    def changed(self, columns: Iterable[str]) -> list[str]:
        """The attributes of the contract that differ when these columns do, each once."""
        known = OBJECTS[self.noun].fields
        found = (self.shows.get(column, column) for column in columns)
        return list(dict.fromkeys(attribute for attribute in found if attribute in known))

    def handle(self, row: Mapping[str, Any]) -> str:
        return f"'{row['name']}'" if row.get("name") else str(row["id"])
