"""Rates and quotas: how much one may ask, how much one may have, and that every answer says what remains."""
from __future__ import annotations

import threading

import pytest

from tests.interface.gateway.locked import CREATE, DO, WHO, eventually, locked, refused


@pytest.fixture(scope="module")
def bounded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounded")
    lab, target = folder / "lab", folder / "target"
    lab.mkdir()
    target.mkdir()
    for number in range(4):
        (lab / f"{number}.dat").write_bytes(b"x" * 1000)
    running = locked(folder, limits={"owner": "100/minute", "address": "1000/minute"}, quotas={
        "ann": {"requests": 2}, "ben": {"instances": 3}, "cat": {"bytes": "2500"}, "eve": {"instances": 5}})
    with running:
        for name, place, more in (("lab", lab, {}), ("target", target, {"writable": True})):
            made = running.ask("/edgemere/diml/dml/fmdm/datasource/create", method="POST", headers={"Prefer": "wait=100"}, json={
                "name": name, "adaptor": "file", "parameters": {"rootdir": str(place), **more}})
            assert made.status_code in (200, 201), made.text
        yield running
    running.provider.server.shutdown()


@pytest.fixture(scope="module")
def keys(bounded):
    """A key of each owner that has a quota."""
    return {owner: bounded.make_key(f"of-{owner}", owner=owner, roles=["DataScientist", "ApplicationDeveloper"])["key"]
            for owner in ("ann", "ben", "cat", "dan")}


def asked(server, key, **parameters):
    return server.ask(CREATE, key, "POST", json=parameters, headers={"Prefer": "wait=0"})


def test_an_owner_has_no_more_open_requests_than_his_quota_and_is_told_what_remains(bounded, keys):
    first = asked(bounded, keys["ann"], query="name:none.dat", wait=True).json()
    assert first["quota"] == {"requests": {"limit": 2, "used": 1, "remaining": 1}}
    asked(bounded, keys["ann"], query="name:none.dat", wait=True)
    problem = refused(asked(bounded, keys["ann"], query="name:none.dat", wait=True), "quota.exceeded", 429)
    assert problem["quota"]["requests"]["remaining"] == 0
    assert bounded.ask(WHO, keys["ann"]).json()["quota"]["requests"] == {"limit": 2, "used": 2, "remaining": 0}
    bounded.ask(f"{DO}/datarequest/cancel", keys["ann"], "POST", json={"id": first["id"]})
    assert asked(bounded, keys["ann"], query="name:none.dat", wait=True).status_code == 201
    assert "quota" not in asked(bounded, keys["dan"], query="name:none.dat").json()


def test_an_owner_has_no_more_instances_and_bytes_than_his_quota(bounded, keys):
    def state(key, made):
        return bounded.ask(f"{DO}/datarequest/show", key, params={"id": made["id"]}).json()

    made = asked(bounded, keys["ben"], query="name:*.dat", name="four").json()
    failed = eventually(lambda: state(keys["ben"], made), lambda found: found["state"] == "Failed")
    assert failed["reason"]["code"] == "over_quota" and "4 instances, of 3" in failed["message"]
    made = asked(bounded, keys["ben"], query="name:1.dat", name="one").json()
    eventually(lambda: state(keys["ben"], made), lambda found: found["state"] == "Satisfied")
    assert bounded.ask(WHO, keys["ben"]).json()["quota"]["instances"] == {"limit": 3, "used": 1, "remaining": 2}
    made = asked(bounded, keys["cat"], query="name:*.dat", action="copy", target="target", name="copies").json()
    failed = eventually(lambda: state(keys["cat"], made), lambda found: found["state"] == "Failed")
    assert failed["reason"]["code"] == "over_quota" and "3.9 KiB (4000 bytes) in copies, of 2.4 KiB (2500 bytes) that" in failed["message"]


def test_a_plan_says_what_the_quotas_then_do(bounded, keys):
    def plan(owner, **parameters):
        return bounded.ask(f"{DO}/datarequest/plan", keys[owner], "POST", json=parameters)

    for owner, more in (("ben", {"query": "name:*.dat"}), ("cat", {"query": "name:*.dat", "action": "copy", "target": "target"})):
        said = plan(owner, **more).json()
        made = asked(bounded, keys[owner], **more).json()
        happened = eventually(lambda: bounded.ask(f"{DO}/datarequest/show", keys[owner], params={"id": made["id"]}).json(),
                              lambda found: found["state"] == "Failed")
        assert said["outcome"] == "Failed" and said["refusal"]["code"] == happened["reason"]["code"] == "over_quota"
        assert happened["message"].startswith(said["refusal"]["message"])
        assert plan(owner, **more, wait=True).json()["outcome"] == "Needed"
    open_requests = bounded.ask(WHO, keys["ann"]).json()["quota"]["requests"]["remaining"]
    for _ in range(open_requests):
        asked(bounded, keys["ann"], query="name:none.dat", wait=True)
    refused(plan("ann", query="name:none.dat"), "quota.exceeded", 429)


def test_requests_made_at_once_never_have_more_instances_together_than_the_quota(bounded, keys):
    key = bounded.make_key("of-eve", owner="eve", roles=["DataScientist", "ApplicationDeveloper"])["key"]
    made = []
    threads = [threading.Thread(target=lambda: made.append(asked(bounded, key, query="name:1.dat OR name:2.dat").json())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = [eventually(lambda one=one: bounded.ask(f"{DO}/datarequest/show", key, params={"id": one["id"]}).json(),
                        lambda found: found["state"] in ("Satisfied", "Failed")) for one in made]
    assert sorted(one["state"] for one in ended) == ["Failed"] * 6 + ["Satisfied"] * 2, "five instances there may be, of two each"
    assert {one["reason"]["code"] for one in ended if one["state"] == "Failed"} == {"over_quota"}
    assert bounded.ask(WHO, key).json()["quota"]["instances"] == {"limit": 5, "used": 4, "remaining": 1}


def test_every_answer_says_what_remains_of_the_rate_and_the_end_of_it_is_429_with_the_time(bounded, keys):
    answer = bounded.ask(WHO, keys["dan"])
    assert answer.headers["RateLimit-Policy"] == '"owner-0";q=100;w=60, "address-0";q=1000;w=60'
    remaining = dict(part.strip().split(";", 1) for part in answer.headers["RateLimit"].split(","))
    assert int(remaining['"owner-0"'].split(";")[0].removeprefix("r=")) < 100 and '"address-0"' in remaining
    statuses = [bounded.ask(WHO, keys["dan"]).status_code for _ in range(105)]
    assert statuses.count(200) < 100 and statuses[-1] == 429
    last = bounded.ask(WHO, keys["dan"])
    refused(last, "rate.exceeded", 429)
    assert 1 <= int(last.headers["Retry-After"]) <= 60 and last.headers["RateLimit-Policy"]
    assert bounded.ask(WHO, keys["cat"]).status_code == 200
