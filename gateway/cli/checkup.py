"""What ``edgemere doctor`` looks at in a mesh that runs: its figures, clocks, versions, and who may come in.

Reads what each process tells at ``/metrics``: under a supervisor from the addresses in ``targets.json`` of the data folder, else
from the server alone, which in the embedded mesh tells of everything.
"""
from __future__ import annotations

import http.client
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.auth import is_loopback
from gateway.cli.exits import Failure
from gateway.cli.findings import Finding
from gateway.cli.text import bytes_text

TIMEOUT_S = 5.0
LAG_S = 60.0
SKEW_S = 2.0
DEEP = 10_000
LISTS = "/edgemere/diml/dml/do/datarequest/list?limit=1"

# {metric: [({label: value}, value)]}
Figures = Mapping[str, list[tuple[Mapping[str, str], float]]]


def running(config: Any, server: Any) -> Iterator[Finding]:
    """The findings about a mesh whose server answers."""
    figures = _figures(config, server)
    yield from _versions(figures)
    yield from _queues(figures)
    yield from _outboxes(figures)
    yield from _dead_letters(figures)
    yield from _clocks(figures, server)
    yield from _room(figures)
    yield from _sources(figures)
    yield from _strangers(server.url)


def _figures(config: Any, server: Any) -> Figures:
    """What all processes that can be reached tell, together."""
    from prometheus_client.parser import text_string_to_metric_families

    texts = []
    try:
        targets = [target for group in json.loads((Path(config.data_dir) / "targets.json").read_text()) for target in group["targets"]]
    except (OSError, ValueError, KeyError, TypeError):
        targets = []
    for target in targets:
        try:
            texts.append(_get(f"http://{target}", "/metrics")[1])
        except (OSError, http.client.HTTPException):
            continue
    if not texts:
        try:
            texts = [_get(server.url, "/metrics")[1]]
        except (OSError, http.client.HTTPException):
            texts = []
    found: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for text in texts:
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    found[sample.name].append((sample.labels, sample.value))
        except ValueError:
            # Something else than a server of ours answers there.
            continue
    return found


def _versions(figures: Figures) -> Iterator[Finding]:
    versions = sorted({labels["version"] for labels, _ in figures.get("edgemere_build_info", ())})
    if len(versions) > 1:
        yield Finding("versions", "warn", f"Processes of several versions run: {', '.join(versions)}.",
                      "That is fine during an upgrade; afterwards restart the older ones.")
    elif versions:
        yield Finding("versions", "ok", f"all processes have {versions[0]}")


def _queues(figures: Figures) -> Iterator[Finding]:
    unread = sorted({labels["queue"] for labels, value in figures.get("edgemere_queue_consumers", ()) if value == 0})
    deep = {labels["queue"]: value for labels, value in figures.get("edgemere_queue_messages", ()) if value > DEEP}
    if unread:
        yield Finding("queues", "fail", f"Nobody reads {', '.join(unread)}.", "Start the service that the queue is named after; see its log if it ends again.")
    for queue, depth in sorted(deep.items()):
        yield Finding("queues", "warn", f"{depth:.0f} messages wait in {queue}.", "Start more replicas of its service, or end one that hangs.")
    if not unread and not deep and figures.get("edgemere_queue_consumers"):
        yield Finding("queues", "ok", f"{len(figures['edgemere_queue_consumers'])} are read, none is deep")


def _outboxes(figures: Figures) -> Iterator[Finding]:
    late = {labels["service"]: value for labels, value in figures.get("edgemere_outbox_lag_seconds", ()) if value > LAG_S}
    for service, age_s in sorted(late.items()):
        yield Finding("outbox", "fail", f"{service} has messages that wait for {age_s:.0f} s.", "Look after the broker; they are published by themselves then.")
    if not late and figures.get("edgemere_outbox_lag_seconds"):
        yield Finding("outbox", "ok", "what was done is said")


def _dead_letters(figures: Figures) -> Iterator[Finding]:
    dead = {labels["queue"]: value for labels, value in figures.get("edgemere_dead_letters", ()) if value}
    if dead:
        yield Finding("dead letters", "warn", ", ".join(f"{value:.0f} of {queue}" for queue, value in sorted(dead.items())),
                      "edgemere do event dead list says why; mend that, then: edgemere do event dead replay --all")
    elif figures.get("edgemere_outbox_lag_seconds"):
        yield Finding("dead letters", "ok", "none")


def _clocks(figures: Figures, server: Any) -> Iterator[Finding]:
    apart = {labels["service"]: value for labels, value in figures.get("edgemere_clock_skew_seconds", ()) if abs(value) > SKEW_S}
    for service, skew_s in sorted(apart.items()):
        yield Finding("clocks", "warn", f"The clock of {service} is {abs(skew_s):.1f} s {'before' if skew_s > 0 else 'behind'} the database's.",
                      "Have the clocks set by NTP, then restart the processes of that machine.")
    try:
        date = server.ask("GET", "/health/live").headers.get("Date")
    except Failure:
        date = None
    if date:
        # The header has whole seconds.
        skew_s = time.time() - parsedate_to_datetime(date).timestamp()
        if not -SKEW_S < skew_s < SKEW_S + 1:
            yield Finding("clocks", "warn", f"This machine's clock is {skew_s:+.0f} s from the server's.", "Have both set by NTP.")
        elif not apart:
            yield Finding("clocks", "ok", "they agree")


def _room(figures: Figures) -> Iterator[Finding]:
    least = max((value for _, value in figures.get("edgemere_data_least_room_bytes", ())), default=0)
    free = min((value for _, value in figures.get("edgemere_data_free_bytes", ())), default=None)
    if free is not None and free < least:
        yield Finding("room", "fail", f"Only {bytes_text(int(free))} are left where the server keeps its state.", "Make room, or grow the file system.")


def _sources(figures: Figures) -> Iterator[Finding]:
    for labels, value in figures.get("edgemere_source_filled_ratio", ()):
        if value > 0.9:
            yield Finding("sources", "warn", f"{labels['source']} has {value:.0%} of its {labels['kind']} in use.",
                          f"edgemere fmdm datasource reap --id {labels['source']} says what would go; or raise its capacity.")


def _strangers(url: str) -> Iterator[Finding]:
    """Whether somebody without credentials is answered on an address that others reach."""
    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        return
    try:
        status, _ = _get(url, LISTS)
    except (OSError, http.client.HTTPException):
        return
    if status == 200:
        yield Finding("strangers", "fail", f"{url} answers whoever asks, without a key.", "Switch authentication on, or listen on 127.0.0.1.")
    else:
        yield Finding("strangers", "ok", f"a call without a key is refused ({status})")


def _get(url: str, path: str) -> tuple[int, str]:
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
