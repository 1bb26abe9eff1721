"""One scan: walks an adaptor's items into batches, with progress, problems and a count of everything."""
from __future__ import annotations

import time
from collections import Counter
from typing import Any

from shared.hosting.worker_loop import Job
from shared.sources.port import Entry, SourcePolicy
from shared.sources.registry import open_source

BATCH = 500
BATCH_S = 0.25
BATCH_TAGS = 20_000
PROGRESS_S = 0.5
PROBLEM_LIMIT = 1_000


def scan(job: Job) -> None:
    """Run the job to its ``done``.

    Raises:
        EdgemereError: the source cannot be scanned at all.
    """
    source = open_source(job.body["adaptor"], job.body.get("parameters") or {}, SourcePolicy.from_json(job.body.get("policy")))
    try:
        walk(job, source).done()
    finally:
        source.close()


def walk(job: Job, source: Any) -> Report:
    """Tell of every item of a source; the caller says when it is done."""
    report = Report(job)
    for item in source.scan():
        if job.cancelled:
            break
        if isinstance(item, Entry):
            report.entry(item)
        else:
            report.problem(item.as_json())
    return report


class Report:
    """What is not yet said, and what was counted."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._known: dict[str, str] = job.body.get("known") or {}
        self._entries: list[dict[str, Any]] = []
        self._problems: list[dict[str, Any]] = []
        self._codes: Counter[str] = Counter()
        self._files = self._bytes = self._unchanged = self._tags = 0
        self._batch_due = self._progress_due = time.monotonic() + BATCH_S

    def entry(self, entry: Entry) -> None:
        self._files += 1
        self._bytes += entry.size or 0
        if self._known and self._known.get(entry.path) == entry.fingerprint:
            self._unchanged += 1
            self._entries.append({"path": entry.path, "unchanged": True})
        else:
            self._entries.append(entry.as_json())
            self._tags += len(entry.tags)
        if len(self._entries) >= BATCH or self._tags >= BATCH_TAGS or self._files % 64 == 0:
            self._flush_if_due(entry.path)

    def problem(self, problem: dict[str, Any]) -> None:
        self._codes[problem["code"]] += 1
        if self._codes.total() <= PROBLEM_LIMIT:
            self._problems.append(problem)

    def _flush_if_due(self, path: str) -> None:
        now = time.monotonic()
        if len(self._entries) >= BATCH or self._tags >= BATCH_TAGS or now >= self._batch_due:
            self._flush()
            self._batch_due = time.monotonic() + BATCH_S
        if now >= self._progress_due:
            self._progress_due = now + PROGRESS_S
            self._job.send(progress={"files": self._files, "bytes": self._bytes, "folder": path.rpartition("/")[0],
                                     "elapsed_s": self._job.elapsed_s})

    def _flush(self) -> None:
        if self._problems:
            self._job.send(problems=self._problems)
            self._problems = []
        if self._entries:
            self._job.send_in_turn(entries=self._entries)
            self._entries, self._tags = [], 0

    def done(self) -> None:
        """Say what is left, and the end."""
        if not self._job.cancelled:
            self._flush()
        self._job.send(done={
            "files": self._files, "bytes": self._bytes, "problems": self._codes.total(), "problem_codes": dict(self._codes),
            "unchanged": self._unchanged, "elapsed_s": self._job.elapsed_s, "cancelled": self._job.cancelled,
        })
