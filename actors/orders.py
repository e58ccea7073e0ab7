"""Order rows: taking one, finding one, showing one in an event, ending one.

Always holds: an open order's row is never used again; a row that is used again has first left both indexes. What
an order holds (cash, open quantity) is zero once it has ended; while a replace is pending it is the larger of what
the old and the new terms need.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import show_cash
from actors.buying import carry_reservation, paying_cash
from actors.emit import Out, set_text
from actors.exposure import carry_open
from actors.passive import find_cold, take_position_row
from actors.tables import (
    R_NEXT_ORDER,
    R_ORDERS,
    Array,
    State,
    begin_write,
    copy_words,
    end_write,
    find_position,
    index_put,
    index_remove,
    order_hash,
)
from core.money import notional_up_e6
from core.order_states import is_terminal, shown_status
from core.records import Fate, OrdStatus, Side
from shared_mem.jit import jit

# How many rows are looked at for one whose order has ended, when the table has been filled once. Open orders
# would have to stand in all of them for the table to count as full.
RECYCLE_LOOK_MAX: Final = 64

_BUY: Final = int(Side.BUY)
_FILLED: Final = int(OrdStatus.FILLED)
_SURE: Final = int(Fate.SURE)
_ASKED: Final = int(Fate.ASKED)
_OVERTAKEN: Final = int(Fate.OVERTAKEN)
_UNKNOWN: Final = int(Fate.UNKNOWN)


@jit
def free_order_row(state: State) -> int:
    """The row for the next order, or -1 when the table is full of open ones. Takes nothing yet."""
    capacity = len(state.orders)
    next_row = int(state.registers[R_NEXT_ORDER])
    for step in range(min(RECYCLE_LOOK_MAX, capacity)):
        row = (next_row + step) & (capacity - 1)
        if row >= state.registers[R_ORDERS] or not is_open(state.orders[row]):
            return row
    return -1


@jit
def take_order_row(state: State, row: int, order_id: int, client_hash: int, text: Array, length: int) -> None:
    """Make `row` the order's: out of the indexes under its old names, in under the new ones."""
    registers = state.registers
    if row < registers[R_ORDERS]:
        index_remove(state.order_index, order_hash(int(state.orders[row].order_id)), row)
        index_remove(state.client_index, int(state.orders[row].client_hash), row)
    else:
        registers[R_ORDERS] = row + 1
    registers[R_NEXT_ORDER] = (row + 1) & (len(state.orders) - 1)
    order = state.orders[row]
    order.order_id = order_id
    order.client_hash = client_hash
    order.text_length = length
    copy_words(state.order_texts[row].ctypes.data, text.ctypes.data, length)
    index_put(state.order_index, order_hash(order_id), row)
    index_put(state.client_index, client_hash, row)


@jit
def position_row(state: State, account: int, instrument: int) -> int:
    """Row of the account's position, made when there is none; -1 when the table is full."""
    row = find_position(state, account, instrument)
    if row < 0:
        owner = state.accounts[account - 1]
        begin_write(owner)
        row = take_position_row(state, account, instrument)
        end_write(owner)
    return row


@jit
def order_position(state: State, order: Any) -> int:
    """Row of the order's position; -1 while its account is passive. It moves when the account was passive since."""
    row = int(order.position_row)
    position = state.positions[row]
    if position.account == order.account and position.instrument == order.instrument:
        return row
    return find_position(state, int(order.account), int(order.instrument))


@jit
def is_open(order: Any) -> bool:
    """Whether its venue may still move it: not ended, or filled while a pending replace may give it more."""
    return not is_terminal(int(order.status)) or order.replacing != 0


@jit
def status_shown(order: Any) -> int:
    return shown_status(int(order.status), order.cancel_pending != 0, order.replacing != 0)


@jit
def leaves_qty_e8(order: Any) -> int:
    """What may still fill by the terms that hold: zero once the order has ended."""
    return 0 if is_terminal(int(order.status)) else max(order.qty_e8 - order.cum_qty_e8, 0)


