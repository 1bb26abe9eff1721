"""How instances are grouped and named, when a failure is tried again, and what a request may ask for."""
from __future__ import annotations

from itertools import islice

import pytest

from services.instances import rules as instances
from services.requests import rules as requests
from shared.kernel.errors import Invalid, NotYet

REQUEST = {"id": "dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E", "name": "r", "attempt": 1, "owner": "o"}


def reservation(data: str, source: str, action: str = "leave") -> dict:
    return {"data_id": data, "source_id": source, "source_name": source.upper(), "action": action, "target_id": "dsrc_t",
            "snapshot": {"name": data, "path": f"in/{data}", "size": 5}}


def test_instances_hold_one_data_or_one_source():
    some = [reservation("a", "x"), reservation("b", "y"), reservation("c", "x")]
    assert list(instances.grouped(some, "data")) == ["a", "b", "c"]
    assert {key: [r["data_id"] for r in group] for key, group in instances.grouped(some, "source").items()} == {"x": ["a", "c"], "y": ["b"]}


def test_names_count_from_zero_and_leave_out_those_that_live():
    assert list(islice(instances.free_names("train", {"train-0", "train-2"}), 3)) == ["train-1", "train-3", "train-4"]


def test_only_a_copy_has_a_place_at_the_target():
    row = instances.instance_row(REQUEST, "a", "r-0", [reservation("a", "x", "copy")])
    assert instances.entry_row(row, 0, reservation("a", "x", "copy"))["target_path"] == "r-0/in/a"
    assert instances.entry_row(row, 0, reservation("a", "x"))["target_path"] is None
    assert row["bytes_total"] == 5 and row["source_name"] == "X"


@pytest.mark.parametrize(("error", "tries", "again"), [
    ({"code": "worker.died", "retryable": True}, 0, True),
    ({"code": "worker.died", "retryable": True}, 3, False),
    ({"code": "source.vanished", "retryable": False}, 0, False),
    ({"code": "source.changed_during_copy", "retryable": False}, 0, True),
    ({"code": "source.changed_during_copy", "retryable": True}, 1, False),
])
def test_what_can_pass_is_tried_again_a_bounded_number_of_times(error, tries, again):
    assert instances.worth_another_try(error, tries, 3) is again


@pytest.mark.parametrize("empty", ["", {}, "{}", None])
def test_an_empty_query_creates_nothing_unless_everything_is_meant(empty):
    with pytest.raises(Invalid) as refused:
        requests.wanted(empty, None)
    assert refused.value.code == "query.empty" and refused.value.errors[0]["pointer"] == "/query"
    assert requests.wanted(empty, True).is_empty


@pytest.mark.parametrize(("select", "pointer"), [
    ({"mode": "some"}, "/select/mode"), ({"cuont": 1}, "/select/cuont"), ({"count": 0}, "/select/count"),
    ({"minimum": True}, "/select/minimum"), ({"count": "two"}, "/select/count"),
])
def test_a_selection_that_cannot_be_used_is_refused_with_its_place(select, pointer):
    with pytest.raises(Invalid) as refused:
        requests.check_select(select)
    assert refused.value.errors[0]["pointer"] == pointer


@pytest.mark.parametrize("parameters", [{"group": {"a": 1}}])
def test_what_is_not_built_yet_says_so_by_its_name(parameters):
    with pytest.raises(NotYet) as refused:
        requests.check_built(parameters)
    assert refused.value.code == "not_yet" and (next(iter(parameters)) in str(refused.value))


def test_the_clause_that_lost_everything_is_named():
    funnel = {"base": 61, "steps": [{"clause": "owner:darren", "remaining": 12}, {"clause": "filetypes:parquet", "remaining": 0}]}
    assert requests.losing_clause(funnel) == "filetypes:parquet"
    assert requests.losing_clause({"base": 3, "steps": []}) is None and requests.losing_clause(None) is None


def test_waits_grow_to_the_last_step_and_stay_there():
    assert [requests.backoff(n, (1, 2, 60)) for n in range(5)] == [1, 2, 60, 60, 60]
