"""A catalogue on each database."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interface.catalog.world import Catalogue


@pytest.fixture
def catalogue(database_url: str, tmp_path: Path) -> Iterator[Catalogue]:
    made = Catalogue(database_url, tmp_path / "home")
    yield made
    made.close()
