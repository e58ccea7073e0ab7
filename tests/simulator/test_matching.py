"""Members against each other: price, time, and what each kind of order does with them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator import floor as floor_module
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.orders import CancelReject, MassCancelReport, Report
from fix.simulator.words import ExecType
from fix.tags import CxlRejReason, OrdRejReason
from tests.simulator.desk import reports
from tests.simulator.members import (
    DAY,
    FOK,
    GTC,
    IOC,
    LISTED,
    Members,
    NaiveExchange,
    last_of,
    reject_of,
    trades,
)

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def members() -> Members:
    """Nobody has sent anything."""
    return Members()


def test_the_better_price_trades_first_and_then_the_earlier_order(members: Members) -> None:
    members.sell("anna-1", 10, 101)
    members.sell("ben-1", 10, 100)
    members.sell("anna-2", 10, 100)
    assert trades(members.buy("carl-1", 25, 101)) == [
        ("carl-1", 10, 100), ("ben-1", 10, 100),
        ("carl-1", 10, 100), ("anna-2", 10, 100),
        ("carl-1", 5, 101), ("anna-1", 5, 101),
    ]  # fmt: skip


def test_each_side_of_a_trade_names_the_other(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    mine, theirs = reports(members.buy("ben-1", 10, 100))[1:]
    assert (mine.contra_exec_id, theirs.contra_exec_id) == (theirs.exec_id, mine.exec_id)
    assert (mine.owner, theirs.owner) == ("ben", "anna")


def test_a_member_does_not_trade_with_itself(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.sell("ben-1", 10, 101)
    assert trades(members.buy("anna-2", 15, 101)) == [("anna-2", 10, 101), ("ben-1", 10, 101)]
    assert members.queue(BUY) == [("anna-2", 5)]
    assert members.queue(SELL) == [("anna-1", 10)]


def test_a_market_order_takes_what_there_is_and_never_rests(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.sell("anna-2", 10, 200)
    answers = members.buy("ben-1", 30)
    assert trades(answers)[::2] == [("ben-1", 10, 100), ("ben-1", 10, 200)]
    assert last_of(answers, "ben-1") == ("CANCELED", OrdStatus.CANCELED)


def test_fill_or_kill_is_all_or_nothing(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.sell("ben-1", 10, 100)
    assert trades(members.buy("carl-1", 21, 100, FOK)) == []
    assert trades(members.buy("anna-2", 11, 100, FOK)) == []  # ten of them are its own
    assert len(trades(members.buy("carl-2", 20, 100, FOK))) == 4


def test_a_stop_order_waits_for_its_price_and_then_trades_at_the_market(members: Members) -> None:
    members.sell("anna-1", 5, 105)
    members.buy("ben-1", 5, stop=103)
    members.sell("anna-2", 1, 102)
    assert last_of(members.buy("carl-1", 1, 102), "carl-1")[1] is OrdStatus.FILLED  # 102 is not 103
    members.sell("anna-3", 1, 103)
    answers = members.buy("carl-2", 1, 103)
    assert [(r.cl_ord_id, r.exec_type.name) for r in reports(answers)][3:] == [
        ("ben-1", "RESTATED"), ("ben-1", "TRADE"), ("anna-1", "TRADE"),
    ]  # fmt: skip
    assert trades(answers)[2:] == [("ben-1", 5, 105), ("anna-1", 5, 105)]


def test_one_stop_order_s_trade_triggers_the_next(members: Members) -> None:
    members.sell("anna-1", 1, 101)
    members.sell("anna-2", 1, 104)
    members.sell("anna-3", 1, 107)
    members.buy("ben-2", 1, stop=104)
    members.buy("ben-1", 1, stop=101)
    answers = members.buy("carl-1", 1, 101)
    assert [name for name, *_ in trades(answers)[::2]] == ["carl-1", "ben-1", "ben-2"]


def test_a_stop_limit_order_rests_at_its_limit_once_triggered(members: Members) -> None:
    members.buy("ben-1", 5, 102, stop=101)
    members.sell("anna-1", 1, 101)
    members.buy("carl-1", 1, 101)
    assert members.queue(BUY) == [("ben-1", 5)]


def test_a_replace_that_only_shrinks_an_order_keeps_its_place(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.sell("ben-1", 10, 100)
    (report,) = reports(members.replace("anna-2", "anna-1", SELL, 6, 100))
    assert (report.exec_type, report.status, report.orig_cl_ord_id) == (
        ExecType.REPLACED, OrdStatus.NEW, "anna-1",
    )  # fmt: skip
    assert members.queue(SELL) == [("anna-2", 6), ("ben-1", 10)]


@pytest.mark.parametrize(("qty", "price"), [(11, 100), (10, 101), (10, 99)])
def test_a_replace_to_more_or_to_another_price_queues_anew(members: Members, qty: int, price: int) -> None:
    members.sell("anna-1", 10, 100)
    members.sell("ben-1", 10, price)
    members.replace("anna-2", "anna-1", SELL, qty, price)
    assert members.queue(SELL) == [("ben-1", 10), ("anna-2", qty)]


def test_a_replace_to_a_price_that_crosses_trades(members: Members) -> None:
    members.buy("anna-1", 10, 100)
    members.sell("ben-1", 10, 105)
    assert trades(members.replace("ben-2", "ben-1", SELL, 10, 99)) == [
        ("ben-2", 10, 100), ("anna-1", 10, 100),
    ]  # fmt: skip


def test_a_replace_counts_what_has_traded(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.buy("ben-1", 4, 100)
    assert reject_of(members.replace("anna-2", "anna-1", SELL, 4, 100)).reason == CxlRejReason.OTHER
    (report,) = reports(members.replace("anna-3", "anna-1", SELL, 9, 100))
    assert (report.status, report.leaves_qty_e8 // 10**8) == (OrdStatus.PARTIALLY_FILLED, 5)


@pytest.mark.parametrize(
    ("side", "stop", "text"),
    [(BUY, 0, "Side"), (SELL, 90, "OrdType")],
)
def test_a_replace_can_not_make_another_order_of_it(
    members: Members, side: Side, stop: int, text: str
) -> None:
    members.sell("anna-1", 10, 100)
    reject = reject_of(members.replace("anna-2", "anna-1", side, 10, 100, stop=stop))
    assert reject.is_replace
    assert text in reject.text
    assert members.queue(SELL) == [("anna-1", 10)]


def test_a_replace_of_what_is_not_open_says_why(members: Members) -> None:
    members.sell("anna-1", 10, 100, IOC)
    late = reject_of(members.replace("anna-2", "anna-1", SELL, 20, 100))
    unknown = reject_of(members.replace("anna-3", "nothing", SELL, 20, 100))
    other_s = reject_of(members.cancel("ben-1", "anna-1"))
    assert [r.reason for r in (late, unknown, other_s)] == [
        CxlRejReason.TOO_LATE_TO_CANCEL, CxlRejReason.UNKNOWN_ORDER, CxlRejReason.UNKNOWN_ORDER,
    ]  # fmt: skip


def test_a_mass_cancel_ends_one_member_s_orders_and_no_other_s(members: Members) -> None:
    members.sell("anna-1", 10, 100)
    members.buy("anna-2", 10, stop=120, tif=GTC)
    members.sell("anna-3", 10, 100, symbol="XOM")
    members.sell("ben-1", 10, 100)
    first, *ended = members.mass_cancel("anna-4", "AAPL")
    assert isinstance(first, MassCancelReport)
    assert (first.affected, first.reason) == (2, -1)
    assert {(r.cl_ord_id, r.orig_cl_ord_id) for r in reports(ended)} == {
        ("anna-4", "anna-1"), ("anna-4", "anna-2"),
    }  # fmt: skip
    assert members.queue(SELL) == [("ben-1", 10)]
    assert [o.cl_ord_id for o in members.exchange.open_orders("anna")] == ["anna-3"]
    assert len(members.mass_cancel("anna-5")) == 2


def test_a_mass_cancel_in_an_unknown_instrument_is_rejected(members: Members) -> None:
    (answer,) = members.mass_cancel("anna-1", "NONE")
    assert isinstance(answer, MassCancelReport)
    assert (answer.affected, answer.reason) == (0, 1)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"price": 100, "stop": 99, "tif": IOC}, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC),
        ({"price": 0, "qty": 0}, OrdRejReason.INCORRECT_QUANTITY),
        ({"price": -1, "stop": 99}, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC),
    ],
)
def test_an_order_that_makes_no_sense_is_rejected(
    members: Members, more: dict[str, Any], reason: OrdRejReason
) -> None:
    (report,) = reports(members.buy("anna-1", **{"qty": 1, **more}))
    assert (report.exec_type, report.reject_reason) == (ExecType.REJECTED, reason)


def test_an_order_that_meets_too_many_at_once_is_cut_off(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor_module, "DEALS_MAX", 3)
    for number in range(5):
        members.sell(f"anna-{number}", 1, 100)
    answers = members.buy("ben-1", 5, 100)
    assert len(trades(answers)) == 6
    assert last_of(answers, "ben-1") == ("CANCELED", OrdStatus.CANCELED)
    assert len(members.queue(SELL)) == 2


class Floor(Members):
    """Members with a market outside: 99 to 101, twenty each."""

    def __init__(self) -> None:
        super().__init__()
        quotes = Quotes()
        self.exchange = Exchange(LISTED, quotes)
        quotes.on_quote("AAPL", price_e8(99), price_e8(101), qty_e8(20), qty_e8(20), 1)


def test_a_member_s_better_price_goes_before_a_quote_and_a_quote_before_the_same_price() -> None:
    floor = Floor()
    floor.sell("anna-1", 5, 100)
    floor.sell("anna-2", 5, 101)
    mine = [(qty, price) for name, qty, price in trades(floor.buy("ben-1", 28, 101)) if name == "ben-1"]
    assert mine == [(5, 100), (20, 101), (3, 101)]
    assert floor.queue(SELL) == [("anna-2", 2)]


def test_fill_or_kill_counts_members_and_the_market_outside() -> None:
    floor = Floor()
    floor.sell("anna-1", 5, 101)
    assert trades(floor.buy("ben-1", 26, 101, FOK)) == []
    assert sum(qty for name, qty, _ in trades(floor.buy("ben-2", 25, 101, FOK)) if name == "ben-2") == 25


steps = st.one_of(
    st.tuples(
        st.just("new"),
        st.sampled_from(["anna", "ben", "carl"]),
        st.sampled_from(Side),
        st.integers(1, 30),
        st.one_of(st.just(0), st.integers(95, 105)),
        st.sampled_from([DAY, DAY, DAY, GTC, IOC, FOK]),
        st.one_of(st.just(0), st.just(0), st.just(0), st.integers(95, 105)),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("replace"), st.integers(0, 40), st.integers(1, 40), st.integers(95, 105)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60))
def test_any_history_trades_as_the_plainest_exchange_does(history: list[tuple[Any, ...]]) -> None:
    members, naive = Members(), NaiveExchange()
    names: list[tuple[str, Side, int]] = []
    for number, (what, *values) in enumerate(history):
        if what == "new":
            owner, side, qty, price, tif, stop = values
            tif = DAY if stop and tif in (IOC, FOK) else tif
            names.append((f"{owner}-{number}", side, stop))
            answers = members.order(names[-1][0], side, qty, price, tif, stop=stop)
            naive.new(names[-1][0], side, qty, price, tif, stop)
            _is_as_asked(names[-1][0], qty, tif, answers)
        elif values[0] < len(names):
            orig, side, stop = names[values[0]]
            name = f"{orig.partition('-')[0]}-{number}"
            if what == "cancel":
                members.cancel(name, orig)
                naive.cancel(orig)
            elif orig in dict(members.queue(side)):
                answers = members.replace(name, orig, side, values[1], values[2], stop=stop)
                was_replaced = naive.replace(name, orig, *values[1:])
                assert was_replaced != isinstance(answers[0], CancelReject)
                if was_replaced:
                    names[values[0]] = (name, side, stop)
        for side in Side:
            assert members.queue(side) == naive.queue(side)
    told = trades(members.answers)
    assert [told[i] for i in range(0, len(told), 2)] == [(t.incoming, t.qty, t.price) for t in naive.trades]
    assert [told[i] for i in range(1, len(told), 2)] == [(t.standing, t.qty, t.price) for t in naive.trades]
    bought, sold = (_traded(members, side) for side in Side)
    assert bought == sold


def _is_as_asked(name: str, qty: int, tif: Any, answers: list[Any]) -> None:
    got = sum(quantity for who, quantity, _ in trades(answers) if who == name)
    mine = [r for r in reports(answers) if r.cl_ord_id == name]
    if tif is FOK:
        assert got in (0, qty)
    if tif in (IOC, FOK):
        assert mine[-1].status in (OrdStatus.FILLED, OrdStatus.CANCELED)


def _traded(members: Members, side: Side) -> Counter[int]:
    total: Counter[int] = Counter()
    for report in members.answers:
        if isinstance(report, Report) and report.side is side and report.last_qty_e8:
            total[report.last_px_e8] += report.last_qty_e8
    return total
