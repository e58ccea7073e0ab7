"""Text becomes an exact fixed-point number, or an error that names the value and what to send instead."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import units
from core.units import INT64_MAX, UnitError

SCALES = st.sampled_from([units.PRICE_SCALE, units.MONEY_SCALE])
INT64 = st.integers(-INT64_MAX, INT64_MAX)


@given(fixed=INT64, scale=SCALES)
def test_text_of_an_amount_reads_back_as_the_same_amount(fixed: int, scale: int) -> None:
    text = units.from_fixed(fixed, scale)
    if abs(Decimal(text)) <= INT64_MAX // scale:
        assert units.to_fixed(text, scale, "amount") == fixed
    assert Decimal(text) * scale == fixed
    assert not text.endswith(("0", ".")) or "." not in text


@given(
    value=st.one_of(
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=9),
    ),
    scale=SCALES,
)
def test_a_decimal_is_taken_exactly_or_refused(value: Decimal, scale: int) -> None:
    exact = Fraction(value) * scale
    if exact.denominator == 1 and abs(value) <= INT64_MAX // scale:
        assert units.to_fixed(value, scale, "amount") == exact
    else:
        with pytest.raises(UnitError, match=re.escape(f"amount {value} ")):
            units.to_fixed(value, scale, "amount")


@pytest.mark.parametrize("text", ["", "ten", "1,5", "0x10", "--1", "1e", "NaN", "sNaN", "inf", "-Infinity"])
def test_what_is_no_number_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(UnitError, match=r"price '?.*(decimal)") as caught:
        units.price_e8(text)
    assert repr(text) in str(caught.value)


def test_more_places_than_the_scale_are_refused_and_the_places_named() -> None:
    with pytest.raises(UnitError, match=r"^qty 0\.000000001 has more than 8 decimal places$"):
        units.qty_e8("0.000000001")
    with pytest.raises(UnitError, match=r"^cash 0\.0000001 has more than 6 decimal places$"):
        units.cash_e6("0.0000001")
    with pytest.raises(UnitError, match="more than 8 decimal places"):
        units.price_e8("1.0000000000000000000000000000000000000001")


def test_the_largest_amount_is_taken_and_one_more_is_refused_with_the_most() -> None:
    most = INT64_MAX // units.PRICE_SCALE
    assert units.price_e8(str(most)) == most * units.PRICE_SCALE
    assert units.price_e8(str(-most)) == -most * units.PRICE_SCALE
    with pytest.raises(UnitError, match=f"too large; the most is {most}"):
        units.price_e8(str(most + 1))
    with pytest.raises(UnitError, match="too large"):
        units.price_e8("1e400")


def test_shortest_text_is_given() -> None:
    assert units.price_text(1_025_000_000) == "10.25"
    assert units.qty_text(1_000_000_000) == "10"
    assert units.cash_text(-1) == "-0.000001"
    assert units.cash_text(0) == "0"
