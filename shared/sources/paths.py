"""Names of files as text, and back, without loss; and where a copy goes. Touches no file system.

A path in this product is relative, POSIX, and text that JSON, SQLite and PostgreSQL can hold. File names are bytes. So:

- a name that is UTF-8 is written as it is (spaces, quotes, newlines and all), except that a backslash is doubled;
- each byte that is not UTF-8 is written as a backslash, ``x`` and two hexadecimal digits: ``caf\\xe9.txt``.

``to_native`` undoes it exactly. There is no NUL in either form.
"""
from __future__ import annotations

import functools
import hashlib
import os
import re
from urllib.parse import quote_from_bytes

from shared.kernel.errors import Invalid

NAME_LIMIT_BYTES = 255
OWN_PREFIX = ".edgemere-"
# The extended attribute that a copy carries: the key of what it is a copy for.
COPY_MARK = "user.edgemere.key"

_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2})?")
# Most paths, and the quick way for them: parts without backslash and NUL, none of them "." or "..", none too long.
_PLAIN = re.compile(r"(?:(?!\.\.?(?:/|\Z))[^/\\\0]{1,255}(?:/|\Z))+(?<!/)", re.DOTALL).fullmatch
_TEXT_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\\\")


def bad_path(path: object, why: str) -> Invalid:
    """``source.bad_path``: the path cannot lie within a source."""
    shown = str(path)[:200].encode("utf-8", "backslashreplace").decode()
    return Invalid("source.bad_path", f"The path {shown!r} {why}.", next_step="Use a relative path such as scans/a.nii.")


def from_bytes(name: bytes) -> str:
    """The text of a file name, or of a whole path."""
    try:
        text = name.decode("utf-8")
        return text.replace("\\", "\\\\") if "\\" in text else text
    except UnicodeDecodeError:
        text = name.replace(b"\\", b"\\\\").decode("utf-8", "surrogateescape")
        return "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)


def to_bytes(path: str) -> bytes:
    """The bytes of a path as the file system holds them.

    Raises:
        Invalid: ``source.bad_path`` when it is empty, absolute, has ``..``, ``.``, empty or over-long parts, NUL, lone
            surrogates, or an escape that ``from_bytes`` does not write.
    """
    if not isinstance(path, str) or not path:
        raise bad_path(path, "is empty, or no text")
    if path.isascii() and _PLAIN(path):
        return path.encode()
    return _to_bytes(path)


@functools.lru_cache(maxsize=8192)
def _to_bytes(path: str) -> bytes:
    # The same few paths are asked for several times in a row, by every look at one item.
    try:
        raw = path.encode("utf-8")
    except UnicodeEncodeError:
        raise bad_path(path, "holds a character that is not text") from None
    if b"\\" in raw:
        if any(found.group(1) is None for found in _ESCAPE.finditer(path)):
            raise bad_path(path, "holds a backslash that escapes nothing; write it twice")
        raw = b"".join(_unescaped(piece) for piece in re.split(r"(\\\\|\\x[0-9a-f]{2})", path))
    if b"\0" in raw:
        raise bad_path(path, "holds a NUL byte")
    for part in raw.split(b"/"):
        if part in (b"", b".", b".."):
            raise bad_path(path, "is absolute, or has an empty part or one that is '.' or '..'")
        if len(part) > NAME_LIMIT_BYTES:
            raise bad_path(path, f"has a part of more than {NAME_LIMIT_BYTES} bytes")
    return raw


def _unescaped(piece: str) -> bytes:
    if piece == "\\\\":
        return b"\\"
    if piece.startswith("\\x"):
        return bytes([int(piece[2:], 16)])
    return piece.encode("utf-8")


def file_uri(native: bytes) -> str:
    """The ``file://`` URI of an absolute path."""
    return "file://" + quoted(native)


def quoted(native: bytes) -> str:
    """A path, or a part of one, as it stands in a URI."""
    return quote_from_bytes(native, safe="/-_.~!$&'()*+,;=:@")


def openable(native: bytes) -> str | None:
    """The absolute path as text that a program opens, or None when it is not UTF-8 and JSON cannot hold it."""
    try:
        return native.decode("utf-8")
    except UnicodeDecodeError:
        return None


def target_path(folder: str, path: str) -> str:
    """Where the copy of ``path`` goes below a target's root: in ``folder``, under a name that every program can open.

    Parts that are UTF-8 and short enough keep their names. Other parts become readable text with a hash of the real
    name, so that two sources' names never meet: ``caf\\xe9.txt`` becomes ``caf%e9~1f2e3d4c.txt``, and one of 300 bytes is
    shortened to at most 255. The result is a path in the form of this module.
    """
    parts = [_printable(part) for part in path.split("/")]
    return "/".join([_printable(folder.replace("/", "_").replace("\\", "\\\\")), *parts])


def moved_path(path: str) -> str:
    """Where data that is moved goes below a target's root: its own path, each part as ``target_path`` writes it."""
    return "/".join(_printable(part) for part in path.split("/"))


def _printable(part: str) -> str:
    escaped = any(found.group(1) for found in _TEXT_ESCAPE.finditer(part))
    plain = part.replace("\\\\", "\\") if not escaped else part
    if not escaped and len(plain.encode()) <= NAME_LIMIT_BYTES and not part.startswith(OWN_PREFIX) and part not in (".", ".."):
        return part
    readable = _TEXT_ESCAPE.sub(lambda found: f"%{found.group(1)}" if found.group(1) else "_", part)
    stem, suffix = os.path.splitext(readable)
    if len(suffix.encode()) > 32:
        stem, suffix = readable, ""
    mark = "~" + hashlib.blake2b(part.encode(), digest_size=6).hexdigest()
    room = NAME_LIMIT_BYTES - len(suffix.encode()) - len(mark)
    stem = stem.lstrip(".").encode()[:room].decode("utf-8", "ignore")
    return f"{stem}{mark}{suffix}"
