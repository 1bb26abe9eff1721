"""The mesh on RabbitMQ and PostgreSQL under every fault that we could think of: nothing lost, nothing twice, nothing untrue.

The short form does a few faults of each kind; ``--long`` does 100 rounds. A failing round says its seed and number:

    ./edgemere test tests/chaos/test_production.py --long -k 'seed_7'
    EDGEMERE_CHAOS_SEED=7 EDGEMERE_CHAOS_FAULT=broker_killed ./edgemere test tests/chaos/test_production.py -k short
"""
from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.storm import Storm
from tests.support.awaiting import until

SHORT = (faults.kill_9_at_a_step, faults.broker_unreachable, faults.database_restarted, faults.old_messages_again,
         faults.kill_9_of_everything)
LONG_SEEDS, ROUNDS = range(10), 10


def run_rounds(storm: Storm, seed: int, wanted: list, requests: int) -> None:
    dice = random.Random(seed)
    for number, fault in enumerate(wanted):
        told = f"seed {seed}, round {number}: {fault.__name__}"
        print(f"{time.strftime('%H:%M:%S')} {told}", flush=True)
        storm.dead_allowed = False
        try:
            with storm.load(f"s{seed}-r{number}", dice, requests):
                fault(storm, dice)
                took = storm.heal()
            storm.rest()
            if storm.dead_allowed:
                storm.clear_dead_letters()
            if dice.random() < 0.5:
                storm.complete_some(dice)
                storm.rest()
        except AssertionError as error:
            raise AssertionError(f"{told}\n{error}\n{storm.deaths()}") from error
        print(f"  ready {took:.1f} s after the fault", flush=True)


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory):
    made = Storm(tmp_path_factory.mktemp("storm") / "home")
    try:
        yield made.start()
    finally:
        made.stop()


def test_a_few_faults_of_each_kind_lose_and_double_nothing(storm):
    seed = int(os.environ.get("EDGEMERE_CHAOS_SEED", "1"))
    named = os.environ.get("EDGEMERE_CHAOS_FAULT")
    wanted = [getattr(faults, named)] if named else list(SHORT)
    run_rounds(storm, seed, wanted, requests=5)


def test_a_handler_that_always_fails_ends_with_the_dead_letters_and_blocks_nobody(storm):
    victims = storm.mesh.of("reservations")
    for victim in victims:
        victim.kill9()
        victim.start(EDGEMERE_CHAOS_FAIL="doomed-")
    storm.mesh.wait_until_ready()
    doomed = storm.request("doomed-one", query="source:archive")
    other = storm.request("spared-one", query="source:archive")
    until(lambda: storm.ask("datarequest show", id=other)["state"] == "Satisfied")
    letters = until(lambda: storm.letters(), 40)
    assert letters[0]["queue"] == "reservations.datarequest.needed" and "wants on_needed to fail" in letters[0]["reason"], letters
    assert letters[0]["attempts"] == 5, letters
    for victim in victims:
        victim.kill9()
    storm.heal()
    replayed = storm.insist("event dead replay", id=letters[0]["id"])
    assert len(replayed["items"]) == 1, replayed
    until(lambda: storm.ask("datarequest show", id=doomed)["state"] == "Satisfied")
    storm.dead_allowed = True
    storm.clear_dead_letters()
    storm.rest()
    storm.dead_allowed = False


def test_a_callee_that_never_answers_is_told_of_in_time_and_costs_nothing(storm):
    frozen = storm.mesh.of("catalog")[0]
    frozen.freeze()
    try:
        began = time.monotonic()
        body = storm.ask("fmdm datasource show", id="lab")
        took = time.monotonic() - began
        assert body["status"] in (503, 504) and body["next_step"], body
        assert took < 15, f"the answer took {took:.1f} s"
        made = storm.request("while-frozen", query="source:archive")
    finally:
        frozen.thaw()
    until(lambda: storm.ask("datarequest show", id=made)["state"] == "Satisfied", 60)
    storm.rest()


def test_a_service_that_stood_still_until_the_broker_left_it_comes_back_by_itself(storm):
    stopped = storm.mesh.of("requests")
    before = [member.process.pid for member in stopped]
    for member in stopped:
        member.freeze()
    try:
        # What lies in their sockets is answered and acked to a broker that has left them.
        for _ in range(2 * len(stopped)):
            storm.once("datarequest find", limit_s=0.5, name="nobody")
        until(lambda: not storm.witness.readers("rpc-requests"), 240)
    finally:
        for member in stopped:
            member.thaw()
    until(lambda: storm.witness.readers("rpc-requests") == len(stopped), 240)
    assert [member.process.pid for member in stopped if member.is_running] == before, "nobody started them again"
    made = storm.request("after-standing-still", query="source:archive")
    until(lambda: storm.ask("datarequest show", id=made)["state"] == "Satisfied", 60)
    storm.rest()


def test_two_replicas_that_get_one_message_do_its_work_once(storm):
    message_id = f"foreign-both-{time.monotonic_ns()}"
    storm.sent.append(message_id)
    body = json.dumps({"obj": {"name": message_id, "query": "source:archive"}}).encode()
    for _ in range(8):
        storm.witness.publish("datarequest.needed", body, content_type="application/json", message_id=message_id)
    found = until(lambda: storm.ask("datarequest find", name=message_id, state="Satisfied")["items"], 60)
    assert len(found) == 1, found
    storm.rest()


def test_kill_9_of_the_mover_in_the_middle_of_a_file_costs_nothing_but_time(storm):
    large = storm.lab / "large.raw"
    with open(large, "wb") as file:
        file.write(b"begin")
        file.truncate(40 << 20)
    storm.insist("fmdm datasource scan", wait_s=30, id="lab")
    made = storm.request("large", query="name:large.raw", action="copy", target="target")
    until(lambda: any(0 < file.stat().st_size < 40 << 20 for file in _files(storm.target)))
    faults.kill_9_of_movers(storm, random.Random(1))
    until(lambda: storm.ask("datarequest show", id=made)["state"] == "Satisfied", 60)
    copy, = [file for file in _files(storm.target) if file.stat().st_size == 40 << 20]
    with open(copy, "rb") as one, open(large, "rb") as other:
        assert hashlib.file_digest(one, "sha256").digest() == hashlib.file_digest(other, "sha256").digest()
    storm.rest()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", LONG_SEEDS, ids=lambda seed: f"seed_{seed}")
def test_100_rounds_of_faults_lose_and_double_nothing(tmp_path, seed):
    storm = Storm(tmp_path / "home")
    try:
        storm.start()
        dice = random.Random(1000 + seed)
        run_rounds(storm, seed, dice.sample(faults.FAULTS, ROUNDS), requests=8)
    finally:
        storm.stop()


@pytest.mark.long
def test_outages_of_a_minute_are_waited_for_and_recovered_from(tmp_path):
    storm = Storm(tmp_path / "home")
    try:
        storm.start()
        run_rounds(storm, 1, list(faults.OUTAGES), requests=8)
    finally:
        storm.stop()


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and ".edgemere-trash" not in file.parts]


