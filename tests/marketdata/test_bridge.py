from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import TickKind
from core.units import QTY_SCALE
from marketdata.bridge import (
    FLOOR_TICKS,
    ROUND_LOT,
    SOURCE_LABEL,
    TICK_E8,
    Bridge,
    BridgeError,
    close_ticks,
    path,
)
from marketdata.closes import Closes
from marketdata.records import Tick

PRICES = st.integers(FLOOR_TICKS, 1_000_000)


def ticks_of(bridge: Bridge) -> list[Tick]:
    return [tick for step in bridge.steps() for tick in step.ticks]


@settings(deadline=None)
@given(PRICES, PRICES, st.integers(1, 500), st.integers(0, 2**64))
def test_a_path_goes_from_close_to_close_and_stays_above_zero(
    first: int, last: int, steps: int, seed: int
) -> None:
    prices = path(first, last, steps, Random(seed))
    assert len(prices) == steps + 1
    assert (prices[0], prices[-1]) == (first, last)
    assert min(prices) >= FLOOR_TICKS
    assert all(type(price) is int for price in prices)


@settings(deadline=None)
@given(PRICES, PRICES, st.integers(0, 2**64))
def test_the_same_seed_draws_the_same_path(first: int, last: int, seed: int) -> None:
    assert path(first, last, 60, Random(seed)) == path(first, last, 60, Random(seed))


def test_a_path_is_known_for_ever() -> None:
    # A seed means these prices, on every machine and with every version of Python.
    assert path(10_000, 10_050, 8, Random(7)) == [
        10000,
        10032,
        10031,
        10042,
        10094,
        10040,
        10023,
        10077,
        10050,
    ]


def test_an_end_below_the_floor_has_no_path() -> None:
    with pytest.raises(BridgeError, match="the lowest is 2"):
        path(100, 1, 10, Random(1))


def test_every_day_ends_in_a_trade_at_the_real_close(four_days: Closes) -> None:
    bridge = Bridge(four_days, seed=3, steps_per_day=20)
    ticks = ticks_of(bridge)
    for symbol, closing in four_days.prices_e8.items():
        days = list(four_days.dates[1:])
        for day, close_e8 in zip(days, closing[1:], strict=True):
            trades = [t for t in ticks if t.symbol == symbol and t.kind == TickKind.TRADE and is_of(t, day)]
            assert trades[-1].px_e8 == close_ticks(close_e8) * TICK_E8
            assert abs(trades[-1].px_e8 - close_e8) <= TICK_E8 // 2


def is_of(tick: Tick, day: date) -> bool:
    return datetime.fromtimestamp(tick.time_ns / 1e9, UTC).date() == day


def test_quotes_have_a_spread_and_whole_lots_and_trades_are_at_a_quoted_price(four_days: Closes) -> None:
    lot = ROUND_LOT * QTY_SCALE
    for tick in ticks_of(Bridge(four_days, seed=11, steps_per_day=50)):
        assert 0 < tick.bid_e8 < tick.ask_e8
        assert tick.bid_e8 % TICK_E8 == tick.ask_e8 % TICK_E8 == 0
        assert min(tick.bid_size_e8, tick.ask_size_e8) >= lot
        assert tick.bid_size_e8 % lot == tick.ask_size_e8 % lot == 0
        if tick.kind == TickKind.TRADE:
            shown = {tick.bid_e8: tick.bid_size_e8, tick.ask_e8: tick.ask_size_e8}
            assert 0 < tick.size_e8 <= shown[tick.px_e8]
            assert tick.size_e8 % lot == 0


def test_a_penny_share_never_quotes_below_a_tick() -> None:
    closes = Closes((date(1990, 1, 2), date(1990, 1, 3)), {"LOW": (2 * 10**6, 3 * 10**6)})
    assert all(tick.bid_e8 >= TICK_E8 for tick in ticks_of(Bridge(closes, seed=1)))


def test_the_seed_decides_everything(four_days: Closes) -> None:
    first, second, other = (ticks_of(Bridge(four_days, seed=seed, steps_per_day=10)) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_a_pass_that_begins_in_the_middle_is_the_rest_of_a_whole_one(four_days: Closes) -> None:
    whole = ticks_of(Bridge(four_days, seed=1, steps_per_day=10))
    bridge = Bridge(four_days, seed=1, steps_per_day=10)
    bridge.starting_at(17)
    rest = ticks_of(bridge)
    assert rest == whole[-len(rest) :]
    assert {t.recording_index // 40 for t in rest} == set(range(17, 30))
    assert ticks_of(bridge) == whole  # and the pass after it is whole


def test_steps_are_spread_over_the_day_and_never_go_back(four_days: Closes) -> None:
    steps = list(Bridge(four_days, seed=1, day_seconds=60, steps_per_day=300).steps())
    assert all(before.offset_ns <= after.offset_ns for before, after in pairwise(steps))
    a_second = [step for step in steps if step.offset_ns < 10**9]
    assert len(a_second) == 100  # five quotes for each of twenty shares


def test_every_tick_has_an_index_of_its_own(four_days: Closes) -> None:
    indices = [tick.recording_index for tick in ticks_of(Bridge(four_days, seed=1, steps_per_day=10))]
    assert indices == sorted(set(indices))


def test_the_first_ticks_need_one_day_and_not_the_window(four_days: Closes) -> None:
    bridge = Bridge(four_days, seed=1)
    assert {step.ticks[0].symbol for step in islice(bridge.steps(), 20)} == set(four_days.prices_e8)


def test_it_says_that_it_is_simulated(four_days: Closes) -> None:
    told = Bridge(four_days, seed=1).describe()
    assert told.label == SOURCE_LABEL
    assert "Simulated" in told.label
    assert "simulated" in told.text
    assert "adjusted for dividends and splits" in told.text


def test_one_day_alone_can_not_be_bridged(four_days: Closes) -> None:
    one = Closes(four_days.dates[:1], {s: p[:1] for s, p in four_days.prices_e8.items()})
    with pytest.raises(BridgeError, match="needs two"):
        Bridge(one, seed=1)
