"""What a source allows at a time is kept to."""
from __future__ import annotations

import os
import time

from tests.interface.mover.conftest import Bench, item, results_of
from tests.support.awaiting import until


def test_a_source_is_read_no_faster_than_it_allows(bench: Bench) -> None:
    bench.file("x", os.urandom(6 << 20))
    bench.file("y", os.urandom(500_000))
    bench.run("verify", item("w", "y"))
    bench.sources["s"]["parameters"]["limits"] = {"mib_per_s": 4}
    began = time.monotonic()
    assert all(result["ok"] for result in bench.run("copy", item("k", "x"), item("l", "y")).values())
    assert 1.2 < time.monotonic() - began < 120


def test_a_bound_of_one_transfer_takes_one_after_the_other_and_cancel_ends_the_wait(bench: Bench) -> None:
    bench.sources["s"]["parameters"]["limits"] = {"transfers": 1, "mib_per_s": 1}
    bench.file("x", os.urandom(100 << 20))
    first, second = bench.submit("copy", item("k", "x")), bench.submit("copy", item("l", "x", "i/y"))
    parts = lambda: len(list(bench.target.rglob("*.part")))  # noqa: E731
    until(lambda: parts() == 1)
    for _ in range(15):
        time.sleep(0.1)
        assert parts() == 1
    began = time.monotonic()
    for handle, key in ((second, "l"), (first, "k")):
        handle.cancel()
        assert results_of(handle, 1)[key]["error"]["code"] == "cancelled"
    assert time.monotonic() - began < 60, "it would have read for 100 s"
    assert bench.left() == []
