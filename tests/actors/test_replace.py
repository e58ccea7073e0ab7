"""A replace and what can cross it on the wire: FIX 4.4 vol. 4 appendix D, case by case."""

from __future__ import annotations

import pytest

from actors.replay import Replica
from actors.snapshot import restore, state_hash, take
from core import commands
from core.ids import REPLACEMENTS_MAX
from core.records import FLAG_LOG_FULL, AccountState, ExecType, OrdStatus, OrdType, Side, TimeInForce
from core.rejects import Reject
from core.units import cash_e6, price_e8, qty_e8
from tests.actors.desk import (
    ASK_E8,
    BID_E8,
    SEGMENT_BYTES,
    START_NS,
    TICK_E8,
    Desk,
    account,
    deposit,
    order,
    replace,
)


def open_orders(desk: Desk) -> int:
    return int(desk.state.accounts[0]["open_orders"])


def test_the_larger_of_old_and_new_is_held_until_the_venue_answers(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    asked = desk.replace(placed.order_id, qty_e8=qty_e8(15))
    assert (asked.exec_type, asked.ord_status) == (ExecType.PENDING_REPLACE, OrdStatus.PENDING_REPLACE)
    assert (asked.qty_e8, asked.reserved_e6) == (qty_e8(10), cash_e6(1500))
    assert (asked.asked_replacement, asked.asked_qty_e8, asked.asked_price_e8) == (1, qty_e8(15), ASK_E8)
    posted = desk.accept_replace(placed.order_id)
    assert (posted.exec_type, posted.ord_status) == (ExecType.REPLACED, OrdStatus.NEW)
    assert (posted.qty_e8, posted.reserved_e6, posted.replacement) == (qty_e8(15), cash_e6(1500), 1)
    smaller = desk.replace(placed.order_id, qty_e8=qty_e8(4), price_e8=BID_E8)
    assert (smaller.qty_e8, smaller.reserved_e6) == (qty_e8(15), cash_e6(1500))
    posted = desk.accept_replace(placed.order_id, 2)
    assert (posted.qty_e8, posted.price_e8, posted.reserved_e6) == (qty_e8(4), BID_E8, cash_e6("399.96"))
    assert desk.state.positions[0]["open_buy_e8"] == qty_e8(4)


def test_a_refused_replace_leaves_all_as_it_was(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    refused = desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    assert (refused.exec_type, refused.reject_code) == (ExecType.REPLACE_REJECT, Reject.VENUE_REJECTED)
    assert (refused.ord_status, refused.qty_e8, refused.reserved_e6) == (
        OrdStatus.NEW, qty_e8(10), cash_e6(1000),
    )  # fmt: skip
    again = desk.replace(placed.order_id, qty_e8=qty_e8(12))
    assert again.asked_replacement == 2, "a number is used once: the venue has seen it"


def test_a_replacement_passes_every_check_with_its_orders_own_hold_as_free(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.do(account(max_position_qty_e8=qty_e8(10_000), max_order_notional_e6=cash_e6(10**6)))
    placed = desk.buy(5000)
    desk.do(deposit(-cash_e6(490_000)))  # 510,000 stay, 500,000 are held
    code = desk.replace(placed.order_id, qty_e8=qty_e8(5000), price_e8=price_e8("103")).reject_code
    assert code == Reject.BUYING_POWER
    posted = desk.replace(placed.order_id, price_e8=price_e8("102"))
    assert (posted.reject_code, posted.reserved_e6) == (0, cash_e6(510_000))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"qty_e8": qty_e8(10) + 1}, Reject.QTY_OFF_LOT),
        ({"qty_e8": qty_e8(5001)}, Reject.QTY_OVER_MAX),
        ({"price_e8": ASK_E8 + 1}, Reject.PRICE_OFF_TICK),
        ({"price_e8": 2 * ASK_E8}, Reject.PRICE_OUTSIDE_COLLAR),
        ({"qty_e8": -qty_e8(1)}, Reject.QTY_BELOW_FILLED),
        ({"price_e8": -TICK_E8}, Reject.PRICE_NOT_POSITIVE),
        ({"tif": ord("4")}, Reject.COMMAND_UNKNOWN),
        ({"tif": TimeInForce.IOC}, Reject.COMMAND_UNKNOWN),
        ({"tif": TimeInForce.GTD}, Reject.EXPIRE_TIME_PAST),
        ({"tif": TimeInForce.GTD, "expire_time_ns": START_NS}, Reject.EXPIRE_TIME_PAST),
        ({"instrument": 2}, Reject.INSTRUMENT_UNKNOWN),
        ({"account": 2}, Reject.ORDER_UNKNOWN),
    ],
)
def test_a_replacement_that_breaks_a_rule_is_refused_and_changes_nothing(
    a_funded_account: Desk, changes: dict[str, int], code: Reject
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    event = desk.replace(placed.order_id, **changes)
    assert (event.exec_type, event.reject_code) == (ExecType.REPLACE_REJECT, code)
    row = desk.state.orders[0]
    assert (row["replacing"], row["qty_e8"], row["price_e8"], desk.reserved()) == (
        0, qty_e8(10), ASK_E8, cash_e6(1000),
    )  # fmt: skip


def test_a_reducing_account_and_a_full_log_refuse_a_replace(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    event = desk.do(replace(placed.order_id, "full"), flags=FLAG_LOG_FULL)
    assert (event.exec_type, event.reject_code) == (ExecType.REPLACE_REJECT, Reject.LOG_FULL)
    desk.do(commands.set_account_state(request_id=1, account=1, state=AccountState.REDUCING))
    assert desk.replace(placed.order_id).reject_code == Reject.ACCOUNT_REDUCING


def test_a_fill_that_crosses_the_replace_is_booked_under_the_old_terms(a_funded_account: Desk) -> None:
    """Appendix D, D.9: part is filled while the replace is pending."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    filled = desk.fill(placed.order_id, 4)
    assert (filled.ord_status, filled.cum_qty_e8) == (OrdStatus.PENDING_REPLACE, qty_e8(4))
    assert filled.reserved_e6 == cash_e6(1100)
    posted = desk.accept_replace(placed.order_id)
    assert (posted.ord_status, posted.reserved_e6) == (OrdStatus.PARTIALLY_FILLED, cash_e6(1100))
    done = desk.fill(placed.order_id, 11)
    assert (done.ord_status, done.reserved_e6) == (OrdStatus.FILLED, 0)


def test_an_order_that_fills_while_its_replace_is_pending_may_get_more(a_funded_account: Desk) -> None:
    """D.12: it is filled by the old terms, and the venue accepts the increase."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    filled = desk.fill(placed.order_id, 10)
    assert (filled.ord_status, filled.reserved_e6) == (OrdStatus.PENDING_REPLACE, cash_e6(500))
    assert open_orders(desk) == 1
    posted = desk.accept_replace(placed.order_id)
    assert (posted.ord_status, posted.qty_e8) == (OrdStatus.PARTIALLY_FILLED, qty_e8(15))
    assert desk.fill(placed.order_id, 5).ord_status == OrdStatus.FILLED
    assert (desk.reserved(), open_orders(desk)) == (0, 0)


def test_an_order_that_fills_while_its_replace_is_pending_is_over_when_the_venue_refuses(
    a_funded_account: Desk,
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    filled = desk.fill(placed.order_id, 10)
    assert desk.cancel(placed.order_id).exec_type == ExecType.PENDING_CANCEL, "a cancel is never held back"
    refused = desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    assert (refused.ord_status, refused.reserved_e6, open_orders(desk)) == (OrdStatus.FILLED, 0, 0)
    assert desk.state.orders[0]["ended_ns"] == filled.time_ns


def test_a_replace_below_what_is_filled_is_refused_here(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 6)
    for qty in (5, 6):
        event = desk.replace(placed.order_id, qty_e8=qty_e8(qty))
        assert (event.reject_code, event.limit_value, event.observed_value) == (
            Reject.QTY_BELOW_FILLED, qty_e8(6), qty_e8(qty),
        )  # fmt: skip


def test_a_replace_that_fills_overtake_ends_with_what_is_filled(a_funded_account: Desk) -> None:
    """D.11: 7 is asked for while 8 are being filled; the venue makes it 8, and that is all."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(7))
    desk.fill(placed.order_id, 8)
    posted = desk.accept_replace(placed.order_id)
    assert (posted.ord_status, posted.qty_e8, posted.cum_qty_e8) == (OrdStatus.FILLED, qty_e8(8), qty_e8(8))
    assert (desk.reserved(), open_orders(desk)) == (0, 0)


def test_a_cancel_while_a_replace_is_pending_passes_it(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    asked = desk.cancel(placed.order_id)
    assert (asked.exec_type, asked.ord_status) == (ExecType.PENDING_CANCEL, OrdStatus.PENDING_CANCEL)
    assert desk.replace(placed.order_id).reject_code == Reject.ORDER_NOT_REPLACEABLE
    canceled = desk.report(placed.order_id, ExecType.CANCELED)
    assert (canceled.ord_status, canceled.reserved_e6) == (OrdStatus.CANCELED, 0)
    late = desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    assert (late.reject_code, late.ord_status) == (Reject.VENUE_REJECTED, OrdStatus.CANCELED)
    assert desk.accept_replace(placed.order_id).reject_code == Reject.REPORT_UNEXPECTED


def test_each_request_is_refused_by_its_own_reject(a_funded_account: Desk) -> None:
    """434=1 is the cancel's, 434=2 the replace's; the other one stays pending."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    desk.cancel(placed.order_id)
    event = desk.report(placed.order_id, ExecType.CANCEL_REJECT)
    assert (event.ord_status, event.reserved_e6) == (OrdStatus.PENDING_REPLACE, cash_e6(1500))
    desk.cancel(placed.order_id)
    event = desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    assert (event.ord_status, event.reserved_e6) == (OrdStatus.PENDING_CANCEL, cash_e6(1000))


def test_a_replace_while_a_cancel_or_another_replace_is_pending_is_refused(a_funded_account: Desk) -> None:
    desk = a_funded_account
    first, second = desk.buy(10), desk.buy(10)
    desk.cancel(first.order_id)
    event = desk.replace(first.order_id, qty_e8=qty_e8(5))
    assert (event.reject_code, event.observed_value) == (
        Reject.ORDER_NOT_REPLACEABLE, OrdStatus.PENDING_CANCEL,
    )  # fmt: skip
    desk.replace(second.order_id, qty_e8=qty_e8(5))
    event = desk.replace(second.order_id, qty_e8=qty_e8(6))
    assert (event.reject_code, event.observed_value) == (
        Reject.ORDER_NOT_REPLACEABLE, OrdStatus.PENDING_REPLACE,
    )  # fmt: skip


@pytest.mark.parametrize("end", [ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED])
def test_an_order_that_has_ended_can_not_be_replaced(a_funded_account: Desk, end: ExecType) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, end)
    event = desk.replace(placed.order_id, qty_e8=qty_e8(15))
    assert event.reject_code == Reject.ORDER_NOT_REPLACEABLE
    assert desk.reserved() == 0


@pytest.mark.parametrize("end", [ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED])
def test_an_unsolicited_end_ends_the_pending_replace_too(a_funded_account: Desk, end: ExecType) -> None:
    """Nobody asked the venue for it: all that old and new terms held is free."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    event = desk.report(placed.order_id, end)
    assert (event.ord_status, event.reserved_e6, open_orders(desk)) == (
        OrdStatus[end.name], 0, 0,
    )  # fmt: skip
    assert desk.state.positions[0]["open_buy_e8"] == 0


def test_only_the_answer_to_the_pending_request_counts(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    assert desk.accept_replace(placed.order_id).reject_code == Reject.REPORT_UNEXPECTED
    desk.replace(placed.order_id, qty_e8=qty_e8(15))
    for number in (0, 2):
        assert desk.accept_replace(placed.order_id, number).reject_code == Reject.REPORT_UNEXPECTED
        desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=number)
    assert desk.accept_replace(placed.order_id).qty_e8 == qty_e8(15)
    assert desk.accept_replace(placed.order_id).reject_code == Reject.REPORT_UNEXPECTED, "told twice"


def test_a_sale_offers_more_only_while_there_is_more(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    placed = desk.sell(6)
    assert desk.replace(placed.order_id, qty_e8=qty_e8(11)).reject_code == Reject.POSITION_NOT_HELD
    assert desk.replace(placed.order_id, qty_e8=qty_e8(10)).reject_code == 0
    assert desk.sell(1).reject_code == Reject.POSITION_NOT_HELD, "the ten are offered already"
    desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    assert desk.sell(4).reject_code == 0


def test_a_market_orders_replacement_gets_the_collar_of_its_moment(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.do(order("m", ord_type=OrdType.MARKET, price_e8=0))
    assert placed.route_price_e8 == price_e8(105)
    desk.ask_e8 = price_e8(110)
    asked = desk.replace(placed.order_id, qty_e8=qty_e8(12))
    assert asked.asked_price_e8 == price_e8("115.5")
    assert asked.reserved_e6 == cash_e6(1386)


def test_every_name_of_an_order_finds_it_and_is_taken(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.do(order("first"))
    desk.do(replace(placed.order_id, "second"))
    assert desk.accept_replace(placed.order_id).text == "second"
    desk.do(replace(placed.order_id, "third"))
    refused = desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=2)
    assert refused.text == "second", "it goes on under the name it had"
    for name in ("first", "second", "third"):
        again = desk.do(order(name))
        assert (again.reject_code, again.order_id) == (
            Reject.DUPLICATE_CLIENT_ORDER_ID, placed.order_id,
        )  # fmt: skip
        assert desk.do(replace(placed.order_id, name)).reject_code == Reject.DUPLICATE_CLIENT_ORDER_ID


def test_the_time_in_force_can_be_replaced(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    until = desk.next_ns + 10**9
    asked = desk.replace(placed.order_id, tif=TimeInForce.GTD, expire_time_ns=until)
    assert (asked.tif, asked.asked_tif) == (TimeInForce.DAY, TimeInForce.GTD)
    assert desk.accept_replace(placed.order_id).tif == TimeInForce.GTD
    assert desk.state.orders[0]["expire_time_ns"] == until
    desk.replace(placed.order_id, qty_e8=qty_e8(9))
    desk.accept_replace(placed.order_id, 2)
    assert desk.state.orders[0]["expire_time_ns"] == until, "what is not asked for stays"


def test_replacements_are_used_again_but_never_one_that_an_open_order_needs(a_funded_account: Desk) -> None:
    """The table has 16 rows here. An order that is replaced again and again needs two of them."""
    desk = a_funded_account
    quote = desk.buy(1)
    for number in range(1, 60):
        assert desk.replace(quote.order_id, qty_e8=qty_e8(1 + number % 2)).reject_code == 0
        assert desk.accept_replace(quote.order_id, number).reject_code == 0
    others = [desk.buy(1) for _ in range(16)]
    codes = [desk.replace(o.order_id, qty_e8=qty_e8(2)).reject_code for o in others]
    assert codes == [0] * 15 + [Reject.REPLACEMENT_TABLE_FULL]
    desk.report(others[0].order_id, ExecType.CANCELED)
    assert desk.replace(others[15].order_id, qty_e8=qty_e8(2)).reject_code == 0
    replica = Replica(desk.capacity, SEGMENT_BYTES)
    restore(take(desk.state), replica.state)
    for name in ("client_index", "execution_heads"):
        assert sorted(getattr(replica.state, name)) == sorted(getattr(desk.state, name))
    assert state_hash(replica.state) == desk.hash() == state_hash(desk.replica().state)


def test_the_last_number_of_an_order_is_its_last_replace(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.state.orders[0]["replacements"] = REPLACEMENTS_MAX
    event = desk.replace(placed.order_id, qty_e8=qty_e8(5))
    assert (event.reject_code, event.limit_value) == (Reject.REPLACEMENTS_USED_UP, REPLACEMENTS_MAX)


def test_a_filled_order_with_a_pending_replace_keeps_its_row(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(1)
    desk.replace(placed.order_id, qty_e8=qty_e8(2))
    desk.fill(placed.order_id, 1)
    for _ in range(2 * desk.capacity.orders):
        desk.report(desk.buy(1).order_id, ExecType.CANCELED)
    posted = desk.accept_replace(placed.order_id)
    assert (posted.reject_code, posted.ord_status) == (0, OrdStatus.PARTIALLY_FILLED)
    assert posted.side == Side.BUY
