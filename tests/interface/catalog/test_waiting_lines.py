"""Room at a full source is given in the order in which it was asked for, and is never lost nor given twice."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.catalog import claims
from shared.kernel.errors import NoCapacity
from shared.kernel.ids import derived_id
from tests.interface.catalog.world import Catalogue
from tests.support.answering import Answering
from tests.support.servers import project_environment

REQUEST = "dreq_01M87HEZH066AESBS7QVCT04P4"


def ask(catalogue: Catalogue, source: Any, holder: str, amount: int = 1) -> dict[str, Any] | None:
    """Claim and wait; None when it was granted, else what the refusal says."""
    try:
        claims.claim(catalogue.uses, [{"id": f"{holder}.{n}", "source": source["id"]} for n in range(amount)], holder, None, True)
    except NoCapacity as refusal:
        return refusal.extra
    return None


def woken(catalogue: Catalogue) -> list[list[str]]:
    return [message["obj"]["wake"] for message in catalogue.messages("capacity.freed")]


def patient(catalogue: Catalogue, seconds: float) -> None:
    """Smaller claims may pass for so long."""
    object.__setattr__(catalogue.config.reservations, "backfill_s", seconds)


def test_room_that_comes_free_is_for_the_first_in_line_alone(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    assert ask(catalogue, source, "holds") is None
    assert ask(catalogue, source, "first")["line"]["position"] == 1
    second = ask(catalogue, source, "second")["line"]
    assert (second["position"], second["ahead"]) == (2, ["first"])
    catalogue.messages()
    claims.release(catalogue.uses, holder="holds")
    assert woken(catalogue) == [["first"]]
    # A newcomer does not take what is kept for the first, whether it would wait or not.
    with pytest.raises(NoCapacity, match="keeps its room"):
        catalogue.claim(source, "n", holder="newcomer")
    assert ask(catalogue, source, "second") is not None
    assert ask(catalogue, source, "first") is None
    assert claims.line(catalogue.uses, "first") == [] and claims.line(catalogue.uses, "second")[0]["position"] == 1


def test_small_claims_fill_room_that_is_too_small_for_the_first_only_until_it_has_waited_long_enough(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 4})
    assert ask(catalogue, source, "holds", 3) is None
    assert ask(catalogue, source, "large", 3) is not None
    assert ask(catalogue, source, "small") is None
    claims.release(catalogue.uses, holder="small")
    patient(catalogue, 0)
    assert "keeps its room" in str(pytest.raises(NoCapacity, catalogue.claim, source, "x", holder="another").value)
    catalogue.messages()
    claims.release(catalogue.uses, holder="holds")
    assert woken(catalogue) == [["large"]]
    assert ask(catalogue, source, "large", 3) is None
    assert ask(catalogue, source, "another") is None


def test_two_that_wait_for_two_sources_never_wait_for_each_other(catalogue: Catalogue) -> None:
    patient(catalogue, 0)
    one, two = (catalogue.source(name, capacity={"readers": 1}) for name in ("one", "two"))

    def both(holder: str, *sources: Any) -> bool:
        try:
            claims.claim(catalogue.uses, [{"id": f"{holder}.{source['id']}", "source": source["id"]} for source in sources], holder, None, True)
        except NoCapacity:
            return False
        return True

    assert both("holds", one, two)
    assert not both("older", one, two) and not both("younger", two, one)
    claims.release(catalogue.uses, holder="holds")
    assert not both("younger", two, one)
    assert both("older", one, two)
    claims.release(catalogue.uses, holder="older")
    assert both("younger", two, one)


def test_who_leaves_the_line_lets_the_next_one_go(catalogue: Catalogue) -> None:
    patient(catalogue, 0)
    source = catalogue.source(capacity={"readers": 2})
    assert ask(catalogue, source, "holds") is None
    assert ask(catalogue, source, "large", 2) is not None and ask(catalogue, source, "small") is not None
    catalogue.messages()
    claims.release(catalogue.uses, holder="large")
    assert woken(catalogue) == [["small"]]
    assert ask(catalogue, source, "small") is None


def test_what_a_source_could_never_hold_does_not_wait(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 2})
    refusal = ask(catalogue, source, "huge", 3)
    assert refusal["never"] is True and "line" not in refusal
    assert claims.line(catalogue.uses, "huge") == []


def test_the_estimate_comes_from_how_long_claims_were_held(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 1})
    began = time.monotonic()
    assert ask(catalogue, source, "holds") is None
    assert ask(catalogue, source, "first")["line"]["estimate_s"] is None
    time.sleep(0.3)
    claims.release(catalogue.uses, holder="holds")
    held_s = time.monotonic() - began
    assert ask(catalogue, source, "first") is None
    assert 0 < ask(catalogue, source, "second")["line"]["estimate_s"] <= held_s + 0.1
    later = ask(catalogue, source, "third")["line"]["estimate_s"]
    assert later > claims.line(catalogue.uses, "second")[0]["estimate_s"]


def test_a_claim_whose_reservation_still_stands_outlives_its_end(catalogue: Catalogue) -> None:
    source = catalogue.source(capacity={"readers": 2})
    kept, lost = (derived_id("datareservation", REQUEST, 1, name) for name in ("kept", "lost"))
    catalogue.uses.mesh = Answering(reservations__standing=lambda ids: [one for one in ids if one == kept])
    catalogue.claim(source, f"{kept}.r", f"{lost}.r", holder=REQUEST, ttl_s=0)
    # Room that a lost claim holds is found when somebody needs it, and what is in use stays in use.
    assert ask(catalogue, source, "next") is None
    assert ask(catalogue, source, "after") is not None
    assert catalogue.used(source)["readers"] == 2
    catalogue.uses.mesh = Answering()
    catalogue.claim(catalogue.source("other"), f"{lost}.b", holder=REQUEST, ttl_s=0)
    assert claims.sweep(catalogue.uses) == 0, "a service that does not answer must not cost anybody its claim"


CLIENT = """
import sys
from pathlib import Path
from shared.kernel.errors import NoCapacity, VersionConflict
from tests.interface.catalog.world import Catalogue

url, home, name = sys.argv[1:4]
catalogue = Catalogue(url, Path(home))
print("ready", flush=True)
for line in sys.stdin:
    source = {"id": line.split()[0]}
    granted = 0
    for number in range(25):
        while True:
            try:
                catalogue.claim(source, f"{name}.{number}.{source['id']}", holder=f"{name}.{number}")
                granted += 1
            except NoCapacity:
                pass
            except VersionConflict:
                continue
            break
    print(granted, flush=True)
"""


@pytest.mark.parametrize("races", [3, pytest.param(20, marks=pytest.mark.long)])
def test_two_hundred_claims_from_eight_processes_on_room_for_fifty_are_fifty(
        races: int, fresh_database: Callable[[], str], tmp_path: Path) -> None:
    url = fresh_database()
    first = Catalogue(url, tmp_path / "home")
    environment = project_environment()
    clients = [subprocess.Popen([sys.executable, "-c", CLIENT, url, str(tmp_path / "home"), f"c{number}"], env=environment, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for number in range(8)]
    try:
        assert {client.stdout.readline() for client in clients} == {"ready\n"}
        for race in range(races):
            source = first.source(f"race-{race}", capacity={"readers": 50})
            for client in clients:
                client.stdin.write(source["id"] + "\n")
                client.stdin.flush()
            assert sum(int(client.stdout.readline()) for client in clients) == 50
            assert first.used(source)["readers"] == 50
    finally:
        for client in clients:
            client.stdin.close()
            client.wait(120)
        first.close()
