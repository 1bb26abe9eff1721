"""The entry of ``python -m gateway`` and of ``./edgemere``: the command line, greened first where it will serve.

Nothing else is imported before eventlet has patched the standard library; commands that only ask a server never
load eventlet.
"""
from __future__ import annotations

import sys
import warnings

SERVING = ("up", "serve")


def main(arguments: list[str]) -> int:
    """Run one command line; the first word decides in which kind of process."""
    # Eventlet says at each start that it is old; who runs a command can do nothing about that.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    words = [word for word in arguments if not word.startswith("-")]
    if words[:1] and words[0] in SERVING and not {"-h", "--help"} & set(arguments):
        from shared.hosting.greening import green

        green()
    if arguments[:1] == ["test"]:
        from gateway import testing

        return testing.main(arguments[1:])
    from gateway.cli import main as command_line

    return command_line(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        # While it was still being read; once a command runs it says itself how it ends.
        sys.exit(130)
