"""A venue's report: moves the order by the table of `core/order_states.py`, books what traded, releases the rest.

Always holds: a report is applied once (its MsgSeqNum is higher than the last one's; the shard drops it otherwise,
before it is journaled), and an execution is booked once, under whatever MsgSeqNum its ExecID comes again. A trade is
booked whatever the status. A report that the table does not know changes nothing and is recorded.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.bust import is_possible, undo
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.fill import fill
from actors.orders import moved, open_qty_e8, show_order
from actors.passive import activate
from actors.replace import is_pending, post
from actors.tables import R_VENUE_SEQ, State, begin_write, end_write, find_order
from core import money
from core.order_states import ILLEGAL, status_after
from core.records import EventKind, ExecType, OrdStatus
from core.rejects import Reject
from shared_mem.jit import jit, whole

_ORDER: Final = int(EventKind.ORDER)
_NEW: Final = int(ExecType.NEW)
_TRADE: Final = int(ExecType.TRADE)
_REPLACED: Final = int(ExecType.REPLACED)
_CANCEL_REJECT: Final = int(ExecType.CANCEL_REJECT)
_REPLACE_REJECT: Final = int(ExecType.REPLACE_REJECT)
_TRADE_CANCEL: Final = int(ExecType.TRADE_CANCEL)
_TRADE_CORRECT: Final = int(ExecType.TRADE_CORRECT)
_ORDER_STATUS: Final = int(ExecType.ORDER_STATUS)
_STATUS_NEW: Final = int(OrdStatus.NEW)
_PENDING_NEW: Final = int(OrdStatus.PENDING_NEW)
_CANCELED: Final = int(OrdStatus.CANCELED)
_REJECTED: Final = int(OrdStatus.REJECTED)
_EXPIRED: Final = int(OrdStatus.EXPIRED)
_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_UNEXPECTED: Final = int(Reject.REPORT_UNEXPECTED)
_VENUE_REJECTED: Final = int(Reject.VENUE_REJECTED)
_POSITIONS_FULL: Final = int(Reject.POSITION_TABLE_FULL)


@jit
def is_new_report(state: State, command: Command) -> bool:
    return int(command.report[0].venue_seq) > state.registers[R_VENUE_SEQ]


@jit
def _fill(state: State, order: Any, report: Any, event: Any) -> bool:
    """Books the trade of a report; False when it can't be, and then the event says why."""
    qty, px = report.last_qty_e8, report.last_px_e8
    return fill(
        state,
        order,
        int(np.int64(report.order_id)),
        qty,
        px,
        money.notional_e6(qty, px) if is_possible(qty, px) else 0,
        report.exec_hash,
        report.cum_qty_e8,
        int(report.exec_type),
        event,
    )


@jit
def _means(order: Any, report: Any) -> int:
    """The execution type that a report is applied as. Logs from before VENUE_STATUS have answers to OrderStatusRequest
    (150=I) among the reports: an answer for an order without one, an end, or nothing."""
    if report.exec_type != _ORDER_STATUS:
        return int(report.exec_type)
    told = int(report.ord_status)
    if told == _STATUS_NEW and order.status == _PENDING_NEW:
        return _NEW
    if told == _CANCELED or told == _REJECTED or told == _EXPIRED:
        return told  # FIX has the same characters for these ends in OrdStatus and ExecType
    return _ORDER_STATUS


@jit
def _refused(state: State, order: Any, report: Any, event: Any) -> None:
    """The venue refuses a cancel or a replace: the order is as it was before that was asked."""
    if report.exec_type == _CANCEL_REJECT:
        order.cancel_pending = 0
    elif is_pending(state, order, int(report.replacement)):
        order.replacing = 0
    reject(event, _VENUE_REJECTED, 0, 0)


@jit
def _move(state: State, order: Any, report: Any, event: Any) -> bool:
    """What the report does to the order, its account and position; False when it does nothing, and then the event
    says why."""
    kind = _means(order, report)
    if kind == _CANCEL_REJECT or kind == _REPLACE_REJECT:
        _refused(state, order, report, event)
        return True
    if kind == _ORDER_STATUS:
        return True  # as we know it, but it is an answer
    is_answer = kind != _REPLACED or is_pending(state, order, int(report.replacement))
    if not is_answer or status_after(int(order.status), kind, 0, 1) == ILLEGAL:
        reject(event, _UNEXPECTED, int(order.status), int(report.exec_type))
        return False
    if kind == _TRADE_CANCEL or kind == _TRADE_CORRECT:
        return undo(state, order, report, event)
    if kind == _TRADE and not _fill(state, order, report, event):
        return False
    if kind == _REPLACED:
        post(state, order, int(order.replacing))
    event.exec_type = kind
    order.status = status_after(int(order.status), kind, order.cum_qty_e8, order.qty_e8)
    if kind == _REJECTED:
        order.reject_code = _VENUE_REJECTED
        reject(event, _VENUE_REJECTED, 0, 0)
    return True


@jit
def _apply(state: State, row: int, report: Any, event: Any, now_ns: int) -> None:
    order = state.orders[row]
    was_status = int(order.status)
    before = open_qty_e8(state, order)
    begin_write(order)
    if _move(state, order, report, event):
        moved(state, row, was_status, before, now_ns)
    end_write(order)


@whole
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
        _apply(state, row, report, event, out.pen[P_TIME])
    else:  # a fill after the order's end, for an account that went: never booked half
        reject(event, _POSITIONS_FULL, len(state.positions), 0)
    show_order(state, out, row, event)
    emit(out)
