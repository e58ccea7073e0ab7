"""A replace: other terms for an open order. It asks the venue; the venue's answer posts them or leaves all as it was.

Always holds: the replacement passes every check of a new order, before anything is held for it; what its order holds
already is free for it. While it is pending the larger of the old and the new need is held, so that a fill under
either terms is covered. One replace of an order is pending at a time; a name that an order has had is not free for
another while the order is in memory, unless its row here was needed again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.emit import P_TIME, Command, Out, emit, new_event
from actors.new_order import check, expires_rightly, may_rest
from actors.orders import hold, is_open, open_qty_e8, overtake, show_order, status_shown
from actors.tables import (
    R_NEXT_REPLACEMENT,
    R_REPLACEMENTS,
    State,
    begin_write,
    copy_words,
    end_write,
    find_client_order,
    find_order,
    index_put,
    index_remove,
    text_hash,
)
from core.ids import REPLACEMENTS_MAX
from core.order_states import may_replace
from core.records import FLAG_LOG_FULL, FLAG_STANDBY_AWAY, EventKind, ExecType
from core.rejects import Reject
from shared_mem.jit import jit, whole

# How many rows are looked at for one that no open order needs, once the table has been filled.
LOOK_MAX: Final = 64
# How far back a request is looked for that its venue accepts after all: 4,096 rows are read in some 30 us.
LATE_MAX: Final = 4096

_ORDER: Final = int(EventKind.ORDER)
_EXEC_PENDING: Final = int(ExecType.PENDING_REPLACE)
_EXEC_REJECT: Final = int(ExecType.REPLACE_REJECT)
_LOG_FULL: Final = int(Reject.LOG_FULL)
_STANDBY_AWAY: Final = int(Reject.STANDBY_AWAY)
_ORDER_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_INSTRUMENT_UNKNOWN: Final = int(Reject.INSTRUMENT_UNKNOWN)
_COMMAND_UNKNOWN: Final = int(Reject.COMMAND_UNKNOWN)
_NOT_REPLACEABLE: Final = int(Reject.ORDER_NOT_REPLACEABLE)
_EXPIRE_TIME: Final = int(Reject.EXPIRE_TIME_PAST)
_BELOW_FILLED: Final = int(Reject.QTY_BELOW_FILLED)
_DUPLICATE: Final = int(Reject.DUPLICATE_CLIENT_ORDER_ID)
_TABLE_FULL: Final = int(Reject.REPLACEMENT_TABLE_FULL)
_USED_UP: Final = int(Reject.REPLACEMENTS_USED_UP)


@jit
def _is_free(state: State, at: int) -> bool:
    """Nobody is under this replacement or waits for it."""
    found = state.replacements[at]
    order = state.orders[found.order_row]
    if np.int64(order.order_id) != found.order_id or not is_open(order):
        return True
    return order.replacement != at + 1 and order.replacing != at + 1


@jit
def _free_row(state: State) -> int:
    """Row for the next replacement, or -1. Takes nothing yet."""
    capacity = len(state.replacements)
    first = int(state.registers[R_NEXT_REPLACEMENT])
    for step in range(min(LOOK_MAX, capacity)):
        at = (first + step) & (capacity - 1)
        if at >= state.registers[R_REPLACEMENTS] or _is_free(state, at):
            return at
    return -1


@jit
def _fill_in(asked: Any, order: Any) -> None:
    """The terms that the command leaves as they are."""
    asked.side = order.side
    asked.ord_type = order.ord_type
    if asked.qty_e8 == 0:
        asked.qty_e8 = order.qty_e8
    if asked.price_e8 == 0:
        asked.price_e8 = order.price_e8
    if asked.tif == 0:
        asked.tif = order.tif
        asked.expire_time_ns = order.expire_time_ns


@jit
def _judge(state: State, command: Command, order: Any, hashed: int, now_ns: int) -> tuple[int, int, int, int]:
    """(code, limit, value, price for the venue); code 0 when it may be asked for."""
    asked = command.order[0]
    shown = status_shown(order)
    if not may_replace(shown):
        return _NOT_REPLACEABLE, 0, shown, 0
    if asked.instrument != order.instrument:
        return _INSTRUMENT_UNKNOWN, 0, int(asked.instrument), 0
    _fill_in(asked, order)
    if asked.tif != order.tif and not may_rest(asked.tif):
        return _COMMAND_UNKNOWN, 0, 0, 0
    if not expires_rightly(asked.tif, asked.expire_time_ns, now_ns):
        return _EXPIRE_TIME, 0, 0, 0
    if order.replacements >= REPLACEMENTS_MAX:
        return _USED_UP, REPLACEMENTS_MAX, 0, 0
    length = int(asked.text_length)
    if find_client_order(state, int(order.account), command.text, length, hashed) >= 0:
        return _DUPLICATE, 0, 0, 0
    if asked.qty_e8 <= order.cum_qty_e8:
        return _BELOW_FILLED, order.cum_qty_e8, asked.qty_e8, 0
    account = state.accounts[order.account - 1]
    instrument = state.instruments[order.instrument - 1]
    own_open = open_qty_e8(state, order)
    return check(state, asked, account, instrument, now_ns, order.cum_qty_e8, own_open, order.reserved_e6)


@whole
def on_replace(state: State, out: Out, command: Command) -> None:
    asked = command.order[0]
    event = new_event(out, _ORDER, command)
    row = find_order(state, int(asked.order_id))
    if row < 0 or state.orders[row].account != asked.account:
        event.exec_type = _EXEC_REJECT
        reject(event, _ORDER_UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    hashed = text_hash(command.text, int(asked.text_length), int(order.account))
    code, limit, value, price = _LOG_FULL, 0, 0, 0
    if asked.flags & FLAG_STANDBY_AWAY:
        code = _STANDBY_AWAY
    elif asked.flags & FLAG_LOG_FULL == 0:
        code, limit, value, price = _judge(state, command, order, hashed, out.pen[P_TIME])
    at = _free_row(state)
    if code == 0 and at < 0:
        code, limit, value = _TABLE_FULL, len(state.replacements), 0
    if code:
        event.exec_type = _EXEC_REJECT
        show_order(state, out, row, event)
        reject(event, code, limit, value)
        emit(out)
        return
    _take(state, command, row, at, hashed, price, out.pen[P_TIME])
    event.exec_type = _EXEC_PENDING
    show_order(state, out, row, event)
    event.asked_replacement = order.replacements
    event.asked_tif = asked.tif
    event.asked_qty_e8 = asked.qty_e8
    event.asked_price_e8 = price
    emit(out)


@jit
def _take(state: State, command: Command, row: int, at: int, hashed: int, price: int, now_ns: int) -> None:
    """Make row `at` the order's pending replacement, and hold for it."""
    asked = command.order[0]
    registers = state.registers
    if at < registers[R_REPLACEMENTS]:
        index_remove(state.client_index, state.replacements[at].client_hash, len(state.orders) + at)
    else:
        registers[R_REPLACEMENTS] = at + 1
    registers[R_NEXT_REPLACEMENT] = (at + 1) & (len(state.replacements) - 1)
    order = state.orders[row]
    before = open_qty_e8(state, order)
    begin_write(order)
    replacement = state.replacements[at]
    replacement.order_id = asked.order_id
    replacement.order_row = row
    replacement.account = order.account
    replacement.number = order.replacements + 1
    replacement.text_length = asked.text_length
    replacement.tif = asked.tif
    replacement.client_hash = hashed
    replacement.qty_e8 = asked.qty_e8
    replacement.price_e8 = asked.price_e8
    replacement.route_price_e8 = price
    replacement.expire_time_ns = asked.expire_time_ns
    copy_words(state.replacement_texts[at].ctypes.data, command.text.ctypes.data, int(asked.text_length))
    index_put(state.client_index, hashed, len(state.orders) + at)
    order.replacements += 1
    order.replacing = at + 1
    overtake(order)
    order.updated_ns = now_ns
    hold(state, row, before)
    end_write(order)


