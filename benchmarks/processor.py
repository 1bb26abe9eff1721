"""What the parts of a mesh on RabbitMQ and PostgreSQL use of the processors."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import psutil

from tests.support.postgres import PostgresServer
from tests.support.production import SERVICES, ProductionMesh
from tests.support.rabbitmq import RabbitNode


class Parts:
    """The processes of a mesh and its servers, by part; ``load`` is this process."""

    def __init__(self, mesh: ProductionMesh, rabbit: RabbitNode, postgres: PostgresServer) -> None:
        self._mesh, self._rabbit, self._postgres = mesh, rabbit, postgres

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Those that run now; PostgreSQL has one for each connection."""
        groups: dict[str, Iterable[int]] = {name: [member.process.pid for member in self._mesh.of(name)] for name in (*SERVICES, "gateway")}
        groups["rabbitmq"] = [process.pid for process in self._rabbit._groups]
        groups["postgresql"] = [self._postgres.process.pid] if self._postgres.process else []
        found = {}
        for name, pids in groups.items():
            found[name] = [process for pid in pids for own in [psutil.Process(pid)] for process in (own, *own.children(recursive=True))]
        found["load"] = [psutil.Process()]
        return found

    def cpu_s(self) -> Counter[str]:
        """Processor seconds used so far, by part."""
        spent: Counter[str] = Counter()
        for name, processes in self.processes().items():
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    spent[name] += times.user + times.system
        return spent

    def ms_each(self, before: Counter[str], count: int) -> dict[str, float]:
        """Milliseconds of the processors since ``before`` for each of ``count``, by part, the largest first, and ``all`` together."""
        spent = self.cpu_s() - before
        each = {name: round(value * 1000 / max(1, count), 2) for name, value in spent.most_common()}
        return {"all": round(sum(each.values()), 1), **each}
