"""Fills on a position against an oracle of exact fractions: nothing is created, nothing is lost."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from core.positions import after_fill, without_fill
from core.records import Side

FILL = st.tuples(st.sampled_from(Side), st.integers(1, 10**15), st.integers(0, 10**15))
SMALL_FILL = st.tuples(st.sampled_from(Side), st.integers(1, 5), st.integers(0, 20))


class Oracle:
    """Average cost, as a book keeper would: signed quantity, and its cost rounded at each sale, half to even."""

    def __init__(self) -> None:
        self.qty, self.cost, self.realized = 0, 0, 0

    def fill(self, side: Side, qty: int, notional: int) -> None:
        sign = 1 if side is Side.BUY else -1
        closing = min(qty, abs(self.qty)) if self.qty * sign < 0 else 0
        if closing:
            released = round(Fraction(abs(self.cost) * closing, abs(self.qty)))
            moved = round(Fraction(notional * closing, qty))
            self.realized += released - moved if sign > 0 else moved - released
            self.cost += released if sign > 0 else -released
            self.qty += sign * closing
            qty, notional = qty - closing, notional - moved
        self.qty += sign * qty
        self.cost += sign * notional


def check(fills: list[tuple[Side, int, int]]) -> None:
    oracle = Oracle()
    held = cost = realized = cash = 0
    for side, qty, notional in fills:
        held, cost, realized = after_fill(side, qty, notional, held, cost, realized)
        oracle.fill(side, qty, notional)
        cash += -notional if side is Side.BUY else notional
        assert (held, cost, realized) == (oracle.qty, oracle.cost, oracle.realized)
        assert cash + cost - realized == 0, "what was paid stands in cost, what was gained in realised"
        assert held != 0 or cost == 0, "an empty position has cost zero"
        assert cost * held >= 0, "a long position has a cost, a short one brought something in"


@settings(max_examples=300)
@given(st.lists(FILL, max_size=12))
def test_any_history_of_large_fills_is_the_oracles(fills: list[tuple[Side, int, int]]) -> None:
    check(fills)


@settings(max_examples=300)
@given(st.lists(SMALL_FILL, max_size=30))
def test_any_history_that_crosses_zero_often_is_the_oracles(fills: list[tuple[Side, int, int]]) -> None:
    check(fills)


def test_a_third_of_the_position_takes_a_third_of_its_cost() -> None:
    assert after_fill(Side.SELL, 1, 50, 3, 100, 0) == (2, 67, 17)
    assert after_fill(Side.SELL, 2, 100, 2, 67, 17) == (0, 0, 50)


def test_an_overfill_leaves_a_short_position_with_what_it_brought() -> None:
    assert after_fill(Side.SELL, 3, 90, 1, 20, 0) == (-2, -60, 10)
    assert after_fill(Side.BUY, 2, 50, -2, -60, 10) == (0, 0, 20)


@settings(max_examples=300)
@given(st.lists(FILL, max_size=8), FILL)
def test_the_last_fill_undone_leaves_no_trace(
    fills: list[tuple[Side, int, int]], last: tuple[Side, int, int]
) -> None:
    before = (0, 0, 0)
    for side, qty, notional in fills:
        before = after_fill(side, qty, notional, *before)
    side, qty, notional = last
    after = after_fill(side, qty, notional, *before)
    moved = (after[0] - before[0], after[1] - before[1], after[2] - before[2])
    assert without_fill(*moved, *after) == before


@settings(max_examples=300)
@given(st.lists(FILL, min_size=1, max_size=8), st.data())
def test_any_fill_undone_later_conserves_money_and_quantity(
    fills: list[tuple[Side, int, int]], data: st.DataObject
) -> None:
    """Quantity, and cost less what is realised, are those of the other fills; a cost goes with its quantity."""
    undone = data.draw(st.integers(0, len(fills) - 1))
    now, moved = (0, 0, 0), (0, 0, 0)
    quantity = money = 0
    for n, (side, qty, notional) in enumerate(fills):
        was, now = now, after_fill(side, qty, notional, *now)
        if n == undone:
            moved = (now[0] - was[0], now[1] - was[1], now[2] - was[2])
        else:
            sign = 1 if side is Side.BUY else -1
            quantity, money = quantity + sign * qty, money + sign * notional
    held, cost, realized = without_fill(*moved, *now)
    assert (held, cost - realized) == (quantity, money)
    assert cost * held >= 0
    assert held != 0 or cost == 0
