"""Every story through every face, on one real server for each face."""
from __future__ import annotations

import os
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import table
from tests.stories.faces import Cli, Reply, Rest
from tests.stories.page_face import Page
from tests.stories.program_faces import PROGRAM_FACES
from tests.stories.story import MISSING, faults, filled, member, stories, write_files
from tests.support.servers import EdgemereServer

FACES = {face.name: face for face in (Rest, Cli, Page)} | PROGRAM_FACES
STORIES = dict(stories())
_PAUSE_S = 0.15
# What is only a matter of time comes about within this; only a failure takes as long.
_EVENTUALLY_S = 120.0
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=list(FACES))
def face(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One face of one server; the stories keep out of each other's way by their names."""
    folder = tmp_path_factory.mktemp(f"server-{request.param}")
    # The rules of a story are in a file that it writes itself; before, there are none.
    policies = folder / "policies.yaml"
    policies.write_text("rules: []\n")
    with EdgemereServer(folder, environment={"EDGEMERE_POLICIES": str(policies)}) as server:
        face = FACES[request.param](server.url)
        face.policies = policies
        yield face
        face.close()


@pytest.mark.parametrize("name", STORIES)
def test_the_story_goes_as_it_is_told(name: str, face: Any, tmp_path: Path) -> None:
    tell(name, face, tmp_path)


def tell(name: str, face: Any, tmp_path: Path) -> None:
    """Take every step of a story that is for this face."""
    story = STORIES[name]
    if face.name not in story.get("faces", FACES):
        return
    variables: dict[str, Any] = {"folder": str(tmp_path), "run": f"{face.name}{next(_numbers)}", "policies": str(face.policies)}
    write_files(tmp_path, filled(story.get("files", {}), variables))
    for number, step in enumerate(story["steps"], 1):
        if face.name in step.get("only", [face.name]):
            where = f"{name}, step {number} ({step.get('say') or step.get('call') or next(iter(step))}) on {face.name}"
            take(step, face, tmp_path, variables, where)


def _corrupt(path: Path) -> None:
    """Change the last byte of a file; its size and time stay."""
    seen = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def take(step: Mapping[str, Any], face: Any, folder: Path, variables: dict[str, Any], where: str) -> None:
    """Do one step and check what it expects; with ``eventually`` again and again until it holds."""
    done = filled({key: value for key, value in step.items() if key != "save"}, variables)
    if files := done.get("make"):
        write_files(folder, files)
    for path in _paths(done.get("remove")):
        (folder / path).unlink()
    for path in _paths(done.get("corrupt")):
        _corrupt(folder / path)
    if not {"call", "command", "request"} & set(done):
        _settled(lambda: _faults_of_files(done, face), _EVENTUALLY_S if done.get("eventually") else 0, where)
        return

    replies: list[Reply] = []

    def attempt() -> list[str]:
        replies.append(_ask(done, face))
        return _faults_of(done.get("expect", {}), face, replies[-1])

    _settled(attempt, _EVENTUALLY_S if done.get("eventually") else 0, where, lambda: replies[-1].text)
    for variable, path in step.get("save", {}).items():
        found = member(replies[-1].body, filled(path, variables))
        assert found is not MISSING, f"{where}: nothing at {path} in {replies[-1].text}"
        variables[variable] = found


def _ask(step: Mapping[str, Any], face: Any) -> Reply:
    if "command" in step:
        return face.command(list(map(str, step["command"])))
    if "request" in step:
        sent = step["request"]
        body = sent.get("body")
        return face.request(sent["method"], sent["address"], body if body is None or isinstance(body, str) else json.dumps(body), sent.get("headers"))
    return face.call(table.ACTIONS[step["call"]], step.get("with", {}), step.get("wait"), step.get("headers"))


def _faults_of(expected: Mapping[str, Any], face: Any, reply: Reply) -> list[str]:
    found = faults(expected.get("body", {}), reply.body)
    status = expected.get("status", 200)
    if not face.fits(status, expected.get("exit"), reply):
        found.insert(0, f"expected status {status} (exit {expected.get('exit', 'of that status')}), got {reply.status}")
    if "code" in expected and reply.code not in _paths(expected["code"]):
        found.append(f"expected the code {expected['code']}, got {reply.code!r}")
    found += [f"expected an error at {pointer}, got {reply.pointers}" for pointer in expected.get("pointers", []) if pointer not in reply.pointers]
    if "text" in expected and expected["text"] not in reply.text:
        found.append(f"expected {expected['text']!r} to be said")
    return found + (faults({f"{key}": value for key, value in expected.get("headers", {}).items()}, reply.headers) if reply.headers else [])


def _faults_of_files(step: Mapping[str, Any], face: Any) -> list[str]:
    found = [f"{path} is not there" for path in _paths(step.get("exists")) if not Path(path).is_file()]
    found += [f"{path} is still there" for path in _paths(step.get("missing")) if Path(path).exists()]
    if "same" in step:
        one, other = map(Path, step["same"])
        if not one.is_file() or one.read_bytes() != other.read_bytes():
            found.append(f"{one} is not the same as {other}")
    if "content" in step:
        row = table.ACTIONS[step.get("row", "do.datainstance.content")]
        if face.content(row, step["content"]) != Path(step["same_as"]).read_bytes():
            found.append(f"the bytes are not those of {step['same_as']}")
    return found


def _settled(attempt: Any, seconds: float, where: str, said: Any = lambda: "") -> None:
    deadline = time.monotonic() + seconds
    while found := attempt():
        if time.monotonic() > deadline:
            pytest.fail(f"{where}:\n  " + "\n  ".join(found) + f"\n{said()[:4000]}", pytrace=False)
        time.sleep(_PAUSE_S)


def _paths(given: Any) -> list[str]:
    return [] if given is None else given if isinstance(given, list) else [given]
