"""How amounts are said in sentences: in units that people read, and never so rounded that two that differ read the same."""
from __future__ import annotations

UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def bytes_said(size: float) -> str:
    """``1 byte``, ``41 bytes``, ``1 GiB``; of what is no whole number of its unit the exact number, too: ``3.9 KiB (4000 bytes)``."""
    exact = f"{int(size)} byte{'' if int(size) == 1 else 's'}"
    place = min((int(abs(size)).bit_length() - 1) // 10, len(UNITS))
    if place < 1:
        return exact
    # What would be written as 1024.0 is one of the next unit.
    place = min(place + (round(size / 1024 ** place, 1) >= 1024), len(UNITS))
    whole, rest = divmod(int(size), 1024 ** place)
    unit = UNITS[place - 1]
    return f"{size / 1024 ** place:.1f} {unit} ({exact})" if rest else f"{whole} {unit}"
