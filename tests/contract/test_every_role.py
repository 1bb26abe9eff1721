"""Whatever a caller of each role sends to a running mesh that wants a login, by every row: never a 500, and no answer above his rights.

What is sent is made by schemathesis from the server's own ``/openapi.json``. One owner has an object of each class; all that they hold is marked with
a word, which is then looked for in everything that others are answered. What names them is another word, since a refusal repeats what was asked for.
"""
from __future__ import annotations

import itertools
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, not_a_server_error, status_code_conformance

from gateway.openapi import document
from shared.contracts.table import ACTIONS, BY_ADDRESS
from shared.kernel.rights import ADMINISTRATOR, DEVELOPER, ENGINEER, ROLES, SCIENTIST
from tests.interface.gateway.locked import DO, eventually, locked, token, unsigned

CANARY, NAMED = "zanzibar", "nightjar"
FMDM = "/edgemere/diml/dml/fmdm"
OPERATIONS = [(address, method) for address, path in document("test")["paths"].items() for method in path
              if address not in BY_ADDRESS or BY_ADDRESS[address].answer != "stream"]
OF_A_ROW = [one for one in OPERATIONS if one[0] in BY_ADDRESS]
# An engineer's business (docs/rights.md): he finds and ends the instances of every owner, and tries policies on what all had decided.
SEEN_BY_ENGINEERS = {"instances.find", "instances.list", "instances.show", "instances.destroy", "reservations.policy_test"}
# Headers that cannot be read are refused before anybody looks whether their sender may ask.
OF_HEADERS = {"malformed", "idempotency.invalid", "precondition_failed"}
FEW, MANY = 6, 60


