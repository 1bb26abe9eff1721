"""The scenarios of calls, events and batches, run in one green process; each is a test here."""
from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import ROOT, project_environment

MODULES = ("call_scenarios", "event_scenarios", "batch_scenarios", "gathering_scenarios")
IN_ONE_PROCESS = ("call_scenarios", "here_scenarios")
RUN_S = 240


def names_in(*modules: str) -> list[str]:
    """The scenarios of modules."""
    return [node.name for module in modules for node in ast.parse(Path(__file__).with_name(f"{module}.py").read_text()).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


# Read and not imported: this process is not green.
NAMES = names_in(*MODULES)


def run_scenarios(folder: Path, address: str, *modules: str) -> dict[str, str | None]:
    """What went wrong in each scenario, by its name."""
    named = [f"tests.interface.bus.{module}" for module in modules or MODULES]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.interface.bus.green", str(folder), address, *named],
        cwd=ROOT, env=project_environment(), capture_output=True, text=True, timeout=RUN_S)
    results = dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    for name in names_in(*(modules or MODULES)):
        results.setdefault(name, f"The process ended with {done.returncode} before it.\n{done.stderr[-5000:]}")
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str | None]]:
    yield run_scenarios(tmp_path_factory.mktemp("mesh"), "embedded")


@pytest.mark.parametrize("name", NAMES)
def test_on_the_embedded_broker(results: dict[str, str | None], name: str) -> None:
    if results[name]:
        pytest.fail(results[name], pytrace=False)


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    return run_scenarios(tmp_path_factory.mktemp("process"), "here", *IN_ONE_PROCESS)


@pytest.mark.parametrize("name", names_in(*IN_ONE_PROCESS))
def test_between_services_of_one_process(in_one_process: dict[str, str | None], name: str) -> None:
    if in_one_process[name]:
        pytest.fail(in_one_process[name], pytrace=False)
