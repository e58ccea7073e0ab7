"""What a client is told that sends more than its key's rules allow (`gateways/fix_rules.py`)."""

from __future__ import annotations

from typing import Final

from fix.throttle import Throttle

_NS_PER_MS: Final = 1_000_000


def too_fast(throttle: Throttle, now_ns: int) -> str:
    """Why no order or replace is taken now; "" when one is."""
    if throttle.room(now_ns) > 0:
        return ""
    return (
        f"message rate: the limit is {throttle.messages} messages in {throttle.window_ns // _NS_PER_MS} ms, "
        f"and this is number {throttle.used(now_ns) + 1}; nothing was done, send it again later"
    )
