"""How an order stands by its venue: it is asked after a restart, and its answer brings ours to it.

Always holds: what the venue's total has and ours has not is booked once, as a fill that says so (Fate.RECONCILED): at
LastPx where the last trade is all that is missing, else at what the venue's average leaves for it, exactly so in
money. Nothing is invented: a total without a price, or one below ours, is no fill but an order of unknown fate, which
holds what it held until its venue or a person (`actors/resolve.py`) says more. An answer may have several events: a
replace that was accepted, a fill, an end.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.bust import is_possible
from actors.emit import P_SEQ, P_TIME, Command, Out, emit, new_event
from actors.fill import fill
from actors.orders import is_open, moved, open_qty_e8, show_order
from actors.passive import activate
from actors.replace import accepted_number, is_pending, post, refused_row
from actors.tables import R_VENUE_SEQ, State, begin_write, end_write, find_order
from core import money
from core.order_states import ILLEGAL, is_open_word, is_terminal, status_after
from core.records import EventKind, ExecType, Fate, OrdStatus, OrdType
from core.rejects import Reject
from core.units import PRICE_E8_MAX, QTY_E8_MAX
from shared_mem.jit import jit, whole

# A price_e8 of money_e6 over qty_e8: see core/units.py, NOTIONAL_DIVISOR.
_SCALE: Final = 10**10

# Terms beyond these are nobody's order but a venue's mistake, and are not taken: a hundred million shares, ten billion
# of money. What all open orders hold together stays far from the end of an int64.
TERMS_QTY_E8_MAX: Final = 10**16
TERMS_NOTIONAL_E6_MAX: Final = 10**16

_ORDER: Final = int(EventKind.ORDER)
_NEW: Final = int(ExecType.NEW)
_TRADE: Final = int(ExecType.TRADE)
_REPLACED: Final = int(ExecType.REPLACED)
_RESTATED: Final = int(ExecType.RESTATED)
_CANCEL_REJECT: Final = int(ExecType.CANCEL_REJECT)
_REPLACE_REJECT: Final = int(ExecType.REPLACE_REJECT)
_ORDER_STATUS: Final = int(ExecType.ORDER_STATUS)
_STATUS_NEW: Final = int(OrdStatus.NEW)
_PARTIALLY: Final = int(OrdStatus.PARTIALLY_FILLED)
_PENDING_NEW: Final = int(OrdStatus.PENDING_NEW)
_FILLED: Final = int(OrdStatus.FILLED)
_CANCELED: Final = int(OrdStatus.CANCELED)
_REJECTED: Final = int(OrdStatus.REJECTED)
_EXPIRED: Final = int(OrdStatus.EXPIRED)
_LIMIT: Final = int(OrdType.LIMIT)
_SURE: Final = int(Fate.SURE)
_ASKED: Final = int(Fate.ASKED)
_UNKNOWN: Final = int(Fate.UNKNOWN)
_OVERTAKEN: Final = int(Fate.OVERTAKEN)
_RECONCILED: Final = int(Fate.RECONCILED)
_ORDER_UNKNOWN: Final = int(Reject.ORDER_UNKNOWN)
_UNEXPECTED: Final = int(Reject.REPORT_UNEXPECTED)
_VENUE_REJECTED: Final = int(Reject.VENUE_REJECTED)
_POSITIONS_FULL: Final = int(Reject.POSITION_TABLE_FULL)
_TELLS_LESS: Final = int(Reject.VENUE_TELLS_LESS)
_SILENT: Final = int(Reject.VENUE_SILENT)
_NOT_ASKED: Final = int(Reject.NOT_ASKED)


@jit
def on_ask(state: State, out: Out, command: Command) -> None:
    """The venue is to be asked: the event is the question, which the router sends."""
    event = new_event(out, _ORDER, command)
    event.exec_type = _ORDER_STATUS
    row = find_order(state, int(command.head[0].order_id))
    if row < 0:
        reject(event, _ORDER_UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    if is_open(order):
        begin_write(order)
        order.fate = _ASKED
        end_write(order)
    else:
        reject(event, _NOT_ASKED, 0, 0)
    show_order(state, out, row, event)
    emit(out)


@jit
def on_fate_unknown(state: State, out: Out, command: Command) -> None:
    """The venue does not know the order, or does not answer. Nothing is released."""
    told = command.doubt[0]
    event = new_event(out, _ORDER, command)
    event.exec_type = _ORDER_STATUS
    row = find_order(state, int(told.order_id))
    if row < 0:
        reject(event, _ORDER_UNKNOWN, 0, 0)
        emit(out)
        return
    order = state.orders[row]
    code = int(told.code)
    was_asked = order.fate == _ASKED or order.fate == _OVERTAKEN
    if not is_open(order) or (code == _SILENT and not was_asked):
        code = _NOT_ASKED
    else:
        begin_write(order)
        order.fate = _UNKNOWN
        end_write(order)
    event.source = order.source
    event.request_id = order.request_id
    show_order(state, out, row, event)
    reject(event, code, 0, 0)
    emit(out)


@whole
def on_status(state: State, out: Out, command: Command) -> None:
    """The venue's answer, or terms that it tells itself (150=5, 150=D)."""
    told = command.status[0]
    state.registers[R_VENUE_SEQ] = told.venue_seq
    cause = out.pen[P_SEQ] - 1
    row = find_order(state, int(told.order_id))
    if row < 0:
        event = new_event(out, _ORDER, command)
        event.exec_type = told.exec_type
        reject(event, _ORDER_UNKNOWN, 0, 0)
        emit(out)
        return
    if not activate(state, int(state.orders[row].account) - 1):  # as for a fill after the order's end
        _tell(state, out, command, row, cause, int(told.exec_type), _POSITIONS_FULL, len(state.positions), 0)
        return
    order = state.orders[row]
    was_asked = order.fate == _ASKED
    before = out.pen[P_SEQ]
    _take_terms(state, out, command, row, cause)
    if told.exec_type == _ORDER_STATUS:
        if not _take_total(state, out, command, row, cause):
            return
        _take_status(state, out, command, row, cause, was_asked)
    if out.pen[P_SEQ] == before:
        _nothing_new(state, out, command, row, cause)


