"""What the demo shows, step by step: sources, three questions, and where the data is.

A step is a sentence and a command line; the command runs through the command line's own code against the server.
"""
from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli import main as command_line
from gateway.cli.client import Server
from gateway.cli.exits import FAILED, NOT_FOUND, OK, Failure
from gateway.cli.terminal import BOLD, DIM, Terminal
from gateway.cli.text import bytes_text
from gateway.demo.files import ARCHIVE, default_folder, lay_out
from gateway.demo.stage import Stage, port_for
from shared.contracts import table

WEATHER, LARGE, NOTHING = "weather", "large-tables", "darrens-diffusion"


class Narrator:
    """Says each step in a sentence, shows its command, and runs it."""

    def __init__(self, url: str, stands_in: Mapping[str, str]) -> None:
        self._server = Server(url)
        self._terminal = Terminal.of_process()
        self._stands_in = stands_in

    def say(self, sentence: str) -> None:
        """A sentence on a line of its own."""
        print(f"\n{self._terminal.paint(sentence, BOLD)}", flush=True)

    def run(self, *words: str, expected: tuple[int, ...] = (OK,)) -> int:
        """Show a command as a user would type it, and run it.

        Raises:
            Failure: it ends with a code that is not expected.
        """
        shown = " ".join(self._stands_in.get(word, shlex.quote(word)) for word in words)
        print(self._terminal.paint(f"$ edgemere {shown}", DIM), flush=True)
        code = command_line(words)
        if code not in expected:
            raise Failure(FAILED, {"code": "demo.step", "detail": f"The step ended with {code}.", "next_step": "See what is said above it."})
        return code

    def ask(self, name: str, **parameters: Any) -> Any:
        """The answer to a question, for the demo itself."""
        return self._server.call(table.ACTIONS[name], parameters).body

    def has(self, name: str, ref: str) -> bool:
        """Whether there is an object of this name."""
        try:
            self.ask(name, id=ref)
        except Failure as failure:
            if failure.exit_code != NOT_FOUND:
                raise
            return False
        return True


def play(port: int | None, data: str | None, stays: bool) -> int:
    """Play every step on a server of its own; 0 when all of them came out as they should.

    Raises:
        Failure: a step did not; the server is ended all the same.
    """
    # A demo that is told to end must take its server along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    begun = time.monotonic()
    folder = Path(data).expanduser().absolute() if data else default_folder()
    again = (folder / "state").exists()
    state, sets, results = lay_out(folder)
    print(f"The demo keeps its things in {folder}{' (from the last time)' if again else ''}.", flush=True)
    with Stage(state, folder / "server.log", port_for(port)) as stage:
        os.environ["EDGEMERE_URL"] = stage.url
        print(f"The server is ready at {stage.url} after {time.monotonic() - begun:.1f} s.", flush=True)
        narrator = Narrator(stage.url, {f"@{ARCHIVE}": "@archive.yaml", str(ARCHIVE): shlex.quote(os.path.relpath(ARCHIVE))})
        _sources(narrator, sets, results)
        _requests(narrator)
        _outcome(narrator, stage.url)
        print(f"\nThat took {time.monotonic() - begun:.1f} s in all.", flush=True)
        if stays:
            return _stay(stage, folder)
    return OK


def _sources(narrator: Narrator, sets: Path, results: Path) -> None:
    narrator.say("1. Tell it where data is: a folder of real open data sets, a simulated archive, and a folder that takes copies.")
    if narrator.has("fmdm.datasource.show", "vega"):
        _tidy(narrator)
        narrator.run("fmdm", "datasource", "scan", "vega", "-o", "name")
    else:
        narrator.run("fmdm", "datasource", "create", "--name", "vega", "--adaptor", "file", "--parameters",
                     f'{{"rootdir": "{sets}"}}', "-o", "name")
        narrator.run("fmdm", "datasource", "simulate", "--name", "mri-archive", "--file", str(ARCHIVE), "-o", "name")
        narrator.run("fmdm", "datasource", "create", "--name", "results", "--adaptor", "file", "--parameters",
                     f'{{"rootdir": "{results}", "writable": true}}', "-o", "name")
    narrator.run("fmdm", "datasource", "list")


