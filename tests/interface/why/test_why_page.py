"""The page on "why": its examples say what it shows, on a real server; and every command that should end a wait ends it."""
from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.servers import EdgemereServer, project_environment

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = re.findall(r"```console\n(.*?)```", (ROOT / "docs" / "why.md").read_text(encoding="utf-8"), re.S)
DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"


def typed(server: EdgemereServer, command: str) -> str:
    """What a command line prints, standard error after standard output."""
    words = shlex.split(command)
    assert words[0] == "edgemere"
    done = subprocess.run([sys.executable, "-m", "gateway", *words[1:]], env=project_environment(EDGEMERE_URL=server.url), cwd=ROOT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


@pytest.fixture
def lab(edgemere_server: Callable[..., EdgemereServer]) -> EdgemereServer:
    server = edgemere_server()
    listing = {f"{name}.csv": {"type": "file", "size": 10, "tags": {"kind": "scan", "owner": owner}} for name, owner in (
        ("a", "darren"), ("b", "darren"), ("c", "zoe"), ("d", "darren"))}
    made = requests.post(f"{server.url}{FMDM}/datasource/simulate", json={"name": "lab", "listing": listing, "cost": {"per_request": 1}},
                         headers={"Prefer": "wait=60"}, timeout=90)
    assert made.status_code in (200, 201), made.text
    return server


def test_the_examples_of_the_page_say_what_it_shows(lab: EdgemereServer) -> None:
    for example in EXAMPLES:
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", example, re.M):
            said, at = typed(lab, command), 0
            for line in shown.splitlines():
                if line == "…":
                    continue
                found = said.find(line, at)
                assert found >= 0, f"{command}\nshould say: {line}\nbut says:\n{said}"
                at = found + len(line)


def test_each_command_that_should_end_a_wait_ends_it(lab: EdgemereServer) -> None:
    def call(method: str, path: str, **body: Any) -> dict[str, Any]:
        return requests.request(method, f"{lab.url}{path}", json=body or None, timeout=90,
                                # One that waits would be waited for as long as one says.
                                headers={"Prefer": "wait=1" if body.get("wait") else "wait=80"}).json()

    call("POST", f"{FMDM}/datasource/simulate", name="narrow", capacity={"readers": 1},
         listing={"x.csv": {"type": "file", "size": 1, "tags": {"kind": "narrow"}}})
    call("POST", f"{DO}/datarequest/create", name="first", query="kind:narrow")
    call("POST", f"{FMDM}/datasource/suspend", id="lab")
    waiting = {"no_capacity": call("POST", f"{DO}/datarequest/create", name="second", query="kind:narrow", wait=True),
               "no_match": call("POST", f"{DO}/datarequest/create", name="third", query="kind:scan", wait=True)}
    for code, request in waiting.items():
        frame = call("GET", f"{DO}/datarequest/explain?id={request['name']}")
        assert frame["blocked_by"]["code"] == code and frame["blocked_by"]["unstick"], frame
        *ways, last = frame["blocked_by"]["unstick"]
        assert ways and last == f"edgemere do datarequest cancel --id {request['name']}"
        typed(lab, ways[0])
        ended = call("GET", f"{DO}/datarequest/show?id={request['name']}")
        for _ in range(240):
            if ended["state"] == "Satisfied":
                break
            ended = requests.get(f"{lab.url}{DO}/datarequest/show?id={request['name']}", timeout=120).json()
            time.sleep(0.5)
        assert ended["state"] == "Satisfied", (code, ways, ended)
    call("POST", f"{DO}/datarequest/create", name="never", query="kind:never", wait=True)
    frame = call("GET", f"{DO}/datarequest/explain?id=never")
    typed(lab, frame["blocked_by"]["unstick"][-1])
    assert call("GET", f"{DO}/datarequest/show?id=never")["reason"]["code"] == "cancelled"
