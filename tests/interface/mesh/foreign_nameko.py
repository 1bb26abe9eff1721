"""A program of somebody else: plain Nameko, not a line of this product. Run by ``test_foreign``, with no path to our code.

Calls what each line on stdin says (``{"rpc": "service.method", "parameters": {…}}``) and prints the answer; prints
``{"heard": body}`` for each event that its own service hears.
"""
import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402

from nameko.containers import ServiceContainer  # noqa: E402
from nameko.events import event_handler  # noqa: E402
from nameko.exceptions import RemoteError  # noqa: E402
from nameko.standalone.rpc import ClusterRpcProxy  # noqa: E402


class Listener:
    name = "somebody_else"

    @event_handler("edgemere", "datarequest.satisfied")
    def heard(self, body):
        print(json.dumps({"heard": body}), flush=True)


def main(uri):
    config = {"AMQP_URI": uri}
    container = ServiceContainer(Listener, config)
    container.start()
    with ClusterRpcProxy(config, timeout=120) as mesh:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            call = json.loads(line)
            service, method = call["rpc"].split(".")
            try:
                answer = {"result": getattr(getattr(mesh, service), method)(**call["parameters"])}
            except RemoteError as error:
                answer = {"error": error.value, "kind": error.exc_type}
            except Exception as error:
                answer = {"broken": repr(error)}
            print(json.dumps(answer), flush=True)
    container.stop()


if __name__ == "__main__":
    main(sys.argv[1])
