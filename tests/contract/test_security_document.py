"""The table of requirements in ``docs/security.md``: whole, and every test that it names is there."""
from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.servers import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text()
VERDICTS = {"met", "partly", "not met", "operator", "n/a"}
# Section to numbers of level 2 in ASVS 4.0.3; the numbers between them were deleted, or are of level 3.
LEVEL_2 = {
    "1.1": "1-7", "1.2": "1-4", "1.4": "1,4,5", "1.5": "1-4", "1.6": "1-4", "1.7": "1-2", "1.8": "1-2", "1.9": "1-2", "1.10": "1",
    "1.11": "1-2", "1.12": "2", "1.14": "1-6", "2.1": "1-12", "2.2": "1-3", "2.3": "1-3", "2.4": "1-6", "2.5": "1-7", "2.6": "1-3",
    "2.7": "1-6", "2.8": "1-7", "2.9": "1-3", "2.10": "1-4", "3.1": "1", "3.2": "1-4", "3.3": "1-4", "3.4": "1-5", "3.5": "1-3",
    "3.7": "1", "4.1": "1,2,3,5", "4.2": "1-2", "4.3": "1-3", "5.1": "1-5", "5.2": "1-8", "5.3": "1-10", "5.4": "1-3", "5.5": "1-4",
    "6.1": "1-3", "6.2": "1-6", "6.3": "1-2", "6.4": "1-2", "7.1": "1-4", "7.2": "1-2", "7.3": "1,3,4", "7.4": "1-3", "8.1": "1-4",
    "8.2": "1-3", "8.3": "1-8", "9.1": "1-3", "9.2": "1-4", "10.2": "1-2", "10.3": "1-3", "11.1": "1-8", "12.1": "1-3", "12.2": "1",
    "12.3": "1-6", "12.4": "1-2", "12.5": "1-2", "12.6": "1", "13.1": "1,3,4,5", "13.2": "1,2,3,5,6", "13.3": "1-2", "13.4": "1-2",
    "14.1": "1-4", "14.2": "1-6", "14.3": "2,3", "14.4": "1-7", "14.5": "1-4",
}


def numbers(text):
    """``1-3`` or ``1,4,5`` as numbers."""
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if last else [int(one) for one in text.split(",")]


def spelled_out(cell):
    """``2.1.1–2.1.12, 2.4.1`` as single requirements."""
    for part in cell.split(","):
        first, _, last = part.strip().partition("–")
        section, _, number = first.rpartition(".")
        yield from (f"{section}.{one}" for one in range(int(number), int(last.rpartition(".")[2] or number) + 1))


ROWS = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in DOCUMENT.splitlines() if re.match(r"\| \d+\.\d+\.\d+", line)]
TESTS = {name for path in ROOT.glob("tests/**/test_*.py") for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.M)}


def test_every_requirement_of_the_level_stands_in_the_table_once():
    wanted = {f"{section}.{number}" for section, part in LEVEL_2.items() for number in numbers(part)}
    found = Counter(one for row in ROWS for one in spelled_out(row[0]))
    assert (wanted - set(found), set(found) - wanted, [one for one, count in found.items() if count > 1]) == (set(), set(), [])


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_the_table_says_is_shown_by_tests_that_are_there(row):
    _, about, verdict, why = row
    named = set(re.findall(r"`(test_\w+)`", why))
    assert about and verdict in VERDICTS
    assert named <= TESTS, f"there is no {', '.join(named - TESTS)}"
    assert named or verdict != "met", "it names no test"
    assert why or verdict in ("n/a", "operator"), "it says no reason"
