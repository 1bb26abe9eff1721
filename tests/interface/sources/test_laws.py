"""The laws of sources: what holds for every adaptor that has bytes."""
from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import EdgemereError, Invalid, NotFound
from shared.sources.port import Entry, Problem, Source, SourcePolicy
from shared.sources.registry import check_parameters, open_source
from tests.interface.sources.test_http import Site

POLICY = SourcePolicy(allowed_hosts=["127.0.0.1"])
BODIES = {"a/one.csv": b"1,2\n" * 50, "a/b/two.bin": bytes(range(256)) * 40_000, "empty.txt": b""}
_buckets = itertools.count()


@dataclass
class World:
    """A source with three items, and ways to change and remove one of them."""

    adaptor: str
    parameters: dict[str, Any]
    change: Callable[[], None]
    remove: Callable[[], None]
    paths: set[str]
    changed: str

    def open(self) -> Source:
        return open_source(self.adaptor, check_parameters(self.adaptor, self.parameters, POLICY), POLICY)


def folder(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    root = tmp_path / "root"
    for path, body in BODIES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(body)
    return World("file", {"rootdir": str(root)}, lambda: (root / "a/one.csv").write_bytes(b"new"), (root / "a/one.csv").unlink,
                 set(BODIES), "a/one.csv")  # type: ignore[arg-type]


def site(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    site = Site()
    request.addfinalizer(site.server.shutdown)
    site.bodies.update({f"/{path}": body for path, body in BODIES.items()})
    return World("http", {"base_url": site.url, "listing": list(BODIES)}, lambda: site.bodies.update({"/a/one.csv": b"new"}),
                 lambda: site.bodies.pop("/a/one.csv"), set(BODIES), "a/one.csv")  # type: ignore[arg-type, return-value]


def bucket(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    store = request.getfixturevalue("store")
    name = f"laws-{next(_buckets)}"
    store.fs.mkdir(name)
    for path, body in BODIES.items():
        store.fs.pipe_file(f"{name}/lab/{path}", body)
    store.fs.pipe_file(f"{name}/laboratory/not-below", b"x")
    return World("fsspec", store.parameters(f"{name}/lab"), lambda: store.fs.pipe_file(f"{name}/lab/a/one.csv", b"new"),
                 lambda: store.fs.rm_file(f"{name}/lab/a/one.csv"), set(BODIES), "a/one.csv")


def other(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    """Another file system of fsspec: the way that all but S3 go."""
    import fsspec

    name, memory = f"laws-{next(_buckets)}", fsspec.filesystem("memory")
    for path, body in BODIES.items():
        memory.pipe_file(f"/{name}/{path}", body)
    return World("fsspec", {"url": f"memory://{name}"}, lambda: memory.pipe_file(f"/{name}/a/one.csv", b"new"),
                 lambda: memory.rm_file(f"/{name}/a/one.csv"), set(BODIES), "a/one.csv")


def database(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    file = tmp_path / "lab.db"

    def run(script: str) -> None:
        connection = sqlite3.connect(file)
        connection.executescript(script)
        connection.close()
    run("CREATE TABLE one (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO one VALUES (1, 'a'), (2, 'b');"
        "CREATE TABLE two (x REAL); CREATE TABLE none (y TEXT);")
    return World("sql", {"url": f"sqlite:///{file}", "format": "csv"}, lambda: run("UPDATE one SET name = 'z' WHERE id = 1"),
                 lambda: run("DROP TABLE one"), {"one.csv", "two.csv", "none.csv"}, "one.csv")


@pytest.fixture(params=[folder, site, bucket, other, database], ids=lambda made: made.__name__)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return request.param(tmp_path, request)


@pytest.fixture
def source(world: World) -> Iterator[Source]:
    source = world.open()
    yield source
    source.close()
    source.close()


def entries(source: Source) -> dict[str, Entry]:
    found = list(source.scan())
    assert [item for item in found if isinstance(item, Problem)] == []
    assert len({item.path for item in found}) == len(found)
    return {item.path: item for item in found}


def whole(source: Source, path: str, offset: int = 0) -> bytes:
    with source.open(path, offset) as stream:
        pieces = []
        while piece := stream.read(100_000):
            pieces.append(piece)
        return b"".join(pieces)


def test_a_scan_gives_every_item_once_and_each_can_be_read(world: World, source: Source) -> None:
    found = entries(source)
    assert set(found) == world.paths
    for path, entry in found.items():
        assert entry.name == path.rpartition("/")[2] and entry.uri
        content = whole(source, path)
        assert entry.size in (None, len(content))
        if path in BODIES:
            assert content == BODIES[path]


def test_reading_from_an_offset_gives_the_rest(world: World, source: Source) -> None:
    for path in world.paths:
        content = whole(source, path)
        for offset in (1, len(content) // 2):
            if offset < len(content):
                assert whole(source, path, offset) == content[offset:]


def test_an_item_that_did_not_change_looks_the_same(world: World, source: Source) -> None:
    first, again = entries(source), entries(source)
    assert {path: entry.fingerprint for path, entry in first.items()} == {path: entry.fingerprint for path, entry in again.items()}
    for path in world.paths:
        with source.open(path) as stream:
            assert stream.stat == source.stat(path)  # type: ignore[attr-defined]


def test_a_change_is_noticed_by_stat_and_by_scan(world: World, source: Source) -> None:
    before, stat = entries(source), source.stat(world.changed)
    world.change()
    assert source.stat(world.changed) != stat
    after = entries(source)
    assert {path for path in world.paths if before[path].fingerprint != after[path].fingerprint} == {world.changed} or world.adaptor == "sql"
    assert before[world.changed].fingerprint != after[world.changed].fingerprint


def test_what_is_gone_is_said_to_have_vanished(world: World, source: Source) -> None:
    world.remove()
    for look in (source.stat, source.open):
        with pytest.raises(NotFound) as refused:
            look(world.changed)
        assert refused.value.code == "source.vanished"


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../x", "", "a//b", "nul\0"])
def test_no_path_leads_out(source: Source, path: str) -> None:
    for look in (source.stat, source.open):
        with pytest.raises(Invalid) as refused:
            look(path)
        assert refused.value.code == "source.bad_path"


def test_where_an_item_is_can_be_told_without_secrets(world: World, source: Source) -> None:
    for path in world.paths:
        where = source.locate(path)
        assert where["uri"] and "test-secret" not in where["uri"]
        assert (where["path"] is not None) == (world.adaptor == "file")


@pytest.mark.parametrize("adaptor", ["file", "http", "fsspec", "sql"])
def test_an_unknown_parameter_is_refused_with_its_place(adaptor: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_parameters(adaptor, {"rotdir": "/"}, POLICY)
    assert refused.value.errors[0]["pointer"] == "/parameters/rotdir"


@pytest.mark.parametrize(("adaptor", "parameters", "code"), [
    ("fsspec", {"url": "file:///etc"}, "source.bad_parameters"),
    ("fsspec", {"url": "simplecache::s3://b/k"}, "source.bad_parameters"),
    ("fsspec", {"url": "s3://b/../k"}, "source.bad_parameters"),
    ("fsspec", {"url": "s3://user:pw@b/k"}, "source.bad_parameters"),
    ("fsspec", {"url": "s3://b", "storage_options": {"endpoint_url": "http://169.254.169.254/"}}, "source.address_not_allowed"),
    ("fsspec", {"url": "s3://b", "storage_options": {"client_kwargs": {"endpoint_url": "http://localhost:9"}}}, "source.address_not_allowed"),
    ("fsspec", {"url": "sftp://10.0.0.1/x"}, "source.address_not_allowed"),
    ("fsspec", {"url": "s3://b", "storage_options": {"profile": "admin"}}, "source.bad_parameters"),
    ("fsspec", {"url": "s3://b", "storage_options": {"client_kwargs": {"verify": "/etc/shadow"}}}, "source.bad_parameters"),
    ("fsspec", {"url": "sftp://example.org/x", "storage_options": {"key_filename": "/srv/keys/id"}}, "source.bad_parameters"),
    ("fsspec", {"url": "gs://b", "writable": True}, "source.bad_parameters"),
    ("sql", {"url": "sqlite:///relative.db"}, "source.bad_parameters"),
    ("sql", {"url": "postgresql://u:hunter2@db/x"}, "source.bad_parameters"),
    ("sql", {"url": "postgresql://u@127.0.0.2/x"}, "source.address_not_allowed"),
    ("sql", {"url": "sqlite:////tmp/x.db", "queries": {"q": "DELETE FROM x"}}, "source.bad_parameters"),
    ("sql", {"url": "sqlite:////tmp/x.db", "queries": {"q": "SELECT 1; DROP TABLE x"}}, "source.bad_parameters"),
    ("sql", {"url": "sqlite:////tmp/x.db", "format": "xls"}, "source.bad_parameters"),
])
def test_what_no_source_may_be_is_refused_with_its_place(adaptor: str, parameters: dict[str, Any], code: str) -> None:
    with pytest.raises(EdgemereError) as refused:
        check_parameters(adaptor, parameters, SourcePolicy())
    assert refused.value.code == code and refused.value.errors[0]["pointer"].startswith("/parameters/")
    assert "hunter2" not in str(refused.value)


def test_a_database_outside_the_allowed_roots_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refused:
        check_parameters("sql", {"url": f"sqlite:///{tmp_path}/x.db"}, SourcePolicy(allowed_roots=["/srv"]))
    assert refused.value.code == "source.rootdir_not_allowed"
    os.makedirs(tmp_path / "own")
    with pytest.raises(Invalid):
        check_parameters("sql", {"url": f"sqlite:///{tmp_path}/own/x.db"}, SourcePolicy(forbidden_roots=[str(tmp_path / "own")]))
