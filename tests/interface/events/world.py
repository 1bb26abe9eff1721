"""The services ``events`` and ``requests`` as they really run, a catalogue that has two scans, and a fragile listener.

``python -m tests.interface.events.world FOLDER`` says ``"ready"`` and then answers each line of JSON on stdin with one:
``{"call": "events.list", "parameters": {…}}``, ``{"publish": name, "body": …, "id": …}``, ``{"burst": n}``, ``{"depths": true}``.
The listener cannot handle objects called ``bad`` while ``FOLDER/fragile`` exists; ``FOLDER/handled`` lists what it did.
"""
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import orjson  # noqa: E402
from eventlet import tpool  # noqa: E402

from shared.bus.embedded import embedded_uri  # noqa: E402
from shared.bus.message import Message  # noqa: E402
from shared.bus.topology import PUBLIC  # noqa: E402
from shared.hosting.config import load_config  # noqa: E402
from shared.hosting.entrypoints import on_event, rpc, topology_of  # noqa: E402
from shared.hosting.rpc import MeshClient  # noqa: E402
from shared.hosting.run import Mesh  # noqa: E402
from shared.kernel import clock  # noqa: E402
from shared.kernel.context import Context  # noqa: E402
from shared.kernel.errors import EdgemereError, Malformed, NotFound  # noqa: E402
from shared.kernel.ids import new_id  # noqa: E402

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
SCANS = [{
    "id": new_id("scan"), "source": {"id": new_id("datasource"), "name": name}, "state": state, "files": 3, "bytes": 30,
    "added": 3, "changed": 0, "vanished": 0, "problem_count": 0, "message": "It looks.", "started_at": clock.stamp(),
    "ended_at": None,
} for name, state in (("lab", "done"), ("archive", "running"))]


class Catalog:
    """Scans as the catalogue shows them to the others."""

    name = "catalog"

    @rpc
    def scan_show(self, id):
        found = next((scan for scan in SCANS if scan["id"] == id), None)
        if found is None:
            raise NotFound("scan.not_found", f"There is no scan {id}.")
        return found

    @rpc
    def scan_list(self, limit, cursor=None):
        start = int(cursor or 0)
        newest = SCANS[::-1]
        return {"items": newest[start:start + limit], "total": len(newest),
                "next": str(start + limit) if start + limit < len(newest) else None}

    @rpc
    def scan_cancel(self, id):
        scan = self.scan_show(id)
        if scan["state"] == "running":
            scan["state"] = "cancelled"
        return scan


class Fragile:
    """Hears requests; some it cannot handle."""

    name = "fragile"

    @on_event("edgemere", "datarequest.needed", delays_s=(0.05,))
    def needed(self, message):
        name = message.obj if isinstance(message.obj, str) else message.obj.get("name")
        if name == "bad" and (FOLDER / "fragile").exists():
            raise Malformed("test.fragile", "It cannot be handled now.")
        with open(FOLDER / "handled", "a") as done:
            done.write(f"{name} {message.attempt}\n")


def burst(mesh, count):
    """Publish ``count`` messages as a relay does, and say which."""
    known = []
    for start in range(0, count, 200):
        messages = []
        for _ in range(start, min(count, start + 200)):
            message_id = new_id("event")
            body = {"obj": {"id": new_id("data"), "name": "a.csv", "size": 1}, "changed": [], "event": "data.create",
                    "id": message_id, "time": clock.stamp(), "correlation_id": "burst", "causation_id": None}
            content = orjson.dumps(body)
            headers = mesh.seal.sealed("data.create", {}, content, message_id)
            messages.append(Message(PUBLIC, "data.create", content, id=message_id, headers=headers))
        known += mesh.broker.publish_many(messages)
    return known


def answer(mesh, client, order):
    if "call" in order:
        service, method = order["call"].split(".")
        context = Context(owner="ann", roles=("DataScientist", "Administrator"), **order["parameters"].pop("context", {}))
        try:
            return {"result": client.call(service, method, context=context, **order["parameters"])}
        except EdgemereError as error:
            return {"error": error.payload()}
    if "publish" in order:
        mesh.broker.publish(Message(PUBLIC, order["publish"], order["body"].encode("latin-1"), id=order.get("id")))
        return True
    if "burst" in order:
        return burst(mesh, order["burst"])
    return {name: queue.messages for name, queue in mesh.broker.seen().items()}


def main():
    config = load_config("test", overrides={
        "data_dir": str(FOLDER), "broker.uri": embedded_uri(FOLDER / "broker.db")}, variables={})
    mesh = Mesh(config, ("requests", "events"), None)
    mesh.broker.declare(topology_of(Fragile))
    mesh.runner.add_service(Catalog)
    mesh.runner.add_service(Fragile)
    mesh.start()
    client = MeshClient(config.broker.uri, name="test", seal=mesh.seal)
    print('"ready"', flush=True)
    while line := tpool.execute(sys.stdin.buffer.readline):
        print(json.dumps(answer(mesh, client, json.loads(line))), flush=True)
    client.stop()
    mesh.stop()


if __name__ == "__main__":
    main()
