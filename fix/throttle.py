"""How many messages have gone over a wire within the last so much time, and whether one more may.

    throttle = Throttle(messages=100, window_ns=1_000_000_000)
    if throttle.room(now_ns) > 0: wire.write(frame); throttle.count(now_ns)

What counts is what is written, resends and heartbeats too, for that is what the other side counts; a message
that waits in a queue does not. What the rule says at its limit is done by those who ask: a venue's session
(`fix/order_router.py`) holds orders back or logs out, the client door (`gateways/fix_door.py`) refuses them.

Always holds here: `count` never forgets, so that what had to pass (a heartbeat, a Logon, a resend) takes the
room of what comes next. New orders leave the last tenth of the room to cancels and to the session itself.
Memory is 8 bytes a message of the limit. Now is an argument, and never goes back (an earlier one counts as
the last).
"""

from __future__ import annotations

from array import array
from typing import Final

# The longest rule that makes sense: what a profile may ask for.
MESSAGES_MAX: Final = 1_000_000
# One of so many stays free of new orders; at least one where the limit is more than one.
RESERVED_PART: Final = 10


class Throttle:
    """At most `messages` in any `window_ns` (half open: what is exactly a window old is over)."""

    def __init__(self, messages: int, window_ns: int) -> None:
        assert 0 < messages <= MESSAGES_MAX
        assert window_ns > 0
        self.messages = messages
        self.window_ns = window_ns
        self._reserved = min(messages - 1, max(1, messages // RESERVED_PART))
        # Times of the last `messages` sends, a ring: `at` is the oldest, where the next goes.
        self.times = array("q", [-window_ns]) * messages
        self.at = 0
        self.last_ns = 0

    def room(self, now_ns: int) -> int:
        """How many may go now."""
        over = max(now_ns, self.last_ns) - self.window_ns
        # The ring ascends from `at`; those at or before `over` are the first ones: find how many.
        low, high = 0, self.messages
        while low < high:
            middle = (low + high) // 2
            if self.times[(self.at + middle) % self.messages] <= over:
                low = middle + 1
            else:
                high = middle
        return low

    def room_for_orders(self, now_ns: int) -> int:
        """How many new orders may go now: the room without what is kept for cancels and the session."""
        return max(self.room(now_ns) - self._reserved, 0)

    def count(self, now_ns: int, messages: int = 1) -> None:
        """So many have been written, with or without room."""
        self.last_ns = max(now_ns, self.last_ns)
        for _ in range(min(messages, self.messages)):
            self.times[self.at] = self.last_ns
            self.at = (self.at + 1) % self.messages

    def used(self, now_ns: int) -> int:
        """How many of the last window are counted; at most `messages`."""
        return self.messages - self.room(now_ns)
