"""Runs scenarios in a green process, as the product's processes are.

``python -m tests.interface.bus.green FOLDER embedded|here|amqp://… MODULE…``

``here`` is the embedded broker, with services that ask each other directly. Prints one line of JSON for each: its name and what went wrong, or null.
"""
from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import importlib  # noqa: E402 - nothing may be imported before the patch
import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402

from shared.bus import port  # noqa: E402
from shared.bus.embedded import embedded_uri, stop_broker  # noqa: E402
from tests.interface.bus.stage import Stage  # noqa: E402

SCENARIO_S = 240


class TooSlow(Exception):
    """A scenario did not end."""


def main(folder: str, address: str, *modules: str) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    scenarios = {name: scenario for module in modules for name, scenario in vars(importlib.import_module(module)).items()
                 if name.startswith("test_")}
    for name, scenario in scenarios.items():
        uri = embedded_uri(Path(folder) / f"{name[:80]}.db") if address in ("embedded", "here") else address
        port.prepare(uri)
        wrong = None
        stage = Stage(uri, here=address == "here")
        try:
            with eventlet.Timeout(SCENARIO_S, TooSlow()):
                scenario(stage)
        except Exception:
            wrong = traceback.format_exc()
        finally:
            stage.stop()
            stop_broker(uri)
        print(json.dumps([name, wrong]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
