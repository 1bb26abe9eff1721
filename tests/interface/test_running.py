"""Starting and stopping the real program: one server at a time on a folder, a clean end, nothing lost by ``kill -9``."""
from __future__ import annotations

import time

from tests.support.servers import EdgemereServer, run_edgemere


def test_it_stops_cleanly_and_starts_again_on_the_same_folder(edgemere_server):
    server = edgemere_server()
    assert server.terminate() == 0, server.log_tail()
    server.restart()
    server.kill9()
    server.restart()
    assert server.is_ready()


def test_the_line_that_says_ready_is_true(edgemere_server):
    server = edgemere_server()
    for _ in range(3):
        server.terminate()
        server.log_path.unlink()
        server.start(wait=False)
        while "Ready: " not in server.log_tail():
            assert server.process.poll() is None, server.log_tail()
            time.sleep(0.005)
        assert server.is_ready()


def test_a_second_server_or_a_migration_on_the_folder_is_refused_with_the_pid(edgemere_server, tmp_path):
    server = edgemere_server()
    pid = str(server.process.pid)
    second = run_edgemere("up", "--port", "0", "--data", str(server.data))
    assert second.returncode == 1 and pid in second.stderr and "--data" in second.stderr
    migration = run_edgemere("migrate", "--data", str(server.data))
    assert migration.returncode == 1 and pid in migration.stderr
    assert server.is_ready()


def test_a_folder_of_a_newer_program_is_refused(tmp_path):
    server = EdgemereServer(tmp_path)
    server.data.mkdir(parents=True)
    (server.data / "FORMAT").write_text("99\n")
    refused = run_edgemere("up", "--port", "0", "--data", str(server.data))
    assert refused.returncode == 1 and "newer" in refused.stderr and "Traceback" not in refused.stderr


def test_databases_can_be_made_before_the_first_start(edgemere_server, tmp_path):
    done = run_edgemere("migrate", "--data", str(tmp_path / "server" / "data"))
    assert (done.returncode, done.stderr) == (0, "")
    assert edgemere_server().is_ready()
