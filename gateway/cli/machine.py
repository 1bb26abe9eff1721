"""Commands about this machine rather than about data: start, serve, migrate, demo, test, doctor, completion.

What they start is imported when they run, so that no other command pays for it.
"""
from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Any

import click

from gateway.cli.exits import FAILED, Failure, usage
from shared.kernel.errors import Invalid

_ENVIRONMENT = click.Option(["environment", "--env"], help="The environment: dev, test or prod; EDGEMERE_ENV, else dev.")
_DATA = click.Option(["data", "--data"], metavar="DIR", help="The folder with all state; by default the user's data folder.")
_CONFIG = click.Option(["files", "--config"], multiple=True, metavar="FILE", help="Further settings, in the form of config.yaml.")
_HELP = {"help_option_names": ["-h", "--help"]}


def _guarded_config(given: dict[str, Any]) -> Any:
    """The settings of a process of the mesh, or of a command beside it, which leaves no dump from now on: with them it has their secrets."""
    from shared.hosting import dumps
    from shared.hosting.config import load_config

    dumps.leave_none()
    return load_config(given.get("environment"), given.get("files") or (), {
        "web.port": given.get("port"), "web.host": given.get("host"), "data_dir": given.get("data"),
    })


def _up(**given: Any) -> None:
    config = _guarded_config(given)
    from shared.hosting.config import is_embedded

    if not is_embedded(config):
        _become_supervisor(given)
    if _replicas(given["replicas"]):
        raise Invalid("replicas.embedded", "Replicas are processes of their own; the embedded mesh is one process.",
                      next_step="Set EDGEMERE_AMQP_URI and EDGEMERE_DATABASE_URL, or leave --replicas out.")
    from gateway.service import Gateway
    from shared.hosting import run

    try:
        code = run.up(config, gateway=Gateway)
    except OSError as error:
        raise _cannot_listen(error, config.web.host, config.web.port) from error
    _exit(code)


def _become_supervisor(given: dict[str, Any]) -> None:
    """Go on as a process without eventlet, with the same id: what supervises must have nothing to hang on."""
    words = [*_said(given), *_option("--replicas", given["replicas"])]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "gateway", "supervise", *words])  # noqa: S606


def _supervise(**given: Any) -> None:
    config = _guarded_config(given)
    from gateway.listening import listen
    from gateway.settings import from_config
    from shared.hosting import supervisor
    from shared.hosting.data_folder import DataFolder
    from shared.hosting.logs import set_up_logging

    replicas = supervisor.checked_replicas(_replicas(given["replicas"]), config)
    set_up_logging(config)
    # Files of databases belong to one mesh; a PostgreSQL serves many, and the folder is only for what is not kept.
    with nullcontext() if config.database.url else DataFolder.open(config.data_dir):
        listener = listen(from_config(config))
        # What is listened on already is not said again: any free port would be another one.
        options = _said({**given, "port": None})
        host, port = listener.getsockname()[:2]
        _exit(supervisor.Supervisor(config, options, replicas, listener).run(f"http://{f'[{host}]' if ':' in host else host}:{port}"))


def _said(given: dict[str, Any]) -> list[str]:
    """The options as they were given, for another command line of this product."""
    return [word for option, name in (("--port", "port"), ("--host", "host"), ("--data", "data"), ("--env", "environment"))
            for word in _option(option, given.get(name))] + [
            word for file in given.get("files") or () for word in _option("--config", os.path.abspath(file))]


def _option(name: str, value: Any) -> list[str]:
    return [] if value is None else [name, str(value)]


def _serve(**given: Any) -> None:
    config = _guarded_config(given)
    from gateway.service import Gateway
    from shared.hosting import run

    _exit(run.serve(config, given["name"], gateway=Gateway))


def _migrate(**given: Any) -> None:
    config = _guarded_config(given)
    from shared.hosting import run

    _exit(run.migrate(config, given["names"]))


