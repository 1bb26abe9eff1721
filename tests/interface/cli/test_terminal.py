"""The command line on a real terminal (a pseudo one): it asks, colours, shortens and shows progress there only."""
from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import time

import pytest

from tests.interface.cli.conftest import Told
from tests.support.servers import ROOT, project_environment

LONG = {"id": "dreq_1", "name": "scans", "state": "Failed", "query": {"owner": "darren"}, "message": "Nothing matches. " * 20}


def on_terminal(url: str, *words: str, typed: bytes = b"", columns: int = 60, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; ``typed`` is what the user types. Gives exit code and screen."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "gateway", *words],
                  project_environment(EDGEMERE_URL=url, TERM="xterm", PYTHONUTF8="1", COLUMNS=str(columns), **environment))
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    if typed:
        os.write(screen, typed)
    shown = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            chunk = os.read(screen, 65536)
        except OSError:  # the terminal of a process that has ended
            break
        if not chunk:
            break
        shown += chunk
    _, status = os.waitpid(pid, 0)
    os.close(screen)
    return os.waitstatus_to_exitcode(status), shown.decode()


@pytest.mark.parametrize(("typed", "words", "code", "sent"), [
    (b"n\n", [], 1, 0), (b"\n", [], 1, 0), (b"y\n", [], 0, 1), (b"", ["--yes"], 0, 1),
])
def test_what_destroys_asks_first(told: Told, typed: bytes, words: list[str], code: int, sent: int) -> None:
    told.tell("POST do/datainstance/destroy", (200, {"id": "dins_1", "state": "Destroyed"}))
    ended, shown = on_terminal(told.url, "do", "datainstance", "destroy", "training-0", *words, typed=typed)
    assert (ended, len(told.asked)) == (code, sent)
    assert ("go on? [y/N]" in shown) is (not words)


def test_a_table_has_colours_and_fits_the_screen(told: Told) -> None:
    told.tell("GET do/datarequest/list", (200, {"items": [LONG], "next": None, "total": 1}))
    code, shown = on_terminal(told.url, "do", "datarequest", "list", columns=70)
    assert code == 0 and "\x1b[31mFailed" in shown and "…" in shown
    assert max(len(line) for line in shown.replace("\x1b[31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()) <= 70


def test_no_color_is_obeyed(told: Told) -> None:
    told.tell("GET do/datarequest/list", (200, {"items": [LONG], "next": None, "total": 1}))
    assert "\x1b" not in on_terminal(told.url, "do", "datarequest", "list", NO_COLOR="1")[1]


def test_progress_is_shown_and_wiped(told: Told) -> None:
    told.tell("POST do/datarequest/create", (202, LONG, {"Location": "/x?id=oper_1"}))
    told.tell("GET do/operation/show", (200, {"status": "running", "progress": {"bytes_done": 2**20, "bytes_total": 2**22}}), (200, {"status": "succeeded"}))
    told.tell("GET do/datarequest/show", (200, {**LONG, "state": "Satisfied"}))
    code, shown = on_terminal(told.url, "do", "datarequest", "create", "--query", "a:1", "--wait", "-o", "name")
    assert code == 0 and "running: 1.0 MiB of 4.0 MiB" in shown and shown.endswith("\r\x1b[Kscans\r\n")


def test_bytes_do_not_go_to_a_terminal_by_accident(told: Told) -> None:
    code, shown = on_terminal(told.url, "do", "datainstance", "content", "x")
    assert code == 2 and "-O FILE" in shown and told.asked == []


def test_a_watched_table_stays_in_its_place_fits_and_leaves_the_screen_as_it_should_be(told: Told) -> None:
    told.tell("GET do/datarequest/list", *((200, {"items": [{**LONG, "state": state}], "next": None, "total": 1}) for state in ("Needed", "Satisfied")))
    told.tell("GET do/event/stream", (200, b'id: 1\ndata: {"event": "datarequest.updated"}\n\n'), (404, {"code": "not_found", "detail": "enough"}))
    _, shown = on_terminal(told.url, "do", "datarequest", "list", "--watch", columns=40)
    assert shown.count("\x1b[1A") >= 1, "the second table is drawn over the first one"
    assert "\x1b[2J" not in shown, "what was on the screen before is left alone"
    assert shown.rindex("Satisfied") > shown.rindex("Needed")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is back"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert max(len(line) for line in re.split(r"[\r\n]+", plain) if not line.startswith(("Error", "Next"))) <= 40


@pytest.mark.parametrize("words", [("--help",), ("do", "--help"), ("do", "datarequest", "create", "--help")])
def test_help_can_be_read_on_a_narrow_terminal(told: Told, words: tuple[str, ...]) -> None:
    code, shown = on_terminal(told.url, *words, columns=40)
    # What is there to be copied, and an option with its choices, is not broken; the rest is.
    lines = shown.split("Example")[0].split("First steps")[0].splitlines()
    assert code == 0 and [line for line in lines if len(line) > 40 and not line.startswith("  -")] == []
