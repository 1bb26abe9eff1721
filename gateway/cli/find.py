"""``edgemere diml find``: the parent system's shortcut, made of rows of the table: ask, wait, show the instances."""
from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.client import Answer, Server
from gateway.cli.example import command_of
from gateway.cli.exits import FAILED, OK, Failure, usage
from gateway.cli.explain import explanation
from gateway.cli.follow import Waiting, every_item, operation_of, settle
from gateway.cli.perform import Options, check, shown
from gateway.cli.terminal import Terminal
from gateway.cli.text import clean
from gateway.cli.values import value_of
from shared.contracts import table
from shared.contracts.action import Action, schema_of

NAME = "external"
EXAMPLE = 'Example:\n  edgemere diml find --query "owner:darren"\n'


class Find(click.Command):
    """The shortcut as a command."""

    def __init__(self) -> None:
        from gateway.cli.tree import general_options

        create = _row("datarequest", "create")
        kept = [option for option in general_options(create) if option.name not in ("curl", "dry_run")]
        super().__init__(
            name="find", callback=self._run, short_help="Ask for data and see where it is: a request, in one line.",
            help="Ask for data and see where it is: makes a request named 'external' (numbered), waits for it, shows its instances.",
            params=[click.Argument(["words"], nargs=-1, metavar="[QUERY]"),
                    click.Option(["query", "--query"], metavar="QUERY", help="What data is needed, as JSON or as a line."), *kept],
        )
        self.context_settings = {"help_option_names": ["-h", "--help"]}

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\n" + EXAMPLE)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ``--wait`` stand alone, as on every other command."""
        return super().parse_args(ctx, ["--wait=" if word == "--wait" else word for word in args])

    def _run(self, **given: Any) -> None:
        from gateway.cli.tree import options_of

        typed = given["query"] if given["query"] is not None else " ".join(given["words"])
        if not typed or (given["query"] is not None and given["words"]):
            raise usage("A query is needed, once.", 'Give one such as --query "owner:darren".', code="parameter.missing")
        create = _row("datarequest", "create")
        query = value_of(schema_of(create.parameters).fields["query"], "--query", typed)
        click.get_current_context().exit(find(query, options_of(given)))


def find(query: Any, options: Options) -> int:
    """Make the request, wait for it, and show its instances, or say why there are none."""
    server = options.server()
    create = _row("datarequest", "create")
    waiting = options.wait or Waiting(wanted=True)
    began = time.monotonic()
    answer = _created(server, create, query, waiting.first_wait_s(create, options.terminal))
    request = settle(server, create, answer, waiting, options.terminal, began).body
    print(f"Request {clean(request['name'])} is {request['state']}." + (f" {clean(request['message'])}" if request.get("message") else ""),
          file=sys.stderr)
    if request["state"] == "Failed":
        print(explanation(server.call(_row("datarequest", "explain"), {"id": request["id"]}).body, Terminal.of_process()), file=sys.stderr)
        return FAILED
    if operation_of(answer) and request["state"] not in create.wait.until:  # type: ignore[union-attr]
        show = _row("datarequest", "show")
        print(f"Still under way. See how far it is with: {command_of(show, {'id': request['name']}, short=True)}", file=sys.stderr)
    instances = _row("datainstance", "list")
    items = every_item(server, instances, {"request": request["id"]})
    print(shown(instances, Answer(200, {}, "", {"items": items, "next": None, "total": len(items)}), options))
    return OK


def _created(server: Server, create: Action, query: Any, wait_s: float | None) -> Answer:
    for name in _names(server):
        parameters = {"name": name, "query": query}
        check(create, parameters)
        try:
            return server.call(create, parameters, wait_s)
        except Failure as failure:
            if failure.code != "datarequest.name_taken":
                raise
    raise AssertionError("unreachable")


def _names(server: Server) -> Iterator[str]:
    """``external``, then numbers from the first that nobody has; more when somebody is quicker."""
    yield NAME
    pattern = re.compile(rf"{NAME}-(\d+)$")
    taken = every_item(server, _row("datarequest", "list"), {"attr1": {"name": {"$prefix": f"{NAME}-"}}})
    numbers = [int(found[1]) for found in (pattern.match(str(item.get("name"))) for item in taken) if found]
    number = max(numbers, default=0) + 1
    while True:
        yield f"{NAME}-{number}"
        number += 1


def _row(noun: str, verb: str) -> Action:
    return next(row for row in table.ACTIONS.values() if row.path == (noun, verb))
