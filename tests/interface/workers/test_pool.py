"""The worker pool with a real worker: the mover."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.hosting.worker_loop import whole_lines
from shared.hosting.workers import WorkerPool
from shared.kernel.errors import DeadlineExceeded, Invalid, Unavailable

MOVER = [sys.executable, "-m", "services.instances.mover"]


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(MOVER, size=2, name="mover")
    yield pool
    pool.stop()


def verify(folder: Path, *names: str) -> dict[str, Any]:
    return {"op": "verify", "sources": {"s": {"adaptor": "file", "parameters": {"rootdir": str(folder)}}},
            "items": [{"key": f"k{number}", "source": "s", "path": name} for number, name in enumerate(names)]}


def gone(pid: int) -> bool:
    for _ in range(6000):
        try:
            os.kill(pid, 0)
            # A process that ended and was not waited for still has its number.
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_no_process_is_started_before_the_first_job(pool: WorkerPool, tmp_path: Path) -> None:
    assert pool.pids() == []
    (tmp_path / "x").write_text("x")
    assert pool.submit(verify(tmp_path, "x")).wait(120)["ok"] == 1
    assert len(pool.pids()) == 1


def test_messages_are_pulled_in_order_and_end_with_done(pool: WorkerPool, tmp_path: Path) -> None:
    messages = list(pool.submit(verify(tmp_path, *map(str, range(1200)))))
    assert "done" in messages[-1] and not any("done" in message for message in messages[:-1])
    assert sum(len(message.get("results", ())) for message in messages) == 1200
    assert all(len(message.get("results", ())) <= 500 for message in messages)


def test_messages_are_pushed_to_a_listener(pool: WorkerPool, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    handle = pool.submit(verify(tmp_path, "none"), on_message=heard.append)
    assert handle.wait(120) == heard[-1]["done"]
    assert heard[0]["results"][0]["error"]["code"] == "source.vanished"


def test_a_listener_that_fails_harms_no_other_job(pool: WorkerPool, tmp_path: Path) -> None:
    def fail(message: dict[str, Any]) -> None:
        raise RuntimeError("on purpose")

    assert pool.submit(verify(tmp_path, "a"), on_message=fail).wait(120)
    assert pool.submit(verify(tmp_path, "a")).wait(120)["failed"] == 1


def test_what_a_job_fails_with_is_raised(pool: WorkerPool) -> None:
    with pytest.raises(Invalid, match="worker.unknown_op"):
        pool.submit({"op": "dance"}).wait(120)
    with pytest.raises(Invalid, match="worker.bad_job"):
        list(pool.submit({"op": "verify", "items": "none"}))


def test_the_jobs_of_a_worker_that_dies_fail_and_the_next_one_runs_in_another(pool: WorkerPool, tmp_path: Path) -> None:
    pool.submit(verify(tmp_path, "a")).wait(120)
    pid, = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    handles = [pool.submit(verify(tmp_path, "a"))]
    os.kill(pid, signal.SIGKILL)
    for handle in handles:
        with pytest.raises(Unavailable, match="worker.died") as caught:
            handle.wait(120)
        assert caught.value.retryable
    assert pool.submit(verify(tmp_path, "a")).wait(120)["failed"] == 1
    assert pid not in pool.pids()


def test_a_command_that_cannot_start_or_dies_at_once_is_an_error_and_no_hang() -> None:
    with pytest.raises(Unavailable, match="worker.died"):
        WorkerPool(["/nonexistent/program"]).submit({"op": "x"})
    pool = WorkerPool([sys.executable, "-c", "raise SystemExit(3)"])
    for _ in range(3):
        with pytest.raises(Unavailable, match="worker.died"):
            pool.submit({"op": "x"}).wait(120)
    pool.stop()


def test_waiting_can_end_before_the_job_does(pool: WorkerPool, tmp_path: Path) -> None:
    pool.submit(verify(tmp_path, "a")).wait(120)
    pid, = pool.pids()
    os.kill(pid, signal.SIGSTOP)
    handle = pool.submit(verify(tmp_path, "a"))
    with pytest.raises(DeadlineExceeded, match="worker.slow"):
        handle.wait(0.05)
    os.kill(pid, signal.SIGCONT)
    assert handle.wait(120)["failed"] == 1


def test_an_idle_worker_is_stopped_and_a_stopped_pool_takes_no_job(tmp_path: Path) -> None:
    pool = WorkerPool(MOVER, idle_s=0.2)
    pool.submit(verify(tmp_path, "a")).wait(120)
    pid, = pool.pids()
    assert gone(pid)
    assert pool.submit(verify(tmp_path, "a")).wait(120)["failed"] == 1
    pid, = pool.pids()
    pool.stop()
    pool.stop()
    assert gone(pid)
    with pytest.raises(Unavailable, match="worker.stopped"):
        pool.submit(verify(tmp_path, "a"))


def test_many_threads_may_submit_at_once(pool: WorkerPool, tmp_path: Path) -> None:
    ended: list[int] = []

    def work() -> None:
        for _ in range(20):
            ended.append(pool.submit(verify(tmp_path, "a", "b")).wait(120)["failed"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [2] * 160
    assert 1 <= len(pool.pids()) <= 2


PARENT = """
import sys, time
if sys.argv[1] == "green":
    import eventlet
    eventlet.monkey_patch()
import threading
from shared.hosting.workers import WorkerPool
pool = WorkerPool([sys.executable, "-m", "services.instances.mover"], name="mover")
job = {"op": "verify", "items": [{"key": "k", "source": {"adaptor": "file", "parameters": {"rootdir": "/"}}, "path": "none"}]}
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
heard = []
for _ in range(50):
    assert pool.submit(job).wait(120)["failed"] == 1
    assert pool.submit(job, on_message=heard.append).wait(120)["failed"] == 1
    assert [m for m in pool.submit(job) if "done" in m]
assert len(heard) == 100 and len(ticks) > 3, (len(heard), len(ticks))
print(pool.pids()[0], flush=True)
if sys.argv[2] == "linger":
    time.sleep(60)
pool.stop()
"""


@pytest.mark.parametrize("kind", ["green", "plain"])
def test_the_pool_works_under_monkey_patching_and_without(kind: str) -> None:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(PARENT), kind, "end"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert gone(int(ran.stdout))


def test_a_worker_ends_with_its_parent_however_that_ends() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, "plain", "linger"], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(pid)


def test_lines_come_whole_however_they_are_cut() -> None:
    assert list(whole_lines([b"a", b"b\nc\n", b"\nd", b"e", b"\nrest"])) == [b"ab", b"c", b"", b"de"]