def _broker_accounts(**given: Any) -> None:
    import json

    from shared.hosting import accounts

    print(json.dumps(accounts.definitions(_guarded_config(given), accounts.passwords_in(given["folder"]), given["vhost"]), indent=1))


def _first_key(**given: Any) -> None:
    config = _guarded_config(given)
    from shared.hosting import first_key

    key, ends = first_key.make(config, given["owner"], given["name"])
    print(f"The key of '{given['owner']}', with every role. It is shown this once, and works until {ends}: "
          "log in with it, and make one that stays (edgemere apikey create).", file=sys.stderr)
    print(key)


def _fresh_key() -> None:
    from shared.hosting import first_key

    print(first_key.fresh())


def _backup(**given: Any) -> None:
    _tell(_backups().backup(_guarded_config(given), _path(given)), "Saved")


def _restore(**given: Any) -> None:
    _tell(_backups().restore(_guarded_config(given), _path(given)), "Restored")


def _backups() -> Any:
    from shared.hosting import backup

    return backup


def _path(given: dict[str, Any]) -> Any:
    from pathlib import Path

    return Path(given["file"])


def _tell(report: Any, done: str) -> None:
    print(f"{done}: {report.path}  ({report.rows} rows, {report.bytes} bytes, {report.kind}; not encrypted)")


def _demo(**given: Any) -> None:
    from gateway import demo

    _exit(demo.main(port=given["port"], data=given["data"], stays=not given["leaves"]))


def _test(**given: Any) -> None:
    from gateway import testing

    _exit(testing.main(given["arguments"]))


def _doctor(**given: Any) -> None:
    from gateway.cli import doctor
    from gateway.cli.tree import options_of

    from shared.hosting import fuse
    from shared.hosting.config import database_url

    config = _guarded_config(given)
    _exit(doctor.examine(config, options_of(given), database_url(config, "requests") if config.database.url else "",
                         fuse.why_not(config.instances.fuse)))


def _completion(**given: Any) -> None:
    from click.shell_completion import get_completion_class

    from gateway.cli.entry import Root

    kind = get_completion_class(given["shell"])
    assert kind is not None
    print(kind(Root(), {}, "edgemere", "_EDGEMERE_COMPLETE").source())


def _exit(code: Any) -> None:
    click.get_current_context().exit(code if isinstance(code, int) else 0)


def _replicas(typed: str | None) -> dict[str, int]:
    """``requests=2,instances=3`` as numbers by service."""
    found: dict[str, int] = {}
    for part in filter(None, (typed or "").split(",")):
        name, _, number = part.partition("=")
        if not number.isdigit() or int(number) < 1:
            raise usage(f"--replicas: '{part}' is not a service and a number.", "Give it such as requests=2,instances=3.")
        found[name.strip()] = int(number)
    return found


def _cannot_listen(error: OSError, host: str, port: int) -> Failure:
    import errno

    if error.errno == errno.EADDRINUSE:
        return Failure(FAILED, {"code": "server.port_in_use", "detail": f"Something else listens on {host} port {port} already.",
                                "next_step": "Name another with --port, or use the server that is there: edgemere doctor"})
    return Failure(FAILED, {"code": "server.cannot_start", "detail": f"The server cannot start on {host} port {port}: {error}.",
                            "next_step": "Name another with --host and --port, or look at: edgemere doctor"})


_PORT = click.Option(["port", "--port"], type=click.IntRange(0, 65535), help="The port to listen on; 3000 by default.")
_UP = [
    _PORT, click.Option(["host", "--host"], help="The address to listen on; the loopback interface by default."), _DATA, _ENVIRONMENT,
    _CONFIG, click.Option(["replicas", "--replicas"], metavar="NAME=N,…", help="On RabbitMQ and PostgreSQL: processes for each service."),
]

