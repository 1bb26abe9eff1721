"""The catalogue on a real database, with a real scan worker: its actions as a caller's words, its messages as sent."""
from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, select

from services.catalog import claims, data, handlers, intake, models, rules, scans, search
from shared.contracts.action import load_parameters
from shared.contracts.table import BY_RPC
from shared.hosting.config import load_config
from shared.hosting.source_policy import source_policy
from shared.hosting.uses import Uses
from shared.hosting.workers import WorkerPool
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.storage.database import Database
from shared.storage.group_commit import GroupCommit
from tests.support.answering import Answering
from tests.support.migrated import migrated

VERBS = {
    "query": search.query, "datasource_create": handlers.create, "datasource_simulate": handlers.simulate,
    "datasource_list": handlers.find, "datasource_show": handlers.show, "datasource_scan": handlers.scan,
    "datasource_suspend": handlers.suspend, "datasource_resume": handlers.resume, "datasource_shutdown": handlers.shutdown,
    "datasource_destroy": handlers.destroy, "data_create": data.create, "data_list": data.find, "data_find": data.find,
    "data_show": data.show, "data_destroy": data.destroy,
}


class Catalogue:
    """One catalogue; ``home`` is the orchestrator's own data folder."""

    def __init__(self, url: str, home: Path, **settings: Any) -> None:
        home.mkdir(exist_ok=True)
        self.config = load_config("dev", overrides={"data_dir": str(home), **settings}, variables={})
        self.engine = migrated(url, "catalog")
        self.db = Database(self.engine, models.METADATA)
        self.pool = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], size=1, name="scanner")
        parts = {"scanner": self.pool, "policy": source_policy(self.config),
                 "claims": GroupCommit(partial(claims.grant, self.db))}
        self.uses = Uses("catalog", self.db, self.config, Context(owner="ada"), Answering(), parts)

    def close(self) -> None:
        self.pool.stop()
        for thread in threading.enumerate():
            if thread.name.startswith("scan "):
                thread.join(120)
        self.db.close()

    @contextmanager
    def worker(self, command: list[str]) -> Iterator[None]:
        """Scans are done by another program for a while."""
        pool = WorkerPool(command, size=1, name="scanner")
        before, self.uses.parts = self.uses.parts, {**self.uses.parts, "scanner": pool}
        try:
            yield
        finally:
            self.uses.parts = before
            pool.stop()

    def call(self, verb: str, **parameters: Any) -> dict[str, Any]:
        """An action with a caller's parameters, as far as its service is concerned."""
        return VERBS[verb](self.uses, load_parameters(BY_RPC[f"catalog.{verb}"], parameters))

    def folder(self, root: Path, name: str = "lab", **more: Any) -> dict[str, Any]:
        """Register a folder and wait for its scan."""
        made = self.call("datasource_create", name=name, adaptor="file", parameters={"rootdir": str(root)}, **more)
        return self.scanned(made["id"])

    def scanned(self, source: str, limit_s: float = 120) -> dict[str, Any]:
        """The source when no scan of it is under way any more."""
        until = time.monotonic() + limit_s
        while True:
            shown = self.call("datasource_show", id=source)
            if shown["scan"] and shown["scan"]["state"] != "running":
                return shown
            assert time.monotonic() < until, shown["scan"]
            time.sleep(0.02)

    def rescan(self, source: str) -> dict[str, Any]:
        self.call("datasource_scan", id=source)
        return self.scanned(source)["scan"]

    def source(self, name: str = "lab", writable: bool = True, **given: Any) -> dict[str, Any]:
        """A Ready source that nobody scans."""
        with self.db.transaction(self.uses.context) as uow:
            row, = uow.create(models.SOURCE, [{
                "id": new_id("datasource"), "owner": "ada", "name": name, "adaptor": "file", "parameters": {"rootdir": f"/{name}"},
                "writable": writable, "data_count": 0, "data_bytes": 0, "scan": None, **rules.check_source(given)}], "create")
        return row

    def holding(self, source: Mapping[str, Any], *entries: Mapping[str, Any]) -> intake.Counts:
        """Take entries into a source, as a scan would."""
        full = {intake.place_of(source["id"], one["path"]): {
            "name": one["path"].rsplit("/", 1)[-1], "type": "file", "size": 1, "media_type": None, "modified_at": None,
            "checksum": None, "tags": {}, "uri": None, "fingerprint": repr(sorted(one.items())), **one} for one in entries}
        with self.db.transaction(self.uses.context) as uow:
            return intake.take(uow, uow.get(models.SOURCE, source["id"]), full)

    def claim(self, source: Mapping[str, Any], *ids: str, holder: str = "dreq_1", ttl_s: float | None = None, **more: Any) -> Any:
        return claims.claim(self.uses, [{"id": one, "source": source["id"], "kind": "readers", "amount": 1, **more} for one in ids],
                            holder, ttl_s)

    def used(self, source: Mapping[str, Any]) -> dict[str, int]:
        return self.call("datasource_show", id=source["id"])["used"]

    def messages(self, *names: str) -> list[dict[str, Any]]:
        """The bodies of the messages said since the last call, those of ``names`` or all."""
        outbox = models.METADATA.tables["outbox"]
        with self.db.transaction() as uow:
            rows = uow.rows(select(outbox).order_by(outbox.c.seq))
            uow.connection.execute(delete(outbox))
        return [{**orjson.loads(row["body"]), "name": row["name"]} for row in rows if not names or row["name"] in names]

    def found(self, expression: Any, **more: Any) -> list[str]:
        """The paths of what a query finds."""
        return sorted(item["path"] for item in self.call("query", expression=expression, **more)["items"])

    def run_again(self, scan_id: str) -> None:
        """What a start does with a scan whose process was killed."""
        for thread in scans.resume(self.uses):
            thread.join(120)
