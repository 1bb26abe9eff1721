"""The command line as a process: how fast it starts, what it never loads, how it ends when it is cut off."""
from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from shared.kernel.version import VERSION
from tests.interface.cli.conftest import Told
from tests.support.servers import ROOT, project_environment, run_edgemere

HEAVY = ("nameko", "kombu", "sqlalchemy", "eventlet", "rich", "requests", "yaml")
MOST_MODULES = 280
"""It is 238 on Python 3.11; the mesh loads more than 2,000."""


def test_it_says_its_version_without_a_server() -> None:
    said = run_edgemere("--version", EDGEMERE_URL="http://127.0.0.1:9")
    assert (said.returncode, said.stdout) == (0, f"edgemere {VERSION}\n")


@pytest.mark.parametrize("words", [["--help"], ["do", "datarequest", "list", "--url", "http://127.0.0.1:9"]])
def test_no_command_loads_what_only_the_mesh_needs(words: list[str]) -> None:
    program = ("import sys; from gateway.__main__ import main; main(sys.argv[1:]); "
               f"print([name for name in {HEAVY!r} if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program, *words], env=project_environment(), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_loads_few_modules() -> None:
    # What its start costs is what it loads; the seconds are in benchmarks/mesh.py, for they are the machine's.
    program = "import sys; from gateway.__main__ import main; main(['--help']); print(len(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], env=project_environment(), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "datarequest" in done.stdout and int(done.stderr) < MOST_MODULES


def test_ctrl_c_ends_it_with_130_and_no_traceback(told: Told) -> None:
    told.tell("GET do/event/stream", (200, b""))
    process = subprocess.Popen([sys.executable, "-m", "gateway", "do", "event", "stream"], env=project_environment(EDGEMERE_URL=told.url), cwd=ROOT,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not told.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in said


def test_a_reader_that_has_seen_enough_is_no_error(told: Told) -> None:
    told.tell("GET fmdm/data/list", (200, {"items": [{"id": f"data_{n}", "name": "x" * 100} for n in range(3000)], "next": None, "total": 3000}))
    done = subprocess.run(f"{sys.executable} -m gateway fmdm data list -o jsonl | head -1", shell=True, cwd=ROOT,
                          env=project_environment(EDGEMERE_URL=told.url), capture_output=True, text=True, timeout=120)
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


@pytest.mark.parametrize("items", [1, 3000])
def test_an_answer_that_there_is_no_room_for_is_said_in_one_line(told: Told, items: int) -> None:
    told.tell("GET fmdm/data/list", (200, {"items": [{"id": f"data_{n}", "name": "x"} for n in range(items)], "next": None, "total": items}))
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "gateway", "fmdm", "data", "list", "-o", "jsonl"], cwd=ROOT, stdout=full,
                              env=project_environment(EDGEMERE_URL=told.url), stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1 and done.stderr.startswith("Error: It cannot be written: No space left on device.") and "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_for_each_shell(shell: str) -> None:
    assert "_EDGEMERE_COMPLETE" in run_edgemere("completion", shell).stdout


def test_the_completion_knows_the_tables_words_and_options() -> None:
    words = run_edgemere(_EDGEMERE_COMPLETE="bash_complete", COMP_WORDS="edgemere do datai", COMP_CWORD="2").stdout
    options = run_edgemere(_EDGEMERE_COMPLETE="bash_complete", COMP_WORDS="edgemere do datainstance find --st", COMP_CWORD="4").stdout
    assert "datainstance" in words and "--state" in options