KEY_COMMANDS: dict[str, click.Command] = {
    "bootstrap": click.Command("bootstrap", callback=_first_key, context_settings=_HELP, params=[
        click.Option(["owner", "--owner"], default="admin", show_default=True, help="Whom the key speaks for."),
        click.Option(["name", "--name"], default="bootstrap", show_default=True, help="What the key is called."),
        _DATA, _ENVIRONMENT, _CONFIG,
    ], help="Make the first Administrator's key, here and without a server; it is shown this once."),
    "new": click.Command("new", callback=_fresh_key, context_settings=_HELP,
                         help="Print a key that is known nowhere yet, for EDGEMERE_BOOTSTRAP_KEY_FILE."),
}
"""Beside the table's own words for keys: what is done where nobody can log in yet."""

COMMANDS: dict[str, click.Command] = {
    "up": click.Command("up", callback=_up, context_settings=_HELP, help="Start everything here, in the foreground, until Ctrl-C.",
                        params=_UP),
    "supervise": click.Command("supervise", callback=_supervise, context_settings=_HELP, hidden=True, params=_UP,
                               help="What 'up' becomes on RabbitMQ: keeps the processes of the mesh running."),
    "serve": click.Command("serve", callback=_serve, context_settings=_HELP, help="Run one service, or the gateway, alone, as containers do.", params=[
        click.Argument(["name"]), _PORT, click.Option(["host", "--host"], help="The address to listen on."), _DATA, _ENVIRONMENT, _CONFIG,
    ]),
    "migrate": click.Command("migrate", callback=_migrate, context_settings=_HELP, params=[
        click.Argument(["names"], nargs=-1, metavar="[SERVICE]…"), _DATA, _ENVIRONMENT, _CONFIG,
    ], help="Bring the databases, or those of the services named, to the schema of this version."),
    "broker-accounts": click.Command("broker-accounts", callback=_broker_accounts, context_settings=_HELP, params=[
        click.Option(["folder", "--passwords"], metavar="DIR", required=True, type=click.Path(exists=True, file_okay=False),
                     help="The folder with a file <service>_amqp_password for each account."),
        click.Option(["vhost", "--vhost"], default="mesh", show_default=True, help="The virtual host of the mesh."), _DATA, _ENVIRONMENT, _CONFIG,
    ], help="Print what a RabbitMQ imports so that each service has an account of its own, and may do no more than it needs."),
    "backup": click.Command("backup", callback=_backup, context_settings=_HELP, params=[
        click.Argument(["file"]), _DATA, _ENVIRONMENT, _CONFIG,
    ], help="Save the state of the whole mesh, running or not, to a new file. The bytes of sources are not in it."),
    "restore": click.Command("restore", callback=_restore, context_settings=_HELP, params=[
        click.Argument(["file"]), _DATA, _ENVIRONMENT, _CONFIG,
    ], help="Bring an empty mesh that does not run to the state in a backup."),
    "demo": click.Command("demo", callback=_demo, context_settings=_HELP, help="See what it does, on real files that come with it.", params=[
        click.Option(["leaves", "--exit"], is_flag=True, help="End after the last step, instead of staying up."), _PORT,
        click.Option(["data", "--data"], metavar="DIR", help="The demo's own folder; kept, so that the next time is quick."),
    ]),
    "test": click.Command("test", callback=_test, help="Run the test suite; further words go to pytest.", params=[
        click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED),
    ], context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}),
    "doctor": click.Command("doctor", callback=_doctor, context_settings=_HELP, help="Look whether everything that is needed is there.", params=[
        click.Option(["url", "--url"], help="The server to look at."), click.Option(["timeout", "--timeout"], type=float, hidden=True),
        click.Option(["verbose", "-v", "--verbose"], is_flag=True, hidden=True),
        click.Option(["output", "-o", "--output"], type=click.Choice(("table", "json")), help="The form of the answer."),
        _DATA, _ENVIRONMENT, _CONFIG,
    ]),
    "completion": click.Command("completion", callback=_completion, context_settings=_HELP, params=[
        click.Argument(["shell"], type=click.Choice(("bash", "zsh", "fish"))),
    ], help='Print the completion script of a shell. For bash: eval "$(edgemere completion bash)"'),
}
