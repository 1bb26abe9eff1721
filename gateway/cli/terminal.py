"""What the streams of this process can show: whether somebody is looking, how wide, in colour or not."""
from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

_COLOURS = {
    "Ready": 32, "Satisfied": 32, "Provisioned": 32, "Confirmed": 32, "succeeded": 32, "done": 32, "ok": 32,
    "Failed": 31, "FailedProvision": 31, "Broken": 31, "Rejected": 31, "failed": 31, "fail": 31,
    "Needed": 33, "Selected": 33, "Evaluated": 33, "Provisioning": 33, "Suspended": 33, "waiting": 33, "running": 33, "warn": 33,
    "Completed": 2, "Shutdown": 2, "Destroyed": 2, "cancelled": 2,
}
BOLD, DIM = 1, 2


@dataclass(frozen=True)
class Terminal:
    """``columns`` is None where nobody looks and nothing is to be shortened; ``talks`` says whether stderr is a terminal.

    ``redraws``: what stdout shows can be written over.
    """

    looks: bool
    talks: bool
    colour: bool
    columns: int | None
    blocks: bool = True
    redraws: bool = False

    @classmethod
    def of_process(cls) -> Terminal:
        """What this process's stdout and stderr are. Makes both write what they cannot encode as escapes."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        looks, talks = _is_terminal(sys.stdout), _is_terminal(sys.stderr)
        dumb = os.environ.get("TERM") == "dumb"
        colour = looks and not dumb and not os.environ.get("NO_COLOR")
        encoding = (getattr(sys.stdout, "encoding", "") or "").lower().replace("-", "")
        columns = max(20, shutil.get_terminal_size().columns) if looks else None
        return cls(looks, talks and not dumb, colour, columns, encoding.startswith("utf"), looks and not dumb)

    def paint(self, text: str, *codes: int) -> str:
        """The text in a style, where colours are wanted."""
        return f"\x1b[{';'.join(map(str, codes))}m{text}\x1b[0m" if self.colour and codes else text

    def state(self, word: str, shown: str | None = None) -> str:
        """A state in its colour; ``shown`` is the word as padded for its place."""
        code = _COLOURS.get(word)
        text = word if shown is None else shown
        return self.paint(text, code) if code else text


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream is not None and stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
