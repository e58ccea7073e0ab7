"""A shard's actors as people see them: exact, in words, and equal from any process."""

from __future__ import annotations

from decimal import Decimal

import pytest

from actors.face import Face
from actors.shard import Lane
from actors.view import StateView
from core import commands
from core.currencies import EUR
from core.records import AccountState, ExecType, Level, OrdStatus
from core.units import cash_e6, price_e8, qty_e8
from tests.actors.desk import BID_E8, ShardDesk, account, deposit, instrument, order


def do(desk: ShardDesk, *raws: bytes) -> None:
    for raw in raws:
        assert desk.push(Lane.ADMIN, raw)
    desk.turn_until_quiet()


@pytest.fixture
def a_story(a_shard: ShardDesk) -> ShardDesk:
    """Account 1 of household 2 under firm 1 has bought 10 and sold 4 of them, orders 5 more, and has euros."""
    do(
        a_shard,
        commands.define_group(request_id=1, name="Firm", level=Level.FIRM, max_gross_e6=cash_e6(2000)),
        commands.define_group(request_id=1, name="Household", level=Level.HOUSEHOLD, parent=1),
        commands.move_account(request_id=1, account=1, household=2),
        deposit(cash_e6(70), currency=EUR),
    )
    a_shard.push(Lane.ORDERS_GATEWAY, order("bought"))
    a_shard.turn_until_quiet()
    fills = iter((("bought", 10, price_e8("100")), ("sold", 4, BID_E8)))
    for n, (name, qty, price) in enumerate(fills, 1):
        if name == "sold":
            a_shard.push(Lane.ORDERS_GATEWAY, order("sold", side=ord("2"), qty_e8=qty_e8(4), price_e8=BID_E8))
            a_shard.turn_until_quiet()
        placed = a_shard.events()[-1]
        a_shard.push(
            Lane.REPORTS_VENUE,
            commands.venue_report(
                venue_seq=n, order_id=placed.order_id, exec_type=ExecType.TRADE, ord_status=OrdStatus.FILLED,
                last_qty_e8=qty_e8(qty), last_px_e8=price,
            ),
        )  # fmt: skip
        a_shard.turn_until_quiet()
    a_shard.push(Lane.ORDERS_GATEWAY, order("open", qty_e8=qty_e8(5)))
    a_shard.turn_until_quiet()
    return a_shard


def test_an_account_shows_its_money_by_currency(a_story: ShardDesk) -> None:
    found = a_story.shard.account(1)
    assert found is not None
    dollars = found.balances["USD"]
    assert (dollars.cash, dollars.reserved) == (Decimal("999399.96"), Decimal(500))
    assert (dollars.settled, dollars.unsettled) == (Decimal(1_000_000), Decimal("-600.04"))
    assert dollars.settled + dollars.unsettled == dollars.cash
    assert (dollars.free, dollars.withdrawable) == (Decimal("998899.96"), Decimal("998500"))
    assert found.balances["EUR"].withdrawable == Decimal(70)
    assert (found.positions, found.open_orders) == ({"ACME": Decimal(6)}, 1)
    do(a_story, commands.settle_day(request_id=1, date=20261124))
    later = a_story.shard.account(1)
    assert later is not None
    assert later.balances["USD"].settled == later.balances["USD"].cash == Decimal("999399.96")
    assert StateView.attach(a_story.run_dir).settle_date == 20261124


def test_an_account_shows_its_levels_and_what_they_leave_it(a_story: ShardDesk) -> None:
    found = a_story.shard.account(1)
    assert found is not None
    assert [(g.level, g.name, g.above) for g in found.groups] == [
        (Level.HOUSEHOLD, "Household", ("Firm",)),
        (Level.FIRM, "Firm", ()),
    ]
    gross = found.groups[1].limits[2]
    assert (gross.used, gross.most, gross.headroom) == (Decimal(1100), Decimal(2000), Decimal(900))
    assert found.headroom == Decimal(900)
    do(a_story, commands.set_group_state(request_id=1, group=1, state=AccountState.HALTED))
    halted = a_story.shard.account(1)
    assert halted is not None
    assert halted.headroom == 0


def test_an_account_without_levels_has_no_headroom_to_speak_of(a_shard: ShardDesk) -> None:
    found = a_shard.shard.account(1)
    assert found is not None
    assert (found.groups, found.headroom) == ((), None)


def test_an_instrument_shows_all_accounts_together(a_story: ShardDesk) -> None:
    do(
        a_story,
        instrument(quote_age_ms_max=10**9, max_exposure_qty_e8=qty_e8(20)),
        commands.set_reference_price(request_id=1, instrument=1, previous_close_e8=price_e8("99")),
    )
    found = a_story.shard.instrument(1)
    assert found is not None
    assert (found.symbol, found.session, found.currency, found.settle_days) == ("ACME", "OPEN", "USD", 1)
    totals = [found.net, found.gross, found.open_buy, found.open_sell]
    assert totals == [Decimal(n) for n in (6, 6, 5, 0)]
    assert [found.exposure.used, found.exposure.headroom] == [Decimal(11), Decimal(9)]
    assert [found.previous_close, found.reference, found.ask] == [Decimal(n) for n in (99, 0, 100)]


def test_what_is_shown_reads_as_sentences(a_story: ShardDesk) -> None:
    assert repr(a_story.shard.account(1)).splitlines() == [
        "account 'TW000001' (1), ACTIVE, in USD, buys with unsettled proceeds too, 1 orders open",
        "  USD 999399.96 cash = 1000000 settled + -600.04 unsettled; 500 reserved, 998899.96 free, 998500 withdrawable",
        "  EUR 70 cash = 70 settled + 0 unsettled; 0 reserved, 70 free, 70 withdrawable",
        "  holds 6 ACME",
        "  household 'Household' (2), ACTIVE, in USD, under Firm",
        "    order notional: 0 used, no limit",
        "    open notional: 500 used, no limit",
        "    gross exposure with open orders: 1100 used, no limit",
        "  firm 'Firm' (1), ACTIVE, in USD",
        "    order notional: 0 used, no limit",
        "    open notional: 500 used, no limit",
        "    gross exposure with open orders: 1100 used of 2000, 900 left",
    ]
    assert repr(a_story.shard.instrument(1)).startswith(
        "instrument 'ACME' (1), OPEN, in USD, settles after 1 days"
    )


def test_another_process_sees_the_same(a_story: ShardDesk) -> None:
    face = Face(StateView.attach(a_story.run_dir))
    assert face.account(1) == a_story.shard.account(1)
    assert face.group(2) == a_story.shard.group(2)
    assert [face.account(0), face.account(2), face.group(3), face.instrument(9)] == [None] * 4


def test_groups_are_found_by_name(a_story: ShardDesk) -> None:
    view = StateView.attach(a_story.run_dir)
    found = view.group_by_name("Household")
    assert found is not None
    assert (found.group, found.parent, found.firm) == (2, 1, 1)
    assert view.group_by_name("nobody") is None
    assert view.groups_above(0) == []
    assert view.balances(9) == []
    do(a_story, account("TW000002"))
    assert [b.cash_e6 for b in view.balances(2)] == [0]
