"""Logins of the command line: keys and tokens by server, in a file that its user alone can read; login, logout, whoami.

A credential is typed at a prompt, piped in, or comes from the environment (EDGEMERE_KEY, or the file EDGEMERE_KEY_FILE);
never from a word of the command line, which every process of the machine can read. It is sent to the server that it was
given for and to no other.
"""
from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from gateway.cli import profiles
from gateway.cli.client import TIMEOUT_S, Server
from gateway.cli.exits import DENIED, FAILED, Failure, usage
from gateway.cli.text import clean
from shared.contracts import table

KEY, KEY_FILE = "EDGEMERE_KEY", "EDGEMERE_KEY_FILE"
_WHOAMI = "do.identity.show"


def path() -> Path:
    """``credentials.json``, beside the profiles."""
    return profiles.path().with_name("credentials.json")


def credential_for(url: str, profile: str = "") -> str:
    """What to send to a server: of the environment, else what a login kept for it; empty for none.

    Raises:
        Failure: the file of the environment cannot be read, or that of the logins is not one of ours.
    """
    if os.environ.get(KEY):
        return os.environ[KEY].strip()
    if os.environ.get(KEY_FILE):
        try:
            return Path(os.environ[KEY_FILE]).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise usage(f"{KEY_FILE}: {os.environ[KEY_FILE]} cannot be read: {error}.", "Name a file with the key.") from None
    if not path().exists():
        return ""
    return str(_load().get(_place(url, profile), {}).get("credential", ""))


def origin_of(url: str) -> str:
    """Scheme, host and port of a server: what a credential belongs to."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _place(url: str, profile: str) -> str:
    # Of two profiles of one server each has its own login; a profile that names another server now has none there.
    return f"{profile} {origin_of(url)}".strip()


def _load() -> dict[str, Any]:
    try:
        found = json.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise usage(f"The logins in {path()} cannot be read: {error}.", "Remove the file, and log in again.") from None
    logins = found.get("logins") if isinstance(found, dict) else None
    if not isinstance(logins, dict) or not all(isinstance(one, dict) for one in logins.values()):
        raise usage(f"The logins in {path()} are not of the form {{\"logins\": {{…}}}}.", "Remove the file, and log in again.")
    return logins


def _save(logins: Mapping[str, Any]) -> None:
    """Write the file whole; it is readable by its user alone from its first byte on."""
    place = path()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".credentials-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump({"logins": logins}, file, indent=2, ensure_ascii=False)
        file.write("\n")
    os.replace(draft, place)


def _server(given: Mapping[str, Any]) -> dict[str, str]:
    before = click.get_current_context().find_root().obj or {}
    return profiles.settings(given.get("url") or before.get("url"), given.get("profile") or before.get("profile"))


def _asked(server: Mapping[str, str], credential: str) -> dict[str, Any]:
    return Server(server["url"], TIMEOUT_S, credential=credential).call(table.ACTIONS[_WHOAMI], {}).body


def _log_in(**given: Any) -> None:
    server = _server(given)
    if not sys.stdin.isatty():
        credential = sys.stdin.readline().strip()
    elif os.environ.get(KEY):
        credential = os.environ[KEY].strip()
    else:
        credential = getpass.getpass(f"Key or token for {server['url']}: ").strip()
    if not credential:
        raise usage("No key or token was given.", "Type it, pipe it in, or set EDGEMERE_KEY.")
    who = _asked(server, credential)
    if who.get("anonymous"):
        raise Failure(FAILED, {"code": "cli.no_login_needed", "detail": f"{server['url']} asks nobody for a login; nothing was kept.",
                               "next_step": "Use it as it is."})
    _save({**_load(), _place(server["url"], server.get("profile", "")): {"credential": credential, "owner": who["owner"]}})
    print(f"Logged in at {server['url']} as {_said(who)}.")


def _log_out(**given: Any) -> None:
    server = _server(given)
    logins = _load()
    if logins.pop(_place(server["url"], server.get("profile", "")), None) is None:
        print(f"There was no login at {server['url']}.")
        return
    _save(logins)
    print(f"Logged out at {server['url']}. The key itself goes on working; to end it: edgemere apikey revoke")


def _who_am_i(**given: Any) -> None:
    server = _server(given)
    credential = credential_for(server["url"], server.get("profile", ""))
    try:
        who = _asked(server, credential)
    except Failure as failure:
        if failure.exit_code != DENIED:
            raise
        raise Failure(DENIED, {**failure.problem, "next_step": "Log in with: edgemere login"}) from None
    if given.get("output") == "json":
        print(json.dumps(who, indent=2, ensure_ascii=False))
    else:
        print(f"{_said(who)} at {server['url']}")
        for notice in who.get("notices") or ():
            print(_told(notice))


_DONE = {"made": "was made", "rotated": "got a new secret", "revoked": "was ended", "login": "opened the page from a place that is new"}


def _told(notice: Mapping[str, Any]) -> str:
    """One thing that was done with a key, as a line."""
    place = f" from {notice['address']}" if notice["address"] else ""
    return clean(f"{notice['time']}  The key '{notice['key']['name']}' {_DONE.get(notice['what'], notice['what'])}, by {notice['by']}{place}. "
                 f"Seen? edgemere do identity seen --upto {notice['id']}. Not you? edgemere apikey revoke {notice['key']['id']}")


def _said(who: Mapping[str, Any]) -> str:
    key = who.get("key") or {}
    means = f", with the key '{key['name']}'" + (f" until {key['expires_at']}" if key.get("expires_at") else "") if key else (
        ", without a login" if who.get("anonymous") else ", with a token")
    return clean(f"{who['owner']} ({', '.join(who['roles']) or 'no role'}{means})")


_WHERE = [click.Option(["url", "--url"], help="The server's address."), click.Option(["profile", "--profile"], metavar="NAME", help="The server of this name.")]
_HELP = {"help_option_names": ["-h", "--help"]}
COMMANDS = {
    "login": click.Command("login", callback=_log_in, params=_WHERE, context_settings=_HELP,
                           help="Keep a key or token for a server. It is typed at a prompt, piped in, or in EDGEMERE_KEY."),
    "logout": click.Command("logout", callback=_log_out, params=_WHERE, context_settings=_HELP, help="Forget the login at a server."),
    "whoami": click.Command("whoami", callback=_who_am_i, context_settings=_HELP, help="Say who the server takes me for.", params=[
        *_WHERE, click.Option(["output", "-o", "--output"], type=click.Choice(("table", "json")), help="The form of the answer.")]),
}
