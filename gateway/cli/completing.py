"""What a parameter may be, while it is typed: names from the server, states of the net, messages.

Without a server, or with one that takes its time, there are no names: whoever types is never held up.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem
from marshmallow import fields

from gateway.cli import profiles
from gateway.cli.client import Server
from gateway.cli.exits import Failure
from gateway.cli.logins import credential_for
from shared.contracts import table
from shared.contracts.action import Action, schema_of
from shared.contracts.event import EVENTS, PUBLIC
from shared.contracts.fields import Expression, Ref, RefOrInline
from shared.nets import NETS

PATIENCE_S = 0.7
_MOST = 50
# What a parameter of this name names, where that is not the class of the action itself.
_NAMED = {
    "request": "datarequest", "reference": "datareference", "data_reference": "datareference", "dataref": "datareference",
    "source": "datasource", "target": "datasource",
}
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completer_of(row: Action, name: str) -> Completer | None:
    """What completes this parameter of the row, if anything can."""
    field = schema_of(row.parameters).fields[name]
    if name == "state" and row.noun in NETS:
        return _among(NETS[row.noun].states)
    if name == "event":
        return _among(tuple(name for name, event in EVENTS.items() if event.exchange == PUBLIC))
    noun = _NAMED.get(name)
    if noun is None and (isinstance(field, (Ref, RefOrInline)) or (name in ("attr1", "name") and isinstance(field, (Expression, fields.String)))):
        noun = row.noun
    lists = next((one for one in table.ACTIONS.values() if one.noun == noun and one.path[-1] == "list"), None)
    # A name that is being given to something new is nobody's yet.
    if lists is None or row.creates and name == "name":
        return None
    return _named(lists)


def _among(words: tuple[str, ...]) -> Completer:
    return lambda context, parameter, typed: [CompletionItem(word) for word in words if word.lower().startswith(typed.lower())]


def _named(lists: Action) -> Completer:
    def names(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        asked: dict[str, Any] = {"limit": _MOST, "sort": "-updated_at"} if "sort" in schema_of(lists.parameters).fields else {}
        if typed:
            asked["attr1"] = {"name": {"$prefix": typed}}
        try:
            server = profiles.settings(context.params.get("url"), context.params.get("profile"))
            credential = credential_for(server["url"], server.get("profile", ""))
            found = Server(server["url"], PATIENCE_S, credential=credential).call(lists, asked).body["items"]
        except (Failure, KeyError, TypeError):
            return []
        return [CompletionItem(item["name"], help=item.get("state")) for item in found if item.get("name")]

    return names
