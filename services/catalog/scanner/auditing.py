"""The worker's part of an audit: everything that lies in a source, what of it is the product's own, and a second look at some.

Writes nothing. ``audit`` says what ``scan`` says, and then batches ``{"own": [{path, key, size, modified_ns, place}]}`` where the
source takes copies. ``look`` answers ``{"looked": [{path, there}]}``; ``there`` is None where it cannot be told. ``read`` answers
``{"read": [{path, checksum}]}``, None for what cannot be read, and ``{"reading": path}`` every second meanwhile.
"""
from __future__ import annotations

import hashlib
import time
from typing import Any

from services.catalog.scanner.scanning import BATCH, walk
from shared.hosting.worker_loop import Job
from shared.kernel.errors import EdgemereError
from shared.sources.port import SourcePolicy
from shared.sources.registry import open_source


PIECE = 1 << 20


def audit(job: Job) -> None:
    """Walk the source, then what is the product's own in it. Raises EdgemereError: it cannot be looked at at all."""
    source = _opened(job)
    try:
        report = walk(job, source)
        own = getattr(source, "own", None)
        batch: list[dict[str, Any]] = []
        for one in own() if own and source.writable and not job.cancelled else ():
            batch.append(one)
            if len(batch) >= BATCH:
                job.send_in_turn(own=batch)
                batch = []
            if job.cancelled:
                break
        if batch:
            job.send_in_turn(own=batch)
        report.done()
    finally:
        source.close()


def look(job: Job) -> None:
    """Whether something is at each of ``paths``."""
    source = _opened(job)
    try:
        paths = job.body["paths"]
        for start in range(0, len(paths), BATCH):
            job.send(looked=[{"path": path, "there": _there(source, path)} for path in paths[start:start + BATCH]])
        job.send(done={"cancelled": job.cancelled})
    finally:
        source.close()


def read(job: Job) -> None:
    """The checksum of what is at each of ``paths``, every byte of it read."""
    source = _opened(job)
    try:
        for path in job.body["paths"]:
            job.send(read=[{"path": path, "checksum": _checksum(job, source, path)}])
            if job.cancelled:
                break
        job.send(done={"cancelled": job.cancelled})
    finally:
        source.close()


def _checksum(job: Job, source: Any, path: str) -> str | None:
    digest, said = hashlib.sha256(), time.monotonic()
    try:
        with source.open(path) as stream:
            while (piece := stream.read(PIECE)) and not job.cancelled:
                digest.update(piece)
                if time.monotonic() - said > 1:
                    said = time.monotonic()
                    job.send(reading=path)
    except (EdgemereError, OSError):
        return None
    return "sha256:" + digest.hexdigest()


def _opened(job: Job) -> Any:
    return open_source(job.body["adaptor"], job.body.get("parameters") or {}, SourcePolicy.from_json(job.body.get("policy")))


def _there(source: Any, path: str) -> bool | None:
    try:
        source.stat(path)
    except EdgemereError as error:
        return False if error.code in ("source.vanished", "source.bad_path") else None
    return True
