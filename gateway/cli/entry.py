"""The root of the command line: the table's words, the commands of this machine beside them, and how all of them end."""
from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Sequence

import click

from gateway.cli import exits, logins, profiles
from gateway.cli.exits import Failure
from gateway.cli.find import Find
from gateway.cli.machine import COMMANDS, KEY_COMMANDS
from gateway.cli.tree import Words, general_options, of_tree
from shared.contracts import table
from shared.kernel.errors import EdgemereError
from shared.kernel.version import VERSION

ABOUT = """edgemere: say what data you need, and it is found, reserved, placed and made available.

The Data Orchestrator is 'edgemere diml dml do', in short 'edgemere do'; its catalogue is 'edgemere fmdm'.
"""
FIRST_STEPS = """First steps:
  edgemere demo                                     see what it does, on data that comes with it
  edgemere up                                       start the server, here and in the foreground
  edgemere fmdm datasource create --name my-data --adaptor file --parameters '{"rootdir": "/path/to/folder"}'
  edgemere do datarequest create --name first --query 'filetypes:csv size>1MB' --wait
  edgemere do datainstance list --request first     where the data is
  edgemere do datarequest explain first             why it is that data

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 denied, 6 unreachable.
"""
_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Root(Words):
    """``edgemere`` itself."""

    def __init__(self) -> None:
        diml = Words(("diml",), {"find": Find()})
        more: dict[str, click.Command] = {"diml": diml, "do": of_tree("do"), "fmdm": of_tree("fmdm"), **COMMANDS,
                                          "apikey": Words(("diml", "dml", "do", "apikey"), KEY_COMMANDS), **logins.COMMANDS, "profile": profiles.GROUP}
        super().__init__((), more, help=ABOUT, epilog=FIRST_STEPS, params=[*general_options(), _version_option()], callback=_keep)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._more)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """An unknown first word is often the second one of a tree: say so."""
        if args and args[0] not in self._more:
            trees = [row.tree for row in table.ACTIONS.values() if row.path[0] == args[0]]
            if trees:
                raise Failure(exits.USAGE, {"code": "usage", "detail": f"No such command '{args[0]}' here.",
                                            "next_step": f"Did you mean: edgemere {trees[0]} {' '.join(args)}"})
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\n" + FIRST_STEPS)


def _version_option() -> click.Option:
    def say(context: click.Context, option: click.Parameter, wanted: bool) -> None:
        if wanted:
            print(f"edgemere {VERSION}")
            context.exit()

    return click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=say, help="Say which version this is, and do nothing.")


@click.pass_context
def _keep(context: click.Context, **given: object) -> None:
    """Options before the words hold for the command that follows."""
    context.obj = given


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; whatever happens, no traceback reaches the user for it.

    A fault of this program itself is said in one line, with how to see more of it.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "-v" in arguments or "--verbose" in arguments
    try:
        code = Root().main(arguments, prog_name="edgemere", standalone_mode=False, terminal_width=_narrow())
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.OK
    except Failure as failure:
        exits.report(failure, verbose)
        return failure.exit_code
    except EdgemereError as error:
        exits.report(Failure(exits.FAILED, {**error.payload(), **error.extra}), verbose)
        return exits.FAILED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stdout)
        return exits.OK
    except click.ClickException as error:
        return _unusable(error)
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the pipe has seen enough. Python would complain again when it closes stdout.
        _leave_stdout()
        return exits.OK
    except OSError as error:
        if error.errno not in _CANNOT_BE_WRITTEN:
            raise
        _leave_stdout()
        exits.report(Failure(exits.FAILED, {"code": "cli.output", "detail": f"It cannot be written: {error.strerror}.",
                                            "next_step": "Make room there; what the server was asked for may be done."}), verbose)
        return exits.FAILED


def _leave_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _narrow() -> int | None:
    """The width of a terminal on which click's help would not fit: it takes 50 columns for granted."""
    columns = shutil.get_terminal_size().columns
    return max(20, columns) if columns < 52 else None


def _unusable(error: click.ClickException) -> int:
    """A command line that click does not understand, in the words of every other failure."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "edgemere"
    exits.report(exits.usage(error.format_message(), f"See: {path} --help"))
    return exits.USAGE
