"""Whatever a caller of each role sends to a server that wants a login: never a 500, and no answer above his rights."""
from __future__ import annotations

import itertools

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

from shared.kernel.rights import ROLES
from shared.contracts.table import BY_ADDRESS
from tests.contract.test_no_5xx import described
from tests.interface.gateway.locked import DO, locked

TURNS = itertools.count()
MARK = "belongs-to-somebody-else"
schema = schemathesis.openapi.from_dict(described())
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server on which somebody has one of each thing that is his alone, and a caller for each role."""
    running = locked(tmp_path_factory.mktemp("roles"), limits={"wrong_credentials": ""})
    with running:
        other = running.make_key(f"{MARK}-key", owner="somebody", roles=list(ROLES[:3]))["key"]
        for address, given in ((f"{DO}/datarequest/create", {"name": MARK, "query": {"tag": MARK}, "wait": True}),
                               (f"{DO}/datareference/create", {"name": MARK, "query": {"tag": MARK}}),
                               (f"{DO}/apikey/create", {"name": MARK})):
            assert running.ask(address, other, "POST", json=given, headers={"Prefer": "wait=0"}).status_code < 300
        running.keys = {role: running.make_key(f"of-{role}", owner=f"the-{role}", roles=[role])["key"] for role in ROLES}
        yield running
    running.provider.server.shutdown()


@pytest.mark.parametrize("role", [*ROLES, None])
def test_nobody_sees_what_is_another_owners_in_any_list(server, role):
    for address, row in BY_ADDRESS.items():
        if row.changes or row.answer != "page" or row.tree != "do":
            continue
        answer = server.ask(address, server.keys[role] if role else None)
        if role is None:
            assert answer.status_code == 401, address
        elif role in row.roles:
            assert answer.status_code < 500 and (role == "Administrator" or MARK not in answer.text), (address, answer.text[:500])
        else:
            assert answer.status_code == 403, (address, answer.text[:500])


@schema.parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))
def test_no_answer_is_above_the_rights_of_its_caller(case, server):
    # Each role in turn: what is sent is made anew for each.
    role = ROLES[next(TURNS) % len(ROLES)]
    row = BY_ADDRESS.get(case.path)
    headers = {**(case.headers or {}), "Prefer": "wait=0", "Authorization": f"Bearer {server.keys[role]}"}
    answer = case.call(base_url=server.url, headers=headers, timeout=30)
    # Which methods an address has is no secret.
    if row is not None and role not in row.roles and case.method.upper() != "OPTIONS":
        assert answer.status_code >= 400, (role, answer.status_code, answer.text[:500])
    if role != "Administrator":
        assert MARK not in answer.text, (role, answer.text[:1000])
    if answer.status_code != 503:
        case.validate_response(answer, checks=[not_a_server_error])
