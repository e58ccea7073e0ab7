"""Liquidity that is a recorded order-by-order book: our orders against orders that really stood there.

The recording can't change, so what we take is remembered beside it, by recorded order: an order of 10 of
which we took 4 has 6 for us, until it leaves the book or queues anew (another price, or more size). When the
recording shrinks it in place, what we took still counts: the same quantity is never given twice.

Two ways to trade:
- An order of ours that meets the other side sweeps the recorded levels, price by price, each in time
priority. A resting order does the same when recorded orders come to its price.
- The queue at our price. Assumed: an order of ours stands behind the recorded orders that had their place
when it arrived, and before those that queue later. So when the recording fills an order at our price that is
behind us, that fill is ours, up to its size.

What is not claimed: trades at worse prices than ours, when we stand alone inside the spread. No recorded
order stood at our price then; we are filled when the recorded market comes to us.

Always holds: each fill names a recorded order that stood in the book at its price, with at least its size,
after the record `recording_index` of the file was applied. Nothing is traded inside an event of the exchange
(but for its own fills), nor while the book is crossed. Must not do: know what a recording looks like in a
file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from core.records import Side
from core.units import QTY_SCALE
from fix.simulator.market import Fill, is_within

# Sides of the recorded book, as market-by-order feeds write them.
BID: Final = ord("B")
ASK: Final = ord("A")
_OTHER: Final = {Side.BUY: ASK, Side.SELL: BID}
_OURS: Final = {BID: Side.BUY, ASK: Side.SELL}

# What we took of orders that have left is forgotten when so many entries have gathered.
TAKEN_MAX: Final = 65_536
# Fresh orders between two looks; with more, everything is looked at.
FRESH_MAX: Final = 4_096


class Place(Protocol):
    """A recorded order in its queue: `size` in lots; it has its place since recording index `queued_at`."""

    @property
    def order_id(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def queued_at(self) -> int: ...


class RecordedBook(Protocol):
    def best(self, side: int) -> int: ...
    def prices(self, side: int) -> Iterator[int]: ...
    def queue(self, side: int, price_e8: int) -> Iterator[Place]: ...
    def order(self, order_id: int) -> tuple[int, int, Place] | None: ...


class _Taken(NamedTuple):
    queued_at: int
    lots: int


class _Market:
    """One instrument: its book, what we took of it, and what is fresh. `fresh` None: all of it."""

    __slots__ = ("book", "fresh", "index", "is_market", "taken")

    def __init__(self, book: RecordedBook) -> None:
        self.book = book
        self.begin()

    def begin(self) -> None:
        self.index = 0
        self.is_market = False
        self.taken: dict[int, _Taken] = {}
        self.fresh: set[int] | None = None

    def left(self, place: Place) -> int:
        """Lots of a recorded order that are left for us."""
        taken = self.taken.get(place.order_id)
        if taken is None or taken.queued_at != place.queued_at:
            return place.size
        return max(0, place.size - taken.lots)

    def use(self, price_e8: int, place: Place, lots: int) -> Fill:
        before = self.taken.get(place.order_id)
        used = before.lots if before is not None and before.queued_at == place.queued_at else 0
        if len(self.taken) >= TAKEN_MAX:
            self.taken = {i: t for i, t in self.taken.items() if self.book.order(i) is not None}
        self.taken[place.order_id] = _Taken(place.queued_at, used + lots)
        return Fill(price_e8, lots * QTY_SCALE, self.index, place.order_id)

    def standing(self, side: int, fresh: bool) -> Iterator[tuple[int, Place]]:
        """(price, order) of a side, the best first; only what is fresh where that is asked and known."""
        if not fresh or self.fresh is None:
            for price_e8 in self.book.prices(side):
                for place in self.book.queue(side, price_e8):
                    yield price_e8, place
            return
        found = [order for i in self.fresh if (order := self.book.order(i)) is not None and order[0] == side]
        sign = 1 if side == ASK else -1
        for _, price_e8, place in sorted(found, key=lambda order: (sign * order[1], order[2].queued_at)):
            yield price_e8, place


class RecordedFill:
    """A fill in the recording, as a claim of our orders that are queued before the filled one."""

    def __init__(
        self, symbol: str, market: _Market, side: int, price_e8: int, place: Place, lots: int
    ) -> None:
        self.symbol = symbol
        self.side = _OURS[side]
        self._market = market
        self.price_e8 = price_e8
        self._place = place
        self._lots = lots

    def claim(self, price_e8: int, place: int, qty_e8: int) -> Fill | None:
        lots = min(qty_e8 // QTY_SCALE, self._lots, self._market.left(self._place))
        if price_e8 != self.price_e8 or self._place.queued_at <= place or lots == 0:
            return None
        self._lots -= lots
        return self._market.use(price_e8, self._place, lots)


class Recorded:
    """Liquidity of recorded books, by symbol. Whoever applies the messages to the books tells it of each."""

    def __init__(self, books: dict[str, RecordedBook]) -> None:
        self._markets = {symbol: _Market(book) for symbol, book in books.items()}

    def begin(self, symbol: str) -> None:
        """The recording begins again: nothing of it is taken."""
        self._markets[symbol].begin()

    def applied(self, symbol: str, order_id: int, index: int) -> None:
        """Record `index` was applied to the book, and changed this order."""
        market = self._markets[symbol]
        market.index = index
        if market.fresh is not None:
            market.fresh.add(order_id)
            if len(market.fresh) > FRESH_MAX:
                market.fresh = None

    def settled(self, symbol: str, *, is_market: bool) -> None:
        """An event of the exchange is whole. `is_market`: one can trade with the book as it stands."""
        market = self._markets[symbol]
        if not is_market:
            market.fresh = None
        market.is_market = is_market

    def fill(self, symbol: str, order_id: int, price_e8: int, lots: int) -> RecordedFill | None:
        """The fill of a recorded order, as a claim. None when the order did not stand at that price."""
        market = self._markets[symbol]
        order = market.book.order(order_id)
        if order is None or order[1] != price_e8 or not market.is_market:
            return None
        return RecordedFill(symbol, market, order[0], price_e8, order[2], lots)

    def is_market(self, symbol: str) -> bool:
        return self._markets[symbol].is_market

    def place(self, symbol: str) -> int:
        return self._markets[symbol].index

    def crosses(self, symbol: str, side: Side, limit_e8: int) -> bool:
        best = self._markets[symbol].book.best(_OTHER[side])
        return best != 0 and is_within(side, best, limit_e8)

    def take(
        self,
        symbol: str,
        side: Side,
        limit_e8: int,
        qty_e8: int,
        *,
        fresh: bool = False,
        until: int | None = None,
    ) -> Iterable[Fill]:
        market = self._markets[symbol]
        wanted = qty_e8 // QTY_SCALE
        fills = []
        for price_e8, place in market.standing(_OTHER[side], fresh):
            if wanted == 0 or not is_within(side, price_e8, limit_e8):
                break
            if until is not None and place.queued_at > until:
                continue
            lots = min(wanted, market.left(place))
            if lots > 0:
                fills.append(market.use(price_e8, place, lots))
                wanted -= lots
        return fills

    def available(self, symbol: str, side: Side, limit_e8: int, qty_e8: int) -> int:
        market = self._markets[symbol]
        wanted = qty_e8 // QTY_SCALE
        found = 0
        for price_e8, place in market.standing(_OTHER[side], False):
            if found >= wanted or not is_within(side, price_e8, limit_e8):
                break
            found += market.left(place)
        return min(found, wanted) * QTY_SCALE

    def looked(self, symbol: str) -> None:
        self._markets[symbol].fresh = set()
