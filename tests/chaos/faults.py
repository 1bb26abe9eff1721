"""What can happen to a mesh in production, each a function of the storm and of the round's dice.

A fault is done while clients ask for things. It may end what it did itself; ``Storm.heal`` ends the rest.
"""
from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import time
from collections.abc import Callable

import psutil

from tests.chaos.storm import Storm
from tests.support.witness import again

POINTS = 60


def kill_9_at_a_step(storm: Storm, dice: random.Random) -> None:
    """One process kills itself at the N-th point where work becomes lasting."""
    victim = storm.member(dice)
    victim.kill9()
    victim.start(EDGEMERE_CHAOS_DIE_AT=str(dice.randint(1, POINTS)))
    time.sleep(dice.uniform(3, 6))


def kill_9_of_one(storm: Storm, dice: random.Random) -> None:
    """One process at any moment."""
    time.sleep(dice.uniform(0.1, 1.5))
    storm.member(dice).kill9()


def kill_9_of_all_replicas(storm: Storm, dice: random.Random) -> None:
    """A whole service, so that nobody answers for it."""
    time.sleep(dice.uniform(0.1, 1))
    for member in storm.mesh.of(dice.choice(storm.mesh.members).name):
        member.kill9()
    time.sleep(dice.uniform(0.5, 3))


def kill_9_of_everything(storm: Storm, dice: random.Random) -> None:
    """The machine's processes, all at once."""
    time.sleep(dice.uniform(0.1, 2))
    storm.mesh.kill9()


def kill_9_of_movers(storm: Storm, dice: random.Random) -> None:
    """Those who move bytes, a few times."""
    for _ in range(3):
        time.sleep(dice.uniform(0.1, 1))
        for mover in _movers(storm):
            with contextlib.suppress(psutil.Error):
                mover.kill()


def stop_and_start_one(storm: Storm, dice: random.Random) -> None:
    """SIGTERM: it drains, ends, and comes back, as at an upgrade."""
    time.sleep(dice.uniform(0.1, 1))
    victim = storm.member(dice)
    victim.terminate()
    assert victim.end(30) == 0, f"{victim} did not end by itself"


def freeze_one(storm: Storm, dice: random.Random) -> None:
    """A callee that never answers, then answers late."""
    time.sleep(dice.uniform(0.1, 1))
    victim = storm.member(dice)
    victim.freeze()
    time.sleep(dice.uniform(2, 14))
    victim.thaw()


def broker_killed(storm: Storm, dice: random.Random) -> None:
    """``kill -9`` of RabbitMQ, and its start."""
    time.sleep(dice.uniform(0.1, 1.5))
    storm.rabbit.kill9()
    time.sleep(dice.uniform(0, 4))
    storm.rabbit.run()


def broker_frozen(storm: Storm, dice: random.Random) -> None:
    """RabbitMQ is there and says nothing."""
    time.sleep(dice.uniform(0.1, 1))
    storm.rabbit.freeze()
    time.sleep(dice.uniform(2, 20))
    storm.rabbit.thaw()


def broker_unreachable(storm: Storm, dice: random.Random) -> None:
    """Its port is closed, and what was open breaks."""
    time.sleep(dice.uniform(0.1, 1))
    storm.way.shut()
    time.sleep(dice.uniform(1, 15))
    storm.way.open()


def connections_break(storm: Storm, dice: random.Random) -> None:
    """Every connection to the broker breaks, several times."""
    for _ in range(dice.randint(1, 4)):
        time.sleep(dice.uniform(0.2, 1.5))
        storm.way.shut()
        storm.way.open()


def database_restarted(storm: Storm, dice: random.Random) -> None:
    """PostgreSQL ends in the middle of whatever it does, and starts again."""
    time.sleep(dice.uniform(0.1, 1.5))
    storm.postgres.kill9()
    time.sleep(dice.uniform(0, 4))
    storm.postgres.run()


def database_frozen(storm: Storm, dice: random.Random) -> None:
    """PostgreSQL is there and says nothing."""
    time.sleep(dice.uniform(0.1, 1))
    storm.postgres.freeze()
    time.sleep(dice.uniform(2, 20))
    storm.postgres.thaw()


