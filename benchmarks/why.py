"""How fast "why" is answered: funnel and relaxation hints over a large catalogue, beside the floor of the same run.

``PYTHONPATH=. python benchmarks/why.py [--data 1000000] [--database URL]`` prints a table, then the figures as JSON. Without
``--database`` it starts the PostgreSQL of the test run; with one, an empty PostgreSQL database. The catalogue is filled by
COPY, with the tables and the tag index of the product.
"""
from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
from sqlalchemy import Engine, select, text

from services.catalog import models, rules, totals
from services.catalog.models import SOURCE, data_table, tag_table
from shared.hosting.run import look_through_less
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.query import DATA_FIELDS, parse
from shared.query.funnel import funnel
from shared.query.hints import hints
from shared.query.planning import plan
from shared.query.tag_index import iter_tag_rows
from shared.storage.database import Database, make_engine
from shared.storage.migrate import migrate
from tests.support.postgres import PostgresServer

PART = 50_000
QUERIES = {
    "few match, five clauses": "batch:b77 project:p1 filetypes:parquet quality>=0.999 modified_at>=2025-06-01",
    "none matches, a slip of the pen": "owner:ownr7 project:p1 filetypes:parquet size>100MB quality>=0.9",
    "broad clauses, nothing rare": "project:p1 filetypes:parquet size>999999KB quality>=0.9999 modified_at>=2022-01-01",
    "the funnel of benchmarks/query.py": "project:p1 filetypes:parquet size>100MB quality>=0.5 modified_at>=2022-01-01",
}


def entry(n: int, dice: random.Random) -> dict[str, Any]:
    """One Data with nine tags in the index, as ``benchmarks/query.py`` makes them."""
    return {
        "id": new_id("data"), "path": f"a/{n % 100}/file{n}.csv", "size": dice.randrange(10**9),
        "modified_at": f"20{dice.randrange(10, 26)}-0{dice.randrange(1, 10)}-11T10:00:00.000000Z",
        "tags": {
            "owner": f"owner{dice.randrange(200)}", "project": f"p{dice.randrange(3)}", "quality": dice.random(),
            "filetypes": [dice.choice(["csv", "parquet", "yaml"])], "batch": f"b{n % 5000}",
            "sensor": {"kind": f"k{dice.randrange(20)}", "channel": dice.randrange(64)},
        },
    }


def load(engine: Engine, count: int) -> float:
    """A source with ``count`` Data; gives the seconds it took."""
    began = time.perf_counter()
    db = Database(engine, models.METADATA)
    with db.transaction(Context(owner="bench")) as uow:
        source, = uow.create(SOURCE, [{
            "id": new_id("datasource"), "owner": "bench", "name": "many", "adaptor": "file", "parameters": {}, "writable": False,
            "data_count": count, "data_bytes": 0, "scan": None, **rules.check_source({})}], "create")
    totals.settle(db)
    indexes = [index for table in (data_table, tag_table) for index in table.indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    dice = random.Random(7)
    for start in range(0, count, PART):
        entries = [entry(n, dice) for n in range(start, min(start + PART, count))]
        raw = engine.raw_connection()
        with raw.cursor() as cursor:
            _copy(cursor, "data", _data_lines(entries, source, clock.stamp()))
            _copy(cursor, "tag", (_line(row.values()) for one in entries for row in iter_tag_rows(one["id"], one["tags"])),
                  "data_id, n, key, kind, text, number, long")
        raw.commit()
        raw.close()
    with engine.begin() as connection:
        # The product's limit of a statement is not for this.
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for index in indexes:
            index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return time.perf_counter() - began


_DATA = ("id", "version", "created_at", "updated_at", "destroyed_at", "owner", "source_id", "source_name", "path", "place", "name",
         "type", "size", "modified_at", "tags")


def _data_lines(entries: list[dict[str, Any]], source: Any, now: str) -> Iterator[str]:
    for one in entries:
        yield _line((one["id"], 1, now, now, None, "bench", source["id"], source["name"], one["path"], one["id"],
                     one["path"].rsplit("/", 1)[-1], "file", one["size"], one["modified_at"], orjson.dumps(one["tags"]).decode()))


def _line(values: Any) -> str:
    return "\t".join("\\N" if value is None else str(value) for value in values) + "\n"


def _copy(cursor: Any, table: str, lines: Iterator[str], columns: str = ", ".join(_DATA)) -> None:
    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.StringIO("".join(lines)))


