"""The data folder: one server at a time, and never one that a newer program has written."""
from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shared.hosting.data_folder import FORMAT, DataFolder
from shared.kernel.errors import Conflict, Invalid
from tests.support.servers import project_environment


def test_a_folder_is_made_and_can_be_taken_again_after_it_was_let_go(tmp_path):
    for _ in range(2):
        with DataFolder.open(tmp_path / "new" / "data") as folder:
            assert (folder.path / "FORMAT").read_text().strip() == str(FORMAT)
    assert os.stat(tmp_path / "new" / "data").st_mode & 0o077 == 0


def test_a_second_server_is_refused_with_the_pid_of_the_first(tmp_path):
    with DataFolder.open(tmp_path), pytest.raises(Conflict, match=f"pid {os.getpid()}") as refused:
        DataFolder.open(tmp_path)
    assert refused.value.code == "data_folder.in_use"


def test_a_folder_is_free_after_its_server_was_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; from shared.hosting.data_folder import DataFolder as D; f = D.open(sys.argv[1]); print('held', "
         "flush=True); input()", str(tmp_path)],
        env=project_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Conflict, match=f"pid {holder.pid}"):
        DataFolder.open(tmp_path)
    holder.kill()
    holder.communicate()
    DataFolder.open(tmp_path).close()


def test_a_folder_of_a_newer_program_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "FORMAT").write_text(f"{FORMAT + 1}\n")
    with pytest.raises(Invalid, match="newer edgemere") as refused:
        DataFolder.open(tmp_path)
    assert refused.value.code == "data_folder.newer"
    assert (tmp_path / "FORMAT").read_text() == f"{FORMAT + 1}\n"


def test_a_folder_that_cannot_be_used_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="cannot be used"):
        DataFolder.open(tmp_path / "file")
    (tmp_path / "FORMAT").write_text("hello")
    with pytest.raises(Invalid, match="no data folder of edgemere"):
        DataFolder.open(tmp_path)
