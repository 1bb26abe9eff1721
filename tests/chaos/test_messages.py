"""Messages that come twice, that mean nothing, and handlers that are slow or fail: nothing doubles, nothing blocks, nothing is lost."""
from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.awaiting import until
from tests.support.calling import Caller, at_rest
from tests.support.servers import EdgemereServer

UNRULY = [sys.executable, str(Path(__file__).with_name("unruly_server.py"))]
HANDLED = ("datarequest.needed", "datarequest.selected", "datareference.provisioning")
BACK_OFF_S = (0.2, 0.4)
PATIENCE_S = 20


class Mesh:
    """An unruly server with a folder ``lab``, a target ``target`` and a simulated ``archive``."""

    def __init__(self, home: Path, twice: bool = False) -> None:
        self.home = home
        for name in ("lab", "target", "post"):
            (home / name).mkdir(parents=True)
        for number in range(5):
            (home / "lab" / f"{number}.csv").write_bytes(os.urandom(1000 * number))
        (home / "config.yaml").write_text(json.dumps({"events": {"retry_backoff_s": BACK_OFF_S}}))
        self.server = EdgemereServer(home / "server", program=UNRULY, environment={
            "EDGEMERE_CHAOS_FOLDER": str(home), "EDGEMERE_CHAOS_TWICE": str(int(twice)), "EDGEMERE_CONFIG": str(home / "config.yaml")})
        self.server.start()
        self.caller = Caller(self.server.port)
        self.call = self.caller.call
        self.sent: list[str] = []
        for name, more in (("lab", {}), ("target", {"writable": True})):
            self.call("fmdm datasource create", patience_s=PATIENCE_S, name=name, adaptor="file",
                      parameters={"rootdir": str(home / name), **more}, capacity={"readers": 500})
        self.call("fmdm datasource simulate", patience_s=PATIENCE_S, name="archive", listing={"a.nii": {"size": 5}, "b.nii": {"size": 6}})

    def stop(self) -> None:
        self.caller.close()
        self.server.stop()

    def unruly(self, **handlers: Any) -> None:
        new = self.home / "unruly.new"
        new.write_text(json.dumps(handlers))
        new.replace(self.home / "unruly.json")

    def calls_of(self, handler: str, name: str) -> list[float]:
        calls = [json.loads(line) for line in (self.home / "calls.txt").read_text().splitlines()]
        return [at for of, named, at in calls if (of, named) == (handler, name)]

    def post(self, key: str, body: bytes) -> None:
        new = self.home / "posted.new"
        new.write_bytes(body)
        new.replace(self.home / "post" / key)
        until(lambda: not (self.home / "post" / key).exists())

    def request(self, name: str, query: str | None = None, **more: Any) -> str:
        answer = self.call("datarequest create", name=name, **({"query": query} if query else {}), **more)
        assert answer.status in (201, 202), answer
        return answer["id"]

    def ended(self, name: str, state: str = "Satisfied") -> dict[str, Any]:
        return until(lambda: (found := self.caller.ask("datarequest show", id=name)).get("state") == state and found)

    def dead(self, **of: Any) -> list[dict[str, Any]]:
        return [letter for letter in self.caller.pages("event dead list", **of) if not letter["replayed_at"]]

    def send(self, event: str, obj: Any) -> str:
        answer = self.call("event send", event=event, obj=obj)
        assert answer.status == 200, answer
        self.sent.append(answer["id"])
        return answer["id"]

    def rest(self) -> None:
        found = at_rest(self.caller, self.server.data, sent=self.sent)
        assert not found, found

    def rows(self) -> dict[str, list[tuple]]:
        """What every object is, and every move that it has made."""
        found = {}
        for service, nouns in (("requests", ("datarequest", "datareference")), ("reservations", ("datareservation",)),
                               ("instances", ("datainstance",)), ("catalog", ("claim",))):
            connection = sqlite3.connect(f"file:{self.server.data / service}.db?mode=ro", uri=True)
            for noun in nouns:
                shown = "id, holder, amount" if noun == "claim" else "id, name, state, version"
                found[noun] = connection.execute(f"SELECT {shown} FROM {noun} ORDER BY id").fetchall()  # noqa: S608
            found[f"moves of {service}"] = connection.execute("SELECT object_id, event, version FROM history ORDER BY seq").fetchall()
            connection.close()
        return found


def a_bit_of_everything(mesh: Mesh, tag: str) -> None:
    mesh.request(f"{tag}-copy", "source:lab", action="copy", target="target")
    mesh.request(f"{tag}-leave", "name:*.csv", granularity="source")
    mesh.request(f"{tag}-simulated", "source:archive")
    mesh.request(f"{tag}-none", "owner:nobody")
    mesh.request(f"{tag}-waits", "owner:nobody", wait=True)
    mesh.request(f"{tag}-init", "source:archive", fulfill=False)
    mesh.call("datainstance create", patience_s=PATIENCE_S, dataref={"name": f"{tag}-ref", "query": "name:*.csv size>1500"})
    mesh.request(f"{tag}-done", "source:lab", action="copy", target="target")
    mesh.ended(f"{tag}-done")
    assert mesh.call("datarequest complete", id=f"{tag}-done").status == 200
    mesh.rest()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    made = Mesh(tmp_path_factory.mktemp("unruly") / "mesh")
    yield made
    made.stop()


