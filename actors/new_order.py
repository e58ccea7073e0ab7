"""A new order: the checks in the policy's order, then reservation and acceptance, or the reject that names why.

Always holds: nothing is reserved, and no row is taken, before every check has passed. The decision uses the quote
that stands in the command, never the live one.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import NS_PER_S, account_row, reject, show_cash
from actors.buying import check_money, paying_cash
from actors.emit import P_TIME, Command, Out, emit, new_event, set_text
from actors.exposure import check_exposure
from actors.instrument import instrument_row
from actors.levels import check_limits, check_states
from actors.orders import free_order_row, hold, position_row, show_order, take_order_row
from actors.passive import activate
from actors.pricing import check_price, check_session, check_tick_and_lot
from actors.tables import State, begin_write, end_write, find_client_order, find_position, text_hash
from core import money, risk
from core.records import (
    FLAG_LOG_FULL,
    FLAG_STANDBY_AWAY,
    EventKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from shared_mem.jit import jit

_ORDER: Final = int(EventKind.ORDER)
_BUY: Final = int(Side.BUY)
_SELL: Final = int(Side.SELL)
_MARKET: Final = int(OrdType.MARKET)
_LIMIT: Final = int(OrdType.LIMIT)
_DAY: Final = int(TimeInForce.DAY)
_IOC: Final = int(TimeInForce.IOC)
_GTC: Final = int(TimeInForce.GTC)
_GTD: Final = int(TimeInForce.GTD)
_PENDING_NEW: Final = int(OrdStatus.PENDING_NEW)
_REJECTED: Final = int(OrdStatus.REJECTED)
_EXEC_PENDING_NEW: Final = int(ExecType.PENDING_NEW)
_EXEC_REJECTED: Final = int(ExecType.REJECTED)
_COMMAND_UNKNOWN: Final = int(Reject.COMMAND_UNKNOWN)
_ACCOUNT_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_INSTRUMENT_UNKNOWN: Final = int(Reject.INSTRUMENT_UNKNOWN)
_DUPLICATE: Final = int(Reject.DUPLICATE_CLIENT_ORDER_ID)
_AMOUNT_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)
_EXPIRE_TIME: Final = int(Reject.EXPIRE_TIME_PAST)
_LOG_FULL: Final = int(Reject.LOG_FULL)
_STANDBY_AWAY: Final = int(Reject.STANDBY_AWAY)
_NOT_TAKEN: Final = FLAG_LOG_FULL | FLAG_STANDBY_AWAY
_ORDERS_FULL: Final = int(Reject.ORDER_TABLE_FULL)
_POSITIONS_FULL: Final = int(Reject.POSITION_TABLE_FULL)


@jit
def check(
    state: State,
    order: Any,
    account: Any,
    instrument: Any,
    now_ns: int,
    filled_e8: int,
    own_open_e8: int,
    own_reserved_e6: int,
) -> tuple[int, int, int, int]:
    """The policy (core/risk.py, CHECKS) on one order: (code, limit, value, price for the venue).

    Of a replacement: what of it is filled already, and what the order it replaces holds, which is free for it: what
    sums are asked for is how much more it needs."""
    code, limit, value = risk.account_state(account.state, order.side)
    if code:
        return code, limit, value, 0
    household = int(account.household)
    code, limit, value = check_states(state, household, order.side)
    if code:
        return code, limit, value, 0
    code, limit, value = check_session(order, instrument)
    if code:
        return code, limit, value, 0
    code, limit, value = check_tick_and_lot(state, order, instrument)
    if code:
        return code, limit, value, 0
    code, limit, value = risk.maximum_quantity(
        order.qty_e8, account.max_order_qty_e8, instrument.max_order_qty_e8
    )
    if code:
        return code, limit, value, 0
    code, limit, value, price = check_price(state, order, instrument, now_ns)
    if code:
        return code, limit, value, 0
    needed = money.notional_up_e6(order.qty_e8, price)
    if needed == money.OVERFLOW:
        return _AMOUNT_OVERFLOW, 0, order.qty_e8, 0
    code, limit, value = risk.maximum_notional(needed, account.max_order_notional_e6)
    if code:
        return code, limit, value, 0
    held = open_buy = open_sell = 0
    row = find_position(state, int(order.account), int(order.instrument))
    if row >= 0:
        position = state.positions[row]
        held, open_buy, open_sell = position.qty_e8, position.open_buy_e8, position.open_sell_e8
    leaves = order.qty_e8 - filled_e8
    more = leaves - own_open_e8
    if filled_e8 > 0:
        needed = money.notional_up_e6(leaves, price)
    code, limit, value = risk.position_limit(
        order.side, more, held, open_buy, open_sell, account.max_position_qty_e8
    )
    if code:
        return code, limit, value, 0
    code, limit, value = check_exposure(state, int(order.instrument) - 1, order.side, more)
    if code:
        return code, limit, value, 0
    currency = int(instrument.currency)
    code, limit, value = check_money(
        state, int(order.account), currency, order.side, needed - own_reserved_e6
    )
    if code:
        return code, limit, value, 0
    code, limit, value = check_limits(state, household, order.side, currency, needed, own_reserved_e6)
    return code, limit, value, price


@jit
def _refuse(
    state: State, out: Out, command: Command, code: int, limit: int, value: int, original: int
) -> None:
    order = command.order[0]
    event = new_event(out, _ORDER, command)
    event.side = order.side
    event.ord_type = order.ord_type
    event.tif = order.tif
    event.qty_e8 = order.qty_e8
    event.price_e8 = order.price_e8
    event.ord_status = _REJECTED
    event.exec_type = _EXEC_REJECTED
    if original:
        event.order_id = original
    row = account_row(state, int(order.account))
    if row >= 0:
        show_cash(state, row, paying_cash(state, row + 1, int(order.instrument)), event)
        position = find_position(state, int(order.account), int(order.instrument))
        if position >= 0:
            event.position_qty_e8 = state.positions[position].qty_e8
            event.position_cost_e6 = state.positions[position].cost_e6
            event.realized_e6 = state.positions[position].realized_e6
    reject(event, code, limit, value)
    set_text(out, command.text, int(order.text_length))
    emit(out)


@jit
def _is_known(order: Any) -> bool:
    """Side, order type and time in force are ones that the checks know."""
    side_is_known = order.side == _BUY or order.side == _SELL
    type_is_known = order.ord_type == _MARKET or order.ord_type == _LIMIT
    return side_is_known and type_is_known and (order.tif == _IOC or may_rest(order.tif))


@jit
def may_rest(tif: int) -> bool:
    return tif == _DAY or tif == _GTC or tif == _GTD


@jit
def expires_rightly(tif: int, expire_time_ns: int, now_ns: int) -> bool:
    """A GTD order has a time that is to come, another has none."""
    return expire_time_ns > now_ns if tif == _GTD else expire_time_ns == 0


@jit
def on_new_order(state: State, out: Out, command: Command) -> None:
    order = command.order[0]
    length = int(order.text_length)
    if order.flags & _NOT_TAKEN:
        code = _LOG_FULL if order.flags & FLAG_LOG_FULL else _STANDBY_AWAY
        _refuse(state, out, command, code, 0, 0, 0)
        return
    if not _is_known(order):
        _refuse(state, out, command, _COMMAND_UNKNOWN, 0, 0, 0)
        return
    if not expires_rightly(order.tif, order.expire_time_ns, out.pen[P_TIME]):
        _refuse(state, out, command, _EXPIRE_TIME, 0, 0, 0)
        return
    account_at = account_row(state, int(order.account))
    if account_at < 0:
        _refuse(state, out, command, _ACCOUNT_UNKNOWN, 0, int(order.account), 0)
        return
    instrument_at = instrument_row(state, int(order.instrument))
    if instrument_at < 0:
        _refuse(state, out, command, _INSTRUMENT_UNKNOWN, 0, int(order.instrument), 0)
        return
    client_hash = text_hash(command.text, length, int(order.account))
    known = find_client_order(state, int(order.account), command.text, length, client_hash)
    if known >= 0:
        _refuse(state, out, command, _DUPLICATE, 0, 0, int(state.orders[known].order_id))
        return
    if not activate(state, account_at):
        _refuse(state, out, command, _POSITIONS_FULL, len(state.positions), 0, 0)
        return
    account = state.accounts[account_at]
    instrument = state.instruments[instrument_at]
    code, limit, value, price = check(state, order, account, instrument, out.pen[P_TIME], 0, 0, 0)
    if code:
        _refuse(state, out, command, code, limit, value, 0)
        return
    row = free_order_row(state)
    if row < 0:
        _refuse(state, out, command, _ORDERS_FULL, len(state.orders), 0, 0)
        return
    position_at = position_row(state, int(order.account), int(order.instrument))
    if position_at < 0:
        _refuse(state, out, command, _POSITIONS_FULL, len(state.positions), 0, 0)
        return
    _accept(state, out, command, row, position_at, client_hash, price)


@jit
def _accept(
    state: State, out: Out, command: Command, row: int, position_at: int, client_hash: int, price: int
) -> None:
    asked = command.order[0]
    account = state.accounts[asked.account - 1]
    order = state.orders[row]
    begin_write(order)
    take_order_row(state, row, int(asked.order_id), client_hash, command.text, int(asked.text_length))
    order.account = asked.account
    order.instrument = asked.instrument
    order.position_row = position_at
    order.request_id = asked.request_id
    order.source = asked.source
    order.previous_order_id = account.last_order_id
    order.previous_row = account.last_order_row
    order.replacement = 0
    order.replacing = 0
    order.replacements = 0
    order.reject_code = 0
    order.side = asked.side
    order.ord_type = asked.ord_type
    order.tif = asked.tif
    order.status = _PENDING_NEW
    order.cancel_pending = 0
    order.fate = 0
    order.qty_e8 = asked.qty_e8
    order.price_e8 = asked.price_e8
    order.route_price_e8 = price
    order.cum_qty_e8 = 0
    order.cum_notional_e6 = 0
    order.reserved_e6 = 0
    order.expire_time_ns = asked.expire_time_ns
    order.created_ns = out.pen[P_TIME]
    order.updated_ns = out.pen[P_TIME]
    order.ended_ns = 0
    order.told_qty_e8 = 0
    hold(state, row, 0)
    end_write(order)
    begin_write(account)
    account.last_order_id = asked.order_id
    account.last_order_row = row + 1
    account.active_s = out.pen[P_TIME] // NS_PER_S
    end_write(account)
    event = new_event(out, _ORDER, command)
    event.exec_type = _EXEC_PENDING_NEW
    show_order(state, out, row, event)
    emit(out)
