"""How fast the query language is, each figure beside its floor in the same run.

``PYTHONPATH=. python benchmarks/query.py [--data 100000] [--database URL]`` prints a table, then the figures as
JSON. Without ``--database`` it uses a SQLite file of its own; with one, an empty PostgreSQL database.
"""
from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, MetaData, Table, Text, create_engine, event, insert, select, text

from shared.kernel.ids import new_id
from shared.query import DATA_FIELDS, matches, parse
from shared.query.funnel import funnel
from shared.query.mapping import TableMapping, Tags
from shared.query.planning import plan
from shared.query.tag_index import tag_index_table, tag_rows

METADATA = MetaData()
Word = Text().with_variant(Text(collation="C"), "postgresql")
DATA = Table("data", METADATA, Column("id", Word, primary_key=True), Column("name", Word), Column("path", Word),
             Column("size", BigInteger), Column("modified_at", Word), Column("tags", Text))
TAGS = tag_index_table(METADATA, "data_tag")
MAPPING = TableMapping(
    table=DATA, key=DATA.c.id, tags=Tags(TAGS, DATA.c.id),
    fields={name: DATA.c[name] for name in ("id", "name", "path", "size", "modified_at")},
)
FUNNEL = "project:p1 filetypes:parquet size>100MB quality>=0.5 modified_at>=2022-01-01"


def document(n: int, dice: random.Random, rare_every: int) -> dict[str, Any]:
    """One Data with about nine tags; each ``rare_every``-th is of the batch that the selective query looks for."""
    return {
        "id": new_id("data"), "name": f"file{n}.csv", "path": f"a/{n % 100}/file{n}.csv", "size": dice.randrange(10**9),
        "modified_at": f"20{dice.randrange(10, 26)}-0{dice.randrange(1, 10)}-11T10:00:00.000000Z",
        "tags": {
            "owner": f"owner{dice.randrange(200)}", "project": f"p{dice.randrange(3)}", "quality": dice.random(),
            "filetypes": [dice.choice(["csv", "parquet", "yaml"])], "batch": "rare" if n % rare_every == 0 else f"b{n % 5000}",
            "sensor": {"kind": f"k{dice.randrange(20)}", "channel": dice.randrange(64)},
        },
    }


def load(engine: Engine, count: int) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Fill the tables; gives the documents and the seconds that data and tags took."""
    dice = random.Random(7)
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    documents = [document(n, dice, count // 10) for n in range(count)]
    with engine.begin() as conn:
        began = time.perf_counter()
        conn.execute(insert(DATA), [{**item, "tags": json.dumps(item["tags"])} for item in documents])
        middle = time.perf_counter()
        for at in range(0, count, 5000):
            conn.execute(insert(TAGS), [row for item in documents[at:at + 5000] for row in tag_rows(item["id"], item["tags"])])
        ended = time.perf_counter()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"))
    return documents, {"load data s": middle - began, "load tag index s": ended - middle}


def p50(call: Callable[[], Any], rounds: int = 30) -> float:
    """The median time of a call, in milliseconds."""
    call()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def raw_call(conn: Any, statement: Any, parameters: Any) -> Callable[[], Any]:
    """The statement at the driver itself, so that SQL is compared with SQL and not with SQLAlchemy."""
    cursor = conn.connection.cursor()
    return lambda: (cursor.execute(statement, parameters), cursor.fetchall())


def driver_sql(engine: Engine, conn: Any, query: Any) -> tuple[str, Any]:
    """The text and parameters that reach the driver for the rows of ``query``."""
    seen: list[tuple[str, Any]] = []

    def remember(_conn: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, parameters))

    compiled = plan(conn, query, MAPPING)
    event.listen(engine, "before_cursor_execute", remember)
    try:
        conn.execute(select(DATA.c.id, DATA.c.path, DATA.c.size).where(compiled.where), compiled.values).all()
    finally:
        event.remove(engine, "before_cursor_execute", remember)
    return seen[-1]


def selective(engine: Engine, line: str, hand: str, values: list[Any]) -> dict[str, Any]:
    """A query against the best SQL by hand: the SQL alone, and all of it with parse, plan and SQLAlchemy."""
    query = parse(line, DATA_FIELDS)
    if engine.dialect.name == "postgresql":
        hand = hand.replace("?", "%s")
    with engine.connect() as conn:
        statement, parameters = driver_sql(engine, conn, query)
        ours, floor = raw_call(conn, statement, parameters), raw_call(conn, hand, tuple(values))
        assert sorted(map(tuple, ours()[1])) == sorted(map(tuple, floor()[1])), line
        rows = len(ours()[1])

        def whole() -> None:
            asked = parse(line, DATA_FIELDS)
            planned = plan(conn, asked, MAPPING)
            conn.execute(select(DATA.c.id, DATA.c.path, DATA.c.size).where(planned.where), planned.values).all()

        return {"query": line, "rows": rows, "ours ms": p50(ours), "floor ms": p50(floor), "with parse and plan ms": p50(whole)}


def measure_funnel(engine: Engine, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Five clauses against one hand-written statement that counts the last step only."""
    hand = (
        "SELECT count(*) FROM data d WHERE d.id IN (SELECT data_id FROM data_tag WHERE key='project' AND text='p1')"
        " AND EXISTS (SELECT 1 FROM data_tag t WHERE t.data_id=d.id AND t.key='filetypes' AND t.text='parquet')"
        " AND d.size > 100000000"
        " AND EXISTS (SELECT 1 FROM data_tag t WHERE t.data_id=d.id AND t.key='quality' AND t.kind=3 AND t.number>=0.5)"
        " AND d.modified_at >= '2022-01-01T00:00:00.000000Z'"
    )
    query = parse(FUNNEL, DATA_FIELDS)
    with engine.connect() as conn:
        counted = funnel(conn, query, MAPPING)
        test = matches(query)
        assert counted["steps"][-1]["remaining"] == sum(map(test, documents))
        return {"query": FUNNEL, "rows": counted["steps"][-1]["remaining"],
                "ours ms": p50(lambda: funnel(conn, query, MAPPING), 7), "floor ms": p50(raw_call(conn, hand, ()), 7)}


