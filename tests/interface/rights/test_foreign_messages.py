"""A foreign program on the bus: whatever its messages and calls say of themselves, they run for whom the settings name."""
from __future__ import annotations

import hmac
import time
import timeit

import pytest

from shared.bus.seal import SEAL, SEALED, Seal
from shared.contracts.event import EVENTS, HANDLED
from shared.hosting.wire import headers_of
from shared.kernel.context import WHOSE, Context
from tests.interface.rights.conftest import ADMINISTRATOR, DEVELOPER, SCIENTIST, Caller, House
from tests.support.awaiting import until

MOST_MACS = 30
CLAIM = {"nameko.owner": "ada", "nameko.roles": ["Administrator"], "nameko.mesh": True, "edgemere.owner": "ada"}


@pytest.fixture(scope="module")
def ada(house: House) -> Caller:
    ada = house.caller("ada", SCIENTIST, "DataEngineer")
    ada("catalog.datasource_simulate", name="bus", listing={"a.csv": {"size": 1, "tags": {"on": "bus"}}})
    until(lambda: ada("catalog.query", expression="on:bus")["total"] == 1)
    return ada


def test_a_foreign_call_runs_for_the_owner_of_the_settings_whatever_its_headers_say(house, ada):
    stranger = house.caller("ada", ADMINISTRATOR, foreign=True)
    made = stranger("requests.create", name="from-outside", query="on:bus")
    assert made["owner"] == "stranger"
    assert stranger.refusal("catalog.datasource_suspend", id="bus").code == "denied"
    assert ada.refusal("requests.show", id=made["id"]).code == "datarequest.not_found"


@pytest.mark.parametrize("headers", [{}, CLAIM, {**CLAIM, SEAL: "0" * 64}, {**CLAIM, SEAL: 1}])
def test_a_foreign_message_that_claims_another_owner_finds_nothing_of_his_and_makes_nothing_for_him(house, ada, headers):
    stranger, number = house.caller("stranger", DEVELOPER), len(headers) + len(str(headers.get(SEAL)))
    mine = ada("requests.create", name=f"ada-held-{number}", query="on:bus", fulfill=False)
    before = house.caller("stranger", DEVELOPER)("events.dead_list")["total"]
    for obj in (mine["id"], mine["name"], {"id": mine["id"], "owner": "ada", "state": "Needed", "version": 1}):
        house.ask(publish="datarequest.needed", obj=obj, headers=headers)
    house.ask(publish="datarequest.needed", obj={"name": f"made-{number}", "query": "on:bus", "owner": "ada"}, headers=headers)
    until(lambda: stranger("requests.list", name=f"made-{number}")["total"] == 1)
    assert stranger("requests.show", id=f"made-{number}")["owner"] == "stranger"
    # What names another's object is a dead letter of the stranger's own (of an object with a version: nothing is left to do).
    until(lambda: stranger("events.dead_list")["total"] >= before + 2)
    assert ada("requests.show", id=mine["id"])["state"] == "Init" and ada("events.dead_list")["total"] == 0
    assert ada("requests.list", name=f"made-{number}")["total"] == 0


def test_facts_that_only_the_mesh_can_know_are_refused_of_anybody_else(house, ada):
    root, stranger = house.caller("root", ADMINISTRATOR), house.caller("stranger", DEVELOPER)
    ada("requests.create", name="stays", query="on:bus")
    request = until(lambda: ada("requests.list", name="stays", state="Satisfied")["items"])[0]
    data = ada("catalog.data_list", attr1="on:bus")["items"][0]
    for event, obj in (("datarequest.failed", {**request, "state": "Failed"}), ("datarequest.completed", {**request, "state": "Completed"}),
                       ("datarequest.destroy", request), ("data.destroy", data), ("datarequest.evaluated", request)):
        house.ask(publish=event, obj=obj, headers=CLAIM, id=f"forged-{event}")
    until(lambda: root("events.dead_list", code="message.unsealed")["total"] >= 5)
    assert {item["owner"] for item in root("events.dead_list", code="message.unsealed")["items"]} == {"stranger"}
    assert stranger("events.dead_list", code="message.unsealed")["total"] >= 5
    time.sleep(0.5)
    assert ada("requests.show", id="stays")["state"] == "Satisfied"
    assert ada("instances.list", request="stays", state="Ready")["total"] == 1
    assert ada("reservations.list", request="stays", state="Confirmed")["total"] == 1
    # The log has them as the stranger's, for him and nobody else.
    assert ada("events.list", event="datarequest.failed", object=request["id"])["items"] == []
    assert stranger("events.list", event="datarequest.failed", object=request["id"])["total"] == 1


