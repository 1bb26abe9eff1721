"""The examples of the documents are run: each action's, for curl, the command line, JavaScript and Python, against a real server.

What an example speaks of (a request called scans, an instance, a source) is made first, under a name of its own, and
the example is rendered with that name by the same code that renders the documents.
"""
from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from gateway.clients.generated import ROOT
from gateway.clients.samples import FACES, samples
from shared.contracts.action import Action
from shared.contracts.table import ACTIONS
from tests.support.commands import Commands
from tests.support.node import node
from tests.support.python_client import client
from tests.support.reaper import reaper
from tests.support.servers import EdgemereServer, project_environment

# Rows whose example can only be refused here, with the code that it is refused with: there is nothing dead to replay, and what
# nobody holds or broke cannot be taken up again.
REFUSED = {
    "do.event.dead.replay": "deadletter.not_found", "do.datainstance.retry": "datainstance.illegal_move",
    "do.datareservation.confirm": "datareservation.illegal_move", "do.datareservation.free": "datareservation.in_use",
}


class World:
    """A server, and whatever an example needs there."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._numbers = itertools.count(1)
        self.lab = self.source()["name"]

    def call(self, row: str, /, wait_s: int = 30, **parameters: Any) -> Any:
        answer = requests.post(self.url + ACTIONS[row].address, json=parameters, headers={"Prefer": f"wait={wait_s}"}, timeout=120)
        assert answer.status_code < 300, (row, parameters, answer.text)
        return answer.json()

    def name(self, base: str) -> str:
        return f"{base}-{next(self._numbers)}"

    def source(self) -> dict[str, Any]:
        """A registered folder with one file of darren's."""
        name = self.name("lab")
        folder = self.folder / name
        folder.mkdir()
        (folder / "one.csv").write_text("a,b\n1,2\n")
        (folder / "one.csv.meta.yaml").write_text("owner: darren\nfiletypes: csv\n")
        return self.call("fmdm.datasource.create", name=name, adaptor="file", parameters={"rootdir": str(folder)})

    def request(self, fulfill: bool = True) -> dict[str, Any]:
        """A request for that one file."""
        return self.call("do.datarequest.create", name=self.name("scans"), query={"source": self.lab, "name": "one.csv"}, fulfill=fulfill, lifetime="1h")

    def instance(self) -> dict[str, Any]:
        return self.call("do.datainstance.list", request=self.request()["id"])["items"][0]

    def reservation(self) -> dict[str, Any]:
        return self.call("do.datareservation.list", request=self.request()["id"])["items"][0]

    def reference(self) -> dict[str, Any]:
        return self.call("do.datareference.create", name=self.name("training"), query={"source": self.lab, "name": "one.csv"})

    def destroyed(self) -> dict[str, Any]:
        made = self.instance()
        self.call("do.datainstance.destroy", attr1=made["id"])
        return made

    def pinned(self) -> dict[str, Any]:
        made = self.instance()
        self.call("do.datainstance.pin", id=made["id"], reason="figures")
        return made

    def suspended(self) -> dict[str, Any]:
        made = self.source()
        self.call("fmdm.datasource.suspend", id=made["id"])
        return made

    def audited(self) -> dict[str, Any]:
        made = self.source()
        self.call("fmdm.datasource.audit", id=made["id"])
        return made

    def target(self) -> dict[str, Any]:
        """A folder that receives copies, and is bounded."""
        name = self.name("results")
        (self.folder / name).mkdir()
        return self.call("fmdm.datasource.create", name=name, adaptor="file", capacity={"bytes": 10**12},
                         parameters={"rootdir": str(self.folder / name), "writable": True})

    def failed(self) -> dict[str, Any]:
        return self.call("do.datarequest.create", name=self.name("scans"), query="owner:nobody-at-all")

    def operation(self) -> dict[str, Any]:
        """One that is under way: a request that waits for data."""
        waiting = self.call("do.datarequest.create", wait_s=0, name=self.name("scans"), query="owner:nobody-at-all", wait=True)
        return {"id": waiting["id"].replace("dreq_", "oper_")}

    def data(self) -> dict[str, Any]:
        return self.call("fmdm.data.list", source=self.lab)["items"][0]

    def person(self) -> str:
        """Somebody of whom there is a key."""
        name = self.name("ann")
        self.call("do.apikey.create", owner=name)
        return name

    def bare(self) -> dict[str, Any]:
        return self.call("fmdm.data.create", source=self.lab, path=self.name("by/hand"), size=1)


