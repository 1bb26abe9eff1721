"""A download is judged anew while it runs: it ends soon after the login of its reader, or his right to the bytes, does."""
from __future__ import annotations

import os
import threading
import time

import pytest
import requests
import urllib3

from tests.interface.gateway.locked import DO, eventually

FMDM = "/edgemere/diml/dml/fmdm"
SIZE = 3_000_000_000
pytestmark = pytest.mark.usefixtures("its_own_address")


@pytest.fixture(scope="module")
def large(server, tmp_path_factory):
    """A source with one file that nobody reads in a few seconds; it takes no room."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "large.bin").touch()
    os.truncate(folder / "large.bin", SIZE)
    answer = server.ask(f"{FMDM}/datasource/create", method="POST", json={"name": "large", "adaptor": "file", "parameters": {"rootdir": str(folder)}},
                        headers={"Prefer": "wait=100"})
    assert answer.status_code == 201, answer.text
    return "source:large"


def began(server, key: str, name: str, query: str) -> tuple[str, requests.Response]:
    """The id of an instance of the key's owner, and its bytes, of which the first have come."""
    made = server.ask(f"{DO}/datainstance/create", key, "POST", json={"dataref": {"name": name, "query": query}}, headers={"Prefer": "wait=100"})
    assert made.status_code == 201, made.text
    one, = eventually(lambda: server.ask(f"{DO}/datainstance/list", key, params={"reference": name, "state": "Ready"}).json()["items"], bool)
    download = server.ask(f"{DO}/datainstance/content", key, params={"id": one["id"]}, stream=True)
    assert download.status_code == 200 and int(download.headers["Content-Length"]) == SIZE
    assert download.raw.read(1_000_000) == b"\0" * 1_000_000
    return one["id"], download


def read_on(download: requests.Response, seconds: float) -> tuple[int, bool]:
    """(bytes, whether the connection broke) of reading slowly for at most so many seconds."""
    end, count = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end and (piece := download.raw.read(2_000_000)):
            count += len(piece)
            time.sleep(0.05)
    except (requests.exceptions.RequestException, OSError, urllib3.exceptions.HTTPError):
        return count, True
    return count, False


def test_a_download_ends_with_the_key_of_its_reader(server, large):
    made = server.make_key("of-a-reader", owner="reader", roles=["DataScientist"])
    _, download = began(server, made["key"], "to-be-read", large)
    assert not read_on(download, 2)[1], "while the key holds it goes on"
    assert server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]}).status_code == 200
    count, broke = read_on(download, 30)
    assert broke and count < SIZE / 2


def test_a_download_ends_when_its_instance_is_taken_away(server, large):
    key = server.make_key("of-another-reader", owner="another", roles=["DataScientist"])["key"]
    instance, download = began(server, key, "to-be-taken-away", large)
    assert server.ask(f"{DO}/datainstance/destroy", method="POST", json={"attr1": instance}).status_code == 200
    count, broke = read_on(download, 30)
    assert broke and count < SIZE / 2


def test_whoever_was_given_bytes_is_in_the_audit_log_once_a_minute(server, large):
    made = server.make_key("of-one-who-reads", owner="noted", roles=["DataScientist"])
    instance, download = began(server, made["key"], "to-be-noted", large)
    download.close()
    for part in ("bytes=0-9", "bytes=10-19"):
        assert server.ask(f"{DO}/datainstance/content", made["key"], params={"id": instance}, headers={"Range": part}).status_code == 206
    assert server.ask(f"{DO}/datainstance/content", made["key"], method="HEAD", params={"id": instance}).status_code == 200
    assert server.ask(f"{DO}/datainstance/show", made["key"], params={"id": instance}).status_code == 200

    def reads() -> list[dict]:
        return [line for line in server.audit(owner="noted") if line["action"] == "do.datainstance.content"]

    eventually(reads, bool)
    server.ask(f"{DO}/datainstance/destroy", made["key"], "POST", json={"attr1": instance})
    eventually(lambda: [line for line in server.audit(owner="noted") if line["action"] == "do.datainstance.destroy"], bool)
    line, = reads()
    assert (line["objects"], line["status"], line["credential"]) == ([instance], 200, made["id"])


def test_a_call_that_waits_ends_with_the_key_of_its_caller(server):
    made = server.make_key("of-one-who-waits", owner="waiter", roles=["DataScientist"])
    answers = []

    def waits() -> None:
        answers.append(server.ask(f"{DO}/datarequest/create", made["key"], "POST", json={"name": "waits", "query": "nothing:here", "wait": True},
                                  headers={"Prefer": "wait=25"}))

    waiting = threading.Thread(target=waits)
    waiting.start()
    eventually(lambda: server.ask(f"{DO}/datarequest/list", made["key"]).json()["items"], bool)
    assert server.ask(f"{DO}/apikey/revoke", method="POST", json={"id": made["id"]}).status_code == 200
    waiting.join(120)
    assert not waiting.is_alive() and (answers[0].status_code, answers[0].json()["code"]) == (401, "key.revoked")
