"""Each check that an order met, with its figures: what was asked, what of the limit was used, and what was left.

    >>> order_checks(view, commands.decode(record.payload), record.time_ns)[0]
    Line(check='account state', scope='account TW000001', unit=<Unit.ACCOUNT_STATE: 7>, asked=0, used=0, limit=0, ...)

`view` shows the state as it stood before the order. The verdicts are those of core/risk.py's own functions; what they
are given is read here a second time, in the order in which `actors/new_order.py` reads it: so whoever shows this holds
the first verdict that fails against what the log says (`Line.code`), and says when they differ.

Must not do: change anything, or read a clock: the order's quote and time are the log's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from actors.pricing import quote_age_ms, tick_at_e8
from actors.view import AccountView, GroupView, InstrumentView, StateView
from core import money, risk, units
from core.records import NO_LIMIT, InstrumentState, Level, OrdType, Side
from core.rejects import Reject, Unit


class Line(msgspec.Struct, frozen=True):
    """One check on one actor. Figures are integers in `unit` (core/rejects.py); None where there is no such figure.

    used: what stood against the limit before this order. headroom: limit - used. code: 0 (passed), or the reject's,
    with the limit and the value that the reject names.
    """

    check: str
    scope: str
    what: str
    unit: Unit
    asked: int | None
    used: int | None
    limit: int | None
    code: int = 0
    code_limit: int = 0
    code_value: int = 0

    @property
    def headroom(self) -> int | None:
        if self.limit is None or self.used is None:
            return None
        return self.limit - self.used


def order_checks(view: StateView, order: Mapping[str, Any], now_ns: int) -> list[Line]:
    """The checks of a new order, in the policy's order, up to and with the first that fails.

    order: the decoded NEW_ORDER as it stands in the log, with the quote that it saw. now_ns: the record's time."""
    lines: list[Line] = []
    for line in _lines(view, order, now_ns):
        lines.append(line)
        if line.code:
            break
    return lines


def _plain(function: Any, *arguments: Any) -> Any:
    """A compiled function as the Python that it is: compiled it takes the shard's own types only."""
    return function.py_func(*arguments)


def _tick_e8(view: StateView, instrument: InstrumentView, price_e8: int) -> int:
    state = view.state
    tables, bands = state.tick_tables.view(np.recarray), state.tick_bands.view(np.recarray)
    return int(_plain(tick_at_e8, state._replace(tick_tables=tables, tick_bands=bands), instrument, price_e8))


def _judge(function: Any, *arguments: int) -> dict[str, int]:
    """What a check of core/risk.py says."""
    code, limit, value = _plain(function, *arguments)
    return {"code": int(code), "code_limit": int(limit), "code_value": int(value)}


def _limit(value: int) -> int | None:
    return None if value >= NO_LIMIT else value


def _lines(view: StateView, order: Mapping[str, Any], now_ns: int) -> Iterator[Line]:
    account = view.account(order["account"])
    if account is None:
        yield Line(
            "account state", f"account {order['account']}", "known here", Unit.PLAIN, None, None, None,
            Reject.ACCOUNT_UNKNOWN, 0, order["account"],
        )  # fmt: skip
        return
    instrument = view.instrument(order["instrument"])
    if instrument is None:
        yield Line(
            "instrument state", f"instrument {order['instrument']}", "known here", Unit.PLAIN, None, None, None,
            Reject.INSTRUMENT_UNKNOWN, 0, order["instrument"],
        )  # fmt: skip
        return
    groups = view.groups_above(account.household)
    yield from _states(account, groups, instrument, order)
    yield from _sizes(view, account, instrument, order)
    prices = list(_prices(view, instrument, order, now_ns))
    yield from (line for line, _ in prices)
    needed_e6 = units.notional_up_e6(order["qty_e8"], prices[-1][1])
    scope = f"account {account.text}"
    if needed_e6 > NO_LIMIT:
        yield Line(
            "maximum notional", scope, "value at the limit", Unit.MONEY_E6, None, None, None,
            Reject.AMOUNT_OVERFLOW, 0, order["qty_e8"],
        )  # fmt: skip
        return
    yield Line(
        "maximum notional", scope, "value at the limit", Unit.MONEY_E6, needed_e6, 0,
        _limit(account.max_order_notional_e6),
        **_judge(risk.maximum_notional, needed_e6, account.max_order_notional_e6),
    )  # fmt: skip
    yield from _positions(view, account, instrument, order)
    yield from _cash(view, account, instrument, order["side"], needed_e6)
    yield from _levels(groups, instrument, order["side"], needed_e6)


