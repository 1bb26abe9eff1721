"""What the gateway holds for the audit log while nobody takes it: bounded, and what goes is counted."""
from __future__ import annotations

import threading

from gateway.callers import record
from gateway.metrics import Metrics
from shared.kernel.context import Context
from shared.kernel.errors import Unavailable
from tests.support.awaiting import until


class Away:
    """A mesh whose service ``events`` is away until it is ``back``; keeps what it was told."""

    def __init__(self) -> None:
        self.back, self.told = threading.Event(), []

    def call(self, service, method, *, entries, **_):
        if not self.back.is_set():
            raise Unavailable("events.unavailable", "It is away.")
        self.told += entries


def test_what_is_held_for_the_audit_log_is_bounded_however_it_comes_and_what_goes_is_counted(monkeypatch):
    for name, value in (("HELD", 100), ("BATCH", 10), ("_PAUSES_S", (0.01,)), ("EVERY_S", 0.01)):
        monkeypatch.setattr(record, name, value)
    away = Away()
    kept, metrics = record.Record(away), Metrics()
    metrics.counter("edgemere_audit_lost", "Lost.", lambda: kept.lost)
    assert b"edgemere_audit_lost_total 0.0" in metrics.text() and b"# TYPE edgemere_audit_lost_total counter" in metrics.text()
    for number in range(250):
        kept.answered(Context(owner="ann", correlation_id=str(number)), 201, "ok")
    # A batch that is on its way may come back.
    until(lambda: kept.lost + kept.waiting == 250 and kept.waiting <= 110)
    # Refused logins wait apart for a moment and then join the others: here from a thousand places.
    for number in range(1000):
        kept.refused(f"10.0.{number >> 8}.{number & 255}", "key.wrong", "r")
    until(lambda: kept.lost + kept.waiting == 1250 and kept.waiting <= 110)
    assert f"edgemere_audit_lost_total {float(kept.lost)}".encode() in metrics.text()
    left = 1250 - kept.lost
    away.back.set()
    kept.close()
    assert len(away.told) == left and kept.waiting == 0


def test_each_login_is_written_at_once_and_then_once_in_a_while_with_how_often_it_came(monkeypatch):
    for name, value in (("EVERY_S", 0.01), ("LOGINS_EVERY_S", 0.4), ("LOGINS_KEPT", 50)):
        monkeypatch.setattr(record, name, value)
    there = Away()
    there.back.set()
    kept = record.Record(there)

    def told(address):
        return [(line["kind"], line["owner"], line["credential"], line["outcome"], line["count"]) for line in there.told if line["address"] == address]

    here, elsewhere = (Context(owner="ann", credential="akey_1", address=f"10.0.0.{number}") for number in (1, 2))
    kept.came(here, "call-1")
    until(lambda: told("10.0.0.1") == [("login", "ann", "akey_1", "ok", 1)])
    assert there.told[0]["correlation_id"] == "call-1"
    for number in range(7):
        kept.came(here, f"later-{number}")
    kept.came(elsewhere, "call-2")
    until(lambda: told("10.0.0.2") == [("login", "ann", "akey_1", "ok", 1)])
    until(lambda: told("10.0.0.1")[1:] == [("login", "ann", "akey_1", "ok", 7)])
    # However many places they come from: none is forgotten without its line, and the end of the gateway writes what is left.
    for number in range(200):
        for _ in "12":
            kept.came(Context(owner="ben", credential=f"akey_{number}", address="10.0.0.3"), "flood")
    kept.close()
    assert sum(line["count"] for line in there.told if line["address"] == "10.0.0.3") == 400 and kept.waiting == 0
