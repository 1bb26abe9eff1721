"""What a verified copy costs beside ``cp``, what a scan costs, and how soon a warm worker answers. Floors are measured in the same run.

    python -m benchmarks.mover [--folder DIR] [--size-mib 1024] [--files 10000] [--scan-files 100000] [--rounds 3] [--json FILE]

Rounds of floor and mover alternate, each into a fresh folder, and nothing is removed before the end: ext4 makes new inodes
slowly for some seconds after many were freed. Sources are in the page cache before the first round. Prints a table and JSON.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.hosting.workers import WorkerPool


def timed(work: Callable[[], Any]) -> float:
    """Seconds that ``work`` took; what it left to be written to the device is not waited for, but is written before the next."""
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    os.sync()
    return took


class Bench:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.mover = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
        self.scanner = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], name="scanner")
        self.target = folder / "target"
        self.target.mkdir()
        self.figures: list[dict[str, Any]] = []

    def places(self, source: Path) -> dict[str, Any]:
        return {"s": {"adaptor": "file", "parameters": {"rootdir": str(source)}},
                "t": {"adaptor": "file", "parameters": {"rootdir": str(self.target), "writable": True}}}

    def copy(self, source: Path, names: list[str], into: str) -> None:
        items = [{"key": f"{into}:{number}", "source": "s", "path": name, "target": "t", "target_path": f"{into}/{name}",
                  "size": os.stat(source / name).st_size} for number, name in enumerate(names)]
        done = self.mover.submit({"op": "copy", "sources": self.places(source), "items": items}).wait()
        if done["ok"] != len(names):
            raise SystemExit(f"the copy failed: {done}")

    def compare(self, what: str, floor_name: str, reach: float, floor: Callable[[int], Any], ours: Callable[[int], Any]) -> None:
        floors, times = [], []
        for number in range(self.options.rounds):
            floors.append(timed(lambda: floor(number)))
            times.append(timed(lambda: ours(number)))
        best_floor, best = min(floors), min(times)
        self.figures.append({
            "what": what, "floor": floor_name, "floor_s": round(best_floor, 3), "s": round(best, 3), "ratio": round(best / best_floor, 2),
            "ratio_of_medians": round(statistics.median(times) / statistics.median(floors), 2), "reach": reach,
            "floors_s": [round(one, 3) for one in floors], "all_s": [round(one, 3) for one in times]})

    def large(self) -> None:
        source = self.folder / "large"
        source.mkdir()
        piece = os.urandom(1 << 20)
        with (source / "a").open("wb") as stream:
            for number in range(self.options.size_mib):
                stream.write(piece[number:] + piece[:number])
        os.sync()
        self.compare(f"copy of {self.options.size_mib} MiB, verified", "cp", 4.0,
                     lambda n: subprocess.run(["cp", source / "a", self.folder / f"large-cp-{n}"], check=True),
                     lambda n: self.copy(source, ["a"], f"large-{n}"))

    def small(self) -> None:
        source = self.folder / "small"
        source.mkdir()
        names = [f"{number:06d}.bin" for number in range(self.options.files)]
        for name in names:
            (source / name).write_bytes(os.urandom(4096))
        os.sync()
        self.compare(f"copy of {len(names):,} files of 4 KiB, verified", "cp -r", 2.5,
                     lambda n: subprocess.run(["cp", "-r", source, self.folder / f"small-cp-{n}"], check=True),
                     lambda n: self.copy(source, names, f"small-{n}"))
        items = [{"key": str(number), "source": "s", "path": name} for number, name in enumerate(names)]
        job = {"op": "verify", "sources": self.places(source), "items": items}
        took = min(timed(lambda: self.mover.submit(job).wait()) for _ in range(self.options.rounds))
        self.figures.append({"what": f"verify of {len(names):,} files left in place", "s": round(took, 3)})

    def latency(self) -> None:
        source = self.folder / "one"
        source.mkdir()
        (source / "a").write_bytes(b"x" * 4096)
        job = {"op": "verify", "sources": self.places(source), "items": [{"key": "k", "source": "s", "path": "a"}]}
        self.mover.submit(job).wait()
        times = sorted(self._once(job) for _ in range(500))
        self.figures.append({"what": "verify of one file, warm worker, ms p50 / p99", "ms_p50": round(times[250] * 1e3, 3),
                             "ms_p99": round(times[495] * 1e3, 3)})
        fresh = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
        self.figures.append({"what": "first answer of a cold worker", "s": round(timed(lambda: fresh.submit(job).wait()), 3)})
        fresh.stop()

    def _once(self, job: dict[str, Any]) -> float:
        began = time.perf_counter()
        self.mover.submit(job).wait()
        return time.perf_counter() - began

    def scan(self) -> None:
        root = self.folder / "scan"
        for number in range(self.options.scan_files):
            if number % 1000 == 0:
                folder = root / f"site=s{number // 1000}"
                folder.mkdir(parents=True)
            os.close(os.open(folder / f"{number}.csv", os.O_CREAT | os.O_WRONLY))
        job: dict[str, Any] = {"op": "scan", "adaptor": "file", "parameters": {"rootdir": str(root)}}
        known: dict[str, str] = {}

        def first() -> None:
            for message in self.scanner.submit(job):
                known.update((entry["path"], entry["fingerprint"]) for entry in message.get("entries", ()))

        floor = timed(lambda: subprocess.run(["find", root, "-type", "f", "-printf", "%s %T@ %p\\n"], stdout=subprocess.DEVNULL, check=True))
        took = timed(first)
        again = timed(lambda: [None for _ in self.scanner.submit({**job, "known": known})])
        self.figures.append({"what": f"scan of {len(known):,} files", "floor": "find -printf", "floor_s": round(floor, 3), "s": round(took, 3),
                             "again_with_known_s": round(again, 3)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where to work (default: a new temporary folder); it is removed at the end")
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--scan-files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mover-bench-", dir=options.folder))
    bench = Bench(folder, options)
    load = os.getloadavg()[0]
    try:
        bench.latency()
        bench.large()
        bench.small()
        bench.scan()
    finally:
        bench.mover.stop()
        bench.scanner.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report = {"machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version(),
                          "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2)}, "figures": bench.figures}
    for figure in bench.figures:
        print("  ".join(f"{name}={value}" if name != "what" else f"{value:<48}" for name, value in figure.items()))
    print(json.dumps(report))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