def named_after(row: Any) -> str:
    """The class of what a row is asked about."""
    return {"reserve": "datarequest", "evaluate": "datarequest", "event": "deadletter"}.get(row.path[0], row.path[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server, the objects of somebody, a key for each role, and what nobody should be believed with."""
    running = locked(tmp_path_factory.mktemp("roles"), limits={"wrong_credentials": "", "wrong_of_key": "", "owner": "", "address": ""})
    with running:
        running.somebody = running.make_key("of-somebody", owner="somebody", roles=[SCIENTIST, DEVELOPER, ENGINEER])["key"]
        running.objects = marked(running)
        running.keys = {role: running.make_key(f"of-{role}", owner=f"the-{role}", roles=[role])["key"] for role in ROLES}
        gone = running.make_key("gone", owner="eve", roles=list(ROLES))
        assert running.ask(f"{DO}/apikey/revoke", method="POST", json={"id": gone["id"]}).status_code == 200
        running.wrong = [None, gone["key"], f"{gone['key'][:-4]}aaaa", token(exp=time.time() - 60), token(aud="another"), unsigned(), "x"]
        running.turns = itertools.cycle(range(1, len(running.wrong)))
        yield running
    running.provider.server.shutdown()


def marked(server: Any) -> dict[str, list[dict[str, Any]]]:
    """The objects of somebody, by class; each shows itself to him with the canary in it."""
    def done(address: str, wait_s: int = 20, **body: Any) -> Any:
        answer = server.ask(address, server.somebody, "POST", json=body, headers={"Prefer": f"wait={wait_s}"})
        assert answer.status_code < 300, (address, answer.text)
        return answer.json()

    def listed(address: str, **parameters: Any) -> list[dict[str, Any]]:
        return eventually(lambda: server.ask(address, server.somebody, params=parameters).json().get("items"), bool)

    listing = {f"{CANARY}-{n}.nii": {"type": "file", "size": 5, "tags": {f"{CANARY}_tag": f"{CANARY}_value", "kind": "secret"}} for n in range(2)}
    done(f"{FMDM}/datasource/simulate", name="closed", listing=listing, access=[{"when": {}, "owners": ["somebody"]}])
    listed(f"{FMDM}/data/list", attr1="kind:secret")
    done(f"{DO}/datareference/create", name=f"{NAMED}-reference", query=f"{CANARY}_tag:{CANARY}_value")
    done(f"{DO}/datainstance/create", dataref=f"{NAMED}-reference")
    done(f"{DO}/datarequest/create", name=f"{NAMED}-request", query=f"{CANARY}_tag:{CANARY}_value", labels={"a": CANARY})
    done(f"{DO}/datarequest/create", 0, name=f"{NAMED}-waits", query=f"{CANARY}_tag:nothing", labels={"a": CANARY}, wait=True)
    done(f"{DO}/event/send", event="datarequest.needed", obj=f"{CANARY}-nowhere")
    done(f"{DO}/apikey/create", name=f"{CANARY}-key", roles=[SCIENTIST])
    return {
        "datarequest": listed(f"{DO}/datarequest/list"), "datareference": listed(f"{DO}/datareference/list"),
        "datareservation": listed(f"{DO}/datareservation/list"), "datainstance": listed(f"{DO}/datainstance/list", state="Ready"),
        "data": listed(f"{FMDM}/data/list", attr1="kind:secret"), "deadletter": listed(f"{DO}/event/dead/list"),
        "operation": listed(f"{DO}/operation/list"), "apikey": listed(f"{DO}/apikey/list", name=f"{CANARY}-key"),
    }


@pytest.fixture(scope="module")
def described(server):
    """The document as the server shows it."""
    found = server.ask("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(found)
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return SimpleNamespace(schema=schema, paths=found["paths"])


def sent(server: Any, case: Any, credential: str | None) -> schemathesis.Response:
    """The answer to a case of one caller."""
    headers = {name: value for name, value in (case.headers or {}).items() if name.lower() not in ("authorization", "cookie", "prefer")}
    headers |= {"Prefer": "wait=0"} | ({"Authorization": f"Bearer {credential}"} if credential else {})
    # The checks look at what was sent.
    case.headers, case.cookies = headers, {}
    return case.call(base_url=server.url, timeout=120)


def all_of(answer: Any) -> str:
    return f"{dict(answer.headers)} {answer.text}"


def check_documented(case: Any, answer: schemathesis.Response) -> None:
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance, content_type_conformance])


def check_rights(server: Any, row: Any, role: str, case: Any) -> None:
    answer = sent(server, case, server.keys[role])
    check_documented(case, answer)
    if row is not None and role not in row.roles:
        problem = answer.json()
        assert (problem["status"], problem["code"]) == (403, "denied") or problem["code"] in OF_HEADERS, (role, problem)
    if role != ADMINISTRATOR and not (role == ENGINEER and row is not None and row.rpc in SEEN_BY_ENGINEERS):
        assert CANARY not in all_of(answer), (role, answer.text[:1000])


def check_locked_out(server: Any, address: str, case: Any) -> None:
    for credential in (None, server.wrong[next(server.turns)]):
        answer = sent(server, case, credential)
        check_documented(case, answer)
        if address.startswith("/health"):
            assert answer.status_code == 200
        else:
            # A request that cannot be read is refused by its form, whoever sends it.
            assert answer.status_code in (400, 401), (answer.status_code, answer.text[:500])
            assert answer.status_code == 400 or answer.headers["www-authenticate"][0].startswith("Bearer")
        assert CANARY not in all_of(answer)


@pytest.mark.parametrize(("address", "method"), OPERATIONS)
def test_no_answer_is_above_the_rights_of_its_caller(address, method, server, described, request):
    operation, row = described.schema[address][method.upper()], BY_ADDRESS.get(address)
    many = request.config.getoption("--long")
    kinds = [operation.as_strategy(generation_mode=kind) for kind in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]

    @settings(max_examples=MANY if many else FEW, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=strategies.one_of(*kinds))
    def each(case):
        for role in ROLES:
            check_rights(server, row, role, case)
        check_locked_out(server, address, case)

    each()


@pytest.mark.parametrize("role", [SCIENTIST, DEVELOPER, ENGINEER])
def test_by_no_row_does_another_owner_get_what_is_named(role, server):
    told = []
    for address, method in OF_A_ROW:
        row = BY_ADDRESS[address]
        declared = row.parameters._declared_fields
        name = next((word for word in ("id", "request", "dataref", "attr1") if word in declared), None)
        if name is None or role == ENGINEER and row.rpc in SEEN_BY_ENGINEERS:
            continue
        for one in server.objects.get(named_after(row), ()):
            # Other names may be those of objects of one's own.
            for ref in {one["id"], one["name"] if (one.get("name") or "").startswith(NAMED) else one["id"]}:
                asked = {**{key: value for key, value in row.example.items() if key in declared and declared[key].required}, name: ref}
                how = {"params": asked} if method == "get" else {"json": asked}
                answer = server.ask(address, server.keys[role], method.upper(), headers={"Prefer": "wait=0"}, **how)
                refused = answer.status_code in (403, 404, 409, 422) or answer.json() == {} or answer.json().get("items") == []
                if not refused or answer.status_code == 403 and role in row.roles or CANARY in all_of(answer).replace(ref, ""):
                    told.append((row.rpc, asked, answer.status_code, answer.text[:400]))
    assert told == []


@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_well_formed_call_of_every_row_is_refused_to_whom_it_is_not_for(role, server):
    wrong = iter(server.wrong * len(OF_A_ROW))
    for address, method in OF_A_ROW:
        row = BY_ADDRESS[address]
        if role is not None and role in row.roles:
            continue
        how = {"json": dict(row.example)} if method == "post" else {"params": {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in row.example.items()}}
        answer = server.ask(address, server.keys[role] if role else next(wrong), method.upper(), headers={"Prefer": "wait=0"}, **how)
        problem = answer.json()
        assert (answer.status_code, problem["status"]) == ((401, 401) if role is None else (403, 403)), (address, role, problem)
        assert role is None or problem["code"] == "denied" and problem["roles"] == list(row.roles)


@pytest.mark.parametrize("role", [*ROLES, None])
def test_nobody_sees_what_is_another_owners_in_any_list(role, server):
    for row in ACTIONS.values():
        if row.changes or row.answer != "page":
            continue
        answer = server.ask(row.address, server.keys[role] if role else None, params={"expression": "{}"} if row.rpc == "catalog.query" else {})
        if role is None or role not in row.roles:
            assert answer.status_code == (401 if role is None else 403), (row.address, answer.text[:500])
        elif role != ADMINISTRATOR and not (role == ENGINEER and row.rpc in SEEN_BY_ENGINEERS):
            assert answer.status_code < 500 and CANARY not in all_of(answer), (row.address, answer.text[:500])


@pytest.mark.parametrize("role", [*ROLES, None])
def test_nobody_hears_in_the_stream_of_messages_what_is_another_owners(role, server):
    # Later than all of somebody's messages, and for everybody.
    last = f"open-{role}".lower()
    assert server.ask(f"{FMDM}/datasource/simulate", method="POST", json={"name": last, "listing": {"a.txt": {"size": 1}}}).status_code < 300
    answer = server.ask(f"{DO}/event/stream", server.keys[role] if role else None, params={"after": 0}, stream=True)
    said = b""
    for chunk in answer.iter_content(None):
        said += chunk
        if last.encode() in said:
            break
    answer.close()
    assert answer.status_code == (200 if role else 401)
    assert (CANARY.encode() in said) is (role == ADMINISTRATOR)


def test_what_was_looked_for_was_there_all_the_time(server):
    """Without this the silence of the others would show nothing."""
    for noun, address in (("datarequest", DO), ("datareference", DO), ("datareservation", DO), ("datainstance", DO), ("data", FMDM), ("apikey", DO)):
        for one in server.objects[noun]:
            shown = server.ask(f"{address}/{noun}/show", server.somebody, params={"id": one["id"]})
            assert shown.status_code == 200 and (CANARY in shown.text or noun == "datareservation"), (noun, shown.text)
