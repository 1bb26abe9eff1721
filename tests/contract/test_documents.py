"""The documents that a server shows: AsyncAPI that validates, an example of each action for each face, pages without anything from elsewhere."""
from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from werkzeug.test import Client

from gateway.app import create_app
from gateway.clients.samples import FACES
from gateway.live import Live
from gateway.settings import Settings
from shared.contracts.event import EVENTS, HANDLED, PUBLIC
from shared.contracts.table import ACTIONS
from tests.support.answering import Answering
from tests.support.servers import ROOT

SCHEMA = Path(ROOT, "tests/support/asyncapi/3.0.0.json.gz")
HOST = {"Host": "127.0.0.1:3000"}


@pytest.fixture(scope="module")
def client():
    return Client(create_app(Answering(), Live(), Settings(owner="darren")))


@pytest.fixture(scope="module")
def asyncapi(client):
    return client.get("/asyncapi.json", headers=HOST).json


def test_the_asyncapi_document_is_valid(asyncapi):
    import jsonschema  # seconds, that only the process with this test shall spend

    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    faults = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
              for error in jsonschema.Draft7Validator(schema).iter_errors(asyncapi)]
    assert faults == []


def test_the_asyncapi_document_has_every_message_and_every_reference_leads_somewhere(asyncapi):
    names = {name for name, event in EVENTS.items() if event.exchange == PUBLIC}
    assert names <= set(asyncapi["channels"]) and {f"receive {name}" for name in HANDLED} <= set(asyncapi["operations"])
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(asyncapi)):
        found = asyncapi
        for part in reference.split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]


def test_every_action_has_an_example_for_every_face(client):
    paths = client.get("/openapi.json", headers=HOST).json["paths"]
    page = client.get("/docs", headers=HOST).text
    for row in ACTIONS.values():
        found = paths[row.address]["post"]["x-codeSamples"]
        assert len(found) == len(FACES) and all(one["source"] for one in found)
        assert f'id="{row.name}"' in page


@pytest.mark.parametrize("path", ["/docs", "/asyncapi", "/docs/try"])
def test_a_page_loads_nothing_from_elsewhere_and_its_policy_says_so(client, path):
    answer = client.get(path, headers=HOST)
    policy = answer.headers["Content-Security-Policy"]
    assert answer.status_code == 200 and policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy
    assert re.findall(r'(?:src|href)="(?!/|#|data:,)[^"]*"', answer.text) == [] and "//" not in policy
    assert path == "/docs/try" or ("unsafe" not in policy and "<script" not in answer.text)


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_swagger_is_sent_packed_and_unpacked_alike(client, name):
    packed = client.get(f"/docs/{name}", headers={**HOST, "Accept-Encoding": "gzip"})
    plain = client.get(f"/docs/{name}", headers=HOST)
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < 500_000 and b"sourceMappingURL=swagger" not in plain.data