@jit
def _tell(
    state: State,
    out: Out,
    command: Command,
    row: int,
    cause: int,
    kind: int,
    code: int,
    limit: int,
    value: int,
) -> None:
    """An event of the order as it now is, for the door that it came by."""
    order = state.orders[row]
    event = new_event(out, _ORDER, command)
    event.cause_seq = cause
    event.source = order.source
    event.request_id = order.request_id
    event.exec_type = kind
    show_order(state, out, row, event)
    reject(event, code, limit, value)
    emit(out)


@jit
def _doubt(
    state: State, out: Out, command: Command, row: int, cause: int, code: int, limit: int, value: int
) -> None:
    """What the venue tells can't be booked: nobody knows how the order stands."""
    order = state.orders[row]
    if is_open(order):
        begin_write(order)
        order.fate = _UNKNOWN
        end_write(order)
    _tell(state, out, command, row, cause, _ORDER_STATUS, code, limit, value)


@jit
def _told_qty_e8(order: Any, told: Any) -> int:
    """The order's quantity by the venue. One that fills have overtaken is what is filled."""
    return max(told.qty_e8, order.cum_qty_e8) if told.qty_e8 > 0 else order.qty_e8


@jit
def _told_price_e8(order: Any, told: Any) -> int:
    return told.price_e8 if told.price_e8 > 0 else order.route_price_e8


@jit
def _take(order: Any, qty_e8: int, price_e8: int) -> None:
    order.qty_e8 = qty_e8
    order.route_price_e8 = price_e8
    if order.ord_type == _LIMIT:
        order.price_e8 = price_e8


@jit
def _may_be(qty_e8: int, price_e8: int) -> bool:
    """Whether terms are such as an order can have."""
    if qty_e8 > TERMS_QTY_E8_MAX or price_e8 > PRICE_E8_MAX:
        return False
    needed = money.notional_up_e6(qty_e8, price_e8)
    return needed != money.OVERFLOW and needed <= TERMS_NOTIONAL_E6_MAX


