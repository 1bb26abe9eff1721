"""Times decisions: rules, costs, choice and records of many candidates, and ``policy test`` over as many kept in SQLite.

    PYTHONPATH=. .venv/bin/python benchmarks/deciding.py [--count 10000]

Milliseconds of processor time, which a busy machine changes least, and the clock's beside them. The floor is one pass over the
same candidates that looks at the fields which the rules ask for; for ``policy test`` reading the rows of its decisions.
"""
from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from services.reservations import keeping, rehearsing, repository, rules
from services.reservations.models import METADATA, reservation_table
from services.reservations.policy.deciding import Asking, Terms, decide
from services.reservations.policy.live import fixed
from services.reservations.policy.records import Composer
from services.reservations.policy.rules_file import read
from shared.hosting.config import load_config
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.ids import new_id
from shared.storage.bulk import insert_rows
from shared.storage.database import Database, make_engine
from shared.storage.migrate import migrate

RULES = """
- {name: residency, when: {data.tags.country: DE, target.location: {$ne: frankfurt}, request.action: copy}, action: reject}
- {name: licence, when: "data.tags.licence:closed -request.labels.purpose:research", action: reject}
- {name: huge, when: "data.size>4GB", action: leave}
- {name: preview, when: "request.workload:preview", action: leave}
- {name: watch, when: "data.name:*.raw", action: reject, enforce: false}
- {name: tables, when: {data.media_type: {$in: [text/csv, application/parquet]}, source.tags.tier: cold}, action: copy, target: vault}
- {name: rest, action: auto}
"""


def candidates(count: int, sources: int, replicas: int) -> list[dict[str, Any]]:
    return [{
        "id": f"data_{number:06d}", "name": f"item-{number // replicas}.{'raw' if number % 7 == 0 else 'csv'}", "path": f"a/item-{number}.csv",
        "type": "file", "size": number * 1_000_003 % 6_000_000_000, "media_type": "text/csv", "modified_at": "2026-01-01T00:00:00Z",
        "checksum": f"sha256:{number // replicas:064x}" if replicas > 1 else None,
        "tags": {"country": "DE" if number % 3 else "GB", "licence": "open" if number % 11 else "closed", "owner": "darren"},
        "source": {"id": f"dsrc_{number % sources}", "name": f"source-{number % sources}"}, "location": "leeds", "uri": None,
    } for number in range(count)]


def asking(sources: int, **request: Any) -> Asking:
    prices = {"per_gib_out": 0.02, "per_request": 0.001, "latency_ms": 20, "mib_per_s": 200}
    facts = {f"dsrc_{number}": {"id": f"dsrc_{number}", "name": f"source-{number}", "state": "Ready", "adaptor": "file", "location": "leeds",
                                "tags": {"tier": "cold" if number % 2 else "hot"}, "cost": {**prices, "per_gib_out": 0.01 * (number % 9)},
                                "capacity": {}, "used": {}, "writable": False, "deletable": False} for number in range(sources)}
    vault = {"id": "dsrc_vault", "name": "vault", "state": "Ready", "adaptor": "file", "location": "frankfurt", "tags": {},
             "cost": {"per_gib_month": 0.005}, "capacity": {}, "used": {}, "writable": True}
    asked = {"name": "r", "owner": "darren", "query": {"owner": "darren"}, "target": "vault", **request}
    return Asking(asked, read(RULES), facts, {"vault": vault}, Terms({"time": 0.001}))


def timed(work: Callable[[], Any], rounds: int = 5) -> dict[str, float]:
    """The median of some rounds: of the processor, and of the clock."""
    busy, passed = [], []
    for _ in range(rounds):
        began, worked = time.perf_counter(), time.process_time()
        work()
        busy.append(time.process_time() - worked)
        passed.append(time.perf_counter() - began)
    return {"cpu_ms": round(statistics.median(busy) * 1000, 1), "clock_ms": round(statistics.median(passed) * 1000, 1)}


def kept(folder: str, count: int, requests: int) -> Uses:
    """A database in which ``count`` decisions of as many requests are kept as they are after an evaluation."""
    config = load_config("test", overrides={"data_dir": folder}, variables={})
    engine = make_engine(f"sqlite:///{folder}/reservations-{requests}.db", "reservations")
    migrate("reservations", engine)
    uses = Uses("reservations", Database(engine, METADATA), config, Context(owner="darren"), None, {"policies": fixed(read(RULES)), "stored": keeping.Stored()})
    data = candidates(count, 40, 1)
    for number in range(requests):
        own = data[number * count // requests:(number + 1) * count // requests]
        request = {"id": new_id("datarequest"), "name": f"r{number}", "owner": "darren", "attempt": 1}
        asked = asking(40, **request)
        outcome = decide(own, asked)
        rows = [rules.reservation_row(request, one, decided, None) for one, decided in zip(own, outcome.decided, strict=True)]
        by_id = {row["id"]: decided for row, decided in zip(rows, outcome.decided, strict=True)}
        notes = keeping.keep(uses, asked, by_id, [])
        with uses.db.transaction(uses.context) as uow:
            insert_rows(uow.connection, reservation_table, [{
                **row, "version": 1, "created_at": clock.stamp(), "updated_at": clock.stamp(), "state": "Confirmed", "action": by_id[row["id"]].action,
                "target_name": by_id[row["id"]].target, "rule": by_id[row["id"]].rule, "decision": notes[row["id"]]} for row in rows])
    return uses


def policy_tests(count: int) -> dict[str, Any]:
    """``policy test`` over decisions of one request, and of as many requests as decisions."""
    found: dict[str, Any] = {"reach": "10,000 past decisions in at most 5 s"}
    changed = RULES.replace("data.size>4GB", "data.size>2GB").replace("action: copy, target: vault", "action: leave")
    with tempfile.TemporaryDirectory() as folder:
        for title, requests in (("of_one_request", 1), (f"of_{count}_requests", count)):
            uses = kept(folder, count, requests)
            answer = rehearsing.test(uses, {"file": changed})
            assert answer["decisions"] == count and 0 < answer["differ"] < count, answer
            found[title] = {**timed(lambda uses=uses: rehearsing.test(uses, {"file": changed}), 3), "differ": answer["differ"]}
            with uses.db.reading() as connection:
                found["floor"] = timed(lambda connection=connection: repository.decided_since(connection, "dres_", "", count, None), 3)
            uses.db.close()
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--count", type=int, default=10_000)
    count = words.parse_args().count
    found: dict[str, Any] = {"candidates": count, "rules": RULES.count("- {"), "reach": "10,000 in a plan of at most 1 s"}
    for title, sources, replicas, request in (
            ("one_source", 1, 1, {}), ("10000_sources", count, 1, {}), ("replicas_of_4", 40, 4, {}),
            ("best_50_with_preferences", 40, 4, {"select": {"mode": "best", "count": 50, "prefer": [
                {"when": "source.tags.tier:hot", "weight": 1}, {"when": "data.tags.country:GB", "weight": 0.5}]}})):
        data, asked = candidates(count, sources, replicas), asking(sources, **request)
        found[f"{title}"] = timed(lambda data=data, asked=asked: decide(data, asked))
    data, asked = candidates(count, 1, 1), asking(1)
    composer = Composer(asked)
    found["records_of_all"] = timed(lambda: [composer.record(one) for one in data], 1)
    found["floor"] = timed(lambda: [(one["size"], one["name"], one["media_type"], one["tags"].get("country"), one["tags"].get("licence"))
                                         for one in data])
    found["policy_test"] = policy_tests(count)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
