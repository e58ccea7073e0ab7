"""Single decisions that a history hits seldom: the ends of int64, codes that do not exist, what a cancel leaves."""

from __future__ import annotations

import pytest

from core import commands
from core.events import reject_message
from core.records import (
    FLAG_LOG_FULL,
    AccountState,
    BreakKind,
    EventKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from core.units import INT64_MAX, PRICE_E8_MAX, QTY_E8_MAX, cash_e6, price_e8, qty_e8
from tests.actors.desk import ASK_E8, TICK_E8, Desk, account, deposit, instrument, order


def test_an_order_reserves_and_its_fill_releases(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy(10)
    assert placed.reserved_e6 == cash_e6(1000)
    filled = a_funded_account.fill(placed.order_id, 4)
    assert (filled.ord_status, filled.reserved_e6, filled.cash_e6) == (
        OrdStatus.PARTIALLY_FILLED, cash_e6(600), cash_e6(999_600),
    )  # fmt: skip
    done = a_funded_account.fill(placed.order_id, 6)
    assert (done.ord_status, done.reserved_e6, done.position_qty_e8) == (OrdStatus.FILLED, 0, qty_e8(10))


@pytest.mark.parametrize("end", [ExecType.CANCELED, ExecType.REJECTED, ExecType.EXPIRED])
def test_every_end_releases_what_is_left(a_funded_account: Desk, end: ExecType) -> None:
    placed = a_funded_account.buy(10)
    assert a_funded_account.cancel(placed.order_id).ord_status == OrdStatus.PENDING_CANCEL
    event = a_funded_account.report(placed.order_id, end)
    assert event.reserved_e6 == a_funded_account.reserved() == 0
    assert a_funded_account.state.positions[0]["open_buy_e8"] == 0
    assert a_funded_account.state.accounts[0]["open_orders"] == 0


def test_a_fill_that_crossed_the_cancel_is_booked_and_changes_no_time_of_the_end(
    a_funded_account: Desk,
) -> None:
    placed = a_funded_account.buy(10)
    a_funded_account.cancel(placed.order_id)
    canceled = a_funded_account.report(placed.order_id, ExecType.CANCELED)
    late = a_funded_account.fill(placed.order_id, 10)
    assert (late.ord_status, late.position_qty_e8, late.reserved_e6) == (OrdStatus.CANCELED, qty_e8(10), 0)
    row = a_funded_account.state.orders[0]
    assert (row["ended_ns"], row["updated_ns"]) == (canceled.time_ns, late.time_ns)


def test_an_overfill_keeps_the_time_of_the_fill(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy(10)
    filled = a_funded_account.fill(placed.order_id, 10)
    a_funded_account.fill(placed.order_id, 1)
    assert a_funded_account.state.orders[0]["ended_ns"] == filled.time_ns


def test_the_largest_withdrawal_there_is_is_no_way_to_money(a_funded_account: Desk) -> None:
    """The negative of -2**63 is itself: below any free cash."""
    event = a_funded_account.do(deposit(-INT64_MAX - 1))
    assert (event.reject_code, event.cash_e6) == (Reject.AMOUNT_OVERFLOW, cash_e6(1_000_000))


@pytest.mark.parametrize(
    "codes",
    [
        {"side": 0}, {"side": ord("5")}, {"ord_type": 0}, {"ord_type": ord("3")}, {"tif": 0}, {"tif": ord("2")},
        {"ord_type": ord("3"), "price_e8": -ASK_E8},
    ],
)  # fmt: skip
def test_codes_that_no_check_knows_pass_none(a_funded_account: Desk, codes: dict[str, int]) -> None:
    event = a_funded_account.do(order("odd", **codes))
    assert (event.reject_code, event.ord_status) == (Reject.COMMAND_UNKNOWN, OrdStatus.REJECTED)
    assert a_funded_account.reserved() == 0


def test_an_unknown_kind_of_command_is_recorded(a_desk: Desk) -> None:
    event = a_desk.do((99).to_bytes(2, "little") + bytes(254))
    assert (event.kind, event.reject_code, event.observed_value) == (
        EventKind.ORDER,
        Reject.COMMAND_UNKNOWN,
        99,
    )


@pytest.mark.parametrize(
    ("qty", "px", "code"),
    [
        (0, ASK_E8, Reject.REPORT_UNEXPECTED),
        (-1, ASK_E8, Reject.REPORT_UNEXPECTED),
        (1, -1, Reject.REPORT_UNEXPECTED),
        (QTY_E8_MAX + 1, 1, Reject.REPORT_UNEXPECTED),
        (1, PRICE_E8_MAX + 1, Reject.REPORT_UNEXPECTED),
        (INT64_MAX, 1, Reject.REPORT_UNEXPECTED),
        (QTY_E8_MAX, PRICE_E8_MAX, Reject.AMOUNT_OVERFLOW),
    ],
)
def test_a_fill_that_can_not_be_is_recorded_and_moves_nothing(
    a_funded_account: Desk, qty: int, px: int, code: Reject
) -> None:
    placed = a_funded_account.buy(10)
    event = a_funded_account.report(placed.order_id, ExecType.TRADE, qty, px)
    assert event.reject_code == code
    assert (event.cash_e6, event.reserved_e6) == (placed.cash_e6, placed.reserved_e6)
    assert (event.cum_qty_e8, event.position_qty_e8) == (0, 0)


def test_fills_that_add_up_past_int64_are_rejected_and_not_wrapped(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy(10)
    codes = [
        a_funded_account.report(placed.order_id, ExecType.TRADE, QTY_E8_MAX, 1).reject_code for _ in range(12)
    ]
    assert codes == [0] * 9 + [Reject.AMOUNT_OVERFLOW] * 3
    assert a_funded_account.state.positions[0]["qty_e8"] == 9 * QTY_E8_MAX


def test_fills_whose_cash_goes_past_int64_are_rejected(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy(10)
    price = price_e8("100000")
    codes = []
    for _ in range(12):
        event = a_funded_account.report(placed.order_id, ExecType.TRADE, QTY_E8_MAX // 10**4, price)
        codes.append(event.reject_code)
    assert Reject.AMOUNT_OVERFLOW not in codes
    for _ in range(12):
        event = a_funded_account.report(placed.order_id, ExecType.TRADE, qty_e8("50000000"), price)
        assert event.cash_e6 + event.position_cost_e6 == cash_e6(1_000_000)
    assert event.reject_code == Reject.AMOUNT_OVERFLOW


def test_a_market_order_goes_out_at_the_collar_on_a_tick(a_funded_account: Desk) -> None:
    a_funded_account.do(instrument(tick_e8=3 * TICK_E8, collar_bps=7))
    bought = a_funded_account.do(order("m", ord_type=OrdType.MARKET, price_e8=0))
    assert bought.route_price_e8 == price_e8("100.05"), "100.07 is no tick; the next below is"
    a_funded_account.fill(bought.order_id, 10)
    sold = a_funded_account.do(order("s", ord_type=OrdType.MARKET, price_e8=0, side=Side.SELL))
    assert sold.route_price_e8 == price_e8("99.93"), "99.92 is outside; the next tick above is"


def test_limits_hold_over_open_orders_together(a_funded_account: Desk) -> None:
    """Four orders of half the cash: two stand, whatever is done in between."""
    a_funded_account.do(account(max_order_notional_e6=cash_e6(500_000)))
    codes = [a_funded_account.buy(5000).reject_code for _ in range(3)]
    assert codes == [0, 0, Reject.BUYING_POWER]
    assert a_funded_account.do(deposit(-1)).reject_code == Reject.CASH_NOT_FREE


def test_a_sale_offers_each_share_once(a_funded_account: Desk) -> None:
    a_funded_account.fill(a_funded_account.buy(10).order_id, 10)
    assert a_funded_account.sell(10).reject_code == 0
    assert a_funded_account.sell(1).reject_code == Reject.POSITION_NOT_HELD


def test_a_duplicate_names_the_original_and_a_rejected_name_is_free_again(a_funded_account: Desk) -> None:
    first = a_funded_account.do(order("mine"))
    again = a_funded_account.do(order("mine"))
    assert (again.reject_code, again.order_id) == (Reject.DUPLICATE_CLIENT_ORDER_ID, first.order_id)
    assert a_funded_account.do(order("other", qty_e8=1)).reject_code == Reject.QTY_OFF_LOT
    assert a_funded_account.do(order("other")).reject_code == 0


def test_another_accounts_order_can_not_be_canceled(a_funded_account: Desk) -> None:
    a_funded_account.do(account("TW000002"))
    placed = a_funded_account.buy(10)
    assert a_funded_account.cancel(placed.order_id, account=2).reject_code == Reject.ORDER_UNKNOWN
    assert a_funded_account.cancel(placed.order_id).reject_code == 0


def test_what_the_shard_marked_as_log_full_is_rejected(a_funded_account: Desk) -> None:
    event = a_funded_account.do(order("full"), flags=FLAG_LOG_FULL)
    assert (event.reject_code, event.ord_status) == (Reject.LOG_FULL, OrdStatus.REJECTED)
    assert a_funded_account.reserved() == 0


def test_full_tables_are_answers(a_funded_account: Desk) -> None:
    for n in range(2, 9):
        assert a_funded_account.do(account(f"TW{n:06}")).reject_code == 0
        assert a_funded_account.do(instrument(f"SYM{n}")).reject_code == 0
    assert a_funded_account.do(account("one more")).reject_code == Reject.ACCOUNT_TABLE_FULL
    assert a_funded_account.do(instrument("one more")).reject_code == Reject.INSTRUMENT_TABLE_FULL
    assert a_funded_account.do(account("TW000001")).account == 1, "those that are there can still be changed"
    for number in (2, 3):
        a_funded_account.do(deposit(cash_e6(10_000), account=number))
    codes = [
        a_funded_account.do(order("p", account=a, instrument=i, qty_e8=qty_e8(1))).reject_code
        for a in (1, 2, 3)
        for i in range(1, 9)
    ]
    assert codes.count(Reject.DUPLICATE_CLIENT_ORDER_ID) > 0


def test_the_position_table_full_is_an_answer(a_funded_account: Desk) -> None:
    for n in range(2, 9):
        a_funded_account.do(account(f"TW{n:06}"))
        a_funded_account.do(deposit(cash_e6(10_000), account=n))
        a_funded_account.do(instrument(f"SYM{n}"))
    codes = []
    for a in range(1, 4):
        for i in range(1, 9):
            codes.append(
                a_funded_account.do(order(f"p{i}", account=a, instrument=i, qty_e8=qty_e8(1))).reject_code
            )
    assert codes == [0] * 16 + [Reject.POSITION_TABLE_FULL] * 8
    assert "16 positions" in reject_message(Reject.POSITION_TABLE_FULL, 16, 0)


def test_an_immediate_order_keeps_its_time_in_force(a_funded_account: Desk) -> None:
    assert a_funded_account.do(order("ioc", tif=TimeInForce.IOC)).tif == TimeInForce.IOC


def test_names_of_the_full_width_are_told_apart(a_desk: Desk) -> None:
    first, second = "A" * 31 + "1", "A" * 31 + "2"
    assert a_desk.do(account(first)).account == 1
    assert a_desk.do(account(second)).account == 2
    assert a_desk.do(account("A" * 31)).account == 3
    assert a_desk.do(account(first)).account == 1


def test_a_report_for_an_order_that_is_none_is_recorded(a_desk: Desk) -> None:
    event = a_desk.do(commands.venue_report(venue_seq=1, order_id=77, exec_type=ExecType.TRADE, ord_status=0))
    assert (event.reject_code, event.order_id) == (Reject.ORDER_UNKNOWN, 77)


def test_a_break_lets_its_account_only_reduce_and_moves_nothing(a_funded_account: Desk) -> None:
    bought = a_funded_account.buy(10)
    a_funded_account.fill(bought.order_id, 10)
    before = a_funded_account.hash()
    event = a_funded_account.break_found(BreakKind.MISSING_HERE, order_id=bought.order_id)
    assert (event.kind, event.break_kind, event.text) == (EventKind.BREAK, BreakKind.MISSING_HERE, "X1")
    assert (event.account, event.state) == (1, AccountState.REDUCING)
    assert event.cash_e6 == cash_e6(999_000)
    assert a_funded_account.buy(1).reject_code == Reject.ACCOUNT_REDUCING
    assert a_funded_account.sell(1).reject_code == Reject.NONE
    assert before != a_funded_account.hash(), "the state of the account is part of the state"


def test_a_break_of_an_order_that_nobody_knows_is_recorded_for_no_account(a_funded_account: Desk) -> None:
    event = a_funded_account.break_found(BreakKind.UNKNOWN_ORDER, order_id=999)
    assert (event.account, event.order_id, event.observed_value) == (0, 999, qty_e8(10))
    assert a_funded_account.buy(1).reject_code == Reject.NONE


def test_a_break_names_the_account_itself_when_the_orders_row_was_used_again(a_funded_account: Desk) -> None:
    assert a_funded_account.break_found(BreakKind.PRICE, order_id=999, account=1).account == 1
    assert a_funded_account.buy(1).reject_code == Reject.ACCOUNT_REDUCING


def test_a_break_does_not_open_a_halted_account(a_funded_account: Desk) -> None:
    a_funded_account.do(commands.set_account_state(request_id=1, account=1, state=AccountState.HALTED))
    assert a_funded_account.break_found(BreakKind.SIDE, account=1).state == AccountState.HALTED
    assert a_funded_account.sell(1).reject_code == Reject.ACCOUNT_NOT_ACTIVE
