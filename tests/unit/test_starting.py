"""A server of a test that does not come up says why."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.starting import ServerFailed, until_it_answers


def refuses() -> bool:
    raise ConnectionRefusedError("nobody is there")


def test_a_server_that_ends_says_how_it_ended_and_what_it_printed(tmp_path: Path):
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([sys.executable, "-c", "raise SystemExit('the port is in use')"], stderr=log)
    with pytest.raises(ServerFailed, match=r"(?s)shop ended with 1 before it answered.*nobody is there.*the port is in use"):
        until_it_answers("shop", refuses, process, (tmp_path / "log").read_text)


def test_who_answers_in_the_place_of_a_server_that_ended_is_not_taken_for_it(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(ServerFailed, match="ended with 0"):
        until_it_answers("shop", lambda: True, process, str)


def test_a_server_that_answers_nothing_in_time_says_what_asking_it_met():
    with pytest.raises(ServerFailed, match=r"(?s)shop did not answer within 0 s.*nobody is there.*it was here"):
        until_it_answers("shop", refuses, None, lambda: "it was here", limit_s=0)
