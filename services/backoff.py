"""Waiting between attempts: twice as long each time, up to a bound, and from the start again after a
success."""

from __future__ import annotations

import asyncio
from typing import Final

# A server that restarts is back within a second or so; the first attempts should not be what keeps us away.
FIRST_S: Final = 0.05
# One attempt in two seconds costs nobody anything, and bounds how late we notice that the server is back.
MOST_S: Final = 2.0


class Backoff:
    """The pause before the next attempt."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def succeeded(self) -> None:
        self._next_s = FIRST_S

    async def pause(self) -> None:
        await asyncio.sleep(self._next_s)
        self._next_s = min(2 * self._next_s, MOST_S)
