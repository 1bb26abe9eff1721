"""How data is mounted: by a link to where it lies on this machine, by FUSE, or not at all, which is read through the server.

The one place that decides it: what is planned with is what happens. Reads nothing.
"""
from __future__ import annotations

LINK, FUSE, READ_THROUGH = "link", "fuse", "read_through"
# What lies elsewhere and can be read from any place in it.
FAR = ("fsspec", "http")
UNKNOWN = "Whether there is FUSE is not known yet."
NO_SIZE = "Its source does not say how long it is, and a file has a length."


def via(adaptor: str | None, size: int | None, no_fuse: str | None) -> tuple[str, str | None]:
    """How data of this size is mounted from a source of this kind, and why not by FUSE where it is read through the server.

    ``no_fuse`` says why there is no FUSE; None where there is.
    """
    if adaptor == "file":
        return LINK, None
    if adaptor not in FAR:
        return READ_THROUGH, f"Data of the adaptor {adaptor} has no bytes that could be read from the middle."
    why = no_fuse or (NO_SIZE if size is None else None)
    return (FUSE, None) if why is None else (READ_THROUGH, why)
