"""The table of requirements in ``docs/security.md``: whole, and every test that it names is there."""
from __future__ import annotations

import dataclasses
import re
import typing
from collections import Counter

import pytest
import yaml

from gateway.app import SOCKETS
from gateway.callers import sessions
from gateway.documents import Documents
from gateway.web import assets
from shared.contracts.action import TREES
from shared.hosting import settings
from shared.hosting.setting_kinds import Address
from shared.sources.registry import ADAPTORS
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


# Those of NIST SP 800-218, version 1.1; PW.3 became a part of PW.4.
PRACTICES = [*(f"PO.{n}" for n in range(1, 6)), *(f"PS.{n}" for n in range(1, 4)), "PW.1", "PW.2", *(f"PW.{n}" for n in range(4, 10)), "RV.1", "RV.2", "RV.3"]
PRACTICE_ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in DOCUMENT.splitlines() if re.match(r"\| P?[OSWRV]+\.\d", line)]


def test_every_practice_of_secure_development_says_what_is_done_and_shows_it():
    assert [row[0] for row in PRACTICE_ROWS] == PRACTICES
    for practice, _, verdict, here in PRACTICE_ROWS:
        assert verdict in ("done", "partly", "not done", "operator") and here, practice
        named = re.findall(r"`(test_\w+)`", here)
        assert set(named) <= TESTS, practice
        places = re.findall(r"`((?:\.ci|deploy|docs)/[\w./-]+)`|\b([A-Z]{3,}\.md)\b", here)
        assert all((ROOT / (path or document)).exists() for path, document in places), practice
        # What is done can be looked at.
        assert verdict != "done" or named or places or "above" in here, practice


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


def secret_settings(kind=settings.Config, prefix=""):
    """The settings that hold a secret, have one in an address, or name a file with one."""
    kinds = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(kinds[field.name]):
            yield from secret_settings(kinds[field.name], f"{prefix}{field.name}.")
        elif field.metadata["secret"] or isinstance(field.metadata["kind"], Address) or re.search("(secret|key)_file$", field.name):
            yield f"{prefix}{field.name}"


def test_every_door_component_source_and_secret_of_the_code_is_in_the_threat_model():
    files = ("docker-compose.yml", "deploy/compose/prod.yml", "deploy/compose/monitoring.yml", "deploy/compose/one-postgres.yml",
             "deploy/compose/clamav.yml")
    components = {name for file in files for name in yaml.safe_load((ROOT / file).read_text().replace("!reset", "").replace("!override", ""))["services"]}
    pages = {address for file in ROOT.glob("gateway/*.py") for address in re.findall(r'"(/[^"]*)": self\.', file.read_text())}
    doors = {f"/{tree.replace('.', '/')}" for tree in TREES.values()} | {sessions.ADDRESS, SOCKETS, assets.ROOT} | pages | set(Documents("1", 1).pages)
    assert {"/metrics", "/health/live"} <= pages
    section = DOCUMENT.split("### Doors, components, secrets")[1].split("Not defended against")[0]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = Counter(re.findall("`([^`]+)`", " ".join(first)))
    wanted = doors | components | set(ADAPTORS) | set(secret_settings())
    assert (wanted - set(named), set(named) - wanted, [name for name, count in named.items() if count > 1]) == (set(), set(), [])
