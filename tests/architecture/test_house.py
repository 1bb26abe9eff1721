"""The order of the house: names, sizes, opening sentences, and what must not be written down anywhere."""
from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.tree import CODE, ROOT, modules, project_files
from tests.support.servers import project_environment

LOOK_AGAIN_AT_LINES = 400
LONG_FOR_A_REASON: dict[str, str] = {
    "gateway/clients/python/edgemere/calls.py": "made from the action table, a method for each row",
}
"""Modules that are longer, each with the reason why it is better so."""

ROOMS_FOR_ANYTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
SAME_IN_EACH_SERVICE = ("service.py", "handlers.py", "rules.py", "models.py", "repository.py", "migrations")
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/__init__.py"))

# Put together here, so that this file does not contain them.
NEVER_WRITTEN = {
    "a path of one machine": re.compile("|".join([
        "/wo" + "rk/(?:main|shared|wt)", "/tmp/p" + "lan", "/ro" + "ot/", "/opt/wh" + "eels",
    ])),
    "a package registry's host": re.compile("|".join([
        "py" + r"pi\.org", "python" + r"hosted\.org", "registry" + r"\.npmjs", "deb" + r"\.debian\.org",
    ])),
    "work that is not done": re.compile("|".join(["TO" + "DO", "FIX" + "ME", "Not" + "ImplementedError"])),
}


def lines(path: Path) -> int:
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_no_module_is_long_without_a_reason():
    assert {str(path): lines(path) for path in modules()
            if lines(path) > LOOK_AGAIN_AT_LINES and str(path) not in LONG_FOR_A_REASON} == {}


def test_no_reason_is_kept_for_a_module_that_is_short_again():
    assert [path for path in LONG_FOR_A_REASON if lines(Path(path)) <= LOOK_AGAIN_AT_LINES] == []


def test_no_room_is_called_after_what_does_not_belong_anywhere():
    assert [str(path) for path in modules() for part in (*path.parts[:-1], path.stem)
            if ROOMS_FOR_ANYTHING & set(part.lower().split("_"))] == []


def test_every_module_opens_with_its_duty():
    assert [str(path) for path in modules() if (ROOT / path).read_text(encoding="utf-8").strip()
            and not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
            and path.name != "__init__.py"] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_six_names(service):
    assert [name for name in SAME_IN_EACH_SERVICE if not (ROOT / "services" / service / name).exists()] == []


@pytest.mark.parametrize("what", NEVER_WRITTEN)
def test_nothing_contains(what):
    found = []
    for path in project_files():
        if "vendor" in path.parts and what == "work that is not done":
            continue  # other people's code is kept as they publish it
        content = (ROOT / path).read_bytes()
        if b"\0" not in content[:4096] and NEVER_WRITTEN[what].search(content.decode("utf-8", "replace")):
            found.append(str(path))
    assert found == []


def test_the_code_is_clean_to_ruff():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet", "--output-format=concise", "."],
        cwd=ROOT, env=project_environment(), capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_of_tests_is_a_package():
    """Without this, pytest would call ``tests/unit/gateway`` just ``gateway``, and shadow the product's own."""
    folders = {parent for path in modules("tests") for parent in path.parents if parent.parts}
    assert [str(folder) for folder in sorted(folders) if not (ROOT / folder / "__init__.py").exists()] == []


def test_no_service_folder_can_shadow_a_package():
    """``services`` itself must never be on the path: ``services/requests`` has the name of a package."""
    assert not [entry for entry in sys.path if Path(entry).resolve() in {ROOT / name for name in CODE}]


@pytest.mark.parametrize(("lock", "table"), [
    ("requirements.lock", "project"), ("requirements-test.lock", "test"), ("requirements-demo.lock", "demo"),
    ("requirements-tracing.lock", "tracing"),
])
def test_the_lock_holds_what_the_project_asks_for(lock, table):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] if table == "project" else {
        **project["dependency-groups"], **project["project"]["optional-dependencies"]}[table]
    text = (ROOT / lock).read_text()
    # A package may be pinned twice, for different Pythons.
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    stale = [
        line for line in map(Requirement, asked)
        if not (versions := [version for name, version in pins if name == canonicalize_name(line.name)])
        or any(version not in line.specifier for version in versions)
    ]
    assert stale == [], "run .ci/refresh-locks"
    assert len(pins) == len(re.findall(r"^\S+==.*\\\n +--hash=sha256:", text, re.MULTILINE))
