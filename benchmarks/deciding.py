"""Times the decisions alone: rules, costs, choice and records of many candidates, with no service and no database.

    PYTHONPATH=. .venv/bin/python benchmarks/deciding.py [--count 10000]

The floor beside each figure is one pass over the same candidates that looks at the fields which the rules ask for.
"""
from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from services.reservations.policy.deciding import Asking, Terms, decide
from services.reservations.policy.records import Composer
from services.reservations.policy.rules_file import read

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


def best_of(work: Callable[[], Any], rounds: int = 5) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times) * 1000, 1)


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
        found[f"{title}_ms"] = best_of(lambda data=data, asked=asked: decide(data, asked))
    data, asked = candidates(count, 1, 1), asking(1)
    composer = Composer(asked)
    found["records_of_all_ms"] = best_of(lambda: [composer.record(one) for one in data], 1)
    found["floor_ms"] = best_of(lambda: [(one["size"], one["name"], one["media_type"], one["tags"].get("country"), one["tags"].get("licence"))
                                         for one in data])
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
