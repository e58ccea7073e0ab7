from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator import registry as registry_module
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.orders import Answer, CancelReject, CancelRequest, NewOrder
from fix.tags import CxlRejReason, OrdRejReason
from tests.simulator.desk import DAY, IOC, NOW_NS, SHARES, Auditor, buy, cancel, order, reports, sell, told


class Desk:
    """The exchange with its quotes, both audited."""

    def __init__(self) -> None:
        self.quotes = Quotes()
        self.exchange = Exchange(SHARES, self.quotes)
        self.auditor = Auditor()
        self.index = 0

    def quote(self, bid: str, ask: str, bid_size: int = 100, ask_size: int = 100) -> list[Answer]:
        self.index += 1
        sizes = qty_e8(bid_size), qty_e8(ask_size)
        self.quotes.on_quote("AAPL", price_e8(bid), price_e8(ask), *sizes, self.index)
        return self._audited(self.exchange.moved("AAPL", NOW_NS))

    def print(self, price: str, size: int) -> list[Answer]:
        self.index += 1
        trade = self.quotes.trade("AAPL", price_e8(price), qty_e8(size), self.index)
        return self._audited(self.exchange.printed(trade, NOW_NS) if trade else [])

    def send(self, request: object) -> list[Answer]:
        if isinstance(request, NewOrder):
            return self._audited(self.exchange.new_order(request, NOW_NS))
        assert isinstance(request, CancelRequest)
        return self._audited(self.exchange.cancel(request, NOW_NS))

    def _audited(self, answers: list[Answer]) -> list[Answer]:
        self.auditor.read(answers)
        return answers


@pytest.fixture
def desk() -> Desk:
    """The market is 100.00 to 100.02, a hundred shares each."""
    made = Desk()
    made.quote("100.00", "100.02")
    return made


def test_a_marketable_order_fills_at_the_displayed_price(desk: Desk) -> None:
    assert told(desk.send(buy(40, "101"))) == [("NEW", "NEW", 0, 0.0), ("TRADE", "FILLED", 40, 100.02)]
    assert told(desk.send(sell(40, "99"))) == [("NEW", "NEW", 0, 0.0), ("TRADE", "FILLED", 40, 100.0)]


def test_what_is_displayed_is_given_once(desk: Desk) -> None:
    desk.send(buy(70, "100.02"))
    assert told(desk.send(buy(70, "100.02"))) == [
        ("NEW", "NEW", 0, 0.0),
        ("TRADE", "PARTIALLY_FILLED", 30, 100.02),
    ]
    assert told(desk.send(buy(10, "100.02")))[1:] == []


def test_a_quote_that_only_comes_again_gives_nothing_more(desk: Desk) -> None:
    desk.send(buy(150, "100.02"))
    desk.index -= 1
    assert desk.quote("100.00", "100.02") == []
    assert told(desk.quote("100.00", "100.02")) == [("TRADE", "FILLED", 50, 100.02)]


def test_the_rest_of_an_immediate_order_is_canceled(desk: Desk) -> None:
    assert told(desk.send(buy(150, "100.02", IOC))) == [
        ("NEW", "NEW", 0, 0.0),
        ("TRADE", "PARTIALLY_FILLED", 100, 100.02),
        ("CANCELED", "CANCELED", 0, 0.0),
    ]
    assert told(desk.send(sell(10, "100.01", IOC)))[1:] == [("CANCELED", "CANCELED", 0, 0.0)]


def test_before_the_first_quote_a_day_order_rests_and_an_immediate_one_ends() -> None:
    desk = Desk()
    assert told(desk.send(buy(10, "100.05"))) == [("NEW", "NEW", 0, 0.0)]
    assert told(desk.send(buy(10, "100.05", IOC)))[1:] == [("CANCELED", "CANCELED", 0, 0.0)]
    assert told(desk.quote("100.00", "100.02")) == [("TRADE", "FILLED", 10, 100.02)]


def test_a_resting_order_fills_when_the_market_comes_to_it(desk: Desk) -> None:
    desk.send(buy(10, "99.90"))
    assert desk.quote("99.95", "99.97") == []
    assert told(desk.quote("99.88", "99.90", ask_size=4)) == [("TRADE", "PARTIALLY_FILLED", 4, 99.90)]
    assert told(desk.quote("99.85", "99.87")) == [("TRADE", "FILLED", 6, 99.87)]


