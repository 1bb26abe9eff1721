"""A real server for the clients' tests of one module, and a source of a few files in it."""
from __future__ import annotations

import pytest
import requests

from shared.contracts.table import ACTIONS
from tests.support.servers import EdgemereServer


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    files = folder / "lab"
    files.mkdir()
    (files / "sales.csv").write_text("city,amount\nUtrecht,12\nParis,7\n", encoding="utf-8")
    (files / "sales.csv.meta.yaml").write_text("owner: darren\nfiletypes: csv\n", encoding="utf-8")
    (files / "notes.txt").write_text("not what is looked for", encoding="utf-8")
    with EdgemereServer(folder / "server") as running:
        made = requests.post(running.url + ACTIONS["fmdm.datasource.create"].address, timeout=120, headers={"Prefer": "wait=100"},
                             json={"name": "lab", "adaptor": "file", "parameters": {"rootdir": str(files)}})
        assert made.status_code == 201, made.text
        running.files = files
        yield running
