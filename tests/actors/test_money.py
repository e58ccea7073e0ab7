"""Settlement, currencies and the levels above accounts, one decision at a time."""

from __future__ import annotations

import pytest

from actors.balances import payable_e6, receivable_e6, withdrawable_e6
from actors.snapshot import state_hash
from actors.tables import R_SETTLEMENTS
from core import commands
from core.currencies import EUR, USD
from core.events import Event
from core.records import AccountState, EventKind, ExecType, Level
from core.rejects import Reject
from core.units import INT64_MAX, cash_e6, qty_e8
from tests.actors.desk import ASK_E8, BID_E8, Desk, account, deposit, instrument, order

LEVELS = (Level.HOUSEHOLD, Level.ADVISOR, Level.DESK, Level.FIRM)


def settle(desk: Desk, date: int) -> Event:
    return desk.do(commands.settle_day(request_id=1, date=date))


def define(desk: Desk, name: str, level: int, parent: int = 0, **changes: int) -> Event:
    return desk.do(commands.define_group(request_id=1, name=name, level=level, parent=parent, **changes))


def move(desk: Desk, household: int, number: int = 1) -> Event:
    return desk.do(commands.move_account(request_id=1, account=number, household=household))


def money(desk: Desk, number: int = 1) -> tuple[int, int, int]:
    """(receivable, payable, withdrawable)"""
    row = desk.state.accounts[number - 1]
    return (
        int(receivable_e6(desk.state, row)),
        int(payable_e6(desk.state, row)),
        int(withdrawable_e6(desk.state, row)),
    )


@pytest.fixture
def a_household(a_funded_account: Desk) -> Desk:
    """Account 1 in household 4 of advisor 3 of desk 2 of firm 1."""
    for parent, level in enumerate(sorted(Level)):
        assert define(a_funded_account, level.name, level, parent).group == parent + 1
    assert move(a_funded_account, 4).group == 4
    return a_funded_account


# --- settlement


def test_a_purchase_is_paid_for_one_settlement_day_later(a_funded_account: Desk) -> None:
    a_funded_account.fill(a_funded_account.buy(10).order_id, 10)
    assert money(a_funded_account) == (0, cash_e6(1000), cash_e6(999_000))
    settle(a_funded_account, 20261124)
    assert money(a_funded_account) == (0, 0, cash_e6(999_000))


