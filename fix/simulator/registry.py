"""Which orders the exchange knows, under whose names, and the one counter of all its numbers.

Always holds: an OrderID or ExecID comes once; the number of open orders and of ids that are kept is bounded,
and the id of an open order is always kept. Must not do: trade.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from fix.simulator.orders import Order

# Fifty thousand resting orders are 20 MB here. A restart reads all reports since the oldest of them.
OPEN_ORDERS_MAX: Final = 50_000
# Ids of requests, kept to know one that comes twice: a day of a busy desk, some 40 MB.
KNOWN_IDS_MAX: Final = 100_000

_NONE: Final[OrderedDict[str, Order]] = OrderedDict()


class Registry:
    """`next_number` is the first that no OrderID or ExecID has used yet."""

    def __init__(self, next_number: int = 1) -> None:
        self.next_number = next_number
        self._open: dict[str, OrderedDict[str, Order]] = {}  # by owner, then by order id, the oldest first
        self._open_count = 0
        # Every request's id: the order that goes by it (of a new order, of a replace), or None (of a cancel,
        # of what was rejected). Those whose order is over may be forgotten.
        self._known: OrderedDict[tuple[str, str], Order | None] = OrderedDict()

    def number(self, letter: str) -> str:
        number = self.next_number
        self.next_number += 1
        return f"{letter}{number}"

    def used(self, number: int) -> None:
        """This number stands in something that was told before."""
        self.next_number = max(self.next_number, number + 1)

    @property
    def is_full(self) -> bool:
        return self._open_count >= self.capacity

    @property
    def capacity(self) -> int:
        """Open orders that there may be."""
        return OPEN_ORDERS_MAX

    def is_known(self, owner: str, cl_ord_id: str) -> bool:
        """Whether this id has been used by a request of this owner."""
        return (owner, cl_ord_id) in self._known

    def find(self, owner: str, cl_ord_id: str) -> Order | None:
        """The order that goes, or went, by this id."""
        return self._known.get((owner, cl_ord_id))

    def open_order(self, owner: str, order_id: str) -> Order | None:
        return self._open.get(owner, _NONE).get(order_id)

    def open_orders(self, owner: str) -> list[Order]:
        """The oldest first."""
        return list(self._open.get(owner, _NONE).values())

    def oldest(self, owner: str) -> Order | None:
        return next(iter(self._open.get(owner, _NONE).values()), None)

    def add(self, order: Order) -> None:
        self.remember(order.owner, order.cl_ord_id, order)
        self._open.setdefault(order.owner, OrderedDict())[order.order_id] = order
        self._open_count += 1

    def close(self, order: Order) -> None:
        del self._open[order.owner][order.order_id]
        self._open_count -= 1

    def forget(self, owner: str, cl_ord_id: str) -> None:
        """An id that will not come again, of an order that is over or goes by another id now."""
        order = self.find(owner, cl_ord_id)
        if order is None or not order.is_open or order.cl_ord_id != cl_ord_id:
            self._known.pop((owner, cl_ord_id), None)

    def remember(self, owner: str, cl_ord_id: str, order: Order | None) -> None:
        """Keeps a request's id, with the order that it names from now on; one that names an order stays."""
        if self._known.get((owner, cl_ord_id)) is None:
            self._known[owner, cl_ord_id] = order
        # Ids of open orders are kept, so two are looked at for each that comes: in the end the bound is
        # reached.
        for _ in range(2):
            if len(self._known) <= KNOWN_IDS_MAX:
                return
            key, oldest = self._known.popitem(last=False)
            if oldest is not None and oldest.is_open:
                self._known[key] = oldest
