"""One server with data in it, one real browser, and pages that notice what a user would be harmed by."""
from __future__ import annotations

import json
import re
import struct
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.support.chromium import browser as running_browser
from tests.support.servers import EdgemereServer

DO, FMDM = "/edgemere/diml/dml/do", "/edgemere/diml/dml/fmdm"
NASTY = "<img src=x onerror=window.harmed=1>.txt"
SCRIPT, PICTURE = "<script>window.harmed=1</script>", "<img src=x onerror=window.harmed=1>"
LIMIT_MS = 120_000
HUGE_BYTES = 5 * 2**30


class World:
    """A server, and the way to it that is not the page."""

    def __init__(self, server: EdgemereServer, lab: Path, target: Path) -> None:
        self.server, self.lab, self.target = server, lab, target

    def call(self, path: str, body: Any = None, wait: int = 20) -> Any:
        """The answer of an action over REST."""
        request = urllib.request.Request(self.server.url + path, json.dumps(body or {}).encode(), {
            "Content-Type": "application/json", "Prefer": f"wait={wait}"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def request(self, name: str, **asked: Any) -> Any:
        return self.call(f"{DO}/datarequest/create", {"name": name, **asked})


def settled(page: Any) -> None:
    """Wait until the view has what it asked for. Looked at from here: the page's policy lets nothing be evaluated in it again and again."""
    busy = page.locator("main [aria-busy=true]").or_(page.locator("main [role=status]", has_text=re.compile(r"…\s*$")))
    end = time.monotonic() + LIMIT_MS / 1000
    while busy.count():
        assert time.monotonic() < end, f"the view stays busy: {busy.first.inner_text()}"
        page.wait_for_timeout(20)


def harmed(page: Any) -> bool:
    """Whether something that somebody typed became a part of the page."""
    return page.evaluate("window.harmed !== undefined || document.querySelector('main img[src=x], main script') !== null")


def picture(width: int, height: int) -> bytes:
    """A small PNG, made by hand."""
    rows = b"".join(b"\0" + b"".join(bytes((x * 2 % 256, y * 2 % 256, 128)) for x in range(width)) for y in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def fill(lab: Path) -> None:
    lab.mkdir()
    (lab / "temperatures.csv").write_text("city,degrees\nOslo,12\nRome,31\n\"Rio, Brazil\",29\n")
    (lab / "notes.txt").write_text("Measured in July.\n")
    (lab / "places.json").write_text('{"Oslo": [59.9, 10.7]}')
    (lab / "really-not.csv").write_bytes(bytes(range(256)) * 40)
    (lab / "empty.csv").write_bytes(b"")
    (lab / "map.png").write_bytes(picture(60, 40))
    (lab / "really-not.parquet").write_text("PAR1 is not enough")
    with open(lab / "huge.csv", "w") as huge:
        huge.write("city,degrees\n" + "Oslo,12\n" * 20_000)
        huge.truncate(HUGE_BYTES)
    (lab / NASTY).write_text("hello")
    pyarrow.parquet.write_table(pyarrow.table({"city": ["Oslo", "Rome"], "degrees": [12.5, 31.0]}), lab / "degrees.parquet")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("page")
    lab, target = folder / "lab", folder / "target"
    fill(lab)
    target.mkdir()
    with EdgemereServer(folder / "server") as server:
        made = World(server, lab, target)
        for name, parameters, capacity in (("lab", {"rootdir": str(lab)}, {"readers": 1000}),
                                           ("target", {"rootdir": str(target), "writable": True}, {"bytes": 10**9})):
            made.call(f"{FMDM}/datasource/create", {
                "name": name, "adaptor": "file", "parameters": parameters, "capacity": capacity})
        made.request("everything", query="source:lab")
        made.request("nowhere", query="name:*.csv owner:darren")
        made.request("copies", query="name:temperatures.csv", action="copy", target="target")
        made.call(f"{DO}/datarequest/create", {"name": "waiting", "query": "owner:later", "wait": True}, wait=0)
        made.call(f"{DO}/datareference/create", {"name": "training", "query": "name:*.csv"})
        # What somebody means to harm with is in the lists of every screen.
        made.request(SCRIPT, query={"name": NASTY})
        made.call(f"{FMDM}/datasource/simulate", {"name": f"{PICTURE} lab", "listing": {f"{PICTURE}.nii": {"size": 1, "tags": {PICTURE: SCRIPT}}}})
        made.call(f"{DO}/datareference/create", {"name": f"{PICTURE} ref", "query": {"name": NASTY}})
        yield made


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    # Not for the whole run: Playwright drives one browser at a time in a thread, and other tests start their own.
    with running_browser() as running:
        yield running


@pytest.fixture
def visit(world: World, chromium: Any) -> Iterator[Callable[..., Any]]:
    """``visit(address, width=, scheme=)`` gives the page of a view; a console error or a foreign request fails the test."""
    contexts, wrong = [], []

    def open_page(address: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light",
                  expected: tuple[str, ...] = (), clock_off_s: int = 0) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(LIMIT_MS)
        page = context.new_page()
        if clock_off_s:
            page.add_init_script(f"Date.now = (now => () => now() + {clock_off_s * 1000})(Date.now);")
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error"
                and not any(word in said.text for word in expected) else None)
        page.on("request", lambda asked: None if asked.url.startswith((world.server.url, "blob:", "data:", world.server.url.replace("http", "ws")))
                else wrong.append(f"foreign request: {asked.url}"))
        page.goto(f"{world.server.url}/web/{address}" if address else f"{world.server.url}/web")
        page.wait_for_selector("main h1")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
