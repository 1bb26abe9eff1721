"""The notebook in ``examples`` runs from its first cell to its last, on a real server."""
from __future__ import annotations

import json
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.python_client import FOLDER
from tests.support.servers import ROOT


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """The kernel ``python3`` is this Python, whatever the user has installed."""
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples").glob("*.ipynb")))
def test_the_notebook_runs_and_shows_tables(name, kernels, server, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEMERE_URL", server.url)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "the committed notebook carries outputs"
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("text/html" in one and "<table" in one["text/html"] for one in shown) >= 3
