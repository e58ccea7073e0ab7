"""Recorded: the source that plays a market-by-order recording: its messages, and the ticks that come of them.

Always holds: a step is one event at the exchange (its last message has F_LAST), so that quotes are made only
of whole events; a quote is made when the best bid or ask, or what stands there, has changed and the book is a
market; the trades are the recording's own. The messages of a pass come without a gap from recording_index 0
on.

Time, at speed 1, is the recording's own, with two exceptions. A gap of more than GAP_NS_MAX takes GAP_NS_MAX.
And none passes while no book is a market (the snapshot, an auction with its crossed book): nobody could
trade.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.records import TickKind
from core.units import QTY_SCALE
from marketdata.book import Book, Top
from marketdata.recording import batches, open_recording
from marketdata.records import F_LAST, Action, Message, Tick, pack_message, unpack_messages
from marketdata.source import NS, Description, Step, quote, trade

RECORDING_LABEL: Final = "Recorded order-by-order market data"

GAP_NS_MAX: Final = (
    2 * NS
)  # a quiet market shows that it is quiet; nobody waits for the night of the recording
STEP_MESSAGES_MAX: Final = 4096  # a snapshot is one event of any length; it is handed on in parts

_NO_TOP: Final = Top(0, 0, 0, 0)


class Recorded:
    """The source of a recording. Raises RecordingError when the file has no usable head."""

    def __init__(self, path: Path) -> None:
        self._recording = open_recording(path)

    def describe(self) -> Description:
        head = self._recording
        symbols = tuple(sorted(head.symbols.values()))
        text = (
            f"{head.path.name} ({head.dataset}, {head.start}): {', '.join(symbols)}, every order as the "
            f"exchange sent it. Gaps are cut to {GAP_NS_MAX // NS} s, auctions pass at once, and it loops, "
            "at any hour."
        )
        return Description("recording", RECORDING_LABEL, text, symbols)

    def steps(self, request: int) -> Iterator[Step]:
        markets = {number: _Market(symbol) for number, symbol in self._recording.symbols.items()}
        offset = 0
        time_ns = 0
        messages: list[bytes] = []
        ticks: list[Tick] = []
        for batch in batches(self._recording.path, request):
            for message in unpack_messages(batch.tobytes()):
                if message.time_ns > time_ns:
                    if any(market.stands for market in markets.values()):
                        offset += min(message.time_ns - time_ns, GAP_NS_MAX)
                    time_ns = message.time_ns
                messages.append(pack_message(message))
                market = markets.get(message.instrument_id)
                if market is not None:
                    ticks += market.ticks(message)
                if message.flags & F_LAST or len(messages) == STEP_MESSAGES_MAX:
                    gone = (market.symbol,) if market is not None and not market.stands else ()
                    yield Step(offset, tuple(ticks), tuple(messages), gone)
                    messages.clear()
                    ticks.clear()
        if messages:
            yield Step(offset, tuple(ticks), tuple(messages))


class _Market:
    """One instrument of the recording: its book, and the last quote made of it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.stands = False  # the last whole event left a market
        self._book = Book()
        self._top = _NO_TOP
        self._quote = Tick(symbol, TickKind.QUOTE, 0, 0, 0, 0, 0, 0, 0, 0)

    def ticks(self, message: Message) -> list[Tick]:
        """What comes of one message: a trade, a quote, both or nothing."""
        self._book.apply(message)
        made = []
        index, time_ns = message.recording_index, message.time_ns
        if message.action == Action.TRADE and message.price_e8 > 0 and message.size > 0:
            made.append(trade(self._quote, time_ns, message.price_e8, message.size * QTY_SCALE, index))
        if message.flags & F_LAST:
            top = self._book.top()
            self.stands = top.is_market
            if top != self._top and top.is_market:
                bid_size, ask_size = top.bid_size * QTY_SCALE, top.ask_size * QTY_SCALE
                self._quote = quote(self.symbol, time_ns, top.bid_e8, top.ask_e8, bid_size, ask_size, index)
                made.append(self._quote)
            self._top = top
        return made
