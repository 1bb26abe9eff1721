"""Profiles: servers under names, so that nobody types an address twice. Kept in a file of the user's own, never in the project.

The address of a command is the first of: ``--url``, ``--profile``, ``EDGEMERE_URL``, ``EDGEMERE_PROFILE``, the profile in use, the
loopback interface.
"""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from gateway.cli.client import DEFAULT_URL
from gateway.cli.exits import NOT_FOUND, Failure, usage
from gateway.cli.output import FORMS
from shared.kernel.errors import did_you_mean

MEMBERS = ("url", "output")



def path() -> Path:
    """``profiles.json`` in the user's folder for settings (XDG_CONFIG_HOME, else ~/.config)."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(given) if os.path.isabs(given) else Path.home() / ".config") / "edgemere" / "profiles.json"


def load() -> dict[str, Any]:
    """``{"current": name or None, "profiles": {name: {"url", "output"?}}}``; empty where there is no file.

    Raises:
        Failure: the file cannot be read as that.
    """
    try:
        found = json.loads(path().read_text("utf-8"))
    except FileNotFoundError:
        return {"current": None, "profiles": {}}
    except (OSError, ValueError) as error:
        raise usage(f"The profiles in {path()} cannot be read: {error}.", "Correct the file, or remove it.") from None
    profiles = found.get("profiles") if isinstance(found, dict) else None
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) and isinstance(one.get("url"), str) for one in profiles.values()):
        raise usage(f"The profiles in {path()} are not of the form {{\"profiles\": {{name: {{\"url\": …}}}}}}.", "Correct the file, or remove it.")
    return {"current": found.get("current"), "profiles": profiles}


def settings(url: str | None, profile: str | None) -> dict[str, str]:
    """``{"url", "output"?, "profile"?}`` for a command, with what was typed as ``--url`` and ``--profile``.

    Raises:
        Failure: there is no such profile.
    """
    if url:
        return {"url": url}
    if profile:
        return {**named(load(), profile), "profile": profile}
    if os.environ.get("EDGEMERE_URL"):
        return {"url": os.environ["EDGEMERE_URL"]}
    wanted = os.environ.get("EDGEMERE_PROFILE")
    if not wanted and not path().exists():
        return {"url": DEFAULT_URL}
    found = load()
    wanted = wanted or found["current"]
    return {**named(found, wanted), "profile": wanted} if wanted else {"url": DEFAULT_URL}


def named(found: Mapping[str, Any], name: str) -> dict[str, str]:
    """The profile of this name.

    Raises:
        Failure: exit code 3, with the nearest name.
    """
    profile = found["profiles"].get(name)
    if profile is None:
        raise Failure(NOT_FOUND, {"code": "profile.not_found", "detail": f"There is no profile '{name}'.{did_you_mean(name, found['profiles'])}",
                                  "next_step": "List them: edgemere profile list"})
    return {member: str(profile[member]) for member in MEMBERS if profile.get(member)}


def save(found: Mapping[str, Any]) -> None:
    """Write the file whole, readable by its user alone."""
    place = path()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=place.parent, prefix=".profiles-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=2, ensure_ascii=False)
        file.write("\n")
    os.replace(draft, place)


def _set(name: str, url: str, output: str | None) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise usage(f"--url: '{url}' is not an address of a server.", "Give one such as https://data.example.org; never one with a password in it.")
    found = load()
    found["profiles"][name] = {"url": url.rstrip("/"), **({"output": output} if output else {})}
    found["current"] = found["current"] or name
    save(found)
    print(f"Profile '{name}' is {url.rstrip('/')}." + (" It is in use." if found["current"] == name else f" In use is '{found['current']}'."))


def _use(name: str) -> None:
    found = load()
    server = named(found, name)
    save({**found, "current": name})
    print(f"In use: {name} ({server['url']}).")


def _remove(name: str) -> None:
    found = load()
    named(found, name)
    del found["profiles"][name]
    save({**found, "current": None if found["current"] == name else found["current"]})
    print(f"Profile '{name}' is removed.")


def _list() -> None:
    found = load()
    if not found["profiles"]:
        print("There is no profile yet. Make one: edgemere profile set work --url https://data.example.org")
    wide = max(map(len, found["profiles"]), default=0)
    for name, profile in sorted(found["profiles"].items()):
        print(f"{'*' if name == found['current'] else ' '} {name:<{wide}}  {profile['url']}" + (f"  -o {profile['output']}" if profile.get("output") else ""))


_NAME = click.Argument(["name"])
GROUP = click.Group("profile", help="Servers under names: set, use, list, remove. The one in use is asked when nothing else is said.", commands={
    "set": click.Command("set", callback=_set, help="Give a server a name; the first one is in use at once.", params=[
        _NAME, click.Option(["url", "--url"], required=True, help="The server's address."),
        click.Option(["output", "-o", "--output"], type=click.Choice(FORMS), help="The form of its answers, where a command says none.")]),
    "use": click.Command("use", callback=_use, help="Ask this server from now on.", params=[_NAME]),
    "list": click.Command("list", callback=_list, help="The servers; the one in use has a star."),
    "remove": click.Command("remove", callback=_remove, help="Forget a server's name.", params=[_NAME]),
})
