"""A cancel: a question to the venue. It changes no money; the venue's answer does (`report.py`).

Always holds: a cancel is never held back by a check or a limit.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import reject
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.orders import overtake, show_order, status_shown
from actors.tables import State, begin_write, end_write, find_order
from core.order_states import may_cancel
from core.records import EventKind, ExecType
from core.rejects import Reject
from shared_mem.jit import jit

_ORDER: Final = int(EventKind.ORDER)
_EXEC_PENDING: Final = int(ExecType.PENDING_CANCEL)
_EXEC_REJECT: Final = int(ExecType.CANCEL_REJECT)
_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_NOT_OPEN: Final = int(Reject.ORDER_NOT_OPEN)


@jit
def on_cancel(state: State, out: Out, command: Command) -> None:
    asked = command.head[0]
    event = new_event(out, _ORDER, command)
    row = find_order(state, int(asked.order_id))
    if row < 0 or state.orders[row].account != asked.account:
        event.exec_type = _EXEC_REJECT
        reject(event, _UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    shown = status_shown(order)
    if not may_cancel(shown):
        event.exec_type = _EXEC_REJECT
        show_order(state, out, row, event)
        reject(event, _NOT_OPEN, 0, shown)
        emit(out)
        return
    ask_for_cancel(state, out, row, event)


@jit
def ask_for_cancel(state: State, out: Out, row: int, event: Any) -> None:
    """Of an order that may be canceled: the mark, and the event that sends the question to the venue."""
    order = state.orders[row]
    begin_write(order)
    order.cancel_pending = 1
    overtake(order)
    order.updated_ns = out.pen[P_TIME]
    end_write(order)
    event.exec_type = _EXEC_PENDING
    show_order(state, out, row, event)
    emit(out)
