"""``./edgemere up`` whose messages and handlers misbehave as a test says while it runs. The product knows nothing of this file.

``EDGEMERE_CHAOS_FOLDER`` is where the test and this program meet:

- ``unruly.json``: ``{"on_needed": {"fail": "bad-", "slow": "slow-", "slow_s": 1}}``: calls of the handler fail, or sleep, for objects
  whose name begins so. Read at each call.
- ``calls.txt``: a line ``[handler, name, monotonic time]`` for each call of a handler.
- ``post/KEY``: the content is published raw under the routing key, and the file removed.

With ``EDGEMERE_CHAOS_TWICE=1`` every message of the relay is published twice.
"""
import json
import os
import sys
import time
from pathlib import Path

import eventlet

eventlet.monkey_patch()

FOLDER = Path(os.environ["EDGEMERE_CHAOS_FOLDER"])
TWICE = os.environ.get("EDGEMERE_CHAOS_TWICE") == "1"


def unruly(module, handler):
    inner = getattr(module, handler)

    def outer(uses, given):
        if not isinstance(given, list):
            misbehave(given.obj)
            return inner(uses, given)
        if len(given) == 1:
            misbehave(given[0].obj)
            return inner(uses, given)
        # Of several at once those are given back that take long.
        apart = [message for message in given if told(message.obj, "slow")]
        rest = [message for message in given if message not in apart]
        for message in rest:
            misbehave(message.obj)
        return [*apart, *((inner(uses, rest) or ()) if rest else ())]

    def told(obj, what):
        file = FOLDER / "unruly.json"
        wanted = json.loads(file.read_text()).get(handler, {}) if file.exists() else {}
        return what in wanted and str(obj.get("name") if isinstance(obj, dict) else obj).startswith(wanted[what])

    def misbehave(obj):
        name = str(obj.get("name") if isinstance(obj, dict) else obj)
        with open(FOLDER / "calls.txt", "a") as calls:
            calls.write(json.dumps([handler, name, time.monotonic()]) + "\n")
        file = FOLDER / "unruly.json"
        wanted = json.loads(file.read_text()).get(handler, {}) if file.exists() else {}
        if "slow" in wanted and name.startswith(wanted["slow"]):
            time.sleep(wanted["slow_s"])
        if "fail" in wanted and name.startswith(wanted["fail"]):
            raise RuntimeError(f"the test wants {handler} of {name} to fail")
    setattr(module, handler, outer)


def post(broker):
    from shared.bus.message import Message

    while True:
        for file in sorted((FOLDER / "post").glob("*")):
            broker.publish(Message("edgemere.events", file.name, file.read_bytes()))
            file.unlink()
        time.sleep(0.05)


def arm():
    from services.instances import handlers as instances
    from services.instances import provisioning
    from services.reservations import handlers as reservations
    from shared.bus.embedded_broker import EmbeddedBroker

    unruly(reservations, "on_needed")
    unruly(reservations, "on_selected")
    unruly(provisioning, "on_evaluated")
    unruly(instances, "on_provisioning")
    publish = EmbeddedBroker.publish_many
    posting = []

    def published(broker, messages, *more, **options):
        if not posting:
            posting.append(eventlet.spawn(post, broker))
        messages = list(messages)
        if TWICE:
            messages = [message for message in messages for _ in range(2)]
        return publish(broker, messages, *more, **options)
    EmbeddedBroker.publish_many = published


if __name__ == "__main__":
    from gateway.__main__ import main

    arm()
    sys.exit(main(sys.argv[1:]))