def test_resting_orders_fill_by_price_and_then_by_time(desk: Desk) -> None:
    for cl, price in (("late-better", "99.95"), ("first", "99.90"), ("second", "99.90")):
        desk.send(buy(10, price, cl=cl))
    filled = reports(desk.quote("99.80", "99.90", ask_size=25))
    assert [(r.cl_ord_id, r.last_qty_e8 // 10**8) for r in filled] == [
        ("late-better", 10),
        ("first", 10),
        ("second", 5),
    ]


def test_a_trade_through_the_limit_fills_a_resting_order_at_its_limit(desk: Desk) -> None:
    desk.send(buy(10, "100.01"))
    assert told(desk.print("100.00", 6)) == [("TRADE", "PARTIALLY_FILLED", 6, 100.01)]
    assert desk.print("100.02", 50) == []  # a buyer's trade is nothing for a buyer


def test_a_trade_at_the_limit_leaves_a_resting_order_for_those_before_it(desk: Desk) -> None:
    desk.send(buy(10, "100.00"))
    assert desk.print("100.00", 50) == []


def test_a_cancel_ends_an_order_once(desk: Desk) -> None:
    desk.send(buy(10, "99.00", cl="A"))
    (done,) = reports(desk.send(cancel("C1", "A")))
    assert (done.cl_ord_id, done.orig_cl_ord_id, done.status) == ("C1", "A", OrdStatus.CANCELED)
    (late,) = desk.send(cancel("C2", "A"))
    assert isinstance(late, CancelReject)
    assert (late.reason, late.status) == (CxlRejReason.TOO_LATE_TO_CANCEL, OrdStatus.CANCELED)
    assert desk.quote("98.00", "98.02") == []


def test_a_cancel_of_what_is_not_known_says_so(desk: Desk) -> None:
    (answer,) = desk.send(cancel("C1", "nothing"))
    assert isinstance(answer, CancelReject)
    assert (answer.order_id, answer.reason, answer.status) == (
        "NONE",
        CxlRejReason.UNKNOWN_ORDER,
        OrdStatus.REJECTED,
    )
    assert "nothing" in answer.text


@pytest.mark.parametrize(
    ("request_", "reason", "text"),
    [
        (buy(10, "100", symbol="NONE"), OrdRejReason.UNKNOWN_SYMBOL, "NONE is not traded"),
        (buy(10, "100.005"), OrdRejReason.OTHER, "100.005 is not a positive multiple of 0.01"),
        (buy(10, "0"), OrdRejReason.OTHER, "Price 0"),
        (buy(0, "100"), OrdRejReason.INCORRECT_QUANTITY, "OrderQty 0"),
    ],
)
def test_an_order_that_can_not_be_taken_is_rejected_with_the_reason(
    desk: Desk, request_: object, reason: OrdRejReason, text: str
) -> None:
    (answer,) = reports(desk.send(request_))
    assert (answer.status, answer.reject_reason) == (OrdStatus.REJECTED, reason)
    assert text in answer.text


def test_a_second_order_with_the_same_id_is_rejected_and_the_first_lives(desk: Desk) -> None:
    desk.send(buy(10, "99.00", cl="A"))
    (answer,) = reports(desk.send(buy(20, "99.00", cl="A")))
    assert answer.reject_reason == OrdRejReason.DUPLICATE_ORDER
    (open_order,) = desk.exchange.open_orders("TRADEWIND")
    assert (open_order.cl_ord_id, open_order.qty_e8) == ("A", qty_e8(10))


def test_when_there_is_no_room_an_order_is_rejected_and_a_cancel_makes_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "OPEN_ORDERS_MAX", 2)
    for cl in ("A", "B"):
        desk.send(buy(10, "99.00", cl=cl))
    (answer,) = reports(desk.send(buy(10, "99.00")))
    assert (answer.reject_reason, answer.text) == (
        OrdRejReason.ORDER_EXCEEDS_LIMIT,
        "2 orders are open here; cancel some",
    )
    desk.send(cancel("C", "A"))
    assert told(desk.send(buy(10, "99.00"))) == [("NEW", "NEW", 0, 0.0)]


def test_known_ids_are_bounded_and_those_of_open_orders_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "KNOWN_IDS_MAX", 10)
    desk = Desk()
    desk.send(buy(10, "99.00", cl="open"))
    for n in range(100):
        desk.send(buy(10, "0", cl=f"rejected-{n}"))
    assert desk.exchange.is_known("TRADEWIND", "open")
    assert desk.exchange.is_known("TRADEWIND", "rejected-99")
    assert not desk.exchange.is_known("TRADEWIND", "rejected-0")


steps = st.one_of(
    st.tuples(
        st.just("quote"), st.integers(1, 20), st.integers(1, 4), st.integers(0, 30), st.integers(0, 30)
    ),
    st.tuples(st.just("print"), st.integers(1, 24), st.integers(1, 30)),
    st.tuples(
        st.just("order"),
        st.sampled_from(Side),
        st.integers(0, 40),
        st.integers(0, 24),
        st.sampled_from([DAY, IOC]),
    ),
    st.tuples(st.just("cancel"), st.integers(1, 30)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=60))
def test_no_history_gives_more_than_was_shown_or_a_price_over_the_limit(history: list[tuple]) -> None:  # type: ignore[type-arg]
    desk = Desk()
    sent = 0
    shown = {Side.BUY: 0, Side.SELL: 0}  # left of the present quote, for each side of ours
    for what, *values in history:
        answers: list[Answer]
        if what == "quote":
            bid, spread, bid_size, ask_size = values
            shown = {Side.BUY: qty_e8(ask_size), Side.SELL: qty_e8(bid_size)}
            answers = desk.quote(f"{bid}.00", f"{bid + spread}.00", bid_size, ask_size)
        elif what == "print":
            answers = desk.print(f"{values[0]}.00", values[1])
            assert sum(r.last_qty_e8 for r in reports(answers)) <= qty_e8(values[1])
            continue
        elif what == "order":
            sent += 1
            side, qty, price, tif = values
            answers = desk.send(order(side, qty, f"{price}.00", tif, cl=str(sent)))
        else:
            answers = desk.send(
                cancel(f"C{len(desk.auditor.exec_ids)}-{desk.index}-{values[0]}", str(values[0]))
            )
        for report in reports(answers):
            shown[report.side] -= report.last_qty_e8
        assert min(shown.values()) >= 0
    for open_order in desk.exchange.open_orders("TRADEWIND"):
        assert desk.auditor.cum[open_order.order_id] == open_order.cum_qty_e8
        assert open_order.leaves_qty_e8 > 0
