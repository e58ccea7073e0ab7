"""A person's word on an order of unknown fate: it was canceled, or so much of it was filled at a price.

Always holds: only an order whose fate is unknown is resolved. A fill is booked as any other; where it leaves something
open, that is of unknown fate still. A report of the venue that comes later for what was resolved as filled is known
by the venue's total (`actors/fill.py`); one for an order resolved as canceled is booked: money that moved has moved.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.account import reject
from actors.bust import is_possible
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.fill import fill
from actors.orders import is_open, leaves_qty_e8, moved, open_qty_e8, show_order, status_shown
from actors.tables import State, begin_write, end_write, find_order
from core import money
from core.order_states import ILLEGAL, status_after
from core.records import EventKind, ExecType, Fate
from core.rejects import Reject
from shared_mem.jit import jit, whole

_ORDER: Final = int(EventKind.ORDER)
_TRADE: Final = int(ExecType.TRADE)
_CANCELED: Final = int(ExecType.CANCELED)
_ORDER_STATUS: Final = int(ExecType.ORDER_STATUS)
_REPLACE_REJECT: Final = int(ExecType.REPLACE_REJECT)
_UNKNOWN: Final = int(Fate.UNKNOWN)
_ORDER_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_FATE_KNOWN: Final = int(Reject.FATE_KNOWN)
_TOO_MUCH: Final = int(Reject.RESOLVED_TOO_MUCH)
_COMMAND_UNKNOWN: Final = int(Reject.COMMAND_UNKNOWN)


@whole
def on_resolve(state: State, out: Out, command: Command) -> None:
    told = command.resolve[0]
    event = new_event(out, _ORDER, command)
    event.exec_type = _ORDER_STATUS
    row = find_order(state, int(told.order_id))
    if row < 0 or state.orders[row].account != told.account:
        reject(event, _ORDER_UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    leaves = leaves_qty_e8(order)
    if not is_open(order) or order.fate != _UNKNOWN:
        reject(event, _FATE_KNOWN, 0, status_shown(order))
    elif told.exec_type == _TRADE:
        if not is_possible(told.last_qty_e8, told.last_px_e8) or told.last_qty_e8 > leaves:
            reject(event, _TOO_MUCH, leaves, told.last_qty_e8)
        else:
            _filled(state, out, command, row)
    elif told.exec_type == _CANCELED:
        _canceled(state, out, row)
    else:
        reject(event, _COMMAND_UNKNOWN, 0, int(told.exec_type))
    show_order(state, out, row, event)
    emit(out)


@jit
def _filled(state: State, out: Out, command: Command, row: int) -> None:
    told, event, order = command.resolve[0], out.event[0], state.orders[row]
    was_status, before = int(order.status), open_qty_e8(state, order)
    qty, px = told.last_qty_e8, told.last_px_e8
    total = order.cum_qty_e8 + qty
    begin_write(order)
    order_id = int(np.int64(order.order_id))
    notional = money.notional_e6(qty, px)
    event.exec_type = _TRADE
    if fill(state, order, order_id, qty, px, notional, 0, total, _TRADE, event):
        order.told_qty_e8 = max(order.told_qty_e8, total)
        order.status = status_after(was_status, _TRADE, order.cum_qty_e8, order.qty_e8)
        moved(state, row, was_status, before, out.pen[P_TIME])
        if is_open(order):
            order.fate = _UNKNOWN
    end_write(order)


@jit
def _canceled(state: State, out: Out, row: int) -> None:
    """A filled order that is open for a pending replace alone loses that."""
    event, order = out.event[0], state.orders[row]
    was_status, before = int(order.status), open_qty_e8(state, order)
    after = status_after(was_status, _CANCELED, 0, 1)
    begin_write(order)
    order.replacing = 0
    if after != ILLEGAL:
        order.status = after
    moved(state, row, was_status, before, out.pen[P_TIME])
    end_write(order)
    event.exec_type = _CANCELED if after != ILLEGAL else _REPLACE_REJECT
