"""Messages out of a stream: in whatever pieces it comes, and with whatever is no message in it."""

from __future__ import annotations

import pytest

from gateways.binary.framing import FrameError, Frames
from gateways.binary.layout import FROM_CLIENT, FROM_DOOR, LENGTHS, Kind
from gateways.binary.messages import Cancel, Heartbeat, Login, Logout, NewOrder, OrderEvent, encode
from tests.gateways.test_binary_layout import AN_ORDER

SENT = [
    encode(message) for message in (Login("K", "S"), AN_ORDER, Cancel(8, token="A"), Heartbeat(), Logout())
]
STREAM = b"".join(SENT)


def taken(frames: Frames) -> list[bytes]:
    found = []
    while (raw := frames.next()) is not None:
        found.append(raw)
    return found


@pytest.mark.parametrize("size", [1, 3, 7, 8, 64, 1000])
def test_pieces_of_any_size_give_the_same_messages(size: int) -> None:
    frames = Frames(FROM_CLIENT)
    found = []
    for at in range(0, len(STREAM), size):
        frames.feed(STREAM[at : at + size])
        found += taken(frames)
    assert found == SENT
    assert frames.waiting == 0


def test_a_break_at_every_offset_gives_the_same_messages() -> None:
    for at in range(len(STREAM) + 1):
        frames = Frames(FROM_CLIENT)
        frames.feed(STREAM[:at])
        found = taken(frames)
        frames.feed(STREAM[at:])
        assert found + taken(frames) == SENT, at


@pytest.mark.parametrize(
    ("at", "byte", "text"),
    [
        (0, 0x47, r"magic 0x5747 at byte 16; messages begin with 0x5754"),
        (2, 17, r"length 17 of kind 4 at byte 16; it has 16 bytes"),
        (4, 99, r"kind 99 at byte 16; what may be sent is 1, 4, 5, 10, 11, 12"),
        (6, 2, r"version 2 at byte 16; this door speaks 1"),
    ],
)
def test_a_header_that_is_none_is_named_with_its_place(at: int, byte: int, text: str) -> None:
    bad = bytearray(encode(Heartbeat()))
    bad[at] = byte
    frames = Frames(FROM_CLIENT)
    frames.feed(encode(Heartbeat()) + bad[:8])  # the rest of it is not waited for
    assert frames.next() == encode(Heartbeat())
    with pytest.raises(FrameError, match=text):
        frames.next()


def test_each_side_takes_only_what_the_other_may_send() -> None:
    event = bytes(encode(NewOrder(*[getattr(AN_ORDER, f) for f in AN_ORDER.__struct_fields__])))
    frames = Frames(FROM_DOOR)
    frames.feed(event)
    with pytest.raises(FrameError, match="kind 10"):
        frames.next()
    assert OrderEvent.KIND in FROM_DOOR
    assert OrderEvent.KIND not in FROM_CLIENT


def test_what_is_kept_is_less_than_a_message_and_what_came_last() -> None:
    frames = Frames(FROM_CLIENT)
    for _ in range(1000):
        frames.feed(SENT[1] + SENT[1][:50])
        assert taken(frames) == [SENT[1]]
        assert frames.waiting == 50
        frames.feed(SENT[1][50:])
        assert taken(frames) == [SENT[1]]
        assert len(frames._buffer) <= 2 * LENGTHS[Kind.NEW_ORDER]
