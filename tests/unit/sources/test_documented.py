"""The examples of docs/sources.md can be typed as they stand, and the document knows every parameter; wrong ones are refused in plain words."""
from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.kernel.errors import Invalid
from shared.sources.port import SourcePolicy
from shared.sources.registry import ADAPTORS, LIMITS, check_parameters, optional

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


@pytest.mark.parametrize(("kind", "value", "word"), [
    (str, 5, "a text"), (bool, "yes", "true or false"), ((int, float), "1", "a number"), ((str, dict), [], "a text or an object")])
def test_a_parameter_of_another_kind_is_refused_in_words_that_people_use(kind: Any, value: Any, word: str) -> None:
    with pytest.raises(Invalid, match=f"The parameter 'p' is not {word}[.]"):
        optional({"p": value}, "p", kind, None)
