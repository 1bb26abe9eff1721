"""``./edgemere up`` that kills itself with SIGKILL at a chosen step: the N-th of the points where work becomes lasting.

    EDGEMERE_CHAOS_DIE_AT=17 python tests/chaos/dying_server.py up --port … --data …

The points are: before and after each commit, before and after each publish, before each ack, and around each result of
the mover. The product knows nothing of this file. The point is written to EDGEMERE_CHAOS_NOTE before the end.
"""
import os
import signal
import sys

import eventlet

eventlet.monkey_patch()

COUNT = [0]
DIE_AT = int(os.environ["EDGEMERE_CHAOS_DIE_AT"])


def point(label):
    COUNT[0] += 1
    if COUNT[0] == DIE_AT:
        with open(os.environ["EDGEMERE_CHAOS_NOTE"], "a") as note:
            note.write(label + "\n")
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


def arm():
    from services.instances import moving
    from shared.bus.embedded_broker import EmbeddedBroker
    from shared.bus.engine import Engine
    from shared.bus.relay import Relay
    from shared.storage.unit_of_work import UnitOfWork

    flush, wake = UnitOfWork.flush, Relay.wake

    def flushed(uow):
        if uow._messages or uow._updated:
            point("before commit")
        flush(uow)
    UnitOfWork.flush = flushed

    def woken(relay):
        point("after commit")
        wake(relay)
    Relay.wake = woken
    around(EmbeddedBroker, "publish_many", "publish")
    around(moving, "_write", "writing what the mover says")
    settle = Engine.settle

    def settled(engine, done):
        if any(queue.durable for queue, *_ in done):
            point("before ack")
        return settle(engine, done)
    Engine.settle = settled


if __name__ == "__main__":
    from gateway.__main__ import main

    if DIE_AT:
        arm()
    sys.exit(main(sys.argv[1:]))
