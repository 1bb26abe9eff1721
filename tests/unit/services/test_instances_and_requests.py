"""How instances are grouped and named, when a failure is tried again, and what a request may ask for."""
from __future__ import annotations

from itertools import islice

import pytest

from services.catalog import rules as catalog
from services.instances import rules as instances
from services.requests import groups, promises, rules as requests, selection
from shared.contracts.action import load_parameters
from shared.contracts.table import ACTIONS as BY_NAME
from shared.kernel import clock
from shared.kernel.errors import Invalid

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


@pytest.mark.parametrize(("select", "bound"), [
    ({"count": 10**18}, "1 to 1,000,000"), ({"minimum": 0}, "1 to 1,000,000"), ({"max_bytes": 10**30}, "0 to 1e+18")])
def test_a_number_beyond_its_bounds_is_refused_with_both(select, bound):
    with pytest.raises(Invalid, match=bound.replace("+", r"\+")):
        selection.check_select(select)


@pytest.mark.parametrize(("kind", "amount", "said"), [
    ("readers", 1, "1 reader is wanted"), ("readers", 2, "2 readers are wanted"), ("bytes", 1, "1 byte is wanted")])
def test_what_there_is_no_room_for_is_said_in_words(kind, amount, said):
    source = {"id": "s", "name": "lab", "capacity": {kind: 0}, "used": {kind: 0}}
    assert said in catalog.no_room(source, {kind: amount}).detail


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


def test_the_clause_that_lost_everything_is_named():
    funnel = {"base": 61, "steps": [{"clause": "owner:darren", "remaining": 12}, {"clause": "filetypes:parquet", "remaining": 0}]}
    assert requests.losing_clause(funnel) == "filetypes:parquet"
    assert requests.losing_clause({"base": 3, "steps": []}) is None and requests.losing_clause(None) is None


def test_waits_grow_to_the_last_step_and_stay_there():
    assert [requests.backoff(n, (1, 2, 60)) for n in range(5)] == [1, 2, 60, 60, 60]


@pytest.mark.parametrize(("group", "pointer"), [
    ({}, "/group"), ({"a b": "x:1"}, "/group/a b"), ({"a": 5}, "/group/a"), ({"a": {"select": {}}}, "/group/a"),
    ({"a": {"query": "x:1", "selct": {}}}, "/group/a/selct"), ({"a": {"query": "x:1", "select": {"count": 0}}}, "/group/a/select/count"),
    ({f"m{n}": "x:1" for n in range(51)}, "/group"),
])
def test_a_group_that_cannot_be_read_is_refused_with_its_place(group, pointer):
    with pytest.raises(Invalid) as refused:
        groups.read(group)
    assert refused.value.errors[0]["pointer"] == pointer


def test_a_word_that_is_misspelt_is_answered_with_the_one_that_was_meant():
    with pytest.raises(Invalid, match="Did you mean 'query'") as refused:
        groups.read({"scans": {"qery": "kind:scan"}})
    assert refused.value.errors[0]["pointer"] == "/group/scans/qery"
    with pytest.raises(Invalid, match="'lst' is none of lost, dark, .* Did you mean 'lost'") as refused:
        load_parameters(BY_NAME["fmdm.datasource.findings"], {"id": "lab", "kind": "lst"})
    assert refused.value.errors[0]["pointer"] == "/kind"
    with pytest.raises(Invalid, match="'copi' is none of .* Did you mean 'copy'"):
        load_parameters(BY_NAME["do.datarequest.create"], {"query": "a:1", "action": "copi"})


def test_a_group_is_what_any_of_its_members_matches():
    group = groups.read({"scans": "kind:scan", "labels": {"query": {"kind": "label"}, "select": {"count": 1}}})
    assert group["labels"] == {"query": {"kind": "label"}, "select": {"count": 1}}
    assert groups.query_of(group) == {"$or": [{"kind": "scan"}, {"kind": "label"}]}


@pytest.mark.parametrize(("given", "pointer"), [
    ({"lock": {}, "query": "a:1"}, "/query"), ({"group": {"a": "b:1"}, "query": "a:1"}, "/query"),
    ({"group": {"a": "b:1"}, "data_reference": "r"}, "/data_reference"), ({"lock": {}, "select": {"count": 1}}, "/select"),
    ({"group": {"a": "b:1"}, "standing": True}, "/standing"),
])
def test_what_says_in_two_ways_which_data_is_needed_is_refused(given, pointer):
    with pytest.raises(Invalid) as refused:
        requests.said_twice(given)
    assert refused.value.errors[0]["pointer"] == pointer


def test_a_time_that_is_over_is_no_time_to_need_something_by():
    assert requests.needed_by_of(None) is None
    assert requests.needed_by_of("2999-01-01T00:00:00.000000Z")
    with pytest.raises(Invalid):
        requests.needed_by_of("2020-01-01T00:00:00.000000Z")


def promised(needed_in: float, **more) -> dict:
    return {"needed_by": clock.stamp_in(needed_in), "expected_at": None, "warnings": None, **more}


def test_who_will_be_late_is_warned_once_and_again_when_the_estimate_slips():
    row = promised(100)
    changes, warn = promises.judged(row, clock.stamp_in(200))
    assert warn and changes["warnings"][0]["code"] == "late"
    late = {**row, **changes}
    assert not promises.judged(late, clock.stamp_in(205))[1]
    again, warn = promises.judged(late, clock.stamp_in(400))
    assert warn and "slipped" in again["warnings"][0]["detail"]
    relieved, warn = promises.judged(late, clock.stamp_in(50))
    assert not warn and relieved["warnings"] is None
    assert not promises.judged(promised(100), clock.stamp_in(50))[1]


def test_what_was_late_says_by_how_much():
    row = promised(-5, warnings=[{"code": "late", "detail": "", "needed_by": "", "expected_at": clock.stamp_in(-1), "at": ""}])
    assert "ready 5 seconds later" in promises.at_the_end(row)["warnings"][0]["detail"]
