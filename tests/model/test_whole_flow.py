"""Any order of what users may do, on a running mesh: no net is left, no promise broken, and the outcome is the one foreseen.

One server serves all examples; each has a folder, sources and names of its own. ``EDGEMERE_MODEL_SEED`` starts elsewhere.
"""
from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.model.instance_rules import InstanceRules
from tests.model.steps import WHICH, Found, guarded, one_of, play, rule
from tests.support.calling import Answer, Caller, at_rest
from tests.support.nets_of_contract import NETS
from tests.support.servers import EdgemereServer

LETTERS = "abcd"
READERS, ROOM = 6, 4000
LONG_S = 60
OPEN = ("Init", "Needed", "Selected", "Evaluated")
EVENT_OF = {"fulfill": "fulfill", "cancel": "failed", "retry": "retry", "complete": "complete", "provision": "provision",
            "suspend": "suspend", "resume": "resume"}
REQUEST_MOVES = ("fulfill", "reserve", "evaluate", "cancel", "retry", "complete", "destroy")
SOURCES = ("lab", "attic", "archive", "target")


class WholeFlow(InstanceRules):
    """Two folders, a simulated source and a target with little room; a model of what the catalogue knows of them."""

    server: EdgemereServer
    touched: set[Path]
    examples = 0

    @initialize(sizes=st.lists(st.integers(0, 1500), min_size=2, max_size=4))
    def begin(self, sizes: list[int]) -> None:
        type(self).examples += 1
        self.tag = f"w{self.examples}"
        self.home = self.server.data.parent / self.tag
        self.caller = Caller(self.server.port)
        self.states = dict.fromkeys(SOURCES, "Ready")
        self.known: dict[str, dict[str, bytes | None]] = {name: {} for name in SOURCES}
        self.requests: list[str] = []
        self.references: list[str] = []
        self.asked = 0
        for name in ("lab", "attic", "target"):
            (self.home / name).mkdir(parents=True)
        for name, step in (("lab", 1), ("attic", 2)):
            for letter, size in zip(LETTERS, sizes):
                self.known[name][letter] = letter.encode() * size * step
                self.file(name, letter).write_bytes(self.known[name][letter])
            self.made(self.caller.call("fmdm datasource create", patience_s=LONG_S, name=f"{self.tag}-{name}", adaptor="file",
                                       parameters={"rootdir": str(self.home / name)}, capacity={"readers": READERS}))
        self.made(self.caller.call("fmdm datasource create", patience_s=LONG_S, name=f"{self.tag}-target", adaptor="file",
                                   parameters={"rootdir": str(self.home / "target"), "writable": True}, capacity={"bytes": ROOM}))
        self.made(self.caller.call("fmdm datasource simulate", patience_s=LONG_S, name=f"{self.tag}-archive", listing={
            f"{self.tag}-{letter}.nii": {"size": 10} for letter in LETTERS[:3]}))
        self.known["archive"] = dict.fromkeys(LETTERS[:3])

    def file(self, source: str, letter: str) -> Path:
        return self.home / source / f"{self.tag}-{letter}.csv"

    @staticmethod
    def made(answer: Answer) -> Answer:
        assert answer.status in (200, 201, 202), answer
        return answer

    def rest(self) -> None:
        found = at_rest(self.caller, self.server.data, touched=self.touched)
        assert not found, found

    # --- files come, change and go

    @rule(source=st.sampled_from(["lab", "attic"]), letter=st.sampled_from(LETTERS), size=st.integers(0, 1500))
    def write_a_file(self, source: str, letter: str, size: int) -> None:
        self.touched.add(self.file(source, letter))
        self.file(source, letter).write_bytes(os.urandom(size))

    @rule(source=st.sampled_from(["lab", "attic"]), letter=st.sampled_from(LETTERS))
    def remove_a_file(self, source: str, letter: str) -> None:
        self.touched.add(self.file(source, letter))
        self.file(source, letter).unlink(missing_ok=True)

    @rule(source=st.sampled_from(["lab", "attic"]))
    def scan(self, source: str) -> None:
        answer = self.caller.call("fmdm datasource scan", patience_s=LONG_S, id=f"{self.tag}-{source}")
        if self.states[source] == "Ready":
            assert answer.status == 200 and answer["scan"]["state"] == "done", answer
            self.known[source] = self.on_disk(source)
        else:
            assert answer.status == 409, answer

    def on_disk(self, source: str) -> dict[str, bytes | None]:
        return {letter: self.file(source, letter).read_bytes() for letter in LETTERS if self.file(source, letter).exists()}

    @rule(source=st.sampled_from(["lab", "archive", "target"]), move=st.sampled_from(["suspend", "resume"]))
    def move_a_source(self, source: str, move: str) -> None:
        answer = self.caller.call(f"fmdm datasource {move}", id=f"{self.tag}-{source}")
        legal = NETS["datasource"][self.states[source]]
        assert (answer.status == 200) == (move in legal), answer
        if answer.status == 200:
            self.states[source] = legal[move]
        else:
            self.refused("datasource", move, answer)

    # --- requests

    def wish(self, pattern: str, more: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        wish = {"name": f"{self.tag}-ask{self.asked}", "query": pattern.format(tag=self.tag), **more}
        if wish.get("action") == "copy":
            wish["target"] = f"{self.tag}-target"
        self.requests.append(wish["name"])
        return wish

    PATTERNS = st.sampled_from(["name:{tag}-*.csv", "source:{tag}-lab", "source:{tag}-attic", "name:{tag}-a.*", "source:{tag}-archive",
                                "name:{tag}-*", "name:{tag}-b.csv size>100", "name:{tag}-z.csv"])
    MORE = st.fixed_dictionaries({}, optional={
        "action": st.sampled_from(["copy", "leave"]), "granularity": st.sampled_from(["data", "source"]), "wait": st.just(True),
        "deadline": st.sampled_from(["PT1S", "PT1H"]), "lifetime": st.sampled_from(["2s", "1h"]),
        "select": st.sampled_from([{"mode": "first", "count": 2}, {"mode": "best", "count": 1}, {"minimum": 3}])})

    @rule(pattern=PATTERNS, more=MORE, fulfill=st.sampled_from([True, True, False]), patience_s=st.sampled_from([0, 0, 5]))
    def ask(self, pattern: str, more: dict[str, Any], fulfill: bool, patience_s: int) -> None:
        answer = self.made(self.caller.call("datarequest create", patience_s=patience_s, fulfill=fulfill, **self.wish(pattern, more)))
        assert (answer["state"] == "Init") == (not fulfill), answer

    @rule(pattern=PATTERNS, how=st.sampled_from(["reserve", "evaluate"]))
    def ask_inline(self, pattern: str, how: str) -> None:
        self.made(self.caller.call(how, request=self.wish(pattern, {})))

    @rule(pattern=PATTERNS, action=st.sampled_from(["leave", "copy"]), granularity=st.sampled_from(["data", "source"]))
    def ask_at_rest_and_get_what_was_foreseen(self, pattern: str, action: str, granularity: str) -> None:
        self.rest()
        matching = {(source, letter) for source, letters in self.known.items() if self.states[source] == "Ready"
                    for letter in letters if self.matches(pattern, source, letter)}
        foreseen = self.foresee(matching, action)
        answer = self.made(self.caller.call("datarequest create", patience_s=LONG_S, **self.wish(
            pattern, {"action": action, "granularity": granularity})))
        got = answer["state"], (answer["reason"] or {}).get("code")
        assert foreseen is None or got == foreseen, (pattern, action, foreseen, answer)
        if answer["state"] == "Satisfied":
            entries = [entry for instance in self.caller.pages("datainstance list", request=answer["id"]) for entry in instance["access"]]
            assert len(entries) == len(matching) and all(entry["state"] == "ready" for entry in entries), (matching, entries)

    def matches(self, pattern: str, source: str, letter: str) -> bool:
        query = pattern.format(tag=self.tag).split()[0]
        if query.startswith("source:"):
            return query == f"source:{self.tag}-{source}"
        name = f"{self.tag}-{letter}" + (".nii" if source == "archive" else ".csv")
        of = query.removeprefix("name:")
        matched = name == of or ("*" in of and name.startswith(of.split("*")[0]) and name.endswith(of.split("*")[1]))
        return matched and (" size>100" not in pattern or len(self.known[source][letter] or b"") > 100)

    def foresee(self, matching: set[tuple[str, str]], action: str) -> tuple[str, str | None] | None:
        if not matching:
            return "Failed", "no_match"
        for source in {source for source, _ in matching}:
            used = self.caller.ask("fmdm datasource show", id=f"{self.tag}-{source}")["used"]["readers"]
            if source != "archive" and used + sum(of == source for of, _ in matching) > READERS:
                return "Failed", "no_capacity"
        if action == "copy":
            if any(source == "archive" for source, _ in matching):
                return None
            if self.states["target"] != "Ready":
                return "Failed", "source_unavailable"
            used = self.caller.ask("fmdm datasource show", id=f"{self.tag}-target")["used"]["bytes"]
            if used + sum(len(self.known[source][letter] or b"") for source, letter in matching) > ROOM:
                return "Failed", "no_capacity"
        if any(source != "archive" and self.on_disk(source).get(letter) != self.known[source][letter] for source, letter in matching):
            return "Failed", "provision_failed"
        return "Satisfied", None

    def refused(self, noun: str, move: str, answer: Answer) -> None:
        """A refusal names the legal moves, and the one that was refused is none of them."""
        assert answer.status == 409, (move, answer)
        if answer["code"] == f"{noun}.illegal_move":
            legal = NETS[noun][answer["state"]]
            assert {way["event"]: way["to"] for way in answer["legal"]} == legal, answer
            assert EVENT_OF.get(move) not in legal, (move, answer)

    def move_request(self, caller: Caller, name: str, move: str) -> None:
        if move in ("reserve", "evaluate"):
            answer = caller.call(move, request=name)
            past = ("Selected", "Evaluated", "Satisfied", "Completed", "Failed")
            # Somebody else's step, or a wait, may leave it where it is.
            assert answer.status != 200 or answer["state"] in past or answer["blocked_by"] or self.crowded, answer
        else:
            answer = caller.call(f"datarequest {move}", id=name)
        if answer.status != 200:
            assert answer.status == 409 or (answer.status == 404 and name in self.destroyed | self.going), answer
            if answer.status == 409:
                self.refused("datarequest", move, answer)
        elif move == "destroy":
            self.destroyed.add(name)
        elif move == "cancel":
            assert answer["state"] == "Failed" and answer["reason"]["code"] == "cancelled", answer

    crowded = False
    # Of the requests that are moved from several sides, the ones that somebody destroys: gone before whoever destroyed has heard so.
    going: frozenset[str] = frozenset()

    @property
    def destroyed(self) -> set[str]:
        return self.__dict__.setdefault("gone", set())

    @rule(which=WHICH, move=st.sampled_from(REQUEST_MOVES))
    def move_a_request(self, which: int, move: str) -> None:
        for name in one_of(self.requests, which):
            self.move_request(self.caller, name, move)

    @rule(which=WHICH, moves=st.lists(st.sampled_from(REQUEST_MOVES), min_size=2, max_size=4))
    def move_a_request_from_several_sides(self, which: int, moves: list[str]) -> None:
        self.crowded = True
        for name in one_of(self.requests, which):
            self.going = frozenset({name}) if "destroy" in moves else frozenset()
            self.at_once([lambda caller, move=move, name=name: self.move_request(caller, name, move) for move in moves])
        self.crowded, self.going = False, frozenset()

    def at_once(self, works: list[Any]) -> None:
        failures: list[BaseException] = []

        def run(work: Any) -> None:
            caller = Caller(self.server.port)
            try:
                work(caller)
            except BaseException as error:
                failures.append(error)
            finally:
                caller.close()
        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    # --- instances and reservations

    def live(self, noun: str, **of: Any) -> list[dict[str, Any]]:
        found = [item for name in self.requests if name not in self.destroyed for item in self.caller.pages(f"{noun} list", request=name, **of)]
        return sorted(found, key=lambda item: item["id"])

    @rule(which=WHICH, move=st.sampled_from(["free", "confirm"]))
    def move_a_reservation(self, which: int, move: str) -> None:
        for one in one_of(self.live("datareservation"), which):
            answer = self.caller.call(f"datareservation {move}", id=one["id"])
            assert answer.status in (200, 409) or (answer.status == 404 and self.destroyed), answer
            if answer.status == 409:
                self.refused("datareservation", move, answer)

    # --- references

    @rule(pattern=PATTERNS, inline=st.booleans(), patience_s=st.sampled_from([0, 5]))
    def use_a_reference(self, pattern: str, inline: bool, patience_s: int) -> None:
        self.asked += 1
        given: dict[str, Any] = {"name": f"{self.tag}-ref{self.asked}", "query": pattern.format(tag=self.tag)}
        self.references.append(given["name"])
        if not inline:
            self.made(self.caller.call("datareference create", **given))
        answer = self.made(self.caller.call("datainstance create", patience_s=patience_s, dataref=given if inline else given["name"]))
        self.requests.append(answer["request"]["name"])
        again = self.made(self.caller.call("datainstance create", patience_s=0, dataref=given))
        if answer["reference"]["state"] != "FailedProvision" and again["request"]["id"] != answer["request"]["id"]:
            self.requests.append(again["request"]["name"])

    @rule(which=WHICH, move=st.sampled_from(["provision", "destroy"]))
    def move_a_reference(self, which: int, move: str) -> None:
        for name in one_of(self.references, which):
            answer = self.caller.call(f"datareference {move}", id=name)
            assert answer.status in (200, 202, 404, 409), answer
            if answer.status == 409:
                self.refused("datareference", move, answer)
            elif move == "provision" and answer.status != 404:
                self.requests.append(answer["request"]["name"])

    # --- the end of an example

    def teardown(self) -> None:
        if hasattr(self, "caller") and not isinstance(sys.exc_info()[1], Found):
            guarded(WholeFlow.end)(self)

    def end(self) -> None:
        try:
            for source in ("lab", "attic"):
                if self.states[source] == "Ready":
                    self.scan(source=source)
            self.rest()
            self.what_lies_at_ready_sources_is_there()
            self.everything_can_be_given_back()
        finally:
            self.caller.close()
            shutil.rmtree(self.home, ignore_errors=True)

    def what_lies_at_ready_sources_is_there(self) -> None:
        for instance in self.caller.pages("datainstance list", state="Ready"):
            for entry in instance["access"]:
                path = Path(entry["path"] or "")
                if entry["action"] == "leave" and entry["verified"] != "simulated" and self.states[path.parent.name] == "Ready":
                    assert path.stat().st_size == entry["size"], entry

    def everything_can_be_given_back(self) -> None:
        """Nothing is left claimed and nothing stands in the way of removing what was made."""
        for row in list(self.caller.pages("datainstance list", limit=200)):
            if row["pinned"]:
                self.made(self.caller.call("datainstance unpin", id=row["id"]))
        for row in list(self.caller.pages("datarequest list", limit=200)):
            if row["state"] in OPEN:
                assert self.caller.call("datarequest cancel", id=row["id"]).status in (200, 409)
            if row["state"] == "Satisfied":
                assert self.caller.call("datarequest complete", id=row["id"]).status in (200, 409)
        self.rest()
        for row in list(self.caller.pages("datarequest list", limit=200)):
            if row["state"] == "Satisfied":
                self.made(self.caller.call("datarequest complete", id=row["id"]))
        self.rest()
        for row in list(self.caller.pages("datainstance list", limit=200)):
            # It came back, or was pinned, and outlives its request.
            self.made(self.caller.call("datainstance destroy", attr1=row["id"]))
        self.rest()
        for noun in ("datareference", "datarequest"):
            for row in list(self.caller.pages(f"{noun} list", limit=200)):
                self.made(self.caller.call(f"{noun} destroy", id=row["id"]))
        self.rest()
        for row in list(self.caller.pages("fmdm datasource list")):
            assert not row["used"]["readers"] and not row["used"]["bytes"], row
            self.made(self.caller.call("fmdm datasource destroy", id=row["id"]))
        self.rest()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EdgemereServer(tmp_path_factory.mktemp("whole-flow")) as started:
        yield started


def run_examples(server: EdgemereServer, examples: int, steps: int) -> None:
    WholeFlow.server, WholeFlow.touched = server, set()
    play(WholeFlow, int(os.environ.get("EDGEMERE_MODEL_SEED", "1")), examples, steps)


def test_any_order_of_commands_keeps_every_promise(server):
    run_examples(server, examples=8, steps=25)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_orders_of_commands_keep_every_promise(server):
    run_examples(server, examples=60, steps=50)


# --- what these examples have found

@pytest.fixture
def caller(server):
    made = Caller(server.port)
    yield made
    made.close()


def test_a_destroyed_reference_stays_destroyed_when_its_request_is_tried_again(server, caller):
    made = caller.call("datainstance create", patience_s=LONG_S, dataref={"name": "found-ref", "query": "name:found-nothing"})
    assert made["reference"]["state"] == "FailedProvision", made
    assert caller.call("datareference destroy", id="found-ref").status == 200
    assert caller.call("datarequest retry", patience_s=LONG_S, id=made["request"]["id"])["state"] == "Failed"
    found = at_rest(caller, server.data)
    assert not found, found


def test_what_is_left_in_init_is_answered_at_once_however_long_somebody_would_wait(caller):
    begun = time.monotonic()
    made = caller.call("datarequest create", patience_s=LONG_S, name="found-init", query="name:found-nothing", fulfill=False)
    assert (made.status, made["state"]) == (201, "Init") and time.monotonic() - begun < LONG_S / 2
