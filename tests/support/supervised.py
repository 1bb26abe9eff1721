"""``./edgemere up`` on RabbitMQ and PostgreSQL: one supervisor, and a process for each service and the gateway.

Each mesh has a virtual host and a database of its own on servers that tests share.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from shared.bus.seal import Seal
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitNode
from tests.support.servers import EdgemereServer


class SupervisedMesh(EdgemereServer):
    """An ``EdgemereServer`` whose ``process`` is the supervisor.

    ``replicas`` as for ``--replicas``; ``settings`` are those of a further configuration file.
    """

    def __init__(self, folder: Path, node: RabbitNode, postgres: PostgresServer, *, replicas: Mapping[str, int] | None = None,
                 settings: Mapping[str, object] | None = None, options: Sequence[str] = (),
                 environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.policies: Path | None = None
        self._postgres = postgres
        self.amqp_uri, self.database_url = node.create_vhost(), postgres.create_database()
        options = list(options)
        if replicas:
            options += ["--replicas", ",".join(f"{name}={number}" for name, number in replicas.items())]
        if settings:
            (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
            options += ["--config", str(folder / "settings.yaml")]
        super().__init__(folder, options=options, environment={
            "EDGEMERE_AMQP_URI": self.amqp_uri, "EDGEMERE_DATABASE_URL": self.database_url, **(environment or {})})

    def stop(self) -> None:
        super().stop()
        if self._postgres.process is not None:
            self._postgres.thaw()
        self._postgres.drop_database(self.database_url)

    @property
    def seal(self) -> Seal:
        """That of its processes, which share the secret in the data folder."""
        return Seal((self.data / "mesh.secret").read_bytes().strip())

    def pids(self, name: str = "") -> list[int]:
        """The processes of a service or the gateway (of all, without a name), as the system lists them."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                words = (path.parent / "cmdline").read_bytes().split(b"\0")
            except (OSError, ValueError, IndexError):
                continue
            if self.process is not None and parent == self.process.pid and b"serve" in words:
                if name in ("", words[words.index(b"serve") + 1].decode()):
                    found.append(int(path.parent.name))
        return sorted(found)