@jit
def _accepted_row(state: State, order: Any, number: int) -> int:
    """Row + 1 of the replace request that the venue has accepted by telling this number; 0: it is no news.

    One that is not pending any more counted as refused: by an answer that crossed it, or by the venue's own word. The
    venue has it now all the same, on an order that may still be filled there."""
    if is_pending(state, order, number):
        return int(order.replacing)
    if is_terminal(int(order.status)) and order.status != _FILLED:
        return 0
    return refused_row(state, order, number)


@jit
def _take_terms(state: State, out: Out, command: Command, row: int, cause: int) -> None:
    """A replace that the venue has accepted; then whatever quantity and price it says the order has."""
    told = command.status[0]
    order = state.orders[row]
    was_status, before = int(order.status), open_qty_e8(state, order)
    accepted = _accepted_row(state, order, int(told.replacement))
    is_latest = int(told.replacement) == accepted_number(state, order)  # or it is an old one, told again
    if accepted == 0 and (is_terminal(was_status) or not is_latest):
        return
    qty, price = _told_qty_e8(order, told), _told_price_e8(order, told)
    can_be = _may_be(qty, price)
    if accepted == 0 and (not can_be or (qty == order.qty_e8 and price == order.route_price_e8)):
        return
    begin_write(order)
    if accepted != 0:
        post(state, order, accepted)
        qty, price = _told_qty_e8(order, told), _told_price_e8(order, told)
        if _may_be(qty, price) and (told.qty_e8 > 0 or told.price_e8 > 0):
            _take(order, qty, price)
        order.status = status_after(was_status, _REPLACED, order.cum_qty_e8, order.qty_e8)
    else:
        _take(order, qty, price)
        if order.cum_qty_e8 >= qty:
            order.status = np.uint8(_FILLED)
    moved(state, row, was_status, before, out.pen[P_TIME])
    end_write(order)
    _tell(state, out, command, row, cause, _REPLACED if accepted != 0 else _RESTATED, 0, 0, 0)


@jit
def missing_px_e8(rest_e6: int, qty_e8: int) -> int:
    """rest / qty as a price, rounded half to even, of non-negative money and a positive quantity; -1 where no order
    can have such a price."""
    whole_part = rest_e6 // qty_e8
    if whole_part >= PRICE_E8_MAX // _SCALE:
        return -1
    return whole_part * _SCALE + money.share(_SCALE, rest_e6 - whole_part * qty_e8, qty_e8)


@jit
def _take_total(state: State, out: Out, command: Command, row: int, cause: int) -> bool:
    """Books what the venue's total has and ours has not; False when that can't be, and then its event is out."""
    told = command.status[0]
    order = state.orders[row]
    missing = told.cum_qty_e8 - order.cum_qty_e8
    if missing == 0:
        return True
    if missing < 0 or told.cum_qty_e8 > QTY_E8_MAX or told.avg_px_e8 > PRICE_E8_MAX:
        _doubt(state, out, command, row, cause, _TELLS_LESS, order.cum_qty_e8, told.cum_qty_e8)
        return False
    px, rest = told.last_px_e8, 0
    if told.last_qty_e8 == missing and is_possible(missing, px) and px > 0:
        rest = money.notional_e6(missing, px)
    elif told.avg_px_e8 > 0:
        total = money.notional_e6(told.cum_qty_e8, told.avg_px_e8)
        rest = total - order.cum_notional_e6 if total != money.OVERFLOW else -1
        px = missing_px_e8(rest, missing) if rest >= 0 else -1
    else:
        px = -1
    if px <= 0 or rest == money.OVERFLOW:
        _doubt(state, out, command, row, cause, _TELLS_LESS, order.cum_qty_e8, told.cum_qty_e8)
        return False
    return _book(state, out, command, row, cause, missing, px, rest)


