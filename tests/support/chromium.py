"""A Chromium for the tests: the one of ``EDGEMERE_TEST_CHROMIUM``, else an installed one, else Debian's, unpacked.

Driven with Playwright. It speaks to the loopback interface only, and a run without any of these fails; it never skips.
"""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.debian import libraries, unpacked
from tests.support.reaper import reaper

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>"""


def program() -> tuple[str, dict[str, str]]:
    """(the executable, what its environment needs beside the usual).

    Raises:
        Missing: there is none, and Debian's packages could not be had.
    """
    for named in (os.environ.get("EDGEMERE_TEST_CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome")):
        if named:
            return named, {}
    home = unpacked("chromium", ["chromium", "fonts-dejavu-core"],
                    "Install chromium, or name one with EDGEMERE_TEST_CHROMIUM.")
    fonts = home / "fonts.conf"
    if not fonts.exists():
        fonts.write_text(_FONTS.format(fonts=home / "usr/share/fonts", cache=home / "font-cache"), encoding="utf-8")
    return str(home / "usr/lib/chromium/chromium"), {"LD_LIBRARY_PATH": libraries(home), "FONTCONFIG_FILE": str(fonts)}


@contextmanager
def browser() -> Iterator[Any]:
    """A running browser (Playwright's ``Browser``); it ends with the block, and with the test run."""
    from playwright.sync_api import sync_playwright

    executable, more = program()
    profile = Path(tempfile.mkdtemp(prefix="edgemere-chromium-"))
    reaper.watch_folder(profile)
    try:
        with sync_playwright() as playwright:
            running = playwright.chromium.launch(
                executable_path=executable, headless=True, args=[*FLAGS, f"--crash-dumps-dir={profile}"],
                env={**os.environ, **more, "HOME": str(profile)})
            try:
                yield running
            finally:
                running.close()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
        reaper.forget_folder(profile)
