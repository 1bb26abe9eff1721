"""Claims never grant more than there is, and say what they refuse."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.catalog import claims, models
from shared.kernel.errors import Conflict, EdgemereError, Invalid, NoCapacity, NotFound, VersionConflict
from shared.storage.group_commit import GroupCommit
from tests.interface.catalog.world import Catalogue


def test_claims_are_counted_and_given_back(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 3})
    assert catalogue.claim(source, "a", "b") == {"claimed": 2}
    assert catalogue.used(source) == {"bytes": 0, "readers": 2}
    assert claims.release(catalogue.uses, ids=["a", "gone"]) == {"released": 1}
    assert claims.release(catalogue.uses, holder="dreq_1") == {"released": 1}
    assert claims.release(catalogue.uses, holder="dreq_1") == {"released": 0}
    assert catalogue.used(source)["readers"] == 0


def test_the_same_claim_twice_is_one(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 2})
    catalogue.claim(source, "a", "b")
    assert catalogue.claim(source, "a", "b") == {"claimed": 2}
    assert catalogue.used(source)["readers"] == 2


def test_a_claim_of_nothing_is_no_change_of_the_source(catalogue: Catalogue) -> None:
    source = catalogue.source(writable=True)
    version = source["version"]
    catalogue.claim(source, "empty", kind="bytes", amount=0)
    claims.release(catalogue.uses, ids=["empty"])
    assert catalogue.call("datasource_show", id=source["id"])["version"] == version


def test_all_or_nothing_is_claimed(catalogue: Catalogue) -> None:
    roomy, tight = catalogue.source("roomy"), catalogue.source("tight", capacity={"readers": 1})
    with pytest.raises(NoCapacity) as refusal:
        claims.claim(catalogue.uses, [{"id": "a", "source": roomy["id"], "kind": "readers", "amount": 1},
                                      {"id": "b", "source": tight["id"], "kind": "readers", "amount": 2}], "dreq_1")
    assert refusal.value.code == "source.no_capacity" and refusal.value.next_step
    assert refusal.value.extra == {"source": {"id": tight["id"], "name": "tight"}, "kind": "readers", "wanted": 2, "free": 1, "never": True}
    assert catalogue.used(roomy)["readers"] == catalogue.used(tight)["readers"] == 0


def test_a_source_that_is_not_ready_or_not_writable_takes_no_claims(catalogue: Catalogue) -> None:
    read_only = catalogue.source("read-only", writable=False)
    with pytest.raises(Conflict, match="datasource.not_writable"):
        catalogue.claim(read_only, "a", kind="bytes", amount=10)
    catalogue.call("datasource_suspend", id="read-only")
    with pytest.raises(Conflict, match="datasource.not_ready"):
        catalogue.claim(read_only, "a")
    with pytest.raises(NotFound, match="datasource.not_found"):
        catalogue.claim({"id": "dsrc_01M87HEZH066AESBS7QVCT04P4"}, "a")


@pytest.mark.parametrize("change", [{"amount": -1}, {"amount": True}, {"kind": "riders"}, {"amount": 2**63}])
def test_a_malformed_claim_is_named(catalogue: Catalogue, change: dict) -> None:
    source = catalogue.source()
    with pytest.raises(Invalid) as refusal:
        catalogue.claim(source, "a", **change)
    assert refusal.value.errors[0]["pointer"] == "/claims/0"


def test_an_id_that_stands_for_another_claim_is_refused(catalogue: Catalogue) -> None:
    source = catalogue.source()
    catalogue.claim(source, "a")
    with pytest.raises(Invalid):
        catalogue.claim(source, "a", amount=2)
    assert catalogue.used(source)["readers"] == 1


def test_what_was_claimed_for_a_time_comes_back_with_a_message(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    catalogue.claim(source, "a", ttl_s=0)
    catalogue.messages()
    assert claims.sweep(catalogue.uses) == 1
    freed, = catalogue.messages("capacity.freed")
    assert freed["obj"]["source"]["name"] == "lab" and freed["obj"]["why"] == "released"
    assert catalogue.used(source)["readers"] == 0


def test_a_claim_that_is_over_makes_room_before_the_sweep(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    catalogue.claim(source, "a", ttl_s=0)
    assert catalogue.claim(source, "b", holder="dreq_2") == {"claimed": 1}
    assert catalogue.used(source)["readers"] == 1


def test_a_renewed_claim_stays(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    catalogue.claim(source, "a", ttl_s=0)
    assert claims.renew(catalogue.uses, "dreq_1", None) == {"renewed": 1}
    assert claims.sweep(catalogue.uses) == 0
    assert catalogue.used(source)["readers"] == 1


def test_room_that_comes_free_is_said_once_per_call(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 100})
    catalogue.claim(source, *(f"c{number}" for number in range(50)))
    catalogue.messages()
    claims.release(catalogue.uses, holder="dreq_1", prefix="c1")
    names = [message["name"] for message in catalogue.messages()]
    assert sorted(names) == ["capacity.freed", "datasource.updated"]
    assert catalogue.used(source)["readers"] == 39


def test_ten_thousand_claims_are_one_call(catalogue: Catalogue) -> None:
    source = catalogue.source()
    ids = [f"c{number}" for number in range(10_000)]
    assert catalogue.claim(source, *ids) == {"claimed": 10_000}
    assert catalogue.claim(source, *ids) == {"claimed": 10_000}
    assert catalogue.used(source)["readers"] == 10_000
    assert claims.release(catalogue.uses, holder="dreq_1") == {"released": 10_000}


def test_replicas_together_never_claim_more_than_there_is(fresh_database: Callable[[], str], tmp_path: Path) -> None:
    url = fresh_database()
    replicas = [Catalogue(url, tmp_path / "home") for _ in range(2)]
    source = replicas[0].source(capacity={"readers": 10})
    granted: list[int] = []
    refused: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            try:
                replicas[number % 2].claim(source, f"c{number}", holder=f"r{number}")
                granted.append(number)
            except NoCapacity:
                refused.append(number)
            except VersionConflict:
                continue
            return

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), len(refused)) == (10, 30)
    assert replicas[0].used(source)["readers"] == 10
    for replica in replicas:
        replica.close()


def _ask(source: dict, holder: str, *ids: str) -> dict:
    return {"holder": holder, "claims": [{"id": one, "source": source["id"], "kind": "readers", "amount": 1} for one in ids]}


def test_of_many_that_ask_at_once_as_many_are_granted_as_there_is_room_for(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 3})
    asks = [_ask(source, "dreq_1", "a", "b"), _ask(source, "dreq_2", "c", "d"), _ask(source, "dreq_3", "e")]
    answers = claims.claim_all(catalogue.uses, asks, 60)
    assert answers[0] is None and answers[2] is None, "the third fits where the second does not"
    assert answers[1]["code"] == "source.no_capacity" and answers[1]["extra"]["kind"] == "readers"
    assert catalogue.used(source)["readers"] == 3
    assert [answer and answer["code"] for answer in claims.claim_all(catalogue.uses, asks, 60)] == [None, "source.no_capacity", None]
    assert catalogue.used(source)["readers"] == 3, "the same again is the same"


def test_where_anybody_waits_nobody_is_granted_room_beside_the_line(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 2})
    catalogue.claim(source, "a", "b")
    with pytest.raises(NoCapacity):
        claims.claim(catalogue.uses, _ask(source, "dreq_9", "w")["claims"], "dreq_9", wait=True)
    claims.release(catalogue.uses, ids=["a"])
    assert claims.claim_all(catalogue.uses, [_ask(source, "dreq_2", "c")]) == [{}]
    assert catalogue.used(source)["readers"] == 1


def test_of_claims_that_are_wrong_in_another_way_claim_is_to_be_asked(catalogue: Catalogue) -> None:
    source, gone = catalogue.source(capacity={"readers": 2}), {"id": "dsrc_01M87HEZH066AESBS7QVCT04P4"}
    assert claims.claim_all(catalogue.uses, [_ask(gone, "dreq_1", "a"), _ask(source, "dreq_2", "b")]) == [{}, None]


def test_room_whose_time_is_over_is_given_to_those_who_ask_together(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    claims.claim(catalogue.uses, _ask(source, "dreq_1", "a")["claims"], "dreq_1", ttl_s=0)
    assert claims.claim_all(catalogue.uses, [_ask(source, "dreq_2", "b")], 60) == [None]


RACES, CLIENTS, EACH, ROOM = 5, 8, 25, 50


def test_of_200_claims_of_eight_clients_exactly_as_many_are_granted_as_there_is_room_for(catalogue: Catalogue) -> None:
    for number in range(RACES):
        source = catalogue.source(f"tight-{number}", capacity={"readers": ROOM})
        granted: list[str] = []
        start = threading.Barrier(CLIENTS)

        def client(at: int, source: dict = source, granted: list[str] = granted, start: threading.Barrier = start) -> None:
            start.wait()
            for one in range(EACH):
                try:
                    catalogue.claim(source, f"{source['name']}-{at}-{one}", holder=f"{source['name']}-{at}-{one}")
                except NoCapacity as refusal:
                    assert refusal.extra["free"] == 0 and refusal.extra["wanted"] == 1
                else:
                    granted.append(f"{at}-{one}")
        threads = [threading.Thread(target=client, args=(at,)) for at in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert len(granted) == len(set(granted)) == ROOM == catalogue.used(source)["readers"]


def test_claims_that_are_asked_for_at_once_share_a_transaction_and_fail_alone(catalogue: Catalogue) -> None:
    source, sizes = catalogue.source(capacity={"readers": 9}), []
    began, go_on = threading.Event(), threading.Event()

    def held(asks: list[claims.Ask]) -> list:
        sizes.append(len(asks))
        if not began.is_set():
            began.set()
            go_on.wait(120)
        return claims.grant(catalogue.db, asks)
    group = GroupCommit(held)
    catalogue.uses.parts = {**catalogue.uses.parts, "claims": group}
    answers: dict[str, object] = {}

    def ask(name: str, **more: object) -> None:
        try:
            answers[name] = catalogue.claim(more.pop("source", source), name.partition("-")[0], **more)
        except EdgemereError as error:
            answers[name] = error
    asked = {"a": {}, "b": {"holder": "dreq_2"}, "b-again": {"holder": "dreq_2"}, "b-of-another": {"holder": "dreq_3"}, "c": {"amount": 9},
             "d": {"amount": 10}, "e": {"source": {"id": "dsrc_01M87HEZH066AESBS7QVCT04P4"}}, "f": {"holder": "dreq_4", "ttl_s": 60}}
    threads = [threading.Thread(target=ask, args=(name,), kwargs=more) for name, more in asked.items()]
    threads[0].start()
    assert began.wait(120)
    for at, thread in enumerate(threads[1:], 1):
        thread.start()
        while len(group._waiting) < at:
            time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join(120)
    assert sizes == [1, 7]
    assert answers["a"] == answers["b"] == answers["b-again"] == answers["f"] == {"claimed": 1}
    assert isinstance(answers["b-of-another"], Invalid) and isinstance(answers["e"], NotFound)
    assert answers["c"].extra["free"] == 7 and answers["d"].extra["never"] is True  # type: ignore[attr-defined]
    assert catalogue.used(source)["readers"] == 3
    with catalogue.db.reading() as connection:
        assert {row.id: bool(row.expires_at) for row in connection.execute(models.claim_table.select())} == {"a": False, "b": False, "f": True}
