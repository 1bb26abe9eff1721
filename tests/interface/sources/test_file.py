"""The adaptor ``file`` on real folders: what counts, what is named, what is never reached."""
from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from shared.kernel.errors import EdgemereError, Invalid
from shared.sources.file import stamp_of_ns
from shared.sources.port import Entry, Problem, SourcePolicy
from shared.sources.registry import check_parameters, open_source

OPEN = SourcePolicy()


def scan(root: Path, policy: SourcePolicy = OPEN, **parameters: Any) -> tuple[dict[str, Entry], list[Problem]]:
    kept = check_parameters("file", {"rootdir": str(root), **parameters}, policy)
    source = open_source("file", kept, policy)
    items = list(source.scan())
    source.close()
    entries = [item for item in items if isinstance(item, Entry)]
    assert len({entry.path for entry in entries}) == len(entries)
    json.dumps([entry.as_json() for entry in entries]).encode("utf-8")
    return {entry.path: entry for entry in entries}, [item for item in items if isinstance(item, Problem)]


def test_a_file_has_its_size_type_time_and_folder_tags(tmp_path: Path) -> None:
    there = tmp_path / "scans/site=lyon/a.csv"
    there.parent.mkdir(parents=True)
    there.write_text("1,2")
    os.utime(there, ns=(0, 1_600_000_000_123_456_789))
    entries, problems = scan(tmp_path)
    assert problems == []
    entry = entries["scans/site=lyon/a.csv"]
    assert (entry.name, entry.type, entry.size, entry.media_type) == ("a.csv", "file", 3, "text/csv")
    assert entry.modified_at == "2020-09-13T12:26:40.123456Z"
    assert entry.tags == {"site": "lyon", "folder": "scans/site=lyon", "folders": ["scans", "site=lyon"]}
    assert entry.uri == f"file://{there}"
    assert entry.checksum is None


def test_sidecars_and_listings_give_tags_and_are_no_data(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "a.csv.meta.yaml").write_text("owner: darren\ntype: table\ntags: {level: 3}\n")
    (tmp_path / "b.csv.meta.json").write_text('{"media_type": "text/x-special", "owner": "mira"}')
    (tmp_path / "datasource.yaml").write_text("a.csv: {owner: listing, project: x}\nnone.csv: {owner: y}\n")
    (tmp_path / "datasource.csv").write_text("path,cost\nc.csv,7\n./b.csv,8\n")
    entries, problems = scan(tmp_path)
    assert set(entries) == {"a.csv", "b.csv", "c.csv"}
    assert entries["a.csv"].tags == {"owner": "darren", "project": "x", "level": 3} and entries["a.csv"].type == "table"
    assert entries["b.csv"].tags == {"cost": 8, "owner": "mira"} and entries["b.csv"].media_type == "text/x-special"
    assert entries["c.csv"].tags == {"cost": 7}
    assert [(problem.code, problem.path) for problem in problems] == [("source.unlisted", "none.csv")]


def test_a_parquet_listing_gives_tags_whatever_the_folder_is_called(tmp_path: Path) -> None:
    import duckdb

    root = tmp_path / "odd *[x] 'name'"
    root.mkdir()
    (root / "a.bin").write_text("x")
    duckdb.connect().execute("COPY (SELECT 'a.bin' AS path, 'darren' AS owner, DATE '2020-07-01' AS taken, [1, 2] AS runs, NULL AS nothing, "
                             "'NaN'::DOUBLE AS unknown) "
                             f"TO '{tmp_path}/t.parquet' (FORMAT parquet)")
    os.rename(tmp_path / "t.parquet", root / "datasource.parquet")
    entries, problems = scan(root)
    assert problems == []
    assert entries["a.bin"].tags == {"owner": "darren", "taken": "2020-07-01", "runs": [1, 2]}


def test_a_broken_row_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "datasource.csv").write_text("path,n\na,1\nb\n../x,2\n/etc/passwd,3\na,4\n")
    entries, problems = scan(tmp_path)
    assert entries["a"].tags == {"n": 1}
    assert [(problem.code, problem.path) for problem in problems] == [("source.bad_row", f"line {n}") for n in (3, 4, 5, 6)]


def parquet_with_a_column(name: bytes) -> bytes:
    """A Parquet file with the columns ``path`` and one whose four bytes are no name that a library would write."""
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"], "zzzz": ["x"]}), out)
    return out.getvalue().replace(b"zzzz", name)


