"""Source: where ticks come from, as the replay sees it. A pass is one run through a source from its
beginning.

Always holds: a step is due at an offset from the begin of its pass, at speed 1, and offsets never go back;
what stands in a step is a function of the source's arguments alone, not of any clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from core.records import TickKind
from marketdata.records import Tick

NS: Final = 1_000_000_000


class Description(msgspec.Struct, frozen=True):
    """What a person is told about the prices: shown on the page and by the API."""

    kind: str  # "bridge" or "recording"
    label: str  # one line, to stand beside every price
    text: str  # where the data comes from and what was done to it
    symbols: tuple[str, ...]


class Step(NamedTuple):
    """What comes at one moment: MBO messages for the venue (packed), then ticks for everyone. `gone` names
    the instruments whose last quote stands no longer, with no other in its place."""

    offset_ns: int
    ticks: tuple[Tick, ...]
    messages: tuple[bytes, ...] = ()
    gone: tuple[str, ...] = ()


class Source(Protocol):
    def describe(self) -> Description: ...

    def steps(self, request: int) -> Iterator[Step]:
        """One pass. `request` is stamped into the messages for the venue."""
        ...


def quote(
    symbol: str,
    time_ns: int,
    bid_e8: int,
    ask_e8: int,
    bid_size_e8: int,
    ask_size_e8: int,
    recording_index: int,
) -> Tick:
    assert 0 < bid_e8 < ask_e8, f"quote of {symbol} without a positive spread: {bid_e8} / {ask_e8}"
    return Tick(
        symbol, TickKind.QUOTE, time_ns, bid_e8, ask_e8, bid_size_e8, ask_size_e8, 0, 0, recording_index
    )  # fmt: skip


def trade(before: Tick, time_ns: int, px_e8: int, size_e8: int, recording_index: int) -> Tick:
    """A trade; `before` is the quote it met."""
    return before._replace(
        kind=TickKind.TRADE, time_ns=time_ns, px_e8=px_e8, size_e8=size_e8, recording_index=recording_index
    )
