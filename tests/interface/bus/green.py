"""Runs scenarios in a green process, as the product's processes are: ``python -m tests.interface.bus.green URI-folder``.

Prints one line of JSON for each: its name and what went wrong, or null.
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

SCENARIO_S = 40


class TooSlow(Exception):
    """A scenario did not end."""


def main(module: str, folder: str, address: str) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    scenarios = importlib.import_module(module)
    for name in sorted(vars(scenarios)):
        if not name.startswith("test_"):
            continue
        uri = embedded_uri(Path(folder) / f"{name[:80]}.db") if address == "embedded" else address
        port.prepare(uri)
        wrong = None
        mesh = scenarios.Stage(uri)
        try:
            with eventlet.Timeout(SCENARIO_S, TooSlow()):
                getattr(scenarios, name)(mesh)
        except Exception:
            wrong = traceback.format_exc()
        finally:
            mesh.stop()
            stop_broker(uri)
        print(json.dumps([name, wrong]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
