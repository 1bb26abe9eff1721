"""A Prometheus of a test's own, and its promtool: installed ones, else Debian's package, unpacked without being installed."""
from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support.debian import unpacked
from tests.support.ports import free_port
from tests.support.reaper import end_group, reaper
from tests.support.starting import until_it_answers


def program(name: str) -> str:
    """The path of ``prometheus`` or ``promtool``.

    Raises:
        Missing: neither installed nor to be had.
    """
    return shutil.which(name) or str(unpacked("prometheus", ["prometheus"]) / "usr/bin" / name)


class Prometheus:
    """Scrapes what the files of ``targets`` name, every ``every_s``, and judges by ``rules``."""

    def __init__(self, folder: Path, rules: dict[str, Any], targets: list[Path], every_s: float = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        (folder / "prometheus.yml").write_text(yaml.safe_dump({
            "global": {"scrape_interval": f"{every_s}s", "scrape_timeout": f"{every_s}s", "evaluation_interval": f"{every_s}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "edgemere", "file_sd_configs": [
                {"files": [str(path) for path in targets], "refresh_interval": f"{every_s}s"}]}]}))
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> Prometheus:
        with open(self._folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                 f"--web.listen-address={self.url.removeprefix('http://')}"], cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True)
        reaper.watch_group(self.process.pid)
        until_it_answers("Prometheus", lambda: self._get("/-/ready"), self.process, self._said)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        end_group(self.process.pid)
        self.process.wait()
        reaper.forget_group(self.process.pid)

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        found = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def value(self, query: str) -> list[Any]:
        return json.loads(self._get("/api/v1/query?" + urllib.parse.urlencode({"query": query})))["data"]["result"]

    def until(self, holds: Callable[[], bool], limit_s: float, what: str) -> float:
        """Wait until something holds; how long it took.

        Raises:
            AssertionError: it did not within the limit.
        """
        began = time.monotonic()
        while True:
            try:
                if holds():
                    return time.monotonic() - began
            except OSError:
                pass
            if time.monotonic() - began > limit_s:
                raise AssertionError(f"not within {limit_s:g} s: {what}\n{self._said()}")
            time.sleep(0.3)

    def _said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-1500:]

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return answer.read()
