"""UTCTimestamp of FIX and nanoseconds since 1970: both ways, exact to the last digit that is written.

Sent with milliseconds, which every FIX 4.4 peer reads, unless a venue's profile says otherwise. Read with 0,
3, 6 or 9 digits of fraction. A leap second (":60") is the last second of its minute and one more.
"""

from __future__ import annotations

import calendar
import re
import time
from functools import lru_cache
from typing import Final

NS_PER_S: Final = 1_000_000_000
_FORM: Final = re.compile(r"[0-9]{8}-[0-9]{2}:[0-9]{2}:[0-9]{2}")


class TimestampError(ValueError):
    """Text that is not a UTCTimestamp. The message shows it and the form expected."""


@lru_cache(maxsize=64)  # a desk writes the same second thousands of times, and reads its neighbours
def _second_text(second: int) -> str:
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(second))


def format_ns(ns: int, digits: int = 3) -> str:
    """`ns` since 1970 as YYYYMMDD-HH:MM:SS.sss, cut (not rounded) to `digits` of fraction: 0, 3, 6 or 9."""
    second, rest = divmod(ns, NS_PER_S)
    if digits == 3:
        return f"{_second_text(second)}.{rest // 1_000_000:03d}"
    return f"{_second_text(second)}.{rest:09d}"[: 17 + (digits + 1 if digits else 0)]


@lru_cache(maxsize=64)
def _second_of(text: str) -> int:
    if _FORM.fullmatch(text) is None:
        raise TimestampError(f"{text!r} is not YYYYMMDD-HH:MM:SS")
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    hour, minute, second = int(text[9:11]), int(text[12:14]), int(text[15:17])
    days = calendar.monthrange(year, month)[1] if year >= 1970 and 1 <= month <= 12 else 0
    if not 1 <= day <= days or hour > 23 or minute > 59 or second > 60:
        raise TimestampError(f"{text!r} is not a time that exists since 1970")
    return calendar.timegm((year, month, day, hour, minute, second))


def parse_ns(text: str) -> int:
    """Nanoseconds since 1970 of a UTCTimestamp. Raises TimestampError."""
    whole, dot, fraction = text.partition(".")
    if dot and not (len(fraction) in (3, 6, 9) and fraction.isascii() and fraction.isdigit()):
        raise TimestampError(f"{text!r}: the fraction of a second has 3, 6 or 9 digits")
    return _second_of(whole) * NS_PER_S + (int(fraction.ljust(9, "0")) if dot else 0)
