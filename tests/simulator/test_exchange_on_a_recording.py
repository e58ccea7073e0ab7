from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from app.config import Config, load
from app.roles.venue import RecordedMarket
from core.records import OrdStatus, Side
from core.units import QTY_SCALE, price_e8, qty_e8
from fix.simulator import recorded as recorded_module
from fix.simulator.exchange import Exchange
from fix.simulator.orders import Answer, Instrument, NewOrder
from fix.simulator.words import ExecType, OrdType
from marketdata.recording import batches
from marketdata.records import ASK, BID, F_LAST, Action, Message, unpack_messages
from tests.simulator.desk import DAY, IOC, NOW_NS, OWNER, Auditor, cancel, reports, told
from tests.simulator.witness import Witness

TICK = price_e8("0.25")
OPEN = 9_713  # the last record of the opening auction
ES = {"ESH4": Instrument(TICK, QTY_SCALE)}


class Floor:
    """The exchange on the recording, driven message by message and audited."""

    def __init__(self, config: Config) -> None:
        assert config.replay is not None
        self.market = RecordedMarket(config)
        self.exchange = Exchange(ES, self.market.liquidity)
        self.auditor = Auditor()
        self.answers: list[Answer] = []
        self.book = self.market.books["ESH4"]
        self._path = config.replay

    def messages(self, until: int = 10**9) -> Iterator[Message]:
        """Plays the recording, giving each message after it was taken."""
        for batch in batches(self._path):
            for message in unpack_messages(batch.tobytes()):
                if message.recording_index > until:
                    return
                self.keep(self.market.take(message, self.exchange))
                yield message

    def play(self, until: int) -> None:
        for _ in self.messages(until):
            pass

    def send(self, side: Side, qty: int, limit_e8: int, tif: int = DAY, cl: str = "") -> list[Answer]:
        cl_ord_id = cl or f"TW000-{len(self.answers)}-{self.exchange.next_number}"
        request = NewOrder(OWNER, cl_ord_id, "ESH4", side, type(DAY)(tif), qty_e8(qty), limit_e8)
        return self.keep(self.exchange.new_order(request, NOW_NS))

    def keep(self, answers: list[Answer]) -> list[Answer]:
        self.auditor.read(answers)
        self.answers += answers
        return answers


@pytest.fixture
def floor(es_recording: Path, tmp_path: Path) -> Floor:
    """Nothing of the recording is played yet."""
    return Floor(load({"replay": str(es_recording), "data_dir": str(tmp_path)}, {}, tmp_path))


def standing(floor: Floor, side: int) -> list[tuple[int, int]]:
    return floor.book.levels(side)


def test_an_order_sweeps_the_recorded_levels_and_names_each_order_it_met(floor: Floor) -> None:
    floor.play(OPEN)
    (best, size), (second, _) = standing(floor, ASK)[:2]
    got = reports(floor.send(Side.BUY, size + 3, second))[1:]
    assert sum(r.last_qty_e8 for r in got if r.last_px_e8 == best) == size * QTY_SCALE
    assert sum(r.last_qty_e8 for r in got if r.last_px_e8 == second) == 3 * QTY_SCALE
    assert {r.recording_index for r in got} == {OPEN}
    at_best = [place.order_id for place in floor.book.queue(ASK, best)]
    assert [r.recorded_order_id for r in got if r.last_px_e8 == best] == at_best
    assert got[-1].status is OrdStatus.FILLED


def test_what_was_taken_is_not_given_again(floor: Floor) -> None:
    floor.play(OPEN)
    best, size = standing(floor, ASK)[0]
    assert len(floor.send(Side.BUY, size, best, IOC)) > 1
    assert told(floor.send(Side.BUY, 1, best, IOC))[1:] == [("CANCELED", "CANCELED", 0, 0.0)]


def test_before_the_open_nothing_trades_and_a_resting_order_waits_for_the_market(floor: Floor) -> None:
    floor.play(9_000)
    assert floor.book.top().bid_e8 > floor.book.top().ask_e8 > 0  # an auction
    assert told(floor.send(Side.BUY, 1, price_e8(5000))) == [("NEW", "NEW", 0, 0.0)]
    assert told(floor.send(Side.BUY, 1, price_e8(5000), IOC))[1:] == [("CANCELED", "CANCELED", 0, 0.0)]
    before = len(floor.answers)
    play_on(floor, 9_000, OPEN)
    assert [a[1] for a in told(floor.answers[before:])] == ["FILLED"]


def play_on(floor: Floor, after: int, until: int) -> None:
    for batch in batches(floor._path):
        for message in unpack_messages(batch.tobytes()):
            if after < message.recording_index <= until:
                floor.keep(floor.market.take(message, floor.exchange))


def test_inside_an_event_nothing_trades(floor: Floor) -> None:
    inside = next(
        m.recording_index
        for m in floor.messages(OPEN + 5_000)
        if m.recording_index > OPEN and not m.flags & F_LAST
    )
    index = floor.market.liquidity.place("ESH4")
    assert index < inside
    floor.send(Side.BUY, 1, standing(floor, ASK)[0][0], IOC)
    assert {r.recording_index for r in reports(floor.answers)} == {index}


