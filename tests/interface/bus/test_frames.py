"""Messages as the bytes of their frames: what is written here py-amqp reads, what it writes is read here, to the byte."""
from __future__ import annotations

import datetime
import random
from decimal import Decimal
from typing import Any

import amqp
import pytest
from amqp import serialization

from shared.bus import frames
from shared.bus.message import Message

WORDS = ("", "a", "ä€😀", "x" * 255, "\ud800", "nameko.owner", "cloudEvents_type")
VALUES: tuple[Any, ...] = (
    *WORDS, "y" * 70_000, True, False, 0, 1, -1, 2**31 - 1, -(2**31) + 1, 2**31, -(2**40), 1.5, None, b"raw", b"\xff\xfe", ["a", 1, {"b": [None]}], {},
    {"x": {"y": "z"}}, Decimal("1.25"), datetime.datetime(2026, 1, 2, 3, 4, 5))
FRAME_MAX = 4096


def made(chance: random.Random) -> Message:
    headers = {word: chance.choice(VALUES) for word in chance.sample(WORDS[1:], chance.randrange(len(WORDS)))}

    def maybe(value: Any) -> Any:
        return chance.choice((None, value))
    return Message(
        chance.choice(WORDS), chance.choice(WORDS), chance.randbytes(chance.choice((0, 1, 200, FRAME_MAX - 8, FRAME_MAX - 7, 10_000))),
        headers=headers, id=maybe("event-1"), content_type=maybe("application/json"), content_encoding=maybe("utf-8"),
        correlation_id=maybe("c"), reply_to=maybe("r"), persistent=chance.random() < 0.5, expires_s=maybe(1.5))


def frames_in(raw: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    while raw:
        kind, channel, size = serialization.unpack_from(">BHI", raw)
        assert raw[7 + size] == 0xCE and (kind == frames.HEADER or size + 8 <= FRAME_MAX)
        found.append((kind, channel, raw[7:7 + size]))
        raw = raw[8 + size:]
    return found


@pytest.mark.parametrize("seed", range(200))
def test_a_message_is_written_as_py_amqp_reads_and_writes_it_and_read_as_it_was_written(seed: int) -> None:
    chance = random.Random(seed)
    message, mandatory = made(chance), chance.random() < 0.5
    (_, _, method), (_, _, header), *bodies = found = frames_in(frames.published(7, message, FRAME_MAX, mandatory=mandatory))
    assert [(kind, channel) for kind, channel, _ in found] == [(1, 7), (2, 7), *[(3, 7)] * len(bodies)]
    assert method[:4] == b"\x00\x3c\x00\x28"
    assert serialization.loads("Bssbb", method, 4)[0] == [0, message.exchange, message.routing_key, mandatory, False]
    assert b"".join(part for _, _, part in bodies) == message.body
    theirs = amqp.Message(message.body, **{**message.properties(), "application_headers": dict(message.headers)})
    assert header == serialization.pack(">HHQ", 60, 0, len(message.body)) + theirs._serialize_properties()
    assert frames.properties(header) == (len(message.body), serialization.decode_properties_basic(header, 12)[0])


def test_what_others_say_of_a_message_is_read_too() -> None:
    theirs = amqp.Message("", timestamp=1767312000, type="t", user_id="u", app_id="a", cluster_id="c", priority=3,
                          application_headers={"n": 1})
    header = serialization.pack(">HHQ", 60, 0, 5) + theirs._serialize_properties()
    assert frames.properties(header) == (5, theirs.properties)


def test_a_delivery_is_read() -> None:
    for consumer, tag, again, exchange, key in (("c1", 1, False, "", "queue"), ("ü", 2**63, True, "x" * 255, "y" * 255)):
        method = frames.DELIVER + serialization.dumps("sLbss", [consumer, tag, again, exchange, key])
        assert frames.delivered(method) == (consumer, tag, again, exchange, key)


def test_what_has_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        frames.published(1, Message("", "k" * 256, b""), FRAME_MAX)
