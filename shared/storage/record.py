"""What the storage must know of a class of objects: its table, its net, and how a row looks on the wire."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from shared.nets.net import Net

Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A class of objects in this service's database.

    ``render`` turns a row into the object of the contract; it may not read anything but the row. ``handle`` gives
    what a person calls the object in a sentence.
    """

    noun: str
    table: Table
    render: Callable[[Mapping[str, Any]], dict[str, Any]]
    net: Net | None = None

    def handle(self, row: Mapping[str, Any]) -> str:
        return f"'{row['name']}'" if row.get("name") else str(row["id"])