@pytest.mark.parametrize(("name", "content"), [("datasource.yaml", b"a: [1,"), ("datasource.yaml", b"just text"), ("datasource.csv", b"name\nx"),
                                               ("datasource.parquet", b"no parquet"), ("datasource.parquet", parquet_with_a_column(b"z\0\xffz")),
                                               ("datasource.json", b"\xff")])
def test_a_listing_that_cannot_be_parsed_is_refused_whole(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid) as caught:
        scan(tmp_path)
    assert caught.value.code == "source.bad_listing" and name in caught.value.detail


def test_broken_sidecars_are_named_and_their_data_stays(tmp_path: Path) -> None:
    for number, content in enumerate([b"a: [", b"- 1", b"t: \xff", b"a: .nan", b"x: y\n" * 300_000,
                                      b"{" + b",".join(b'"t%d":1' % n for n in range(20_000)) + b"}"]):
        (tmp_path / f"f{number}").write_text("x")
        (tmp_path / f"f{number}.meta.yaml").write_bytes(content)
    (tmp_path / "orphan.meta.json").write_text("{}")
    entries, problems = scan(tmp_path)
    assert set(entries) == {f"f{number}" for number in range(6)}
    assert all(entry.tags == {} for entry in entries.values())
    codes = {problem.path: problem.code for problem in problems}
    assert codes == {"f0": "source.bad_sidecar", "f1": "source.bad_sidecar", "f2": "source.bad_sidecar", "f3": "source.bad_tags",
                     "f4": "source.too_many_tags", "f5": "source.too_many_tags", "orphan": "source.bad_sidecar"}


def test_names_that_are_hard_are_found_and_opened_again(tmp_path: Path) -> None:
    names = [b"a b", b"q'\"", b"new\nline", b"caf\xe9", b"back\\slash", b"n" * 255, "ü€".encode(), b"-rf", b"%41", b"\x01", b".hidden"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as stream:
            stream.write(name)
    entries, problems = scan(tmp_path)
    assert problems == [] and len(entries) == len(names)
    source = open_source("file", {"rootdir": str(tmp_path)}, OPEN)
    contents = []
    for path, entry in entries.items():
        with source.open(path) as stream:
            contents.append(stream.read())
        assert source.stat(path).modified_at == entry.modified_at
    assert sorted(contents) == sorted(names)


def test_links_devices_sockets_and_pipes_are_named_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "real").write_text("x")
    (root / "to_file").symlink_to(outside / "secret")
    (root / "to_folder").symlink_to(outside)
    (root / "to_self").symlink_to(root)
    (root / "inside").symlink_to("real")
    (root / "broken").symlink_to("nothing")
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        entries, problems = scan(root)
        followed, _ = scan(root, SourcePolicy(follow_links=True))
    assert set(entries) == {"real"} and set(followed) == {"real", "inside"}
    assert {problem.path: problem.code for problem in problems} == {
        **dict.fromkeys(["to_file", "to_folder", "to_self", "inside", "broken"], "source.link_skipped"),
        **dict.fromkeys(["pipe", "socket"], "source.special_skipped")}
    for policy in (OPEN, SourcePolicy(follow_links=True)):
        source = open_source("file", {"rootdir": str(root)}, policy)
        for path in ("to_file", "to_folder/secret", "pipe", "../outside/secret", str(outside / "secret"), "to_self/real"):
            with pytest.raises(EdgemereError):
                source.open(path)


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_scanned(tmp_path: Path) -> None:
    # As root nothing is unreadable; a folder that vanishes under the scan is met the same way by everybody.
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    source = open_source("file", {"rootdir": str(tmp_path)}, OPEN)
    walk = source.scan()
    first = next(walk)
    assert isinstance(first, Entry)
    other = "a" if first.path == "b/f" else "b"
    (tmp_path / other / "f").unlink()
    (tmp_path / other).rmdir()
    rest = list(walk)
    assert [(item.path, item.code) for item in rest if isinstance(item, Problem)] == [(other + "/", "source.unreadable")]


def test_what_belongs_to_the_mover_is_never_data(tmp_path: Path) -> None:
    (tmp_path / ".edgemere-trash").mkdir()
    for name in (".edgemere-0123.part", ".edgemere-trash/k", "real"):
        (tmp_path / name).write_text("x")
    assert set(scan(tmp_path)[0]) == {"real"}


