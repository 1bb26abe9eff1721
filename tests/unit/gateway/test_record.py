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
