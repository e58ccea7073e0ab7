from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.timestamps import TimestampError, format_ns, parse_ns


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000_000))
def test_a_millisecond_written_is_read_back(milliseconds: int) -> None:
    assert parse_ns(format_ns(milliseconds * 1_000_000)) == milliseconds * 1_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("19700101-00:00:00", 0),
        ("20000229-23:59:59.5".ljust(21, "0"), 951_868_799_500_000_000),
        ("20161231-23:59:60.000", 1_483_228_800_000_000_000),
        ("20261124-12:00:00.123456", 1_795_521_600_123_456_000),
        ("20261124-12:00:00.123456789", 1_795_521_600_123_456_789),
    ],
)
def test_every_precision_is_read_exactly(text: str, ns: int) -> None:
    assert parse_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "20261124", "2026112412:00:00", "20260229-12:00:00", "20261324-12:00:00", "20261124-24:00:00",
     "20261124-12:60:00", "20261124-12:00:00.", "20261124-12:00:00.1", "20261124-12:00:00.12x", "19691231-23:59:59",
     "２0261124-12:00:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimestampError):
        parse_ns(text)
