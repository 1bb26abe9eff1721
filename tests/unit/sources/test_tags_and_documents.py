"""Tags of folders, side-cars and listings are read within bounds; what cannot be used is named."""
from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from shared.sources.documents import BadDocument, csv_rows, read_yaml
from shared.sources.media import media_type
from shared.sources.tags import TAG_BYTES, TAG_LIMIT, BadTags, clean_tags, described, fingerprint, folder_tags, plain_value


def test_tags_become_json() -> None:
    given = {1: datetime.date(2020, 7, 1), None: datetime.datetime(2020, 7, 1, 12), "n": 2**80, "deep": {"er": ("a", {7})}}
    assert clean_tags(given) == {"1": "2020-07-01", "null": "2020-07-01T12:00:00.000000Z", "n": float(2**80), "deep": {"er": ["a", [7]]}}


@pytest.mark.parametrize("tags", [{"a": "x\0"}, {"a\0": 1}, {"a": "\ud800"}, {"a": float("nan")}, {"a": float("inf")}, {"a": b"x"},
                                  {"a": 10**400}, {"k" * 2000: 1}])
def test_what_a_database_cannot_hold_is_refused(tags: dict[str, Any]) -> None:
    with pytest.raises(BadTags) as caught:
        clean_tags(tags)
    assert caught.value.code == "source.bad_tags"


@pytest.mark.parametrize("tags", [{str(n): n for n in range(1_000_000)}, {"a": list(range(TAG_LIMIT + 1))}, {"a": "x" * TAG_BYTES}])
def test_too_many_tags_are_refused(tags: dict[str, Any]) -> None:
    with pytest.raises(BadTags) as caught:
        clean_tags(tags)
    assert caught.value.code == "source.too_many_tags"


def test_as_many_tags_as_the_bound_are_kept() -> None:
    tags = {str(n): n for n in range(TAG_LIMIT)}
    assert clean_tags(tags) == tags


def test_folders_give_tags() -> None:
    assert folder_tags("") == {}
    assert folder_tags("a/site=lyon/year=2020/id=007") == {
        "site": "lyon", "year": 2020, "id": "007", "folder": "a/site=lyon/year=2020/id=007", "folders": ["a", "site=lyon", "year=2020", "id=007"]}


def test_a_description_gives_fields_where_they_fit_and_tags_otherwise() -> None:
    fields, tags = described({"type": "table", "media_type": "text/csv", "checksum": "sha256:" + "a" * 64, "owner": "x", "tags": {"n": 1}})
    assert fields == {"type": "table", "media_type": "text/csv", "checksum": "sha256:" + "a" * 64} and tags == {"owner": "x", "n": 1}
    assert described({"type": "scan", "checksum": "md5:1"}) == ({}, {"type": "scan", "checksum": "md5:1"})
    with pytest.raises(BadTags):
        described({"tags": [1]})


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("-1.5", -1.5), ("1e3", 1000.0), ("007", "007"), ("1.2.3", "1.2.3"), ("True", True),
                                             ("nan", "nan"), ("", ""), ("9" * 40, "9" * 40)])
def test_cells_are_numbers_only_where_they_plainly_are(text: str, value: object) -> None:
    assert plain_value(text) == value and type(plain_value(text)) is type(value)


def test_the_order_of_tags_does_not_change_a_fingerprint() -> None:
    assert fingerprint(1, {"a": 1, "b": 2}) == fingerprint(1, {"b": 2, "a": 1}) != fingerprint(1, {"a": 1, "b": 3})


LAUGHS = "a: &a [x, x]\n" + "\n".join(f"b{n}: &b{n} [*{f'b{n - 1}' if n else 'a'}, *{f'b{n - 1}' if n else 'a'}]" for n in range(40))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "[" * 100_000, "- " * 100_000, "\n".join(" " * n + "a:" for n in range(3000)), "{a: [1,", LAUGHS,
                                  "a: !!python/object/apply:os.system [ls]", "d: 2020-13-45", "? [a]\n: 1", 'a: "\\ud800"', "a: b: c", b"\xff\xfe\x00",
                                  '{"a": 1, "a": 2}', '{"b": {"a": 1, "a": 1}}'])
def test_a_document_that_is_broken_or_hostile_is_refused_quickly(text: str | bytes) -> None:
    # Its own time: what else the machine does is no slowness of the reader.
    began = time.process_time()
    with pytest.raises(BadDocument):
        read_yaml(text)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("text", "value"), [
    ("1e-3", 0.001), ("1E5", 1e5), ("-2.5e+3", -2500.0), (".5", 0.5), ("1.", 1.0), ("1_000", 1000), ("0x1F", 31), ("0", 0), ("0.0", 0.0), ("-7", -7),
    ("007", "007"), ("010", "010"), ("12:30", "12:30"), ("1:30:00", "1:30:00"), ("1e", "1e"), ("e5", "e5"), ("1.2.3", "1.2.3"), ("00.5", "00.5"),
    ("2020-07-01", datetime.date(2020, 7, 1)), ("true", True), ("False", False), ("no", "no"), ("on", "on"), ("'1e-3'", "1e-3"),
])
def test_words_in_yaml_are_what_people_mean_by_them(text: str, value: object) -> None:
    found = read_yaml(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


def test_a_few_aliases_are_fine_and_a_value_within_itself_is_bounded() -> None:
    assert read_yaml("a: &x {n: 1}\nb: *x") == {"a": {"n": 1}, "b": {"n": 1}}
    with pytest.raises(BadTags):
        clean_tags(read_yaml("a: &x [*x]"))


def test_rows_of_a_table_with_a_wrong_number_of_cells_are_told_from_the_rest() -> None:
    rows = list(csv_rows(b'\xef\xbb\xbfpath,owner,n\na.csv,"dar,ren",7\nb.csv,x\nc.csv,,\n'))
    assert rows[0] == ("line 2", {"path": "a.csv", "owner": "dar,ren", "n": 7})
    assert "" in rows[1][1] and rows[2][1] == {"path": "c.csv"}
    # What pandas writes for its index is a column without a name.
    assert list(csv_rows(b",path,n\n0,a.csv,7\n")) == [("line 2", {"path": "a.csv", "n": 7})]
    for bad in (b"name\nx", b"path\n\xff", b"", b"path,owner,owner\na.csv,x,y\n"):
        with pytest.raises(BadDocument):
            list(csv_rows(bad))


@pytest.mark.parametrize(("name", "kind"), [("a.parquet", "application/vnd.apache.parquet"), ("A.CSV", "text/csv"), ("x.nii.gz", "application/x-nifti"),
                                            ("s.jsonl", "application/jsonl"), ("noending", "application/octet-stream"), (".hidden", "application/octet-stream"),
                                            ("p.png", "image/png"), ("s.dcm", "application/dicom")])
def test_media_types_come_from_names(name: str, kind: str) -> None:
    assert media_type(name) == kind
