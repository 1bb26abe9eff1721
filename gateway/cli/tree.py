"""The action table as click's groups and commands. A command is made when it is asked for, not before."""
from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import click
from marshmallow import fields, missing

from gateway.cli import profiles
from gateway.cli.client import DEFAULT_URL, TIMEOUT_S
from gateway.cli.completing import completer_of
from gateway.cli.example import RENAMED, command_of, option_of
from gateway.cli.exits import exit_of, usage
from gateway.cli.follow import Waiting
from gateway.cli.logins import credential_for
from gateway.cli.graph import FORMS as FLOWS
from gateway.cli.output import FORMS
from gateway.cli.perform import Options, perform, stream_of
from gateway.cli.terminal import Terminal
from gateway.cli.values import STRUCTURED, text_of_file, value_of
from gateway.schemas import status_of
from shared.contracts import table
from shared.contracts.action import ALIASES, TREES, Action, schema_of
from shared.contracts.fields import Duration, Expression, TextOrObject
from shared.contracts.objects import OBJECTS
from shared.kernel.clock import parse_duration

_ABOUT = {
    ("diml",): "Data, information and metadata layer: the Data Orchestrator is in dml do.",
    ("diml", "dml"): "Data management: do, the Data Orchestrator, and fmdm, the catalogue.",
    ("diml", "dml", "do"): "The Data Orchestrator: ask for data, and it is made available.",
    ("diml", "dml", "fmdm"): "The catalogue: sources, their data, and queries over both.",
    ("diml", "dml", "do", "policy"): "The rules that decide how data is used, from the policy file.",
    ("diml", "dml", "do", "event"): "What happened: look it up, follow it live, say something yourself.",
    ("diml", "dml", "do", "event", "dead"): "Messages that could not be handled.",
}
_NUMBER = re.compile(r"^\d+(\.\d+)?(ms|s|m|h)?$")


class Formatter(click.HelpFormatter):
    """Help that can be read on a narrow terminal: what an option is about stands under it there."""

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, 6 if self.width < 50 else col_max, col_spacing)


class Context(click.Context):
    """The context of every command here."""

    formatter_class = Formatter


class Words(click.Group):
    """A group whose commands are the words that follow ``before`` in the table, and ``more`` beside them."""

    def __init__(self, before: tuple[str, ...], more: Mapping[str, click.Command] | None = None, **options: Any) -> None:
        about = _ABOUT.get(before) or (OBJECTS[before[-1]].about if before and before[-1] in OBJECTS else "")
        options.setdefault("help", about or f"Actions on {' '.join(before[-2:])}.")
        super().__init__(name=before[-1] if before else "edgemere", no_args_is_help=True, **options)
        self.context_settings = {"help_option_names": ["-h", "--help"]}
        self._before = before
        self._more = dict(more or {})

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The words that can follow, in the order of the table."""
        return [*dict.fromkeys(words[len(self._before)] for words in table.BY_WORDS if words[:len(self._before)] == self._before),
                *(word for word in self._more if not self._more[word].hidden)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a word; a group where further words follow."""
        if cmd_name in self._more:
            return self._more[cmd_name]
        words = (*self._before, cmd_name)
        row = table.BY_WORDS.get(words)
        if row is not None:
            return Call(row)
        return Words(words) if any(known[:len(words)] == words for known in table.BY_WORDS) else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """A word that a group further up knows was meant there: say so."""
        above = ctx.parent
        while above is not None and args and args[0] not in self.commands:
            if isinstance(above.command, Words) and args[0] in above.command.commands:
                raise usage(f"No such command '{args[0]}' here.", f"Did you mean: {above.command_path} {shlex.join(args)}")
            above = above.parent
        return super().resolve_command(ctx, args)

    @property
    def commands(self) -> dict[str, None]:  # type: ignore[override]
        """The known words; click looks here for what an unknown one may have meant."""
        return dict.fromkeys([*self.list_commands(click.Context(self)), *self._more])

    @commands.setter
    def commands(self, value: Mapping[str, click.Command]) -> None:
        """click's constructor sets its own, empty mapping; the words come from the table."""


def of_tree(tree: str) -> Words:
    """The short form of a tree: its words without those before it."""
    return Words(tuple(TREES[tree].split(".")[1:]))


