"""One call of one action, from checked parameters to printed answer and exit code. Knows rows, and no action by name."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.cli import graph, live
from gateway.cli.client import Answer, Server, request_of
from gateway.cli.example import curl_of, short_words
from gateway.cli.exits import FAILED, OK, USAGE, Failure
from gateway.cli.explain import explanation, funnel_lines, planned
from gateway.cli.follow import Waiting, every_item, operation_of, outcome_is_bad, settle
from gateway.cli.output import rendered
from gateway.cli.reaped import reaped
from gateway.cli.rehearsed import rehearsed
from gateway.cli.terminal import Terminal
from shared.contracts import table
from shared.contracts.action import Action, load_parameters
from shared.kernel.errors import EdgemereError

TEXT_FORMS = ("table", "wide")
# Answers that are read like a page, by their noun.
DOCUMENTS = {"explanation": explanation, "plan": planned, "policytest": rehearsed, "reaping": reaped}


@dataclass(frozen=True)
class Options:
    """What the options that every command has say. ``output`` is empty where none was asked for."""

    url: str
    credential: str = field(default="", repr=False)
    output: str = ""
    timeout_s: float = 60
    verbose: bool = False
    wait: Waiting | None = None
    watch: bool = False
    follow: bool = False
    dry_run: bool = False
    yes: bool = False
    curl: bool = False
    every_page: bool = False
    save_to: str = ""
    graph: str = ""
    terminal: Terminal = Terminal(False, False, False, None)

    def server(self) -> Server:
        told = (lambda line: print(line, file=sys.stderr)) if self.verbose else None
        return Server(self.url, self.timeout_s, told, self.credential)


def perform(row: Action, parameters: Mapping[str, Any], options: Options) -> int:
    """Call the action and print what it answers.

    Raises:
        Failure: the parameters are refused, the server answers with a problem, or it cannot be reached.
    """
    check(row, parameters)
    waiting = options.wait or Waiting(wanted=bool(row.wait and row.wait.default_s))
    wait_s = waiting.first_wait_s(row, options.terminal)
    if options.curl:
        print(curl_of(row, options.server().url, parameters, wait_s, logged_in=bool(options.credential)))
        return OK
    if options.dry_run:
        return _rehearse(row, parameters, options)
    if row.answer == "stream":
        return live.stream(row, parameters, options)
    if row.answer == "content":
        return live.content(row, parameters, options)
    if row.confirm and not _agreed(row, parameters, options):
        print("Nothing was done.", file=sys.stderr)
        return FAILED
    if options.watch:
        from gateway.cli.watching import watch

        return watch(row, options, lambda server: ask(row, parameters, options, server), lambda answer, now: shown(row, answer, now))
    if options.follow:
        return live.listed(stream_of(row), row, parameters, options)
    server, began = options.server(), time.monotonic()
    answer = ask(row, parameters, options, server, wait_s)
    answer = settle(server, row, answer, waiting, options.terminal, began)
    text = shown(row, answer, options)
    if text:
        print(text)
    _hint(row, answer, options, waiting)
    return FAILED if row.changes and outcome_is_bad(row, answer.body) else OK


def stream_of(row: Action) -> Action | None:
    """The row that streams what this one lists, where there is one."""
    return next((other for other in table.ACTIONS.values() if other.answer == "stream" and row.answer == "page"
                 and (other.tree, other.path[:-1]) == (row.tree, row.path[:-1])), None)


def check(row: Action, parameters: Mapping[str, Any]) -> None:
    """Refuse what the server would refuse, in the same words, without asking it.

    Raises:
        Failure: usage, with the code and the pointers of the contract.
    """
    try:
        load_parameters(row, parameters)
    except EdgemereError as error:
        problem = {key: value for key, value in error.payload().items() if key != "extra"}
        problem["next_step"] = f"See: edgemere {short_words(row)} --help"
        raise Failure(USAGE, problem) from None


def ask(row: Action, parameters: Mapping[str, Any], options: Options, server: Server, wait_s: float | None = None) -> Answer:
    """The server's answer; with ``--all`` every page of it in one."""
    if not options.every_page:
        return server.call(row, parameters, wait_s)
    items = every_item(server, row, parameters)
    return Answer(200, {}, "", {"items": items, "next": None, "total": len(items)})