def test_every_message_published_twice_does_its_work_once(tmp_path):
    mesh = Mesh(tmp_path / "mesh", twice=True)
    try:
        a_bit_of_everything(mesh, "twice")
        names = {row[1]: row[2] for row in mesh.rows()["datarequest"]}
        assert {name: names[f"twice-{name}"] for name in ("copy", "leave", "simulated", "none", "waits", "init", "done")} == {
            "copy": "Satisfied", "leave": "Satisfied", "simulated": "Satisfied", "none": "Failed", "waits": "Needed", "init": "Init",
            "done": "Completed"}
    finally:
        mesh.stop()


def test_handled_messages_sent_again_later_change_nothing(mesh):
    a_bit_of_everything(mesh, "again")
    mesh.call("datarequest cancel", id="again-waits")
    mesh.rest()
    before = mesh.rows()
    for event in HANDLED:
        for message in list(mesh.caller.pages("event list", event=event, limit=500)):
            of = message["obj"]
            for obj in (of, of["id"], {"id": of["id"], "name": of["name"]}):
                mesh.send(event, obj)
    assert len(mesh.sent) > 20
    mesh.rest()
    assert mesh.rows() == before


def test_messages_of_nothing_are_dead_letters_and_are_handled_when_there_is_something(mesh):
    for event, obj in (("datarequest.needed", "comes-later"), ("datarequest.selected", "comes-later"),
                       ("datareference.provisioning", "also-later"), ("datarequest.needed", "dreq_01JZZZZZZZZZZZZZZZZZZZZZZZ")):
        mesh.send(event, obj)
    malformed = (b"\xff\x00 no text", b"[1, 2]", b'{"obj": ', b"{}", b'{"obj": 7}', b'{"obj": {"id": [1]}}', b'{"obj": ""}')
    for number, body in enumerate(malformed):
        mesh.post("datarequest.needed", body)
        mesh.request(f"beside-{number}", "source:archive")
    for number in range(len(malformed)):
        mesh.ended(f"beside-{number}")
    letters = until(lambda: len(found := mesh.dead()) == 4 + len(malformed) and found)
    assert not [letter for letter in letters if letter["code"] == "internal"], letters
    assert all(letter["reason"] and letter["code"] and letter["queue"] for letter in letters), letters
    unknown = [letter for letter in letters if letter["code"] in ("datarequest.not_found", "datareference.not_found")]
    assert len(unknown) == 4, letters
    mesh.request("comes-later", "source:archive", fulfill=False)
    mesh.call("datareference create", name="also-later", query="source:archive")
    for letter in unknown[:]:
        assert mesh.call("event dead replay", id=letter["id"]).status == 200
    mesh.ended("comes-later")
    until(lambda: mesh.caller.ask("datareference show", id="also-later")["state"] == "Provisioned")
    assert mesh.call("event dead replay", all=True).status == 200
    # What nobody can ever handle dies again, and says why again.
    left = until(lambda: len(found := mesh.dead()) == 1 + len(malformed) and found)
    assert {letter["queue"] for letter in left} == {"reservations.datarequest.needed"}
    rest = [sentence for sentence in at_rest(mesh.caller, mesh.server.data, limit_s=1, sent=mesh.sent) if not sentence.startswith("dead letter")]
    assert not rest, rest


def test_a_foreign_message_makes_a_request_once(mesh):
    mesh.send("datarequest.needed", {"name": "foreign", "query": "source:archive"})
    mesh.ended("foreign")
    assert mesh.call("datainstance list", request="foreign")["total"] == 2
    mesh.send("datareference.provisioning", {"name": "foreign-ref", "query": "source:archive"})
    until(lambda: mesh.caller.ask("datareference show", id="foreign-ref").get("state") == "Provisioned")
    assert mesh.call("datainstance list", reference="foreign-ref")["total"] == 1


def test_a_slow_handler_holds_up_nobody_else(mesh):
    mesh.unruly(on_needed={"slow": "slow-", "slow_s": 3}, on_evaluated={"slow": "slow-", "slow_s": 1})
    for number in range(4):
        mesh.request(f"slow-{number}", "source:archive")
    for number in range(5):
        mesh.request(f"quick-{number}", "source:lab")
    for number in range(5):
        mesh.ended(f"quick-{number}")
    assert mesh.caller.ask("datarequest show", id="slow-3")["state"] == "Needed"
    for number in range(4):
        mesh.ended(f"slow-{number}")
    mesh.unruly()


@pytest.mark.parametrize("handler, stays", [("on_needed", "Needed"), ("on_selected", "Selected"), ("on_evaluated", "Evaluated")])
def test_a_failing_handler_is_tried_again_with_pauses_then_dead_then_replayed(mesh, handler, stays):
    name, queue = f"bad-{stays.lower()}", f".datarequest.{stays.lower()}"
    mesh.unruly(**{handler: {"fail": name}})
    # Of a group the two steps are taken one after the other; of most requests both in one go.
    wanted = {"group": {"all": "source:lab"}} if handler == "on_selected" else {"query": "source:lab"}
    mesh.request(name, **wanted, action="copy", target="target")
    letter, = until(lambda: [letter for letter in mesh.dead() if letter["queue"].endswith(queue) and "wants" in letter["reason"]])
    assert letter["attempts"] == len(BACK_OFF_S) + 1
    calls = mesh.calls_of(handler, name)
    assert len(calls) == len(BACK_OFF_S) + 1
    assert all(after - before >= pause for before, after, pause in zip(calls, calls[1:], BACK_OFF_S))
    assert mesh.caller.ask("datarequest show", id=name)["state"] == stays
    mesh.request(f"beside-{name}", "source:lab")
    mesh.ended(f"beside-{name}")
    mesh.unruly()
    assert mesh.call("event dead replay", id=letter["id"]).status == 200
    assert mesh.ended(name)["instances"]