def _states(
    account: AccountView, groups: list[GroupView], instrument: InstrumentView, order: Mapping[str, Any]
) -> Iterator[Line]:
    side = order["side"]
    yield Line(
        "account state", f"account {account.text}", "state", Unit.ACCOUNT_STATE, None, account.state, None,
        **_judge(risk.account_state, account.state, side),
    )  # fmt: skip
    for group in groups:
        yield Line(
            "state above the account", _scope(group), "state", Unit.ACCOUNT_STATE, None, group.state, None,
            **_judge(risk.level_state, group.level, group.state, side),
        )  # fmt: skip
    scope = instrument.symbol
    yield Line(
        "instrument state", scope, "session", Unit.SESSION, None, instrument.state, None,
        **_judge(risk.instrument_state, instrument.state),
    )  # fmt: skip
    yield Line(
        "instrument state", scope, "what the session takes", Unit.SESSION, None, instrument.state, None,
        **_judge(risk.session_accepts, instrument.state, order["ord_type"], order["tif"]),
    )  # fmt: skip


def _sizes(
    view: StateView, account: AccountView, instrument: InstrumentView, order: Mapping[str, Any]
) -> Iterator[Line]:
    qty_e8, price_e8, scope = order["qty_e8"], order["price_e8"], instrument.symbol
    tick_e8 = _tick_e8(view, instrument, price_e8)
    judged = _judge(risk.tick_and_lot, order["ord_type"], qty_e8, price_e8, tick_e8, instrument.lot_e8)
    is_of_price = judged["code"] in (Reject.PRICE_NOT_POSITIVE, Reject.PRICE_OFF_TICK)
    of_qty, of_price = ({}, judged) if is_of_price else (judged, {})
    yield Line(
        "tick and lot", scope, "multiple of the lot", Unit.QTY_E8, qty_e8, None, instrument.lot_e8, **of_qty
    )
    if order["ord_type"] == OrdType.LIMIT:
        yield Line(
            "tick and lot", scope, "multiple of the tick", Unit.PRICE_E8, price_e8, None, tick_e8, **of_price
        )
    if instrument.lot_table:
        lots = view.state.lot_tables[instrument.lot_table - 1]
        round_lot_e8, odd_lots = int(lots["round_lot_e8"]), int(lots["odd_lots"])
        yield Line(
            "tick and lot", scope, "round lots" if not odd_lots else "round lots; odd ones are taken", Unit.QTY_E8,
            qty_e8, None, round_lot_e8, **_judge(risk.round_lot, qty_e8, round_lot_e8, odd_lots),
        )  # fmt: skip
    ours, its = account.max_order_qty_e8, instrument.max_order_qty_e8
    yield Line(
        "maximum quantity", f"account {account.text}" if ours <= its else scope, "quantity", Unit.QTY_E8, qty_e8, 0,
        _limit(min(ours, its)), **_judge(risk.maximum_quantity, qty_e8, ours, its),
    )  # fmt: skip


def _prices(
    view: StateView, instrument: InstrumentView, order: Mapping[str, Any], now_ns: int
) -> Iterator[tuple[Line, int]]:
    """Each line with the limit price that the venue gets, as far as it is known by then."""
    buying, scope = order["side"] == Side.BUY, instrument.symbol
    static_e8, in_continuous = instrument.static_e8, instrument.state == InstrumentState.OPEN
    has_band = in_continuous or instrument.band_bps != 0
    band_bps = instrument.band_bps if has_band else instrument.collar_bps
    high = _plain(money.collar_up_e8, static_e8, band_bps)
    low = _plain(money.collar_down_e8, static_e8, band_bps)
    if in_continuous:
        touch_e8 = order["ask_e8"] if buying else order["bid_e8"]
        age = _plain(quote_age_ms, now_ns, order["quote_time_ns"])
        yield (
            Line(
                "price collar", scope, "age of the quote", Unit.MILLISECONDS, age, None, instrument.quote_age_ms_max,
                **_judge(risk.quote_is_fresh, touch_e8, age, instrument.quote_age_ms_max),
            ),
            0,
        )  # fmt: skip
        collar = money.collar_up_e8 if buying else money.collar_down_e8
        bound_e8 = _plain(collar, touch_e8, instrument.collar_bps)
        price_e8 = _route_price(view, instrument, order, bound_e8)
        yield (
            Line(
                "price collar", scope, f"{instrument.collar_bps} bps from the {'ask' if buying else 'bid'}",
                Unit.PRICE_E8, price_e8, None, bound_e8,
                **_judge(risk.price_collar, order["ord_type"], order["side"], order["price_e8"], bound_e8),
            ),
            price_e8,
        )  # fmt: skip
        if static_e8 == 0 or band_bps == 0:
            return
        bound_e8 = min(bound_e8, high) if buying else max(bound_e8, low)
    else:
        yield (
            Line(
                "price band", scope, "a reference price", Unit.PRICE_E8, None, None, static_e8 or None,
                **_judge(risk.reference_is_set, static_e8),
            ),
            0,
        )  # fmt: skip
        bound_e8 = high if buying else low
    price_e8 = _route_price(view, instrument, order, bound_e8)
    judged = _judge(risk.price_band, price_e8, low, high)
    for what, edge in (("at most", high), ("at least", low)):
        text = f"{what} {band_bps} bps from {units.price_text(static_e8)}"
        its = judged if judged["code_limit"] == edge else {}
        yield Line("price band", scope, text, Unit.PRICE_E8, price_e8, None, edge, **its), price_e8


