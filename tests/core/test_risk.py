"""Each check of the policy takes what stands at its limit, and refuses one step more with limit and value."""

from __future__ import annotations

import pytest

from core import risk
from core.records import AccountState, InstrumentState, Level, OrdType, Side, TimeInForce
from core.rejects import TEXTS, Reject
from core.risk import CHECKS, PASS
from core.units import INT64_MAX

BUY, SELL, LIMIT, MARKET = Side.BUY, Side.SELL, OrdType.LIMIT, OrdType.MARKET


def test_account_state() -> None:
    assert risk.account_state(AccountState.ACTIVE, BUY) == PASS
    assert risk.account_state(AccountState.REDUCING, SELL) == PASS
    reducing = (Reject.ACCOUNT_REDUCING, AccountState.ACTIVE, AccountState.REDUCING)
    assert risk.account_state(AccountState.REDUCING, BUY) == reducing
    for side in Side:
        halted = (Reject.ACCOUNT_NOT_ACTIVE, AccountState.ACTIVE, AccountState.HALTED)
        assert risk.account_state(AccountState.HALTED, side) == halted
        assert risk.account_state(99, side)[0] == Reject.ACCOUNT_NOT_ACTIVE


def test_instrument_state() -> None:
    assert risk.instrument_state(InstrumentState.OPEN) == PASS
    assert risk.instrument_state(InstrumentState.PRE_OPEN) == PASS
    assert risk.instrument_state(InstrumentState.AUCTION) == PASS
    closed = (Reject.SESSION_CLOSED, InstrumentState.PRE_OPEN, InstrumentState.CLOSED)
    assert risk.instrument_state(InstrumentState.CLOSED) == closed
    assert risk.instrument_state(InstrumentState.HALTED)[0] == Reject.INSTRUMENT_HALTED
    assert risk.instrument_state(99)[0] == Reject.INSTRUMENT_HALTED


DAY, IOC = TimeInForce.DAY, TimeInForce.IOC


@pytest.mark.parametrize(
    ("session", "taken"),
    [
        (InstrumentState.OPEN, {(LIMIT, DAY), (LIMIT, IOC), (MARKET, DAY), (MARKET, IOC)}),
        (InstrumentState.PRE_OPEN, {(LIMIT, DAY)}),
        (InstrumentState.AUCTION, {(LIMIT, DAY), (MARKET, DAY)}),
    ],
)
def test_each_session_takes_its_own_kinds_of_order(
    session: InstrumentState, taken: set[tuple[OrdType, TimeInForce]]
) -> None:
    found = {(t, f) for t in OrdType for f in (DAY, IOC) if risk.session_accepts(session, t, f) == PASS}
    assert found == taken


@pytest.mark.parametrize("level", Level)
def test_the_state_of_a_level_counts_as_the_accounts_own(level: Level) -> None:
    assert risk.level_state(level, AccountState.ACTIVE, BUY) == PASS
    assert risk.level_state(level, AccountState.REDUCING, SELL) == PASS
    code, _, _ = risk.level_state(level, AccountState.REDUCING, BUY)
    assert Reject(code) is Reject[f"{level.name}_REDUCING"]
    for state in (AccountState.HALTED, 99):
        code, _, _ = risk.level_state(level, state, SELL)
        assert Reject(code) is Reject[f"{level.name}_NOT_ACTIVE"]


@pytest.mark.parametrize("level", Level)
def test_the_limits_of_a_level_take_what_stands_at_them_and_no_more(level: Level) -> None:
    def limits(needed: int, side: Side = BUY, most: int = INT64_MAX) -> tuple[int, int, int]:
        """An order of at most 100; 30 of 100 reserved; 50 held, and with what is reserved at most 150."""
        return risk.level_limits(level, side, needed, 30, 50, min(100, most), 100, 150)

    assert limits(70) == PASS
    assert limits(71) == (Reject[f"{level.name}_OPEN_NOTIONAL"], 100, 101)
    assert limits(101) == (Reject[f"{level.name}_ORDER_NOTIONAL"], 100, 101)
    assert limits(100, SELL) == PASS
    assert limits(101, SELL)[0] == Reject[f"{level.name}_ORDER_NOTIONAL"]
    assert risk.level_limits(level, BUY, 40, 30, 80, 100, 100, 150) == PASS
    assert risk.level_limits(level, BUY, 41, 30, 80, 100, 100, 150) == (
        Reject[f"{level.name}_GROSS_EXPOSURE"], 150, 151,
    )  # fmt: skip


