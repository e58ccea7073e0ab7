"""Price-time priority: whom an order trades with, at what price, in which order.

An order that comes takes the best price first, wherever it is: in the members' book or in the market outside.
At one price stands first what queued first: recorded orders that were there when the member's order came
before it, later ones behind it; what a quote displays before members' orders, for a quote has no time.
A trade is at the price of the order that stood.

Self-match prevention: orders of one member (one session) pass each other by. Both may rest though they cross;
the uncross of an auction, where nobody chooses a counterparty, may match them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from core.records import Side
from fix.simulator.book import Book
from fix.simulator.market import Fill, Liquidity, is_within
from fix.simulator.orders import Order


class Deal(NamedTuple):
    """A piece of what an order gets: from a member's `contra` order or, when that is None, the market's
    `fill`."""

    price_e8: int
    qty_e8: int
    contra: Order | None
    fill: Fill | None


def deals(order: Order, book: Book, market: Liquidity) -> Iterator[Deal]:
    """What `order` trades now, one deal after the other. Each has to be done (quantities changed, a filled
    order out of the book) before the next is asked for."""
    step = -1 if order.side is Side.BUY else 1  # towards better prices
    standing = book.opposite(order.side)
    at = 0
    while order.leaves_qty_e8 and at < len(standing):
        contra = standing[at]
        if not is_within(order.side, contra.limit_e8, order.limit_e8):
            break
        if contra.owner == order.owner:
            at += 1
            continue
        yield from outside(order, market, contra.limit_e8 + step)
        yield from outside(order, market, contra.limit_e8, until=contra.place)
        qty_e8 = min(order.leaves_qty_e8, contra.leaves_qty_e8)
        if qty_e8:
            yield Deal(contra.limit_e8, qty_e8, contra, None)
    yield from outside(order, market, order.limit_e8)


def outside(
    order: Order, market: Liquidity, limit_e8: int, *, fresh: bool = False, until: int | None = None
) -> Iterator[Deal]:
    """What the market outside gives within `limit_e8`."""
    if order.leaves_qty_e8 and market.is_market(order.symbol):
        for fill in market.take(
            order.symbol, order.side, limit_e8, order.leaves_qty_e8, fresh=fresh, until=until
        ):
            yield Deal(fill.price_e8, fill.qty_e8, None, fill)


def can_fill(order: Order, book: Book, market: Liquidity) -> bool:
    """Whether all of the order would trade now."""
    wanted = order.leaves_qty_e8
    if market.is_market(order.symbol):
        wanted -= market.available(order.symbol, order.side, order.limit_e8, wanted)
    for contra in book.opposite(order.side):
        if wanted <= 0 or not is_within(order.side, contra.limit_e8, order.limit_e8):
            break
        if contra.owner != order.owner:
            wanted -= contra.leaves_qty_e8
    return wanted <= 0


def keeps_place(order: Order, qty_e8: int, price_e8: int) -> bool:
    """Whether an order changed to this stays where it is in the queue: the same limit, and not more."""
    return price_e8 == order.price_e8 and qty_e8 <= order.qty_e8
