"""Book: the orders of one instrument as an order-by-order feed tells them, with their place in the queue.

A level is a dict of its orders, and a dict keeps the order in which keys came: that is time priority, and an
order that shrinks in place keeps it. The prices of a side stand in a sorted list, the best last, so that the
top is one look and most changes are near the end.

Always holds: a level's total is the sum of its orders, and no level is empty; prices are price_e8, sizes
whole lots; messages that only tell what happened (trade, fill) change nothing, as what follows them does.
Does not judge: a crossed book is what the exchange sent (an auction), and a cancel of an order that is not
there is counted in `unknown` and passed over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from marketdata.records import ASK, BID, Action, Message

# Depth of a price list for people; matching asks for the levels one by one.
DEPTH_MAX: Final = 50


class Top(NamedTuple):
    """Best bid and ask with all that stands at them; a side that has none is 0, 0."""

    bid_e8: int
    bid_size: int
    ask_e8: int
    ask_size: int

    @property
    def is_market(self) -> bool:
        """Both sides are there, and the book is not crossed or locked: one could trade at these prices."""
        return 0 < self.bid_e8 < self.ask_e8


class Resting(NamedTuple):
    """One recorded order in its queue. `queued_at` is the recording index from which it holds its place."""

    order_id: int
    size: int
    queued_at: int


class _Order:
    __slots__ = ("price_e8", "queued_at", "side", "size")

    def __init__(self, side: int, price_e8: int, size: int, queued_at: int) -> None:
        self.side = side
        self.price_e8 = price_e8
        self.size = size
        self.queued_at = queued_at


class _Side:
    """One side's levels. `sign` makes the best price the greatest key: +1 for bids, -1 for asks."""

    __slots__ = ("keys", "queues", "sign", "totals")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []  # sign * price, ascending: the best is the last
        self.queues: dict[int, dict[int, _Order]] = {}  # by price, then by order id in time priority
        self.totals: dict[int, int] = {}

    def add(self, order_id: int, order: _Order) -> None:
        price = order.price_e8
        queue = self.queues.get(price)
        if queue is None:
            self.queues[price] = {order_id: order}
            self.totals[price] = order.size
            key = self.sign * price
            self.keys.insert(bisect_left(self.keys, key), key)
        else:
            queue[order_id] = order
            self.totals[price] += order.size

    def remove(self, order_id: int, order: _Order) -> None:
        price = order.price_e8
        queue = self.queues[price]
        del queue[order_id]
        if queue:
            self.totals[price] -= order.size
        else:
            del self.queues[price], self.totals[price]
            del self.keys[bisect_left(self.keys, self.sign * price)]

    def best(self) -> int:
        return self.sign * self.keys[-1] if self.keys else 0


class Book:
    """The book of one instrument after the messages applied so far."""

    def __init__(self) -> None:
        self._orders: dict[int, _Order] = {}
        self._bids = _Side(+1)
        self._asks = _Side(-1)
        self.unknown = 0  # cancels of orders that were not there

    def __len__(self) -> int:
        return len(self._orders)

    def clear(self) -> None:
        self._orders.clear()
        self._bids = _Side(+1)
        self._asks = _Side(-1)

    def apply(self, message: Message) -> None:
        action = message.action
        if action in (Action.ADD, Action.MODIFY):
            self._put(message)
        elif action == Action.CANCEL:
            self._cancel(message.order_id, message.size)
        elif action == Action.CLEAR:
            self.clear()

    def _side(self, side: int) -> _Side:
        return self._bids if side == BID else self._asks

    def _put(self, message: Message) -> None:
        """An order is now as the message says: new, or an earlier one changed.

        It keeps its place only at the same price with no more size (CME's rule, and nearly everyone's). A
        modify of an order that is not there is an order that came before the recording began.
        """
        _, _, _, order_id, price, size, _, _, _, _, _, side = message
        order = self._orders.get(order_id)
        if order is not None:
            if order.price_e8 == price and order.side == side and 0 < size <= order.size:
                self._side(side).totals[price] -= order.size - size
                order.size = size
                return
            self._side(order.side).remove(order_id, order)
            del self._orders[order_id]
        if size == 0 or side not in (BID, ASK):
            return
        order = self._orders[order_id] = _Order(side, price, size, message.recording_index)
        self._side(side).add(order_id, order)

    def _cancel(self, order_id: int, size: int) -> None:
        """`size` is what leaves: all of the order, or a part of it."""
        order = self._orders.get(order_id)
        if order is None:
            self.unknown += 1
            return
        side = self._side(order.side)
        if size < order.size:
            side.totals[order.price_e8] -= size
            order.size -= size
            return
        side.remove(order_id, order)
        del self._orders[order_id]

    def top(self) -> Top:
        bid, ask = self._bids.best(), self._asks.best()
        return Top(bid, self._bids.totals.get(bid, 0), ask, self._asks.totals.get(ask, 0))

    def best(self, side: int) -> int:
        """Best price of a side, 0 when it has none."""
        return self._side(side).best()

    def levels(self, side: int, depth: int = DEPTH_MAX) -> list[tuple[int, int]]:
        """(price_e8, size) of the best `depth` levels, the best first."""
        half = self._side(side)
        return [(half.sign * key, half.totals[half.sign * key]) for key in half.keys[: -depth - 1 : -1]]

    def prices(self, side: int) -> Iterator[int]:
        """Prices of a side, the best first. The book must not be changed meanwhile."""
        half = self._side(side)
        return (half.sign * key for key in reversed(half.keys))

    def queue(self, side: int, price_e8: int) -> Iterator[Resting]:
        """The orders at a price, the one that trades first first."""
        for order_id, order in self._side(side).queues.get(price_e8, {}).items():
            yield Resting(order_id, order.size, order.queued_at)

    def order(self, order_id: int) -> tuple[int, int, Resting] | None:
        """(side, price_e8, its place) of a recorded order, None when it is not in the book."""
        order = self._orders.get(order_id)
        return (
            None
            if order is None
            else (order.side, order.price_e8, Resting(order_id, order.size, order.queued_at))
        )
