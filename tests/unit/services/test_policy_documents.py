"""The examples of policies, in ``examples/policies`` and in docs/policies.md, say what they claim to say."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from services.requests.selection import check_select
from services.reservations.policy.cost import GIB
from services.reservations.policy.deciding import Asking, Decider, Terms
from services.reservations.policy.rules_file import load, read
from shared.kernel.errors import Invalid

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = re.findall(r"```(yaml|json)\n(.*?)```", (ROOT / "docs" / "policies.md").read_text(encoding="utf-8"), re.S)
YAML = [text for kind, text in BLOCKS if kind == "yaml"]
JSON = [json.loads(text) for kind, text in BLOCKS if kind == "json"]


@pytest.mark.parametrize("text", [text for text in YAML if not text.startswith("# refused:")])
def test_a_policy_of_the_page_can_be_used(text):
    assert read(text).rules


@pytest.mark.parametrize("text", [text for text in YAML if text.startswith("# refused:")])
def test_a_policy_that_the_page_calls_wrong_is_refused_with_what_it_says(text):
    said = text.splitlines()[0].removeprefix("# refused:").strip()
    with pytest.raises(Invalid) as refused:
        read(text)
    assert said in refused.value.detail and refused.value.errors[0]["line"] > 1


@pytest.mark.parametrize("select", [body for body in JSON if "rule" not in body])
def test_a_selection_of_the_page_can_be_used(select):
    check_select(select)


def test_the_record_of_the_page_has_the_members_of_a_record():
    page, = [body for body in JSON if "rule" in body]
    from services.reservations.policy.records import Composer

    asked = Asking({"owner": "x"}, read("- {name: r, action: leave}"), {"s": SOURCE}, {}, Terms())
    assert set(page) == set(Composer(asked).record(DATA)) - {"action", "target"}


SOURCE = {"id": "s", "name": "lab", "state": "Ready", "adaptor": "file", "location": "leeds", "tags": {"country": "DE"}, "cost": {}}
TARGET = {"id": "t", "name": "cluster", "state": "Ready", "adaptor": "file", "location": "york", "tags": {"country": "GB"}, "cost": {}, "writable": True}
DATA = {"id": "d", "name": "a.png", "type": "file", "size": GIB, "media_type": "image/png", "checksum": None, "tags": {},
        "source": {"id": "s", "name": "lab"}}


@pytest.mark.parametrize(("name", "data", "request_", "expected"), [
    ("residency", {"tags": {"personal": True}}, {"action": "copy", "target": "cluster"}, ("reject", "personal-data-stays-in-its-country")),
    ("residency", {"tags": {}}, {"action": "copy", "target": "cluster"}, ("copy", "request")),
    ("residency", {"tags": {"personal": True}}, {}, ("leave", "default")),
    ("size", {"size": 200 * GIB}, {"target": "cluster"}, ("leave", "too-large-to-copy")),
    ("size", {"size": 1000}, {"target": "cluster"}, ("copy", "small-is-copied")),
    ("size", {"size": GIB}, {"target": "cluster"}, ("leave", "the-cheapest")),
    ("licence", {"tags": {"third_party": True}}, {}, ("reject", "no-licence-no-use")),
    ("licence", {"tags": {"licence": "CC-BY-NC-4.0"}}, {"labels": {"commercial": True}}, ("reject", "non-commercial")),
    ("licence", {"tags": {"licence": "CC-BY-SA-4.0"}}, {"action": "copy", "target": "cluster"}, ("copy", "request")),
    ("purpose", {"tags": {"category": "health"}}, {"labels": {"purpose": "advertising"}}, ("reject", "health-data-for-research-only")),
    ("purpose", {"tags": {"category": "health"}}, {"labels": {"purpose": "research"}}, ("leave", "default")),
    ("purpose", {}, {"workload": "training", "target": "cluster"}, ("copy", "training-near-the-machines")),
    ("purpose", {}, {"owner": "guest", "action": "copy", "target": "cluster"}, ("leave", "guests-read-in-place")),
])
def test_an_example_decides_as_it_says(name, data, request_, expected):
    asked = Asking({"owner": "darren", **request_}, load(str(ROOT / "examples" / "policies" / f"{name}.yaml")), {"s": SOURCE},
                   {"cluster": TARGET}, Terms())
    decided = Decider(asked)({**DATA, **data})
    assert (decided.action, decided.rule) == expected


def test_every_example_is_tried():
    tried = {mark.args[1][position][0] for mark in test_an_example_decides_as_it_says.pytestmark for position in range(len(mark.args[1]))}
    assert tried == {path.stem for path in (ROOT / "examples" / "policies").glob("*.yaml")}
