"""A policy file that changes while it is in use, with real files and real writers."""
from __future__ import annotations

import itertools
import os
import threading
import time
from pathlib import Path

import pytest

from services.reservations.policy import live
from services.reservations.policy.rules_file import read
from shared.kernel.errors import Invalid

ONE = "- {name: one, when: 'data.size>1', action: reject}\n"
TWO = ONE + "- {name: two, when: 'data.size<1', action: leave}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "policies.yaml").write_text(ONE)
    return tmp_path / "policies.yaml"


@pytest.fixture
def file(path: Path):
    opened = live.PolicyFile(str(path))
    yield opened
    opened.stop()


def renamed(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_a_file_that_is_renamed_into_place_counts_for_the_next_decision(file, path, monkeypatch):
    before = file.current().revision
    monkeypatch.setattr(live, "STILL_S", 20)  # so that waiting for it to stand still is no matter of a busy machine
    renamed(path, TWO)
    began = time.monotonic()
    now = file.current()
    assert now.revision == read(TWO).revision != before and time.monotonic() - began < live.STILL_S / 2


def test_a_file_that_is_written_in_place_is_never_seen_half(file, path):
    """Each prefix is a whole policy file of its own, so only waiting tells a half from a whole."""
    for attempt in range(10):
        whole = file.current().revision
        text = "".join(f"- {{name: rule-{attempt}-{number}, when: 'data.size:{number}', action: reject}}\n" for number in range(20))
        written, seen = [], set()

        def write() -> None:
            with open(path, "w") as out:
                for line in ["", *text.splitlines(keepends=True)]:
                    out.write(line)
                    out.flush()
                    written.append(os.stat(path).st_mtime_ns)
                    time.sleep(0.01)

        writer = threading.Thread(target=write)
        writer.start()
        deadline = time.monotonic() + 120
        # Asked once a turn: a second question may be answered with the whole file already.
        while (counts := file.current().revision) != read(text).revision:
            seen.add(counts)
            assert time.monotonic() < deadline
            time.sleep(0.002)  # or the writer waits for this thread, and stands still where nobody meant it
        lines = len(written)
        writer.join()
        # What the file itself says of its writer: on a busy machine one stands still for so long that it cannot be told from one that has ended.
        if max(later - earlier for earlier, later in itertools.pairwise(written)) < live.STILL_S * 1e9 / 2:
            assert lines == 21 and seen <= {whole}
            return
    pytest.fail("the writer was never let write without a long pause")


def test_a_broken_file_leaves_the_rules_before_it_in_force_and_says_where_it_is_wrong(file, path, caplog):
    before = file.current().revision
    renamed(path, "- name: one\n  acton: reject\n")
    with caplog.at_level("WARNING"):
        assert file.current().revision == before
    state = file.state()
    assert state["revision"] == before and (state["problem"]["errors"][0]["line"], state["problem"]["errors"][0]["column"]) == (2, 3)
    assert "cannot be used" in caplog.text and before in caplog.text
    renamed(path, TWO)
    assert file.current().revision == read(TWO).revision and file.state()["problem"] is None


def test_a_file_that_vanishes_leaves_its_rules_in_force(file, path):
    before = file.current().revision
    path.unlink()
    assert file.current().revision == before and "not there any more" in file.state()["problem"]["detail"]
    path.write_text(ONE)
    deadline = time.monotonic() + 120
    while file.current().revision != before or file.state()["problem"]:
        assert time.monotonic() < deadline


def test_each_replica_sees_the_change_for_itself(file, path):
    other = live.PolicyFile(str(path))
    try:
        renamed(path, TWO)
        assert file.current().revision == other.current().revision == read(TWO).revision
    finally:
        other.stop()


def test_a_mistake_is_noticed_although_nobody_decides_anything(file, path):
    renamed(path, "- {acton: leave}")
    deadline = time.monotonic() + live.LOOK_S * 5
    while file.state()["problem"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_service_does_not_start_with_policies_that_it_cannot_read(path):
    path.write_text("- {acton: leave}")
    with pytest.raises(Invalid):
        live.PolicyFile(str(path))
