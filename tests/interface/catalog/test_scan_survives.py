"""A scan in the real server, killed in the middle: it goes on, and every file is there once."""
from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.awaiting import until
from tests.support.servers import EdgemereServer

FMDM = "/edgemere/diml/dml/fmdm"
FILES = 6000


def ask(server: EdgemereServer, path: str, body: Any = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{FMDM}/{path}", data=data, headers={
        "Content-Type": "application/json", "Prefer": "wait=0"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def test_a_scan_goes_on_after_kill_9(edgemere_server: Callable[..., EdgemereServer], tmp_path: Path) -> None:
    root = tmp_path / "files"
    for number in range(FILES):
        folder = root / f"d{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}.txt").touch()
    server = edgemere_server()
    ask(server, "datasource/create", {"name": "lab", "adaptor": "file", "parameters": {"rootdir": str(root)}})
    until(lambda: ask(server, "datasource/show?id=lab")["data_count"] > 0)
    server.kill9()
    server.restart()
    before = ask(server, "datasource/show?id=lab")
    until(lambda: ask(server, "datasource/show?id=lab")["scan"]["state"] != "running")
    after = ask(server, "datasource/show?id=lab")
    assert before["scan"]["id"] == after["scan"]["id"], "it was over before the kill"
    assert (after["scan"]["state"], after["scan"]["files"], after["scan"]["added"]) == ("done", FILES, FILES)
    assert after["data_count"] == ask(server, "query?expression=type:file&limit=1")["total"] == FILES