def test_an_hour_of_orders_of_every_kind_is_borne_out_by_the_file(floor: Floor, es_recording: Path) -> None:
    rng = Random(20231225)
    sent: list[str] = []
    for message in floor.messages():
        if message.recording_index <= OPEN or rng.random() > 0.01:
            continue
        top = floor.book.top()
        side = rng.choice([Side.BUY, Side.SELL])
        aim = (top.ask_e8 if side is Side.BUY else top.bid_e8) + rng.randint(-3, 2) * TICK
        sent.append(f"TW000-{len(sent)}")
        floor.send(side, rng.choice([1, 2, 5, 20, 60]), aim, rng.choice([DAY, DAY, DAY, IOC]), cl=sent[-1])
        if rng.random() < 0.3:
            floor.keep(floor.exchange.cancel(cancel(f"C{len(sent)}", rng.choice(sent)), NOW_NS))
    assert len(sent) > 500
    swept, queued = Witness(es_recording).judge(reports(floor.answers))
    assert swept > 500
    assert queued > 50


def test_an_order_in_the_queue_fills_when_one_behind_it_does_and_not_before(floor: Floor) -> None:
    floor.play(OPEN)
    best, _ = standing(floor, ASK)[0]
    floor.send(Side.SELL, 1, best)
    before_us = {place.order_id for place in floor.book.queue(ASK, best)}
    filled_before_us = 0
    for message in iterate_after(floor, OPEN):
        if not floor.exchange.open_orders(OWNER):
            break
        if message.action == Action.FILL and message.order_id in before_us:
            filled_before_us += 1
    (fill,) = [r for r in reports(floor.answers) if r.last_qty_e8]
    assert filled_before_us > 0
    assert fill.recorded_order_id not in before_us
    assert fill.last_px_e8 == best


def iterate_after(floor: Floor, after: int) -> Iterator[Message]:
    for batch in batches(floor._path):
        for message in unpack_messages(batch.tobytes()):
            if message.recording_index > after:
                floor.keep(floor.market.take(message, floor.exchange))
                yield message


def test_a_member_s_order_stands_behind_the_recorded_ones_that_were_there_before_it(floor: Floor) -> None:
    floor.play(OPEN)
    (best, size), (second, _) = standing(floor, ASK)[:2]
    floor.keep(floor.exchange.new_order(of_another("other-1", Side.SELL, 2, best), NOW_NS))
    got = reports(floor.send(Side.BUY, size + 3, second, IOC))
    mine = [r for r in got if r.owner == OWNER and r.last_qty_e8]
    from_the_member = [at for at, r in enumerate(mine) if r.contra_exec_id]
    assert [r.last_px_e8 for r in mine] == sorted(r.last_px_e8 for r in mine)
    assert sum(r.last_qty_e8 for r in mine[: from_the_member[0]]) == size * QTY_SCALE
    assert [(mine[at].last_px_e8, mine[at].last_qty_e8) for at in from_the_member] == [(best, 2 * QTY_SCALE)]
    assert sum(r.last_qty_e8 for r in mine) == (size + 3) * QTY_SCALE


def test_a_stop_order_is_triggered_by_a_recorded_trade(floor: Floor) -> None:
    floor.play(OPEN)
    best, _ = standing(floor, ASK)[0]
    stop_px = best + 4 * TICK
    stop = NewOrder(OWNER, "stop", "ESH4", Side.BUY, DAY, qty_e8(1), 0, OrdType.STOP, stop_px)
    floor.keep(floor.exchange.new_order(stop, NOW_NS))
    assert told(floor.answers) == [("NEW", "NEW", 0, 0.0)]
    for _ in iterate_after(floor, OPEN):
        if not floor.exchange.open_orders(OWNER):
            break
    triggered, filled = reports(floor.answers)[1:]
    assert (triggered.exec_type, filled.status) == (ExecType.RESTATED, OrdStatus.FILLED)
    assert filled.recorded_order_id != 0


def of_another(name: str, side: Side, qty: int, price: int) -> NewOrder:
    return NewOrder("OTHER", name, "ESH4", side, DAY, qty_e8(qty), price)


def test_when_the_recording_begins_again_nothing_is_taken_and_our_orders_queue_last(floor: Floor) -> None:
    floor.play(OPEN)
    best, size = standing(floor, ASK)[0]
    floor.send(Side.BUY, size, best, IOC)
    floor.send(Side.BUY, 1, standing(floor, BID)[0][0] - 400 * TICK, cl="resting")
    floor.play(OPEN)
    (resting,) = floor.exchange.open_orders(OWNER)
    assert resting.place >= 8_725  # behind the whole snapshot of the new pass
    got = sum(r.last_qty_e8 for r in reports(floor.send(Side.BUY, size, best, IOC)))
    assert got == size * QTY_SCALE


def test_what_is_remembered_of_orders_that_left_is_bounded(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "TAKEN_MAX", 50)
    market = floor.market.liquidity._markets["ESH4"]
    for message in floor.messages(30_000):
        if message.recording_index > OPEN and message.recording_index % 20 == 0:
            floor.send(Side.BUY, 1, price_e8(4900), IOC)
            in_the_book = sum(floor.book.order(order_id) is not None for order_id in market.taken)
            assert len(market.taken) <= max(50, in_the_book + 1)
