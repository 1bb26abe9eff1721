"""What the shell offers while a command line is typed: words, states, messages, and names from the server."""
from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.support.servers import ROOT, project_environment


def offered(line: str, url: str) -> list[str]:
    """The words that bash is offered for the last one of ``line``."""
    words = line.split(" ")
    environment = project_environment(_EDGEMERE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), EDGEMERE_URL=url)
    done = subprocess.run([sys.executable, "-m", "gateway"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return [word.partition(",")[2] for word in done.stdout.splitlines() if word]


@pytest.mark.parametrize(("line", "word"), [
    ("edgemere do datar", "datarequest"), ("edgemere do datarequest list --state Sa", "Satisfied"),
    ("edgemere do event stream --event datarequest.ne", "datarequest.needed"),
])
def test_words_states_and_messages_need_no_server(line, word):
    assert word in offered(line, "http://127.0.0.1:9")


def test_names_come_from_the_server_and_a_server_that_is_away_holds_nobody_up(edgemere_server):
    server = edgemere_server()
    made = subprocess.run(
        [sys.executable, "-m", "gateway", "do", "datarequest", "create", "--name", "completed-soon", "--query", "a:1", "--no-fulfill"],
        env=project_environment(EDGEMERE_URL=server.url), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    for line in ("edgemere do datarequest show comp", "edgemere do datarequest show --id comp", "edgemere do datainstance list --request comp"):
        assert offered(line, server.url) == ["completed-soon"]
    assert offered("edgemere do datarequest show other", server.url) == []
    began = time.monotonic()
    assert offered("edgemere do datarequest show comp", "http://127.0.0.1:9") == []
    assert time.monotonic() - began < 20