def shown(row: Action, answer: Answer, options: Options) -> str:
    """The answer in the form that was asked for."""
    form = options.output or "table"
    if options.graph and isinstance(answer.body, Mapping):
        return graph.drawn(answer.body, options.graph)
    if form in TEXT_FORMS and row.noun in DOCUMENTS and isinstance(answer.body, Mapping):
        return DOCUMENTS[row.noun](answer.body, options.terminal)
    noun = "datainstance" if row.answer == "document" and row.path[0] == "datainstance" else row.noun
    text = rendered(answer.body, answer.text, noun, form, options.terminal)
    if form in TEXT_FORMS and isinstance(answer.body, Mapping) and answer.body.get("funnel") and not answer.body.get("items"):
        text += "\n" + "\n".join(funnel_lines(answer.body["funnel"], options.terminal))
    return text


def _hint(row: Action, answer: Answer, options: Options, waiting: Waiting) -> None:
    """Say on stderr what the answer does not show: further pages, work that goes on."""
    body = answer.body
    if row.answer == "page" and isinstance(body, Mapping) and body.get("next"):
        about = "about " if body.get("total_is_estimate") else ""
        count = len(body.get("items", []))
        print(f"{count} of {about}{body.get('total', 'more')} are shown. All of them: --all. The next page: --cursor {body['next']}",
              file=sys.stderr)
    if ends := answer.headers.get("Edgemere-Key-Ends"):
        print(f"The key that you log in with ends {ends}. Make another one in time: edgemere apikey create; or, of a rotated one, use the new secret.",
              file=sys.stderr)
    if (notices := answer.headers.get("Edgemere-Notices")) and options.terminal.talks and row.path[0] != "identity":
        print(f"Something was done with your keys ({notices}): edgemere whoami says what and by whom; then edgemere do identity seen.", file=sys.stderr)
    operation = operation_of(answer)
    if operation:
        print(f"Still under way. See how far it is with: edgemere do operation show {operation}", file=sys.stderr)
    elif row.wait and not waiting.wanted and options.terminal.talks and isinstance(body, Mapping) and body.get("id"):
        if body.get("state") not in row.wait.until:
            print("It goes on by itself; --wait stays until it is done.", file=sys.stderr)


def _agreed(row: Action, parameters: Mapping[str, Any], options: Options) -> bool:
    """Ask a person; a script has said what it wants by calling."""
    if options.yes or not options.terminal.talks or not sys.stdin.isatty():
        return True
    named = " ".join(str(value) for value in parameters.values())
    sys.stderr.write(f"{row.summary}\n{short_words(row)} {named}: go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _rehearse(row: Action, parameters: Mapping[str, Any], options: Options) -> int:
    """Print what would be sent and, where the class can plan it, what would come of it. Changes nothing."""
    method, address, body = request_of(row, parameters)
    if options.output in ("json", "jsonl", "yaml"):
        sent = {"method": method, "address": address, "body": json.loads(body) if body else None}
        print(rendered(sent, "", "", options.output, options.terminal))
    else:
        print(f"Would send: {method} {options.server().url}{address}")
        if body:
            print(json.dumps(json.loads(body), indent=2, ensure_ascii=False))
    plan = next((other for other in table.ACTIONS.values() if other is not row and other.tree == row.tree
                 and other.path == (*row.path[:-1], "plan") and issubclass(other.parameters, row.parameters)), None)
    if plan is None:
        return OK
    answer = options.server().call(plan, parameters)
    print(shown(plan, answer, options))
    return OK
