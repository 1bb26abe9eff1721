"""Times the catalogue alone (no broker, no HTTP), each figure beside its floor in the same run.

``PYTHONPATH=. python benchmarks/catalog.py [--files 20000] [--data 100000] [--database URL]`` prints a table, then the
figures as JSON. Without ``--database`` it uses a SQLite file; with one, an empty PostgreSQL database, on which
500 threads then also claim room for 100.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from services.catalog import access, claims, handlers, intake, models, rules, search
from shared.hosting.config import load_config
from shared.hosting.source_policy import source_policy
from shared.hosting.uses import Uses
from shared.hosting.workers import WorkerPool
from shared.kernel.context import Context
from shared.kernel.errors import NoCapacity, VersionConflict
from shared.kernel.ids import new_id
from shared.storage.database import Database, make_engine
from shared.storage.group_commit import GroupCommit
from shared.storage.migrate import migrate


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=20_000)
    options.add_argument("--data", type=int, default=100_000)
    options.add_argument("--database", default="")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        url = given.database or f"sqlite:///{home}/catalog.db"
        engine = make_engine(url, "catalog", pool_size=20)
        migrate("catalog", engine)
        config = load_config("dev", overrides={"data_dir": f"{home}/own"}, variables={})
        pool = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], size=1, name="scanner")
        database = Database(engine, models.METADATA)
        uses = Uses("catalog", database, config, Context(owner="bench"), None, {
            "scanner": pool, "policy": source_policy(config), "claims": GroupCommit(partial(claims.grant, database))})
        figures = [*scans(uses, Path(home) / "files", given.files), *queries(uses, given.data), *restricted(uses, given.data), *claiming(uses)]
        if not uses.db.is_sqlite:
            figures += racing(uses)
        pool.stop()
        engine.dispose()
    for name, value, floor in figures:
        print(f"{name:<58} {value:>12} {('floor ' + floor) if floor else ''}")
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "database": engine.dialect.name,
               "load": os.getloadavg()[0]}
    print(json.dumps({"machine": machine, "figures": [{"what": n, "value": v, "floor": f} for n, v, f in figures]}))


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def p50_ms(work: Callable[[int], Any], rounds: int = 100) -> str:
    work(0)
    return f"{statistics.median(seconds(lambda n=n: work(n))[0] for n in range(rounds)) * 1000:.2f} ms"


def scans(uses: Uses, root: Path, count: int) -> list[tuple[str, str, str]]:
    for number in range(count):
        folder = root / f"d{number % 100}"
        if number < 100:
            folder.mkdir(parents=True)
        (folder / f"f{number}.csv").touch()
    floor, _ = seconds(lambda: [entry.stat() for folder in os.scandir(root) for entry in os.scandir(folder.path)])

    def finished(source: str) -> dict[str, Any]:
        while True:
            scan = handlers.show(uses, {"id": source})["scan"]
            if scan["state"] != "running":
                return scan
            time.sleep(0.01)

    made: dict[str, Any] = {}
    first, scan = seconds(lambda: (made.update(handlers.create(uses, {
        "name": "files", "adaptor": "file", "parameters": {"rootdir": str(root)}})), finished(made["id"]))[1])
    assert scan["added"] == count, scan
    again, scan = seconds(lambda: (handlers.scan(uses, {"id": made["id"]}), finished(made["id"]))[1])
    assert (scan["added"], scan["changed"], scan["vanished"]) == (0, 0, 0), scan
    beside = f"{floor:.2f} s (scandir and stat)"
    return [(f"scan of {count} files, first", f"{first:.2f} s", beside), (f"scan of {count} files, again", f"{again:.2f} s", beside)]


def source(uses: Uses, name: str, **more: Any) -> dict[str, Any]:
    with uses.db.transaction(uses.context) as uow:
        row, = uow.create(models.SOURCE, [{
            "id": new_id("datasource"), "owner": "bench", "name": name, "adaptor": "file", "parameters": {}, "writable": True,
            "data_count": 0, "data_bytes": 0, "scan": None, **rules.check_source(more)}], "create")
    return row


def fill(uses: Uses, count: int) -> None:
    held = source(uses, "many")
    for start in range(0, count, 2000):
        entries = {}
        for number in range(start, min(start + 2000, count)):
            path = f"d{number % 50}/g{number}.csv"
            entries[intake.place_of(held["id"], path)] = {
                "path": path, "name": f"g{number}.csv", "type": "file", "size": number, "media_type": "text/csv",
                "modified_at": "2026-01-01T00:00:00.000000Z", "checksum": None, "uri": None, "fingerprint": str(number),
                "tags": {"group": f"g{number % 10}", "n": number, "key": f"k{number % (count // 10)}", "folder": [f"d{number % 50}"]}}
        with uses.db.transaction(uses.context) as uow:
            intake.take(uow, uow.get(models.SOURCE, held["id"]), entries)
    with uses.db.transaction() as uow:
        uow.connection.execute(text("DELETE FROM outbox"))
    with uses.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT", writes=True) as connection:
        connection.execute(text("ANALYZE"))


def queries(uses: Uses, count: int) -> list[tuple[str, str, str]]:
    took, _ = seconds(lambda: fill(uses, count))
    tags, data = models.tag_table, models.data_table

    def ask(expression: Any, **more: Any) -> dict[str, Any]:
        return search.query(uses, {"expression": expression, "limit": 50, **more})

    def by_hand(number: int) -> None:
        with uses.db.reading() as connection:
            connection.execute(select(data).where(data.c.id.in_(
                select(tags.c.data_id).where(tags.c.key == "key", tags.c.text == f"k{number}")))).all()

    assert ask("key:k1")["total"] == 10

    def pages() -> None:
        cursor = None
        while True:
            page = ask("group:g1", limit=5000, cursor=cursor, funnel=cursor is None)
            cursor = page["next"]
            if cursor is None:
                return

    return [
        (f"{count} data taken in, with their tags", f"{took:.1f} s", ""),
        ("query, 10 hits, with funnel", p50_ms(lambda n: ask(f"key:k{n}")), p50_ms(by_hand)),
        ("query, 10 hits, without funnel", p50_ms(lambda n: ask(f"key:k{n}", funnel=False)), ""),
        ("query, two clauses, 10 hits", p50_ms(lambda n: ask(f"group:g1 key:k{n * 10 + 1}")), ""),
        ("query, 10 % match, page of 50 with total and funnel", p50_ms(lambda n: ask("group:g1"), 20), ""),
        ("query, everything, page of 50", p50_ms(lambda n: ask(None), 20), ""),
        (f"all {count // 10} candidates in pages of 5,000", f"{seconds(pages)[0]:.2f} s", ""),
    ]


def restricted(uses: Uses, count: int) -> list[tuple[str, str, str]]:
    """The same questions by somebody from whom half of the data is hidden by rules of its source."""
    rules = [*({"when": {"group": f"g{number}"}, "owners": ["ada"]} for number in range(5)),
             {"when": {"n": {"$gte": 0}}, "roles": ["DataScientist"]}]
    with uses.db.transaction(uses.context) as uow:
        held = uow.rows(select(models.source_table).where(models.source_table.c.name == "many"))[0]
        took, _ = seconds(lambda: access.write(uow, held, access.check(rules)))
    with uses.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT", writes=True) as connection:
        # What a PostgreSQL does by itself within a minute of such a change.
        connection.execute(text("ANALYZE" if uses.db.is_sqlite else "VACUUM ANALYZE"))
    guest = replace(uses, context=Context("guest", ("DataScientist",)))

    def ask(expression: Any, **more: Any) -> dict[str, Any]:
        return search.query(guest, {"expression": expression, "limit": 50, **more})

    seen, hidden = ask("group:g7"), ask("group:g1")
    told = [warning["count"] for warning in hidden["warnings"] if warning["code"] == "hidden_by_access"]
    assert (seen["total"], hidden["total"], told) == (count // 10, 0, [count // 2]), (seen["total"], hidden["total"], told)
    return [
        (f"rules of a source with {count} data written anew", f"{took:.1f} s", ""),
        ("query under rules, 10 hits that are seen, with funnel", p50_ms(lambda n: ask(f"key:k{n * 10 + 7}")), ""),
        ("query under rules, 10 hits that are hidden, with funnel", p50_ms(lambda n: ask(f"key:k{n * 10 + 1}")), ""),
        ("query under rules, 10 hits, without funnel", p50_ms(lambda n: ask(f"key:k{n * 10 + 7}", funnel=False)), ""),
        ("query under rules, 10 % match, page of 50 with total and funnel", p50_ms(lambda n: ask("group:g7"), 20), ""),
    ]


def claiming(uses: Uses) -> list[tuple[str, str, str]]:
    held = source(uses, "claimed")
    wanted = [{"id": f"c{number}", "source": held["id"], "kind": "readers", "amount": 1} for number in range(10_000)]
    took, _ = seconds(lambda: claims.claim(uses, wanted, "r", 60))
    freed, _ = seconds(lambda: claims.release(uses, holder="r"))
    return [("10,000 claims in one call", f"{took:.2f} s", ""), ("released in one call", f"{freed:.2f} s", "")]


def racing(uses: Uses, callers: int = 500, room: int = 100) -> list[tuple[str, str, str]]:
    held = source(uses, "raced", capacity={"readers": room})
    gate = threading.Semaphore(20)
    outcomes: list[str] = []

    def one(number: int) -> None:
        while True:
            try:
                with gate:
                    claims.claim(uses, [{"id": f"x{number}", "source": held["id"], "kind": "readers", "amount": 1}], f"r{number}")
                outcomes.append("granted")
            except NoCapacity:
                outcomes.append("refused")
            except VersionConflict:
                continue
            return

    def all_at_once() -> None:
        threads = [threading.Thread(target=one, args=(number,)) for number in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    took, _ = seconds(all_at_once)
    granted = outcomes.count("granted")
    assert granted == room and len(outcomes) == callers, outcomes
    return [(f"{callers} callers for room of {room}: granted", str(granted), ""), ("they took", f"{took:.2f} s", "")]


if __name__ == "__main__":
    main()
