"""How an order stands by its venue: what its answer books, ends and leaves in doubt, and what a person may say then."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.snapshot import restore, state_hash, take
from actors.status import missing_px_e8
from actors.tables import private_state
from core.events import Event
from core.records import CommandKind, ExecType, Fate, OrdStatus
from core.rejects import Reject
from core.units import PRICE_E8_MAX, cash_e6, notional_e6, price_e8, qty_e8
from tests.actors.desk import ASK_E8, Desk


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(ExecType(e.exec_type).name, OrdStatus(e.ord_status).name) for e in events]


def test_a_question_marks_an_open_order_and_the_answer_takes_the_mark_away(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    asked = desk.ask_venue(placed.order_id)
    assert (asked.exec_type, asked.reject_code, desk.fate()) == (ExecType.ORDER_STATUS, 0, Fate.ASKED)
    assert kinds(desk.standing(placed.order_id, OrdStatus.NEW)) == [("NEW", "NEW")]
    assert (desk.fate(), desk.reserved()) == (Fate.SURE, cash_e6(1000))
    assert kinds(desk.standing(placed.order_id, OrdStatus.NEW)) == [("ORDER_STATUS", "NEW")]


def test_an_order_that_has_ended_is_not_asked_about(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.CANCELED)
    assert desk.ask_venue(placed.order_id).reject_code == Reject.NOT_ASKED
    assert desk.ask_venue(77).reject_code == Reject.ORDER_UNKNOWN


def test_a_missed_fill_is_booked_at_its_own_price_and_says_that_it_was_reconciled(
    a_funded_account: Desk,
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    last = {"last_qty_e8": qty_e8(4), "last_px_e8": price_e8("99.5")}
    (event,) = desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 4, price_e8("99.5"), **last)
    assert (event.exec_type, event.ord_status, event.state) == (
        ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, Fate.RECONCILED,
    )  # fmt: skip
    assert (event.last_qty_e8, event.last_px_e8) == (qty_e8(4), price_e8("99.5"))
    assert (event.cash_e6, event.reserved_e6) == (cash_e6(1_000_000) - cash_e6(398), cash_e6(600))
    assert event.position_qty_e8 == qty_e8(4)


def test_several_missed_fills_cost_what_the_venues_average_says(a_funded_account: Desk) -> None:
    """3 at 99.99 and 4 at 99.98 after 2 at 100: the average of nine is 99.98777778, rounded."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 2, cum_qty_e8=qty_e8(2))
    (event,) = desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 9, price_e8("99.98777778"))
    paid = cash_e6(200) + cash_e6("299.97") + cash_e6("399.92")
    assert (event.last_qty_e8, event.cum_notional_e6) == (qty_e8(7), paid)
    assert event.cash_e6 == cash_e6(1_000_000) - paid
    assert event.last_px_e8 == price_e8("99.98428571")


def test_a_report_that_comes_after_all_is_not_booked_again(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 6, ASK_E8)
    for qty, cum in ((4, 4), (2, 6)):
        late = desk.fill(placed.order_id, qty, cum_qty_e8=qty_e8(cum))
        assert (late.reject_code, late.cum_qty_e8) == (Reject.EXECUTION_REPEATED, qty_e8(6))
    new = desk.fill(placed.order_id, 3, cum_qty_e8=qty_e8(9))
    assert (new.reject_code, new.cum_qty_e8, new.ord_status) == (0, qty_e8(9), OrdStatus.PARTIALLY_FILLED)


def test_fills_in_another_order_after_a_reconciliation_are_all_booked(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 4, ASK_E8)
    assert desk.fill(placed.order_id, 3, cum_qty_e8=qty_e8(9)).reject_code == 0
    last = desk.fill(placed.order_id, 2, cum_qty_e8=qty_e8(6))
    assert (last.reject_code, last.cum_qty_e8) == (0, qty_e8(9))


def test_a_fill_after_a_bust_of_a_reconciled_order_is_booked(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 4, ASK_E8)
    desk.fill(placed.order_id, 3, cum_qty_e8=qty_e8(7), exec_id="E2")
    desk.bust(placed.order_id, "E2")
    again = desk.fill(placed.order_id, 2, cum_qty_e8=qty_e8(6))
    assert (again.reject_code, again.cum_qty_e8) == (0, qty_e8(6))


