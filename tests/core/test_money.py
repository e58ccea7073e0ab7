"""The compiled money arithmetic against Python's own integers, to the ends of int64."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import money, units
from core.units import INT64_MAX, PRICE_E8_MAX

AMOUNT = st.one_of(
    st.integers(0, INT64_MAX),
    st.integers(0, 1000),
    st.integers(0, 63).map(lambda bits: (1 << bits) - 1),
    st.integers(INT64_MAX - 1000, INT64_MAX),
    st.integers(0, 10**10).map(lambda n: n * 5),
)
SIGNED = st.one_of(AMOUNT, AMOUNT.map(lambda n: -n))


def or_overflow(exact: int) -> int:
    return exact if exact <= INT64_MAX else money.OVERFLOW


def half_even(value: Fraction) -> int:
    return round(value)


@settings(max_examples=1000)
@given(qty=AMOUNT, price=AMOUNT)
@example(qty=1, price=5 * 10**9)
@example(qty=3, price=5 * 10**9)
@example(qty=INT64_MAX, price=10**10)
@example(qty=INT64_MAX, price=10**10 + 1)
@example(qty=INT64_MAX - 1000, price=10**10)
@example(qty=INT64_MAX, price=INT64_MAX)
def test_notional_is_the_oracles_to_the_last_unit(qty: int, price: int) -> None:
    assert money.notional_e6(qty, price) == or_overflow(units.notional_e6(qty, price))
    assert money.notional_up_e6(qty, price) == or_overflow(units.notional_up_e6(qty, price))


@given(qty=AMOUNT, price=AMOUNT)
def test_the_oracle_itself_rounds_half_to_even_and_up(qty: int, price: int) -> None:
    exact = Fraction(qty * price, 10**10)
    assert units.notional_e6(qty, price) == half_even(exact)
    assert 0 <= units.notional_up_e6(qty, price) - exact < 1
    assert units.notional_e6(-qty, price) == -units.notional_e6(qty, price)


def test_the_largest_notional_fits_and_one_more_overflows() -> None:
    """INT64_MAX itself can be counted: the nearest product below and at it."""
    for quotient in (INT64_MAX, INT64_MAX - 1, INT64_MAX - 10**9, INT64_MAX - 10**12):
        assert money.notional_e6(quotient, 10**10) == quotient
        assert money.notional_up_e6(quotient, 10**10) == quotient
    assert money.notional_up_e6(2**62, 2 * 10**10) == money.OVERFLOW
    assert money.notional_e6(2**62, 2 * 10**10) == money.OVERFLOW
    assert money.notional_e6(2**62, 2 * 10**10 - 1) == units.notional_e6(2**62, 2 * 10**10 - 1)


@settings(max_examples=1000)
@given(amount=AMOUNT, part=AMOUNT, whole=AMOUNT)
@example(amount=INT64_MAX, part=INT64_MAX - 1, whole=INT64_MAX)
@example(amount=1, part=1, whole=2)
@example(amount=3, part=1, whole=2)
def test_share_is_the_fraction_rounded_half_to_even(amount: int, part: int, whole: int) -> None:
    part, whole = sorted((part, max(whole, 1)))
    assert money.share(amount, part, whole) == half_even(Fraction(amount * part, whole))


@settings(max_examples=500)
@given(a=SIGNED, b=SIGNED)
@example(a=INT64_MAX, b=1)
@example(a=-INT64_MAX, b=-1)
@example(a=-INT64_MAX, b=-2)
def test_add_is_exact_or_overflow(a: int, b: int) -> None:
    exact = a + b
    assert money.add(a, b) == (exact if abs(exact) <= INT64_MAX else money.OVERFLOW)


@settings(max_examples=500)
@given(price=st.integers(0, PRICE_E8_MAX), bps=st.integers(0, 10_000))
@example(price=PRICE_E8_MAX, bps=10_000)
def test_collar_rounds_towards_the_touch(price: int, bps: int) -> None:
    band = price * bps // 10_000
    assert money.collar_up_e8(price, bps) == price + band
    assert money.collar_down_e8(price, bps) == price - band
