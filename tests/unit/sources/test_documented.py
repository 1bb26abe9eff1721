"""The examples of docs/sources.md can be typed as they stand, and the document knows every parameter."""
from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.sources.port import SourcePolicy
from shared.sources.registry import ADAPTORS, LIMITS, check_parameters

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "sources.md").read_text()
EXAMPLES = [json.loads(found) for found in re.findall(r"```json\n(.*?)```", DOCUMENT, re.S)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["adaptor"])
def test_an_example_is_accepted_as_it_stands(example: dict[str, Any]) -> None:
    kept = check_parameters(example["adaptor"], example["parameters"], SourcePolicy())
    assert kept.get(LIMITS) == example["parameters"].get(LIMITS)


@pytest.mark.parametrize("adaptor", ADAPTORS)
def test_every_parameter_is_documented_and_every_adaptor_has_an_example(adaptor: str) -> None:
    section = DOCUMENT.split(f"\n## {adaptor}\n")[1].split("\n## ")[0]
    assert [name for name in importlib.import_module(ADAPTORS[adaptor]).PARAMETERS if f"`{name}`" not in section and f'"{name}"' not in section] == []
    assert adaptor in {example["adaptor"] for example in EXAMPLES}


@pytest.mark.parametrize(("limits", "pointer"), [
    ({"transfer": 1}, "/parameters/limits/transfer"), ({"transfers": 0}, "/parameters/limits/transfers"),
    ({"transfers": 1.5}, "/parameters/limits/transfers"), ({"mib_per_s": -1}, "/parameters/limits/mib_per_s"),
])
def test_limits_that_are_none_are_refused_with_their_place(limits: dict[str, Any], pointer: str) -> None:
    from shared.kernel.errors import Invalid

    with pytest.raises(Invalid) as refused:
        check_parameters("file", {"rootdir": "/tmp", "limits": limits}, SourcePolicy())
    assert refused.value.errors[0]["pointer"] == pointer
