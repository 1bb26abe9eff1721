"""A house of services on each kind of database."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import House


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        made = House(lambda name: f"sqlite:///{tmp_path / name}.db", tmp_path)
    else:
        url = request.getfixturevalue("fresh_database")()
        made = House(lambda name: url, tmp_path)
    yield made
    made.close()
