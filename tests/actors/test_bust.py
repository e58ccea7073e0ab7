"""Trades taken back or said again by the venue, and trades that it tells twice."""

from __future__ import annotations

import pytest

from actors.replay import Replica
from actors.snapshot import restore, take
from core import commands
from core.records import ExecType, OrdStatus, Side
from core.rejects import Reject
from core.units import INT64_MAX, cash_e6, price_e8, qty_e8
from tests.actors.desk import ASK_E8, BID_E8, SEGMENT_BYTES, Desk, deposit

FIELDS = ("cash_e6", "reserved_e6", "position_qty_e8", "position_cost_e6", "realized_e6", "cum_qty_e8")


def test_an_execution_that_is_told_twice_is_booked_once(a_funded_account: Desk) -> None:
    """The same ExecID under another MsgSeqNum."""
    desk = a_funded_account
    placed = desk.buy(10)
    first = desk.fill(placed.order_id, 4, exec_id="E1")
    again = desk.fill(placed.order_id, 4, exec_id="E1")
    assert (again.reject_code, again.last_qty_e8) == (Reject.EXECUTION_REPEATED, 0)
    assert [getattr(again, name) for name in FIELDS] == [getattr(first, name) for name in FIELDS]
    assert desk.fill(placed.order_id, 4, exec_id="E2").cum_qty_e8 == qty_e8(8)


def test_an_exec_id_is_its_orders_own(a_funded_account: Desk) -> None:
    """FIX 4.4 wants it unique for a day; a venue that counts per order is understood all the same."""
    desk = a_funded_account
    for placed in (desk.buy(10), desk.buy(10)):
        assert desk.fill(placed.order_id, 4, exec_id="E1").reject_code == 0


