"""Ids: ULIDs with a class prefix, such as ``dreq_01JD3Z6K8Q4N5W7X9Y2B3C4D5E``.

A ULID (https://github.com/ulid/spec) is 48 bits of milliseconds and 80 further bits, in 26 characters of
Crockford's base 32, so that the order of the text is the order of creation.
"""
from __future__ import annotations

import hashlib
import os
import re
import threading
import time

from shared.kernel.clock import parse_time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

PREFIXES = {
    "datareference": "dref",
    "datarequest": "dreq",
    "datareservation": "dres",
    "datainstance": "dins",
    "datasource": "dsrc",
    "data": "data",
    "scan": "scan",
    "operation": "oper",
    "event": "evnt",
    "deadletter": "dead",
    "policy": "dpol",
    "apikey": "akey",
    "auditentry": "audt",
}
NOUNS = {prefix: noun for noun, prefix in PREFIXES.items()}

_SHAPE = re.compile(r"^([a-z]{4})_([0-7][0-9A-HJKMNP-TV-Z]{25})$")
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_lock = threading.Lock()
_last = [0, 0]


_ALL_BITS, _HASH_BITS = range(120, -1, -10), range(70, -1, -10)


def _encode(value: int, shifts: range = _ALL_BITS) -> str:
    # Pairs of 5+5 bits; two characters at a time halves the work when ids are made by the ten thousand.
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in shifts])


def new_id(noun: str) -> str:
    """A new id for an object of the class ``noun``; ids made by one process rise strictly."""
    with _lock:
        now = int(time.time() * 1000)
        if now > _last[0]:
            _last[0], _last[1] = now, int.from_bytes(os.urandom(10), "big") >> 1
        else:
            _last[1] += 1
        value = (_last[0] << 80) | _last[1]
    return f"{PREFIXES[noun]}_{_encode(value)}"


def derived_id(noun: str, parent_id: str, *key: object) -> str:
    """The id that this ``key`` has under ``parent_id``: the same arguments give the same id.

    Work that is repeated after a crash makes the same ids again, so that its second run finds the rows of
    the first instead of doubling them. The time part is the parent's, the rest a hash of parent and key.
    """
    time_part = parent_id.split("_", 1)[1][:10]
    text = "\x1f".join([noun, parent_id, *map(str, key)])
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    return f"{PREFIXES[noun]}_{time_part}{_encode(int.from_bytes(digest, 'big'), _HASH_BITS)}"


def first_id(noun: str, stamp: str) -> str:
    """What no id of this class made at ``stamp`` or later is less than; a derived id counts by the time of its parent."""
    value = max(0, int(parse_time(stamp).timestamp() * 1000)) << 80
    return f"{PREFIXES[noun]}_{_encode(value)}"


def noun_of(text: object) -> str | None:
    """The class whose ids look like ``text``, or None when it is not an id."""
    match = _SHAPE.match(text) if isinstance(text, str) else None
    return NOUNS.get(match.group(1)) if match else None


def is_id(text: object, noun: str | None = None) -> bool:
    """Whether ``text`` has the shape of an id (of ``noun``, when given)."""
    found = noun_of(text)
    return found is not None and (noun is None or found == noun)


def with_noun(object_id: str, noun: str) -> str:
    """The id with the same ULID in another class: an operation has the ULID of what it follows."""
    return f"{PREFIXES[noun]}_{object_id.split('_', 1)[1]}"
