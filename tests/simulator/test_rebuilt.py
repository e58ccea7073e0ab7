"""What a restart makes of the reports alone: the same exchange, to the last place in a queue."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import Side
from core.units import price_e8, qty_e8
from fix.simulator.exchange import Exchange
from fix.simulator.market import NoMarket
from fix.simulator.messages import answer_of, outgoing
from fix.simulator.orders import Answer, CancelRequest, MassCancelRequest, ReplaceRequest, Report
from fix.simulator.recovery import apply
from fix.simulator.trades import NoSuchTrade
from fix.simulator.words import Phase
from tests.simulator.desk import NOW_NS, reports
from tests.simulator.members import DAY, FOK, GTC, IOC, LISTED, new_order, owner_of
from tests.simulator.test_messages import written

Step = tuple[Any, ...]

steps = st.one_of(
    st.tuples(
        st.just("new"),
        st.sampled_from(["anna", "ben", "carl"]),
        st.sampled_from(Side),
        st.integers(1, 30),
        st.one_of(st.just(0), st.integers(95, 105)),
        st.sampled_from([DAY, GTC, IOC, FOK]),
        st.one_of(st.just(0), st.just(0), st.integers(95, 105)),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 60)),
    st.tuples(st.just("replace"), st.integers(0, 60), st.integers(1, 40), st.integers(95, 105)),
    st.tuples(st.just("mass cancel"), st.sampled_from(["anna", "ben"])),
    st.tuples(st.just("phase"), st.sampled_from(Phase)),
    st.tuples(st.just("bust"), st.integers(0, 60)),
    st.tuples(st.just("correct"), st.integers(0, 60), st.integers(1, 20), st.integers(95, 105)),
)


def act(exchange: Exchange, number: int, step: Step, told: list[Answer]) -> list[Answer]:
    """Does one step. `told`: all answers before it, by which it finds orders and trades."""
    what, *values = step
    if what == "new":
        owner, side, qty, price, tif, stop = values
        return exchange.new_order(new_order(f"{owner}-{number}", side, qty, price, tif, stop), NOW_NS)
    if what == "mass cancel":
        return exchange.mass_cancel(MassCancelRequest(values[0], f"{values[0]}-{number}", ""), NOW_NS)
    if what == "phase":
        return exchange.set_phase("AAPL", values[0], NOW_NS)
    found = reports(told)
    if not found:
        return []
    report = found[values[0] % len(found)]
    if what in ("bust", "correct"):
        try:
            if what == "bust":
                return [*exchange.trades.bust(report.exec_id, NOW_NS, "mistake")]
            qty, price = qty_e8(values[1]), price_e8(values[2])
            return [*exchange.trades.correct(report.exec_id, qty, price, NOW_NS, "mistake")]
        except NoSuchTrade:
            return []
    name = f"{report.owner}-{number}"
    if what == "cancel":
        return exchange.cancel(CancelRequest(report.owner, name, report.cl_ord_id), NOW_NS)
    stop = report.stop_px_e8 // 10**8
    wanted = new_order(name, report.side, values[1], values[2] if report.price_e8 else 0, DAY, stop)
    return exchange.replace(ReplaceRequest(wanted, report.cl_ord_id), NOW_NS)


def rebuilt(told: list[Answer], phase: Phase) -> Exchange:
    """An exchange that has read every report, as FIX messages, in the order of ExecIDs."""
    exchange = Exchange(LISTED, NoMarket())
    for report in sorted(reports(told), key=lambda r: r.number):
        read = answer_of(written(report), report.owner)
        assert isinstance(read, Report)
        apply(exchange, read)
    exchange.floor.books["AAPL"].phase = phase
    for answer in told:
        if not isinstance(answer, Report):
            exchange.registry.remember(answer.owner, answer.cl_ord_id, None)  # type: ignore[union-attr]
    exchange.registry.next_number = max(exchange.next_number, _numbers_told(told))
    return exchange


def _numbers_told(told: list[Answer]) -> int:
    """The number after the last that a MassCancelReport used, which is no report of an order."""
    ids = [getattr(answer, "order_id", "NONE") for answer in told]
    return max((int(order_id[1:]) + 1 for order_id in ids if order_id.startswith("S")), default=1)


def state_of(exchange: Exchange) -> dict[str, Any]:
    book = exchange.floor.books["AAPL"]
    return {
        "open": {owner: exchange.open_orders(owner) for owner in ("anna", "ben", "carl")},
        "resting": [[replace(o) for o in book.resting(side)] for side in Side],
        "all": [replace(o) for o in book.orders()],
        "last": book.last_e8,
        "next": exchange.next_number,
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40), st.lists(steps, max_size=15))
def test_an_exchange_made_again_goes_on_as_if_nothing_had_happened(
    before: list[Step], after: list[Step]
) -> None:
    exchange = Exchange(LISTED, NoMarket())
    told: list[Answer] = []
    for number, step in enumerate(before):
        told += act(exchange, number, step, told)
    again = rebuilt(told, exchange.floor.books["AAPL"].phase)
    assert state_of(again) == state_of(exchange)
    told_again = list(told)
    for number, step in enumerate(after, len(before)):
        answers = act(exchange, number, step, told)
        assert act(again, number, step, told_again) == answers
        told += answers
        told_again += answers
    assert state_of(again) == state_of(exchange)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=40))
def test_every_answer_of_any_history_reads_back_as_it_was_written(history: list[Step]) -> None:
    exchange = Exchange(LISTED, NoMarket())
    told: list[Answer] = []
    for number, step in enumerate(history):
        told += act(exchange, number, step, told)
    for answer in told:
        assert answer_of(written(answer), answer.owner) == answer


def test_quantities_are_conserved_over_busts_and_corrections() -> None:
    rng = Random(11)
    exchange = Exchange(LISTED, NoMarket())
    told: list[Answer] = []
    for number in range(3_000):
        draw = rng.random()
        step: Step
        if draw < 0.8:
            step = (
                "new", rng.choice(["anna", "ben", "carl"]), rng.choice(list(Side)), rng.randint(1, 20),
                rng.randint(95, 105), rng.choice([DAY, IOC]), 0,
            )  # fmt: skip
        elif draw < 0.9:
            step = ("bust", rng.randrange(10**6))
        else:
            step = ("correct", rng.randrange(10**6), rng.randint(1, 5), rng.randint(95, 105))
        told += act(exchange, number, step, told)
    net = dict.fromkeys(Side, 0)
    for report in reports(told):
        net[report.side] += report.last_qty_e8 - report.was_qty_e8
    assert net[Side.BUY] == net[Side.SELL] > 0
    assert {owner_of(r.cl_ord_id) for r in reports(told)} == {"anna", "ben", "carl"}
    assert sum(bool(r.exec_ref_id) for r in reports(told)) > 50
    assert outgoing(told[0])[0] == "8"
