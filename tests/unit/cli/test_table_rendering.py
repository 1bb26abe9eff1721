"""The command line is the action table: every row has its words, its options, and an example that can be typed."""
from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.cli.entry import Root
from gateway.cli.example import RENAMED, command_of, option_of, short_words
from gateway.cli.tree import Call
from shared.contracts import table
from shared.contracts.action import Action, load_parameters, schema_of

ROWS = list(table.ACTIONS.values())
names = [row.name for row in ROWS]


def command(words: tuple[str, ...] | list[str]) -> click.Command:
    found: click.Command = Root()
    context = click.Context(found)
    for word in words:
        assert isinstance(found, click.Group)
        found = found.get_command(context, word)  # type: ignore[assignment]
        assert found is not None, words
    return found


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_every_row_is_a_command_in_its_long_and_its_short_form(row: Action) -> None:
    assert isinstance(command(row.words), Call)
    assert isinstance(command(short_words(row).split()), Call)


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_every_parameter_is_an_option_with_its_description(row: Action) -> None:
    options = {name: option.help for option in command(row.words).params if isinstance(option, click.Option) for name in option.opts}
    for name, field in schema_of(row.parameters).fields.items():
        assert field.metadata["description"].rstrip(".") in (options[option_of(name)] or "")


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_no_option_is_there_twice(row: Action) -> None:
    options = [name for option in command(row.words).params if isinstance(option, click.Option) for name in (*option.opts, *option.secondary_opts)]
    assert sorted(options) == sorted(set(options))


@pytest.mark.parametrize("row", ROWS, ids=names)
def test_the_example_in_the_help_says_what_the_row_says(
        row: Action, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = command_of(row, row.example)
    before, _, after = typed.rpartition(" | ")
    if before:
        (tmp_path / "stdin").write_bytes(subprocess.run(["bash", "-c", before], capture_output=True, check=True).stdout)
        monkeypatch.setattr("sys.stdin", open(tmp_path / "stdin"))
    seen = []
    monkeypatch.setattr("gateway.cli.tree.perform", lambda row, parameters, options: seen.append(parameters) or 0)
    assert main(shlex.split(after)[1:]) == 0, capsys.readouterr().err
    assert load_parameters(row, seen[0]) == load_parameters(row, row.example)
    assert main([*row.words, "--help"]) == 0
    said = capsys.readouterr().out
    assert typed in said and row.summary.split()[0] in said


def test_renamed_parameters_are_those_that_the_command_line_needs_itself() -> None:
    general = {"output", "url", "timeout", "verbose", "curl", "wait", "no_wait", "dry_run", "watch", "yes", "save_to", "help"}
    clashing = {name for row in ROWS for name in schema_of(row.parameters).fields if name in general}
    assert clashing == set(RENAMED)


@pytest.mark.parametrize(("typed", "meant"), [
    (["do", "datainstnce", "list"], "datainstance"), (["do", "datainstance", "lst"], "list"), (["do", "datarequest", "list", "--stat", "x"], "--state"),
    (["datarequest", "list"], "edgemere do datarequest list"), (["demmo"], "demo"),
])
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed) == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["do"], ["diml"], ["diml", "dml"], ["fmdm", "datasource"]])
def test_a_group_alone_shows_its_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "Commands:" in capsys.readouterr().out
