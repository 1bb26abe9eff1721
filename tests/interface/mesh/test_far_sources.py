"""Object stores and databases as sources of a running mesh: to, from, read through, moved, and never a secret in sight."""
from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import awaiting
from tests.support.object_store import SECRET, ObjectStore
from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
BODY = os.urandom(1 << 20) * 20


class Lab:
    """One mesh, one store, and a folder for files; ``environment`` is added to the server's."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.store = folder, ObjectStore()
        self.server = EdgemereServer(folder / "server", environment={"EDGEMERE_SECRET_TEST_STORE": SECRET, **environment})
        self.server.start()
        self.said: list[str] = []

    def stop(self) -> None:
        self.server.stop()
        self.store.stop()

    def call(self, path: str, expect: tuple[int, ...] = (200, 201, 202), **body: Any) -> Any:
        request = urllib.request.Request(self.server.url + path, json.dumps(body).encode() if body else None,
                                         {"Content-Type": "application/json", "Prefer": "wait=60"})
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        self.said.append(text)
        assert status in expect, text
        return json.loads(text)

    def source(self, name: str, adaptor: str, parameters: dict[str, Any], **more: Any) -> Any:
        return self.call(f"{FMDM}/datasource/create", name=name, adaptor=adaptor, parameters=parameters, **more)

    def bucket(self, name: str, **more: Any) -> Any:
        self.store.fs.mkdir(name)
        return self.source(name, "fsspec", self.store.parameters(name, **more))

    def files(self, name: str, files: dict[str, bytes], cost: dict[str, float] | None = None, **more: Any) -> Path:
        root = self.folder / name
        for path, body in {".keep": b"", **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(body)
        self.source(name, "file", {"rootdir": str(root), "hidden": False, **more}, cost=cost or {})
        return root

    def request(self, name: str, **body: Any) -> Any:
        return self.call(f"{DO}/datarequest/create", name=name, **body)

    def access(self, request: str) -> list[dict[str, Any]]:
        items = self.call(f"{DO}/datainstance/list?request={request}")["items"]
        return [{**entry, "instance": item["id"], "state_of": item["state"]} for item in items for entry in item["access"]]

    def content(self, instance: str, **headers: str) -> bytes:
        request = urllib.request.Request(f"{self.server.url}{DO}/datainstance/content?id={instance}", headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # What is mounted by FUSE has tests of its own.
    lab = Lab(tmp_path_factory.mktemp("lab"), EDGEMERE_FUSE="never")
    yield lab
    lab.stop()


def test_objects_are_copied_here_left_there_and_read_through(lab: Lab) -> None:
    lab.store.fs.mkdir("shelf")
    lab.store.fs.pipe_file("shelf/scans/site=b/x.bin", BODY)
    shown = lab.source("shelf", "fsspec", lab.store.parameters("shelf"))
    assert shown["scan"]["state"] == "done" and shown["data_count"] == 1
    root = lab.files("desk", {}, writable=True)
    copied = lab.request("here", query="source:shelf site:b", action="copy", target="desk")
    assert copied["state"] == "Satisfied", copied
    entry, = lab.access("here")
    assert entry["verified"] == "checksum" and Path(entry["path"]).read_bytes() == BODY and root in Path(entry["path"]).parents
    assert lab.request("there", query="source:shelf", action="leave")["state"] == "Satisfied"
    assert lab.access("there")[0]["uri"] == "s3://shelf/scans/site=b/x.bin"
    assert lab.request("through", query="source:shelf", action="mount")["state"] == "Satisfied"
    entry, = lab.access("through")
    assert entry["via"] == "read_through" and entry["path"] is None
    with urllib.request.urlopen(lab.server.url + entry["uri"], timeout=120) as answer:
        assert answer.read() == BODY
    assert lab.content(entry["instance"], Range="bytes=5-104") == BODY[5:105]


def test_files_are_copied_into_a_store_and_moved_there_for_good(lab: Lab) -> None:
    lab.bucket("vault", writable=True)
    root = lab.files("bench", {"a.bin": BODY, "b.csv": b"1,2"}, deletable=True)
    assert lab.request("up", query="source:bench name:a.bin", action="copy", target="vault")["state"] == "Satisfied"
    entry, = lab.access("up")
    assert entry["uri"].startswith("s3://vault/up-0/") and entry["checksum"] == "sha256:" + hashlib.sha256(BODY).hexdigest()
    assert lab.content(entry["instance"]) == BODY
    assert lab.request("moved", query="source:bench name:b.csv", action="move", target="vault")["state"] == "Satisfied"
    assert lab.store.fs.cat_file("vault/b.csv") == b"1,2" and not (root / "b.csv").exists() and (root / "a.bin").exists()
    assert lab.call(f"{FMDM}/query?expression=name:b.csv")["items"][0]["source"]["name"] == "vault"
    again = lab.call(f"{FMDM}/datasource/scan", id="vault")
    assert (again["data_count"], again["scan"]["changed"], again["scan"]["vanished"]) == (1, 0, 0)
    assert lab.request("used", query="source:vault name:b.csv", action="leave")["state"] == "Satisfied", "what was moved is used where it lies"
    lab.call(f"{DO}/datarequest/complete", id="up")
    until = time.monotonic() + 120
    while lab.store.fs.exists("vault/up-0/a.bin") and time.monotonic() < until:
        time.sleep(0.2)
    assert not lab.store.fs.exists("vault/up-0/a.bin") and (root / "a.bin").exists()


def test_a_folder_that_is_one_data_goes_into_a_store_and_comes_back(lab: Lab) -> None:
    lab.bucket("crates", writable=True, folders_as_data=["*.zarr"])
    files = {"day.zarr/.zarray": b"{}", "day.zarr/0/0": b"chunk", "day.zarr/0/1": BODY, "beside.csv": b"1,2"}
    root = lab.files("racks", files, deletable=True, writable=True, folders_as_data=["*.zarr"])

    def of(where: str) -> list[str]:
        return sorted(path.removeprefix("crates/") for path in lab.store.fs.find(where))

    def unpacked(packed: bytes, folder: str) -> bool:
        out = lab.folder / folder
        out.mkdir()
        subprocess.run(["tar", "-x", "-C", out], input=packed, check=True)
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()} == {
            path: body for path, body in files.items() if path.startswith("day.zarr")}

    assert lab.request("crated", query="source:racks type:dir", action="copy", target="crates")["state"] == "Satisfied"
    entry, = lab.access("crated")
    assert (entry["uri"], entry["verified"], entry["size"]) == ("s3://crates/crated-0/day.zarr", "checksum", len(BODY) + 7)
    assert of("crates/crated-0") == ["crated-0/day.zarr/.zarray", "crated-0/day.zarr/0/0", "crated-0/day.zarr/0/1"]
    assert unpacked(lab.content(entry["instance"]), "from-the-copy")
    assert lab.call(f"{FMDM}/datasource/scan", id="crates")["data_count"] == 0, "a copy is no data of its own"
    lab.call(f"{DO}/datarequest/complete", id="crated")
    assert lab.request("crate", query="source:racks type:dir", action="move", target="crates")["state"] == "Satisfied"
    moved, = lab.call(f"{FMDM}/query?expression=type:dir source:crates".replace(" ", "%20"))["items"]
    assert (moved["path"], moved["source"]["name"]) == ("day.zarr", "crates") and not (root / "day.zarr").exists() and (root / "beside.csv").exists()
    again = lab.call(f"{FMDM}/datasource/scan", id="crates")
    assert (again["data_count"], again["scan"]["changed"], again["scan"]["vanished"]) == (1, 0, 0)
    lab.call(f"{DO}/datarequest/complete", id="crate")
    assert lab.request("through-it", query="source:crates", action="mount")["state"] == "Satisfied"
    entry, = lab.access("through-it")
    assert entry["via"] == "read_through" and unpacked(lab.content(entry["instance"]), "from-the-store")
    lab.call(f"{DO}/datarequest/complete", id="through-it")
    assert lab.request("back", query="source:crates", action="move", target="racks")["state"] == "Satisfied"
    assert {path: (root / path).read_bytes() for path in files} == files
    until = time.monotonic() + 120
    while [path for path in of("crates") if not path.startswith(".edgemere-trash/")] and time.monotonic() < until:
        time.sleep(0.2)
    assert not [path for path in of("crates") if not path.startswith(".edgemere-trash/")]


def test_a_table_is_delivered_as_parquet(lab: Lab) -> None:
    import pyarrow.parquet

    database = lab.folder / "trials.db"
    connection = sqlite3.connect(database)
    connection.executescript("CREATE TABLE trial (id INTEGER PRIMARY KEY, arm TEXT); INSERT INTO trial VALUES (1, 'a'), (2, NULL);")
    connection.close()
    lab.source("trials", "sql", {"url": f"sqlite:///{database}", "queries": {"armed": "SELECT arm FROM trial WHERE arm IS NOT NULL"},
                                 "tables": ["trial"]})
    lab.files("tables", {}, writable=True)
    assert lab.request("tables", query="source:trials type:table", action="copy", target="tables")["state"] == "Satisfied"
    paths = {entry["name"]: entry["path"] for entry in lab.access("tables")}
    for one in lab.call(f"{DO}/datainstance/list?request=tables")["items"]:
        assert one["bytes_total"] == one["bytes_done"] == sum(entry["size"] for entry in one["access"]) > 0, "how large it is is known now"
    assert pyarrow.parquet.read_table(paths["trial.parquet"]).to_pylist() == [{"id": 1, "arm": "a"}, {"id": 2, "arm": None}]
    assert pyarrow.parquet.read_table(paths["armed.parquet"]).to_pylist() == [{"arm": "a"}]
    assert lab.request("in-place", query="source:trials name:trial.parquet", action="leave")["state"] == "Satisfied"
    assert lab.content(lab.access("in-place")[0]["instance"])[:4] == b"PAR1"


@pytest.mark.parametrize(("action", "harm", "code"), [
    ("copy", "gone", "source.vanished"), ("copy", "lies", "checksum_mismatch"), ("leave", "gone", "source.vanished"), ("move", "lies", "checksum_mismatch"),
])
def test_a_replica_takes_the_place_of_data_that_cannot_be_made_ready(lab: Lab, action: str, harm: str, code: str) -> None:
    run = f"{action}-{harm}"
    body = BODY[:3_000_000] + run.encode()
    checksum = "sha256:" + hashlib.sha256(body).hexdigest()
    listing = {"twin.bin": {"checksum": checksum, "tags": {"twin": run}}}
    for name, cost in ((f"near-{run}", {}), (f"far-{run}", {"per_request": 1000})):
        lab.files(name, {"twin.bin": body}, listing=listing, deletable=True, cost=cost)
    near = lab.folder / f"near-{run}" / "twin.bin"
    target = lab.files(f"landing-{run}", {}, writable=True)
    if harm == "gone":
        near.unlink()
    else:
        # A source that lies: other bytes of the same size and time.
        seen = near.stat()
        near.write_bytes(bytes(len(body)))
        os.utime(near, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    request = lab.request(run, query=f"twin:{run}", action=action, target=f"landing-{run}")
    assert request["state"] == "Satisfied", request
    entry, = lab.access(run)
    assert entry["state_of"] == "Ready" and Path(entry["path"]).read_bytes() == body
    assert [(one["error"]["code"], one["data"]["name"]) for one in entry["attempts"]] == [(code, "twin.bin")]
    assert not list(target.rglob("*.part"))
    # What lay about its content was neither moved nor deleted.
    assert near.exists() == (harm == "lies")


def test_data_on_which_another_request_stands_is_not_moved_away_from_it(lab: Lab) -> None:
    root = lab.files("shared", {"x.bin": BODY}, deletable=True)
    target = lab.files("elsewhere", {}, writable=True)
    assert lab.request("reader", query="source:shared", action="leave")["state"] == "Satisfied"
    refused = lab.request("mover", query="source:shared", action="move", target="elsewhere")
    assert refused["state"] == "Failed" and "reader" in refused["message"] or "in use" in refused["message"], refused
    assert (root / "x.bin").read_bytes() == BODY
    until = time.monotonic() + 120
    while list(target.rglob("x.bin")) and time.monotonic() < until:
        time.sleep(0.2)
    assert not list(target.rglob("x.bin"))
    lab.call(f"{DO}/datarequest/complete", id="reader")
    assert lab.request("later", query="source:shared", action="move", target="elsewhere")["state"] == "Satisfied"
    assert (target / "x.bin").read_bytes() == BODY and not (root / "x.bin").exists()


def test_progress_tells_bytes_speed_and_the_time_left_and_cancel_leaves_nothing(lab: Lab) -> None:
    lab.files("slow", {"x.bin": BODY}, limits={"mib_per_s": 0.2})
    target = lab.files("slowly", {}, writable=True)
    request = urllib.request.Request(f"{lab.server.url}{DO}/datarequest/create", json.dumps(
        {"name": "slow", "query": "source:slow", "action": "copy", "target": "slowly"}).encode(),
        {"Content-Type": "application/json", "Prefer": "wait=0"})
    urllib.request.urlopen(request, timeout=120).close()

    def running() -> list[str]:
        return [one["id"] for one in lab.call(f"{DO}/operation/list?status=running")["items"] if (one["subject"] or {}).get("name") == "slow"]

    ref, = awaiting.until(running)
    told = awaiting.until(lambda: "seconds_left" in (found := lab.call(f"{DO}/operation/show?id={ref}").get("progress") or {}) and found, pause_s=0.2)
    assert 0 < told["bytes_done"] < told["bytes_total"] == len(BODY) and told["phase"] == "copying" and told["seconds_left"] > 0
    began = time.monotonic()
    lab.call(f"{DO}/datarequest/cancel", id="slow")
    while [path for path in target.rglob("*") if path.name != ".keep"] and time.monotonic() < began + 120:
        time.sleep(0.05)
    assert not [path for path in target.rglob("*") if path.name != ".keep"]


def test_no_secret_was_said_or_logged(lab: Lab) -> None:
    lab.call(f"{FMDM}/datasource/show?id=vault")
    lab.call(f"{DO}/event/list?limit=1000")
    assert lab.said and not [text for text in lab.said if SECRET in text]
    assert SECRET not in (lab.folder / "server" / "server.log").read_text()
    refused = lab.call(f"{FMDM}/datasource/create", (422,), name="plain", adaptor="fsspec",
                       parameters={"url": "s3://x", "storage_options": {"key": "k", "secret": "written-out"}})
    assert refused["errors"][0]["pointer"] == "/parameters/storage_options/secret" and "written-out" not in json.dumps(refused)