def general_options(row: Action | None = None) -> list[click.Parameter]:
    """The options that every command has, and those that this row's kind needs."""
    options: list[click.Parameter] = [
        click.Option(["output", "-o", "--output"], type=click.Choice(FORMS), help="The form of the answer; a table by default."),
        click.Option(["url", "--url"], help=f"The server's address; EDGEMERE_URL, the profile in use, else {DEFAULT_URL}."),
        click.Option(["profile", "--profile"], metavar="NAME", help="The server of this name; see: edgemere profile."),
        click.Option(["timeout", "--timeout"], type=click.FloatRange(0.1), help=f"Seconds that the server may take to answer; {TIMEOUT_S:g} by default."),
        click.Option(["verbose", "-v", "--verbose"], is_flag=True, help="Say on stderr what is sent and what comes back."),
    ]
    if row is None:
        return options
    options.append(click.Option(["curl", "--curl"], is_flag=True, help="Print the curl command that does the same, and do nothing."))
    if row.wait is not None:
        by_default = " This is the default." if row.wait.default_s else ""
        options += [
            click.Option(["wait", "--wait"], metavar="[=SECONDS]", help=f"Stay until it is done, or for so long.{by_default}"),
            click.Option(["no_wait", "--no-wait"], is_flag=True, help="Do not stay; it goes on by itself."),
        ]
    if row.noun == "explanation":
        options.append(click.Option(["graph", "--graph"], type=click.Choice(FLOWS), help="Print the flow of the request as a picture."))
    if row.changes:
        options.append(click.Option(["dry_run", "--dry-run"], is_flag=True, help="Show what would be sent, and change nothing."))
    elif row.answer in ("object", "page", "document"):
        options.append(click.Option(["watch", "--watch"], is_flag=True, help="Show it again whenever it changes, until Ctrl-C."))
    if stream_of(row):
        options.append(click.Option(["follow", "-f", "--follow"], is_flag=True, help="Show the newest, then go on with what comes, until Ctrl-C."))
    if row.confirm:
        options.append(click.Option(["yes", "-y", "--yes"], is_flag=True, help="Do not ask; without a terminal nothing is asked anyway."))
    if _has_pages(row):
        options.append(click.Option(["every_page", "--all"], is_flag=True, help="All of them, page after page."))
    if row.answer == "content":
        options.append(click.Option(["save_to", "-O", "--output-file"], metavar="FILE", help="Write into this file; goes on where it ended."))
    return options


def _has_pages(row: Action) -> bool:
    return row.answer == "page" and not row.changes and "cursor" in schema_of(row.parameters).fields


