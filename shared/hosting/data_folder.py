"""The folder with all state of an embedded mesh: one server at a time, and of a format that this program knows."""
from __future__ import annotations

import fcntl
import os
from pathlib import Path

from shared.kernel.errors import Conflict, Invalid

FORMAT = 1
"""The generation of the folder's layout. Databases inside carry their own revisions; this number rises when an
older program must not even look into the folder."""


class DataFolder:
    """A data folder that this process holds until ``close`` (or its end, however it ends).

    ``DataFolder.open(path)`` makes it where it is missing. The lock is the kernel's, on the file ``server.lock``; the
    pid in that file is only for the refusal that the second one gets.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: str | os.PathLike) -> DataFolder:
        """Take the folder for this process.

        Raises:
            Conflict: ``data_folder.in_use``, naming the pid of the server that holds it.
            Invalid: ``data_folder.unusable`` when it cannot be made, read or written, or holds other things;
                ``data_folder.newer`` when a newer program has written it.
        """
        path = Path(path).absolute()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        folder = cls(path, lock)
        try:
            folder._take()
            folder._check_format()
        except BaseException:
            folder.close()
            raise
        return folder

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the folder go; a second time does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Conflict(
                "data_folder.in_use", f"Another server (pid {pid}) is running on the data folder {self.path}.",
                next_step="Use that server, stop it, or give this one a folder of its own with --data.",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _check_format(self) -> None:
        file = self.path / "FORMAT"
        try:
            text = file.read_text(encoding="ascii").strip() if file.exists() else None
            if text is None:
                self._write_format(file)
                return
            found = int(text)
        except OSError as error:
            raise _unusable(self.path, error) from error
        except ValueError:
            raise Invalid(
                "data_folder.unusable", f"The file {file} should hold a number; this is no data folder of edgemere.",
                next_step="Name another folder with --data.",
            ) from None
        if found > FORMAT:
            raise Invalid(
                "data_folder.newer",
                f"The data folder {self.path} was written by a newer edgemere (format {found}; this one knows up to "
                f"{FORMAT}).",
                next_step="Update edgemere, or name another folder with --data.",
            )

    def _write_format(self, file: Path) -> None:
        # Written whole or not at all: a folder must not look foreign because its first start was interrupted.
        new = file.with_suffix(".new")
        with open(new, "w", encoding="ascii") as out:
            out.write(f"{FORMAT}\n")
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, file)


def _unusable(path: Path, error: OSError) -> Invalid:
    return Invalid(
        "data_folder.unusable", f"The data folder {path} cannot be used: {error.strerror or error}.",
        next_step="Make it writable, or name another folder with --data.",
    )
