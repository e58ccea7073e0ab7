"""Calls, halts and the close: what is collected, and the one price at which it trades."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator.auction import clearing
from fix.simulator.book import Book
from fix.simulator.market import Quotes
from fix.simulator.orders import Order, Report
from fix.simulator.words import ExecType, OrdType, Phase
from fix.tags import OrdRejReason
from tests.simulator.desk import NOW_NS, SHARES, reports, told
from tests.simulator.members import DAY, FOK, GTC, IOC, LISTED, Members, last_of, new_order, trades

BUY, SELL = Side.BUY, Side.SELL
GRID = range(1, 31)
SEARCHED = range(1, 41)  # what lies beyond every limit too


class Collected(Members):
    def to(self, phase: Phase) -> list[Report]:
        return reports(self.keep(self.exchange.set_phase("AAPL", phase, NOW_NS)))


@pytest.fixture
def call() -> Collected:
    """Orders in AAPL are collected; its last price was 100."""
    made = Collected()
    made.sell("zoe-1", 1, 100)
    made.buy("yan-1", 1, 100)
    made.to(Phase.CALL)
    return made


def test_orders_of_a_call_wait_and_then_trade_at_one_price(call: Collected) -> None:
    assert trades(call.buy("anna-1", 10, 105) + call.sell("ben-1", 6, 95)) == []
    answers = call.to(Phase.CONTINUOUS)
    assert trades(list(answers)) == [("anna-1", 6, 100), ("ben-1", 6, 100)]
    assert call.queue(BUY) == [("anna-1", 4)]


def test_in_an_auction_price_and_then_time_decide_who_trades(call: Collected) -> None:
    for name, price in (("anna-1", 100), ("ben-1", 101), ("carl-1", 100)):
        call.buy(name, 10, price)
    call.buy("dora-1", 5)
    call.sell("eve-1", 20, 100)
    answers = call.to(Phase.CONTINUOUS)
    assert [name for name, *_ in trades(list(answers))[::2]] == ["dora-1", "ben-1", "anna-1"]
    assert call.queue(BUY) == [("anna-1", 5), ("carl-1", 10)]


def test_a_market_order_that_the_auction_does_not_fill_is_canceled(call: Collected) -> None:
    call.buy("anna-1", 10)
    call.sell("ben-1", 4, 99)
    answers = call.to(Phase.CONTINUOUS)
    assert last_of(list(answers), "anna-1") == ("CANCELED", OrdStatus.CANCELED)
    assert sum(r.last_qty_e8 for r in answers if r.owner == "anna") == qty_e8(4)


def test_with_market_orders_alone_the_last_price_is_the_price(call: Collected) -> None:
    call.buy("anna-1", 10)
    call.sell("ben-1", 10)
    assert trades(list(call.to(Phase.CONTINUOUS)))[0] == ("anna-1", 10, 100)


def test_without_any_price_nothing_trades() -> None:
    floor = Collected()
    floor.to(Phase.CALL)
    floor.buy("anna-1", 10)
    floor.sell("ben-1", 10)
    assert [r.status for r in floor.to(Phase.CONTINUOUS)] == [OrdStatus.CANCELED] * 2


@pytest.mark.parametrize("tif", [IOC, FOK])
@pytest.mark.parametrize("phase", [Phase.CALL, Phase.HALTED])
def test_an_immediate_order_is_not_collected(call: Collected, tif: object, phase: Phase) -> None:
    call.to(phase)
    (report,) = reports(call.buy("anna-1", 1, 100, tif))  # type: ignore[arg-type]
    assert report.reject_reason == OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC


@pytest.mark.parametrize("phase", [Phase.SUSPENDED, Phase.CLOSED])
def test_while_suspended_or_closed_orders_are_rejected_and_cancels_taken(
    call: Collected, phase: Phase
) -> None:
    call.buy("anna-1", 1, 99, GTC)
    call.to(phase)
    (rejected,) = reports(call.buy("anna-2", 1, 100))
    assert (rejected.exec_type, rejected.reject_reason) == (ExecType.REJECTED, OrdRejReason.EXCHANGE_CLOSED)
    (canceled,) = reports(call.cancel("anna-3", "anna-1"))
    assert canceled.exec_type is ExecType.CANCELED


def test_what_queued_in_a_halt_trades_when_it_ends() -> None:
    floor = Collected()
    floor.sell("anna-1", 10, 100)
    floor.to(Phase.HALTED)
    assert trades(floor.buy("ben-1", 10, 100)) == []
    assert trades(list(floor.to(Phase.CONTINUOUS))) == [("ben-1", 10, 100), ("anna-1", 10, 100)]


def test_the_close_uncrosses_a_call_and_ends_day_orders_but_not_good_till_cancel(call: Collected) -> None:
    call.buy("anna-1", 5, 100)
    call.sell("ben-1", 5, 100)
    call.buy("anna-2", 5, 98)
    call.buy("ben-2", 5, 97, GTC)
    call.buy("ben-3", 5, 150, DAY, stop=140)
    answers = call.to(Phase.CLOSED)
    assert [r.exec_type.name for r in answers] == ["TRADE", "TRADE", "EXPIRED", "EXPIRED"]
    assert call.queue(BUY) == [("ben-2", 5)]
    call.to(Phase.CALL)
    call.sell("carl-1", 5, 97)
    assert trades(list(call.to(Phase.CONTINUOUS)))[0] == ("ben-2", 5, 97)


def test_the_auction_s_price_triggers_stop_orders(call: Collected) -> None:
    call.buy("anna-1", 1, 130, stop=110)
    for name, side, price in (("ben-1", BUY, 110), ("carl-1", SELL, 110), ("carl-2", SELL, 125)):
        call.order(name, side, 1, price)
    assert trades(list(call.to(Phase.CONTINUOUS))) == [
        ("ben-1", 1, 110), ("carl-1", 1, 110), ("anna-1", 1, 125), ("carl-2", 1, 125),
    ]  # fmt: skip


def test_after_a_halt_resting_orders_meet_the_market_outside() -> None:
    floor = Members()
    quotes = Quotes()
    exchange = type(floor.exchange)(SHARES, quotes)
    exchange.set_phase("AAPL", Phase.HALTED, NOW_NS)
    exchange.new_order(new_order("anna-1", BUY, 5, 100, DAY), NOW_NS)
    quotes.on_quote("AAPL", price_e8(98), price_e8(99), qty_e8(10), qty_e8(10), 1)
    assert exchange.moved("AAPL", NOW_NS) == []
    assert told(exchange.set_phase("AAPL", Phase.CONTINUOUS, NOW_NS)) == [("TRADE", "FILLED", 5, 99.0)]


collected = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 30), st.one_of(st.none(), st.sampled_from(GRID))),
    max_size=14,
)


@settings(max_examples=400, deadline=None)
@given(collected, st.sampled_from([0, *GRID]))
def test_no_price_of_all_is_better_than_the_clearing_price(
    orders: list[tuple[Side, int, int | None]], last: int
) -> None:
    book = Book("AAPL")
    book.last_e8 = price_e8(last)
    for arrival, (side, qty, price) in enumerate(orders, 1):
        kind = OrdType.MARKET if price is None else OrdType.LIMIT
        order = Order("anna", str(arrival), "", "AAPL", side, DAY, qty, price_e8(price or 0), kind)
        order.arrival = arrival
        book.put(order)

    def rank(price: int) -> tuple[int, int, float, int]:
        bid = sum(q for s, q, p in orders if s is BUY and (p is None or p >= price))
        offered = sum(q for s, q, p in orders if s is SELL and (p is None or p <= price))
        return min(bid, offered), -abs(bid - offered), -abs(price - reference), price

    limits = [price for _, _, price in orders if price is not None]
    reference = last or (min(limits) + max(limits)) / 2 if last or limits else 0
    found = clearing(book, LISTED["AAPL"].tick_e8)
    best = max(SEARCHED, key=rank)
    if rank(best)[0] == 0 or not (last or limits):
        assert found is None
    else:
        assert found is not None
        assert (found.price_e8, found.volume_e8) == (price_e8(best), rank(best)[0])


@settings(max_examples=200, deadline=None)
@given(collected)
def test_an_uncross_keeps_every_limit_and_leaves_nothing_that_crosses(
    orders: list[tuple[Side, int, int | None]],
) -> None:
    floor = Collected()
    floor.to(Phase.CALL)
    for number, (side, qty, price) in enumerate(orders):
        floor.order(f"m{number}-1", side, qty, price or 0)
    done = trades(list(floor.to(Phase.CONTINUOUS)))
    assert len({price for _, _, price in done}) <= 1
    bids = [o.price_e8 for o in floor.exchange.floor.books["AAPL"].resting(BUY)]
    offers = [o.price_e8 for o in floor.exchange.floor.books["AAPL"].resting(SELL)]
    assert not (bids and offers) or max(bids) < min(offers)
