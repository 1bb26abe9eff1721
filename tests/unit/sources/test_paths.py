"""Names of files become text and back without loss, and never lead out of a source."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import Invalid
from shared.sources.paths import file_uri, from_bytes, openable, target_path, to_bytes

names = st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & {0, 47} and b not in (b".", b".."))


@given(st.lists(names, min_size=1, max_size=4))
def test_every_file_name_becomes_text_and_the_same_bytes_again(parts: list[bytes]) -> None:
    native = b"/".join(parts)
    text = from_bytes(native)
    assert to_bytes(text) == native
    text.encode("utf-8")
    assert "\0" not in text


@given(st.lists(names, min_size=1, max_size=3, unique=True))
def test_two_names_never_meet_in_one_target_and_the_target_is_utf8(parts: list[bytes]) -> None:
    targets = {target_path("i-0", from_bytes(part)) for part in parts}
    assert len(targets) == len(parts)
    for target in targets:
        assert openable(to_bytes(target)) is not None


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\0b", "a\\b", "a\\xZZ", "\ud800", "x" * 256, None, 5, ["a"]])
def test_a_path_that_leads_elsewhere_is_refused(path: object) -> None:
    with pytest.raises(Invalid) as caught:
        to_bytes(path)  # type: ignore[arg-type]
    assert caught.value.code == "source.bad_path"


def test_names_stay_as_they_are_where_they_can() -> None:
    assert from_bytes("données/a b'\"\n.csv".encode()) == "données/a b'\"\n.csv"
    assert from_bytes(b"caf\xe9\\.txt") == "caf\\xe9\\\\.txt"
    assert target_path("training-0", "scans/a.nii") == "training-0/scans/a.nii"


def test_a_name_of_300_bytes_is_shortened_and_keeps_its_ending() -> None:
    short = target_path("i", "n" * 300 + ".csv").partition("/")[2]
    assert len(short) == 255 and short.endswith(".csv")
    assert short != target_path("i", "n" * 301 + ".csv").partition("/")[2]


def test_what_begins_like_an_unfinished_copy_is_renamed() -> None:
    assert not target_path("i", ".edgemere-trash").partition("/")[2].startswith(".edgemere-")


def test_uris_hold_every_byte() -> None:
    assert file_uri(b"/a b/caf\xe9%#?.txt") == "file:///a%20b/caf%E9%25%23%3F.txt"
    assert openable(b"/caf\xe9") is None
