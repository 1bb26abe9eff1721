"""A row that is added to the table is on every face, and each face reaches the same function with the same parameters."""
from __future__ import annotations

import json
import subprocess
import sys

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
from gateway.websocket.calls import Calls
from shared.kernel.context import Context
calls = Calls(Dispatcher(mesh, Live(), Settings(owner="darren")), Settings(owner="darren"), Metrics())
for name in ("do.datarequest.paint", "edgemere.diml.dml.do.datarequest.paint"):
    answer, problem, about = calls.answer(name, [asked], Context(), lambda: True, {})
    found["websocket, " + name] = answer == {"painted": asked} and problem is None

import click
from gateway.cli import entry
context = click.Context(entry.Root())
command = context.command
for word in row.words:
    command = command.get_command(context, word)
found["cli"] = command is not None and {"--colour", "--depth"} <= {option for parameter in command.params for option in parameter.opts}

from gateway.clients import js, python
found["js"] = '"do.datarequest.paint"' in js.module()
found["js, types"] = "paint: (parameters: DoDatarequestPaintParameters" in js.types()
found["python"] = "def paint(" in python.calls() and "colour: str" in python.calls()

from gateway import asyncapi, openapi, pages, reference
found["openapi"] = row.address in openapi.document("1")["paths"]
page = pages.docs("1").decode()
found["docs"] = 'id="do.datarequest.paint"' in page and "edgemere do datarequest paint --colour red --depth 3" in page
found["docs/generated"] = "## do.datarequest.paint" in reference.actions()
print(json.dumps(found))
'''


def test_a_row_that_is_added_to_the_table_is_on_every_face():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) >= 12 and [face for face, follows in found.items() if not follows] == []
