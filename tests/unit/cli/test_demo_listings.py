"""What the demo says about its data is true, and its questions have the answers that the demo tells of."""
from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from gateway.demo.files import HERE, lay_out

SETS = Path(importlib.util.find_spec("vega_datasets").origin).parent  # type: ignore[union-attr, arg-type]
LISTING = yaml.safe_load((HERE / "vega.yaml").read_text())
ARCHIVE = yaml.safe_load((HERE / "archive.yaml").read_text())
STATED = {"public-domain": ("public domain", "public-domain"), "BSD": ("BSD license",)}


def test_the_listing_names_every_file_of_the_wheel():
    assert set(LISTING) == {path.name for path in (SETS / "_data").iterdir() if path.suffix in (".csv", ".json")}


@pytest.mark.parametrize("name", LISTING)
def test_rows_columns_and_format_are_those_of_the_file(name):
    tags = LISTING[name]["tags"]
    path = SETS / "_data" / name
    if path.suffix == ".csv":
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        found = ("csv", len(rows) - 1, len(rows[0]))
    else:
        items = json.loads(path.read_text(encoding="utf-8"))
        found = ("json", len(items), len(set().union(*items)))
    assert (tags["format"], tags["rows"], tags["columns"]) == found


@pytest.mark.parametrize("name", [name for name in LISTING if "licence" in LISTING[name]["tags"]])
def test_a_licence_is_given_only_where_the_wheel_states_it(name):
    said = json.loads((SETS / "dataset_info.json").read_text())[Path(name).stem]["description"]
    assert any(words in said for words in STATED[LISTING[name]["tags"]["licence"]])


def test_the_questions_of_the_demo_have_the_answers_that_it_tells_of():
    weather = [name for name, item in LISTING.items() if item["tags"]["topic"] == "weather" and item["tags"].get("licence") == "public-domain"]
    large = [name for name, item in LISTING.items() if item["tags"]["format"] == "csv" and (SETS / "_data" / name).stat().st_size > 150_000]
    darrens = [item for item in ARCHIVE.values() if item["tags"]["owner"] == "darren"]
    assert len(weather) == 3 and len(large) == 3 and darrens
    assert not [item for item in darrens if item["tags"]["modality"] == "dwi"]


def test_laying_out_a_second_time_touches_nothing(tmp_path):
    _, sets, _ = lay_out(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in sets.iterdir()}
    lay_out(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in sets.iterdir()} == before
