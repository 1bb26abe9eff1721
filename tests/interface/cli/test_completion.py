"""What the shell offers while a command line is typed: words, states, messages, and names from the server."""
from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.support.commands import Commands
from tests.support.debian import libraries, unpacked
from tests.support.servers import ROOT, EdgemereServer, project_environment


def offered(line: str, url: str) -> list[str]:
    """The words that bash is offered for the last one of ``line``."""
    words = line.split(" ")
    environment = project_environment(_EDGEMERE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1), EDGEMERE_URL=url)
    done = subprocess.run([sys.executable, "-m", "gateway"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
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
        env=project_environment(EDGEMERE_URL=server.url), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    for line in ("edgemere do datarequest show comp", "edgemere do datarequest show --id comp", "edgemere do datainstance list --request comp"):
        assert offered(line, server.url) == ["completed-soon"]
    assert offered("edgemere do datarequest show other", server.url) == []
    began = time.monotonic()
    assert offered("edgemere do datarequest show comp", "http://127.0.0.1:9") == []
    assert time.monotonic() - began < 60


BASH = """
source <(edgemere completion bash)
typed() {
    COMP_LINE="$1" COMP_POINT=${#1}; read -ra COMP_WORDS <<< "$1"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    "$(complete -p edgemere | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" edgemere; printf '%s\\n' "${COMPREPLY[@]}"
}
typed "edgemere do datareq"; typed "edgemere do datarequest show comp"
"""
FISH = 'edgemere completion fish | source; complete -C "edgemere do datareq"; complete -C "edgemere do datarequest show comp"'


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """The environment of a shell in which ``edgemere`` is a command, and the server has a request to name."""
    folder = tmp_path_factory.mktemp("shells")
    commands = Commands(folder)
    with EdgemereServer(folder / "server") as server:
        made = commands.run(["do", "datarequest", "create", "--name", "completed-soon", "--query", "a:1", "--no-fulfill"], 60, EDGEMERE_URL=server.url)
        assert made.returncode == 0, made.stderr
        yield folder, {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "EDGEMERE_URL": server.url, "TERM": "dumb"}
    commands.close()


def test_bash_completes_words_and_names_from_the_server(shell):
    _, environment = shell
    done = subprocess.run(["bash", "--norc", "-c", BASH], env=environment, capture_output=True, text=True, timeout=120)
    assert dict.fromkeys(done.stdout.split()) == dict.fromkeys(["datarequest", "completed-soon"]), done.stderr


def test_fish_completes_words_and_names_from_the_server(shell):
    _, environment = shell
    fish = unpacked("fish", ["fish"], "Install fish.")
    done = subprocess.run([str(fish / "usr/bin/fish"), "--no-config", "-c", FISH], env={**environment, "LD_LIBRARY_PATH": libraries(fish)},
                          capture_output=True, text=True, timeout=120)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["datarequest", "completed-soon"], done.stderr


def test_zsh_completes_words_and_names_from_the_server(shell):
    folder, environment = shell
    zsh = unpacked("zsh", ["zsh"], "Install zsh.")
    functions = [str(one) for one in (zsh / "usr/share/zsh/functions", *(zsh / "usr/share/zsh/functions").rglob("*")) if one.is_dir()]
    (folder / ".zshenv").write_text(f"module_path=({next(zsh.glob('usr/lib/*/zsh/*'))})\nfpath=({' '.join(functions)})\n")
    (folder / ".zshrc").write_text("autoload -Uz compinit; compinit -u -D\nsource <(edgemere completion zsh)\nPS1='ready> '\n")
    pid, screen = pty.fork()
    if pid == 0:
        os.execve(zsh / "bin/zsh", ["zsh", "-i"], {**environment, "LD_LIBRARY_PATH": libraries(zsh)})
    try:
        shown_until(screen, b"ready> ")
        os.write(screen, b"edgemere do datareq\t")
        shown_until(screen, b"datarequest ")
        os.write(screen, b"show comp\t")
        shown_until(screen, b"completed-soon ")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)


def shown_until(screen: int, wanted: bytes) -> None:
    """Read the terminal until it shows this."""
    shown, end = b"", time.monotonic() + 120
    while wanted not in shown:
        assert time.monotonic() < end, shown
        if select.select([screen], [], [], 0.2)[0]:
            shown += os.read(screen, 65536)
