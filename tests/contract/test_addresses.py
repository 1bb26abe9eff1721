"""Every row of the table has its address with the right methods, and every error code is explained."""
from __future__ import annotations

import orjson
import pytest
from werkzeug.test import Client

from gateway.app import create_app
from gateway.live import Live
from gateway.openapi import document, status_of
from gateway.problems import DOCUMENTED
from gateway.settings import Settings
from shared.contracts.action import load_parameters
from shared.contracts.table import ACTIONS, BY_ADDRESS, ERRORS
from shared.kernel.errors import KINDS, Unavailable
from tests.support.answering import Answering

ROWS = list(ACTIONS.values())
BUILT = [row for row in ROWS if row.built]
HOST = {"Host": "127.0.0.1:3000"}


@pytest.fixture(scope="module")
def client():
    return Client(create_app(Answering(), Live(), Settings(owner="darren")))


def ids(row):
    return row.name


def code_of(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    return orjson.loads(answer.data)["code"]


@pytest.mark.parametrize("row", BUILT, ids=ids)
def test_a_row_is_asked_for_at_its_address(client, row):
    """Nobody runs the service here, so a call that gets as far as the service answers 503."""
    answer = client.post(row.address, json=dict(row.example), headers=HOST)
    assert (answer.status_code, code_of(answer)) == (503, "unavailable")


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_the_methods_of_a_row_are_those_of_its_kind(client, row):
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = client.open(row.address, method=method, headers=HOST)
        if row.changes or method != "GET":
            assert (answer.status_code, code_of(answer)) == (405, "method_not_allowed")
            assert answer.headers["Allow"] == ("POST" if row.changes else "GET, HEAD, POST")
        else:
            assert answer.status_code in (422, 501, 503)


def test_every_row_is_built():
    assert [row.name for row in ROWS if not row.built] == []


@pytest.mark.parametrize("row", BUILT, ids=ids)
def test_the_example_of_a_row_is_one_that_it_takes(row):
    load_parameters(row, row.example)


@pytest.mark.parametrize("row", BUILT, ids=ids)
def test_a_row_refuses_a_parameter_that_it_does_not_know(client, row):
    answer = client.post(row.address, json={**row.example, "no_such_parameter": 1}, headers=HOST)
    assert (answer.status_code, code_of(answer)) == (422, "parameter.unknown")


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_every_error_of_a_row_is_explained(row):
    assert [code for code in row.errors if not ERRORS.get(code)] == []


def test_every_kind_of_error_is_explained():
    assert [code for code in (kind.code for kind in KINDS.values()) if not DOCUMENTED.get(code)] == []


def test_a_wrong_address_names_the_nearest(client):
    answer = client.get("/edgemere/diml/dml/do/datainstance/lst", headers=HOST)
    assert (answer.status_code, code_of(answer)) == (404, "not_found")
    assert "'/edgemere/diml/dml/do/datainstance/list'" in answer.json["detail"]


def test_the_openapi_document_is_valid_and_has_every_row():
    from openapi_spec_validator import validate  # seconds, that only the process with this test shall spend

    found = document("1")
    validate(found)
    assert {address for address in found["paths"] if address.startswith("/edgemere")} == set(BY_ADDRESS)
    for address, row in BY_ADDRESS.items():
        assert set(found["paths"][address]) == ({"post"} if row.changes else {"get", "post"})
        body = found["paths"][address]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert set(body["properties"]) == set(row.parameters().fields)
        assert all(schema["description"] for schema in body["properties"].values())
        responses = found["paths"][address]["post"]["responses"]
        for code in row.errors:
            assert f"`{code}`" in responses[str(status_of(code))]["description"]


def test_the_pages_come_from_the_tables_and_from_nowhere_else(client):
    docs = client.get("/docs", headers=HOST).text
    assert [name for name in ACTIONS if f'id="{name}"' not in docs] == []
    assert [code for code in DOCUMENTED if f'id="{code}"' not in docs] == []
    # The examples name this server; nothing is fetched from anywhere.
    assert "://" not in docs.replace("http://127.0.0.1:3000", "") and "<script" not in docs
    table = client.get("/web/table.json", headers=HOST).json
    assert {row["name"] for row in table["actions"]} == set(ACTIONS)
    for row in table["actions"]:
        assert {field["name"] for field in row["parameters"]} == set(ACTIONS[row["name"]].parameters().fields)


def test_the_web_page_runs_nothing_from_elsewhere_and_nothing_written_into_it(client):
    answer = client.get("/web/requests/some.name", headers=HOST)
    assert "://" not in answer.text and "<script>" not in answer.text and "style=" not in answer.text
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in answer.headers["Content-Security-Policy"]
    assert client.get("/web", headers=HOST).text == answer.text
    assert client.get("/web", headers={**HOST, "If-None-Match": answer.headers["ETag"]}).status_code == 304
    for gone in ("/web/app/none.js", "/web/app/../assets.py", "/web/app/%2e%2e/assets.py", "/web/table.py", "/web/vendor/pico"):
        assert client.get(gone, headers=HOST).status_code == 404, gone
    assert client.get("/openapi.json", headers=HOST).json["openapi"] == "3.1.0"
    assert client.get("/", headers=HOST).json["docs"] == "/docs"


def test_a_refusal_of_a_service_keeps_its_code_and_status():
    """What a service raises reaches the client as that; Unavailable stands for all kinds here."""
    def refuse(**_):
        raise Unavailable("source.busy", "Busy.", next_step="Wait.", candidates=[1])

    client = Client(create_app(Answering(requests__show=refuse), Live(), Settings(owner="d")))
    answer = client.get("/edgemere/diml/dml/do/datarequest/show?id=a", headers=HOST)
    assert answer.status_code == 503
    assert answer.json.items() >= {"code": "source.busy", "next_step": "Wait.", "candidates": [1], "status": 503}.items()