@jit
def _book(
    state: State, out: Out, command: Command, row: int, cause: int, qty_e8: int, px_e8: int, notional_e6: int
) -> bool:
    order = state.orders[row]
    told = command.status[0]
    was_status, before = int(order.status), open_qty_e8(state, order)
    event = new_event(out, _ORDER, command)
    event.cause_seq = cause
    event.source = order.source
    event.request_id = order.request_id
    event.exec_type = _TRADE
    order_id = int(np.int64(order.order_id))
    begin_write(order)
    booked = fill(
        state, order, order_id, qty_e8, px_e8, notional_e6, 0, told.cum_qty_e8, _ORDER_STATUS, event
    )
    if booked:
        order.told_qty_e8 = told.cum_qty_e8
        order.status = status_after(was_status, _TRADE, order.cum_qty_e8, order.qty_e8)
        moved(state, row, was_status, before, out.pen[P_TIME])
    elif is_open(order):
        order.fate = _UNKNOWN
    end_write(order)
    show_order(state, out, row, event)
    if booked:
        event.state = _RECONCILED
    emit(out)
    return booked


@jit
def _take_status(state: State, out: Out, command: Command, row: int, cause: int, was_asked: bool) -> None:
    """The venue's word on an order that is open here: it has it, or it has ended it; and requests that were pending
    before it was asked, and are not there, are refused by that."""
    told = command.status[0]
    order = state.orders[row]
    word = int(told.ord_status)
    if is_terminal(int(order.status)):
        if order.status != word and is_open_word(word) and order.replacing == 0:
            _tell(state, out, command, row, cause, _ORDER_STATUS, _UNEXPECTED, int(order.status), word)
        return
    if is_terminal(word):
        after = status_after(
            int(order.status), word, order.cum_qty_e8, order.qty_e8
        )  # as ExecType, but for FILLED
        if word == _FILLED or after == ILLEGAL:
            _doubt(state, out, command, row, cause, _TELLS_LESS, order.cum_qty_e8, told.cum_qty_e8)
            return
        _end(state, out, command, row, cause, word)
        return
    if order.status == _PENDING_NEW and word != _PENDING_NEW:
        _step(state, row, _STATUS_NEW, out.pen[P_TIME])
        _tell(state, out, command, row, cause, _NEW, 0, 0, 0)
    if was_asked and (word == _STATUS_NEW or word == _PARTIALLY):
        _refuse_pending(state, out, command, row, cause)


@jit
def _step(state: State, row: int, status: int, now_ns: int) -> None:
    order = state.orders[row]
    was_status, before = int(order.status), open_qty_e8(state, order)
    begin_write(order)
    order.status = np.uint8(status)
    moved(state, row, was_status, before, now_ns)
    end_write(order)


@jit
def _end(state: State, out: Out, command: Command, row: int, cause: int, word: int) -> None:
    """FIX has the same characters for these ends in OrdStatus and ExecType."""
    code = _VENUE_REJECTED if word == _REJECTED else 0
    if code:
        state.orders[row].reject_code = np.uint16(code)
    _step(state, row, word, out.pen[P_TIME])
    _tell(state, out, command, row, cause, word, code, 0, 0)


@jit
def _refuse_pending(state: State, out: Out, command: Command, row: int, cause: int) -> None:
    order = state.orders[row]
    if order.cancel_pending != 0:
        begin_write(order)
        order.cancel_pending = 0
        moved(state, row, int(order.status), open_qty_e8(state, order), out.pen[P_TIME])
        end_write(order)
        _tell(state, out, command, row, cause, _CANCEL_REJECT, _VENUE_REJECTED, 0, 0)
    if order.replacing != 0:
        before = open_qty_e8(state, order)
        begin_write(order)
        order.replacing = 0
        moved(state, row, int(order.status), before, out.pen[P_TIME])
        end_write(order)
        _tell(state, out, command, row, cause, _REPLACE_REJECT, _VENUE_REJECTED, 0, 0)


@jit
def _nothing_new(state: State, out: Out, command: Command, row: int, cause: int) -> None:
    """As we know it, but it is an answer; a term that nobody asked for and that changes nothing is recorded."""
    told = command.status[0]
    order = state.orders[row]
    if told.exec_type == _REPLACED:
        _tell(state, out, command, row, cause, _REPLACED, _UNEXPECTED, int(order.status), _REPLACED)
        return
    if is_open(order):
        begin_write(order)
        moved(state, row, int(order.status), open_qty_e8(state, order), out.pen[P_TIME])
        end_write(order)
    _tell(state, out, command, row, cause, _ORDER_STATUS, 0, 0, 0)
