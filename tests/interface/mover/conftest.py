"""A mover of its own for each test, with a source folder and a target folder."""
from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.hosting.workers import Handle, WorkerPool


class Bench:
    """A mover process, ``source`` and ``target`` folders, and what a service would send."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "source", folder / "target"
        self.source.mkdir()
        self.target.mkdir()
        self.pool = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
        self.sources: dict[str, Any] = {
            "s": {"adaptor": "file", "parameters": {"rootdir": str(self.source)}},
            "t": {"adaptor": "file", "parameters": {"rootdir": str(self.target), "writable": True}},
        }
        self.policy: dict[str, Any] = {}
        self.inspect: dict[str, Any] | None = None

    def submit(self, op: str, *items: dict[str, Any]) -> Handle:
        return self.pool.submit({"op": op, "sources": self.sources, "policy": self.policy, "inspect": self.inspect, "items": list(items)})

    def run(self, op: str, *items: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The results by key; each item must have exactly one."""
        return results_of(self.submit(op, *items), len(items))

    def one(self, op: str, item: dict[str, Any]) -> dict[str, Any]:
        return self.run(op, item)[item["key"]]

    def file(self, path: str, content: bytes = b"content") -> Path:
        there = self.source / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(content)
        return there

    def sparse(self, path: str, size: int = 1 << 30) -> Path:
        """A file so large that its copy can be met half-way."""
        there = self.source / path
        with there.open("wb") as stream:
            stream.truncate(size)
        return there

    def left(self) -> list[str]:
        """Every file below the target, hidden ones too."""
        return sorted(str(path.relative_to(self.target)) for path in self.target.rglob("*") if not path.is_dir())

    def stop_halfway(self) -> int:
        """Wait until a part is being written, freeze the mover, and give its process."""
        pid = self.pool.pids()[0]
        until = time.monotonic() + 120
        while time.monotonic() < until:
            parts = [path for path in self.target.rglob(".edgemere-*.part") if path.stat().st_size > 0]
            if parts:
                os.kill(pid, signal.SIGSTOP)
                return pid
            time.sleep(0.001)
        raise AssertionError("no part was written")


def results_of(handle: Handle, count: int) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {}
    for message in handle:
        for result in message.get("results", ()):
            assert result["key"] not in results, "an item has two results"
            results[result["key"]] = result
        if "done" in message:
            assert message["done"]["ok"] + message["done"]["failed"] == count == len(results)
    return results


def item(key: str, path: str, target_path: str | None = None, **more: Any) -> dict[str, Any]:
    return {"key": key, "source": "s", "path": path, "target": "t", "target_path": target_path or f"i/{path}", **more}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.pool.stop()
