"""A Node for the tests: the one of ``EDGEMERE_TEST_NODE``, else an installed one, else Debian's, unpacked.

A run without any of these fails; it never skips.
"""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.debian import Missing, libraries, unpacked

LEAST = 18


def node() -> list[str]:
    """The command that runs Node.

    Raises:
        Missing: there is none of version 18 or newer.
    """
    for named in (os.environ.get("EDGEMERE_TEST_NODE"), shutil.which("node"), shutil.which("nodejs")):
        if named and version([named]) >= LEAST:
            return [named]
    instead = f"Install Node {LEAST} or newer, or name one with EDGEMERE_TEST_NODE."
    home = unpacked("node", ["nodejs"], instead)
    command = ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries(home)}", str(home / "usr/bin/node")]
    if version(command) < LEAST:
        raise Missing(f"Debian's Node does not run, or is older than {LEAST}. {instead}")
    return command


def ws() -> Path:
    """The module ``ws``, which programs on a Node without a WebSocket of its own use; Debian's, unpacked.

    Raises:
        Missing: it could not be had.
    """
    return unpacked("node-ws", ["node-ws"]) / "usr/share/nodejs/ws/index.js"


def own_websocket() -> dict[str, str]:
    """The environment in which Node has a WebSocket of its own: by itself from 22 on, asked for in 20 and 21, not in 18."""
    return {"NODE_OPTIONS": "--experimental-websocket"} if version(node()) in (20, 21) else {}


def version(command: list[str]) -> int:
    """The major version, or 0 where it does not run."""
    try:
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=120).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = said.strip().removeprefix("v").split(".")[0]
    return int(number) if number.isdigit() else 0


def run_module(code: str, folder: Path, limit_s: float = 120, **environment: str) -> str:
    """Run the text of an ES module in a file of ``folder`` and give what it printed; a failure of it is one of the test."""
    path = folder / "program.mjs"
    path.write_text(code, encoding="utf-8")
    done = subprocess.run([*node(), str(path)], cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=limit_s)
    assert done.returncode == 0, f"node ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout
