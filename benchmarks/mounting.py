"""What it costs to read an object of a store through the FUSE mount, beside s3fs with the same store in the same run.

    python -m benchmarks.mounting [--mib 256] [--jumps 100] [--rounds 3] [--json FILE]

A round reads an object from its beginning to its end (``dd``), then opens another again and again and reads 4 KiB at random offsets. Each round has its
own objects, so that nothing is remembered; floors and mounts alternate. Prints a table and JSON. Needs FUSE (``tests/support/fuse.py`` finds the library).
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.mover import worked_s
from services.instances.fuse.keeper import Keeper
from shared.hosting.workers import WorkerPool
from tests.support import fuse
from tests.support.object_store import SECRET, ObjectStore

POLICY = {"allowed_hosts": ["127.0.0.1"]}


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Bench:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        os.environ.update(fuse.environment(), EDGEMERE_SECRET_TEST_STORE=SECRET)
        self.folder, self.options = folder, options
        self.store = ObjectStore()
        self.store.fs.mkdir("bench")
        self.mover = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
        self.keeper = Keeper([sys.executable, "-m", "services.instances.fuse"], folder / "fuse", "auto", POLICY, 1)

    def close(self) -> None:
        self.keeper.stop()
        self.mover.stop()
        self.store.stop()

    def mounted(self, name: str) -> Path:
        job = {"op": "mount", "sources": {"s": {"adaptor": "fsspec", "parameters": self.store.parameters("bench")}}, "policy": POLICY,
               "mounts": str(self.folder / "mounts"), "fuse": {"folder": str(self.folder / "fuse"), "why": self.keeper.why_not()},
               "items": [{"key": f"bench:{name}", "source": "s", "path": name, "mount_path": f"bench/{name}"}]}
        result, = (one for message in self.mover.submit(job) for one in message.get("results", ()))
        if result.get("via") != "fuse":
            raise SystemExit(f"nothing is mounted: {result} {self.keeper.why_not()}")
        return Path(result["path"])

    def run(self) -> list[dict[str, Any]]:
        size, jumps = self.options.mib << 20, self.options.jumps
        plain = self.store.fs
        times: dict[str, list[float]] = {"get_file": [], "mount": [], "cpu": [], "s3fs jumps": [], "jumps": []}
        for number in range(self.options.rounds):
            name = f"object-{number}"
            piece = os.urandom(1 << 20)
            local = self.folder / "object"
            with local.open("wb") as out:
                for turn in range(self.options.mib):
                    out.write(piece[turn:] + piece[:turn])
            plain.put_file(str(local), f"bench/{name}")
            path = self.mounted(name)
            got = self.folder / "got"
            times["get_file"].append(timed(lambda: plain.get_file(f"bench/{name}", str(got))))
            got.unlink()
            before = worked_s(self.keeper.pids())
            times["mount"].append(timed(lambda: subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"], check=True)))
            times["cpu"].append(worked_s(self.keeper.pids()) - before)
            if subprocess.run(["cmp", "--silent", path, local], check=False).returncode:
                raise SystemExit("what was read is not what is there")
            jumped = f"jumped-{number}"
            plain.copy(f"bench/{name}", f"bench/{jumped}")
            path = self.mounted(jumped)
            offsets = [random.Random(number).randrange(size - 4096) for _ in range(jumps)]

            def jump() -> None:
                for offset in offsets:
                    with open(path, "rb", buffering=0) as file:
                        os.pread(file.fileno(), 4096, offset)

            def s3fs_jump() -> None:
                for offset in offsets:
                    plain.cat_file(f"bench/{jumped}", start=offset, end=offset + 4096)
            times["s3fs jumps"].append(timed(s3fs_jump) / jumps * 1000)
            times["jumps"].append(timed(jump) / jumps * 1000)
        return [{"what": f"{self.options.mib} MiB of S3 read through the mount", "floor": "s3fs get_file", "s": _of(times["mount"]),
                 "floor_s": _of(times["get_file"]), "ratio": round(min(times["mount"]) / min(times["get_file"]), 2), "cpu_s": _of(times["cpu"])},
                {"what": f"open and read 4 KiB at a random place, {jumps} times", "floor": "s3fs cat_file of the range", "ms": _of(times["jumps"]),
                 "floor_ms": _of(times["s3fs jumps"]), "ratio": round(min(times["jumps"]) / min(times["s3fs jumps"]), 2)}]


def _of(times: list[float]) -> dict[str, float]:
    return {"best": round(min(times), 3), "median": round(statistics.median(times), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--jumps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mounting-bench-"))
    load = os.getloadavg()[0]
    bench = Bench(folder, options)
    try:
        figures = bench.run()
    finally:
        bench.close()
        fuse.take_down_all(folder)
        shutil.rmtree(folder, ignore_errors=True)
    report = {"machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version(),
                          "load_before": round(load, 2), "load_after": round(os.getloadavg()[0], 2)}, "figures": figures}
    for figure in figures:
        print("  ".join(f"{name}={value}" if name != "what" else f"{value:<60}" for name, value in figure.items()))
    print(json.dumps(report))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
