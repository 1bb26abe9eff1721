"""Copies to, from and within an object store, against a real S3 server."""
from __future__ import annotations

import hashlib
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.instances.mover import uploads as noted
from shared.hosting.workers import WorkerPool
from shared.kernel.errors import Unavailable
from shared.sources.port import SourcePolicy
from shared.sources.registry import open_source
from tests.interface.mover.conftest import Bench, bench, item, results_of  # noqa: F401  (the fixture)
from tests.support.awaiting import until
from tests.support.object_store import SECRET, ObjectStore

_buckets = itertools.count()
BIG = os.urandom(1 << 20) * 40


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.fixture
def name(store: ObjectStore) -> str:
    name = f"mover-{next(_buckets)}"
    store.fs.mkdir(name)
    return name


@pytest.fixture
def world(bench: Bench, store: ObjectStore, name: str) -> Bench:  # noqa: F811
    """A mover with ``t``, a place in the store, beside its two folders ``s`` and ``f``."""
    bench.sources["f"] = bench.sources["t"]
    bench.sources["t"] = {"adaptor": "fsspec", "parameters": store.parameters(f"{name}/in", writable=True)}
    bench.policy = {"allowed_hosts": ["127.0.0.1"]}
    return bench


def kill_in_an_upload(world: Bench, store: ObjectStore, name: str, handle: Any) -> None:
    """Kill the worker of ``handle`` once the store has a part of what it uploads."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = store.fs.call_s3("list_multipart_uploads", Bucket=name).get("Uploads") or ()
        if found and store.fs.call_s3("list_parts", Bucket=name, Key=found[0]["Key"], UploadId=found[0]["UploadId"]).get("Parts"):
            break
        time.sleep(0.01)
    os.kill(world.pool.pids()[0], signal.SIGKILL)
    with pytest.raises(Unavailable, match="worker.died"):
        list(handle)


def uploads(store: ObjectStore, name: str) -> list[str]:
    return [one["Key"] for one in store.fs.call_s3("list_multipart_uploads", Bucket=name).get("Uploads") or ()]


@pytest.mark.parametrize("size", [0, 5, 16 << 20, (40 << 20) + 1])
def test_a_file_is_copied_into_the_store_and_back(world: Bench, store: ObjectStore, name: str, size: int) -> None:
    content = (BIG + b"x")[:size]
    world.file("a/x.bin", content)
    there = world.one("copy", item("k", "a/x.bin"))
    assert there["ok"] and there["checksum"] == sha(content) and there["uri"] == f"s3://{name}/in/i/a/x.bin" and there["path"] is None
    assert store.fs.cat_file(f"{name}/in/i/a/x.bin") == content
    assert store.fs.find(name) == [f"{name}/in/i/a/x.bin"] and uploads(store, name) == []
    back = {"key": "back", "source": "t", "path": "i/a/x.bin", "target": "f", "target_path": "b/x.bin"}
    assert world.one("copy", back)["checksum"] == sha(content)
    assert (world.target / "b/x.bin").read_bytes() == content
    # Asked again, both find what is there.
    assert world.one("copy", item("k", "a/x.bin"))["checksum"] == sha(content)
    assert world.one("copy", back)["ok"]


def test_a_copy_never_replaces_an_object(world: Bench, store: ObjectStore, name: str) -> None:
    store.fs.pipe_file(f"{name}/in/i/x", b"mine")
    world.file("x", b"other")
    assert world.one("copy", item("k", "x"))["error"]["code"] == "target.exists"
    assert store.fs.cat_file(f"{name}/in/i/x") == b"mine"


def test_the_store_copies_within_itself(world: Bench, store: ObjectStore, name: str) -> None:
    store.fs.pipe_file(f"{name}/from/x", BIG)
    world.sources["other"] = {"adaptor": "fsspec", "parameters": store.parameters(f"{name}/from")}
    result = world.one("copy", {**item("k", "x"), "source": "other"})
    assert result["ok"] and result["checksum"] == sha(BIG)
    assert store.fs.cat_file(f"{name}/in/i/x") == BIG


def test_discard_restore_and_purge_of_an_object(world: Bench, store: ObjectStore, name: str) -> None:
    world.file("x", b"content")
    copy = item("k", "x")
    assert world.one("copy", copy)["ok"]
    assert world.one("discard", copy)["trashed"] is True
    assert world.one("discard", copy)["trashed"] is False
    assert not store.fs.exists(f"{name}/in/i/x")
    assert world.one("restore", copy)["checksum"] == sha(b"content")
    assert world.one("purge", copy)["purged"] is True
    assert store.fs.find(name) == []
    store.fs.pipe_file(f"{name}/in/i/x", b"mine")
    assert world.one("discard", copy)["foreign"] is True and world.one("purge", copy)["purged"] is False
    assert store.fs.exists(f"{name}/in/i/x")


def test_a_copy_is_no_item_of_its_target_and_what_was_moved_there_is(world: Bench, store: ObjectStore, name: str) -> None:
    world.file("x", b"copied")
    world.file("y", b"moved")
    assert world.one("copy", item("k", "x"))["ok"]
    moved = world.one("copy", {**item("m", "y", "y"), "moves": True})
    assert moved["ok"]
    place = world.sources["t"]
    found = list(open_source(place["adaptor"], place["parameters"], SourcePolicy(allowed_hosts=["127.0.0.1"])).scan())
    assert [entry.path for entry in found] == ["y"] and found[0].fingerprint == moved["fingerprint"]


def test_an_upload_killed_half_way_leaves_no_object_and_goes_on_where_it_was(world: Bench, store: ObjectStore, name: str) -> None:
    world.file("x", BIG * 4)
    handle = world.submit("copy", item("k", "x"))
    kill_in_an_upload(world, store, name, handle)
    assert not store.fs.exists(f"{name}/in/i/x")
    result = world.one("copy", item("k", "x"))
    assert result["ok"] and result["resumed_bytes"] > 0 and result["checksum"] == sha(BIG * 4)
    assert uploads(store, name) == [] and store.fs.find(name) == [f"{name}/in/i/x"]


DYING = """import os, runpy, signal
from services.instances.mover import uploads
write = uploads._write
uploads._write = lambda target, note, said: os.kill(os.getpid(), signal.SIGKILL) if "upload" in said else write(target, note, said)
runpy.run_module("services.instances.mover", run_name="__main__")"""


@pytest.mark.parametrize(("path", "large"), [("x", "x"), ("day.zarr", "day.zarr/0/large")])
def test_an_upload_whose_mover_dies_before_it_is_noted_is_known_and_ended_and_no_other_is(
        world: Bench, store: ObjectStore, name: str, path: str, large: str) -> None:
    world.file(large, BIG)
    world.sources["s"]["parameters"]["folders_as_data"] = ["*.zarr"]
    world.sources["t"]["parameters"]["folders_as_data"] = ["*.zarr"]
    key = f"in/i/{large}"
    others = [store.fs.call_s3("create_multipart_upload", Bucket=name, Key=one)["UploadId"] for one in (key, key + "y")]

    def left() -> list[str]:
        return [one["UploadId"] for one in store.fs.call_s3("list_multipart_uploads", Bucket=name).get("Uploads") or () if one["UploadId"] not in others]
    for turn in ("another attempt", "an audit"):
        dying, world.pool = world.pool, WorkerPool([sys.executable, "-c", DYING], name="dying")
        try:
            with pytest.raises(Unavailable, match="worker.died"):
                list(world.submit("copy", item("inst:data", path)))
        finally:
            world.pool.stop()
            world.pool = dying
        assert len(left()) == 1, "nobody has told its id to anybody"
        own = [*open_source("fsspec", world.sources["t"]["parameters"], SourcePolicy(allowed_hosts=("127.0.0.1",))).own()]
        assert [(one["key"], one["path"], one["place"]) for one in own] == [("inst:data", f"i/{path}", "part")]
        if turn == "another attempt":
            result = world.one("copy", item("inst:data", path))
            assert result["ok"] and left() == [] and store.fs.find(name) == [f"{name}/{key}"]
        assert world.one("purge", {"key": own[0]["key"], "target": "t", "target_path": own[0]["path"]})["purged"]
        assert left() == [] and store.fs.find(name) == []
    assert len(uploads(store, name)) == 2, "what others have begun, at the same name too, is theirs"


@pytest.mark.parametrize(("upload", "after_s", "named"), [
    ({}, 0.5, True), ({}, 119, True), ({}, -0.9, True), ({}, 121, False), ({}, -2, False),
    ({"Key": "in/xy"}, 0.5, False), ({"UploadId": "older"}, 0.5, False)])
def test_of_the_uploads_to_an_object_the_one_that_began_right_after_its_note_is_meant(upload: dict[str, str], after_s: float, named: bool) -> None:
    written = datetime(2026, 11, 27, tzinfo=timezone.utc)
    note = {"key": "k", "path": "x", "object": "in/x", "before": ["older"], "written": written}
    found = {"Key": "in/x", "UploadId": "new", "Initiated": written + timedelta(seconds=after_s), **upload}
    assert noted._is_named(found, note) is named
    assert noted._is_named(found, {**note, "upload": "new"}) is (found["UploadId"] == "new"), "one whose id is noted is told by that"


DENIED = """import runpy
from services.instances.mover import uploads
from shared.kernel.errors import Denied
def under(*_):
    raise Denied("target.access_denied", "The store denies it.")