@jit
def is_pending(state: State, order: Any, number: int) -> bool:
    """Whether the order waits for the venue's answer to this replace request."""
    return order.replacing != 0 and state.replacements[order.replacing - 1].number == number


@jit
def accepted_number(state: State, order: Any) -> int:
    """Of the replace request that the venue accepted last; 0: none."""
    return int(state.replacements[order.replacement - 1].number) if order.replacement != 0 else 0


@jit
def refused_row(state: State, order: Any, number: int) -> int:
    """Row + 1 of a replace request, later than the accepted one, that counts as refused here; 0: none such, or its row
    was needed again. Looked for among the newest only: its venue is late by a moment, not by a day."""
    if number <= accepted_number(state, order) or number > order.replacements:
        return 0
    capacity = len(state.replacements)
    newest = int(state.registers[R_NEXT_REPLACEMENT]) - 1
    for back in range(min(LATE_MAX, int(state.registers[R_REPLACEMENTS]))):
        at = (newest - back) & (capacity - 1)
        found = state.replacements[at]
        if found.order_id == np.int64(order.order_id) and found.number == number:
            return at + 1 if order.replacing != at + 1 else 0
    return 0


@jit
def post(state: State, order: Any, at: int) -> None:
    """The venue has accepted the request in row `at` - 1: its terms hold. A quantity that fills have overtaken is what
    is filled (FIX 4.4 vol. 4 appendix D, case D.11)."""
    posted = state.replacements[at - 1]
    order.qty_e8 = max(posted.qty_e8, order.cum_qty_e8)
    order.price_e8 = posted.price_e8
    order.route_price_e8 = posted.route_price_e8
    order.tif = posted.tif
    order.expire_time_ns = posted.expire_time_ns
    order.replacement = at
    if order.replacing == at:
        order.replacing = 0
