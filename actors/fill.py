"""A fill: cash, position and the order's sums, however it became known: by its own report, by the venue's total, or by
a person's word.

Always holds: an execution is booked once. By its ExecID; and where fills were booked by the venue's total alone
(`order.told_qty_e8`), never more than the venue has told to be filled, so that a report which comes after all for
one of those is known.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import reject
from actors.bust import book_fill, can_be_counted, is_possible, write_position
from actors.executions import find_execution
from actors.orders import order_position
from actors.tables import State
from core.rejects import Reject
from shared_mem.jit import jit

_UNEXPECTED: Final = int(Reject.REPORT_UNEXPECTED)
_REPEATED: Final = int(Reject.EXECUTION_REPEATED)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)


@jit
def fill(
    state: State,
    order: Any,
    order_id: int,
    qty_e8: int,
    px_e8: int,
    notional_e6: int,
    exec_hash: int,
    told_e8: int,
    kind: int,
    event: Any,
) -> bool:
    """Books a trade; False when it can't be, and then the event says why. notional_e6: quantity x price, or what the
    venue's average leaves for it; told_e8: the report's CumQty; kind: its ExecType. Within the order's seqlock."""
    if not is_possible(qty_e8, px_e8):
        reject(event, _UNEXPECTED, int(order.status), kind)
        return False
    if exec_hash != 0 and find_execution(state, order_id, exec_hash) >= 0:
        reject(event, _REPEATED, 0, 0)
        return False
    told = max(order.told_qty_e8, told_e8)
    if order.told_qty_e8 > 0 and order.cum_qty_e8 > told - qty_e8:
        reject(event, _REPEATED, 0, 0)  # it is among those that were booked by the total
        return False
    position = state.positions[order_position(state, order)]
    held, cost, gain = position.qty_e8, position.cost_e6, position.realized_e6
    if not can_be_counted(state, order, qty_e8, notional_e6, held, cost, gain):
        reject(event, _OVERFLOW, 0, qty_e8)
        return False
    held, cost, gain = book_fill(
        state, order, order_id, qty_e8, px_e8, notional_e6, exec_hash, event, held, cost, gain
    )
    write_position(state, order, held, cost, gain)
    order.cum_qty_e8 += qty_e8
    order.cum_notional_e6 += notional_e6
    if order.told_qty_e8 > 0:
        order.told_qty_e8 = told
    event.last_qty_e8 = qty_e8
    event.last_px_e8 = px_e8
    return True
