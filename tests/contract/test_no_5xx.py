"""Whatever is sent to a running server, as the OpenAPI document allows it or not, the answer is never a 500."""
from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.pytest._test_builder import build_operation_test

from gateway.openapi import document
from shared.contracts.table import ACTIONS
from tests.support.servers import EdgemereServer


def described():
    """The document, without the answer that never ends."""
    found = document("test")
    endless = {row.address for row in ACTIONS.values() if row.answer == "stream"}
    found["paths"] = {address: path for address, path in found["paths"].items() if address not in endless}
    return found


schema = schemathesis.openapi.from_dict(described())
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EdgemereServer(tmp_path_factory.mktemp("no5xx")) as running:
        yield running


@settings(max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))
def send(case, server):
    headers = {**(case.headers or {}), "Prefer": "wait=0"}
    answer = case.call(base_url=server.url, headers=headers, timeout=120)
    if answer.status_code in (501, 503):
        problem = answer.json()
        assert problem.get("code") == "not_yet" or case.path == "/health/ready", problem
        return
    case.validate_response(answer, checks=[not_a_server_error])
    assert "html" not in "".join(answer.headers.get("Content-Type", ""))


@pytest.mark.parametrize(("method", "path"), [(method, path) for path, methods in schema.raw_schema["paths"].items() for method in methods],
                         ids=lambda word: word.upper() if "/" not in word else word)
def test_nothing_that_is_sent_makes_a_500(method, path, server):
    """What is sent is thought out here; ``schema.parametrize()`` would do so for every address in each process that collects tests."""
    build_operation_test(config=schema.config, operation=schema[path][method], test_func=send, given_kwargs={}, feedback=NO_FEEDBACK)(server=server)
