"""The files of the web page as HTTP answers: found once, compressed once, and said to be unchanged by their ETag.

Every address that is no file is the page itself: its views have addresses of their own, which a colleague can open.
Holds no view and no action.
"""
from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = "/web"
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
_KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".json": "application/json", ".png": "image/png",
}
_FOLDERS = ("app", "vendor")


@dataclass(frozen=True)
class File:
    """One file as it is sent: its media type, its bytes plain and compressed, and its strong ETag."""

    kind: str
    plain: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, kind: str, plain: bytes) -> File:
        return cls(kind, plain, gzip.compress(plain, 9, mtime=0), f'"{hashlib.sha256(plain).hexdigest()[:20]}"')


class Assets:
    """The files below ``/web``. ``made`` are files that are computed when they are first asked for, by their address."""

    def __init__(self, made: dict[str, Callable[[], bytes]] | None = None) -> None:
        self._made = made or {}
        self._files: dict[str, File | None] = {}

    def at(self, path: str) -> File | None:
        """The file at an address; the page for an address without an ending; None when there is nothing."""
        if path not in self._files and len(self._files) < 1000:
            self._files[path] = self._find(path)
        return self._files.get(path)

    def _find(self, path: str) -> File | None:
        if path in self._made:
            return File.of(_KINDS[Path(path).suffix], self._made[path]())
        parts = path.removeprefix(ROOT).strip("/").split("/")
        if parts[0] not in _FOLDERS:
            # A name in a view's address may have a dot; only a first word with one looks like a file.
            return None if "." in parts[0] else self.at_file(HERE / "index.html")
        found = HERE.joinpath(*parts)
        inside = all(part not in ("", ".", "..") and "\\" not in part for part in parts)
        return self.at_file(found) if inside and found.is_file() else None

    def at_file(self, file: Path) -> File | None:
        """A file of the page, or None when its ending is not one that is served."""
        kind = _KINDS.get(file.suffix)
        return File.of(kind, file.read_bytes()) if kind else None
