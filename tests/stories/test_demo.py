"""The demo as a newcomer meets it: once on a fresh folder, once more, and ended while it stays up."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.servers import ROOT, project_environment, run_edgemere


def test_the_demo_shows_paths_that_exist_the_first_and_the_second_time(tmp_path: Path) -> None:
    for time_of_day in ("first", "second"):
        done = run_edgemere("demo", "--exit", "--port", str(free_port()), "--data", str(tmp_path))
        assert done.returncode == 0, f"{time_of_day}: {done.stdout}\n{done.stderr}"
        assert "6 files" in done.stdout and "nothing is left here" in done.stdout
        assert ("from the last time" in done.stdout) is (time_of_day == "second")
        listing = done.stdout.partition("5. This is where the data is now")[2]
        paths = [Path(line.split()[-1]) for line in listing.splitlines() if str(tmp_path) in line]
        assert len(paths) == 6 and all(path.is_file() for path in paths)
        assert sum(path.is_relative_to(tmp_path / "results") for path in paths) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_while_its_server_starts_leaves_none_behind(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "demo"
    process = subprocess.Popen([sys.executable, "-m", "gateway", "demo", "--port", str(free_port()), "--data", str(folder)], cwd=ROOT, text=True,
                               env=project_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 120
    while not (folder / "server.log").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    left = [other for other in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(other.info["cmdline"] or ())]
    for other in left:
        other.kill()
    assert not left and process.returncode and "Traceback" not in said, (left, process.returncode, said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_takes_its_server_along(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with open(tmp_path / "shown", "wb") as shown:
        process = subprocess.Popen([sys.executable, "-m", "gateway", "demo", "--port", str(port), "--data", str(tmp_path / "demo")], cwd=ROOT,
                                   env=project_environment(), stdin=subprocess.DEVNULL, stdout=shown, stderr=shown, start_new_session=True)
    reaper.watch_group(process.pid)
    try:
        deadline = time.monotonic() + 120
        while b"stays up" not in (tmp_path / "shown").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "shown").read_text()
            time.sleep(0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=120) as answer:
            assert json.load(answer)["ok"]
        process.send_signal(number)
        process.wait(120)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=120)
    finally:
        end_group(process.pid)
        process.wait()
        reaper.forget_group(process.pid)
