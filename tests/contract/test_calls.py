"""The table of calls among services is what the code calls: an account at the broker may do these and no more."""
from __future__ import annotations

import ast
import importlib
import re

import pytest

from shared.contracts.calls import CALLS
from shared.contracts.table import SERVICES
from shared.hosting.serving import entrypoints_of
from tests.support.servers import ROOT

FOLDERS = {**{service: ROOT / "services" / service for service in SERVICES}, "gateway": ROOT / "gateway"}
# Where the service is a variable: the file, and whom it may name there.
NAMED_LATER = {
    "events/persons.py": set(SERVICES) - {"events"},
    "events/identities.py": {"requests", "instances"},
    "requests/handlers.py": {"reservations", "instances"},
    "requests/explain.py": {"reservations", "instances"},
    "requests/turns.py": {"catalog", "instances", "reservations"},
    "requests/waiting.py": {"catalog", "reservations"},
    "gateway/health.py": set(SERVICES),
}


def calls_in(caller: str) -> set[tuple[str, str]]:
    """Every (service, method) that the code of one names in a call on the mesh."""
    found = set()
    for path in FOLDERS[caller].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "call" or len(node.args) < 2:
                continue
            whom, method = (one.value if isinstance(one, ast.Constant) else None for one in node.args[:2])
            if whom in SERVICES:
                assert method, f"{path}: {ast.unparse(node)} does not say which method"
                found.add((whom, method))
            elif isinstance(method, str) and whom is None and re.search("mesh|itself", ast.unparse(node.func)):
                place = "/".join(path.relative_to(ROOT).parts[-2:])
                found |= {(one, method) for one in NAMED_LATER[place]}
    return found


@pytest.mark.parametrize("caller", FOLDERS)
def test_a_service_calls_what_the_table_of_calls_names_and_nothing_else(caller):
    said = {(whom, method) for whom, methods in CALLS[caller].items() for method in methods}
    # The gateway's calls of actions are the table's.
    actions = {("events", "list")} if caller == "gateway" else set()
    assert calls_in(caller) - actions == said


@pytest.mark.parametrize("whom", SERVICES)
def test_what_is_called_is_there(whom):
    there = entrypoints_of(getattr(importlib.import_module(f"services.{whom}.service"), whom.capitalize()))
    assert {method for methods in CALLS.values() for method in methods.get(whom, ())} <= set(there)