def test_a_level_without_limits_still_counts_no_further_than_it_can() -> None:
    none = INT64_MAX
    assert risk.level_limits(Level.FIRM, BUY, 1, none - 1, 0, none, none, none) == PASS
    assert (
        risk.level_limits(Level.FIRM, BUY, 2, none - 1, 0, none, none, none)[0] == Reject.FIRM_OPEN_NOTIONAL
    )
    assert risk.level_limits(Level.FIRM, BUY, 1, 1, none, none, none, none)[0] == Reject.FIRM_GROSS_EXPOSURE


def test_odd_lots_are_taken_where_they_are_allowed() -> None:
    assert risk.round_lot(300, 100, 0) == risk.round_lot(301, 100, 1) == PASS
    assert risk.round_lot(301, 100, 0) == (Reject.ODD_LOT, 100, 301)


def test_the_static_band_bounds_both_sides() -> None:
    assert risk.price_band(90, 90, 110) == risk.price_band(110, 90, 110) == PASS
    assert risk.price_band(89, 90, 110) == (Reject.PRICE_OUTSIDE_BAND, 90, 89)
    assert risk.price_band(111, 90, 110) == (Reject.PRICE_OUTSIDE_BAND, 110, 111)
    assert risk.reference_is_set(1) == PASS
    assert risk.reference_is_set(0)[0] == Reject.NO_REFERENCE_PRICE


def test_the_exposure_of_all_accounts_counts_open_purchases() -> None:
    assert risk.instrument_exposure(BUY, 10, 50, 40, 0, 100) == PASS
    assert risk.instrument_exposure(BUY, 11, 50, 40, 0, 100) == (Reject.INSTRUMENT_EXPOSURE, 100, 101)
    assert risk.instrument_exposure(SELL, 11, 500, 40, 0, 100) == PASS
    assert risk.instrument_exposure(BUY, 1, 0, INT64_MAX, 0, INT64_MAX)[0] == Reject.INSTRUMENT_EXPOSURE
    assert risk.instrument_exposure(BUY, 1, INT64_MAX, 0, 0, INT64_MAX)[0] == Reject.INSTRUMENT_EXPOSURE
    assert risk.instrument_exposure(SELL, 1, 0, 0, INT64_MAX, INT64_MAX)[0] == Reject.INSTRUMENT_EXPOSURE


def test_settled_cash_is_free_cash_less_what_is_to_come() -> None:
    assert risk.settled_cash(BUY, 60, 100, 40) == PASS
    assert risk.settled_cash(BUY, 61, 100, 40) == (Reject.CASH_UNSETTLED, 60, 61)
    assert risk.settled_cash(SELL, 61, 0, 40) == PASS


def test_tick_and_lot() -> None:
    assert risk.tick_and_lot(LIMIT, 20, 15, 5, 10) == PASS
    assert risk.tick_and_lot(LIMIT, 10, 5, 5, 10) == PASS
    assert risk.tick_and_lot(LIMIT, 20, 16, 5, 10) == (Reject.PRICE_OFF_TICK, 5, 16)
    assert risk.tick_and_lot(LIMIT, 20, 14, 5, 10) == (Reject.PRICE_OFF_TICK, 5, 14)
    assert risk.tick_and_lot(LIMIT, 21, 15, 5, 10) == (Reject.QTY_OFF_LOT, 10, 21)
    assert risk.tick_and_lot(LIMIT, 19, 15, 5, 10) == (Reject.QTY_OFF_LOT, 10, 19)
    assert risk.tick_and_lot(LIMIT, 1, 1, 1, 1) == PASS
    assert risk.tick_and_lot(LIMIT, 0, 1, 1, 1) == (Reject.QTY_NOT_POSITIVE, 0, 0)
    assert risk.tick_and_lot(LIMIT, -10, 1, 1, 10) == (Reject.QTY_NOT_POSITIVE, 0, -10)
    assert risk.tick_and_lot(LIMIT, 1, 0, 1, 1) == (Reject.PRICE_NOT_POSITIVE, 0, 0)
    assert risk.tick_and_lot(LIMIT, 1, -5, 5, 1) == (Reject.PRICE_NOT_POSITIVE, 0, -5)
    assert risk.tick_and_lot(MARKET, 10, 0, 5, 10) == PASS