def test_what_a_user_sends_runs_for_him(house, ada):
    bob = house.caller("bob", SCIENTIST)
    held = ada("requests.create", name="ada-only", query="on:bus", fulfill=False)
    bob("events.send", event="datarequest.needed", obj=held["id"])
    letter = until(lambda: bob("events.dead_list")["items"])[0]
    assert (letter["code"], letter["owner"]) == ("datarequest.not_found", "bob")
    assert ada("requests.show", id="ada-only")["state"] == "Init"
    bob("events.send", event="datareference.provisioning", obj={"name": "bobs", "query": "on:bus"})
    until(lambda: bob("requests.datareference_list", name="bobs", state="Provisioned")["total"])


def test_no_message_is_for_everybody_but_those_of_the_table():
    assert set(HANDLED) <= set(EVENTS) and len(HANDLED) == 3


def test_a_seal_breaks_with_any_change():
    seal, other = Seal(b"a secret of the mesh"), Seal(b"another secret, too!")
    headers, body = headers_of(Context("ada", ("DataScientist",), deadline=1.5, correlation_id="c")), b'{"args":[],"kwargs":{}}'
    sealed = seal.sealed("requests.show", headers, body)
    assert seal.holds("requests.show", sealed, body) and seal.holds("requests.show", sealed, body.decode())
    assert not other.holds("requests.show", sealed, body)
    assert not seal.holds("requests.destroy", sealed, body) and not seal.holds("requests.show", sealed, body + b" ")
    assert not seal.holds("requests.show", sealed, body, "an id")
    for name, value in (("nameko.owner", "eve"), ("nameko.roles", ["Administrator"]), ("nameko.mesh", True), ("nameko.deadline", 9e9),
                        ("nameko.idempotency_key", "k"), ("nameko.credential", "akey_1")):
        assert not seal.holds("requests.show", {**sealed, name: value}, body), name
    # Whatever of a call or message says on whose behalf it is, for which, or until when: none of it can be given, changed or taken away.
    everything = {name: f"of {name}" for name in SEALED}
    of_all = seal.sealed("requests.show", everything, body)
    assert seal.holds("requests.show", of_all, body) and {"nameko.roles", "nameko.address", "nameko.action", WHOSE} <= set(SEALED)
    for name in SEALED:
        assert not seal.holds("requests.show", {**of_all, name: "another"}, body), name
        assert not seal.holds("requests.show", {key: value for key, value in of_all.items() if key != name}, body), name
        assert not seal.holds("requests.show", {**sealed, name: "given"}, body), name
    assert "secret" not in repr(seal)


def test_while_a_secret_is_replaced_both_are_believed_and_the_first_one_seals():
    old, new = b"a secret of the mesh", b"the secret that comes"
    one_step, two_steps = Seal(old, also=(new,)), Seal(new, also=(old,))
    for sealing, judging in ((one_step, two_steps), (two_steps, one_step), (Seal(old), one_step), (two_steps, Seal(new)), (Seal(old), two_steps)):
        assert judging.holds("requests.show", sealing.sealed("requests.show", {}, b"{}"), b"{}")
    # The one that comes seals nothing before everybody believes it; the one that was does not when it is over.
    assert Seal(old).holds("requests.show", one_step.sealed("requests.show", {}, b"{}"), b"{}")
    assert not Seal(new).holds("requests.show", one_step.sealed("requests.show", {}, b"{}"), b"{}")
    assert not two_steps.holds("requests.show", Seal(b"yet another secret").sealed("requests.show", {}, b"{}"), b"{}")
    assert "secret" not in repr(two_steps)


def test_a_seal_and_its_look_cost_no_more_than_some_macs_of_the_message():
    seal, body = Seal(b"a secret of the mesh"), b"x" * 2000
    headers = headers_of(Context("ada", ("DataScientist",), deadline=1.5, correlation_id="c", request_id="r"))

    def both() -> None:
        assert seal.holds("requests.show", seal.sealed("requests.show", headers, body), body)
    def one_mac() -> None:
        hmac.digest(b"a secret of the mesh", body, "sha256")

    def cost(work) -> float:
        # Of this process's own time: what else the machine does is no cost of the seal.
        return min(timeit.repeat(work, timer=time.process_time, number=200, repeat=5))
    assert cost(both) < MOST_MACS * cost(one_mac)
