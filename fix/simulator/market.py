"""What the exchange sees of the market: a small interface, and the quotes as one of its two forms.

`Liquidity` answers what an order can trade with; `fix/simulator/recorded.py` is the other form, over a
recorded order book. Quantities and prices are e8 integers.

Always holds: what is given to one order is not given to another: a displayed size is used up until the market
shows a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from core.records import Side


class Fill(NamedTuple):
    """A piece of the market that an order got. `recorded_order_id` is 0 where the market is only quotes."""

    price_e8: int
    qty_e8: int
    recording_index: int
    recorded_order_id: int = 0


class Print(Protocol):
    """A trade in the market that our resting orders on `side` may have a claim on."""

    symbol: str
    side: Side
    price_e8: int

    def claim(self, price_e8: int, place: int, qty_e8: int) -> Fill | None:
        """What an order resting at `price_e8`, queued at `place`, gets of it."""
        ...


class Liquidity(Protocol):
    def is_market(self, symbol: str) -> bool:
        """Whether one can trade now: both sides are there and not crossed."""
        ...

    def place(self, symbol: str) -> int:
        """The recording index now: an order that arrives queues behind everything up to it."""
        ...

    def crosses(self, symbol: str, side: Side, limit_e8: int) -> bool:
        """Whether an order with this limit meets the best price of the other side. Cheap; may be a little
        true."""
        ...

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
        """Uses up to `qty_e8` at `limit_e8` or better, the best first. `fresh`: only what has come since the
        last look, which is all there can be for an order that has looked before. `until`: only what stands
        before an order that has its place since then."""
        ...

    def available(self, symbol: str, side: Side, limit_e8: int, qty_e8: int) -> int:
        """How much of `qty_e8` `take` would give."""
        ...

    def looked(self, symbol: str) -> None:
        """Every resting order has looked at what is fresh."""
        ...


def is_within(side: Side, price_e8: int, limit_e8: int) -> bool:
    """Whether trading at `price_e8` keeps the limit."""
    return price_e8 <= limit_e8 if side is Side.BUY else price_e8 >= limit_e8


class _Shown:
    """The last quote of one instrument, and what is left of its sizes."""

    __slots__ = ("ask_e8", "ask_left_e8", "bid_e8", "bid_left_e8", "index")

    def __init__(self) -> None:
        self.bid_e8 = self.ask_e8 = self.bid_left_e8 = self.ask_left_e8 = 0
        self.index = -1


class QuotedTrade:
    """A trade among quotes. It reaches a resting order only through a worse price: how many stand before us
    at the same price, quotes don't tell. What it gives is at our own limit, as the exchange gives a
    resting order."""

    def __init__(self, symbol: str, side: Side, price_e8: int, size_e8: int, index: int) -> None:
        self.symbol = symbol
        self.side = side
        self.price_e8 = price_e8
        self._left_e8 = size_e8
        self._index = index

    def claim(self, price_e8: int, place: int, qty_e8: int) -> Fill | None:
        del place  # quotes have no queue
        through = price_e8 > self.price_e8 if self.side is Side.BUY else price_e8 < self.price_e8
        got = min(qty_e8, self._left_e8)
        if not through or got == 0:
            return None
        self._left_e8 -= got
        return Fill(price_e8, got, self._index)


class Quotes:
    """Liquidity that is the current quote of each instrument. A quote that comes again, with the same
    recording index, only says that it still stands: what was used of it stays used."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}

    def on_quote(
        self, symbol: str, bid_e8: int, ask_e8: int, bid_size_e8: int, ask_size_e8: int, index: int
    ) -> None:
        shown = self._shown.setdefault(symbol, _Shown())
        if shown.index == index:
            return
        shown.bid_e8, shown.ask_e8, shown.index = bid_e8, ask_e8, index
        shown.bid_left_e8, shown.ask_left_e8 = bid_size_e8, ask_size_e8

    def trade(self, symbol: str, price_e8: int, size_e8: int, index: int) -> QuotedTrade | None:
        """The trade as our resting orders see it: one at the bid had a seller, and is a buyer's to claim."""
        shown = self._shown.get(symbol)
        if shown is None or shown.bid_e8 < price_e8 < shown.ask_e8:
            return None
        side = Side.BUY if price_e8 <= shown.bid_e8 else Side.SELL
        return QuotedTrade(symbol, side, price_e8, size_e8, index)

    def is_market(self, symbol: str) -> bool:
        shown = self._shown.get(symbol)
        return shown is not None and 0 < shown.bid_e8 < shown.ask_e8

    def place(self, symbol: str) -> int:
        shown = self._shown.get(symbol)
        return shown.index if shown is not None and shown.index > 0 else 0

    def crosses(self, symbol: str, side: Side, limit_e8: int) -> bool:
        shown = self._shown[symbol]
        return is_within(side, shown.ask_e8 if side is Side.BUY else shown.bid_e8, limit_e8)

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
        # One price a side: there is nothing to pass over. What is displayed stands before members' orders at
        # the same price, for quotes don't tell since when.
        del fresh, until
        got = self.available(symbol, side, limit_e8, qty_e8)
        if got == 0:
            return ()
        shown = self._shown[symbol]
        price_e8 = shown.ask_e8 if side is Side.BUY else shown.bid_e8
        if side is Side.BUY:
            shown.ask_left_e8 -= got
        else:
            shown.bid_left_e8 -= got
        return (Fill(price_e8, got, shown.index),)

    def available(self, symbol: str, side: Side, limit_e8: int, qty_e8: int) -> int:
        shown = self._shown[symbol]
        price_e8 = shown.ask_e8 if side is Side.BUY else shown.bid_e8
        left_e8 = shown.ask_left_e8 if side is Side.BUY else shown.bid_left_e8
        return min(qty_e8, left_e8) if is_within(side, price_e8, limit_e8) else 0

    def looked(self, symbol: str) -> None:
        """Quotes keep no list of what is fresh."""


class NoMarket:
    """Liquidity that is none: the members, a seeded flow among them, have only each other."""

    def is_market(self, symbol: str) -> bool:
        return False

    def place(self, symbol: str) -> int:
        return 0

    def crosses(self, symbol: str, side: Side, limit_e8: int) -> bool:
        return False

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
        return ()

    def available(self, symbol: str, side: Side, limit_e8: int, qty_e8: int) -> int:
        return 0

    def looked(self, symbol: str) -> None:
        """There is nothing to look at."""
