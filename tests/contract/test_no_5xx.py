"""Whatever is sent to a running server, the answer is one that the OpenAPI document knows, and never a 500."""
from __future__ import annotations

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from shared.contracts.table import ACTIONS
from tests.support.servers import EdgemereServer

# An endless answer, and one that waits for a scan of whatever folder was named.
_LEFT_OUT = {row.address for row in ACTIONS.values() if row.answer == "stream"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EdgemereServer(tmp_path_factory.mktemp("no5xx")) as running:
        yield running


@pytest.fixture(scope="module")
def api(server):
    document = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    document["paths"] = {address: path for address, path in document["paths"].items() if address not in _LEFT_OUT}
    return schemathesis.openapi.from_dict(document)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))
def test_nothing_that_is_sent_makes_a_500(case, server):
    case.headers["Prefer"] = "wait=0"
    answer = case.call(base_url=server.url, timeout=30)
    if answer.status_code in (501, 503) and answer.headers["Content-Type"] == "application/problem+json":
        assert answer.json()["code"] in ("not_yet", "unavailable")
        return
    case.validate_response(answer, checks=[not_a_server_error])
    assert answer.status_code == 204 or "html" not in answer.headers.get("Content-Type", "")
