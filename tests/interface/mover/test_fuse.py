"""Data that lies elsewhere as files: a mover that mounts it, the process that serves it, a real store and a real web server."""
from __future__ import annotations

import errno
import hashlib
import mmap
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from services.instances.fuse.keeper import Keeper
from tests.support import fuse
from tests.support.object_store import SECRET, ObjectStore
from tests.support.web import Web

BODY = random.Random(5).randbytes(12_000_000)


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    os.environ["EDGEMERE_SECRET_TEST_STORE"] = SECRET
    store = ObjectStore()
    store.fs.mkdir("far")
    store.fs.pipe_file("far/a/x.bin", BODY)
    yield store
    store.stop()
    del os.environ["EDGEMERE_SECRET_TEST_STORE"]


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.shutdown()
    web.server_close()


class Far:
    """A mover and a keeper on a folder, as a server has them; ``mount`` gives the path of an item, or None where there is no FUSE."""

    def __init__(self, bench: Any, folder: Path, policy: dict[str, Any]) -> None:
        self.bench, self.folder, self.policy = bench, folder, policy
        self.keeper = self.fresh()

    def fresh(self, setting: str = "auto", read_s: float = 60) -> Keeper:
        return Keeper([sys.executable, "-m", "services.instances.fuse"], self.folder / "fuse", setting, self.policy, 1, read_s)

    def run(self, op: str, key: str, **item: Any) -> dict[str, Any]:
        body = {"op": op, "sources": self.bench.sources, "policy": self.policy, "mounts": str(self.folder / "mounts"),
                "fuse": {"folder": str(self.folder / "fuse"), "why": self.keeper.why_not()}, "items": [{"key": key, **item}]}
        result, = (one for message in self.bench.pool.submit(body) for one in message.get("results", ()))
        return result

    def mount(self, path: str, key: str = "dins_1:data_1", source: str = "s3") -> Path | None:
        result = self.run("mount", key, source=source, path=path, mount_path=f"i-0/{path}")
        assert result["ok"], result
        if fuse.mounts_here():
            assert result["via"] == "fuse" and result["uri"] == f"file://{result['path']}", result
            return Path(result["path"])
        assert (result["via"], result["path"]) == ("read_through", None) and re.search(
            "FUSE|fuse", self.keeper.why_not() or ""), (result, self.keeper.why_not())
        return None

    def unmount(self, path: str, key: str = "dins_1:data_1") -> bool:
        return self.run("unmount", key, mount_path=f"i-0/{path}")["unmounted"]