def _tidy(narrator: Narrator) -> None:
    """Say that the last time's requests are done with: their claims are released and their copies go."""
    for name in (WEATHER, LARGE, NOTHING):
        if not narrator.has("do.datarequest.show", name):
            continue
        if narrator.ask("do.datarequest.show", id=name)["state"] == "Satisfied":
            narrator.run("do", "datarequest", "complete", name, "--yes", "-o", "name")
        _wait_until_gone(narrator, name)
        narrator.run("do", "datarequest", "destroy", name, "--yes", "-o", "name")


def _wait_until_gone(narrator: Narrator, name: str) -> None:
    """A request can be destroyed when its instances are gone, which takes a moment."""
    deadline = time.monotonic() + 10
    while narrator.ask("do.datainstance.list", request=name)["items"] and time.monotonic() < deadline:
        time.sleep(0.1)


def _requests(narrator: Narrator) -> None:
    narrator.say("2. Ask by tag: weather data that is in the public domain. It stays where it is.")
    narrator.run("do", "datarequest", "create", "--name", WEATHER, "--query", "topic:weather licence:public-domain", "--wait", "-o", "name")
    narrator.run("do", "datarequest", "explain", WEATHER)
    narrator.say("3. Ask by size and type: CSV files of more than 150 KB, copied to the results folder and verified there.")
    narrator.run("do", "datarequest", "create", "--name", LARGE, "--query", "source:vega format:csv size>150KB",
                 "--action", "copy", "--target", "results", "--wait", "-o", "name")
    narrator.run("do", "datareservation", "list", "--request", LARGE)
    narrator.say("4. Ask for what is not there: the funnel says which part of the question loses it.")
    narrator.run("do", "datarequest", "create", "--name", NOTHING, "--query", "topic:mri owner:darren modality:dwi",
                 "--wait", "-o", "name", expected=(FAILED,))
    narrator.run("do", "datarequest", "explain", NOTHING)


def _outcome(narrator: Narrator, url: str) -> None:
    """The instances, the paths that a program opens, and what to try next.

    Raises:
        Failure: a path that was promised is not there.
    """
    narrator.say("5. This is where the data is now; every path can be opened.")
    narrator.run("do", "datainstance", "list", "--state", "Ready", "--sort", "name")
    paths = [entry for name in (WEATHER, LARGE) for item in narrator.ask("do.datainstance.list", request=name)["items"]
             for entry in item["access"]]
    missing = [str(entry["path"]) for entry in paths if not entry.get("path") or not os.path.isfile(entry["path"])]
    if missing or not paths:
        raise Failure(FAILED, {"code": "demo.missing", "detail": f"These paths are not there: {', '.join(missing) or 'none at all'}.",
                               "next_step": "Look at the server's log."})
    total = sum(os.path.getsize(entry["path"]) for entry in paths)
    print(f"{len(paths)} files, {bytes_text(total)}, all there and verified.")
    example = f"{LARGE}-0"
    if not narrator.has("do.datainstance.show", example):
        example = narrator.ask("do.datainstance.list", request=LARGE)["items"][0]["name"]
    narrator.say("To try next:")
    exported = "" if url.endswith(":3000") else f"  export EDGEMERE_URL={url}\n"
    print(f"""{exported}  ./edgemere do datainstance show {shlex.quote(example)}
  ./edgemere do datainstance content {shlex.quote(example)} | head -3
  ./edgemere fmdm query 'rows>1000 -topic:transport'
  ./edgemere diml find --query 'topic:finance'
  ./edgemere do event list --event 'datarequest.*'
  ./edgemere do datarequest complete {LARGE}""", flush=True)


def _stay(stage: Stage, folder: Path) -> int:
    print(f"\nThe server stays up at {stage.url}/web until Ctrl-C; its log is {folder / 'server.log'}.", flush=True)
    try:
        return stage.wait()
    except KeyboardInterrupt:
        print("\nStopping.", file=sys.stderr)
        return OK
