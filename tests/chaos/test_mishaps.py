"""What can happen to bytes, processes and folders while the mesh works with them; one server for all that it survives."""
from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.awaiting import until
from tests.support.calling import Caller, at_rest
from tests.support.servers import EdgemereServer, run_edgemere

LARGE = 96 << 20
PATIENCE_S = 30


class Scene:
    """A source and a target of one test, with names of their own."""

    def __init__(self, server: EdgemereServer, home: Path, target: Path | None = None) -> None:
        self.server, self.caller = server, Caller(server.port)
        self.tag = f"s{time.monotonic_ns()}"
        self.lab, self.target = home / "lab", target or home / "target"
        self.lab.mkdir()
        self.target.mkdir(exist_ok=True)
        self.touched: set[Path] = set()

    def register(self, **capacity: Any) -> None:
        for name, folder, more in (("lab", self.lab, {}), ("target", self.target, {"writable": True})):
            answer = self.caller.call("fmdm datasource create", patience_s=PATIENCE_S, name=f"{self.tag}-{name}", adaptor="file",
                                      parameters={"rootdir": str(folder), **more}, capacity=capacity if more else {})
            assert answer.status == 201 and answer["scan"]["state"] == "done", answer

    def request(self, name: str, query: str = "", patience_s: float = 0, **more: Any) -> dict[str, Any]:
        answer = self.caller.call("datarequest create", patience_s=patience_s, name=f"{self.tag}-{name}", query=f"source:{self.tag}-lab {query}",
                                  target=f"{self.tag}-target", action="copy", **more)
        assert answer.status in (201, 202), answer
        return answer

    def ended(self, name: str) -> dict[str, Any]:
        return until(lambda: (found := self.caller.ask("datarequest show", id=f"{self.tag}-{name}"))["state"] in ("Satisfied", "Failed") and found)

    def mover(self) -> psutil.Process:
        """The one mover; with a single file under way there is one that works."""
        return worker(self.server, "services.instances.mover")

    def stopped_in_the_middle(self) -> list[psutil.Process]:
        """Every mover, stopped, while the only file of the target is partly there."""
        def part() -> bool:
            return any(0 < file.stat().st_size < LARGE for file in self.files())
        until(part, pause_s=0.0005)
        movers = workers(self.server, "services.instances.mover")
        for mover in movers:
            mover.send_signal(signal.SIGSTOP)
        assert part(), "the copy was faster than the signal"
        return movers

    def files(self) -> list[Path]:
        return [file for file in self.target.rglob("*") if file.is_file() and ".edgemere-trash" not in file.parts]

    def nothing_is_left(self) -> None:
        until(lambda: not self.files())

    def rest(self) -> None:
        found = at_rest(self.caller, self.server.data, touched=self.touched)
        assert not found, found
        for row in list(self.caller.pages("datarequest list", state="Satisfied")):
            assert self.caller.call("datarequest complete", id=row["id"]).status == 200
        found = at_rest(self.caller, self.server.data, touched=self.touched)
        assert not found, found
        self.caller.close()


