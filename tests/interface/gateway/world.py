"""A gateway in a process of its own, as it really runs: green threads, a real socket, a small Nameko mesh if wanted.

``python -m tests.interface.gateway.world alone|mesh FOLDER SETTINGS`` prints ``{"port", "control"}`` as one line of
JSON. On the control port it takes one JSON object a line and answers with one: ``{"do": ..., ...}``, see ``Control``.
"""
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import orjson  # noqa: E402
from nameko.containers import ServiceContainer  # noqa: E402
from nameko.rpc import rpc  # noqa: E402

from gateway.live import Live  # noqa: E402
from gateway.service import Front, Gateway, application  # noqa: E402
from gateway.settings import Settings  # noqa: E402
from shared.bus.embedded import embedded_uri  # noqa: E402
from shared.bus.message import Message  # noqa: E402
from shared.bus.port import connect  # noqa: E402
from shared.bus.topology import BASE, INTERNAL, PUBLIC  # noqa: E402
from shared.hosting.live import LiveFeeds  # noqa: E402
from shared.hosting.rpc import MeshClient  # noqa: E402
from shared.kernel.errors import NotFound  # noqa: E402
from shared.kernel.ids import new_id  # noqa: E402
from tests.support.answering import Answering, EventLog  # noqa: E402

LOG = EventLog()
ROWS: dict[str, dict] = {}


class Requests:
    """Keeps requests; one that is named ``quick`` is Satisfied soon."""

    name = "requests"

    @rpc
    def create(self, name="scans", **_):
        row = {"id": new_id("datarequest"), "name": name, "state": "Needed", "version": 1}
        ROWS[row["id"]] = row
        if name == "quick":
            eventlet.spawn_after(0.1, Control.move, row["id"], "Satisfied")
        return row

    @rpc
    def show(self, id):
        found = ROWS.get(id) or next((row for row in ROWS.values() if row["name"] == id), None)
        if found is None:
            raise NotFound("datarequest.not_found", f"There is no request '{id}'.")
        return found

    @rpc
    def health(self):
        return {"service": "requests", "ok": True}


class Events:
    """The event log."""

    name = "events"

    @rpc
    def list(self, **parameters):
        return LOG.list(**parameters)

    @rpc
    def head(self):
        return LOG.head()

    @rpc
    def health(self):
        return {"service": "events", "ok": True}


class Control:
    """What a test can ask of this process."""

    live: Live
    broker = None
    services: dict[str, ServiceContainer] = {}
    gateway: ServiceContainer

    @classmethod
    def say(cls, event, obj):
        """A message is published and comes into the log, as relay and event log do it."""
        if cls.broker is not None:
            cls.broker.publish(Message(PUBLIC, event, orjson.dumps({"obj": obj, "event": event})))
        sequence = LOG.append(event, **obj)
        if cls.broker is None:
            cls.live.advanced(sequence)
        else:
            body = orjson.dumps({"last_sequence": sequence})
            cls.broker.publish(Message(INTERNAL, "log.advanced", body, persistent=False))
        return sequence

    @classmethod
    def move(cls, request_id, state):
        row = ROWS[request_id]
        row |= {"state": state, "version": row["version"] + 1}
        return cls.say(f"datarequest.{state.lower()}", dict(row))

    @classmethod
    def put(cls, row):
        ROWS[row["id"]] = row

    @classmethod
    def watching(cls):
        return cls.live.watching

    @classmethod
    def stop(cls, service):
        (cls.gateway if service == "gateway" else cls.services[service]).stop()


def control(sock, _address):
    with sock.makefile("rwb") as lines:
        for line in lines:
            asked = json.loads(line)
            answer = getattr(Control, asked.pop("do"))(**asked)
            lines.write(json.dumps({"answer": answer}).encode() + b"\n")
            lines.flush()


def alone(settings):
    services = Requests(), Events()
    mesh = Answering(requests__show=services[0].show, requests__create=services[0].create, events__list=LOG.list,
                     events__head=LOG.head)
    return Front(settings, application(mesh, Control.live, settings))


def on_a_mesh(settings, folder):
    uri = embedded_uri(Path(folder) / "broker.db")
    Control.broker = connect(uri)
    Control.broker.declare(BASE)
    for kind in (Requests, Events):
        container = ServiceContainer(kind, config={"AMQP_URI": uri, "serializer": "json", "max_workers": 10})
        container.start()
        Control.services[kind.name] = container
    client, feeds = MeshClient(uri, name="gateway"), LiveFeeds(uri, Control.live)
    return Front(settings, application(client, Control.live, settings), [feeds.start], [feeds.close, client.stop])


def main(kind, folder, settings):
    Control.live = Live()
    made = Settings(**{"owner": "darren", "port": 0, "services": ("requests", "events"), **json.loads(settings)})
    front = alone(made) if kind == "alone" else on_a_mesh(made, folder)
    Control.gateway = ServiceContainer(Gateway, config={"GATEWAY": front})
    Control.gateway.start()
    listener = eventlet.listen(("127.0.0.1", 0))
    print(json.dumps({"port": Control.gateway.config["GATEWAY_PORT"], "control": listener.getsockname()[1]}), flush=True)
    eventlet.serve(listener, control)


if __name__ == "__main__":
    main(*sys.argv[1:])