@jit
def open_qty_e8(state: State, order: Any) -> int:
    """What may still fill by the terms that hold or by those asked for, whichever is more."""
    leaves = leaves_qty_e8(order)
    if order.replacing == 0:
        return leaves
    return max(leaves, state.replacements[order.replacing - 1].qty_e8 - order.cum_qty_e8)


@jit
def _needed_e6(state: State, order: Any) -> int:
    """Cash that a purchase may still take, by the terms that hold or by those asked for."""
    needed = notional_up_e6(leaves_qty_e8(order), order.route_price_e8)
    if order.replacing == 0:
        return needed
    asked = state.replacements[order.replacing - 1]
    return max(needed, notional_up_e6(max(asked.qty_e8 - order.cum_qty_e8, 0), asked.route_price_e8))


@jit
def hold(state: State, row: int, open_before_e8: int) -> None:
    """Bring what the order holds to what it now needs: reserved cash for a buy, open quantity on its side."""
    order = state.orders[row]
    open_now = open_qty_e8(state, order)
    account = state.accounts[order.account - 1]
    position = state.positions[order_position(state, order)]
    needed = 0
    begin_write(position)
    if order.side == _BUY:
        needed = _needed_e6(state, order)
        position.open_buy_e8 += open_now - open_before_e8
    else:
        position.open_sell_e8 += open_now - open_before_e8
    end_write(position)
    carry_open(state, int(order.instrument) - 1, int(order.side), open_now - open_before_e8)
    carry_reservation(state, order, needed - order.reserved_e6)
    begin_write(account)
    if open_now == 0 and open_before_e8 > 0:
        account.open_orders -= 1
    elif open_now > 0 and open_before_e8 == 0:
        account.open_orders += 1
    end_write(account)
    order.reserved_e6 = needed


@jit
def overtake(order: Any) -> None:
    """A request after the question: what the venue answers to that says nothing of it."""
    if order.fate == _ASKED:
        order.fate = _OVERTAKEN


@jit
def moved(state: State, row: int, was_status: int, open_before_e8: int, now_ns: int) -> None:
    """After the venue has moved an order, within its seqlock: what goes with its status, and what it holds."""
    order = state.orders[row]
    status = int(order.status)
    if is_terminal(status) and status != _FILLED:
        order.replacing = 0  # its order is gone; what the venue says of it now changes nothing
    if not is_open(order):
        order.cancel_pending = 0
    if status != was_status:
        order.ended_ns = now_ns if is_terminal(status) else 0
    order.fate = _SURE
    order.updated_ns = now_ns
    hold(state, row, open_before_e8)


@jit
def show_order(state: State, out: Out, row: int, event: Any) -> None:
    """Put the order as it now is into the event, and its account and position after it."""
    order = state.orders[row]
    event.instrument = order.instrument
    event.order_id = order.order_id
    event.side = order.side
    event.ord_type = order.ord_type
    event.tif = order.tif
    event.ord_status = status_shown(order)
    event.qty_e8 = order.qty_e8
    event.price_e8 = order.price_e8
    event.route_price_e8 = order.route_price_e8
    event.cum_qty_e8 = order.cum_qty_e8
    event.cum_notional_e6 = order.cum_notional_e6
    if order.fate == _UNKNOWN:
        event.state = _UNKNOWN
    link = paying_cash(state, int(order.account), int(order.instrument))
    show_cash(state, int(order.account) - 1, link, event)
    at = order_position(state, order)
    if at >= 0:
        event.position_qty_e8 = state.positions[at].qty_e8
        event.position_cost_e6 = state.positions[at].cost_e6
        event.realized_e6 = state.positions[at].realized_e6
    else:
        at = find_cold(state, int(order.account), int(order.instrument))
        if at >= 0:
            event.position_qty_e8 = state.cold[at].qty_e8
            event.position_cost_e6 = state.cold[at].cost_e6
            event.realized_e6 = state.cold[at].realized_e6
    if order.replacement == 0:
        set_text(out, state.order_texts[row], int(order.text_length))
    else:
        at = int(order.replacement) - 1
        event.replacement = state.replacements[at].number
        set_text(out, state.replacement_texts[at], int(state.replacements[at].text_length))
