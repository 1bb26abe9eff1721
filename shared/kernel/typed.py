"""Commands for people, as they can be typed into a shell. Knows no command."""
from __future__ import annotations

import shlex


def typed(words: str, **options: str) -> str:
    """``edgemere`` with these words and options; a name with a blank or a quote in it is one word for the shell."""
    return " ".join(["edgemere", words, *(f"--{name} {shlex.quote(value)}" for name, value in options.items())])
