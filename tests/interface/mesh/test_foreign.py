"""Programs that have not a line of this product: plain Nameko calls every row of the table, a bare AMQP client listens and tells.

On the mesh of many processes, with RabbitMQ and PostgreSQL. What is called comes from the table and its examples.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import kombu
import pytest

from shared.contracts.table import ACTIONS, BY_RPC, ERRORS
from tests.support.awaiting import until
from tests.support.reaper import end_group, reaper
from tests.support.supervised import SupervisedMesh

EXCHANGE = "edgemere.events"
# First what the others need, last what takes it away; in between the table's own order.
FIRST = ("catalog.datasource_create", "catalog.datasource_simulate", "catalog.data_create", "requests.datareference_create",
         "requests.create", "reservations.reserve", "reservations.evaluate", "instances.create")
LAST = ("reservations.confirm", "reservations.free", "instances.destroy", "instances.undo", "requests.complete", "requests.retry",
        "requests.cancel", "requests.destroy", "requests.datareference_destroy", "catalog.data_destroy", "catalog.datasource_suspend",
        "catalog.datasource_resume", "catalog.datasource_shutdown", "catalog.datasource_reap", "catalog.datasource_destroy")
# What the world of the examples cannot do, and the refusals that say so.
MAY_BE_REFUSED = {
    "instances.retry": "Conflict", "requests.retry": "Conflict", "requests.fulfill": "Conflict", "requests.cancel": "Conflict",
    "reservations.confirm": "Conflict", "reservations.free": "Conflict", "events.operation_cancel": "Conflict",
    "events.dead_replay": "NotFound", "events.person_remove": "NotFound", "catalog.data_destroy": "Conflict", "catalog.datasource_destroy": "Conflict",
    "catalog.datasource_reap": None, "requests.datareference_destroy": "Conflict", "instances.undo": "Conflict",
    "instances.content": "Invalid", "instances.renew": "Conflict", "requests.plan": None, "requests.destroy": "Conflict", "catalog.datasource_scan": "Conflict",
    # The scan before it may not be over.
    "catalog.datasource_audit": "Conflict",
}


@pytest.fixture(scope="module")
def mesh(shared_production_mesh: SupervisedMesh) -> SupervisedMesh:
    return shared_production_mesh


class Foreigner:
    """The program of ``foreign_nameko.py``, in a process that cannot find our code."""

    def __init__(self, uri: str, folder: Path) -> None:
        script = folder / "foreign_nameko.py"
        script.write_bytes(Path(__file__).with_name("foreign_nameko.py").read_bytes())
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("EDGEMERE", "PYTHON"))}
        self.process = subprocess.Popen([sys.executable, "-W", "ignore", str(script), uri], cwd=folder, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        reaper.watch_group(self.process.pid)
        self.heard: Queue[Any] = Queue()
        self._answers: Queue[Any] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._answers.get(timeout=120) == {"ready": True}

    def call(self, rpc: str, **parameters: Any) -> dict[str, Any]:
        self.process.stdin.write(json.dumps({"rpc": rpc, "parameters": parameters}) + "\n")
        self.process.stdin.flush()
        return self._answers.get(timeout=120)

    def stop(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            pass
        end_group(self.process.pid)
        self.process.wait()
        reaper.forget_group(self.process.pid)

    def _read(self) -> None:
        for line in self.process.stdout:
            said = json.loads(line)
            (self.heard if "heard" in said else self._answers).put(said.get("heard", said))


@pytest.fixture(scope="module")
def foreigner(mesh: SupervisedMesh, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreigner]:
    foreigner = Foreigner(mesh.amqp_uri, tmp_path_factory.mktemp("foreign"))
    yield foreigner
    foreigner.stop()


def calls_in_order() -> list[str]:
    between = [row.rpc for row in ACTIONS.values() if row.rpc not in (*FIRST, *LAST)]
    return [*FIRST, *between, *LAST]


def test_plain_nameko_calls_every_row_of_the_contract(foreigner, tmp_path):
    order = calls_in_order()
    assert sorted(order) == sorted(BY_RPC), "every row is called, and nothing that is none"
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "a.nii").write_text("bytes")
    made: dict[str, str] = {}
    wrong: list[str] = []
    for rpc in order:
        row = BY_RPC[rpc]
        answer = foreigner.call(rpc, **_parameters(rpc, made, tmp_path))
        if rpc == "catalog.datasource_simulate":
            # An RPC answers at its commit; only the gateway waits.
            until(lambda: foreigner.call("catalog.query", expression="filetypes:csv")["result"]["total"] == 3)
        if rpc == "catalog.datasource_scan":
            until(lambda: (foreigner.call("catalog.datasource_show", id="lab")["result"].get("scan") or {}).get("state") != "running")
        if rpc == "reservations.evaluate":
            until(lambda: foreigner.call("requests.show", id="scans")["result"]["state"] == "Satisfied")
        if rpc == "instances.create":
            until(lambda: foreigner.call("requests.datareference_show", id="training")["result"]["state"] == "Provisioned")
        result = answer.get("result")
        if isinstance(result, dict):
            _note(made, row, result)
        if "result" in answer:
            if row.answer == "page" and not {"items", "next", "total"} <= set(result):
                wrong.append(f"{rpc} answers no page: {result}")
            continue
        refusal, code = str(answer.get("error", "")), str(answer.get("error", "")).split(":")[0]
        expected = MAY_BE_REFUSED.get(rpc, "") if row.built else "NotYet"
        if code not in ERRORS or code == "internal" or expected == "" or expected and answer["kind"] != expected:
            wrong.append(f"{rpc}: {answer.get('kind')} {refusal or answer}")
    assert not wrong, "\n".join(wrong)
    assert foreigner.heard.get(timeout=120)["obj"]["state"] == "Satisfied"


def test_what_is_wrong_with_a_foreign_call_is_said_by_code(foreigner):
    assert foreigner.call("requests.show", id="nobody")["error"].startswith("datarequest.not_found: ")
    assert foreigner.call("requests.show", idd="nobody")["error"].startswith("parameter.unknown: ")
    assert foreigner.call("catalog.query", expression={"owner": {"$regx": "a"}})["error"].startswith("query.")


def test_a_bare_amqp_client_listens_and_sends_the_three_handled_messages(mesh, foreigner, tmp_path):
    for number in range(3):
        foreigner.call("catalog.data_create", source="archive", path=f"bare/{number}.nii", size=1, tags={"bare": "yes"})
    with kombu.Connection(mesh.amqp_uri) as connection, connection.channel() as channel:
        heard: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        queue = kombu.Queue("", kombu.Exchange(EXCHANGE, "topic", durable=True, no_declare=True), routing_key="#", exclusive=True, auto_delete=True)
        with kombu.Consumer(channel, [queue], no_ack=True, accept=["json"],
                            callbacks=[lambda body, message: heard.append((message.delivery_info["routing_key"], body, message.headers))]):
            def send(name: str, obj: Any) -> None:
                kombu.Producer(channel).publish(json.dumps({"obj": obj}), exchange=EXCHANGE, routing_key=name,
                                                content_type="application/json", content_encoding="utf-8")

            def wait_for(event: str, **wanted: Any) -> dict[str, Any]:
                deadline = time.monotonic() + 120
                while time.monotonic() < deadline:
                    for key, body, _ in heard:
                        if key == event and all(body["obj"].get(member) == value for member, value in wanted.items()):
                            return body["obj"]
                    try:
                        connection.drain_events(timeout=1)
                    except TimeoutError:
                        connection.heartbeat_check()
                raise AssertionError(f"nothing said {event} {wanted}; heard {sorted({key for key, _, _ in heard})}")

            # A request object, and nothing else: it is made, and goes all the way.
            # What a newer program says besides is left out.
            send("datarequest.needed", {"name": "by-message", "query": "bare:yes", "of_the_future": {"a": 1}})
            assert wait_for("datarequest.satisfied", name="by-message")["instances"]["count"] == 3
            # A reference, inline; then by its name.
            send("datareference.provisioning", {"name": "ref-by-message", "query": "bare:yes"})
            wait_for("datareference.provisioned", name="ref-by-message")
            # One that waits for its evaluation, by its name.
            foreigner.call("requests.create", name="half-way", query="bare:yes", fulfill=False)
            foreigner.call("reservations.reserve", request="half-way")
            send("datarequest.selected", "half-way")
            wait_for("datarequest.satisfied", name="half-way")
        versions = [body["obj"]["version"] for key, body, _ in heard
                    if isinstance(body["obj"], dict) and body["obj"].get("name") == "by-message" and "id" in body["obj"]]
        assert versions == sorted(versions) and len(versions) >= 4
        assert {headers["cloudEvents_specversion"] for key, _, headers in heard if "cloudEvents_id" in headers} == {"1.0"}


def _parameters(rpc: str, made: dict[str, str], folder: Path) -> dict[str, Any]:
    row = BY_RPC[rpc]
    given = json.loads(json.dumps(dict(row.example)))
    if rpc == "catalog.datasource_create":
        given["parameters"] = {"rootdir": str(folder / "lab")}
    if rpc == "instances.create":
        given["dataref"] = made["datareference"]
    if rpc == "catalog.datasource_simulate":
        # What the examples ask for.
        given["listing"] = {f"tables/{number}.csv": {"type": "file", "size": 10, "tags": {"owner": "darren", "filetypes": "csv"}} for number in range(3)}
    if rpc in ("events.operation_show", "events.operation_cancel", "events.dead_replay", "reservations.show", "reservations.confirm",
               "reservations.free", "catalog.data_show", "catalog.data_destroy"):
        given["id"] = made.get(row.noun, given["id"])
    return given


def _note(made: dict[str, str], row: Any, result: dict[str, Any]) -> None:
    """Remember one object of each class, to be named where an example has but a mark for its id."""
    objects = [result, *(result.get("items") or [])]
    for one in objects:
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            made.setdefault(row.noun, one["id"])