def old_messages_again(storm: Storm, dice: random.Random) -> None:
    """Messages of any time, once more and in any order, as at least once allows."""
    storm.witness.collect()
    mine = [place for place, (key, _, properties) in enumerate(storm.witness.raw)
            if key.startswith(("datarequest.", "datareference.", "data.")) and properties.get("message_id")]
    for place in dice.sample(mine, min(25, len(mine))):
        again(storm.witness, place)


def bad_messages(storm: Storm, dice: random.Random) -> None:
    """What nobody should send: broken JSON, other types, things that are not there; it is put aside with its reason."""
    unknown = "dreq_01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    for key, body in (
        ("datarequest.needed", b"{broken"), ("datarequest.needed", b'{"obj": 17}'), ("datarequest.selected", b"[]"),
        ("datarequest.needed", json.dumps({"obj": unknown}).encode()), ("datareference.provisioning", b'{"nothing": true}'),
        ("something.unknown", b'{"obj": {"id": "x"}}'), ("data.destroy", os.urandom(20)),
    ):
        if dice.random() < 0.7:
            storm.witness.publish(key, body, content_type=dice.choice(["application/json", "text/plain"]))
    storm.dead_allowed = True


def foreign_requests(storm: Storm, dice: random.Random) -> None:
    """A client without Nameko asks by message alone, without any header; the same message comes twice."""
    for number in range(3):
        message_id = f"foreign-{time.monotonic_ns()}-{number}"
        body = json.dumps({"obj": {"name": message_id, "query": "source:archive"}}).encode()
        for _ in range(2):
            storm.witness.publish("datarequest.needed", body, content_type="application/json", message_id=message_id)
        storm.sent.append(message_id)


def clock_jump(storm: Storm, dice: random.Random) -> None:
    """One process lives an hour ahead, or behind."""
    victim = storm.member(dice)
    victim.kill9()
    victim.start(EDGEMERE_CHAOS_CLOCK_S=str(dice.choice([-3600, -120, 120, 3600])))
    time.sleep(dice.uniform(3, 6))
    victim.kill9()


def relay_doubles(storm: Storm, dice: random.Random) -> None:
    """One process publishes everything twice."""
    victim = storm.member(dice)
    victim.kill9()
    victim.start(EDGEMERE_CHAOS_TWICE="1")
    time.sleep(dice.uniform(3, 6))


def disk_full(storm: Storm, dice: random.Random) -> None:
    """The movers can write no file to its end; then there is room again."""
    time.sleep(dice.uniform(0, 0.5))
    until = time.monotonic() + dice.uniform(2, 5)
    while time.monotonic() < until:
        for mover in _movers(storm):
            with contextlib.suppress(psutil.Error):
                mover.rlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        time.sleep(0.1)
    for mover in _movers(storm):
        with contextlib.suppress(psutil.Error):
            mover.kill()


def _movers(storm: Storm) -> list[psutil.Process]:
    found = []
    for member in storm.mesh.of("instances"):
        with contextlib.suppress(psutil.Error):
            found += psutil.Process(member.process.pid).children(recursive=True) if member.is_running else []
    return found


def broker_unreachable_for_a_minute(storm: Storm, dice: random.Random) -> None:
    """Long enough that whoever gives up after some attempts has given up."""
    storm.way.shut()
    time.sleep(60)
    storm.way.open()


def broker_frozen_for_a_minute(storm: Storm, dice: random.Random) -> None:
    """Connections stay open, and nothing comes."""
    storm.rabbit.freeze()
    time.sleep(60)
    storm.rabbit.thaw()


def database_frozen_for_half_a_minute(storm: Storm, dice: random.Random) -> None:
    """Longer than every limit of a call."""
    storm.postgres.freeze()
    time.sleep(30)
    storm.postgres.thaw()


OUTAGES = (broker_unreachable_for_a_minute, broker_frozen_for_a_minute, database_frozen_for_half_a_minute)
FAULTS: tuple[Callable[[Storm, random.Random], None], ...] = (
    kill_9_at_a_step, kill_9_at_a_step, kill_9_at_a_step, kill_9_of_one, kill_9_of_all_replicas, kill_9_of_everything, kill_9_of_movers,
    stop_and_start_one, freeze_one, broker_killed, broker_frozen, broker_unreachable, connections_break, database_restarted,
    database_frozen, old_messages_again, bad_messages, foreign_requests, clock_jump, relay_doubles, disk_full,
)