@pytest.fixture
def far(bench: Any, tmp_path: Path, store: ObjectStore, web: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    for name, value in fuse.environment().items():
        monkeypatch.setenv(name, value)
    bench.sources |= {"s3": {"adaptor": "fsspec", "parameters": store.parameters("far", folders_as_data=["*.zarr"])},
                      "web": {"adaptor": "http", "parameters": {"base_url": web.url, "listing": ["x.bin", "y.bin", "quick"]}}}
    far = Far(bench, tmp_path, {"allowed_hosts": ["127.0.0.1"]})
    yield far
    far.keeper.stop()
    assert fuse.take_down_all(tmp_path) == [], "a server that stopped leaves nothing mounted"


def in_time(do: Callable[[], Any], limit_s: float = 120) -> Any:
    """What reads a mount has an end, whatever the mount does."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(do).result(limit_s)


def test_an_object_is_a_file_that_any_program_reads(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    assert in_time(path.read_bytes) == BODY
    assert subprocess.run(["sha256sum", path], capture_output=True, text=True, timeout=120, check=True).stdout.split()[0] == hashlib.sha256(BODY).hexdigest()
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as seen:
        assert seen[-1000:] == BODY[-1000:] and seen.find(BODY[6_000_000:6_000_064]) == 6_000_000
    status = path.stat()
    assert (status.st_size, status.st_mode & 0o7777) == (len(BODY), 0o444) and abs(status.st_mtime - time.time()) < 3600
    with open(path, "rb", buffering=0) as file:
        for at in random.Random(7).sample(range(len(BODY)), 60):
            file.seek(at)
            assert file.read(5000) == BODY[at:at + 5000]
        assert os.pread(file.fileno(), 10, len(BODY)) == b""


def test_it_is_read_only_and_shows_nothing_but_what_is_mounted(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    real = path.resolve()
    for do in (lambda: open(path, "r+b"), lambda: os.truncate(path, 0), lambda: os.unlink(real), lambda: (real.parent / "new").mkdir(),
               lambda: os.rename(real, real.with_name("y")), lambda: os.setxattr(path, "user.x", b"1"), lambda: os.chmod(path, 0o777)):
        with pytest.raises(OSError) as refused:
            do()
        assert refused.value.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTSUP), do
    assert os.listdir(real.parent) == ["x.bin"] and os.listdir(real.parents[1]) == [real.parent.name]
    for wrong in (real.parents[1] / "000", real.parent / "y.bin", real.parents[1] / ("0" * 32), real.parents[1] / "..json"):
        assert not os.path.exists(wrong)
    assert not any(SECRET in file.read_text() for file in (far.folder / "fuse").glob("table/*"))
    assert [file.stat().st_mode & 0o077 for file in (far.folder / "fuse").glob("table/*")] == [0]


def test_many_read_it_at_once(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return

    def some(seed: int) -> bool:
        with open(path, "rb", buffering=0) as file:
            dice = random.Random(seed)
            if seed % 4 == 0:
                return hashlib.sha256(file.readall()).digest() == hashlib.sha256(BODY).digest()
            for _ in range(12):
                at, count = dice.randrange(len(BODY)), dice.randrange(1, 300_000)
                if os.pread(file.fileno(), count, at) != BODY[at:at + count]:
                    return False
            return True
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(some, range(24), timeout=120))


def test_a_folder_that_is_one_data_is_a_folder(far: Far, store: ObjectStore) -> None:
    files = {"day.zarr/.zarray": b"{}", "day.zarr/0/0": b"chunk", "day.zarr/0/1": BODY[:3_000_000], "day.zarr/empty": b"",
             "day.zarr/ärger/deep/x": b"1"}
    for name, body in files.items():
        store.fs.pipe_file(f"far/{name}", body)
    path = far.mount("day.zarr")
    if path is None:
        return
    assert {str(one.relative_to(path.parent)): in_time(one.read_bytes) for one in path.rglob("*") if one.is_file()} == files
    assert (path / "0").stat().st_mode & 0o7777 == 0o555 and sorted(os.listdir(path)) == [".zarray", "0", "empty", "ärger"]
    copied = far.folder / "copied"
    subprocess.run(["cp", "-rL", path, copied], timeout=120, check=True)
    assert (copied / "0/1").read_bytes() == BODY[:3_000_000]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_a_web_server_has_is_a_file_with_or_without_ranges(far: Far, web: Web, ranges: bool) -> None:
    web.files, web.ranges = {"x.bin": BODY[:9_000_001]}, ranges
    path = far.mount("x.bin", source="web")
    if path is None:
        return
    assert in_time(path.read_bytes) == BODY[:9_000_001]
    with open(path, "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100, 7_000_000) == BODY[7_000_000:7_000_100]


def test_a_jump_into_a_large_file_asks_for_little_of_it(far: Far, web: Web) -> None:
    web.files = {"x.bin": BODY}
    path = far.mount("x.bin", source="web")
    if path is None:
        return
    web.asked.clear()
    with open(path, "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 4096, 8_000_000) == BODY[8_000_000:8_004_096]
    spans = [re.match(r"GET bytes=(\d+)-(\d+)", one) for one in web.asked]
    assert sum(int(one[2]) - int(one[1]) + 1 for one in spans if one) <= 1 << 20, web.asked


def test_the_limits_of_a_source_hold_for_what_is_mounted(far: Far, web: Web) -> None:
    far.bench.sources["web"]["parameters"]["limits"] = {"mib_per_s": 2, "transfers": 1}
    web.files = {"x.bin": BODY[:6 << 20]}
    path = far.mount("x.bin", source="web")
    if path is None:
        return
    began = time.monotonic()
    assert in_time(path.read_bytes) == BODY[:6 << 20]
    assert time.monotonic() - began > 2, "6 MiB at 2 MiB/s take longer"


def test_what_changed_at_its_source_is_noticed_and_never_mixed(far: Far, web: Web) -> None:
    web.files = {"x.bin": BODY[:5_000_000]}
    path = far.mount("x.bin", source="web")
    if path is None:
        return
    with open(path, "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 10, 0) == BODY[:10]
        web.files = {"x.bin": BODY[5_000_000:10_000_000]}
        with pytest.raises(OSError) as refused:
            in_time(lambda: os.pread(file.fileno(), 1000, 4_000_000))
    assert refused.value.errno == errno.ESTALE
    noticed = far.keeper.noticed()
    assert [(one["key"], one["error"]["code"]) for one in noticed] == [("dins_1:data_1", "source.changed_during_copy")]
    assert far.keeper.noticed() == []


def test_an_object_that_changed_is_noticed_although_its_blocks_are_here(far: Far, store: ObjectStore) -> None:
    store.fs.pipe_file("far/changes", b"a" * 1000)
    path = far.mount("changes")
    if path is None:
        return
    assert path.read_bytes() == b"a" * 1000
    store.fs.pipe_file("far/changes", b"b" * 1000)
    until = time.monotonic() + 120
    with pytest.raises(OSError) as refused:
        while time.monotonic() < until:
            assert path.read_bytes() == b"a" * 1000, "never the new bytes under the old name"
            time.sleep(0.5)
    assert refused.value.errno == errno.ESTALE


def test_a_source_that_is_silent_fails_in_time_and_holds_nobody_else_up(far: Far, web: Web) -> None:
    far.bench.sources["another"] = {"adaptor": "http", "parameters": {"base_url": web.url, "listing": ["quick"]}}
    web.files = {"x.bin": BODY[:1_000_000], "quick": b"quick"}
    far.keeper = far.fresh(read_s=6)
    slow, quick = far.mount("x.bin", source="web"), far.mount("quick", "dins_1:data_2", "another")
    if slow is None or quick is None:
        return
    web.silent.set()
    began = time.monotonic()
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(slow.read_bytes) for _ in range(12)]
        assert quick.read_bytes() == b"quick" and sorted(os.listdir(slow.parent)) == ["quick", "x.bin"]
        assert not any(one.done() for one in waiting), "who reads from another source does not wait for this one"
        for one in waiting:
            with pytest.raises(OSError) as refused:
                one.result(120)
            assert refused.value.errno == errno.EIO
    assert time.monotonic() - began < 19, "the client of a web server alone would wait for 20 s"
    web.silent.clear()
    _until(lambda: _reads(slow, BODY[:100]), "it is read again when its source answers again")


def test_unmounted_it_is_gone_at_once_and_mounted_again_it_is_back(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    real = path.resolve()
    with open(path, "rb", buffering=0) as file:
        assert file.read(10) == BODY[:10]
        assert far.unmount("a/x.bin") and not os.path.lexists(path) and not (far.folder / "mounts/i-0").exists()
        with pytest.raises(OSError) as refused:
            os.pread(file.fileno(), 10, 8_000_000)
        assert refused.value.errno in (errno.ESTALE, errno.ENOENT), "also for whoever has it open"
    assert not far.unmount("a/x.bin") and list((far.folder / "fuse/table").iterdir()) == []
    again = far.mount("a/x.bin")
    assert again == path and again.resolve() == real and in_time(again.read_bytes) == BODY


def test_it_never_takes_the_place_of_something_else(far: Far) -> None:
    if not fuse.mounts_here():
        assert far.mount("a/x.bin") is None
        return
    (far.folder / "mounts/i-0/a").mkdir(parents=True)
    (far.folder / "mounts/i-0/a/x.bin").write_text("mine")
    result = far.run("mount", "dins_1:data_1", source="s3", path="a/x.bin", mount_path="i-0/a/x.bin")
    assert result["error"]["code"] == "target.exists" and (far.folder / "mounts/i-0/a/x.bin").read_text() == "mine"
    assert list((far.folder / "fuse/table").iterdir()) == [], "a mount that failed leaves nothing"
    assert not far.unmount("a/x.bin") and (far.folder / "mounts/i-0/a/x.bin").exists()


def test_a_process_that_is_killed_is_followed_by_one_that_serves_the_same(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    for _ in range(2):
        pid, = far.keeper.pids()
        os.kill(pid, signal.SIGKILL)
        _until(lambda: _reads(path, BODY[:100]), "the path answers again")
        assert len(fuse.mounted(far.folder)) == 1, "no dead mount is left below the new one"
    assert in_time(path.read_bytes) == BODY


def test_what_a_server_that_was_killed_with_all_its_processes_had_mounted_answers_again_or_is_gone(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    pid, = far.keeper.pids()
    far.keeper._stopped = True  # Its server is dead, too.
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not _reads(path, BODY[:100]), "nobody serves it")
    assert len(fuse.mounted(far.folder)) == 1
    far.keeper = far.fresh()
    far.keeper.tend()
    _until(lambda: _reads(path, BODY[:100]), "the next server serves it")
    pid, = far.keeper.pids()
    far.keeper._stopped = True
    os.kill(pid, signal.SIGKILL)
    far.keeper = far.fresh("never")
    assert far.run("unmount", "dins_1:data_1", mount_path="i-0/a/x.bin")["unmounted"]
    far.keeper = far.fresh()
    far.keeper.tend()
    _until(lambda: far.keeper.pids() and far.keeper._state == "mounted", "what was left mounted is cleared away")


def test_a_process_that_stands_still_is_replaced(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    far.keeper._still_s = 1.0
    pid, = far.keeper.pids()
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_reads, path, BODY[:100])

        def tended() -> bool:
            far.keeper.tend()
            return waiting.done() and pid not in far.keeper.pids()
        _until(tended, "who reads is not held up for ever")
    _until(lambda: _reads(path, BODY[:100]), "another serves it")


def test_of_two_replicas_one_serves_and_the_other_takes_over(far: Far) -> None:
    path = far.mount("a/x.bin")
    if path is None:
        return
    second = far.fresh()
    try:
        assert second.why_not() is None and second._state == "standby" and len(fuse.mounted(far.folder)) == 1
        far.keeper.stop()
        _until(lambda: _reads(path, BODY[:100]), "the second serves it")
    finally:
        second.stop()


def test_the_process_ends_with_its_server_however_that_ended_and_takes_the_mount_along(far: Far) -> None:
    if not fuse.mounts_here():
        assert far.mount("a/x.bin") is None
        return
    server = subprocess.Popen([sys.executable, "-c", (
        "import sys, time\nfrom services.instances.fuse.keeper import Keeper\n"
        f"keeper = Keeper([sys.executable, '-m', 'services.instances.fuse'], {str(far.folder / 'fuse')!r}, 'auto', {{}}, 1)\n"
        "print(keeper.why_not(), flush=True)\ntime.sleep(60)")], stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "None\n" and len(fuse.mounted(far.folder)) == 1
    server.kill()
    server.wait()
    _until(lambda: not fuse.mounted(far.folder), "nothing is left mounted")


@pytest.mark.parametrize(("setting", "variables", "says"), [
    ("never", {}, "turns FUSE off"), ("auto", {"FUSE_LIBRARY_PATH": "/nowhere/libfuse3.so.3"}, "libfuse3 is not installed|no /dev/fuse|may not be used")])
def test_without_fuse_it_is_read_through_with_a_reason(far: Far, setting: str, variables: dict[str, str], says: str,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    far.keeper = far.fresh(setting)
    assert re.search(says, far.keeper.why_not() or "")
    result = far.run("mount", "dins_1:data_1", source="s3", path="a/x.bin", mount_path="i-0/a/x.bin")
    assert (result["ok"], result["via"], result["path"], result["uri"]) == (True, "read_through", None, None)
    assert far.keeper.pids() == [] and not (far.folder / "fuse").exists() and not (far.folder / "mounts").exists()


def test_a_system_that_refuses_is_quoted(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    if not fuse.mounts_here():
        assert far.keeper.why_not()
        return
    broken = far.folder / "libfuse3.so.3"
    broken.write_bytes(b"no library")
    monkeypatch.setenv("FUSE_LIBRARY_PATH", str(broken))
    far.keeper = far.fresh()
    assert re.search("does not let this server mount by FUSE: .*(invalid ELF header|file too short)", far.keeper.why_not() or "")


def _reads(path: Path, begin: bytes) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(len(begin)) == begin
    except OSError:
        return False


def _until(holds: Callable[[], Any], what: str, limit_s: float = 120) -> None:
    until = time.monotonic() + limit_s
    while not in_time(holds):
        assert time.monotonic() < until, what
        time.sleep(0.05)