def measure_matcher(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Five clauses that all have to be looked at, over 10,000 documents, against the same test written in Python."""
    sample = documents[:10_000]
    line = "owner:owner* size>=0 quality>=0 -project:none sensor.kind:k*"
    test = matches(parse(line, DATA_FIELDS))

    def by_hand(item: dict[str, Any]) -> bool:
        tags = item["tags"]
        return (tags["owner"].startswith("owner") and item["size"] >= 0 and tags["quality"] >= 0
                and tags["project"] != "none" and tags["sensor"]["kind"].startswith("k"))

    assert all(map(test, sample)) and all(map(by_hand, sample))
    ours = p50(lambda: [test(item) for item in sample], 7) * 1e6 / len(sample) / 5
    floor = p50(lambda: [by_hand(item) for item in sample], 7) * 1e6 / len(sample) / 5
    return {"query": line, "rows": len(sample), "ours ns per clause": ours, "floor ns per clause": floor}


HAND = {
    "batch:rare": ("SELECT d.id, d.path, d.size FROM data_tag t JOIN data d ON d.id = t.data_id WHERE t.key = ? AND t.text = ?",
                   ["batch", "rare"]),
    "project:p1 batch:rare size>=0": (
        "SELECT d.id, d.path, d.size FROM data_tag t JOIN data d ON d.id = t.data_id WHERE t.key = ? AND t.text = ? AND d.size >= 0"
        " AND EXISTS (SELECT 1 FROM data_tag u WHERE u.data_id = d.id AND u.key = ? AND u.text = ?)",
        ["batch", "rare", "project", "p1"]),
    "quality<0.0001": (
        "SELECT d.id, d.path, d.size FROM data_tag t JOIN data d ON d.id = t.data_id WHERE t.key = ? AND t.kind = 3 AND t.number < ?",
        ["quality", 0.0001]),
    "owner:owner7 -filetypes:csv sensor.channel>=60": (
        "SELECT d.id, d.path, d.size FROM data_tag t JOIN data d ON d.id = t.data_id WHERE t.key = ? AND t.text = ?"
        " AND NOT EXISTS (SELECT 1 FROM data_tag u WHERE u.data_id = d.id AND u.key = 'filetypes' AND u.text = 'csv')"
        " AND EXISTS (SELECT 1 FROM data_tag u WHERE u.data_id = d.id AND u.key = 'sensor.channel' AND u.kind = 3 AND +u.number >= 60)",
        ["owner", "owner7"]),
}


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=int, default=100_000)
    options.add_argument("--database", default="")
    chosen = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        engine = create_engine(chosen.database or f"sqlite:///{Path(folder) / 'data.sqlite'}")
        documents, loading = load(engine, chosen.data)
        figures = {line: selective(engine, line, hand, values) for line, (hand, values) in HAND.items()}
        figures["funnel of five clauses"] = measure_funnel(engine, documents)
        figures["matcher"] = measure_matcher(documents)
        for figure in figures.values():
            ours, floor = (value for key, value in figure.items() if key.startswith(("ours", "floor")))
            figure["ratio"] = ours / floor
        engine.dispose()
    print(f"{chosen.data} Data on {engine.dialect.name}; " + ", ".join(f"{key} {value:.1f}" for key, value in loading.items()))
    for name, figure in figures.items():
        numbers = "  ".join(f"{key} {value:.3g}" for key, value in figure.items() if key != "query")
        print(f"{name:50} {numbers}")
    print(json.dumps({"data": chosen.data, "database": engine.dialect.name, **loading, "figures": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
