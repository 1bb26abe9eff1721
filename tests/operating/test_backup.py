"""A mesh is saved while it works, destroyed, and brought back; what was under way goes on to its end and no promise is broken."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import threading
import time
from pathlib import Path
from typing import Any


from shared.contracts.table import SERVICES
from tests.support import invariants
from tests.support.awaiting import until
from tests.support.calling import Caller
from tests.support.evidence import Evidence, PostgresSchemas, SqliteFolder, under_way
from tests.support.servers import run_edgemere

FILES, REQUESTS = 40, 12


def _busy(server: Any, folder: Path) -> list[str]:
    """A mesh in the middle of many copies; the ids of the requests that were taken."""
    (folder / "from").mkdir()
    (folder / "to").mkdir()
    for number in range(FILES):
        (folder / "from" / f"scan{number}.bin").write_bytes(os.urandom(200_000))
    caller = Caller(server.port)
    for name, place, more in (("camera", "from", {}), ("scratch", "to", {"writable": True})):
        caller.call("fmdm datasource create", patience_s=30, name=name, adaptor="file", parameters={"rootdir": str(folder / place), **more})
    taken = [
        caller.call("datarequest create", query="source:camera", name=f"copies-{number}", action="copy", target="scratch")["id"]
        for number in range(REQUESTS)
    ]
    caller.close()
    return taken


def _at_rest(databases: Any, limit_s: float = 300) -> None:
    """Wait until nothing is under way for a while."""
    end = time.monotonic() + limit_s
    quiet = 0
    while quiet < 5:
        left = {what: number for what, number in under_way(databases).items() if number}
        quiet = 0 if left else quiet + 1
        assert time.monotonic() < end, f"still under way: {left}"
        time.sleep(0.3)


def _broken(databases: Any, taken: Any) -> list[str]:
    """The promises that are broken, and stay so: sources are scanned by the clock, and one such scan may change them between two looks."""
    for _ in range(5):
        found = invariants.promises_broken_by(Evidence(databases, accepted=taken))
        if not found:
            break
        _at_rest(databases)
    return found


def _saved_in_the_middle(server: Any, file: Path, *more: str, **environment: str) -> list[int]:
    """Save the mesh while writers go on; how long each of their calls took, in milliseconds."""
    over, took = threading.Event(), []

    def write() -> None:
        caller = Caller(server.port)
        while not over.is_set():
            began = time.monotonic()
            caller.call("datareference create", query="source:camera", name=f"ref-{len(took)}")
            took.append(round((time.monotonic() - began) * 1000))
        caller.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = run_edgemere("backup", str(file), *more, **environment)
    finally:
        over.set()
        writer.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"Saved: {file}") and "not encrypted" in done.stdout
    assert file.stat().st_mode & 0o077 == 0
    return took


def test_an_embedded_mesh_is_saved_while_it_copies_destroyed_and_brought_back(edgemere_server, tmp_path):
    server = edgemere_server()
    taken = _busy(server, tmp_path)
    file = tmp_path / "mesh.backup"
    took = _saved_in_the_middle(server, file, "--data", str(server.data))
    assert took and max(took) < 20_000, took
    again = run_edgemere("backup", str(file), "--data", str(server.data))
    assert again.returncode == 1 and "backup.exists" in again.stderr
    running = run_edgemere("restore", str(file), "--data", str(server.data))
    assert running.returncode == 1 and "data_folder.in_use" in running.stderr
    server.kill9(everything=True)
    full = run_edgemere("restore", str(file), "--data", str(server.data))
    assert full.returncode == 1 and "backup.target_not_empty" in full.stderr
    shutil.rmtree(server.data)
    restored = run_edgemere("restore", str(file), "--data", str(server.data))
    assert restored.returncode == 0 and restored.stdout.startswith("Restored:"), restored.stderr
    server.restart()
    databases = SqliteFolder(server.data)
    _at_rest(databases)
    states = {row["id"]: row["state"] for row in databases.rows("requests", "SELECT id, state FROM datarequest")}
    assert {states[request] for request in taken} == {"Satisfied"}
    assert _broken(databases, taken) == []


def test_what_was_mounted_is_mounted_again_after_a_restore_or_breaks_with_its_reason(edgemere_server, tmp_path):
    server = edgemere_server()
    (tmp_path / "from").mkdir()
    for name in ("kept", "gone", "other"):
        (tmp_path / "from" / f"{name}.bin").write_bytes(name.encode())
    caller = Caller(server.port)
    caller.call("fmdm datasource create", patience_s=30, name="camera", adaptor="file", parameters={"rootdir": str(tmp_path / "from")})
    for name in ("kept", "gone"):
        made = caller.call("datarequest create", patience_s=30, name=name, query=f"source:camera name:{name}.bin", action="mount")
        assert made["state"] == "Satisfied", made
    before = {name: caller.ask("datainstance list", request=name)["items"][0] for name in ("kept", "gone")}
    file = tmp_path / "mesh.backup"
    assert run_edgemere("backup", str(file), "--data", str(server.data)).returncode == 0
    server.kill9(everything=True)
    # It comes to life at another place, and meanwhile one of the files is no more.
    shutil.rmtree(server.data)
    (tmp_path / "from" / "gone.bin").unlink()
    fresh = edgemere_server("elsewhere")
    fresh.kill9(everything=True)
    shutil.rmtree(fresh.data)
    restored = run_edgemere("restore", str(file), "--data", str(fresh.data))
    assert restored.returncode == 0, restored.stderr
    fresh.restart()
    caller = Caller(fresh.port)

    def kept() -> Any:
        item = caller.ask("datainstance show", id=before["kept"]["id"])
        entry, = item["access"]
        return entry["path"].startswith(str(fresh.data)) and os.path.exists(entry["path"]) and (item, entry)
    item, entry = until(kept, limit_s=180)
    assert Path(entry["path"]).read_bytes() == b"kept" and entry["path"] != before["kept"]["access"][0]["path"]
    assert item["state"] == "Ready" and item["version"] > before["kept"]["version"] and entry["uri"].endswith(entry["path"].rpartition("/")[2])
    broken = until(lambda: caller.ask("event list", event="datainstance.broken")["items"], limit_s=180)
    assert [(one["obj"]["id"], one["obj"]["reason"]["code"]) for one in broken][:1] == [(before["gone"]["id"], "source.vanished")], broken
    failed = until(lambda: (one := caller.ask("datarequest show", id="gone"))["state"] == "Failed" and one, limit_s=180)
    assert "gone.bin" in failed["message"] or "camera" in failed["message"], failed
    assert not SqliteFolder(fresh.data).rows("instances", "SELECT at FROM restored"), "it was done once"


def test_a_mesh_on_postgresql_is_brought_back_with_an_empty_broker(production_mesh, tmp_path, rabbitmq_node):
    mesh = production_mesh(settings={"requests": {"quiet_s": 3}})
    taken = _busy(mesh, tmp_path)
    file = tmp_path / "mesh.backup"
    settings = {"EDGEMERE_AMQP_URI": mesh.amqp_uri, "EDGEMERE_DATABASE_URL": mesh.database_url}
    took = _saved_in_the_middle(mesh, file, **settings)
    assert took and max(took) < 20_000, took
    full = run_edgemere("restore", str(file), **settings)
    assert full.returncode == 1 and "backup.target_not_empty" in full.stderr, full.stderr
    mesh.kill9(everything=True)
    fresh = production_mesh("fresh", start=False, settings={"requests": {"quiet_s": 3}})
    restored = run_edgemere("restore", str(file), EDGEMERE_AMQP_URI=fresh.amqp_uri, EDGEMERE_DATABASE_URL=fresh.database_url)
    assert restored.returncode == 0, restored.stderr
    indexes = "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
    for service in SERVICES:
        there, here = (PostgresSchemas(one.database_url).rows(service, indexes) for one in (mesh, fresh))
        assert here == there and len(here) > 1, service
    fresh.start()
    databases = PostgresSchemas(fresh.database_url)
    _at_rest(databases)
    states = {row["id"]: row["state"] for row in databases.rows("requests", "SELECT id, state FROM datarequest")}
    assert {states[request] for request in taken} == {"Satisfied"}
    folder = Evidence(databases, accepted=taken)
    # What lay on the broker at that moment is in no log any more; everything that was promised about objects and bytes holds.
    for check in (
        invariants._requests,
        invariants._instances,
        invariants._files,
        invariants._claims,
        invariants._outboxes,
        invariants._moves,
        invariants._dead_letters,
    ):
        assert list(check(folder)) == [], check.__name__
    # New rows are numbered after the old ones.
    assert Caller(fresh.port).call("datareference create", query="source:camera", name="afterwards").status == 201


def _changed(file: Path, target: Path, change: Any) -> Path:
    """The backup with its manifest or members changed: ``change(name, content)`` gives the new content."""
    with gzip.open(file) as packed, tarfile.open(fileobj=packed, mode="r|") as old, tarfile.open(target, "w:gz") as new:
        for member in old:
            content = change(member.name, old.extractfile(member).read())
            info = tarfile.TarInfo(member.name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    return target


def test_a_backup_that_is_damaged_or_newer_or_none_is_refused_and_nothing_is_written(edgemere_server, tmp_path):
    server = edgemere_server()
    server.terminate()
    file = tmp_path / "mesh.backup"
    # A mesh that is stopped can be saved as well.
    assert run_edgemere("backup", str(file), "--data", str(server.data)).returncode == 0
    (tmp_path / "text").write_text("no backup")
    (tmp_path / "cut").write_bytes(file.read_bytes()[:2000])

    def newer(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        manifest = json.loads(content)
        manifest["services"]["events"]["revision"] = "9999_of_tomorrow"
        return json.dumps(manifest).encode()

    cases = {
        "backup.unreadable": [tmp_path / "text", tmp_path / "cut", tmp_path / "nowhere"],
        "backup.damaged": [_changed(file, tmp_path / "flipped", lambda name, content: content[:-1] + b"!" if name == "events.db" else content)],
        "backup.newer": [_changed(file, tmp_path / "newer", newer)],
    }
    for code, files in cases.items():
        for bad in files:
            done = run_edgemere("restore", str(bad), "--data", str(tmp_path / "new"))
            assert done.returncode == 1 and code in done.stderr, f"{bad}: {done.stderr}"
            assert not list((tmp_path / "new").glob("*.db"))
    other = run_edgemere("restore", str(file), EDGEMERE_DATABASE_URL="postgresql://x:y@127.0.0.1:1/none", EDGEMERE_AMQP_URI="amqp://127.0.0.1:1//")
    assert other.returncode == 1 and "backup.other_kind" in other.stderr
    assert run_edgemere("backup", str(tmp_path / "of-nothing"), "--data", str(tmp_path / "empty")).returncode == 1
