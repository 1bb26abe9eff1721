"""The content of a folder that is one Data, over HTTP from a real server: its archive, of what lies in place and of a copy."""
from __future__ import annotations

import http.client
import subprocess
from pathlib import Path
from typing import Any

from tests.support.calling import Caller

CONTENT = "/edgemere/diml/dml/do/datainstance/content?id="


def test_a_folder_comes_as_an_archive_from_its_place_and_from_a_copy(edgemere_server: Any, tmp_path: Path) -> None:
    server = edgemere_server()
    lab, desk = tmp_path / "lab", tmp_path / "desk"
    (lab / "day.zarr/0").mkdir(parents=True)
    (lab / "day.zarr/.zarray").write_bytes(b"{}")
    (lab / "day.zarr/0/0").write_bytes(b"chunk" * 100_000)
    desk.mkdir()
    caller = Caller(server.port)
    for name, place, more in (("lab", lab, {"folders_as_data": ["*.zarr"]}), ("desk", desk, {"writable": True})):
        made = caller.call("fmdm datasource create", patience_s=30, name=name, adaptor="file", parameters={"rootdir": str(place), **more})
        assert made.status == 201, made
    for name, more in (("in-place", {}), ("copied", {"action": "copy", "target": "desk"})):
        made = caller.call("datarequest create", patience_s=30, name=name, query="source:lab type:dir", **more)
        assert made["state"] == "Satisfied", made
        instance, = caller.ask("datainstance list", request=name)["items"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        connection.request("GET", CONTENT + instance["id"])
        answer = connection.getresponse()
        packed = answer.read()
        assert answer.status == 200 and answer.headers["Content-Type"] == "application/x-tar"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="day.zarr.tar"'
        out = tmp_path / f"out-{name}"
        out.mkdir()
        subprocess.run(["tar", "-x", "-C", out], input=packed, check=True)
        assert subprocess.run(["diff", "-r", lab / "day.zarr", out / "day.zarr"]).returncode == 0
        connection.close()
    caller.close()