def p50_ms(work: Callable[[], Any], rounds: int = 5) -> float:
    """The median of ``rounds`` runs after one to warm up, in milliseconds."""
    work()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def measure(engine: Engine, line: str) -> dict[str, Any]:
    """Funnel and hints of a query, and the floor: one statement that counts its matches."""
    query = parse(line, DATA_FIELDS)
    alive = data_table.c.destroyed_at.is_(None)
    with engine.connect() as connection:
        base = totals.basis(connection).count
        def count() -> int:
            planned = plan(connection, query, models.PLACES)
            return len(connection.execute(select(data_table.c.id).where(alive, planned.where), planned.values).all())

        known = {"base_rows": base, "index_is_base": True}
        both = p50_ms(lambda: (funnel(connection, query, models.PLACES, alive, **known), hints(connection, query, models.PLACES, alive, **known)))
        found = hints(connection, query, models.PLACES, alive, **known)
        # On a machine that others use too the CPU time says more; parallel workers would not be counted in it.
        connection.exec_driver_sql("SET max_parallel_workers_per_gather = 0")
        backend = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        before = psutil.Process(backend).cpu_times()
        funnel(connection, query, models.PLACES, alive, **known)
        hints(connection, query, models.PLACES, alive, **known)
        after = psutil.Process(backend).cpu_times()
        return {"query": line, "matches": count(), "hints": [f"{one['sentence']}" for one in found["hints"][:3]],
                "funnel ms": p50_ms(lambda: funnel(connection, query, models.PLACES, alive, **known)), "funnel and hints ms": both,
                "of it CPU ms of the server": (after.user + after.system - before.user - before.system) * 1000, "floor ms": p50_ms(count)}


RULES = """
- {name: secret, when: {data.tags.secret: true}, action: reject, because: Secret.}
- {name: large, when: {data.size: {$gt: 900}}, action: copy, target: scratch, because: Large data is brought near.}
- {name: far, when: {source.location: moon}, action: reject, because: Too far.}
"""


def plan_and_explain(count: int) -> dict[str, float]:
    """A plan over ``count`` candidates, and the explanation of the request that they are then reserved for; services called directly."""
    from tests.support.house import House

    with tempfile.TemporaryDirectory() as folder:
        house = House(lambda name: f"sqlite:///{folder}/{name}.db", Path(folder))
        try:
            house.rules(RULES)
            house.source("scratch", writable=True)
            house.source("lab", {f"d/{n}.csv": {"size": n % 1000, "tags": {"kind": "scan", "n": n, "secret": n % 50 == 0}} for n in range(count)},
                         cost={"per_request": 1, "per_gib_out": 1.0})
            # As a service that has started.
            look_through_less()
            floor = p50_ms(lambda: house.call("catalog", "query", expression="kind:scan", limit=5000), 3) * count / 5000
            planned = p50_ms(lambda: house.call("requests", "plan", query="kind:scan"), 3)
            cpu = time.process_time()
            house.call("requests", "plan", query="kind:scan")
            cpu = time.process_time() - cpu
            made = house.call("requests", "create", query="kind:scan")
            house.call("reservations", "evaluate", request=made["id"])
            shown = p50_ms(lambda: house.call("requests", "explain", id=made["id"]))
            one = p50_ms(lambda: house.call("requests", "explain", id=made["id"], why_not="lab/d/0.csv"))
        finally:
            house.close()
    return {"plan ms": planned, "plan, CPU ms": cpu * 1000, "floor ms (the query's pages)": floor, "explain ms": shown, "explain --why-not ms": one}


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=int, default=1_000_000)
    options.add_argument("--candidates", type=int, default=10_000)
    options.add_argument("--database", default="")
    given = options.parse_args(arguments)
    server = None if given.database else PostgresServer.start()
    engine = make_engine(given.database or server.create_database(), "catalog")
    try:
        migrate("catalog", engine)
        with engine.connect() as connection:
            there = totals.basis(connection).count
        loaded = load(engine, given.data) if there != given.data else 0.0
        figures = {name: measure(engine, line) for name, line in QUERIES.items()}
    finally:
        engine.dispose()
        if server is not None:
            server.stop()
    decided = plan_and_explain(given.candidates)
    print(f"{given.candidates} candidates: " + ", ".join(f"{name} {value:.0f}" for name, value in decided.items()))
    print(f"{given.data} Data on PostgreSQL, loaded in {loaded:.0f} s")
    for name, figure in figures.items():
        print(f"{name:36} " + "  ".join(f"{key} {value:.0f}" for key, value in figure.items() if isinstance(value, (int, float))))
        for hint in figure["hints"]:
            print(f"    {hint}")
    print(json.dumps({"data": given.data, "loaded_s": loaded, "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
