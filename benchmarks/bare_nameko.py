"""The floor of the production benchmarks: a Nameko HTTP entrypoint that asks another Nameko service, and nothing else.

    python benchmarks/bare_nameko.py front|back AMQP_URI PORT
"""
from __future__ import annotations

import sys
from typing import Any

import eventlet

eventlet.monkey_patch()

from nameko.containers import ServiceContainer  # noqa: E402
from nameko.rpc import RpcProxy, rpc  # noqa: E402
from nameko.web.handlers import http  # noqa: E402


class Back:
    name = "bare_back"

    @rpc
    def echo(self, text: str) -> str:
        return text


class Front:
    name = "bare_front"
    back = RpcProxy("bare_back")

    @http("GET", "/echo/<string:text>")
    def echo(self, request: Any, text: str) -> str:
        return self.back.echo(text)


def main() -> None:
    which, uri, port = sys.argv[1:]
    container = ServiceContainer({"front": Front, "back": Back}[which], config={
        "AMQP_URI": uri, "WEB_SERVER_ADDRESS": f"127.0.0.1:{port}", "max_workers": 20})
    container.start()
    container.wait()


if __name__ == "__main__":
    main()
