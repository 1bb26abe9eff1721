"""``read``: the bytes of one item to whoever asked, over a socket of its own; JSON lines are no way for bytes."""
from __future__ import annotations

import socket
from typing import Any

from services.instances.mover.looking import read, source_of
from services.instances.mover.work import Work
from shared.hosting.worker_loop import Job
from shared.sources.folder_archive import FolderArchive

CHUNK = 1 << 20
TIMEOUT_S = 60


def read_out(job: Job) -> None:
    """Say how large the item is, connect to the abstract socket ``to``, hear ``<first> <count>`` (-1: to the end), and send that.

    Raises:
        EdgemereError: the item cannot be opened; nothing was connected.
    """
    with Work(job) as work:
        item, = work.items()
        source, path = source_of(work, item), item["path"]
        # A table has a size when it is exported, a folder when it is packed; what was exported is what is sent.
        exported: Any = FolderArchive(source, path) if item.get("packed") else source.open(path) if getattr(source, "exports", False) else None
        size = exported.size if exported is not None else source.stat(path).size
        job.send(opened={"size": size})
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(TIMEOUT_S)
            line.connect("\0" + job.body["to"])
            first, count = map(int, line.makefile("rb", buffering=0).readline(64).split())
            if exported is not None:
                exported.seek(first)
            with exported or source.open(path, first) as stream:
                while count and (piece := read(stream, min(CHUNK, count) if count > 0 else CHUNK, path)):
                    work.check()
                    line.sendall(piece)
                    count -= len(piece) if count > 0 else 0
        work.done()
