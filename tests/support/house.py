"""The services that decide, with their real databases and without a broker: a call between them is a call, in JSON.

For tests of what is decided and said, by the hundred: nothing moves by itself here. Steps are taken by the actions
(``reserve``, ``evaluate``), instances are never made.
"""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, select

from services.catalog import claims, intake, models, rules
from services.catalog.service import Catalog
from services.requests import creating, turns
from services.requests.service import Requests
from services.reservations import keeping, together
from services.reservations.policy.live import PolicyFile
from services.reservations.service import Reservations
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from shared.storage.database import Database
from shared.storage.group_commit import GroupCommit
from tests.support.migrated import migrated

KINDS = {"catalog": Catalog, "reservations": Reservations, "requests": Requests}


class House:
    """Catalog, reservations and requests; ``url`` gives the database of a service by its name."""

    def __init__(self, url: Callable[[str], str], folder: Path, **settings: Any) -> None:
        self.policy_file = folder / "policies.yaml"
        self.policy_file.write_text("[]", "utf-8")
        self._settings = {"data_dir": str(folder), "policies": {"file": str(self.policy_file)}, **settings}
        self.configured()
        self.policies = PolicyFile(str(self.policy_file))
        self.context = Context(owner="ada", roles=("DataScientist", "DataEngineer"))
        self.databases: dict[str, Database] = {}
        for name in KINDS:
            engine = migrated(url(name), name)
            module = __import__(f"services.{name}.models", fromlist=["METADATA"])
            self.databases[name] = Database(engine, module.METADATA)
        self.parts = {
            "requests": {"numbered": GroupCommit(partial(creating.create, self.databases["requests"])), "health": turns.Health()},
            "reservations": {"policies": self.policies, "done": together.Done(), "under_way": together.UnderWay(), "stored": keeping.Stored(),
                             "calls": GroupCommit(together.take)},
            "catalog": {"claims": GroupCommit(partial(claims.grant, self.databases["catalog"]))}}

    def configured(self, **more: Any) -> None:
        """Other settings from now on, beside those that the house was made with."""
        self.config = load_config("dev", overrides={**self._settings, **more}, variables={})

    def close(self) -> None:
        self.policies.stop()
        for database in self.databases.values():
            database.close()

    # --- the mesh --------------------------------------------------------------------------------------------------

    def having(self, **more: Any) -> House:
        """The same house, asked by somebody else, or with other rights."""
        other = copy.copy(self)
        other.context = self.context.having(**{name: value for name, value in more.items() if name in ("owner", "roles", "mesh", "idempotency_key")})
        return other

    def call(self, service: str, method: str, *, timeout_s: float = 10, **parameters: Any) -> Any:
        """Ask a service, as another one would; what it says crosses as JSON."""
        if method == "health":
            return {"ok": True}  # What nobody runs here is not waited for, either.
        if service not in KINDS:
            raise Unavailable("unavailable", f"Nobody runs {service} here.")
        return orjson.loads(orjson.dumps(getattr(self.service(service), method)(**parameters)))

    def service(self, name: str) -> Any:
        """A service as one call has it."""
        made = KINDS[name]()
        made.uses = Uses(name, self.databases[name], self.config, self.context, self, self.parts[name])
        return made

    # --- what is there ---------------------------------------------------------------------------------------------

    def rules(self, text: str) -> None:
        """Other policies from now on."""
        fresh = self.policy_file.with_suffix(".new")
        fresh.write_text(text, "utf-8")
        fresh.replace(self.policy_file)

    def source(self, name: str, data: Mapping[str, Mapping[str, Any]] | None = None, *, writable: bool = False,
               deletable: bool = False, adaptor: str = "file", limits: Mapping[str, Any] | None = None, **given: Any) -> dict[str, Any]:
        """A Ready source with data by path, as a scan would have found them."""
        database = self.databases["catalog"]
        with database.transaction(self.context) as uow:
            row, = uow.create(models.SOURCE, [{
                "id": new_id("datasource"), "owner": "ada", "name": name, "adaptor": adaptor, "writable": writable,
                "parameters": {"rootdir": f"/nowhere/{name}", **({"writable": True} if writable else {}),
                               **({"deletable": True} if deletable else {}), **({"limits": limits} if limits else {})},
                "data_count": 0, "data_bytes": 0, "scan": None, **rules.check_source(given)}], "create")
        if data:
            full = {intake.place_of(row["id"], path): {
                "path": path, "name": path.rsplit("/", 1)[-1], "type": "file", "size": 1, "media_type": None, "modified_at": None,
                "checksum": None, "tags": {}, "uri": None, "fingerprint": path, **one} for path, one in data.items()}
            with database.transaction(self.context) as uow:
                intake.take(uow, uow.get(models.SOURCE, row["id"]), full)
        return row

    def emptied(self) -> None:
        """Everything is gone, for the next case."""
        for database in self.databases.values():
            with database.transaction() as uow:
                for table in reversed(database.metadata.sorted_tables):
                    uow.connection.execute(delete(table))

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables of all services."""
        return {f"{name}.{table.name}": sorted(tuple(map(str, row)) for row in rows)
                for name, database in self.databases.items() for table, rows in self._tables(database)}

    def _tables(self, database: Database) -> Iterator[tuple[Any, list[Any]]]:
        for table in database.metadata.sorted_tables:
            with database.reading() as connection:
                yield table, list(connection.execute(select(table)))