def _route_price(view: StateView, instrument: InstrumentView, order: Mapping[str, Any], bound_e8: int) -> int:
    """As actors/pricing.py has it: a market order gets the bound, on the tick inside it."""
    if order["ord_type"] != OrdType.MARKET:
        return int(order["price_e8"])
    tick_e8 = _tick_e8(view, instrument, bound_e8)
    return bound_e8 - bound_e8 % tick_e8 if order["side"] == Side.BUY else bound_e8 + (-bound_e8) % tick_e8


def _positions(
    view: StateView, account: AccountView, instrument: InstrumentView, order: Mapping[str, Any]
) -> Iterator[Line]:
    side, qty_e8, scope = order["side"], order["qty_e8"], f"account {account.text}"
    position = view.position(account.account, instrument.instrument)
    held, buys, sells = (
        (0, 0, 0) if position is None else (position.qty_e8, position.open_buy_e8, position.open_sell_e8)
    )
    judged = _judge(risk.position_limit, side, qty_e8, held, buys, sells, account.max_position_qty_e8)
    if side == Side.BUY:
        limit = _limit(account.max_position_qty_e8)
        yield Line(
            "position limit", scope, "held and on order", Unit.QTY_E8, qty_e8, held + buys, limit, **judged
        )
    else:
        yield Line(
            "position limit", scope, "held, less what is for sale", Unit.QTY_E8, qty_e8, sells, held, **judged
        )
    net_e8 = instrument.long_e8 - instrument.short_e8
    limit_e8 = instrument.max_exposure_qty_e8
    judged = _judge(
        risk.instrument_exposure,
        side,
        qty_e8,
        net_e8,
        instrument.open_buy_e8,
        instrument.open_sell_e8,
        limit_e8,
    )
    used = net_e8 + instrument.open_buy_e8
    yield Line(
        "instrument exposure", instrument.symbol, "of all accounts", Unit.QTY_E8, qty_e8 if side == Side.BUY else 0,
        used, _limit(limit_e8), **judged,
    )  # fmt: skip


def _cash(
    view: StateView, account: AccountView, instrument: InstrumentView, side: int, needed_e6: int
) -> Iterator[Line]:
    scope = f"account {account.text}"
    balance = next((b for b in view.balances(account.account) if b.currency == instrument.currency), None)
    if balance is None:
        yield Line(
            "buying power", scope, "cash in the instrument's currency", Unit.CURRENCY, None, None, None,
            Reject.CURRENCY_NOT_HELD, instrument.currency, account.balance.currency,
        )  # fmt: skip
        return
    asked = needed_e6 if side == Side.BUY else 0
    yield Line(
        "buying power", scope, "cash, less reserved", Unit.MONEY_E6, asked, balance.reserved_e6, balance.cash_e6,
        **_judge(risk.buying_power, side, needed_e6, balance.cash_e6, balance.reserved_e6),
    )  # fmt: skip
    if account.settled_only:
        free_e6, receivable_e6 = balance.cash_e6 - balance.reserved_e6, balance.receivable_e6
        yield Line(
            "buying power", scope, "settled cash, less reserved", Unit.MONEY_E6, asked, balance.reserved_e6,
            balance.cash_e6 - receivable_e6, **_judge(risk.settled_cash, side, needed_e6, free_e6, receivable_e6),
        )  # fmt: skip


def _levels(groups: list[GroupView], instrument: InstrumentView, side: int, needed_e6: int) -> Iterator[Line]:
    check = "limits above the account"
    if groups and groups[0].currency != instrument.currency:
        is_refused = side == Side.BUY
        yield Line(
            check, _scope(groups[0]), "limits in the instrument's currency", Unit.CURRENCY, None, None, None,
            Reject.HOUSEHOLD_CURRENCY if is_refused else 0, groups[0].currency if is_refused else 0,
            instrument.currency if is_refused else 0,
        )  # fmt: skip
        return
    for group in groups:
        scope = _scope(group)
        judged = _judge(
            risk.level_limits, group.level, side, needed_e6, group.reserved_e6, group.gross_e6,
            group.max_order_notional_e6, group.max_open_notional_e6, group.max_gross_e6,
        )  # fmt: skip
        found = [("value of an order", needed_e6, 0, group.max_order_notional_e6, Reject.FIRM_ORDER_NOTIONAL)]
        if side == Side.BUY:
            used = _plain(money.capped_sum, group.gross_e6, group.reserved_e6)
            found += [
                ("value of open orders", needed_e6, group.reserved_e6, group.max_open_notional_e6,
                 Reject.FIRM_OPEN_NOTIONAL),
                ("gross exposure", needed_e6, used, group.max_gross_e6, Reject.FIRM_GROSS_EXPOSURE),
            ]  # fmt: skip
        for what, asked, used, limit, first_code in found:
            its = judged if judged["code"] == first_code - Level.FIRM + group.level else {}
            yield Line(check, scope, what, Unit.MONEY_E6, asked, used, _limit(limit), **its)


def _scope(group: GroupView) -> str:
    return f"{Level(group.level).name.lower()} {group.name}"