def id_of(make: str) -> Callable[[World], dict[str, Any]]:
    return lambda world: {"id": getattr(world, make)()["id"]}


def name_of(make: str, parameter: str = "id") -> Callable[[World], dict[str, Any]]:
    return lambda world: {parameter: getattr(world, make)()["name"]}


# What an example of a class speaks of when it names one by ``id``: a new row of the class needs nothing here.
OF_CLASS = {"datarequest": name_of("request"), "datareference": name_of("reference"), "datainstance": name_of("instance"),
            "datareservation": id_of("reservation"), "datasource": name_of("source"), "data": id_of("data"), "operation": id_of("operation")}
# Where that will not do: the state that the action asks for, another parameter, a name that nobody has yet.
NEEDED: dict[str, Callable[[World], dict[str, Any]]] = {
    "do.datarequest.create": lambda world: {"name": world.name("scans")},
    "do.datarequest.fulfill": lambda world: {"id": world.request(fulfill=False)["name"]},
    "do.datarequest.cancel": lambda world: {"id": world.request(fulfill=False)["name"]},
    "do.datarequest.retry": name_of("failed"), "do.datarequest.destroy": name_of("failed"),
    "do.datareference.create": lambda world: {"name": world.name("training")},
    "do.datareference.find": name_of("reference", "attr1"),
    "do.reserve": name_of("request", "request"), "do.evaluate": name_of("request", "request"),
    "do.datareservation.list": name_of("request", "request"),
    "do.datainstance.create": lambda world: {"dataref": {"name": world.name("training"), "query": f"source:{world.lab} name:one.csv"}},
    "do.datainstance.destroy": name_of("instance", "attr1"),
    "do.datainstance.unpin": name_of("pinned"), "do.datainstance.undo": id_of("destroyed"),
    "fmdm.datasource.create": lambda world: {"name": world.name("lab"), "parameters": {"rootdir": str(_empty(world))}},
    "fmdm.datasource.simulate": lambda world: {"name": world.name("archive")},
    "fmdm.datasource.findings": name_of("audited"), "fmdm.datasource.reap": name_of("target"),
    "fmdm.datasource.resume": name_of("suspended"),
    "fmdm.data.create": lambda world: {"source": world.lab, "path": world.name("scans/b")},
    "fmdm.data.destroy": id_of("bare"),
    "do.event.send": name_of("request", "obj"),
    "do.person.remove": lambda world: {"owner": world.person()},
}


def needed(row: Action, world: World) -> dict[str, Any]:
    """The parameters of an example that speak of something, made to be there."""
    if row.name in NEEDED:
        return NEEDED[row.name](world)
    return OF_CLASS[row.path[0]](world) if "id" in row.example and row.path[0] in OF_CLASS else {}


def _empty(world: World) -> Path:
    folder = world.folder / world.name("empty")
    folder.mkdir()
    return folder


class Curl:
    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder

    def run(self, text: str, stream: bool) -> tuple[bool, str]:
        program = shutil.which("curl")
        if program is None:
            pytest.fail("There is no curl here; the examples for it cannot be run.")
        if stream:
            text = text.replace("curl -sS", "curl -sS --max-time 1", 1)
        done = subprocess.run(["/bin/sh", "-c", text + " -w '\\n%{http_code}'"], capture_output=True, text=True, timeout=120)
        body, _, status = done.stdout.rpartition("\n")
        # What streams for ever is cut off by curl's own clock.
        return (done.returncode in (0, 28) if stream else done.returncode == 0) and status.startswith("2"), body + done.stderr

    def close(self) -> None:
        pass