def workers(server: EdgemereServer, module: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        try:
            if module in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def worker(server: EdgemereServer, module: str) -> psutil.Process:
    return until(lambda: workers(server, module), pause_s=0.001)[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EdgemereServer(tmp_path_factory.mktemp("mishaps")) as started:
        yield started


def sparse(path: Path, size: int = LARGE) -> None:
    with open(path, "wb") as file:
        file.write(b"begin")
        file.truncate(size)


# --- bytes

@pytest.fixture
def little_room(tmp_path) -> Iterator[Path]:
    """A folder with a file system of 2 MiB, where this user may mount one."""
    folder = tmp_path / "little"
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_fails_the_request_and_leaves_nothing(server, tmp_path, little_room):
    scene = Scene(server, tmp_path, little_room)
    (scene.lab / "fits.bin").write_bytes(os.urandom(10_000))
    for number in range(3):
        (scene.lab / f"small-{number}.dat").write_bytes(os.urandom(900_000))
    (scene.lab / "large.raw").write_bytes(os.urandom(5 << 20))
    scene.register()
    scene.request("warm", "name:fits.bin", patience_s=PATIENCE_S)
    limited = [] if os.path.ismount(little_room) else workers(server, "services.instances.mover")
    for mover in limited:
        mover.rlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    for name, query in (("large", "name:large.raw"), ("small", "name:*.dat")):
        failed = scene.request(name, query, patience_s=PATIENCE_S)
        assert (failed["state"], failed["reason"]["code"]) == ("Failed", "provision_failed"), failed
        assert failed["reason"]["cause"]["code"] == "target.no_space", failed
        until(lambda: [file.name for file in scene.files()] == ["fits.bin"])
    beside = scene.request("fits", "name:fits.bin", patience_s=PATIENCE_S)
    assert beside["state"] == "Satisfied", beside
    for mover in limited:
        mover.kill()
    scene.rest()


def test_a_target_without_room_by_its_capacity_takes_nothing(server, tmp_path):
    scene = Scene(server, tmp_path)
    (scene.lab / "a.bin").write_bytes(os.urandom(6000))
    (scene.lab / "b.bin").write_bytes(os.urandom(6000))
    scene.register(bytes=10_000)
    refused = scene.request("both", patience_s=PATIENCE_S)
    assert (refused["state"], refused["reason"]["code"]) == ("Failed", "no_capacity"), refused
    assert not scene.files()
    # What is more than the target can ever hold does not wait for room either.
    never = scene.request("never", wait=True, patience_s=PATIENCE_S)
    assert (never["state"], never["reason"]["code"]) == ("Failed", "no_capacity"), never
    one = scene.request("one", "name:a.bin", patience_s=PATIENCE_S)
    assert one["state"] == "Satisfied"
    waits = scene.request("waits", "name:b.bin", wait=True)
    until(lambda: (scene.caller.ask("datarequest show", id=waits["id"])["blocked_by"] or {}).get("code") == "no_capacity")
    assert scene.caller.call("datarequest cancel", id=waits["id"]).status == 200
    scene.rest()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_source_that_disappears_in_the_middle_of_a_copy_fails_the_request(server, tmp_path, what):
    scene = Scene(server, tmp_path)
    sparse(scene.lab / "large.raw")
    scene.register()
    scene.request("copy")
    movers = scene.stopped_in_the_middle()
    (scene.lab / "large.raw").unlink()
    if what == "folder":
        shutil.rmtree(scene.lab)
    for mover in movers:
        mover.send_signal(signal.SIGCONT)
    failed = scene.ended("copy")
    assert (failed["state"], failed["reason"]["code"]) == ("Failed", "provision_failed"), failed
    assert failed["reason"]["cause"]["code"].startswith("source."), failed
    scene.nothing_is_left()
    scene.rest()


@pytest.mark.parametrize("how", ["longer", "shorter", "same size"])
def test_a_file_that_changes_in_the_middle_of_a_copy_is_never_taken_for_the_old_one(server, tmp_path, how):
    scene = Scene(server, tmp_path)
    sparse(scene.lab / "large.raw")
    scene.register()
    scene.request("copy")
    movers = scene.stopped_in_the_middle()
    with open(scene.lab / "large.raw", "r+b") as file:
        if how == "same size":
            file.write(b"BEGIN")
        else:
            file.truncate(LARGE + 1 if how == "longer" else LARGE // 2)
    for mover in movers:
        mover.send_signal(signal.SIGCONT)
    failed = scene.ended("copy")
    assert (failed["state"], failed["reason"]["code"]) == ("Failed", "provision_failed"), failed
    assert failed["reason"]["cause"]["code"] in ("source.changed", "source.changed_during_copy"), failed
    scene.nothing_is_left()
    assert scene.caller.call("fmdm datasource scan", patience_s=PATIENCE_S, id=f"{scene.tag}-lab")["scan"]["changed"] == 1
    assert scene.caller.call("datarequest retry", patience_s=PATIENCE_S, id=f"{scene.tag}-copy")["state"] == "Satisfied"
    scene.rest()


# --- processes

def test_kill_9_of_the_mover_in_the_middle_of_a_file_costs_nothing_but_time(server, tmp_path):
    scene = Scene(server, tmp_path)
    sparse(scene.lab / "large.raw")
    scene.register()
    scene.request("copy")
    for mover in scene.stopped_in_the_middle():
        mover.kill()
    assert scene.ended("copy")["state"] == "Satisfied"
    copy, = scene.files()
    with open(copy, "rb") as one, open(scene.lab / "large.raw", "rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()
    scene.rest()


def test_cancel_in_the_middle_of_a_file_leaves_nothing(server, tmp_path):
    scene = Scene(server, tmp_path)
    sparse(scene.lab / "large.raw")
    scene.register()
    scene.request("copy")
    movers = scene.stopped_in_the_middle()
    assert scene.caller.call("datarequest cancel", id=f"{scene.tag}-copy")["state"] == "Failed"
    for mover in movers:
        mover.send_signal(signal.SIGCONT)
    scene.nothing_is_left()
    scene.rest()


def test_kill_9_of_the_scan_worker_costs_nothing_but_time(server, tmp_path):
    scene = Scene(server, tmp_path)
    for number in range(4000):
        (scene.lab / f"{number}.txt").touch()
    begun = scene.caller.call("fmdm datasource create", name=f"{scene.tag}-lab", adaptor="file", parameters={"rootdir": str(scene.lab)})
    assert begun.status == 202, begun
    worker(server, "services.catalog.scanner").kill()
    shown = until(lambda: (found := scene.caller.ask("fmdm datasource show", id=f"{scene.tag}-lab"))["scan"]["state"] != "running" and found)
    assert (shown["scan"]["state"], shown["scan"]["files"], shown["data_count"]) == ("done", 4000, 4000), shown
    scene.rest()


# --- folders and ports

def refused(*arguments: str) -> str:
    """What ``up`` says when it must not start; it says so at once, and with no traceback."""
    begun = time.monotonic()
    ended = run_edgemere("up", *arguments, timeout_s=120)
    assert ended.returncode not in (0, -signal.SIGKILL) and time.monotonic() - begun < 50, ended
    assert "Traceback" not in ended.stdout + ended.stderr, ended.stderr
    return ended.stdout + ended.stderr


def test_a_second_server_on_the_same_data_folder_is_refused_and_harms_nothing(server):
    said = refused("--data", str(server.data), "--port", "0")
    assert f"pid {server.process.pid}" in said and str(server.data) in said, said
    assert server.is_ready()


def test_a_port_in_use_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused("--data", str(tmp_path / "data"), "--port", str(port))


def test_a_data_folder_of_a_newer_version_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "FORMAT").write_text("999\n")
    said = refused("--data", str(tmp_path), "--port", "0")
    assert "999" in said and "newer" in said, said
    assert (tmp_path / "FORMAT").read_text() == "999\n" and not list(tmp_path.glob("*.db"))