def test_patterns_choose_what_counts(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt", "tmp/c.csv", "deep/tmp/d.csv", "deep/e.csv", ".h.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert set(scan(tmp_path, include=["*.csv"], hidden=False)[0]) == {"a.csv", "tmp/c.csv", "deep/tmp/d.csv", "deep/e.csv"}
    assert set(scan(tmp_path, exclude=["tmp/", "*.txt"])[0]) == {"a.csv", "deep/e.csv", ".h.csv"}
    assert set(scan(tmp_path, include="deep/*", exclude=["deep/tmp/*"])[0]) == {"deep/e.csv"}


def test_a_fingerprint_changes_with_bytes_and_tags_only(tmp_path: Path) -> None:
    there = tmp_path / "a"
    there.write_text("x")
    first = scan(tmp_path)[0]["a"].fingerprint
    assert scan(tmp_path)[0]["a"].fingerprint == first
    (tmp_path / "a.meta.yaml").write_text("owner: x")
    second = scan(tmp_path)[0]["a"].fingerprint
    os.utime(there, ns=(0, there.stat().st_mtime_ns + 1))
    assert len({first, second, scan(tmp_path)[0]["a"].fingerprint}) == 3


@pytest.mark.parametrize(("given", "code"), [
    ({}, "source.bad_parameters"), ({"rootdir": "relative"}, "source.bad_parameters"), ({"rootdir": 7}, "source.bad_parameters"),
    ({"rootdir": "/x\0y"}, "source.bad_parameters"), ({"rootdir": "/", "writeable": True}, "source.bad_parameters"),
    ({"rootdir": "/", "writable": "yes"}, "source.bad_parameters"), ({"rootdir": "/", "include": [1]}, "source.bad_parameters"),
    ({"rootdir": "/nonexistent/folder"}, "source.rootdir_missing"), ({"rootdir": "/etc/passwd"}, "source.rootdir_missing"),
    ({"rootdir": "/", "listing": "../x"}, "source.bad_path"),
])
def test_parameters_that_do_not_fit_are_refused(given: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_parameters("file", given, OPEN)
    assert caught.value.code == code


def test_an_unknown_adaptor_or_parameter_names_the_nearest() -> None:
    with pytest.raises(Invalid, match="Did you mean 'file'"):
        check_parameters("fil", {}, OPEN)
    with pytest.raises(Invalid, match="Did you mean 'rootdir'"):
        check_parameters("file", {"rootdri": "/"}, OPEN)


def test_only_allowed_roots_and_never_the_orchestrators_own(tmp_path: Path) -> None:
    for name in ("allowed/in", "own/db", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "allowed/link").symlink_to(tmp_path / "other")
    policy = SourcePolicy(allowed_roots=[str(tmp_path / "allowed")])
    assert check_parameters("file", {"rootdir": f"{tmp_path}/allowed/./in/"}, policy)["rootdir"] == f"{tmp_path}/allowed/in"
    own = SourcePolicy(forbidden_roots=[str(tmp_path / "own")])
    for rootdir, rule in ((tmp_path / "other", policy), (tmp_path / "allowed/link", policy), (f"{tmp_path}/allowed/../other", policy),
                          (tmp_path / "allowed-not", policy), (tmp_path / "own", own), (tmp_path / "own/db", own), (tmp_path, own), ("/", own)):
        with pytest.raises(Invalid) as caught:
            check_parameters("file", {"rootdir": str(rootdir)}, rule)
        assert caught.value.code == "source.rootdir_not_allowed", rootdir


def test_times_before_1970_and_far_away_have_a_stamp() -> None:
    assert stamp_of_ns(-1) == "1969-12-31T23:59:59.999999Z"
    assert stamp_of_ns(10**30).startswith("9999")


def test_a_simulated_source_is_its_listing(tmp_path: Path) -> None:
    listing = "scans/a.nii: {type: file, size: 1024, tags: {owner: darren, taken: 2020-07-01}}\nb: {size: -1}\nc: {type: fil}\n../d: {}\n"
    kept = check_parameters("simulated", {"listing": listing}, OPEN)
    items = list(open_source("simulated", kept, OPEN).scan())
    entry, = [item for item in items if isinstance(item, Entry)]
    assert (entry.path, entry.name, entry.size, entry.media_type, entry.uri) == ("scans/a.nii", "a.nii", 1024, "application/x-nifti", None)
    assert entry.tags == {"folder": "scans", "folders": ["scans"], "owner": "darren", "taken": "2020-07-01"}
    assert [problem.path for problem in items if isinstance(problem, Problem)] == ["'b'", "'c'", "'../d'"]
    for bad in ("a: [1,", "text", None, "a: &a [x]\nb: &b [" + "*a," * 5000 + "]"):
        with pytest.raises(Invalid):
            check_parameters("simulated", {"listing": bad}, OPEN)
