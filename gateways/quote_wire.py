"""Quotes and trades in Alpaca's words: short keys, for REST, JSON streams and msgpack streams.

Prices and sizes leave as JSON numbers (in msgpack, as 64-bit floats), because alpaca-py parses nothing else:
they are for showing. Orders never come back through here.
Always holds here: a message is encoded once for each format, however many clients it goes to. `t` is the wall
clock at which this desk published the tick; a recording's own time stands beside it as `recorded`.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Any, Final

import msgspec

from actors.view import InstrumentView
from core.records import TICK, TickKind
from gateways.times import time_text

# Alpaca's letter for the exchange; V is IEX, whose feed this stream stands in for.
EXCHANGE: Final = "V"

_UNITS: Final = 100_000_000
_SECOND_NS: Final = 1_000_000_000
_TIMESTAMP_TYPE: Final = -1

_CODES: Final = {"u1": "B", "u4": "I", "u8": "Q", "i8": "q"}


class Tick(msgspec.Struct, frozen=True):
    """One record of the tick broadcast; fields as in core.records.TICK."""

    instrument: int
    kind: int
    time_ns: int
    published_ns: int
    bid_e8: int
    ask_e8: int
    bid_size_e8: int
    ask_size_e8: int
    px_e8: int
    size_e8: int
    recording_index: int


def _tick_struct() -> struct.Struct:
    """core.records.TICK as a struct: reading a tick through numpy would take ten times as long."""
    codes, end = "<", 0
    for name in Tick.__struct_fields__:
        field, offset = TICK.fields[name][:2] if TICK.fields is not None else (TICK, 0)
        codes += f"{offset - end}x{_CODES[field.str.lstrip('<|')]}"
        end = offset + field.itemsize
    return struct.Struct(codes)


_TICK: Final = _tick_struct()


def decode_tick(record: bytes) -> Tick:
    return Tick(*_TICK.unpack_from(record))


def quote_body(bid_e8: int, bid_size_e8: int, ask_e8: int, ask_size_e8: int) -> dict[str, Any]:
    return {
        "bx": EXCHANGE,
        "bp": bid_e8 / _UNITS,
        "bs": bid_size_e8 / _UNITS,
        "ax": EXCHANGE,
        "ap": ask_e8 / _UNITS,
        "as": ask_size_e8 / _UNITS,
        "c": ["R"],
        "z": "C",
    }


def trade_body(number: int, px_e8: int, size_e8: int) -> dict[str, Any]:
    return {"i": number, "x": EXCHANGE, "p": px_e8 / _UNITS, "s": size_e8 / _UNITS, "c": ["@"], "z": "C"}


def latest_quote(instrument: InstrumentView) -> dict[str, Any] | None:
    """The instrument's quote for GET /v2/stocks/quotes/latest; None before the first."""
    if not instrument.quote_time_ns:
        return None
    body = quote_body(instrument.bid_e8, instrument.bid_size_e8, instrument.ask_e8, instrument.ask_size_e8)
    return {"t": time_text(instrument.quote_time_ns), **body}


def latest_trade(instrument: InstrumentView) -> dict[str, Any] | None:
    if not instrument.trade_time_ns:
        return None
    body = trade_body(0, instrument.last_e8, instrument.last_size_e8)
    return {"t": time_text(instrument.trade_time_ns), **body}


class TickMessage:
    """A tick on its way to clients, encoded at first need."""

    def __init__(self, symbol: str, tick: Tick) -> None:
        self.tick = tick
        self.is_quote = tick.kind == TickKind.QUOTE
        self.symbol = symbol

    def _fields(self) -> dict[str, Any]:
        tick = self.tick
        if self.is_quote:
            body = quote_body(tick.bid_e8, tick.bid_size_e8, tick.ask_e8, tick.ask_size_e8)
            return {"T": "q", "S": self.symbol, **body}
        return {"T": "t", "S": self.symbol, **trade_body(tick.recording_index, tick.px_e8, tick.size_e8)}

    @cached_property
    def as_json(self) -> msgspec.Raw:
        times = {"t": time_text(self.tick.published_ns), "recorded": time_text(self.tick.time_ns)}
        return msgspec.Raw(msgspec.json.encode({**self._fields(), **times}))

    @cached_property
    def as_msgpack(self) -> msgspec.Raw:
        times = {"t": timestamp(self.tick.published_ns), "recorded": time_text(self.tick.time_ns)}
        return msgspec.Raw(msgspec.msgpack.encode({**self._fields(), **times}))


def timestamp(ns: int) -> msgspec.msgpack.Ext:
    """msgpack's Timestamp (its specification's "timestamp 96"): alpaca-py takes no text for a time here."""
    seconds, part = divmod(ns, _SECOND_NS)
    return msgspec.msgpack.Ext(_TIMESTAMP_TYPE, struct.pack("!Iq", part, seconds))