@pytest.mark.parametrize("told", [OrdStatus.CANCELED, OrdStatus.EXPIRED])
def test_what_filled_and_then_ended_while_we_were_away_is_both(
    a_funded_account: Desk, told: OrdStatus
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    events = desk.standing(placed.order_id, told, 4, ASK_E8)
    assert kinds(events) == [("TRADE", "PARTIALLY_FILLED"), (told.name, told.name)]
    assert (events[1].reserved_e6, events[1].position_qty_e8) == (0, qty_e8(4))
    assert desk.state.accounts[0]["open_orders"] == 0


def test_an_order_that_filled_while_we_were_away_is_filled(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    assert kinds(desk.standing(placed.order_id, OrdStatus.FILLED, 10, ASK_E8)) == [("TRADE", "FILLED")]
    assert (desk.reserved(), desk.state.accounts[0]["open_orders"]) == (0, 0)


def test_an_order_that_the_venue_rejected_is_rejected(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    (event,) = desk.standing(placed.order_id, OrdStatus.REJECTED)
    assert (event.exec_type, event.reject_code, event.reserved_e6) == (
        ExecType.REJECTED,
        Reject.VENUE_REJECTED,
        0,
    )


@pytest.mark.parametrize(
    ("told", "cum", "avg"),
    [
        (OrdStatus.PARTIALLY_FILLED, 2, ASK_E8),  # less than is booked here
        (OrdStatus.PARTIALLY_FILLED, 6, 0),  # a total without a price
        (OrdStatus.PARTIALLY_FILLED, 6, price_e8("10")),  # a total that costs less than what is booked
        (OrdStatus.FILLED, 4, ASK_E8),  # filled, and not all of it
        (OrdStatus.REJECTED, 4, ASK_E8),  # rejected, with fills
    ],
)
def test_what_can_not_be_booked_leaves_the_order_in_doubt_and_everything_held(
    a_funded_account: Desk, told: OrdStatus, cum: int, avg: int
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 4, cum_qty_e8=qty_e8(4))
    (event,) = desk.standing(placed.order_id, told, cum, avg)
    assert (event.exec_type, event.reject_code) == (ExecType.ORDER_STATUS, Reject.VENUE_TELLS_LESS)
    assert (event.state, event.cum_qty_e8, event.reserved_e6) == (Fate.UNKNOWN, qty_e8(4), cash_e6(600))
    assert desk.fate() is Fate.UNKNOWN


def test_an_order_that_the_venue_does_not_know_keeps_what_it_holds(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    event = desk.fate_unknown(placed.order_id)
    assert (event.reject_code, event.state, event.reserved_e6) == (
        Reject.VENUE_KNOWS_NOT, Fate.UNKNOWN, cash_e6(1000),
    )  # fmt: skip
    assert desk.cancel(placed.order_id).state == Fate.UNKNOWN
    assert desk.report(placed.order_id, ExecType.CANCELED).state == Fate.SURE
    assert desk.fate_unknown(placed.order_id).reject_code == Reject.NOT_ASKED


def test_a_venue_is_silent_only_about_what_it_was_asked(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    assert desk.fate_unknown(placed.order_id, Reject.VENUE_SILENT).reject_code == Reject.NOT_ASKED
    desk.ask_venue(placed.order_id)
    assert desk.fate_unknown(placed.order_id, Reject.VENUE_SILENT).state == Fate.UNKNOWN
    assert desk.fate_unknown(77).reject_code == Reject.ORDER_UNKNOWN


def test_a_cancel_that_never_reached_the_venue_is_refused_by_its_answer(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.cancel(placed.order_id)
    desk.ask_venue(placed.order_id)
    assert kinds(desk.standing(placed.order_id, OrdStatus.PENDING_CANCEL)) == [
        ("ORDER_STATUS", "PENDING_CANCEL")
    ]
    desk.ask_venue(placed.order_id)
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW)
    assert (event.exec_type, event.ord_status, event.reject_code) == (
        ExecType.CANCEL_REJECT, OrdStatus.NEW, Reject.VENUE_REJECTED,
    )  # fmt: skip


def test_a_request_after_the_question_is_not_answered_by_its_answer(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.ask_venue(placed.order_id)
    desk.cancel(placed.order_id)
    assert kinds(desk.standing(placed.order_id, OrdStatus.NEW)) == [("ORDER_STATUS", "PENDING_CANCEL")]


def test_a_replace_that_was_accepted_while_we_were_away_is_posted(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    events = desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 12, ASK_E8, replacement=1)
    assert kinds(events) == [("REPLACED", "NEW"), ("TRADE", "PARTIALLY_FILLED")]
    assert (events[1].qty_e8, events[1].cum_qty_e8, events[1].reserved_e6) == (
        qty_e8(20),
        qty_e8(12),
        cash_e6(800),
    )


def test_a_replace_that_the_venue_never_got_is_refused_by_its_answer(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    desk.ask_venue(placed.order_id)
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW)
    assert (event.exec_type, event.qty_e8, event.reserved_e6) == (
        ExecType.REPLACE_REJECT, qty_e8(10), cash_e6(1000),
    )  # fmt: skip


def test_a_replace_that_the_venue_takes_after_its_answer_is_posted_all_the_same(
    a_funded_account: Desk,
) -> None:
    """It was asked while the replace was under way, and answered for the order as it was."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    desk.ask_venue(placed.order_id)
    desk.standing(placed.order_id, OrdStatus.NEW)
    told = {"replacement": 1, "qty_e8": qty_e8(20), "exec_type": ExecType.REPLACED}
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, **told)
    assert (event.exec_type, event.reject_code, event.qty_e8) == (ExecType.REPLACED, 0, qty_e8(20))
    assert event.reserved_e6 == cash_e6(2000)
    done = desk.fill(placed.order_id, 20, cum_qty_e8=qty_e8(20))
    assert (done.ord_status, desk.reserved()) == (OrdStatus.FILLED, 0)


def test_an_order_that_filled_before_a_late_replace_may_get_more(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    desk.report(placed.order_id, ExecType.REPLACE_REJECT, replacement=1)
    desk.fill(placed.order_id, 10, cum_qty_e8=qty_e8(10))
    told = {"replacement": 1, "exec_type": ExecType.REPLACED}
    (event,) = desk.standing(placed.order_id, OrdStatus.PARTIALLY_FILLED, 10, ASK_E8, **told)
    assert (event.exec_type, event.ord_status, event.reserved_e6) == (
        ExecType.REPLACED, OrdStatus.PARTIALLY_FILLED, cash_e6(1000),
    )  # fmt: skip


@pytest.mark.parametrize("end", [ExecType.CANCELED, ExecType.EXPIRED])
def test_a_late_replace_of_an_order_that_is_gone_changes_nothing(
    a_funded_account: Desk, end: ExecType
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    desk.report(placed.order_id, end)
    told = {"replacement": 1, "exec_type": ExecType.REPLACED}
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, **told)
    assert (event.reject_code, desk.reserved()) == (Reject.REPORT_UNEXPECTED, 0)


def test_the_terms_that_the_venue_gives_a_replace_are_those_that_hold(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    told = {"replacement": 1, "qty_e8": qty_e8(15), "price_e8": price_e8("99")}
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, exec_type=ExecType.REPLACED, **told)
    assert (event.exec_type, event.qty_e8, event.price_e8) == (ExecType.REPLACED, qty_e8(15), price_e8("99"))
    assert event.reserved_e6 == cash_e6(1485)
    again = desk.standing(placed.order_id, OrdStatus.NEW, exec_type=ExecType.REPLACED, **told)
    assert [e.reject_code for e in again] == [Reject.REPORT_UNEXPECTED]


@pytest.mark.parametrize("kind", [ExecType.RESTATED, ExecType.REPLACED])
def test_terms_that_the_venue_changes_by_itself_are_taken(a_funded_account: Desk, kind: ExecType) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 4, cum_qty_e8=qty_e8(4))
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, exec_type=kind, qty_e8=qty_e8(6))
    assert (event.exec_type, event.qty_e8, event.reserved_e6) == (ExecType.RESTATED, qty_e8(6), cash_e6(200))
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, exec_type=kind, qty_e8=qty_e8(3))
    assert (event.ord_status, event.qty_e8, event.reserved_e6) == (OrdStatus.FILLED, qty_e8(4), 0)


def test_old_terms_that_are_told_again_change_nothing(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    desk.replace(placed.order_id, qty_e8=qty_e8(20))
    desk.accept_replace(placed.order_id)
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW, exec_type=ExecType.RESTATED, qty_e8=qty_e8(10))
    assert (event.exec_type, event.qty_e8) == (ExecType.ORDER_STATUS, qty_e8(20))


def test_a_fill_after_our_own_end_is_booked_by_the_total_too(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.CANCELED)
    (event,) = desk.standing(placed.order_id, OrdStatus.CANCELED, 10, ASK_E8)
    assert (event.exec_type, event.ord_status, event.position_qty_e8) == (
        ExecType.TRADE, OrdStatus.CANCELED, qty_e8(10),
    )  # fmt: skip


def test_an_order_that_is_open_there_and_over_here_is_recorded(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.timer(CommandKind.DAY_END, placed.order_id, desk.next_ns)
    (event,) = desk.standing(placed.order_id, OrdStatus.NEW)
    assert (event.reject_code, event.ord_status, event.reserved_e6) == (
        Reject.REPORT_UNEXPECTED, OrdStatus.EXPIRED, 0,
    )  # fmt: skip


def test_an_answer_about_nobodys_order_is_recorded(a_funded_account: Desk) -> None:
    (event,) = a_funded_account.standing(77, OrdStatus.NEW)
    assert event.reject_code == Reject.ORDER_UNKNOWN


# --- a person's word


def test_only_an_order_of_unknown_fate_is_resolved(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    assert desk.resolve(placed.order_id, ExecType.CANCELED).reject_code == Reject.FATE_KNOWN
    desk.ask_venue(placed.order_id)
    assert desk.resolve(placed.order_id, ExecType.CANCELED).reject_code == Reject.FATE_KNOWN
    desk.fate_unknown(placed.order_id)
    assert desk.resolve(placed.order_id, ExecType.CANCELED, account=2).reject_code == Reject.ORDER_UNKNOWN
    assert desk.resolve(placed.order_id, ExecType.EXPIRED).reject_code == Reject.COMMAND_UNKNOWN
    event = desk.resolve(placed.order_id, ExecType.CANCELED)
    assert (event.exec_type, event.ord_status, event.reserved_e6) == (
        ExecType.CANCELED,
        OrdStatus.CANCELED,
        0,
    )
    assert desk.resolve(placed.order_id, ExecType.CANCELED).reject_code == Reject.FATE_KNOWN


def test_a_fill_that_a_person_knows_of_is_booked_and_the_rest_stays_in_doubt(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fate_unknown(placed.order_id)
    assert desk.resolve(placed.order_id, ExecType.TRADE, 11, ASK_E8).reject_code == Reject.RESOLVED_TOO_MUCH
    assert desk.resolve(placed.order_id, ExecType.TRADE, 0, ASK_E8).reject_code == Reject.RESOLVED_TOO_MUCH
    part = desk.resolve(placed.order_id, ExecType.TRADE, 4, price_e8("99"))
    assert (part.exec_type, part.ord_status, part.state) == (
        ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, Fate.UNKNOWN,
    )  # fmt: skip
    assert (part.cash_e6, part.reserved_e6) == (cash_e6(1_000_000) - cash_e6(396), cash_e6(600))
    late = desk.fill(placed.order_id, 4, price_e8("99"), cum_qty_e8=qty_e8(4))
    assert late.reject_code == Reject.EXECUTION_REPEATED, "its own report, after all"
    rest = desk.resolve(placed.order_id, ExecType.TRADE, 6, ASK_E8)
    assert (rest.ord_status, rest.reserved_e6, desk.fate()) == (OrdStatus.FILLED, 0, Fate.SURE)


def test_a_fill_after_it_was_resolved_as_canceled_is_booked(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fate_unknown(placed.order_id)
    desk.resolve(placed.order_id, ExecType.CANCELED)
    late = desk.fill(placed.order_id, 4, cum_qty_e8=qty_e8(4))
    assert (late.reject_code, late.ord_status, late.position_qty_e8) == (0, OrdStatus.CANCELED, qty_e8(4))


def test_doubts_and_reconciliations_come_back_from_log_and_snapshot(a_funded_account: Desk) -> None:
    desk = a_funded_account
    one, two = desk.buy(10), desk.buy(10)
    desk.standing(one.order_id, OrdStatus.CANCELED, 4, ASK_E8)
    desk.fate_unknown(two.order_id)
    replica = desk.replica()
    assert state_hash(replica.state) == desk.hash()
    again = private_state(desk.capacity)
    restore(take(desk.state), again)
    assert state_hash(again) == desk.hash()


@given(st.integers(0, 10**15), st.integers(1, 10**16))
def test_the_price_of_what_is_missing_is_the_nearest_there_is(rest_e6: int, qty: int) -> None:
    found = missing_px_e8(rest_e6, qty)
    exact = Fraction(rest_e6 * 10**10, qty)
    if exact < PRICE_E8_MAX - 10**10:
        assert abs(found - exact) <= Fraction(1, 2)
    if found >= 0 and qty <= 100 * 10**8:
        assert notional_e6(qty, found) == rest_e6
