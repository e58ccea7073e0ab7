"""Busts and corrections: both sides of a trade, or neither."""

from __future__ import annotations

import pytest

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator import trades as trades_module
from fix.simulator.orders import Report
from fix.simulator.trades import NoSuchTrade
from fix.simulator.words import ExecType
from tests.simulator.desk import NOW_NS, reports
from tests.simulator.members import Members


@pytest.fixture
def traded() -> Members:
    """Anna sold 4 of her 10 to Ben, whose order is filled."""
    made = Members()
    made.sell("anna-1", 10, 100)
    made.buy("ben-1", 4, 101)
    return made


def fill_of(members: Members, owner: str) -> Report:
    return [r for r in reports(members.answers) if r.owner == owner and r.exec_type is ExecType.TRADE][-1]


def test_a_bust_gives_an_open_order_its_quantity_back_and_a_filled_one_stays_over(traded: Members) -> None:
    ben = fill_of(traded, "ben")
    theirs, hers = traded.exchange.trades.bust(ben.exec_id, NOW_NS, "mistake")
    assert (theirs.exec_type, theirs.exec_ref_id) == (ExecType.TRADE_CANCEL, ben.exec_id)
    assert (theirs.status, theirs.cum_qty_e8, theirs.leaves_qty_e8) == (OrdStatus.CANCELED, 0, 0)
    assert (hers.status, hers.cum_qty_e8, hers.leaves_qty_e8) == (OrdStatus.NEW, 0, qty_e8(10))
    assert traded.queue(Side.SELL) == [("anna-1", 10)]


def test_a_trade_is_busted_once(traded: Members) -> None:
    ben = fill_of(traded, "ben")
    traded.exchange.trades.bust(ben.exec_id, NOW_NS, "mistake")
    for exec_id in (ben.exec_id, ben.contra_exec_id):
        with pytest.raises(NoSuchTrade, match=exec_id):
            traded.exchange.trades.bust(exec_id, NOW_NS, "again")


def test_a_correction_changes_both_sides_and_can_itself_be_undone(traded: Members) -> None:
    exec_id = fill_of(traded, "anna").exec_id
    hers, theirs = traded.exchange.trades.correct(exec_id, qty_e8(3), price_e8(101), NOW_NS, "price")
    assert {r.avg_px_e8 for r in (hers, theirs)} == {price_e8(101)}
    assert (hers.leaves_qty_e8, theirs.leaves_qty_e8) == (qty_e8(7), 0)
    assert (hers.contra_exec_id, theirs.contra_exec_id) == (theirs.exec_id, hers.exec_id)
    assert theirs.status is OrdStatus.CANCELED
    with pytest.raises(NoSuchTrade):
        traded.exchange.trades.bust(exec_id, NOW_NS, "the first")
    busted = traded.exchange.trades.bust(theirs.exec_id, NOW_NS, "the corrected")
    assert [r.cum_qty_e8 for r in busted] == [0, 0]


def test_a_correction_keeps_every_limit_and_never_adds(traded: Members) -> None:
    exec_id = fill_of(traded, "anna").exec_id
    for qty, price in ((4, 102), (4, 99), (5, 100), (0, 100)):
        with pytest.raises(NoSuchTrade):
            traded.exchange.trades.correct(exec_id, qty_e8(qty), price_e8(price), NOW_NS, "no")
    assert fill_of(traded, "anna").cum_qty_e8 == qty_e8(4)


def test_trades_are_remembered_up_to_a_bound(traded: Members, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trades_module, "TRADES_MAX", 3)
    exec_id = fill_of(traded, "anna").exec_id
    traded.buy("ben-2", 1, 100)
    with pytest.raises(NoSuchTrade, match="too old"):
        traded.exchange.trades.bust(exec_id, NOW_NS, "late")
