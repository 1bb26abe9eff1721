"""Servers under names, as a user of the command line sets and uses them."""
from __future__ import annotations

import json
import stat

import pytest

from gateway.cli.entry import run


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEMERE_PROFILE", raising=False)
    return tmp_path / "edgemere" / "profiles.json"


def test_a_profile_in_use_is_the_server_that_is_asked(told, monkeypatch, capsys, own_settings):
    monkeypatch.delenv("EDGEMERE_URL")
    told.tell("GET do/datarequest/list", (200, {"items": [], "next": None, "total": 0}))
    assert run(["profile", "set", "work", "--url", told.url + "/", "-o", "json"]) == 0
    assert "It is in use." in capsys.readouterr().out
    assert stat.S_IMODE(own_settings.stat().st_mode) == 0o600
    assert run(["do", "datarequest", "list"]) == 0
    assert len(told.asked) == 1 and json.loads(capsys.readouterr().out)["total"] == 0


def test_what_is_typed_counts_before_the_profile_in_use(told, monkeypatch, capsys):
    told.tell("GET do/datarequest/list", (200, {"items": [], "next": None, "total": 0}))
    assert run(["profile", "set", "gone", "--url", "http://127.0.0.1:9"]) == 0
    assert run(["profile", "set", "here", "--url", told.url]) == 0
    assert run(["do", "datarequest", "list"]) == 0  # EDGEMERE_URL
    assert run(["do", "datarequest", "list", "--profile", "gone"]) == 6
    monkeypatch.delenv("EDGEMERE_URL")
    assert run(["do", "datarequest", "list"]) == 6
    assert run(["do", "datarequest", "list", "--url", told.url]) == 0
    monkeypatch.setenv("EDGEMERE_PROFILE", "here")
    assert run(["do", "datarequest", "list"]) == 0
    monkeypatch.delenv("EDGEMERE_PROFILE")
    assert run(["profile", "use", "here"]) == 0
    assert run(["do", "datarequest", "list"]) == 0
    capsys.readouterr()
    assert run(["profile", "list"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [["gone", "http://127.0.0.1:9"], ["*", "here"]]
    assert run(["profile", "remove", "here"]) == 0
    assert run(["profile", "use", "here"]) == 3


def test_what_is_wrong_with_a_profile_is_said_with_the_next_step(monkeypatch, capsys, own_settings):
    assert run(["profile", "set", "work", "--url", "https://data.example.org"]) == 0
    assert run(["do", "datarequest", "list", "--profile", "wrok"]) == 3
    said = capsys.readouterr().err
    assert "There is no profile 'wrok'. Did you mean 'work'?" in said and "edgemere profile list" in said
    for address in ("data.example.org", "ftp://data.example.org", "https://me:secret@data.example.org"):
        assert run(["profile", "set", "other", "--url", address]) == 2
    own_settings.write_text("{broken")
    assert run(["profile", "list"]) == 2
    assert "Correct the file, or remove it." in capsys.readouterr().err
