"""What a verified copy costs beside ``cp``, what a scan costs, and how soon a warm worker answers. Floors are measured in the same run.

    python -m benchmarks.mover [--folder DIR] [--size-mib 1024] [--files 10000] [--scan-files 100000] [--rounds 3]
        [--store-mib 256] [--verify cache|device] [--only large,small] [--json FILE]

Rounds of floor and mover alternate, each into a fresh folder, and no small files are removed before the end: ext4 makes new inodes
slowly for some seconds after many were freed. Large copies are removed after each round, and the first round does not count: so all are written
into memory that the machine has already. On a virtual machine, where the host gives memory when it is first used, writing 1 GiB into
other memory takes ten times the processor time, of ``cp`` as of the mover. Sources are in the page cache before the first round. Prints a table and JSON.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
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


def worked_s(pids: Iterable[int]) -> float:
    """Seconds of processor time of processes that run, user and system."""
    ticks = sum(sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13])) for pid in pids)
    return ticks / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        # As many as the product has by default.
        self.mover = WorkerPool([sys.executable, "-m", "services.instances.mover"], size=2, name="mover",
                                env={"EDGEMERE_SECRET_BENCH": "secret"})
        self.scanner = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], name="scanner")
        self.target = folder / "target"
        self.target.mkdir()
        self.figures: list[dict[str, Any]] = []

    def places(self, source: Path) -> dict[str, Any]:
        return {"s": {"adaptor": "file", "parameters": {"rootdir": str(source)}},
                "t": {"adaptor": "file", "parameters": {"rootdir": str(self.target), "writable": True}}}

    def items(self, source: Path, names: list[str], into: str) -> list[dict[str, Any]]:
        """What the catalogue knows of the files."""
        return [{"key": f"{into}:{number}", "source": "s", "path": name, "target": "t", "target_path": f"{into}/{name}",
                 "size": os.stat(source / name).st_size} for number, name in enumerate(names)]

    def copy(self, source: Path, items: list[dict[str, Any]]) -> None:
        self.run({"op": "copy", "sources": self.places(source), "verify": self.options.verify}, items)

    def run(self, job: dict[str, Any], items: list[dict[str, Any]]) -> None:
        """Shared out among the movers as the service does it."""
        half = -(-len(items) // 2) if len(items) >= 200 else len(items)
        parts = [items[first:first + half] for first in range(0, len(items), half)]
        done = [handle.wait() for handle in [self.mover.submit({**job, "items": part}) for part in parts]]
        if sum(one["ok"] for one in done) != len(items):
            raise SystemExit(f"the copy failed: {done}")

    def processor(self) -> float:
        """Seconds of processor time, user and system, of this process, of the children that have ended, and of the movers."""
        return sum(os.times()[:4]) + worked_s(self.mover.pids())

    def clear(self, patterns: Sequence[str]) -> None:
        for pattern in patterns:
            for there in self.folder.glob(pattern):
                there.unlink()

    def compare(self, what: str, floor_name: str, reach: float, floor: Callable[[int], Any], ours: Callable[[int], Any],
                forced: Callable[[int], Any] | None = None, removed: Sequence[str] = ()) -> None:
        """``forced`` is the floor with its bytes on the device, which the mover promises and the floor does not; ``removed`` are patterns
        of what a round leaves and the next one must not find: then a round before the first warms up."""
        floors, times, floors_cpu, cpu, forceds = [], [], [], [], []
        for number in range(-1 if removed else 0, self.options.rounds):
            self.clear(removed)
            began = self.processor()
            floors.append(timed(lambda: floor(number)))
            floored = self.processor()
            self.clear(removed)
            if forced is not None:
                forceds.append(timed(lambda: forced(number)))
                self.clear(removed)
            between = self.processor()
            times.append(timed(lambda: ours(number)))
            floors_cpu.append(floored - began)
            cpu.append(self.processor() - between)
        if removed:
            self.clear(removed)
            floors, times, floors_cpu, cpu, forceds = floors[1:], times[1:], floors_cpu[1:], cpu[1:], forceds[1:]
        best_floor, best = min(floors), min(times)
        self.figures.append({
            "what": what, "floor": floor_name, "floor_s": round(best_floor, 3), "s": round(best, 3), "ratio": round(best / best_floor, 2),
            "ratio_of_medians": round(statistics.median(times) / statistics.median(floors), 2), "reach": reach,
            "floor_cpu_s": round(min(floors_cpu), 2), "cpu_s": round(min(cpu), 2), "load": round(os.getloadavg()[0], 1),
            **({"forced_s": round(min(forceds), 3), "ratio_to_forced": round(best / min(forceds), 2)} if forceds else {}),
            "floors_s": [round(one, 3) for one in floors], "all_s": [round(one, 3) for one in times]})

    def large(self) -> None:
        source = self.folder / "large"
        source.mkdir()
        piece = os.urandom(1 << 20)
        with (source / "a").open("wb") as stream:
            for number in range(self.options.size_mib):
                stream.write(piece[number:] + piece[:number])
        os.sync()
        with (source / "a").open("rb") as stream:
            checksum = "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
        for what, known in (("verified", {}), ("its checksum known", {"checksum": checksum})):
            self.compare(f"copy of {self.options.size_mib} MiB, {what}", "cp", 3.0,
                         lambda n: subprocess.run(["cp", source / "a", self.folder / f"large-cp-{n}"], check=True),
                         lambda n, known=known: self.copy(source, [{**item, **known} for item in self.items(source, ["a"], f"large-{n}")]),
                         lambda n: self.forced(source / "a", self.folder / f"large-forced-{n}"), removed=["large-*", "target/large-*/a"])

    @staticmethod
    def forced(source: Path, copy: Path) -> None:
        """``cp``, and then its copy forced to the device."""
        subprocess.run(["cp", source, copy], check=True)
        subprocess.run(["sync", copy], check=True)

    def small(self) -> None:
        source = self.folder / "small"
        source.mkdir()
        names = [f"{number:06d}.bin" for number in range(self.options.files)]
        for name in names:
            (source / name).write_bytes(os.urandom(4096))
        os.sync()
        rounds = [self.items(source, names, f"small-{number}") for number in range(self.options.rounds)]
        self.compare(f"copy of {len(names):,} files of 4 KiB, verified", "cp -r", 1.3,
                     lambda n: subprocess.run(["cp", "-r", source, self.folder / f"small-cp-{n}"], check=True),
                     lambda n: self.copy(source, rounds[n]))
        items = [{"key": str(number), "source": "s", "path": name} for number, name in enumerate(names)]
        job = {"op": "verify", "sources": self.places(source), "items": items}
        took = min(timed(lambda: self.mover.submit(job).wait()) for _ in range(self.options.rounds))
        self.figures.append({"what": f"verify of {len(names):,} files left in place", "s": round(took, 3)})

    def store(self) -> None:
        """To and from an S3 server on this machine (moto), beside plain s3fs."""
        import s3fs

        from tests.support.object_store import ObjectStore

        server = ObjectStore()
        try:
            plain = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=server.url, skip_instance_cache=True)
            plain.mkdir("bench")
            source = self.folder / "store"
            source.mkdir()
            piece = os.urandom(1 << 20)
            with (source / "a").open("wb") as stream:
                for number in range(self.options.store_mib):
                    stream.write(piece[number:] + piece[:number])
            size = self.options.store_mib << 20
            job = {"op": "copy", "policy": {"allowed_hosts": ["127.0.0.1"]}, "sources": {
                **self.places(source), "b": {"adaptor": "fsspec", "parameters": {
                    "url": "s3://bench", "writable": True,
                    "storage_options": {"key": "key", "secret": {"secret": "BENCH"}, "endpoint_url": server.url}}}}}

            def up(number: int) -> None:
                self.run(job, [{"key": f"up{number}", "source": "s", "path": "a", "size": size, "target": "b", "target_path": f"up-{number}"}])

            def down(number: int) -> None:
                self.run(job, [{"key": f"down{number}", "source": "b", "path": "plain-0", "size": size, "target": "t", "target_path": f"down-{number}"}])

            mib = self.options.store_mib
            self.compare(f"{mib} MiB into S3, verified", "s3fs put_file", 1.11,
                         lambda n: plain.put_file(str(source / "a"), f"bench/plain-{n}"), up)
            self.compare(f"{mib} MiB out of S3, verified", "s3fs get_file", 1.11,
                         lambda n: plain.get_file("bench/plain-0", str(self.folder / f"plain-{n}")), down)
        finally:
            server.stop()

    def cancel(self) -> None:
        source = self.folder / "large"
        times = []
        for number in range(self.options.rounds):
            item = {"key": f"cancel:{number}", "source": "s", "path": "a", "target": "t", "target_path": f"cancel-{number}/a",
                    "size": os.stat(source / "a").st_size}
            handle = self.mover.submit({"op": "copy", "sources": self.places(source), "items": [item]})
            while not list(self.target.glob(f"cancel-{number}/.edgemere-*.part")):
                time.sleep(0.001)
            time.sleep(0.1)
            began = time.perf_counter()
            handle.cancel()
            ended = handle.wait()
            times.append(time.perf_counter() - began)
            left = (self.target / f"cancel-{number}").exists()
            if left and ended["cancelled"] and not ended["ok"]:
                raise SystemExit("a cancelled copy left something")
        self.figures.append({"what": "cancel of a running copy of 1 GiB, nothing left", "s": round(max(times), 3), "reach": 1.0})

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
    parser.add_argument("--store-mib", type=int, default=256)
    parser.add_argument("--verify", choices=["cache", "device"], default="cache")
    parser.add_argument("--only", help="some of latency, large, cancel, small, store, scan, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mover-bench-", dir=options.folder))
    bench = Bench(folder, options)
    load = os.getloadavg()[0]
    try:
        for part in (options.only or "latency,large,cancel,small,store,scan").split(","):
            getattr(bench, part)()
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
