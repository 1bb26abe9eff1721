"""The launcher, as the file it is, beside a program that only says how it was started. Needs no network."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT

LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-demo.lock")
PROGRAM = '''
import json, os, sys
import requests_probe
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "folder": os.getcwd(), "path": sys.path,
                  "probe": requests_probe.__file__}))
sys.exit(7)
'''


def make_clone(folder: Path) -> Path:
    """A folder with the launcher, locks that ask for nothing, and the program above."""
    (folder / "gateway").mkdir(parents=True)
    shutil.copy(ROOT / "edgemere", folder / "edgemere")
    for lock in LOCKS:
        (folder / lock).write_text("# asks for nothing\n")
    (folder / "gateway" / "__init__.py").write_text("")
    (folder / "gateway" / "__main__.py").write_text(PROGRAM)
    (folder / "requests_probe.py").write_text("")
    return folder


def programs(folder: Path) -> str:
    """A PATH with this Python as python3 and nothing else that the launcher could use."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "python3").exists():
        (folder / "python3").symlink_to(os.path.realpath(sys.executable))
    return f"{folder}:/usr/bin:/bin"


def call(launcher: Path, *arguments: str, home: Path | None = None, cwd: str | Path = "/", **more: str):
    environment = {"PATH": programs(launcher.resolve().parent.parent / "programs"), **more}
    if home is not None:
        environment["HOME"] = str(home)
    return subprocess.run(
        [str(launcher), *arguments], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone whose environment is made."""
    clone = make_clone(tmp_path_factory.mktemp("launcher") / "clone")
    first = call(clone / "edgemere", "hello", home=clone.parent / "empty")
    assert first.returncode == 7, first.stderr
    assert "Making the Python environment" in first.stderr and "ready" in first.stderr
    return clone


def test_a_later_call_says_nothing_and_passes_everything_on(clone):
    done = call(clone / "edgemere", "a b", "--c", "")
    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (7, "")
    assert said["arguments"] == ["a b", "--c", ""]
    assert said["prefix"] == str(clone / ".venv")


def test_it_works_from_any_folder_and_through_a_link(clone, tmp_path):
    (tmp_path / "link").symlink_to(clone / "edgemere")
    said = json.loads(call(tmp_path / "link", cwd=tmp_path, PATH=programs(clone.parent / "programs")).stdout)
    assert said["folder"] == str(tmp_path) and said["path"][0] == str(clone)


def test_nothing_in_the_current_folder_can_shadow_a_module(clone, tmp_path):
    (tmp_path / "requests_probe.py").write_text("raise SystemExit('shadowed')")
    said = json.loads(call(clone / "edgemere", cwd=tmp_path).stdout)
    assert said["probe"] == str(clone / "requests_probe.py")
    assert str(tmp_path) not in said["path"] and "" not in said["path"]


def test_what_a_command_needs_more_is_installed_when_it_is_first_called(clone):
    assert not (clone / ".venv" / "edgemere-demo.stamp").exists()
    assert "requirements-demo.lock" in call(clone / "edgemere", "--verbose", "demo").stderr
    assert call(clone / "edgemere", "demo").stderr == ""
    assert not (clone / ".venv" / "edgemere-test.stamp").exists()


def test_a_changed_lock_is_installed(clone):
    (clone / LOCKS[0]).write_text("# asks for nothing, in other words\n")
    assert "Completing the Python environment" in call(clone / "edgemere").stderr
    assert call(clone / "edgemere").stderr == ""


def test_packages_that_cannot_be_had_are_a_failure_with_a_next_step(clone):
    lock = clone / LOCKS[2]
    before = lock.read_text()
    lock.write_text(f"no-such-package-anywhere==1 --hash=sha256:{'0' * 64}\n")
    done = call(clone / "edgemere", "demo", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(clone))
    assert done.returncode == 1
    assert "no-such-package-anywhere" in done.stderr and "What to do:" in done.stderr
    lock.write_text(before)
    assert call(clone / "edgemere", "demo").returncode == 7


def test_a_half_made_environment_is_made_anew(tmp_path):
    clone = make_clone(tmp_path / "clone")
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (clone / ".venv" / "edgemere-unfinished").touch()
    (clone / ".venv" / "left-behind").touch()
    done = call(clone / "edgemere", home=tmp_path / "missing")
    assert done.returncode == 7, done.stderr
    assert not (clone / ".venv" / "left-behind").exists() and not (clone / ".venv" / "edgemere-unfinished").exists()


def test_two_first_calls_at_once_make_it_once(tmp_path):
    clone = make_clone(tmp_path / "clone")
    environment = {"PATH": programs(tmp_path / "programs")}
    both = [
        subprocess.Popen([str(clone / "edgemere")], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [7, 7], said
    assert sum("Making" in text for text in said) == 1


def test_where_the_clone_has_no_place_the_users_cache_has(tmp_path):
    clone = make_clone(tmp_path / "clone")
    (clone / ".venv").write_text("in the way; unlike a missing permission, this stops root as well")
    done = call(clone / "edgemere", home=tmp_path / "home")
    assert done.returncode == 7, done.stderr
    assert json.loads(done.stdout)["prefix"].startswith(str(tmp_path / "home" / ".cache" / "edgemere"))


def test_a_place_that_others_could_have_filled_is_not_trusted(tmp_path):
    clone = make_clone(tmp_path / "clone")
    (clone / ".venv").write_text("in the way")
    shared = tmp_path / "shared" / f"edgemere-{os.geteuid()}"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    done = call(clone / "edgemere", home=Path("/dev/null"), TMPDIR=str(shared.parent))
    assert done.returncode == 1 and "can be written" in done.stderr and "What to do:" in done.stderr
    assert list(shared.iterdir()) == []
