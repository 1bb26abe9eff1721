"""The messages: every event of the product, where it goes and what it means. One table; the docs are made from it."""
from __future__ import annotations

from dataclasses import dataclass

from shared.nets import NETS

PUBLIC = "public"
INTERNAL = "internal"


@dataclass(frozen=True)
class Event:
    """One message. ``exchange`` is ``public`` (``edgemere.events``) or ``internal`` (among the services)."""

    name: str
    noun: str
    service: str
    about: str
    exchange: str = PUBLIC
    version: int = 1

    @property
    def schema(self) -> str:
        """What its body is called, with its version: the ``dataschema`` of CloudEvents. A member more is no new version."""
        return f"urn:edgemere:{self.name}:{self.version}"


OWNERS = {
    "datareference": "requests", "datarequest": "requests", "datareservation": "reservations",
    "datainstance": "instances", "datasource": "catalog", "data": "catalog",
}


def _of_class(noun: str) -> list[Event]:
    service = OWNERS[noun]
    events = [
        Event(f"{noun}.create", noun, service, f"A {noun} was created."),
        Event(f"{noun}.updated", noun, service, f"Attributes or associations of a {noun} changed."),
        Event(f"{noun}.destroy", noun, service, f"A {noun} was destroyed."),
    ]
    if noun in NETS:
        net = NETS[noun]
        events += [Event(f"{noun}.{state.lower()}", noun, service, f"A {noun} entered the state {state}.")
                   for state in net.states if state not in (net.initial, "Destroyed")]
    return events


EVENTS: dict[str, Event] = {event.name: event for event in [
    *(event for noun in OWNERS for event in _of_class(noun)),
    Event("datarequest.waiting", "datarequest", "requests", "A request cannot go on now and says what it waits for."),
    Event("datainstance.expiring", "datainstance", "instances", "The lifetime of an instance ends soon; renewed or pinned, it stays."),
    Event("datareference.better_available", "datareference", "requests",
          "The same bytes would cost less elsewhere; `better` says where, and how much it saves."),
    Event("instances.settled", "datarequest", "instances",
          "All instances of one attempt of a request are Ready, or one is Broken.", INTERNAL),
    Event("instances.gone", "datarequest", "instances",
          "Instances of a request were destroyed before its end.", INTERNAL),
    Event("instances.counted", "datarequest", "instances",
          "How many instances a request has, and how long they live.", INTERNAL),
    Event("capacity.freed", "datasource", "catalog", "Room came free, or data appeared, at a source.", INTERNAL),
    Event("deadletter.kept", "datarequest", "events", "A step of a request was tried and is a dead letter: the request waits for it.", INTERNAL),
    Event("apikey.changed", "apikey", "events",
          "A key of yours was made, renewed or ended, or opened the page at a new place; `identity show` says by whom and from where."),
    Event("apikey.revoked", "apikey", "events", "A key works no longer as it did: revoked, or with another secret.", INTERNAL),
    Event("audit.changed", "auditentry", "events", "A call has changed something, or was given restricted data to read; written with it.", INTERNAL),
    Event("budget.freed", "datarequest", "reservations", "Something of a budget may be spent again.", INTERNAL),
]}

SENT_BY = "do.event.send"
"""The row that dispatches a handled message on somebody's behalf."""

HANDLED = {
    "datareference.provisioning": "instances.create",
    "datarequest.needed": "reservations.reserve",
    "datarequest.selected": "reservations.evaluate",
}
