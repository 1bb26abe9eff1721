"""``edgemere doctor`` looks at a mesh that runs, names what is wrong with it, and says what to do."""
from __future__ import annotations

import json
import shutil
import time
import tomllib
import urllib.request

from shared.kernel.version import VERSION
from tests.support.servers import ROOT, run_edgemere


def _doctor(server, *options: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    done = run_edgemere("doctor", "-o", "json", "--url", server.url, "--data", str(server.data), *options)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["what"], []).append(finding)
    return done.returncode, found


def test_doctor_finds_dead_letters_and_a_full_disk_in_a_running_mesh_and_nothing_in_a_sound_one(edgemere_server, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"health: {{figures_every_s: 0.3, least_room_bytes: {shutil.disk_usage(tmp_path).total * 2}}}\n")
    sound, full = edgemere_server("sound"), edgemere_server("full", options=["--config", str(settings)])
    code, found = _doctor(sound)
    assert code == 0, found
    assert {"versions", "queues", "outbox", "dead letters", "clocks"} <= found.keys()
    assert {finding["verdict"] for what in found.values() for finding in what if finding["what"] != "packages"} == {"ok"}, found
    request = urllib.request.Request(f"{full.url}/edgemere/diml/dml/do/event/send", json.dumps(
        {"event": "datareference.provisioning", "obj": "not-there"}).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=20).read()
    end = time.monotonic() + 15
    while time.monotonic() < end:
        code, found = _doctor(full)
        if found["dead letters"][0]["verdict"] == "warn":
            break
    assert code == 1
    assert "1 of instances.datareference.provisioning" in found["dead letters"][0]["said"]
    assert "event dead replay" in found["dead letters"][0]["next_step"]
    assert found["room"][0]["verdict"] == "fail" and found["room"][0]["next_step"]


def test_the_version_is_written_in_one_place_for_programs_and_one_for_packaging():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
