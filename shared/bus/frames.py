"""AMQP 0-9-1 messages as the bytes of their frames. py-amqp writes and reads each value by itself, which costs more than all else about a small message.

What is unusual in a table is left to py-amqp's own functions; what is written here it reads, and the other way round.
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from amqp import serialization

from shared.bus.message import Message

METHOD, HEADER, BODY = 1, 2, 3
END, LAST = b"\xce", 0xCE
PUBLISH, DELIVER = b"\x00\x3c\x00\x28", b"\x00\x3c\x00\x3c"
# What is around the payload of a frame.
AROUND = 8
NAMES = 1024

_frame = Struct(">BHI")
_content = Struct(">HHQH")
_long = Struct(">I")
_kind = Struct(">cI").pack
_tag = Struct(">QB")
_WORDS = ((0x0400, "correlation_id"), (0x0200, "reply_to"), (0x0100, "expiration"), (0x0080, "message_id"))
_REST = 0x007F
_TEXT = ord("S")


def published(channel: int, message: Message, frame_max: int, *, mandatory: bool = False) -> bytes:
    """The frames with which a message is published on a channel.

    Raises:
        ValueError: an exchange, a routing key or a property of more than 255 bytes.
    """
    method = b"%b\x00\x00%b%b%c" % (PUBLISH, _short(message.exchange), _short(message.routing_key), mandatory)
    header = _header(message)
    parts = [_frame.pack(METHOD, channel, len(method)), method, END, _frame.pack(HEADER, channel, len(header)), header, END]
    body, piece = message.body, frame_max - AROUND
    for start in range(0, len(body), piece):
        part = body[start:start + piece] if len(body) > piece else body
        parts += (_frame.pack(BODY, channel, len(part)), part, END)
    return b"".join(parts)


def _header(message: Message) -> bytes:
    flags, parts = 0x3800, [b""]
    if message.content_type is not None:
        flags |= 0x8000
        parts.append(_short(message.content_type))
    if message.content_encoding is not None:
        flags |= 0x4000
        parts.append(_short(message.content_encoding))
    parts += (table(message.headers), b"\x02\x00" if message.persistent else b"\x01\x00")
    expiration = None if message.expires_s is None else str(max(0, int(message.expires_s * 1000)))
    for flag, value in ((0x0400, message.correlation_id), (0x0200, message.reply_to), (0x0100, expiration), (0x0080, message.id)):
        if value is not None:
            flags |= flag
            parts.append(_short(value))
    parts[0] = _content.pack(60, 0, len(message.body), flags)
    return b"".join(parts)


def table(values: Mapping[str, Any]) -> bytes:
    """A table of headers."""
    parts = [b""]
    for name, value in values.items():
        if type(value) is str:
            raw = value.encode("utf-8", "surrogatepass")
            parts += (_name(name), _kind(b"S", len(raw)), raw)
        elif type(value) is bool:
            parts += (_name(name), b"t\x01" if value else b"t\x00")
        else:
            # What py-amqp writes of a table that has nothing else, without its length.
            parts.append(serialization.dumps("F", [{name: value}])[4:])
    parts[0] = _long.pack(sum(map(len, parts)))
    return b"".join(parts)


@lru_cache(NAMES)
def _name(name: str) -> bytes:
    return _short(name)


def _short(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"%c%b" % (len(raw), raw) if len(raw) < 256 else _too_long(text)


def _too_long(text: str) -> bytes:
    raise ValueError(f"AMQP has no room for more than 255 bytes in '{text[:40]}…'")


def delivered(method: bytes) -> tuple[str, int, bool, str, str]:
    """What the method frame of a delivery says: consumer tag, delivery tag, whether it is redelivered, exchange and routing key."""
    at = 5 + method[4]
    consumer = method[5:at].decode("utf-8", "surrogatepass")
    tag, again = _tag.unpack_from(method, at)
    at += 10
    end = at + method[at - 1]
    exchange = method[at:end].decode("utf-8", "surrogatepass")
    return consumer, tag, bool(again & 1), exchange, method[end + 1:end + 1 + method[end]].decode("utf-8", "surrogatepass")


def properties(header: bytes) -> tuple[int, dict[str, Any]]:
    """What the header frame of a message says: the length of its body, and its properties by their AMQP names."""
    _, _, size, flags = _content.unpack_from(header)
    if flags & _REST:
        return size, serialization.decode_properties_basic(header, 12)[0]
    found: dict[str, Any] = {}
    at = _content.size
    for flag, name in ((0x8000, "content_type"), (0x4000, "content_encoding")):
        if flags & flag:
            end = at + 1 + header[at]
            found[name] = header[at + 1:end].decode("utf-8", "surrogatepass")
            at = end
    if flags & 0x2000:
        found["application_headers"], at = _read_table(header, at)
    for flag, name in ((0x1000, "delivery_mode"), (0x0800, "priority")):
        if flags & flag:
            found[name] = header[at]
            at += 1
    for flag, name in _WORDS:
        if flags & flag:
            end = at + 1 + header[at]
            found[name] = header[at + 1:end].decode("utf-8", "surrogatepass")
            at = end
    return size, found


def _read_table(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    start = at + 4
    end = start + _long.unpack_from(raw, at)[0]
    found: dict[str, Any] = {}
    while start < end:
        kind = start + 1 + raw[start]
        name = _text(raw[start + 1:kind])
        if raw[kind] == _TEXT:
            start = kind + 5 + _long.unpack_from(raw, kind + 1)[0]
            value = raw[kind + 5:start]
            try:
                found[name] = value.decode()
            except UnicodeDecodeError:
                found[name] = _read_text(value)
        else:
            found[name], start = serialization._read_item(raw, kind)
    return found, end


@lru_cache(NAMES)
def _text(raw: bytes) -> Any:
    return _read_text(raw)


def _read_text(raw: bytes) -> Any:
    # What is no text stays what it is, as with py-amqp.
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw
