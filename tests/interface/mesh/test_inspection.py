"""What a user notices of inspection: what is refused and why, another replica instead, and a scanner that is away."""
from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.awaiting import until
from tests.support.calling import Answer, Caller
from tests.support.clamd import EICAR, FINDING, Clamd
from tests.support.servers import EdgemereServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Lab:
    """A server that scans and judges types, with a target ``desk``."""

    def __init__(self, folder: Path, scanner: Clamd) -> None:
        self.folder, self.scanner = folder, scanner
        settings = folder / "settings.yaml"
        settings.write_text(f"instances: {{copy_retries: 1, inspect: {{types: refuse, scanner: {scanner.unix}}}}}\n")
        self.server = EdgemereServer(folder / "server", environment={"EDGEMERE_CONFIG": str(settings)})
        self.server.start()
        self.caller = Caller(self.server.port)
        self.desk = self.files("desk", writable=True)

    def stop(self) -> None:
        self.caller.close()
        self.server.stop()

    def call(self, words: str, **parameters: Any) -> Answer:
        answer = self.caller.call(words, patience_s=30, **parameters)
        assert answer.status in (200, 201, 202), answer
        return answer

    def files(self, name: str, files: dict[str, bytes] | None = None, cost: dict[str, float] | None = None, **more: Any) -> Path:
        root = self.folder / name
        root.mkdir()
        for path, body in (files or {}).items():
            (root / path).write_bytes(body)
        self.call("fmdm datasource create", name=name, adaptor="file", parameters={"rootdir": str(root), **more}, **({"cost": cost} if cost else {}))
        return root

    def figure(self, outcome: str) -> float:
        with urllib.request.urlopen(f"{self.server.url}/metrics", timeout=120) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f'edgemere_inspections_total{{outcome="{outcome}"}}'))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scanner = Clamd()
    lab = Lab(tmp_path_factory.mktemp("lab"), scanner)
    yield lab
    lab.stop()
    scanner.stop()


def left(folder: Path) -> list[str]:
    """What there is below a target, but for what was destroyed and may come back."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and ".edgemere-trash" not in path.parts)


@pytest.mark.parametrize(("name", "body", "code", "says"), [
    ("bad.bin", EICAR, "data.malicious", FINDING), ("picture.csv", PNG, "data.type_mismatch", "a PNG image")])
def test_data_that_is_refused_fails_the_request_with_the_finding_and_leaves_nothing(lab: Lab, name: str, body: bytes, code: str, says: str) -> None:
    lab.files(f"from-{name}", {name: body})
    before = lab.figure(code)
    made = lab.call("datarequest create", name=f"ask-{name}", query=f"source:from-{name}", action="copy", target="desk")
    assert (made["state"], made["reason"]["code"], made["reason"]["cause"]["code"]) == ("Failed", "data_refused", code), made
    assert says in made["message"] and name in made["message"]
    explained = lab.caller.ask("datarequest explain", id=f"ask-{name}")
    assert says in explained["sentence"] and explained["outcome"] == "Failed" and explained["blocked_by"] is None
    # Its instance went with the request; the messages say what became of it.
    told = [event for event in lab.caller.ask("event list", event="datainstance.broken", limit=100)["items"] if event["obj"]["request"]["id"] == made["id"]]
    assert [event["obj"]["reason"]["code"] for event in told] == [code]
    assert left(lab.desk) == [] and lab.figure(code) == before + 1
    lines = until(lambda: [line for line in lab.caller.ask("audit list", kind="found")["items"] if line["outcome"] == code])
    assert lines[0]["objects"][1] == told[0]["obj"]["id"] and says in lines[0]["objects"] and lines[0]["owner"] == made["owner"]


def test_good_data_says_that_it_was_inspected_and_found_good(lab: Lab) -> None:
    lab.files("good", {"good.csv": b"a,b\n", "blob.bin": b"?"})
    assert lab.call("datarequest create", name="good", query="source:good", action="copy", target="desk")["state"] == "Satisfied"
    found = {entry["name"]: entry["inspected"] for item in lab.caller.ask("datainstance list", request="good")["items"] for entry in item["access"]}
    assert found == {"good.csv": {"types": "as_named", "scanner": "clean"}, "blob.bin": {"types": "unknown", "scanner": "clean"}}
    lab.call("datarequest complete", id="good")


@pytest.mark.parametrize("far", [b"good", EICAR], ids=["other bytes", "the same bytes"])
def test_of_what_stands_by_other_bytes_are_tried_and_the_same_ones_are_not(lab: Lab, far: bytes) -> None:
    run = "other" if far != EICAR else "same"
    for place, body, cost in (("near", EICAR, {}), ("far", far, {"per_request": 1000})):
        said = {"checksum": "sha256:" + hashlib.sha256(body).hexdigest(), "tags": {"twin": run}}
        lab.files(f"{place}-{run}", {f"{place}.bin": body}, cost, listing={f"{place}.bin": said})
    before = lab.figure("data.malicious")
    made = lab.call("datarequest create", name=run, query=f"twin:{run}", action="copy", target="desk", select={"distinct": "twin"})
    # Tried once: nobody asked the scanner about the same bytes again.
    assert lab.figure("data.malicious") == before + 1
    if run == "same":
        assert (made["state"], made["reason"]["code"]) == ("Failed", "data_refused")
        return
    assert made["state"] == "Satisfied", made
    entry, = lab.caller.ask("datainstance list", request=run)["items"][0]["access"]
    assert (entry["name"], entry["inspected"]["scanner"]) == ("far.bin", "clean")
    assert [(one["error"]["code"], one["data"]["name"]) for one in entry["attempts"]] == [("data.malicious", "near.bin")]
    lab.call("datarequest complete", id=run)


def test_while_the_scanner_is_away_a_request_waits_says_so_and_goes_on_by_itself(lab: Lab) -> None:
    lab.files("late", {"late.bin": os.urandom(100)})
    lab.scanner.kill()
    made = lab.caller.call("datarequest create", name="late", query="source:late", action="copy", target="desk")
    assert made.status in (201, 202)
    waiting = until(lambda: (shown := lab.caller.ask("datarequest show", id="late"))["blocked_by"] and shown)
    # More often than anything else is tried again (copy_retries): it is waited for, and not given up.
    until(lambda: lab.caller.ask("datarequest show", id="late")["blocked_by"]["retries"] > 1)
    assert waiting["state"] == "Evaluated" and waiting["blocked_by"]["code"] == "scanner_unavailable"
    assert waiting["blocked_by"]["since"] and waiting["blocked_by"]["next_retry_at"]
    assert waiting["blocked_by"]["unstick"] == ["edgemere do datarequest cancel --id late"]
    explained = lab.caller.ask("datarequest explain", id="late")
    assert explained["blocked_by"]["code"] == "scanner_unavailable" and "waits because the scanner for malware does not answer" in explained["sentence"]
    assert left(lab.desk) == []
    lab.scanner.start()
    until(lambda: lab.caller.ask("datarequest show", id="late")["state"] == "Satisfied", 60)
    assert lab.caller.ask("datarequest show", id="late")["blocked_by"] is None
    lab.call("datarequest complete", id="late")
