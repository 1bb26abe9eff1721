"""``edgemere serve NAME`` that dies, lives in another time or fails as a test says. The product knows nothing of this file.

- ``EDGEMERE_CHAOS_DIE_AT=17``: ``kill -9`` of itself at the 17th point where work becomes lasting: before and after each
  commit, each publish to the broker, each answer, and before each ack. The point is written to ``EDGEMERE_CHAOS_NOTE``.
- ``EDGEMERE_CHAOS_CLOCK_S=3600``: its clock is an hour ahead.
- ``EDGEMERE_CHAOS_FAIL=bad-``: handlers of objects whose name begins so always fail.
- ``EDGEMERE_CHAOS_TWICE=1``: the relay publishes everything twice.
"""
from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta

import eventlet

eventlet.monkey_patch()

COUNT = [0]
DIE_AT = int(os.environ.get("EDGEMERE_CHAOS_DIE_AT", "0"))
CLOCK_S = float(os.environ.get("EDGEMERE_CHAOS_CLOCK_S", "0"))
FAIL = os.environ.get("EDGEMERE_CHAOS_FAIL", "")
TWICE = os.environ.get("EDGEMERE_CHAOS_TWICE") == "1"


def point(label):
    COUNT[0] += 1
    if COUNT[0] == DIE_AT:
        with open(os.environ["EDGEMERE_CHAOS_NOTE"], "a") as note:
            note.write(f"{os.environ['EDGEMERE_CHAOS_MEMBER']}: {label}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name, label):
    """Count a point before and after each call of a function."""
    inner = getattr(owner, name)

    def outer(*args, **named):
        point(f"before {label}")
        result = inner(*args, **named)
        point(f"after {label}")
        return result
    setattr(owner, name, outer)


def mortal():
    from services.instances import moving
    from shared.bus.rabbit import RabbitBroker
    from shared.bus.relay import Relay
    from shared.hosting.receiving import Receiver
    from shared.storage.unit_of_work import UnitOfWork

    flush, wake, settle = UnitOfWork.flush, Relay.wake, Receiver.settle

    def flushed(uow):
        if uow._messages or uow._updated:
            point("before commit")
        flush(uow)
    UnitOfWork.flush = flushed

    def woken(relay):
        point("after commit")
        wake(relay)
    Relay.wake = woken

    def settled(receiver, *args):
        point("before ack")
        settle(receiver, *args)
    Receiver.settle = settled
    around(RabbitBroker, "publish_many", "publish")
    around(RabbitBroker, "send", "call or answer")
    around(moving, "_write", "writing what the mover says")


def in_another_time():
    from shared.kernel import clock

    utc_now, now = clock.utc_now, time.time
    clock.utc_now = lambda: utc_now() + timedelta(seconds=CLOCK_S)
    time.time = lambda: now() + CLOCK_S


def failing():
    from services.instances import provisioning
    from services.reservations import handlers

    def wrap(module, name):
        inner = getattr(module, name)

        def outer(uses, messages):
            for obj in (message.obj for message in messages):
                if str(obj.get("name") if isinstance(obj, dict) else obj).startswith(FAIL):
                    raise RuntimeError(f"the test wants {name} to fail")
            return inner(uses, messages)
        setattr(module, name, outer)
    wrap(handlers, "on_needed")
    wrap(provisioning, "on_evaluated")


def doubling():
    from shared.bus.rabbit import RabbitBroker

    publish = RabbitBroker.publish_many

    def twice(broker, messages, **options):
        return list(dict.fromkeys(publish(broker, [message for message in messages for _ in range(2)], **options)))
    RabbitBroker.publish_many = twice


if __name__ == "__main__":
    from gateway.__main__ import main

    for wanted, arm in ((CLOCK_S, in_another_time), (FAIL, failing), (TWICE, doubling), (DIE_AT, mortal)):
        if wanted:
            arm()
    sys.exit(main(sys.argv[1:]))
