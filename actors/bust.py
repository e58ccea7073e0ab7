"""Busts and corrections: a venue takes a trade back, or says it again with another quantity or price.

Always holds: cash, settled or not, and the position's quantity are then as if the trade had not been, or had been the
corrected one;
the position's cost and realised gain give back exactly what the fill itself had moved (`core/positions.py`,
`without_fill`), for what trades after it made of the average cost can't be known without all of them. An execution is
undone once; one that is not known, or was undone, changes nothing. A correction is a new execution under its own
ExecID, which can be undone in its turn.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.buying import can_pay, can_take_back, pay, settles_at, take_back
from actors.executions import find_execution, remember_execution
from actors.exposure import can_count, carry_position
from actors.orders import order_position
from actors.tables import State, begin_write, end_write
from core import money
from core.order_states import status_after_undo
from core.positions import after_fill, without_fill
from core.records import ExecType, Side
from core.rejects import Reject
from core.units import PRICE_E8_MAX, QTY_E8_MAX
from shared_mem.jit import jit

_BUY: Final = int(Side.BUY)
_CORRECT: Final = int(ExecType.TRADE_CORRECT)
_UNKNOWN: Final = int(Reject.EXECUTION_UNKNOWN)
_REPEATED: Final = int(Reject.EXECUTION_REPEATED)
_UNEXPECTED: Final = int(Reject.REPORT_UNEXPECTED)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)


@jit
def is_possible(qty_e8: int, px_e8: int) -> bool:
    """Quantity and price of a trade are ones that an order can have."""
    return 0 < qty_e8 <= QTY_E8_MAX and 0 <= px_e8 <= PRICE_E8_MAX


@jit
def can_be_counted(
    state: State, order: Any, qty_e8: int, notional_e6: int, held_e8: int, cost_e6: int, gain_e6: int
) -> bool:
    """Whether every sum that a fill enters fits its int64: overflow is a reject, never a wrap. held, cost, gain: of the
    position that it comes to."""
    cost = money.add(abs(cost_e6), notional_e6)
    return (
        notional_e6 != money.OVERFLOW
        and cost != money.OVERFLOW
        and money.add(abs(gain_e6), cost) != money.OVERFLOW
        and money.add(abs(held_e8), qty_e8) != money.OVERFLOW
        and money.add(order.cum_qty_e8, qty_e8) != money.OVERFLOW
        and can_count(state, int(order.instrument) - 1, qty_e8)
        and money.add(order.cum_notional_e6, notional_e6) != money.OVERFLOW
        and can_pay(state, order, -notional_e6 if order.side == _BUY else notional_e6)
    )


@jit
def _can_be_undone(state: State, order: Any, position: Any, done: Any, amount_e6: int) -> bool:
    """Whether every sum that taking it back enters fits; a cost may go on to what is realised."""
    cost = money.add(abs(position.cost_e6), abs(done.cost_e6))
    gain = money.add(abs(position.realized_e6), abs(done.realized_e6))
    return (
        cost != money.OVERFLOW
        and gain != money.OVERFLOW
        and money.add(cost, gain) != money.OVERFLOW
        and money.add(abs(position.qty_e8), done.qty_e8) != money.OVERFLOW
        and can_count(state, int(order.instrument) - 1, done.qty_e8)
        and can_take_back(state, order, amount_e6, done.cost_e6)
    )


@jit
def undo(state: State, order: Any, report: Any, event: Any) -> bool:
    """What a bust or correction does to execution, cash, position and the order's sums and status; False when it
    changes nothing, and then the event says why. Within the order's seqlock; what it holds is the caller's."""
    order_id = int(np.int64(report.order_id))
    at = find_execution(state, order_id, report.exec_ref_hash)
    if report.exec_ref_hash == 0 or at < 0 or state.executions[at].qty_e8 == 0:
        reject(event, _UNKNOWN, 0, 0)
        return False
    corrects = report.exec_type == _CORRECT
    if corrects and report.exec_hash != 0 and find_execution(state, order_id, report.exec_hash) >= 0:
        reject(event, _REPEATED, 0, 0)
        return False
    if corrects and not is_possible(report.last_qty_e8, report.last_px_e8):
        reject(event, _UNEXPECTED, int(order.status), int(report.exec_type))
        return False
    done = state.executions[at]
    position = state.positions[order_position(state, order)]
    buying = order.side == _BUY
    undone = money.notional_e6(done.qty_e8, done.px_e8)
    amount = -undone if buying else undone
    if not _can_be_undone(state, order, position, done, amount):
        reject(event, _OVERFLOW, 0, done.qty_e8)
        return False
    was_held, was_cost = position.qty_e8, position.cost_e6
    held, cost, gain = without_fill(
        done.qty_e8 if buying else -done.qty_e8,
        done.cost_e6,
        done.realized_e6,
        was_held,
        was_cost,
        position.realized_e6,
    )
    qty = notional = 0
    if corrects:
        qty, notional = report.last_qty_e8, money.notional_e6(report.last_qty_e8, report.last_px_e8)
        if not can_be_counted(state, order, qty, notional, held, cost, gain):
            reject(event, _OVERFLOW, 0, qty)
            return False
    take_back(state, order, amount, done.due, abs(cost) - abs(was_cost))
    cum = order.cum_qty_e8 - done.qty_e8 + qty
    told = int(report.ord_status)
    order.status = status_after_undo(int(order.status), int(report.exec_type), told, cum, order.qty_e8)
    order.cum_qty_e8 = cum
    order.cum_notional_e6 += notional - undone
    if order.told_qty_e8 > 0:
        order.told_qty_e8 = max(order.told_qty_e8 + qty - done.qty_e8, 0)
    event.last_qty_e8 = qty if corrects else done.qty_e8
    event.last_px_e8 = report.last_px_e8 if corrects else done.px_e8
    event.ref_seq = done.seq
    done.qty_e8 = 0
    if corrects:
        px, named = report.last_px_e8, report.exec_hash
        held, cost, gain = book_fill(
            state, order, order_id, qty, px, notional, named, event, held, cost, gain
        )
    write_position(state, order, held, cost, gain)
    return True


@jit
def book_fill(
    state: State,
    order: Any,
    order_id: int,
    qty_e8: int,
    px_e8: int,
    notional_e6: int,
    exec_hash: int,
    event: Any,
    held_e8: int,
    cost_e6: int,
    gain_e6: int,
) -> tuple[int, int, int]:
    """Pays for a fill and remembers it; the position (quantity, cost, realised) that it makes of this one."""
    held, cost, gain = after_fill(order.side, qty_e8, notional_e6, held_e8, cost_e6, gain_e6)
    pay(state, order, -notional_e6 if order.side == _BUY else notional_e6, abs(cost) - abs(cost_e6))
    remember_execution(
        state,
        order_id,
        exec_hash,
        qty_e8,
        px_e8,
        cost - cost_e6,
        gain - gain_e6,
        settles_at(state, order),
        int(np.int64(event.cause_seq)) + 1,
    )
    return held, cost, gain


@jit
def write_position(state: State, order: Any, held_e8: int, cost_e6: int, gain_e6: int) -> None:
    position = state.positions[order_position(state, order)]
    carry_position(state, int(order.instrument) - 1, position.qty_e8, held_e8)
    begin_write(position)
    position.qty_e8 = held_e8
    position.cost_e6 = cost_e6
    position.realized_e6 = gain_e6
    end_write(position)
