"""The records of market data: a message of an order-by-order recording, and the quotes and trades made from
it.

Always holds: MBO is declared once, here, and is 64 bytes, a cache line; prices and sizes are exact integers
in the units of `core.units`; codes are the recording's own ASCII characters. `recording_index` counts the
records of the file from 0 (its metadata is not a record), so that whoever has the file finds the same record
again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from core.records import TICK, TICK_BYTES, TickKind

# One message of the recording, as it goes to the venue. `request` names the pass of the recording that the
# venue asked for (marketdata/feed.py); `size` is in whole lots. The recording's times, in ns since 1970:
# `time_ns` is when it was captured, which never goes back, `event_ns` is the exchange's own.
MBO: Final = np.dtype(
    [
        ("recording_index", "u8"),
        ("time_ns", "i8"),
        ("event_ns", "i8"),
        ("order_id", "u8"),
        ("price_e8", "i8"),
        ("size", "u4"),
        ("instrument_id", "u4"),
        ("sequence", "u4"),
        ("request", "u4"),
        ("flags", "u1"),
        ("action", "u1"),
        ("side", "u1"),
    ],
    align=True,  # ends with five bytes of padding
)
MBO_BYTES: Final = 64
assert MBO.itemsize == MBO_BYTES

_MBO_STRUCT: Final = struct.Struct("<QqqQqIIIIBBB5x")
assert _MBO_STRUCT.size == MBO_BYTES

# Flags (DBN's): the last message of an event at the exchange; a message of the snapshot at the beginning.
F_LAST: Final = 128
F_SNAPSHOT: Final = 32


class Action:
    """What a message does. TRADE and FILL tell what happened; the book is changed by what follows them."""

    ADD: Final = ord("A")
    CANCEL: Final = ord("C")
    MODIFY: Final = ord("M")
    CLEAR: Final = ord("R")
    TRADE: Final = ord("T")
    FILL: Final = ord("F")
    NONE: Final = ord("N")


BID: Final = ord("B")
ASK: Final = ord("A")


class Message(NamedTuple):
    """One MBO record in Python: the fields of MBO, without its padding."""

    recording_index: int
    time_ns: int
    event_ns: int
    order_id: int
    price_e8: int
    size: int
    instrument_id: int
    sequence: int
    request: int
    flags: int
    action: int
    side: int


assert MBO.names == Message._fields


def unpack_message(raw: bytes) -> Message:
    return Message._make(_MBO_STRUCT.unpack_from(raw))


def unpack_messages(raw: bytes) -> Iterator[Message]:
    """The messages in the bytes of an MBO array."""
    return map(Message._make, _MBO_STRUCT.iter_unpack(raw))


def pack_message(message: Message) -> bytes:
    return _MBO_STRUCT.pack(*message)


class Tick(NamedTuple):
    """A quote or a trade on its way to the ring of ticks. A trade carries the quote that stood before it."""

    symbol: str
    kind: int  # TickKind
    time_ns: int
    bid_e8: int
    ask_e8: int
    bid_size_e8: int
    ask_size_e8: int
    px_e8: int
    size_e8: int
    recording_index: int


_TICK_STRUCT: Final = struct.Struct("<IB3xqqqqqqqqQ")
assert _TICK_STRUCT.size == TICK.itemsize <= TICK_BYTES
assert TICK.names == (
    "instrument", "kind", "time_ns", "published_ns", "bid_e8", "ask_e8", "bid_size_e8", "ask_size_e8",
    "px_e8", "size_e8", "recording_index",
)  # fmt: skip


def pack_tick(tick: Tick, instrument: int, published_ns: int) -> bytes:
    """The bytes of `core.records.TICK`."""
    return _TICK_STRUCT.pack(instrument, tick.kind, tick.time_ns, published_ns, *tick[3:])


def unpack_tick(raw: bytes, symbols: dict[int, str]) -> Tick | None:
    """The tick in a slot; `symbols` names the instruments by number. None when the number is not among
    them."""
    instrument, kind, time_ns, _published_ns, *rest = _TICK_STRUCT.unpack_from(raw)
    symbol = symbols.get(instrument)
    return None if symbol is None else Tick(symbol, TickKind(kind), time_ns, *rest)
