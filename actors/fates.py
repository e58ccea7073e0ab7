"""Which orders are open, and of which nobody knows how they stand at their venue; read from another process.

Always holds: nothing here writes or locks, so what is found is to be looked at again: by the command that it leads to,
or by whoever is shown it.
"""

from __future__ import annotations

import numpy as np

from actors.tables import R_ORDERS
from actors.view import OrderView, StateView
from core.order_states import TERMINAL
from core.records import Fate


def open_orders(view: StateView) -> list[tuple[int, int]]:
    """(account, order id) of every order that its venue may still move."""
    rows = view.state.orders[: int(view.state.registers[R_ORDERS])]
    is_open = ~np.isin(rows["status"], [int(word) for word in TERMINAL]) | (rows["replacing"] != 0)
    found: list[tuple[int, int]] = list(
        zip(rows["account"][is_open].tolist(), rows["order_id"][is_open].tolist(), strict=True)
    )
    return found


def orders_of_unknown_fate(view: StateView) -> list[OrderView]:
    """What an operator has to find out: `tradewind status` says how many, `tradewind admin resolve` ends them."""
    rows = view.state.orders[: int(view.state.registers[R_ORDERS])]
    numbers = rows["order_id"][rows["fate"] == int(Fate.UNKNOWN)].tolist()
    found = (view.order(number) for number in numbers)
    return [order for order in found if order is not None and order.fate == Fate.UNKNOWN]
