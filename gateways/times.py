"""Times as text, RFC 3339 in UTC, with all nine digits of the nanoseconds: Python's own keep six."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from gateways.errors import UNPROCESSABLE, ApiError

_SECOND_NS: Final = 1_000_000_000
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def time_text(ns: int) -> str:
    """RFC 3339 in UTC, nanoseconds kept."""
    seconds, part = divmod(ns, _SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{part:09d}Z"


def parse_time(name: str, text: str) -> int:
    """ns since 1970 of an RFC 3339 time, nanoseconds kept. Raises ApiError (422)."""
    parts = _TIME.fullmatch(text)
    try:
        whole = datetime.fromisoformat(parts[1] + parts[3]) if parts is not None else None
    except ValueError:  # the 30th of February
        whole = None
    if parts is None or whole is None:
        raise ApiError(UNPROCESSABLE, f"{name} '{text[:40]}' is no time; send one like 2026-01-31T09:30:00Z")
    return int(whole.timestamp()) * _SECOND_NS + int((parts[2] or "").ljust(9, "0"))
