"""The port of a source: what every adaptor can do, and the shapes that pass through it.

A **path** is the place of one item within its source: relative, POSIX, as text that JSON and SQL can hold
(``paths.py`` says how a name that is not UTF-8 becomes text and back).

A source never leads out of itself: whatever the path, an adaptor reads and writes below its root only.
Imports no adaptor.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO, Protocol


@dataclass(frozen=True)
class SourcePolicy:
    """What the configuration allows a source to be; travels to the workers as JSON (``as_json``).

    ``allowed_roots``: folders that a ``file`` source may lie in; None allows any, [] none.
    ``forbidden_roots``: folders that it may neither be, lie in, nor contain (the orchestrator's own data).
    ``allowed_schemes``: of ``http`` sources. ``allowed_hosts``: host names, addresses, ``host:port``, or networks such
    as ``10.0.0.0/8`` that may be reached although they are internal; a public address needs no entry.
    ``secret_variables``: patterns of the environment variables that a source's parameters may name (``vault.py``).
    ``follow_links``: whether a link to a regular file inside the root counts as a file; links to folders never do.
    """

    allowed_roots: list[str] | None = None
    forbidden_roots: list[str] = field(default_factory=list)
    allowed_schemes: list[str] = field(default_factory=lambda: ["http", "https"])
    allowed_hosts: list[str] = field(default_factory=list)
    follow_links: bool = False
    secret_variables: list[str] = field(default_factory=lambda: ["EDGEMERE_SECRET_*"])

    def as_json(self) -> dict[str, Any]:
        """The policy as it stands in a worker's job, under ``policy``."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any] | None) -> SourcePolicy:
        """The policy that ``as_json`` wrote; unknown members are ignored, missing ones have their default."""
        known = {name: value for name, value in (body or {}).items() if name in cls.__dataclass_fields__}
        return cls(**known)


@dataclass(slots=True)
class Entry:
    """One item that a scan found.

    ``type`` is one of ``file dir object table stream``; ``size`` bytes or None; ``modified_at`` a stamp or None;
    ``checksum`` ``sha256:<hex>`` or None; ``tags`` a JSON object without NUL, lone surrogates, NaN and infinities;
    ``uri`` absolute, None where there are no bytes. ``fingerprint`` changes when anything that a catalogue keeps did.
    """

    path: str
    name: str
    type: str
    size: int | None
    media_type: str | None
    modified_at: str | None
    checksum: str | None
    tags: dict[str, Any]
    uri: str | None
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """The entry as it stands in a scan's batch: exactly these ten members."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Problem:
    """One thing that a scan could not use; the scan goes on. ``path`` names it, ``code`` is stable.

    Codes: ``source.unreadable`` (file or folder), ``source.link_skipped``, ``source.special_skipped`` (device, socket,
    pipe), ``source.bad_sidecar``, ``source.bad_row`` (of a listing), ``source.bad_tags``, ``source.too_many_tags``,
    ``source.unlisted`` (a listing names what is not there), ``source.unreachable`` and ``source.vanished`` (http).
    """

    path: str
    code: str
    detail: str

    def as_json(self) -> dict[str, Any]:
        return {"path": self.path, "code": self.code, "detail": self.detail}


@dataclass(slots=True)
class Stat:
    """What a source says about one item now.

    ``modified_ns`` is nanoseconds since 1970 (a file's), ``modified_at`` the stamp; ``etag`` a server's strong
    validator. Two equal Stats of one path mean that its bytes did not change, as far as the source can tell.
    """

    size: int | None
    modified_at: str | None = None
    modified_ns: int | None = None
    etag: str | None = None
    checksum: str | None = None

    def is_still(self, seen: Stat) -> bool:
        """Whether it is what was seen, as far as the source can tell: by its mark where it has one, else by its time."""
        if self.size != seen.size:
            return False
        if self.etag and seen.etag:
            return self.etag == seen.etag
        return None in (self.modified_at, seen.modified_at) or self.modified_at == seen.modified_at


class Source(Protocol):
    """One open source. Not safe for several threads unless its adaptor says so.

    Errors are EdgemereErrors: ``source.vanished`` (NotFound) for an item that is not there, ``source.unreadable``
    (Unavailable when another attempt can help, else Denied), ``source.bad_path`` (Invalid) for a path that would
    leave the root. Closing twice is not an error.
    """

    has_bytes: bool
    writable: bool
    deletable: bool

    def scan(self) -> Iterator[Entry | Problem]:
        """Every item once, in no promised order, with bounded memory; what cannot be used comes as a Problem.

        Raises:
            Invalid: ``source.bad_listing`` when a listing cannot be used at all, ``source.rootdir_missing``,
                ``source.rootdir_unreadable``; all of them before the first item is given.
        """

    def stat(self, path: str) -> Stat:
        """What the source says about ``path`` now."""

    def open(self, path: str, offset: int = 0) -> BinaryIO:
        """The bytes of ``path`` from ``offset`` on, unbuffered; the caller closes it.

        The object has ``stat`` (the Stat of what was opened, not of what lies at the path by then).
        """

    # A source whose data can be mounted from afar also has ``part(path, start, count, seen)``: as ``open``, a stretch of what was ``seen``. Raises
    # ``source.changed_during_copy``, at once or while it is read: that is not what is there any more.

    def locate(self, path: str) -> dict[str, str | None]:
        """``{"uri", "path"}``: what a program opens. ``path`` is None where there is none on this machine, and for a
        file name that is not UTF-8, which JSON cannot hold: its ``uri`` holds it percent-encoded."""

    def delete(self, path: str, seen: Stat) -> bool:
        """Delete what was ``seen`` at ``path``, for a move; False where it is gone already. Only of a source that is ``deletable``.

        Raises:
            Conflict: ``source.changed``: it is not what was seen, and stays.
        """

    def fingerprint(self, path: str) -> str | None:
        """What a scan that finds ``path`` now would give as its fingerprint. Only of a source that is ``writable``."""

    # A source that takes copies also has ``own()``: an iterator of ``{"path", "key", "size", "modified_ns", "place"}`` over what the product put
    # there, of a store over uploads alone (``place``: ``copy``, ``trash`` or ``part``; ``key``: whose, None where it cannot be told), for audits.

    def close(self) -> None:
        """Give back folders and connections."""
