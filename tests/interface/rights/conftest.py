"""Callers of one mesh: each with an owner and roles, on both databases. What they say goes over the bus, sealed."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import EdgemereError, from_payload
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment

SCIENTIST, DEVELOPER, ENGINEER, ADMINISTRATOR = "DataScientist", "ApplicationDeveloper", "DataEngineer", "Administrator"


class House:
    """The program of ``world.py``; ``caller(owner, *roles)`` speaks to it."""

    def __init__(self, folder: Path, database: str, settings: dict[str, Any] | None = None) -> None:
        self.folder, self.database = folder, database
        self.log = open(folder.with_suffix(".log"), "w")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.interface.rights.world", str(folder), database, json.dumps(settings or {})],
            cwd=ROOT, env=project_environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        reaper.watch_group(self.process.pid)
        assert self._line() == "ready"

    def ask(self, **order: Any) -> Any:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self._line()
        if "error" in answer:
            raise from_payload(answer["error"])
        return answer["result"]

    def _line(self) -> Any:
        line = self.process.stdout.readline()
        assert line, Path(self.log.name).read_text()[-4000:]
        return json.loads(line)

    def caller(self, owner: str, *roles: str, foreign: bool = False) -> Caller:
        return Caller(self, owner, roles, foreign)

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            pass
        end_group(self.process.pid)
        self.process.wait()
        reaper.forget_group(self.process.pid)
        self.log.close()


class Caller:
    """Somebody with an owner's name and roles: ``caller("requests.show", id="scans")``."""

    def __init__(self, house: House, owner: str, roles: tuple[str, ...], foreign: bool) -> None:
        self.house, self.owner, self.roles, self.foreign = house, owner, roles, foreign

    def __call__(self, rpc: str, key: str = "", **parameters: Any) -> Any:
        return self.house.ask(call=rpc, owner=self.owner, roles=list(self.roles), foreign=self.foreign, key=key, parameters=parameters)

    def refusal(self, rpc: str, **parameters: Any) -> EdgemereError:
        """The error that a call ends in."""
        try:
            answer = self(rpc, **parameters)
        except EdgemereError as error:
            return error
        raise AssertionError(f"{rpc} answered {answer}")

    def hears(self, **given: Any) -> str:
        """All that a stream of this listener says of the past."""
        return "".join(self.house.ask(subscribe={"after": 0, **given}, owner=self.owner, roles=list(self.roles)))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    database = server.create_database() if server else ""
    house = House(tmp_path_factory.mktemp("rights") / "data", database)
    yield house
    house.stop()
    if server:
        server.drop_database(database)
