"""Timers: what time alone does to an order. Each is a journaled command for one order, pushed by `actors/due.py`.

Always holds: whether something is due is a function of the order and the command's time, decided here again, whoever
pushed the command and however late; one that is not due is recorded and changes nothing. Nothing that the venue
may still trade is ever released by a timer, but a day order after the end of its day.

- DAY_END: a DAY order that is open past the end of the day it was placed on is EXPIRED. What the venue said before
  counts; a fill that it tells later is booked all the same. GTC and GTD orders stay.
- EXPIRE: at its own time a GTD order's cancel is asked of the venue (to which it is good till cancel), as its owner
  would ask.
- ASK_STATUS: an order whose venue owes an answer (to the order, a cancel or a replace) for too long is marked ASKED,
  until any report comes; the router asks the venue by OrderStatusRequest. Nothing is released.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import reject
from actors.cancel import ask_for_cancel
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.orders import hold, is_open, open_qty_e8, show_order, status_shown
from actors.tables import State, begin_write, end_write, find_order
from core.order_states import is_terminal, may_cancel
from core.records import CommandKind, EventKind, ExecType, Fate, OrdStatus, TimeInForce
from core.rejects import Reject
from shared_mem.jit import jit, whole

_ORDER: Final = int(EventKind.ORDER)
_DAY: Final = int(TimeInForce.DAY)
_GTD: Final = int(TimeInForce.GTD)
_PENDING_NEW: Final = int(OrdStatus.PENDING_NEW)
_EXPIRED: Final = int(OrdStatus.EXPIRED)
_EXEC_EXPIRED: Final = int(ExecType.EXPIRED)
_EXEC_STATUS: Final = int(ExecType.ORDER_STATUS)
_SURE: Final = int(Fate.SURE)
_ASKED: Final = int(Fate.ASKED)
_DAY_END: Final = int(CommandKind.DAY_END)
_EXPIRE: Final = int(CommandKind.EXPIRE)
_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_NOT_DUE: Final = int(Reject.TIMER_NOT_DUE)


@jit
def day_is_over(order: Any, day_end_ns: int, now_ns: int) -> bool:
    return (
        not is_terminal(int(order.status))
        and order.tif == _DAY
        and order.created_ns < day_end_ns
        and day_end_ns <= now_ns
    )


@jit
def is_past_its_date(order: Any, now_ns: int) -> bool:
    """A GTD order at its end, for which no cancel is under way."""
    return order.tif == _GTD and order.expire_time_ns <= now_ns and may_cancel(status_shown(order))


@jit
def is_unanswered(order: Any, since_ns: int, now_ns: int) -> bool:
    """The venue owes an answer from before `since`, and has not been asked for it."""
    waits = order.status == _PENDING_NEW or order.cancel_pending != 0 or order.replacing != 0
    return waits and is_open(order) and order.fate == _SURE and order.updated_ns <= since_ns <= now_ns


@whole
def on_timer(state: State, out: Out, command: Command) -> None:
    asked = command.timer[0]
    now = out.pen[P_TIME]
    event = new_event(out, _ORDER, command)
    event.exec_type = _EXEC_STATUS
    row = find_order(state, int(asked.order_id))
    if row < 0 or state.orders[row].account != asked.account:
        reject(event, _UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    if asked.kind == _DAY_END:
        if day_is_over(order, asked.due_ns, now):
            _expire(state, row, now)
            event.exec_type = _EXEC_EXPIRED
        else:
            reject(event, _NOT_DUE, 0, 0)
    elif asked.kind == _EXPIRE:
        if is_past_its_date(order, now):
            ask_for_cancel(state, out, row, event)
            return
        reject(event, _NOT_DUE, 0, 0)
    elif is_unanswered(order, asked.due_ns, now):
        begin_write(order)
        order.fate = _ASKED
        end_write(order)
    else:
        reject(event, _NOT_DUE, 0, 0)
    show_order(state, out, row, event)
    emit(out)


@jit
def _expire(state: State, row: int, now_ns: int) -> None:
    order = state.orders[row]
    before = open_qty_e8(state, order)
    begin_write(order)
    order.status = _EXPIRED
    order.cancel_pending = 0
    order.replacing = 0
    order.updated_ns = now_ns
    order.ended_ns = now_ns
    order.fate = _SURE
    hold(state, row, before)
    end_write(order)
