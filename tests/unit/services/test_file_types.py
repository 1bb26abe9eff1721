"""What the first bytes say, against what a name or media type says."""
from __future__ import annotations

import gzip
import json
import sqlite3
import tarfile
import wave
import zipfile
from pathlib import Path

import numpy
import pyarrow
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from services.instances.mover.file_types import HEAD, KINDS, named, seen, unlike

TEXTS = [b"a,b\n1,2\n", b'{"a": 1}', b"BM,width\n1,2\n", b"PARENT,CHILD\n", b"MZ,1\n", b"the wide world, and free of ftyp", "f\u00fcnf\n".encode("latin-1"),
         "one\n".encode("utf-16"), b"\xef\xbb\xbfa,b", b"ORCA,1\n", b"#!/bin/sh\n"]


def real(folder: Path) -> dict[str, bytes]:
    """Files as the programs that people use write them."""
    table = pyarrow.table({"a": [1, 2]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    pyarrow.orc.write_table(table, folder / "a.orc")
    pyarrow.feather.write_feather(table, str(folder / "a.feather"))
    numpy.save(folder / "a.npy", numpy.zeros(3))
    numpy.savez(folder / "a.npz", numpy.zeros(3))
    with sqlite3.connect(folder / "a.sqlite") as database:
        database.execute("CREATE TABLE a (b)")
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"a,b"))
    with tarfile.open(folder / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    with zipfile.ZipFile(folder / "a.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    with wave.open(str(folder / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
    (folder / "a.ipynb").write_text(json.dumps({"cells": []}))
    return {path.name: path.read_bytes()[:HEAD] for path in folder.iterdir()}


def test_files_as_programs_write_them_are_what_their_names_say_and_nothing_else(tmp_path: Path) -> None:
    files = real(tmp_path)
    assert len(files) == 11
    for name, head in files.items():
        assert named(name, None) is not None and unlike(name, None, head) is None, name
        others = {other for other, head_of in files.items() if unlike(name, None, head_of) is None}
        assert others == ({"a.docx", "a.npz"} if name in ("a.docx", "a.npz") else {name}), f"{name} could be {others}"
        assert (unlike("x.csv", None, head) is None) == (name == "a.ipynb"), f"{name} as text"


@pytest.mark.parametrize("content", TEXTS)
def test_text_is_text_however_it_begins_and_none_of_the_rest(content: bytes) -> None:
    assert unlike("x.txt", None, content) is None and seen(content).name == "text"
    assert unlike("x.png", None, content) == ("a PNG image", "text")


def test_a_program_is_none_of_what_data_is_called() -> None:
    with open("/proc/self/exe", "rb") as program:
        head = program.read(HEAD)
    for kind in KINDS:
        for suffix in kind.suffixes:
            if kind.name != "a program for Linux":
                assert unlike(f"x.{suffix}", None, head) == (kind.name, "a program for Linux"), suffix
    assert unlike("x.csv", None, b"MZ\x90\0\x03\0\0\0") == ("text", "a program for Windows")
    assert unlike("x.csv", None, b"%PDF-1.7\nletters") == ("text", "a PDF document")


def test_the_name_is_believed_before_the_media_type_and_where_neither_says_anything_everything_passes() -> None:
    png = b"\x89PNG\r\n\x1a\n"
    assert unlike("folder.csv/x.PNG", "text/csv", png) is None
    assert unlike("served", "image/png; charset=binary", png) is None
    assert unlike("served", "text/plain", png) == ("text", "a PNG image")
    for name, media_type in (("x.dat", None), ("x", "application/octet-stream"), (".png", None), ("x.", None)):
        assert unlike(name, media_type, b"text") is None
    assert unlike("x.png", None, b"") is None, "nothing says nothing"
    assert unlike("x.png", None, bytes(100)) == ("a PNG image", "something else")


def test_no_name_is_two_kinds() -> None:
    suffixes = [suffix for kind in KINDS for suffix in kind.suffixes]
    media_types = [media_type for kind in KINDS for media_type in kind.media_types]
    assert len(set(suffixes)) == len(suffixes) and len(set(media_types)) == len(media_types)
