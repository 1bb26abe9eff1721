"""What is copied, looked at on its way: its kind by its first bytes, and by a scanner for malware. Reads nothing itself.

The bytes are those that are read for the copy anyway, and are judged before it gets its name. What the job asks for is in ``inspect``:
``{"types": off|warn|refuse, "scanner": address or "", "scanner_timeout_s", "scanner_max_bytes", "above": refuse|pass, "in_place"}``.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from services.instances.mover import file_types
from services.instances.mover.scanner import Scan, TooLarge
from shared.kernel.errors import Conflict

if TYPE_CHECKING:
    from services.instances.mover.work import Work

CLEAN, TOO_LARGE = "clean", "too_large"
FITS, UNKNOWN, UNLIKE = "as_named", "unknown", "unlike"
BOUNDS = "is larger, or has more packed in it, than the scanner looks at (its StreamMaxLength, MaxFileSize, MaxScanSize and the like)"
_WORST = {"types": (UNLIKE, UNKNOWN, FITS), "scanner": (TOO_LARGE, CLEAN)}


def is_wanted(asked: Mapping[str, Any] | None) -> bool:
    """Whether a job asks for any inspection."""
    return bool(asked) and (asked["types"] != "off" or bool(asked["scanner"]))


class Inspection:
    """Of the bytes of one data; a context, at whose end the scanner is let go.

    ``size``: what its source says, or None. Raises from the first byte on, so that nothing is copied in vain:

    Raises:
        Conflict: ``data.type_mismatch``, ``data.malicious``, ``data.not_scanned``: no further attempt can help.
        Unavailable: ``scanner.unavailable``.
    """

    def __init__(self, work: Work, item: Mapping[str, Any], size: int | None) -> None:
        self._work, self._item, self._asked = work, item, work.inspect
        self._head: bytes | None = b"" if self._asked["types"] != "off" else None
        self._found: dict[str, Any] = {}
        self._scan: Scan | None = None
        self._count = 0
        if self._asked["scanner"]:
            if (size or 0) > self._asked["scanner_max_bytes"]:
                self._is_too_large(f"has {size:,} bytes, and no more than {self._asked['scanner_max_bytes']:,} are scanned")
            else:
                self._scan = Scan(self._asked["scanner"], self._asked["scanner_timeout_s"], work.check)

    def __enter__(self) -> Inspection:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def feed(self, piece: bytes | memoryview) -> None:
        """The next bytes, in order."""
        if self._head is not None and len(self._head) < file_types.HEAD:
            self._head += bytes(piece[:file_types.HEAD - len(self._head)])
            if len(self._head) == file_types.HEAD:
                self._judge_type()
        if self._scan is None:
            return
        self._count += len(piece)
        if self._count > self._asked["scanner_max_bytes"]:
            self._is_too_large(f"has more than the {self._asked['scanner_max_bytes']:,} bytes that are scanned")
            return
        try:
            self._scan.feed(piece)
        except TooLarge:
            self._is_too_large(BOUNDS)

    def end(self, checksum: str) -> None:
        """All of it was read: judge it, and note for its result what was found. ``checksum`` tells replicas with other bytes."""
        if self._head is not None and len(self._head) < file_types.HEAD:
            self._judge_type()
        if self._scan is not None:
            try:
                found = self._scan.verdict()
            except TooLarge:
                self._is_too_large(BOUNDS)
            else:
                if found is not None:
                    raise Conflict("data.malicious", f"The scanner found '{found}' in '{self._item['path']}'; nothing of it was kept.",
                                   next_step="Look at the data where it comes from. Of a false alarm tell whoever runs the scanner, then try again.",
                                   finding=found, checksum=checksum)
                self._found["scanner"] = CLEAN
        self._work.was_inspected(self._item, self._found)

    def _judge_type(self) -> None:
        head = self._head or b""
        other = file_types.unlike(self._item["path"], self._item.get("media_type"), head)
        if other is None:
            self._found["types"] = UNKNOWN if file_types.named(self._item["path"], self._item.get("media_type")) is None else FITS
            return
        said, is_one = other
        if self._asked["types"] == "refuse":
            raise Conflict("data.type_mismatch", f"'{self._item['path']}' is named as {said}, but its first bytes are those of {is_one}.",
                           next_step="Look at the data where it comes from, and give it the name of what it is.", finding=is_one)
        self._found |= {"types": UNLIKE, "warning": f"'{self._item['path']}' is named as {said}, but its first bytes are those of {is_one}."}

    def _is_too_large(self, why: str) -> None:
        self._let_go()
        if self._asked["above"] == "refuse":
            raise Conflict("data.not_scanned", f"'{self._item['path']}' {why}.",
                           next_step="Ask whoever runs the server: instances.inspect.scanner_max_bytes, and the bounds of the scanner itself.")
        self._found["scanner"] = TOO_LARGE

    def _let_go(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None


class _Nothing:
    """Where nothing is asked for."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def feed(self, piece: bytes | memoryview) -> None:
        return None

    def end(self, checksum: str) -> None:
        return None


NOTHING = _Nothing()


def inspection(work: Work, item: Mapping[str, Any], size: int | None) -> Inspection | _Nothing:
    """The inspection that the job asks for."""
    return NOTHING if work.inspect is None else Inspection(work, item, size)


def in_place(work: Work, item: Mapping[str, Any], size: int | None) -> Inspection | _Nothing:
    """The same of data that stays where it is; nothing, unless the job asks for that, too."""
    return Inspection(work, item, size) if work.inspects_in_place else NOTHING


def whole(work: Work, item: Mapping[str, Any], content: bytes, checksum: str) -> None:
    """Inspect data that is in memory. Raises as ``Inspection``."""
    with inspection(work, item, len(content)) as looks:
        looks.feed(content)
        looks.end(checksum)


def together(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was found in several, as of one: the worst of each."""
    one: dict[str, Any] = {name: next(word for word in words if word in said) for name, words in _WORST.items()
                           if (said := {each[name] for each in found if name in each})}
    warnings = [each["warning"] for each in found if "warning" in each]
    return one | ({"warning": warnings[0]} if warnings else {})
