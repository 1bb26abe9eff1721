"""The scan worker as the catalogue meets it."""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.hosting.workers import Handle, WorkerPool
from shared.kernel.errors import Invalid
from shared.sources.port import SourcePolicy


@pytest.fixture(scope="module")
def scanner() -> Iterator[WorkerPool]:
    pool = WorkerPool([sys.executable, "-m", "services.catalog.scanner"], name="scanner")
    yield pool
    pool.stop()


def scan(scanner: WorkerPool, folder: Path, **more: Any) -> Handle:
    return scanner.submit({"op": "scan", "adaptor": "file", "parameters": {"rootdir": str(folder)}, "policy": SourcePolicy().as_json(), **more})


def result(handle: Handle) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    entries, problems, done = [], [], {}
    for message in handle:
        assert len(message.get("entries", ())) <= 500
        entries += message.get("entries", [])
        problems += message.get("problems", [])
        done = message.get("done", done)
    return entries, problems, done


@pytest.fixture(scope="module")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("thousands")
    for number in range(3000):
        folder = root / f"d{number % 10}"
        if number < 10:
            folder.mkdir()
        os.close(os.open(folder / f"{number}.csv", os.O_CREAT | os.O_WRONLY))
    return root


def test_a_scan_gives_every_file_once_in_batches_and_counts_them(scanner: WorkerPool, thousands: Path) -> None:
    entries, problems, done = result(scan(scanner, thousands))
    assert len({entry["path"] for entry in entries}) == len(entries) == done["files"] == 3000
    assert problems == [] and done["problems"] == 0 and done["cancelled"] is False
    assert set(entries[0]) == {"path", "name", "type", "size", "media_type", "modified_at", "checksum", "tags", "uri", "fingerprint"}


def test_with_known_fingerprints_only_what_changed_is_carried(scanner: WorkerPool, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    first, _, _ = result(scan(scanner, tmp_path))
    known = {entry["path"]: entry["fingerprint"] for entry in first}
    (tmp_path / "a").write_text("changed")
    (tmp_path / "b.meta.json").write_text('{"owner": "darren"}')
    again, _, done = result(scan(scanner, tmp_path, known=known))
    by_path = {entry["path"]: entry for entry in again}
    assert by_path["c"] == {"path": "c", "unchanged": True} and done["unchanged"] == 1
    assert by_path["a"]["size"] == 7 and by_path["b"]["tags"] == {"owner": "darren"}


def test_the_scanner_does_not_run_ahead_of_who_takes_the_batches(scanner: WorkerPool, thousands: Path) -> None:
    handle = scan(scanner, thousands)
    messages = iter(handle)
    next(messages)
    time.sleep(0.5)
    waiting = sum(len(message.get("entries", ())) for message in list(handle._messages))
    assert waiting <= 4 * 500
    assert sum(len(message.get("entries", ())) for message in messages) + 500 >= 2500


def test_a_cancelled_scan_ends_soon_and_says_so(scanner: WorkerPool, thousands: Path) -> None:
    handle = scan(scanner, thousands)
    messages = iter(handle)
    next(messages)
    handle.cancel()
    last = list(messages)[-1]
    assert last["done"]["cancelled"] is True and last["done"]["files"] < 3000


def test_problems_are_bounded_and_counted_beyond_the_bound(scanner: WorkerPool, tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"l{number}").symlink_to("/etc/passwd")
    _, problems, done = result(scan(scanner, tmp_path))
    assert len(problems) == 1000
    assert done["problem_codes"] == {"source.link_skipped": 1100} and done["problems"] == 1100


def test_a_source_that_cannot_be_scanned_at_all_fails_the_job(scanner: WorkerPool, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="source.rootdir_missing"):
        result(scan(scanner, tmp_path / "none"))
    (tmp_path / "datasource.yaml").write_text("a: [1,")
    with pytest.raises(Invalid, match="source.bad_listing"):
        result(scan(scanner, tmp_path))
    with pytest.raises(Invalid, match="source.rootdir_not_allowed"):
        result(scan(scanner, tmp_path, policy=SourcePolicy(allowed_roots=["/elsewhere"]).as_json()))
