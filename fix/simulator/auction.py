"""The uncross: one price for all orders that were collected.

The price is, in this order: where most trades; where least is left over (the surplus, of bids over offers or
the reverse); the nearest to the reference price, the higher of two equally near. It need not be the limit of
an order. The reference is the last price, else the middle of the limits in the book; with neither there is no
price, and nothing trades.

Always holds: who trades is decided by price and time on both sides; nobody trades at worse than its limit;
what is left does not cross.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from core.records import Side
from core.units import PRICE_E8_MAX
from fix.simulator.book import Book
from fix.simulator.orders import Order


class Clearing(NamedTuple):
    """`surplus_e8`: how much more is bid than offered at the price; less than 0 the other way round."""

    price_e8: int
    volume_e8: int
    surplus_e8: int


class Pair(NamedTuple):
    buyer: Order
    seller: Order
    qty_e8: int


class _Interest:
    """How much is bid or offered at a price, by bisection over running sums."""

    def __init__(self, orders: list[Order]) -> None:
        standing = sorted((order.limit_e8, order.leaves_qty_e8) for order in orders)
        self.limits = [limit for limit, _ in standing]
        self._sums = [0, *accumulate(qty for _, qty in standing)]

    def up_to(self, price_e8: int) -> int:
        """Of all whose limit is at most this: what sellers offer."""
        return self._sums[bisect_right(self.limits, price_e8)]

    def from_(self, price_e8: int) -> int:
        """Of all whose limit is at least this: what buyers bid."""
        return self._sums[-1] - self._sums[bisect_left(self.limits, price_e8)]


def clearing(book: Book, tick_e8: int) -> Clearing | None:
    """At which price the book uncrosses, its last price being the reference; None: nothing trades."""
    bids = _Interest(list(book.resting(Side.BUY)))
    offers = _Interest(list(book.resting(Side.SELL)))
    limits = set(bids.limits + offers.limits) - {0, PRICE_E8_MAX}  # those of orders without a limit
    if not limits and not book.last_e8:
        return None
    reference = book.last_e8 or (min(limits) + max(limits)) // 2
    best: tuple[int, int, int, int] | None = None
    for price_e8 in _candidates(limits, reference, tick_e8):
        bid, offered = bids.from_(price_e8), offers.up_to(price_e8)
        rank = (min(bid, offered), -abs(bid - offered), -abs(price_e8 - reference), price_e8)
        if best is None or rank > best:
            best = rank
    if best is None or best[0] == 0:
        return None
    price_e8 = best[3]
    return Clearing(price_e8, best[0], bids.from_(price_e8) - offers.up_to(price_e8))


def _candidates(limits: set[int], reference_e8: int, tick_e8: int) -> set[int]:
    """Prices of which one is the best of all on the grid. What is bid and offered changes only at a limit, so
    equally good prices are runs that end at a limit or next to one; inside a run the reference decides."""
    found = {
        price_e8
        for limit in limits
        for price_e8 in (limit - tick_e8, limit, limit + tick_e8)
        if 0 < price_e8 < PRICE_E8_MAX
    }
    at = reference_e8 - reference_e8 % tick_e8
    found |= {price_e8 for price_e8 in (at, at + tick_e8) if at > 0}
    return found


def pairs(book: Book, found: Clearing) -> Iterator[Pair]:
    """Who trades with whom. Each pair has to be done before the next is asked for."""
    left_e8 = found.volume_e8
    while left_e8:
        buyer, seller = book.resting(Side.BUY)[0], book.resting(Side.SELL)[0]
        qty_e8 = min(left_e8, buyer.leaves_qty_e8, seller.leaves_qty_e8)
        left_e8 -= qty_e8
        yield Pair(buyer, seller, qty_e8)
