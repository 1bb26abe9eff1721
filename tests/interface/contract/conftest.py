"""One running server for all tests of this folder, asked over REST; each test takes names of its own."""
from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import table
from tests.stories.faces import Reply, Rest
from tests.support.servers import EdgemereServer

_numbers = itertools.count(1)


class User:
    """Calls actions by their names in the table."""

    def __init__(self, url: str) -> None:
        self.rest = Rest(url)

    def call(self, action: str, parameters: Mapping[str, Any] | None = None, wait_s: float | None = None, **headers: str) -> Reply:
        """POST (or GET, what changes nothing); ``headers`` have underscores for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.rest.call(table.ACTIONS[action], parameters or {}, wait_s, sent)

    def made(self, action: str, parameters: Mapping[str, Any], wait_s: float | None = 30, **headers: str) -> dict[str, Any]:
        """What a call answers that has to succeed."""
        reply = self.call(action, parameters, wait_s, **headers)
        assert reply.status in (200, 201), reply.text
        return reply.body


@pytest.fixture(scope="session")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with EdgemereServer(tmp_path_factory.mktemp("contract")) as server:
        yield User(server.url)


@pytest.fixture
def word() -> str:
    """A word that no other test has."""
    return f"w{next(_numbers)}"


@pytest.fixture
def shelf(user: User, word: str, tmp_path: Path) -> str:
    """A source with three small files, named after the test's word."""
    (tmp_path / "shelf").mkdir()
    for name in ("one.csv", "two.csv", "three.txt"):
        (tmp_path / "shelf" / name).write_text(name)
    user.made("fmdm.datasource.create", {"name": f"shelf-{word}", "adaptor": "file",
                                         "parameters": {"rootdir": str(tmp_path / "shelf")}})
    return f"shelf-{word}"


@pytest.fixture
def target(user: User, word: str, tmp_path: Path) -> str:
    """A source that takes copies."""
    (tmp_path / "target").mkdir()
    user.made("fmdm.datasource.create", {"name": f"target-{word}", "adaptor": "file",
                                         "parameters": {"rootdir": str(tmp_path / "target"), "writable": True}})
    return f"target-{word}"
