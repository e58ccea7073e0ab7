"""Whether the peer is alive, and shows that we are: heartbeats and test requests (vol. 2, "Heartbeat").

After HeartBtInt without a message of ours, a Heartbeat. After 1.2 of it without one of the peer's, a TestRequest;
while its answer is awaited nothing else is sent. After 2.4 of it the peer is gone. Any message answers.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from fix.timestamps import NS_PER_S

# "Some reasonable transmission time": 20 %. Twice that in all, and the peer is gone.
TEST_REQUEST_AFTER: Final = 1.2
GONE_AFTER: Final = 2.4


class Due(Enum):
    NOTHING = auto()
    HEARTBEAT = auto()
    TEST_REQUEST = auto()
    GONE = auto()


class Clocks(NamedTuple):
    """When the peer was heard last, when it was sent something last, whether a TestRequest is unanswered."""

    received_ns: int
    sent_ns: int
    asked: bool


class KeepAlive:
    """The two clocks of a connection, in nanoseconds since 1970."""

    def __init__(self) -> None:
        self._received_ns = 0
        self._sent_ns = 0
        self._asked = False

    def begin(self, now_ns: int) -> None:
        self._received_ns = self._sent_ns = now_ns
        self._asked = False

    def received(self, now_ns: int) -> None:
        self._received_ns = now_ns
        self._asked = False

    def not_reading(self, now_ns: int) -> None:
        """What the peer sends is not read for now, so its silence means nothing."""
        self._received_ns = now_ns

    def sent(self, now_ns: int) -> None:
        self._sent_ns = now_ns

    def clock_set(self, by_ns: int) -> None:
        """The clock was set: what has passed since stays what it was."""
        self._received_ns += by_ns
        self._sent_ns += by_ns

    def clocks(self, by_ns: int) -> Clocks:
        """As they stand, on a clock that is `by_ns` ahead of this one."""
        return Clocks(self._received_ns + by_ns, self._sent_ns + by_ns, self._asked)

    def go_on(self, clocks: Clocks, by_ns: int) -> None:
        """They were kept by somebody else meanwhile, on a clock which this one is `by_ns` ahead of."""
        self._received_ns, self._sent_ns = clocks.received_ns + by_ns, clocks.sent_ns + by_ns
        self._asked = clocks.asked

    def silent_ns(self, now_ns: int) -> int:
        return now_ns - self._received_ns

    def due(self, heartbeat_s: int, now_ns: int) -> Due:
        """What is to be done now. A TestRequest is due once for each silence."""
        interval_ns = heartbeat_s * NS_PER_S
        if interval_ns == 0:
            return Due.NOTHING
        if self.silent_ns(now_ns) >= GONE_AFTER * interval_ns:
            return Due.GONE
        if self._asked:
            return Due.NOTHING
        if self.silent_ns(now_ns) >= TEST_REQUEST_AFTER * interval_ns:
            self._asked = True
            return Due.TEST_REQUEST
        return Due.HEARTBEAT if now_ns - self._sent_ns >= interval_ns else Due.NOTHING
