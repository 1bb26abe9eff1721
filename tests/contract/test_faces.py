"""A row that is added to the table is on every face, and each face reaches the same function with the same parameters."""
from __future__ import annotations

import json
import subprocess
import sys

from tests.support.node import run_module
from tests.support.servers import ROOT, project_environment

PROGRAM = '''
import json, sys
from marshmallow import Schema, fields
from shared.contracts import requests
from shared.contracts.action import Action
from shared.contracts.parameters import about

class Parameters(Schema):
    """Of the row that is added here."""
    colour = fields.String(required=True, metadata=about("Which colour."))
    depth = fields.Integer(metadata=about("How deep."))

requests.ACTIONS += (Action(tree="do", path=("datarequest", "paint"), service="requests", method="paint", kind="query",
    parameters=Parameters, summary="Paint a request.", noun="datarequest", answer="document", positional="colour",
    example={"colour": "red", "depth": 3}),)

from shared.contracts import event
event.EVENTS["datarequest.painted"] = event.Event("datarequest.painted", "datarequest", "requests", "A request was painted.")

from shared.contracts.table import ACTIONS
row = ACTIONS["do.datarequest.paint"]
found = {}

from werkzeug.test import Client
from gateway.app import create_app
from gateway.live import Live
from gateway.settings import Settings
from tests.support.answering import Answering
mesh = Answering(requests__paint=lambda **given: {"painted": given})
client = Client(create_app(mesh, Live(), Settings(owner="darren")))
host = {"Host": "127.0.0.1"}
asked = {"colour": "red", "depth": 3}
found["rest"] = client.post(row.address, json=asked, headers=host).json == {"painted": asked}
found["rest, in the address"] = client.get(row.address + "?colour=red&depth=3", headers=host).status_code == 200
found["rest, refused"] = client.post(row.address, json={"depth": 1}, headers=host).json["code"] == "parameter.missing"

from gateway.dispatch import Dispatcher
from gateway.metrics import Metrics
from gateway.callers.caller import Caller
from gateway.websocket.calls import Calls
from shared.kernel.context import Context
calls = Calls(Dispatcher(mesh, Live(), Settings(owner="darren")), Settings(owner="darren"), Metrics())
for name in ("do.datarequest.paint", "edgemere.diml.dml.do.datarequest.paint"):
    answer, problem, about = calls.answer(name, [asked], Caller(Context(roles=row.roles)), lambda: True, {})
    found["websocket, " + name] = answer == {"painted": asked} and problem is None

import click
from gateway.cli import entry
context = click.Context(entry.Root())
command = context.command
for word in row.words:
    command = command.get_command(context, word)
found["cli"] = command is not None and {"--colour", "--depth"} <= {option for parameter in command.params for option in parameter.opts}

from pathlib import Path
from gateway.clients import js, python
Path(sys.argv[1], "edgemere.mjs").write_text(js.module())
found["js"] = '"do.datarequest.paint"' in js.module()
found["js, types"] = "paint: (parameters: DoDatarequestPaintParameters" in js.types()
found["python"] = "def paint(" in python.calls() and "colour: str" in python.calls()

from gateway import asyncapi, openapi, pages, reference
found["openapi"] = row.address in openapi.document("1")["paths"]
page = pages.docs("1").decode()
found["docs"] = 'id="do.datarequest.paint"' in page and "edgemere do datarequest paint --colour red --depth 3" in page
found["docs/generated"] = "## do.datarequest.paint" in reference.actions()
found["page, its form"] = any(one["name"] == row.name and [field["name"] for field in one["parameters"]] == ["colour", "depth"]
    for one in client.get("/web/table.json", headers=host).json["actions"])
lines = client.post("/web/lines.json", json={"action": row.name, "parameters": asked}, headers=host).json
found["page, its lines"] = all("paint" in lines[face] and "red" in lines[face] for face in ("curl", "cli", "js", "python"))

messages = asyncapi.document("1")
found["message, asyncapi"] = "datarequest.painted" in messages["channels"] and "datarequest.painted" in messages["components"]["messages"]
found["message, js types"] = '"datarequest.painted"' in js.types()
found["message, page"] = any(one["name"] == "datarequest.painted" for one in client.get("/web/table.json", headers=host).json["events"])
found["message, docs/generated"] = "datarequest.painted" in reference.messages()
found["message, /asyncapi"] = "datarequest.painted" in pages.messages("1").decode()
print(json.dumps(found))
'''
ASKED_IN_NODE = """
    import {{ connect }} from {module};
    const sent = [];
    const fetch = async (address, asked) => {{ sent.push([asked.method, address]); return new Response("{{}}"); }};
    const edgemere = connect("http://127.0.0.1:9", {{ fetch }});
    await edgemere.diml.dml.do.datarequest.paint({{ colour: "red", depth: 3 }});
    console.log(JSON.stringify(sent));
"""


def test_a_row_and_a_message_that_are_added_to_the_table_are_on_every_face(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, env=project_environment(), capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) >= 19 and [face for face, follows in found.items() if not follows] == []
    module = json.dumps((tmp_path / "edgemere.mjs").as_uri())
    assert json.loads(run_module(ASKED_IN_NODE.format(module=module), tmp_path)) == [
        ["GET", "http://127.0.0.1:9/edgemere/diml/dml/do/datarequest/paint?colour=red&depth=3"]]
