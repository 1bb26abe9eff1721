"""Every code that the product raises is explained in the contract; a code in an f-string is one of a class."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.problems import DOCUMENTED
from gateway.schemas import status_of
from shared.contracts.event import OWNERS
from shared.contracts.table import ACTIONS
from shared.kernel.errors import KINDS
from tests.support.servers import ROOT

CODE = re.compile(r"[a-z_]+(\.[a-z_]+)*")


def raised() -> Iterator[tuple[str, str, str]]:
    """Where a code stands, the code, and the kind that it is raised as; ``query.`` is what ``fault`` puts before its own."""
    for folder in ("shared", "services", "gateway"):
        for path in Path(ROOT, folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                    continue
                first = node.args[0]
                if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or not CODE.fullmatch(first.value):
                    continue
                if node.func.id in KINDS:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", first.value, node.func.id
                elif node.func.id == "fault":
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", f"query.{first.value}", "Malformed"


def test_every_code_that_is_raised_is_explained():
    found = list(raised())
    assert len(found) > 100
    # What only the command line says is explained by the command line.
    assert [(place, code) for place, code, _ in found if code not in DOCUMENTED and not code.startswith("cli.")] == []


@pytest.mark.parametrize("noun", sorted(OWNERS))
def test_every_class_explains_what_can_be_wrong_with_any(noun):
    codes = ["not_found", "changed", "version_conflict"]
    assert [code for code in codes if not DOCUMENTED.get(f"{noun}.{code}")] == []


def test_the_status_that_is_documented_of_a_code_is_one_that_it_is_answered_with():
    answered: dict[str, set[int]] = {}
    for _, code, kind in raised():
        answered.setdefault(code, set()).add(KINDS[kind].status)
    shown = {code for action in ACTIONS.values() for code in action.errors if code in answered}
    assert len(shown) > 50
    assert {code: (status_of(code), answered[code]) for code in sorted(shown) if status_of(code) not in answered[code]} == {}
