"""The exchange's own book of one instrument: its members' orders in price-time priority, and its stop orders.

A side is a sorted list, the order that trades first first: the better limit, then the earlier arrival; an
order without a limit (it rests only while orders are collected) stands before all that have one.

Always holds: an order is in at most one place, and is open while it is there; arrivals are all different.
Must not do: trade, number, report.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from core.records import Side
from fix.simulator.orders import Order
from fix.simulator.words import Phase

_Entry = tuple[int, int, Order]


class Queue:
    """One side's resting orders, or the stop orders of a side, the first to act first."""

    def __init__(self, *, of_stops: bool = False) -> None:
        self._entries: list[_Entry] = []
        self._key = _stop_priority if of_stops else _priority

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Order]:
        return (order for _, _, order in self._entries)

    def __getitem__(self, at: int) -> Order:
        return self._entries[at][2]

    def first(self) -> Order | None:
        return self._entries[0][2] if self._entries else None

    def add(self, order: Order) -> None:
        insort(self._entries, (*self._key(order), order))

    def discard(self, order: Order) -> bool:
        """Takes the order out; False when it is not here."""
        at = bisect_left(self._entries, self._key(order))
        if at == len(self._entries) or self._entries[at][2] is not order:
            return False
        del self._entries[at]
        return True


class Book:
    """What one instrument's orders are, and how it trades. `last_e8`: the last price, 0 before the first.
    `phase_seq`: MsgSeqNum of what told the operator the phase; 0: it is the usual one, or was not told."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.phase = Phase.CONTINUOUS
        self.phase_seq = 0
        self.last_e8 = 0
        self._resting = {side: Queue() for side in Side}
        self._stops = {side: Queue(of_stops=True) for side in Side}

    def resting(self, side: Side) -> Queue:
        return self._resting[side]

    def opposite(self, side: Side) -> Queue:
        return self._resting[Side.SELL if side is Side.BUY else Side.BUY]

    def put(self, order: Order) -> None:
        """The order rests, or waits for its stop price."""
        (self._stops if order.waits else self._resting)[order.side].add(order)

    def discard(self, order: Order) -> None:
        """Takes the order out, wherever it is."""
        (self._stops if order.waits else self._resting)[order.side].discard(order)

    def orders(self) -> list[Order]:
        return [order for half in (self._resting, self._stops) for queue in half.values() for order in queue]

    def next_reached(self) -> Order | None:
        """The next stop order whose price the last trade has reached: a buyer's at or below it, a seller's at
        or above it; the nearest to where the price came from first."""
        if self.last_e8 == 0:
            return None
        for side, queue in self._stops.items():
            order = queue.first()
            if order is None:
                continue
            if (self.last_e8 >= order.stop_px_e8) if side is Side.BUY else (self.last_e8 <= order.stop_px_e8):
                return order
        return None


def _priority(order: Order) -> tuple[int, int]:
    return (-order.limit_e8 if order.side is Side.BUY else order.limit_e8, order.arrival)


def _stop_priority(order: Order) -> tuple[int, int]:
    return (order.stop_px_e8 if order.side is Side.BUY else -order.stop_px_e8, order.arrival)
