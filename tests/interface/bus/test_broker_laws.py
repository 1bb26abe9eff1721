"""The laws of a broker, on each broker that the product has."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.bus import port
from shared.bus.embedded import embedded_uri, stop_broker
from tests.support.laws.broker import BrokerLaws


class EmbeddedBench:
    """The embedded broker on a file of its own; it lives and dies with the process that uses it."""

    def __init__(self, folder: Path) -> None:
        self.uri = embedded_uri(folder / "broker.db")
        port.prepare(self.uri)

    def let_go(self) -> None:
        stop_broker(self.uri)

    def crash(self, program: subprocess.Popen) -> None:
        program.kill()
        program.wait()


class TestEmbeddedBroker(BrokerLaws):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[EmbeddedBench]:
        bench = EmbeddedBench(tmp_path)
        yield bench
        bench.let_go()
