"""A newcomer who has read only the README: what it says is run, word for word, and seen live on the other faces."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.awaiting import until
from tests.support.chromium import browser
from tests.support.node import node
from tests.support.servers import ROOT, EdgemereServer, project_environment

LIMIT_S = 180
README_URL = "http://127.0.0.1:3000"


def blocks(heading: str) -> list[tuple[str, str]]:
    """The fenced blocks of a section of the README: (language, text)."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(\w*)\n(.*?)^```$", section, re.M | re.S)


class Newcomer:
    """Somebody with an empty home but for a folder of data, who does what the README says."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        home = folder / "home"
        (home / "data").mkdir(parents=True)
        (home / "data" / "sales.csv").write_text("city,amount\nUtrecht,12\n")
        self.environment = {**project_environment(), "HOME": str(home), "EDGEMERE_URL": url}
        self._folder = folder

    def runs(self, language: str, text: str) -> str:
        """Run a block with what it is for; only the port is another one."""
        text = text.replace(README_URL, self.url)
        if language in ("", "sh"):
            command = ["/bin/sh", "-e", "-c", text]
        else:
            # Beside the README, as somebody does who tries it: its paths are those of the repository.
            program = ["-c", text] if language == "python" else ["--input-type=module", "-e", text]
            command = [sys.executable, *program] if language == "python" else [*node(), *program]
        environment = {**self.environment, "PYTHONPATH": str(ROOT / "gateway/clients/python")} if language == "python" else self.environment
        done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S * 2)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def test_what_the_readme_says_works_and_is_seen_live_on_the_other_faces(tmp_path: Path) -> None:
    with EdgemereServer(tmp_path / "server") as server, browser() as running:
        newcomer = Newcomer(tmp_path, server.url)
        page = running.new_page()
        page.set_default_timeout(LIMIT_S * 1000)
        page.goto(f"{server.url}/web/requests")
        page.get_by_text("Live", exact=True).wait_for()
        heard_path = tmp_path / "heard"
        with open(heard_path, "wb") as heard:
            follower = subprocess.Popen(["./edgemere", "do", "event", "list", "--follow"], cwd=ROOT, env=newcomer.environment, stdout=heard)
        try:
            up, *first = blocks("Your own first question")
            assert "./edgemere up" in up[1]
            said = [newcomer.runs(*block) for block in first]
            assert str(Path(newcomer.environment["HOME"], "data", "sales.csv")) in said[0]
            for language, text in blocks("On every face"):
                newcomer.runs(language, text)
            made = ["datarequest-1", "by-curl", "by-python", "by-js", "by-socket"]
            for name in made:
                until(lambda name=name: f'"name": "{name}"' in heard_path.read_text(), what=f"{name} is not heard on the command line")
            page.get_by_role("button", name=re.compile(r"\d+ new: show")).click()
            for name in made:
                page.get_by_role("link", name=name, exact=True).wait_for()
            page.goto(f"{server.url}/web/new")
            page.get_by_label("What data do you need?").fill("name:*.csv")
            page.get_by_label("name", exact=True).fill("by-page")
            page.get_by_role("button", name="Ask for it").click()
            page.locator(".title .state", has_text="Satisfied").wait_for()
            until(lambda: '"name": "by-page"' in heard_path.read_text(), what="the page's request is not heard on the command line")
        finally:
            follower.terminate()
            follower.wait()