class Call(click.Command):
    """The command of one row."""

    context_class = Context

    def __init__(self, row: Action) -> None:
        self.row = row
        not_yet = "" if row.built else " (not built yet)"
        super().__init__(name=row.path[-1], help=row.summary + not_yet, short_help=row.summary + not_yet, callback=self._run,
                         params=[*_parameters(row), *general_options(row)], epilog=_epilog(row))
        self.context_settings = {"help_option_names": ["-h", "--help"]}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the contract's own spellings as well: ``--data_reference``, ``--dataReference``, a bare ``--wait``."""
        given: list[str] = []
        known = schema_of(self.row.parameters).fields
        for place, word in enumerate(args):
            if word == "--":
                given += args[place:]
                break
            name, equals, value = word.partition("=")
            if word.startswith("--"):
                spelled = (name[2:] if name[2:] in known else ALIASES.get(name[2:], name[2:])).replace("_", "-")
                word = f"--{spelled}{equals}{value}"
            if word == "--wait" and self.row.wait is not None:
                following = args[place + 1] if place + 1 < len(args) else ""
                word = "--wait" if _NUMBER.match(following) else "--wait="
            given.append(word)
        return super().parse_args(ctx, given)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, as it is: a command that is broken over lines cannot be copied."""
        if self.epilog:
            formatter.write("\n" + self.epilog + "\n")

    def _run(self, **given: Any) -> None:
        schema = schema_of(self.row.parameters)
        parameters: dict[str, Any] = {}
        for name, field in schema.fields.items():
            typed = given.get(f"p_{name}")
            if typed is not None:
                parameters[name] = value_of(field, option_of(name), typed)
        self._take_file(given, parameters)
        self._take_positional(given, schema, parameters)
        options = options_of(given)
        click.get_current_context().exit(perform(self.row, parameters, options))

    def _take_file(self, given: Mapping[str, Any], parameters: dict[str, Any]) -> None:
        """``--file`` gives the text of the one parameter that is a document."""
        name, path = next(((key.removeprefix("file_"), value) for key, value in given.items() if key.startswith("file_") and value), ("", ""))
        if not name:
            return
        if name in parameters:
            raise usage(f"--file and {option_of(name)} give the same.", "Leave one of them out.")
        parameters[name] = text_of_file(path, "--file")

    def _take_positional(self, given: Mapping[str, Any], schema: Any, parameters: dict[str, Any]) -> None:
        typed = given.get("positional")
        name = self.row.positional
        if not typed or name is None:
            return
        if name in parameters:
            raise usage(f"{option_of(name)} is given twice: once with its name and once without.", "Leave one of them out.")
        text = " ".join(typed) if isinstance(typed, tuple) else typed
        parameters[name] = value_of(schema.fields[name], option_of(name), text)


def options_of(given: Mapping[str, Any]) -> Options:
    """The general options as they were typed, on the command or before it."""
    before = click.get_current_context().find_root().obj or {}

    def chosen(name: str) -> Any:
        return given.get(name) if given.get(name) not in (None, False) else before.get(name)

    waiting = None
    if given.get("no_wait"):
        if given.get("wait") is not None:
            raise usage("--wait and --no-wait say the opposite.", "Leave one of them out.")
        waiting = Waiting(wanted=False, said=True)
    elif given.get("wait") is not None:
        waiting = Waiting(wanted=True, limit_s=_seconds(given["wait"]), said=True)
    server = profiles.settings(chosen("url"), chosen("profile"))
    return Options(
        url=server["url"], credential=credential_for(server["url"], server.get("profile", "")), output=chosen("output") or server.get("output", ""),
        timeout_s=chosen("timeout") or TIMEOUT_S, verbose=bool(chosen("verbose")), wait=waiting,
        watch=bool(given.get("watch")), follow=bool(given.get("follow")), dry_run=bool(given.get("dry_run")), yes=bool(given.get("yes")),
        curl=bool(given.get("curl")), every_page=bool(given.get("every_page")), save_to=given.get("save_to") or "", graph=given.get("graph") or "",
        terminal=Terminal.of_process(),
    )


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except (ValueError, OverflowError):
        raise usage(f"--wait: '{text}' is not a number of seconds.", "Give one such as --wait=30, or --wait alone.") from None


def _parameters(row: Action) -> list[click.Parameter]:
    """An option for each parameter of the row, and the argument for the one that needs no name."""
    made: list[click.Parameter] = []
    members = schema_of(row.parameters).fields
    if row.positional is not None:
        words = -1 if isinstance(members[row.positional], Expression) else 1
        made.append(click.Argument(["positional"], nargs=words, required=False, metavar=f"[{row.positional.upper()}]",
                                   shell_complete=completer_of(row, row.positional)))
    for name, field in members.items():
        made += _options(row, name, field)
    return made


def _options(row: Action, name: str, field: fields.Field) -> list[click.Parameter]:
    about = _described(row, name, field)
    option = option_of(name)
    if isinstance(field, fields.Boolean):
        no = option.replace("--", "--no-", 1)
        return [click.Option([f"p_{name}", f"{option}/{no}"], default=None, help=about)]
    if isinstance(field, TextOrObject) and name == "file":
        return [click.Option([f"file_{name}", "--file"], metavar="FILE", help=f"{about} A file, or - for stdin.")]
    kind = int if isinstance(field, fields.Integer) else str
    made: list[click.Parameter] = [click.Option([f"p_{name}", option], type=kind, metavar=_metavar(field), help=about,
                                                 shell_complete=completer_of(row, name))]
    if isinstance(field, TextOrObject):
        made.append(click.Option([f"file_{name}", "--file"], metavar="FILE", help="The same from a file, or - for stdin."))
    return made


def _described(row: Action, name: str, field: fields.Field) -> str:
    about = str(field.metadata.get("description", ""))
    if field.required:
        # A document can come from a file instead.
        about += " Required, or --file." if isinstance(field, TextOrObject) and name != "file" else " Required."
    if field.load_default is not missing and field.load_default not in (None, False, dict):
        about += f" By default {'yes' if field.load_default is True else field.load_default}."
    if name in RENAMED and row.wait is not None:
        about += f" ({option_of(name)} is the parameter '{name}'; --{name} is about this call.)"
    return about.strip()


def _metavar(field: fields.Field) -> str:
    if isinstance(field, Expression):
        return "QUERY"
    if isinstance(field, STRUCTURED):
        return "JSON"
    choices = getattr(field.validate, "choices", None)
    if choices:
        return "|".join(choices)
    if isinstance(field, fields.Integer):
        return "NUMBER"
    return "DURATION" if isinstance(field, Duration) else "TEXT"


def _epilog(row: Action) -> str:
    structured = [option_of(name) for name, field in schema_of(row.parameters).fields.items() if isinstance(field, STRUCTURED)]
    lines = ["Example:", f"  {command_of(row, row.example)}", "Short form:", f"  {command_of(row, row.example, short=True)}"]
    if structured:
        lines += ["", f"{', '.join(structured)}: inline, @FILE (JSON or YAML), or - for stdin."]
    if row.restricted:
        lines += ["", f"Needs the role {row.needs}."]
    if row.fresh:
        lines += ["", row.asks_anew]
    if row.errors:
        lines += ["", "Fails with (exit code):", *(f"  {code} ({exit_of(status_of(code))})  {table.ERRORS.get(code, '')}".rstrip() for code in row.errors)]
    return "\n".join(lines)
