"""A book that is plainly right: one list of orders in the order in which they queued, searched from the
start.

The oracle of `marketdata.book`: slow, and sharing nothing with it.
"""

from __future__ import annotations

from marketdata.records import Message


class NaiveBook:
    def __init__(self) -> None:
        self.orders: list[tuple[int, str, int, int, int]] = []  # id, side, price, size, queued at
        self.seen: set[int] = set()  # only spares a search for an id that never came

    def apply(self, message: Message) -> None:
        action, side = chr(message.action), chr(message.side)
        at = None
        if message.order_id in self.seen:
            at = next((i for i, order in enumerate(self.orders) if order[0] == message.order_id), None)
        self.seen.add(message.order_id)
        if action == "R":
            self.orders = []
        elif action in "AM":
            new = (message.order_id, side, message.price_e8, message.size, message.recording_index)
            if at is not None:
                _, old_side, price, size, queued_at = self.orders[at]
                if (old_side, price) == (side, message.price_e8) and 0 < message.size <= size:
                    self.orders[at] = (*new[:4], queued_at)
                    return
                del self.orders[at]
            if message.size > 0 and side in "BA":
                self.orders.append(new)
        elif action == "C" and at is not None:
            order_id, old_side, price, size, queued_at = self.orders.pop(at)
            if message.size < size:
                self.orders.insert(at, (order_id, old_side, price, size - message.size, queued_at))

    def queue(self, side: str, price_e8: int) -> list[tuple[int, int, int]]:
        return [(o[0], o[3], o[4]) for o in self.orders if o[1] == side and o[2] == price_e8]

    def levels(self, side: str) -> list[tuple[int, int]]:
        totals: dict[int, int] = {}
        for _, order_side, price, size, _ in self.orders:
            if order_side == side:
                totals[price] = totals.get(price, 0) + size
        return sorted(totals.items(), reverse=side == "B")
