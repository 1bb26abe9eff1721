"""A view that is shown again whenever something in it changes: in its place on a terminal, a line for each change in a pipe.

Knows how a view is asked for and looked at, and no action by name.
"""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.cli.client import Answer, Server
from gateway.cli.columns import Column, columns_of, plain
from gateway.cli.exits import FAILED, usage
from gateway.cli.live import messages
from gateway.cli.output import items_of
from gateway.cli.terminal import Terminal
from gateway.cli.text import clean
from shared.contracts import table
from shared.contracts.action import Action

if TYPE_CHECKING:
    from gateway.cli.perform import Options

# Changes come in bursts; a view that is shown anew for each of them cannot be read.
_CALM_S = 0.2


def watch(row: Action, options: Options, ask: Callable[[Server], Answer], shown: Callable[[Answer, Options], str]) -> int:
    """Show a view, and again whenever something in it changes, until interrupted.

    Raises:
        Failure: usage, for an action that changes something; or what the view itself raises.
    """
    if row.changes:
        raise usage("--watch shows a view again and again; it cannot repeat an action that changes something.",
                    "Use --wait with this action, or --watch with show, list or find.")
    server, listener = options.server(), options.server()
    follow = next(other for other in table.ACTIONS.values() if other.answer == "stream")
    with Screen(options, shown) if options.terminal.redraws else Lines(row, options, shown) as view:
        # The view is shown each time the stream is open, so that nothing is missed between the two.
        shown_at = 0.0
        for _ in messages(listener, follow, {"event": f"{row.noun}.*"}, sought=lambda: view.show(ask(server))):
            calm = _CALM_S - (time.monotonic() - shown_at)
            if calm > 0:
                time.sleep(calm)
            view.show(ask(server))
            shown_at = time.monotonic()
    return FAILED


class Screen:
    """The view in its place on the terminal, as wide as that is now; what was shown last stays when it ends."""

    def __init__(self, options: Options, shown: Callable[[Answer, Options], str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._options, self._shown = options, shown
        console = Console(highlight=False, markup=False, emoji=False, no_color=not options.terminal.colour,
                          color_system="standard" if options.terminal.colour else None)
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="ellipsis")

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, answer: Answer) -> None:
        from rich.text import Text

        options = replace(self._options, terminal=Terminal.of_process())
        text = Text.from_ansi(self._shown(answer, options), no_wrap=True, overflow="ellipsis")
        self._live.update(text, refresh=True)


class Lines:
    """A line for each object when the view begins, and one for each that came, changed or went.

    The forms that are one document (json, yaml) are printed whole at each change.
    """

    def __init__(self, row: Action, options: Options, shown: Callable[[Answer, Options], str]) -> None:
        self._options, self._shown = options, shown
        self._form = options.output or "table"
        self._columns: list[Column] = columns_of(row.noun, self._form == "wide") if self._form in ("table", "wide") else []
        self._known: dict[str, Any] | None = None
        self._text = ""

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """What was printed is printed."""

    def show(self, answer: Answer) -> None:
        if self._form in ("json", "yaml"):
            self._whole(self._shown(answer, self._options))
            return
        now = {str(item.get("id") or item.get("name")): item for item in items_of(answer.body) if isinstance(item, Mapping)}
        known, self._known = self._known, now
        self._say(self._line(item) for key, item in now.items() if known is None or known.get(key) != item)
        self._say(self._line(item, gone=True) for key, item in (known or {}).items() if key not in now)

    def _line(self, item: Mapping[str, Any], gone: bool = False) -> str:
        if self._form == "jsonl":
            return json.dumps({**item, "gone": True} if gone else item, ensure_ascii=False)
        if self._form == "name":
            return ("gone " if gone else "") + clean(str(item.get("name") or item.get("id") or ""))
        cells = [column.shows(item) for column in self._columns] or [plain(item)]
        return "  ".join(["gone", *cells] if gone else cells)

    def _whole(self, text: str) -> None:
        if text != self._text:
            self._say([text])
            self._text = text

    def _say(self, lines: Iterable[str]) -> None:
        for line in lines:
            print(line)
        sys.stdout.flush()
