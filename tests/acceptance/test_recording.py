"""Orders against an hour of recorded orders, replayed as fast as the machine goes.

At full speed a pass of the file takes some seconds and then begins again, so that several hundred orders, sent one
after another and in bursts, fall all over the file, and over several passes of it. When the last order is answered
everything is canceled and at rest, and the tests below look at the same trading day from all sides.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from actors.view import StateView
from tests.acceptance import audit
from tests.acceptance.audit import Log
from tests.acceptance.conftest import TappedStack
from tests.acceptance.desk import Trader, eventually
from tests.acceptance.tape import Verdict, judge
from tests.acceptance.wire import Wire
from tests.stack import Stack

pytestmark = pytest.mark.stack

SYMBOL = "ESH4"
TICK = Decimal("0.25")
ORDERS = 400
BURST = 4


class Day(NamedTuple):
    """A trading day that is over: nothing is open, everyone has read everything."""

    stack: Stack
    trader: Trader
    log: Log
    wire: Wire


@pytest.fixture(scope="module")
def day(tapped_stack: TappedStack, recording: Path) -> Day:
    stack, relay = tapped_stack(replay=recording, speed="max")
    trader = Trader(stack)
    eventually(lambda: trader.has_quote(SYMBOL), "a first quote")
    trade_a_day(trader, random.Random(20231225))
    trader.cancel_all()
    audit.come_to_rest(stack)
    return Day(stack, trader, Log(stack), Wire(relay))


def trade_a_day(trader: Trader, rng: random.Random) -> None:
    """Orders of every kind: at, through and behind the touch, at the market, immediate ones, and cancels."""
    eventually(lambda: trader.send("buy", SYMBOL, 40), "a first order")
    resting: list[dict[str, str]] = []

    def one(story: tuple[str, str, int, int, str]) -> dict[str, str] | None:
        kind, side, qty, ticks, tif = story
        if kind == "market":
            return trader.send(side, SYMBOL, qty)
        bid, ask = trader.quote(SYMBOL)
        limit = ask + ticks * TICK if side == "buy" else bid - ticks * TICK
        return trader.send(side, SYMBOL, qty, limit, tif)

    with ThreadPoolExecutor(BURST) as threads:
        while len(trader.answers) < ORDERS:
            story = (
                rng.choice(("market", "limit", "limit", "limit")),
                rng.choice(("buy", "sell")),
                rng.choice((1, 1, 2, 5, 12)),
                rng.randint(-3, 3),
                rng.choice(("day", "day", "ioc")),
            )
            sent = list(threads.map(one, [story] * rng.choice((1, 1, BURST))))
            resting += [order for order in sent if order is not None]
            if rng.random() < 0.3 and resting:
                trader.cancel(resting.pop(rng.randrange(len(resting))))


@pytest.fixture(scope="module")
def verdict(day: Day, recording: Path) -> Verdict:
    """Fails where a fill's price or size did not stand in the recorded book when it was made."""
    return judge(recording, day.wire)


def test_every_fill_stood_in_the_recorded_book(verdict: Verdict, day: Day) -> None:
    assert verdict.swept + verdict.queued == len(day.wire.fills)
    assert verdict.swept > 100


def test_a_recorded_order_that_filled_several_of_ours_had_size_for_all_of_them(verdict: Verdict) -> None:
    assert verdict.shared > 0


@pytest.mark.parametrize(
    ("tag", "lie"), [(31, "0.25"), (32, "1000"), (20001, "-40000")], ids=["price", "size", "moment"]
)
def test_a_fill_that_did_not_stand_there_would_be_noticed(
    day: Day, recording: Path, tag: int, lie: str
) -> None:
    wire = copy(day.wire)
    true = max((m for m in wire.reports if m[150] == "F"), key=lambda m: int(m[20001]))
    false = {**true, tag: str(Decimal(true[tag]) + Decimal(lie))}
    wire.received = [false if m is true else m for m in wire.received]
    with pytest.raises(AssertionError):
        judge(recording, wire)


def test_the_recording_went_on_at_full_speed_while_orders_were_sent(verdict: Verdict, day: Day) -> None:
    assert verdict.records > 20_000
    assert len(day.trader.answers) >= ORDERS
    assert sum(status == 200 for status in day.trader.answers.values()) > ORDERS // 2


def test_orders_of_every_kind_were_traded(day: Day) -> None:
    sent = day.wire.new_orders
    assert {(m[54], m[59]) for m in sent} == {("1", "0"), ("1", "3"), ("2", "0"), ("2", "3")}
    assert {m[150] for m in day.wire.reports} >= {"0", "4", "F"}
    assert {f.side for f in day.wire.fills} == {"1", "2"}


def test_nothing_was_doubled_on_the_wire_and_the_log_says_what_it_says(day: Day) -> None:
    day.wire.assert_nothing_is_doubled()
    audit.assert_the_log_is_the_wire(day.log, day.wire)


def test_cash_and_positions_are_those_of_the_wire(day: Day) -> None:
    audit.assert_rest_is_the_wire(day.trader, day.wire)


def test_postgres_is_the_log(day: Day) -> None:
    found = audit.tables(day.stack)
    audit.assert_postgres_is_the_log(found, day.log)
    assert found.cash["cash"] == day.wire.cash(audit.OPENING_CASH)
    held = {symbol: row["qty"] for symbol, row in found.positions.items() if row["qty"]}
    assert held == day.wire.positions()


def test_the_stream_is_the_log(day: Day) -> None:
    audit.assert_the_stream_is_the_log(day.stack, day.log)


def test_each_fill_was_mailed_once(day: Day) -> None:
    audit.assert_one_mail_per_fill(day.stack, day.log)


def test_the_ledger_of_the_client_is_the_log(day: Day) -> None:
    audit.assert_the_ledger_is_the_log(day.trader, day.log)


def test_replaying_the_log_gives_the_living_state(day: Day) -> None:
    assert StateView.attach(day.stack.run_dir).seq == day.log.records[-1].seq
    audit.assert_a_replay_gives_the_living_state(day.stack)
