"""A person is removed while he uses the server: he is out at once, and the audit log, which keeps the name for its time, stays whole."""
from __future__ import annotations

import json

import pytest

from tests.interface.gateway.locked import DO, LIST, WHO, connected, eventually, heard, refused
from tests.support.servers import run_edgemere

pytestmark = pytest.mark.usefixtures("its_own_address")


def test_who_is_removed_is_out_at_once_and_the_audit_log_stays_whole_with_his_name_until_its_end(server, tmp_path):
    key = server.make_key("of-dora", owner="dora", roles=["DataScientist"])["key"]
    made = server.ask(f"{DO}/datarequest/create", key, "POST", json={"query": "a:1", "fulfill": False}).json()
    sock = connected(server, header=[f"Authorization: Bearer {key}"])
    problem = refused(server.ask(f"{DO}/person/remove", method="POST", json={"owner": "dora"}), "person.in_use", 409)
    assert problem["open"] == {"datarequest": 1} and server.ask(WHO, key).status_code == 200
    assert server.ask(f"{DO}/datarequest/cancel", key, "POST", json={"id": made["id"]}).status_code == 200
    refused(server.ask(f"{DO}/person/remove", key, "POST", json={"owner": "dora"}), "denied", 403)
    # As an Administrator does it at his command line.
    done = run_edgemere("diml", "dml", "do", "person", "remove", "dora", "--yes", "-o", "json", "--url", server.url,
                        EDGEMERE_KEY=server.key, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    alias = json.loads(done.stdout)["alias"]
    # Which of the two depends on whether the gateway looked before the row was gone.
    answer = server.ask(WHO, key)
    assert (answer.status_code, answer.json()["code"]) in ((401, "key.revoked"), (401, "key.wrong"))
    assert json.loads(heard(sock, "42")[2:])[1]["code"] == "login_over"
    assert server.ask(LIST, params={"owner": alias}).json()["total"] == 1
    lines = eventually(lambda: server.audit(owner="dora"), lambda found: any(line["action"] == "do.datarequest.cancel" for line in found))
    assert {line["owner"] for line in lines} == {"dora"} and server.ask(f"{DO}/audit/verify").json()["intact"] is True
    # The line of the removal names the pseudonym, not the person.
    removal = eventually(lambda: [line for line in server.audit() if line["action"] == "do.person.remove" and line["kind"] == "changed"], bool)[0]
    assert removal["owner"] == "admin" and removal["objects"] == [alias]
    shown = server.ask(f"{DO}/person/show", params={"owner": "dora"}).json()
    assert shown["audit"]["lines"] >= len(lines) and shown["audit"]["until"] > lines[0]["time"] and shown["credentials"] == 0
