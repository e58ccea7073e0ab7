"""A seeded flow: who else is there when nothing is replayed."""

from __future__ import annotations

from core.records import Side
from core.units import price_e8, qty_e8
from fix.simulator.exchange import Exchange
from fix.simulator.flow import FLOW, ORDERS_MAX, Flow, ask
from fix.simulator.market import NoMarket
from fix.simulator.orders import Answer, Instrument
from tests.simulator.desk import NOW_NS, Auditor, reports
from tests.simulator.members import DAY, IOC, new_order, trades

LISTED = {"AAPL": Instrument(price_e8("0.01"), qty_e8(1))}
AT = price_e8("100.005")


def run(exchange: Exchange, flow: Flow, steps: int) -> list[Answer]:
    answers: list[Answer] = []
    for _ in range(steps):
        for request in flow.step("AAPL", AT):
            answers += ask(exchange, request, NOW_NS)
    return answers


def test_the_same_seed_gives_the_same_flow_and_another_another() -> None:
    told = [run(Exchange(LISTED, NoMarket()), Flow(LISTED, seed, 7), 500) for seed in (1, 1, 2)]
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_a_flow_makes_a_market_of_levels_and_does_not_trade_with_itself() -> None:
    exchange = Exchange(LISTED, NoMarket())
    answers = run(exchange, Flow(LISTED, 1, 7), 2_000)
    Auditor().read(answers)
    book = exchange.floor.books["AAPL"]
    for side in Side:
        assert len({order.price_e8 for order in book.resting(side)}) > 3
    assert len(exchange.open_orders(FLOW)) <= ORDERS_MAX
    assert not trades(answers)
    assert {r.exec_type.name for r in reports(answers)} >= {"NEW", "CANCELED", "REPLACED"}


def test_a_member_trades_with_the_flow_taking_and_waiting() -> None:
    exchange = Exchange(LISTED, NoMarket())
    flow = Flow(LISTED, 1, 7)
    run(exchange, flow, 300)
    taken = exchange.new_order(new_order("anna-1", Side.BUY, 100, 101, IOC), NOW_NS)
    assert sum(qty for name, qty, _ in trades(taken) if name == "anna-1") == 100
    exchange.new_order(new_order("anna-2", Side.SELL, 100, 100, DAY), NOW_NS)
    came = run(exchange, flow, 500)
    assert sum(r.last_qty_e8 for r in reports(came) if r.owner == "anna") == qty_e8(100)


def test_a_flow_without_end_is_forgotten_as_it_goes() -> None:
    exchange = Exchange(LISTED, NoMarket())
    flow = Flow(LISTED, 1, 7)
    run(exchange, flow, 3_000)
    assert len(exchange.registry._known) < 4 * ORDERS_MAX