class CommandLine:
    def __init__(self, url: str, folder: Path) -> None:
        # The command that the documents call, as somebody would have it on his path.
        self._commands = Commands(folder)
        self._environment = project_environment(EDGEMERE_URL=url, PATH=f"{folder}:{os.environ['PATH']}")

    def run(self, text: str, stream: bool) -> tuple[bool, str]:
        if " destroy" in text or " shutdown" in text or " cancel" in text:
            text += " --yes"
        if stream:
            text = f"timeout 2 {text}"
        done = subprocess.run(["/bin/sh", "-c", text], env=self._environment, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=90)
        return done.returncode in ((0, 124) if stream else (0,)), done.stdout + done.stderr

    def close(self) -> None:
        self._commands.close()


class JavaScript:
    def __init__(self, url: str, folder: Path) -> None:
        program = f"""
            import {{ createInterface }} from "node:readline";
            import {{ connect }} from {json.dumps((ROOT / "gateway/clients/js/edgemere.js").as_uri())};
            const edgemere = connect({json.dumps(url)});
            for await (const line of createInterface({{ input: process.stdin }})) {{
              const {{ text, stream }} = JSON.parse(line);
              let reply = {{ done: true }};
              try {{
                const code = stream ? text.replace(/console.log.*$/, "break;") : text;
                await new (async () => {{}}).constructor("edgemere", code)(edgemere);
              }} catch (error) {{ reply = {{ done: false, said: `${{error.code}} ${{error.stack}}` }}; }}
              process.stdout.write(JSON.stringify(reply) + "\\n");
            }}"""
        self._process = subprocess.Popen([*node(), "--input-type=module", "--eval", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True, start_new_session=True)
        reaper.watch_group(self._process.pid)

    def run(self, text: str, stream: bool) -> tuple[bool, str]:
        self._process.stdin.write(json.dumps({"text": text, "stream": stream}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        return said["done"], said.get("said", "")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()
        reaper.forget_group(self._process.pid)


class PythonProgram:
    def __init__(self, url: str, folder: Path) -> None:
        self._module = client()
        self._edgemere = self._module.connect(url)

    def run(self, text: str, stream: bool) -> tuple[bool, str]:
        if stream:
            text += "\n    break"
        try:
            exec(compile(text, "example", "exec"), {"edgemere": self._edgemere, "print": lambda *_: None})  # noqa: S102
        except self._module.EdgemereError as error:
            return False, str(error)
        return True, ""

    def close(self) -> None:
        pass


RUNNERS = dict(zip(FACES, (Curl, CommandLine, JavaScript, PythonProgram)))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    with EdgemereServer(folder / "server", options=("--env", "dev")) as server:
        made = World(server.url, folder)
        made.request()
        yield made


@pytest.fixture(scope="module", params=FACES)
def runner(request, world, tmp_path_factory):
    made = RUNNERS[request.param](world.url, tmp_path_factory.mktemp(request.param))
    yield request.param, made
    made.close()


@pytest.mark.parametrize("row", ACTIONS.values(), ids=list(ACTIONS))
def test_the_example_of_the_documents_does_what_it_says(row: Action, runner, world):
    face, made = runner
    parameters = {**row.example, **needed(row, world)} if row.built else dict(row.example)
    text = samples(row, parameters, world.url)[face]
    if row.answer == "stream":
        # There is something to be seen at once.
        text = samples(row, {**parameters, "after": 0}, world.url)[face]
    done, said = made.run(text, row.answer == "stream")
    if not row.built:
        assert not done and "not_yet" in said, f"{text}\n{said[:2000]}"
    elif row.name in REFUSED:
        assert done or REFUSED[row.name] in said, f"{text}\n{said[:2000]}"
    else:
        assert done, f"{text}\n{said[:2000]}"