def test_proceeds_can_not_be_withdrawn_before_they_settle(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    settle(desk, 20261124)
    desk.fill(desk.sell(10).order_id, 10, BID_E8)
    cash = cash_e6("999999.9")
    assert money(desk) == (cash_e6("999.9"), 0, cash_e6(999_000))
    refused = desk.do(deposit(-cash))
    assert (refused.reject_code, refused.limit_value) == (Reject.WITHDRAWAL_UNSETTLED, cash_e6(999_000))
    assert desk.do(deposit(-cash - 1)).reject_code == Reject.CASH_NOT_FREE
    settle(desk, 20261125)
    assert (desk.do(deposit(-cash)).reject_code, money(desk)) == (0, (0, 0, 0))


@pytest.mark.parametrize("days", [0, 1, 2, 3])
def test_a_trade_settles_after_as_many_days_as_its_instrument_says(a_funded_account: Desk, days: int) -> None:
    desk = a_funded_account
    desk.do(instrument(settle_days=days))
    desk.fill(desk.buy(10).order_id, 10)
    for date in range(days):
        assert money(desk)[1] == cash_e6(1000)
        settle(desk, 20261124 + date)
    assert money(desk)[1] == 0


def test_a_balance_that_slept_through_days_settles_when_it_is_touched(a_funded_account: Desk) -> None:
    """Trades of two days, then three days without any: each day's is in its own bucket, whatever happens when."""
    desk = a_funded_account
    desk.do(instrument(settle_days=3))
    desk.fill(desk.buy(1).order_id, 1)
    settle(desk, 20261124)
    desk.fill(desk.buy(2).order_id, 2)
    settle(desk, 20261125)
    settle(desk, 20261126)
    assert money(desk)[1] == cash_e6(200), "the first day's has settled, the second's has not"
    desk.fill(desk.buy(4).order_id, 4)
    assert money(desk)[1] == cash_e6(600)
    settle(desk, 20261127)
    assert money(desk)[1] == cash_e6(400)


def test_a_settlement_day_touches_no_account(a_funded_account: Desk) -> None:
    a_funded_account.fill(a_funded_account.buy(10).order_id, 10)
    before = a_funded_account.state.accounts.tobytes()
    assert settle(a_funded_account, 20261124).date == 20261124
    assert a_funded_account.state.accounts.tobytes() == before
    assert a_funded_account.state.registers[R_SETTLEMENTS] == 1


@pytest.mark.parametrize("date", [20261124, 20261123, 0, 99991232])
def test_the_same_settlement_day_never_ends_twice(a_funded_account: Desk, date: int) -> None:
    settle(a_funded_account, 20261124)
    event = settle(a_funded_account, date)
    assert (event.reject_code, event.date) == (Reject.SETTLE_DAY_NOT_LATER, 20261124)
    assert a_funded_account.state.registers[R_SETTLEMENTS] == 1


def test_who_buys_with_settled_cash_waits_for_the_proceeds(a_desk: Desk) -> None:
    a_desk.do(instrument())
    assert a_desk.do(account(settled_only=1)).settled_only == 1
    a_desk.do(deposit(cash_e6(1000)))
    a_desk.fill(a_desk.buy(10).order_id, 10)
    a_desk.fill(a_desk.sell(10).order_id, 10, BID_E8)
    refused = a_desk.buy(1)
    assert (refused.reject_code, refused.limit_value) == (Reject.CASH_UNSETTLED, 0)
    settle(a_desk, 20261124)
    assert a_desk.buy(1).reject_code == 0


def test_who_may_use_unsettled_proceeds_buys_at_once(a_desk: Desk) -> None:
    a_desk.do(instrument())
    a_desk.do(account())
    a_desk.do(deposit(cash_e6(1000)))
    a_desk.fill(a_desk.buy(10).order_id, 10)
    a_desk.fill(a_desk.sell(10).order_id, 10, BID_E8)
    assert a_desk.buy(9).reject_code == 0


# --- currencies


def test_an_instrument_is_paid_with_cash_of_its_own_currency(a_funded_account: Desk) -> None:
    desk = a_funded_account
    assert desk.do(instrument("SAP", currency=EUR)).currency == EUR
    refused = desk.buy(1, instrument=2)
    assert (refused.reject_code, refused.limit_value, refused.observed_value) == (
        Reject.CURRENCY_NOT_HELD, EUR, USD,
    )  # fmt: skip
    paid = desk.do(deposit(cash_e6(500), currency=EUR))
    assert (paid.currency, paid.cash_e6) == (EUR, cash_e6(500))
    placed = desk.buy(5, instrument=2)
    assert (placed.currency, placed.cash_e6, placed.reserved_e6) == (EUR, cash_e6(500), cash_e6(500))
    assert desk.reserved() == 0, "no dollar is set aside"
    assert desk.buy(1, instrument=2).reject_code == Reject.BUYING_POWER
    filled = desk.fill(placed.order_id, 5)
    assert (filled.currency, filled.cash_e6, filled.reserved_e6) == (EUR, 0, 0)
    assert desk.state.accounts[0]["cash_e6"] == cash_e6(1_000_000)
    assert desk.do(deposit(0)).cash_e6 == cash_e6(1_000_000)


def test_currencies_are_for_ever(a_funded_account: Desk) -> None:
    desk = a_funded_account
    assert desk.do(instrument(currency=EUR)).reject_code == Reject.CURRENCY_FIXED
    assert desk.do(account(currency=EUR)).reject_code == Reject.CURRENCY_FIXED
    assert desk.do(instrument("NEW", currency=99)).reject_code == Reject.CURRENCY_UNKNOWN
    assert desk.do(account("NEW", currency=0)).reject_code == Reject.CURRENCY_UNKNOWN
    assert desk.do(deposit(1, currency=99)).reject_code == Reject.CURRENCY_UNKNOWN
    assert desk.do(instrument("NEW", settle_days=4)).reject_code == Reject.SETTLE_DAYS_UNKNOWN


def test_the_table_of_other_currencies_full_is_an_answer(a_funded_account: Desk) -> None:
    codes = [a_funded_account.do(deposit(1, currency=n)).reject_code for n in range(2, 12)]
    assert codes == [0] * 8 + [Reject.CASH_TABLE_FULL] * 2
    assert a_funded_account.do(deposit(1, currency=9)).reject_code == 0, "those that are there still count"


# --- levels


@pytest.mark.parametrize("level", LEVELS)
def test_a_halt_at_any_level_stops_all_below_it(a_household: Desk, level: Level) -> None:
    event = a_household.do(
        commands.set_group_state(request_id=1, group=int(level), state=AccountState.HALTED)
    )
    assert (event.kind, event.level, event.state) == (EventKind.GROUP, level, AccountState.HALTED)
    assert Reject(a_household.buy(1).reject_code) is Reject[f"{level.name}_NOT_ACTIVE"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_reducing_level_lets_only_sales_through(a_household: Desk, level: Level) -> None:
    a_household.fill(a_household.buy(2).order_id, 2)
    a_household.do(commands.set_group_state(request_id=1, group=int(level), state=AccountState.REDUCING))
    assert Reject(a_household.buy(1).reject_code) is Reject[f"{level.name}_REDUCING"]
    assert a_household.sell(1).reject_code == 0


@pytest.mark.parametrize("level", LEVELS)
def test_a_limit_at_any_level_counts_all_accounts_below_it(a_household: Desk, level: Level) -> None:
    desk = a_household
    desk.do(account("TW000002", household=4))
    desk.do(deposit(cash_e6(10_000), account=2))
    define(desk, level.name, level, int(level) - 1, max_open_notional_e6=cash_e6(1500))
    first = desk.buy(10)
    refused = desk.buy(6, account=2)
    assert (Reject(refused.reject_code), refused.limit_value, refused.observed_value) == (
        Reject[f"{level.name}_OPEN_NOTIONAL"], cash_e6(1500), cash_e6(1600),
    )  # fmt: skip
    assert desk.state.accounts[1]["reserved_e6"] == 0
    assert desk.buy(5, account=2).reject_code == 0
    desk.report(first.order_id, ExecType.CANCELED)
    assert [int(g["reserved_e6"]) for g in desk.state.groups[:4]] == [cash_e6(500)] * 4


def test_a_fill_turns_reserved_into_gross_and_a_sale_takes_it_back(a_household: Desk) -> None:
    desk = a_household
    define(desk, "FIRM", Level.FIRM, max_gross_e6=cash_e6(1000))
    placed = desk.buy(10)
    assert desk.buy(1).reject_code == Reject.FIRM_GROSS_EXPOSURE
    desk.fill(placed.order_id, 10)
    firm = desk.state.groups[0]
    assert (firm["reserved_e6"], firm["gross_e6"]) == (0, cash_e6(1000))
    assert desk.buy(1).reject_code == Reject.FIRM_GROSS_EXPOSURE
    desk.fill(desk.sell(5).order_id, 5, BID_E8)
    assert firm["gross_e6"] == cash_e6(500)
    assert desk.buy(5).reject_code == 0


def test_an_account_takes_its_reservations_and_positions_along(a_household: Desk) -> None:
    desk = a_household
    define(desk, "next door", Level.HOUSEHOLD, 1)
    desk.fill(desk.buy(3).order_id, 3)
    placed = desk.buy(10)
    assert move(desk, 5).group == 5
    rows = [(int(g["reserved_e6"]), int(g["gross_e6"])) for g in desk.state.groups[:5]]
    moved = (cash_e6(1000), cash_e6(300))
    assert rows == [moved, (0, 0), (0, 0), (0, 0), moved]
    desk.fill(placed.order_id, 10)
    assert move(desk, 0).group == 0
    assert not any(g["reserved_e6"] or g["gross_e6"] for g in desk.state.groups[:5])


def test_a_passive_account_takes_its_positions_along_too(a_household: Desk) -> None:
    desk = a_household
    desk.fill(desk.buy(3).order_id, 3)
    assert desk.do(commands.passivate(request_id=1, account=1)).reject_code == 0
    assert desk.state.accounts[0]["cold_positions"] == 1
    move(desk, 0)
    assert not any(g["gross_e6"] for g in desk.state.groups[:4])
    move(desk, 4)
    assert [int(g["gross_e6"]) for g in desk.state.groups[:4]] == [cash_e6(300)] * 4


def test_a_move_that_the_new_levels_have_no_room_for_changes_nothing(a_household: Desk) -> None:
    desk = a_household
    desk.buy(10)
    define(desk, "small", Level.HOUSEHOLD, 1, max_open_notional_e6=cash_e6(999))
    event = move(desk, 5)
    assert (event.reject_code, event.group) == (Reject.HOUSEHOLD_OPEN_NOTIONAL, 4)
    assert [int(g["reserved_e6"]) for g in desk.state.groups[:5]] == [cash_e6(1000)] * 4 + [0]


def test_a_move_below_the_same_full_firm_is_no_new_exposure(a_household: Desk) -> None:
    """The firm's limit is just used up by the account itself: it leaves before it comes back."""
    desk = a_household
    desk.buy(10)
    define(desk, "FIRM", Level.FIRM, max_open_notional_e6=cash_e6(1000), max_gross_e6=cash_e6(1000))
    define(desk, "next door", Level.HOUSEHOLD, 1)
    assert move(desk, 5).reject_code == 0
    assert desk.state.groups[0]["reserved_e6"] == cash_e6(1000)


def test_a_purchase_that_no_limit_would_count_is_refused_and_a_sale_is_not(a_household: Desk) -> None:
    desk = a_household
    desk.do(instrument("SAP", currency=EUR))
    desk.do(deposit(cash_e6(5000), currency=EUR))
    move(desk, 0)
    desk.fill(desk.buy(2, instrument=2).order_id, 2)
    left_open = desk.buy(2, instrument=2)
    move(desk, 4)
    refused = desk.buy(1, instrument=2)
    assert (refused.reject_code, refused.limit_value, refused.observed_value) == (
        Reject.HOUSEHOLD_CURRENCY, USD, EUR,
    )  # fmt: skip
    assert desk.sell(2, instrument=2).reject_code == 0
    desk.fill(left_open.order_id, 2)
    assert not any(g["reserved_e6"] or g["gross_e6"] for g in desk.state.groups[:4])


def test_groups_stand_under_a_higher_level_of_the_same_currency(a_household: Desk) -> None:
    desk = a_household
    wrong = [
        define(desk, "a", Level.FIRM, 1),
        define(desk, "b", Level.DESK),
        define(desk, "c", Level.DESK, 3),
        define(desk, "d", Level.HOUSEHOLD, 4),
        define(desk, "e", Level.DESK, 1, currency=EUR),
        define(desk, "f", 0),
        define(desk, "g", 5, 1),
        define(desk, "h", Level.DESK, 77),
    ]
    assert [event.reject_code for event in wrong] == [Reject.GROUP_PARENT] * len(wrong)
    assert define(desk, "DESK", Level.DESK, 1, currency=EUR).reject_code == Reject.CURRENCY_FIXED
    assert define(desk, "HOUSEHOLD", Level.HOUSEHOLD, 1).reject_code == Reject.GROUP_FIXED
    assert define(desk, "i", Level.FIRM, currency=99).reject_code == Reject.CURRENCY_UNKNOWN
    assert define(desk, "j", Level.ADVISOR, 1).group == 5, "levels may be left out"
    assert move(desk, 3).reject_code == Reject.GROUP_UNKNOWN
    assert move(desk, 9).reject_code == Reject.GROUP_UNKNOWN
    assert move(desk, 4, 7).reject_code == Reject.ACCOUNT_UNKNOWN
    assert desk.do(account("TW000009", household=2)).reject_code == Reject.GROUP_UNKNOWN
    assert desk.do(account(household=5)).reject_code == Reject.GROUP_FIXED


def test_the_group_table_full_is_an_answer(a_desk: Desk) -> None:
    codes = [define(a_desk, f"F{n}", Level.FIRM).reject_code for n in range(9)]
    assert codes == [0] * 8 + [Reject.GROUP_TABLE_FULL]


def test_what_levels_can_not_count_is_rejected_and_never_wraps(a_household: Desk) -> None:
    desk = a_household
    desk.do(
        account("TW000002", household=4, max_order_notional_e6=INT64_MAX, max_position_qty_e8=qty_e8(10**10))
    )
    for number in (1, 2):
        desk.do(deposit(INT64_MAX - int(desk.state.accounts[number - 1]["cash_e6"]), account=number))
    desk.fill(desk.buy(1).order_id, 1)
    placed = desk.buy(1, account=2)
    late = desk.report(placed.order_id, ExecType.TRADE, qty_e8(10**9), 9_223 * 10**8)
    assert late.reject_code == 0
    again = desk.report(placed.order_id, ExecType.TRADE, qty_e8(10**9), 9_223 * 10**8)
    assert again.reject_code == Reject.AMOUNT_OVERFLOW
    assert [int(g["gross_e6"]) for g in desk.state.groups[:4]] == [
        int(sum(abs(p["cost_e6"]) for p in desk.state.positions[:2]))
    ] * 4
    assert state_hash(desk.replica().state) == desk.hash()


def test_an_accounts_own_refusal_comes_before_its_levels(a_household: Desk) -> None:
    a_household.do(commands.set_account_state(request_id=1, account=1, state=AccountState.HALTED))
    a_household.do(commands.set_group_state(request_id=1, group=1, state=AccountState.HALTED))
    assert a_household.do(order("x", price_e8=ASK_E8)).reject_code == Reject.ACCOUNT_NOT_ACTIVE
