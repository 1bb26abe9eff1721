"""The whole mesh as it really runs, in one process, spoken to by callers of different owners and roles: by sealed calls.

``python -m tests.interface.rights.world FOLDER [DATABASE_URL [SETTINGS as JSON]]`` says ``"ready"`` and answers each line of JSON on stdin with one:
``{"call": "requests.show", "owner", "roles", "parameters"}``; ``"foreign": true`` sends the same without the seal, ``{"publish": name,
"obj", "headers"?}`` a message as a foreign program does, ``{"subscribe": {...}, "owner", "roles"}`` what a listener hears of all there was.
"""
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from eventlet import tpool  # noqa: E402

from gateway.live import Live  # noqa: E402
from gateway.settings import Settings  # noqa: E402
from gateway.sse import LogReader, Stream  # noqa: E402
from gateway.wanted import wanted_by  # noqa: E402
from shared.bus.encoding import encode  # noqa: E402
from shared.bus.message import Message  # noqa: E402
from shared.bus.topology import PUBLIC  # noqa: E402
from shared.contracts.table import SERVICES  # noqa: E402
from shared.hosting.config import load_config  # noqa: E402
from shared.hosting.rpc import MeshClient  # noqa: E402
from shared.hosting.run import Mesh, resolved  # noqa: E402
from shared.kernel.context import Context  # noqa: E402
from shared.kernel.errors import EdgemereError  # noqa: E402


class World:
    def __init__(self, folder: Path, database: str, settings: dict) -> None:
        config = resolved(load_config("dev", overrides={
            "data_dir": str(folder), "database.url": database, "bus.foreign.owner": "stranger", "bus.foreign.roles": ["ApplicationDeveloper"],
            "events.retry_backoff_s": [0.1], "instances.grace_s": 600, **{name: value for name, value in settings.items() if value is not None},
        }, variables={}))
        self.mesh = Mesh(config, SERVICES, None)
        self.mesh.start()
        uri = config.broker.uri
        self.sealed = MeshClient(uri, name="ours", seal=self.mesh.seal, timeout_s=30)
        self.foreign = MeshClient(uri, name="theirs", timeout_s=30)

    def answer(self, order: dict) -> object:
        context = Context(owner=order.get("owner", ""), roles=tuple(order.get("roles", ())), idempotency_key=order.get("key", ""))
        try:
            if "call" in order:
                client = self.foreign if order.get("foreign") else self.sealed
                service, method = order["call"].split(".")
                return {"result": client.call(service, method, context=context, **order["parameters"])}
            if "publish" in order:
                self.mesh.broker.publish(Message(PUBLIC, order["publish"], encode({"obj": order["obj"]}), id=order.get("id"),
                                                 headers=order.get("headers", {})))
                return {"result": True}
            return {"result": self.heard(context, order["subscribe"])}
        except EdgemereError as error:
            return {"error": {**error.payload(), "status": error.status}}

    def heard(self, context: Context, given: dict) -> list[str]:
        live = Live()
        reader = LogReader(self.sealed, live, Settings(owner="nobody"))
        chosen, after = wanted_by(context, given)
        stream = Stream(reader, live, chosen, after or 0, 0.5)
        said = []
        for piece in stream:
            said.append(piece.decode())
            if "still here" in said[-1]:
                break
        stream.close()
        live.close()
        return said


def main() -> None:
    world = World(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "", json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    print('"ready"', flush=True)
    while line := tpool.execute(sys.stdin.buffer.readline):
        print(json.dumps(world.answer(json.loads(line)), default=str), flush=True)
    world.sealed.stop()
    world.foreign.stop()
    world.mesh.stop()


if __name__ == "__main__":
    main()