uploads.under = under
runpy.run_module("services.instances.mover", run_name="__main__")"""


def test_who_may_not_list_uploads_copies_and_goes_on_all_the_same(world: Bench, store: ObjectStore, name: str) -> None:
    world.file("x", BIG * 4)
    world.pool.stop()
    world.pool = WorkerPool([sys.executable, "-c", DENIED], name="denied")
    kill_in_an_upload(world, store, name, world.submit("copy", item("k", "x")))
    assert world.one("purge", item("k", "x"))["purged"] and uploads(store, name) == [] and store.fs.find(name) == []
    result = world.one("copy", item("k", "x"))
    assert result["ok"] and uploads(store, name) == [] and store.fs.find(name) == [f"{name}/in/i/x"]


def test_a_download_killed_half_way_goes_on_by_range(world: Bench, store: ObjectStore, name: str) -> None:
    store.fs.pipe_file(f"{name}/in/x", BIG * 4)
    copy = {"key": "k", "source": "t", "path": "x", "target": "f", "target_path": "x"}
    handle = world.submit("copy", copy)
    until(lambda: list(world.target.rglob("*.part.state")), pause_s=0.001)
    os.kill(world.pool.pids()[0], signal.SIGKILL)
    with pytest.raises(Unavailable):
        list(handle)
    result = world.one("copy", copy)
    assert result["ok"] and result["resumed_bytes"] > 0 and result["checksum"] == sha(BIG * 4)
    assert world.left() == ["x"]


def test_cancel_stops_an_upload_long_before_it_would_end_and_nothing_stays(world: Bench, store: ObjectStore, name: str) -> None:
    world.sparse("x", 8 << 30)
    handle = world.submit("copy", item("k", "x"))
    until(lambda: uploads(store, name))
    began = time.monotonic()
    handle.cancel()
    assert results_of(handle, 1)["k"]["error"]["code"] == "cancelled"
    assert time.monotonic() - began < 30  # a second on a machine of its own
    assert uploads(store, name) == [] and store.fs.find(name) == []


def test_an_object_that_is_not_what_the_catalogue_says_is_refused(world: Bench, store: ObjectStore, name: str) -> None:
    store.fs.pipe_file(f"{name}/in/x", b"content")
    copy = {"key": "k", "source": "t", "path": "x", "target": "f", "target_path": "x"}
    assert world.one("copy", {**copy, "size": 4})["error"]["code"] == "source.changed"
    assert world.one("copy", {**copy, "checksum": sha(b"other")})["error"]["code"] == "checksum_mismatch"
    assert world.left() == []


class Refusing:
    """A store that answers every request in one way."""

    def __init__(self, status: int, code: str, pause_s: float = 0.0) -> None:
        self.asked = 0
        refusing = self
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                refusing.asked += 1
                time.sleep(pause_s)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, *_: Any) -> None:
                return None

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def refusing() -> Iterator[Any]:
    made: list[Refusing] = []

    def make(*of: Any) -> Refusing:
        made.append(Refusing(*of))
        return made[-1]
    yield make
    for one in made:
        one.server.shutdown()


@pytest.mark.parametrize(("status", "said", "code", "retryable"), [
    (503, "SlowDown", "throttled", True), (403, "AccessDenied", "access_denied", False), (404, "NoSuchBucket", "", False)])
def test_a_store_that_refuses_is_named_and_asked_only_a_few_times(
        world: Bench, refusing: Any, status: int, said: str, code: str, retryable: bool) -> None:
    server = refusing(status, said)
    world.file("x", b"content")
    options = {"key": "k", "secret": {"secret": "TEST_STORE"}, "endpoint_url": f"http://127.0.0.1:{server.server.server_port}"}
    world.sources["r"] = {"adaptor": "fsspec", "parameters": {"url": "s3://b/p", "storage_options": options, "writable": True}}
    began = time.monotonic()
    read = world.one("copy", {"key": "k", "source": "r", "path": "x", "target": "f", "target_path": "x", "size": 7})["error"]
    put = world.one("copy", {**item("l", "x"), "target": "r"})["error"]
    if code:
        assert (read["code"], read["retryable"]) == (f"source.{code}", retryable)
        assert (put["code"], put["retryable"]) == (f"target.{code}", retryable)
    else:
        assert read["code"] in ("source.vanished", "source.bucket_missing") and not put["retryable"]
    assert time.monotonic() - began < 120 and server.asked < 60
    assert SECRET not in repr((read, put)) and world.left() == []


def test_a_secret_that_is_not_there_is_named_and_no_other_can_be_read(world: Bench, store: ObjectStore, name: str) -> None:
    world.file("x")
    options = world.sources["t"]["parameters"]["storage_options"]
    options["secret"] = {"secret": "NOT_THERE"}
    assert world.one("copy", item("k", "x"))["error"]["code"] == "source.secret_missing"
    options["secret"] = "${HOME}"
    error = world.one("copy", item("k", "x"))["error"]
    assert error["code"] == "source.secret_not_allowed" and os.environ["HOME"] not in error["detail"]