@pytest.mark.parametrize(("account", "instrument"), [(100, 200), (200, 100), (100, 100)])
def test_maximum_quantity_is_the_smaller_of_the_two(account: int, instrument: int) -> None:
    assert risk.maximum_quantity(100, account, instrument) == PASS
    assert risk.maximum_quantity(101, account, instrument) == (Reject.QTY_OVER_MAX, 100, 101)


def test_quote_must_be_there_and_fresh() -> None:
    assert risk.quote_is_fresh(1, 2000, 2000) == PASS
    assert risk.quote_is_fresh(1, 2001, 2000) == (Reject.NO_FRESH_QUOTE, 2000, 2001)
    assert risk.quote_is_fresh(0, 0, 2000)[0] == Reject.NO_FRESH_QUOTE


def test_price_collar_bounds_the_side_that_would_hurt() -> None:
    assert risk.price_collar(LIMIT, BUY, 105, 105) == PASS
    assert risk.price_collar(LIMIT, BUY, 106, 105) == (Reject.PRICE_OUTSIDE_COLLAR, 105, 106)
    assert risk.price_collar(LIMIT, BUY, 1, 105) == PASS
    assert risk.price_collar(LIMIT, SELL, 95, 95) == PASS
    assert risk.price_collar(LIMIT, SELL, 94, 95) == (Reject.PRICE_OUTSIDE_COLLAR, 95, 94)
    assert risk.price_collar(LIMIT, SELL, 1000, 95) == PASS
    assert risk.price_collar(MARKET, BUY, 0, 105) == PASS


def test_maximum_notional() -> None:
    assert risk.maximum_notional(500, 500) == PASS
    assert risk.maximum_notional(501, 500) == (Reject.NOTIONAL_OVER_MAX, 500, 501)


def test_position_limit_counts_open_purchases() -> None:
    assert risk.position_limit(BUY, 10, 50, 40, 0, 100) == PASS
    assert risk.position_limit(BUY, 11, 50, 40, 0, 100) == (Reject.POSITION_OVER_LIMIT, 100, 101)
    assert risk.position_limit(BUY, 10, -10, 100, 0, 100) == PASS


def test_a_sale_is_of_what_is_held_and_not_already_offered() -> None:
    assert risk.position_limit(SELL, 10, 50, 0, 40, 0) == PASS
    assert risk.position_limit(SELL, 11, 50, 0, 40, 0) == (Reject.POSITION_NOT_HELD, 10, 11)
    assert risk.position_limit(SELL, 1, 0, 100, 0, 0) == (Reject.POSITION_NOT_HELD, 0, 1)
    assert risk.position_limit(SELL, 1, -5, 0, 0, 0) == (Reject.POSITION_NOT_HELD, 0, 1)


def test_buying_power_is_cash_less_reservations() -> None:
    assert risk.buying_power(BUY, 60, 100, 40) == PASS
    assert risk.buying_power(BUY, 61, 100, 40) == (Reject.BUYING_POWER, 60, 61)
    assert risk.buying_power(SELL, 61, 0, 0) == PASS


def test_the_policy_and_the_texts_name_the_same_checks() -> None:
    names = {code: check.name for check in CHECKS for code in check.codes}
    assert {code: TEXTS[code].check for code in names} == names
    in_policy = {check.name for check in CHECKS}
    odd_ones = {
        Reject.CASH_NOT_FREE,
        Reject.WITHDRAWAL_UNSETTLED,
    }  # a withdrawal is no order: it breaks the same limit, in actors/account.py
    assert {c for c, text in TEXTS.items() if text.check in in_policy} - set(names) == odd_ones


def test_no_code_belongs_to_two_checks() -> None:
    codes = [code for check in CHECKS for code in check.codes]
    assert len(codes) == len(set(codes))
    assert all(check.parameters and check.rule for check in CHECKS)
