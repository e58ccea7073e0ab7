"""A venue's report: moves the order by the table of `core/order_states.py`, books what traded, releases the rest.

Always holds: a report is applied once (its MsgSeqNum is higher than the last one's; the shard drops it otherwise,
before it is journaled). A trade is booked whatever the status. A report that the table does not know changes
nothing and is recorded.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import reject
from actors.buying import can_pay, pay
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.exposure import can_count, carry_position
from actors.orders import hold, leaves_qty_e8, order_position, show_order
from actors.passive import activate
from actors.tables import R_VENUE_SEQ, State, begin_write, end_write, find_order
from core import money
from core.order_states import ILLEGAL, is_terminal, status_after
from core.positions import after_fill
from core.records import EventKind, ExecType, OrdStatus, Side
from core.rejects import Reject
from core.units import PRICE_E8_MAX, QTY_E8_MAX
from shared_mem.jit import jit

_ORDER: Final = int(EventKind.ORDER)
_BUY: Final = int(Side.BUY)
_TRADE: Final = int(ExecType.TRADE)
_CANCEL_REJECT: Final = int(ExecType.CANCEL_REJECT)
_FILLED: Final = int(OrdStatus.FILLED)
_REJECTED: Final = int(OrdStatus.REJECTED)
_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_UNEXPECTED: Final = int(Reject.REPORT_UNEXPECTED)
_VENUE_REJECTED: Final = int(Reject.VENUE_REJECTED)
_POSITIONS_FULL: Final = int(Reject.POSITION_TABLE_FULL)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)


@jit
def is_new_report(state: State, command: Command) -> bool:
    return int(command.report[0].venue_seq) > state.registers[R_VENUE_SEQ]


@jit
def _is_possible(report: Any) -> bool:
    """Quantity and price of a trade are ones that an order can have."""
    return 0 < report.last_qty_e8 <= QTY_E8_MAX and 0 <= report.last_px_e8 <= PRICE_E8_MAX


@jit
def _can_be_counted(state: State, order: Any, qty_e8: int, notional_e6: int) -> bool:
    """Whether every sum that the fill enters fits its int64: overflow is a reject, never a wrap."""
    position = state.positions[order_position(state, order)]
    cost = money.add(abs(position.cost_e6), notional_e6)
    return (
        notional_e6 != money.OVERFLOW
        and cost != money.OVERFLOW
        and money.add(abs(position.realized_e6), cost) != money.OVERFLOW
        and money.add(abs(position.qty_e8), qty_e8) != money.OVERFLOW
        and money.add(order.cum_qty_e8, qty_e8) != money.OVERFLOW
        and can_count(state, int(order.instrument) - 1, qty_e8)
        and money.add(order.cum_notional_e6, notional_e6) != money.OVERFLOW
        and can_pay(state, order, -notional_e6 if order.side == _BUY else notional_e6)
    )


@jit
def _book(state: State, order: Any, qty_e8: int, notional_e6: int) -> None:
    """What a fill does to cash, position, and what stands above them."""
    position = state.positions[order_position(state, order)]
    qty, cost, realized = after_fill(
        order.side, qty_e8, notional_e6, position.qty_e8, position.cost_e6, position.realized_e6
    )
    carry_position(state, int(order.instrument) - 1, position.qty_e8, qty)
    grown = abs(cost) - abs(position.cost_e6)
    pay(state, order, -notional_e6 if order.side == _BUY else notional_e6, grown)
    begin_write(position)
    position.qty_e8 = qty
    position.cost_e6 = cost
    position.realized_e6 = realized
    end_write(position)


@jit
def _apply(state: State, out: Out, row: int, report: Any, event: Any) -> None:
    order = state.orders[row]
    now = out.pen[P_TIME]
    if report.exec_type == _CANCEL_REJECT:
        begin_write(order)
        order.cancel_pending = 0
        order.updated_ns = now
        end_write(order)
        reject(event, _VENUE_REJECTED, 0, 0)
        return
    traded = report.exec_type == _TRADE
    if traded and not _is_possible(report):
        reject(event, _UNEXPECTED, int(order.status), int(report.exec_type))
        return
    notional = money.notional_e6(report.last_qty_e8, report.last_px_e8) if traded else 0
    if traded and not _can_be_counted(state, order, report.last_qty_e8, notional):
        reject(event, _OVERFLOW, 0, report.last_qty_e8)
        return
    cum = order.cum_qty_e8 + (report.last_qty_e8 if traded else 0)
    after = status_after(int(order.status), int(report.exec_type), cum, order.qty_e8)
    if after == ILLEGAL:
        reject(event, _UNEXPECTED, int(order.status), int(report.exec_type))
        return
    was_open = not is_terminal(int(order.status))
    leaves_before = leaves_qty_e8(order)
    begin_write(order)
    if traded:
        order.cum_qty_e8 = cum
        order.cum_notional_e6 += notional
        event.last_qty_e8 = report.last_qty_e8
        event.last_px_e8 = report.last_px_e8
        _book(state, order, report.last_qty_e8, notional)
    order.status = after
    order.updated_ns = now
    if is_terminal(after):
        order.cancel_pending = 0
        if was_open and after == _FILLED:
            order.filled_ns = now
        elif was_open:
            order.canceled_ns = now
    if after == _REJECTED and not traded:
        order.reject_code = _VENUE_REJECTED
        reject(event, _VENUE_REJECTED, 0, 0)
    hold(state, row, leaves_before)
    end_write(order)


@jit
def on_report(state: State, out: Out, command: Command) -> None:
    report = command.report[0]
    state.registers[R_VENUE_SEQ] = report.venue_seq
    event = new_event(out, _ORDER, command)
    event.exec_type = report.exec_type
    row = find_order(state, int(report.order_id))
    if row < 0:
        reject(event, _UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    event.source = order.source
    event.request_id = order.request_id
    if activate(state, int(order.account) - 1):
        _apply(state, out, row, report, event)
    else:  # a fill after the order's end, for an account that went: never booked half
        reject(event, _POSITIONS_FULL, len(state.positions), 0)
    show_order(state, out, row, event)
    emit(out)