def test_only_the_newest_executions_are_known(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(100)
    for n in range(desk.capacity.executions + 1):
        assert desk.fill(placed.order_id, 1, exec_id=f"E{n}").reject_code == 0
    assert desk.fill(placed.order_id, 1, exec_id="E1").reject_code == Reject.EXECUTION_REPEATED
    assert desk.bust(placed.order_id, "E0").reject_code == Reject.EXECUTION_UNKNOWN


def test_after_a_bust_all_is_as_if_the_fill_had_not_been(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    before = desk.fill(placed.order_id, 2, exec_id="E1")
    undone = desk.fill(placed.order_id, 3, BID_E8, exec_id="E2")
    busted = desk.bust(placed.order_id, "E2", OrdStatus.PARTIALLY_FILLED)
    assert (busted.exec_type, busted.reject_code) == (ExecType.TRADE_CANCEL, 0)
    assert (busted.last_qty_e8, busted.last_px_e8, busted.ref_seq) == (qty_e8(3), BID_E8, undone.seq)
    assert [getattr(busted, name) for name in FIELDS] == [getattr(before, name) for name in FIELDS]
    assert busted.ord_status == OrdStatus.PARTIALLY_FILLED
    assert desk.bust(placed.order_id, "E1").ord_status == OrdStatus.NEW
    assert desk.reserved() == cash_e6(1000)


def test_a_busted_sale_gives_back_the_cost_that_it_took(a_funded_account: Desk) -> None:
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    before = desk.fill(desk.buy(10, price_e8=price_e8(102)).order_id, 10, price_e8(102))
    sale = desk.sell(5)
    sold = desk.fill(sale.order_id, 5, price_e8(110), exec_id="S1")
    assert (sold.position_cost_e6, sold.realized_e6) == (cash_e6(1515), cash_e6(45))
    busted = desk.bust(sale.order_id, "S1")
    for name in ("cash_e6", "position_qty_e8", "position_cost_e6", "realized_e6"):
        assert getattr(busted, name) == getattr(before, name)


def test_a_bust_after_a_sale_moves_to_realised_what_can_be_no_cost(a_funded_account: Desk) -> None:
    """10 at 90 and 10 at 100, ten of them sold at 110, then the ten at 100 were none: what is left is a gain of 200."""
    desk = a_funded_account
    cheap, dear = desk.buy(10), desk.buy(10)
    desk.fill(cheap.order_id, 10, price_e8(90))
    desk.fill(dear.order_id, 10, price_e8(100), exec_id="E1")
    desk.fill(desk.sell(10).order_id, 10, price_e8(110))
    busted = desk.bust(dear.order_id, "E1")
    assert (busted.position_qty_e8, busted.position_cost_e6, busted.realized_e6) == (0, 0, cash_e6(200))
    assert busted.cash_e6 == cash_e6(1_000_200) == busted.cash_e6


@pytest.mark.parametrize(
    ("told", "after"),
    [
        (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED),
        (OrdStatus.PARTIALLY_FILLED, OrdStatus.PARTIALLY_FILLED),
        (OrdStatus.PENDING_REPLACE, OrdStatus.PARTIALLY_FILLED),
        (OrdStatus.CANCELED, OrdStatus.CANCELED),
        (OrdStatus.EXPIRED, OrdStatus.EXPIRED),
        (OrdStatus.FILLED, OrdStatus.FILLED),
        (OrdStatus.REJECTED, OrdStatus.CANCELED),
        (255, OrdStatus.CANCELED),
    ],
)
def test_a_filled_order_is_open_again_when_the_venue_says_so(
    a_funded_account: Desk, told: int, after: OrdStatus
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 6)
    desk.fill(placed.order_id, 4, exec_id="E2")
    event = desk.bust(placed.order_id, "E2", told)
    is_open = after is OrdStatus.PARTIALLY_FILLED
    assert (event.ord_status, event.cum_qty_e8) == (after, qty_e8(6))
    assert (event.reserved_e6, desk.state.accounts[0]["open_orders"]) == (cash_e6(400) * is_open, is_open)
    row = desk.state.orders[0]
    ended_now = after in (OrdStatus.CANCELED, OrdStatus.EXPIRED)
    assert (row["ended_ns"] == 0, row["ended_ns"] == event.time_ns) == (is_open, ended_now)


def test_a_bust_opens_no_order_that_was_canceled(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 6, exec_id="E1")
    desk.report(placed.order_id, ExecType.CANCELED)
    event = desk.bust(placed.order_id, "E1", OrdStatus.NEW)
    assert (event.ord_status, event.cum_qty_e8, event.reserved_e6) == (OrdStatus.CANCELED, 0, 0)
    assert event.cash_e6 == cash_e6(1_000_000)


@pytest.mark.parametrize("kind", [ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT])
def test_an_execution_that_is_not_known_or_undone_changes_nothing(
    a_funded_account: Desk, kind: ExecType
) -> None:
    desk = a_funded_account
    placed, other = desk.buy(10), desk.buy(10)
    desk.fill(placed.order_id, 4, exec_id="E1")
    before = desk.fill(other.order_id, 1, exec_id="E2")
    for order_id, ref in ((placed.order_id, "E9"), (placed.order_id, ""), (placed.order_id, "E2")):
        event = desk.report(order_id, kind, qty_e8(1), ASK_E8, exec_ref_id=ref)
        assert (event.exec_type, event.reject_code) == (kind, Reject.EXECUTION_UNKNOWN)
        assert event.cash_e6 == before.cash_e6
    assert desk.bust(placed.order_id, "E1").reject_code == 0
    again = desk.report(placed.order_id, kind, qty_e8(1), ASK_E8, exec_ref_id="E1")
    assert again.reject_code == Reject.EXECUTION_UNKNOWN
    assert desk.fill(placed.order_id, 4, exec_id="E1").reject_code == Reject.EXECUTION_REPEATED


def test_a_correction_is_the_trade_that_it_says(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 10, exec_id="E1")
    event = desk.correct(
        placed.order_id, "E1", 8, price_e8(99), exec_id="E2", ord_status=OrdStatus.PARTIALLY_FILLED
    )
    assert (event.exec_type, event.last_qty_e8, event.last_px_e8) == (
        ExecType.TRADE_CORRECT, qty_e8(8), price_e8(99),
    )  # fmt: skip
    assert (event.cash_e6, event.position_cost_e6) == (cash_e6(1_000_000 - 792), cash_e6(792))
    assert (event.ord_status, event.cum_qty_e8, event.reserved_e6) == (
        OrdStatus.PARTIALLY_FILLED, qty_e8(8), cash_e6(200),
    )  # fmt: skip
    repeated = desk.correct(placed.order_id, "E2", 8, price_e8(99), exec_id="E2")
    assert repeated.reject_code == Reject.EXECUTION_REPEATED
    busted = desk.bust(placed.order_id, "E2")
    assert (busted.cash_e6, busted.position_qty_e8, busted.ord_status) == (
        cash_e6(1_000_000), 0, OrdStatus.NEW,
    )  # fmt: skip


def test_a_correction_that_can_not_be_leaves_the_trade(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    before = desk.fill(placed.order_id, 4, exec_id="E1")
    for qty, px, code in (
        (0, 1, Reject.REPORT_UNEXPECTED),
        (10**10, price_e8(10**10), Reject.AMOUNT_OVERFLOW),
    ):
        event = desk.correct(placed.order_id, "E1", qty, px)
        assert event.reject_code == code
        assert [getattr(event, name) for name in FIELDS] == [getattr(before, name) for name in FIELDS]


def test_a_bust_takes_back_what_has_not_settled_and_after_that_what_has(a_funded_account: Desk) -> None:
    """The sale settles in some days: until then its proceeds are receivable, and a bust leaves nothing of them."""
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    for number, days_ended in enumerate((0, 1, 5)):
        sale = desk.sell(5)
        row = desk.state.accounts[0]
        buckets = ("receive_1_e6", "receive_2_e6", "receive_3_e6", "pay_1_e6", "pay_2_e6", "pay_3_e6")
        before = int(row["cash_e6"])
        desk.fill(sale.order_id, 5, exec_id="S")
        for day in range(days_ended):
            assert (
                desk.do(commands.settle_day(request_id=1, date=20261201 + 10 * number + day)).reject_code == 0
            )
        desk.bust(sale.order_id, "S", OrdStatus.CANCELED)
        assert row["cash_e6"] == before
        assert sum(int(row[name]) for name in buckets[:3]) == 0
        assert min(int(row[name]) for name in buckets) >= 0


def test_a_bust_whose_sums_do_not_fit_is_rejected_and_not_wrapped(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    filled = desk.fill(placed.order_id, 4, exec_id="E1")
    desk.do(deposit(INT64_MAX - filled.cash_e6))
    event = desk.bust(placed.order_id, "E1")
    assert (event.reject_code, event.cash_e6) == (Reject.AMOUNT_OVERFLOW, INT64_MAX)


def test_a_restored_state_knows_its_executions(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(100)
    for n in range(desk.capacity.executions + 9):
        desk.fill(placed.order_id, 1, exec_id=f"E{n}")
    replica = Replica(desk.capacity, SEGMENT_BYTES)
    restore(take(desk.state), replica.state)
    desk.state = replica.state
    assert desk.fill(placed.order_id, 1, exec_id="E9").reject_code == Reject.EXECUTION_REPEATED
    assert desk.fill(placed.order_id, 1, exec_id="E8").reject_code == 0
    assert desk.bust(placed.order_id, "E20").reject_code == 0


def test_a_short_position_is_busted_like_a_long_one(a_funded_account: Desk) -> None:
    """A venue's overfill of a sale, taken back."""
    desk = a_funded_account
    desk.fill(desk.buy(10).order_id, 10)
    sale = desk.sell(10)
    before = desk.fill(sale.order_id, 10, BID_E8)
    desk.fill(sale.order_id, 3, BID_E8, exec_id="O")
    busted = desk.bust(sale.order_id, "O", OrdStatus.FILLED)
    for name in FIELDS:
        assert getattr(busted, name) == getattr(before, name)
    assert (busted.ord_status, busted.side) == (OrdStatus.FILLED, Side.SELL)
