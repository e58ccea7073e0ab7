"""A gap in what the peer sends: what is missing, what waits above it, and when to ask for it (again).

Always holds here: for one gap there is one resend request under way, whatever else arrives above it ("resend
storms" are two engines that ask for the same again and again); it is asked for again only after it has stood
still for RESEND_STALL_NS, RESEND_ATTEMPTS_MAX times in all. At most QUEUED_MESSAGES_MAX messages wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from fix.codec import Message
from fix.timestamps import NS_PER_S

# Messages above a gap that are kept while it is filled. Ten thousand reports are two megabytes; what does not
# fit is asked for again when the gap is closed.
QUEUED_MESSAGES_MAX: Final = 10_000
# A gap whose filling has stood still is asked for again, so often; then the peer can't fill it and we say so.
RESEND_STALL_NS: Final = 10 * NS_PER_S
RESEND_ATTEMPTS_MAX: Final = 3


class Ask(NamedTuple):
    """A resend request: BeginSeqNo (7) and EndSeqNo (16); end 0 is "and all after it", so that a gap that has
    grown meanwhile is filled by the same answer."""

    begin: int
    end: int


class GapStalled(Exception):
    """The peer was asked as often as is allowed and does not fill the gap."""


@dataclass
class _Open:
    """A gap: all up to `end`. `asked_to` is the end of the present request (0: no end); `asked`, `next_in` and
    `at_ns` are of the last request or progress."""

    end: int
    asked_to: int
    asked: int
    next_in: int
    at_ns: int


class Gap:
    """At most one gap, and the messages above it. `chunk`: ask for so many messages at a time; 0: for all.

    The last piece, as the whole, is asked for without an end.
    """

    def __init__(self, chunk: int = 0) -> None:
        self._chunk = chunk
        self._waiting: dict[int, Message] = {}
        self._overflowed = False
        self._open: _Open | None = None

    def __contains__(self, seq: int) -> bool:
        return seq in self._waiting

    @property
    def is_open(self) -> bool:
        """Whether something is missing, or waits above it."""
        return self._open is not None or bool(self._waiting) or self._overflowed

    def keep(self, seq: int, message: Message) -> None:
        """`message` waits until all below it has come. What does not fit is asked for later."""
        if len(self._waiting) < QUEUED_MESSAGES_MAX:
            self._waiting[seq] = message
        else:
            self._overflowed = True

    def due(self, next_in: int) -> Message | None:
        return self._waiting.pop(next_in, None)

    def forget_below(self, next_in: int) -> None:
        for seq in [seq for seq in self._waiting if seq < next_in]:
            del self._waiting[seq]

    def clear(self) -> None:
        self._waiting.clear()
        self._overflowed = False
        self._open = None

    def open(self, next_in: int, end: int, now_ns: int) -> Ask | None:
        """Everything from `next_in` to `end` is missing. None when it has been asked for."""
        return self._ask(next_in, end, 1, now_ns) if self._open is None else None

    def expect(self, next_in: int, end: int, now_ns: int) -> None:
        """As `open`, for a gap that the peer fills unasked. It is asked for when that stands still."""
        if self._open is None:
            self._open = _Open(end, 0, 0, next_in, now_ns)

    def advance(self, next_in: int, now_ns: int) -> Ask | None:
        """After each message: whether to ask for the next piece, or for what found no room."""
        gap = self._open
        if gap is not None and next_in > gap.end:
            self._open = gap = None
        if gap is not None and gap.asked_to and next_in > gap.asked_to:
            return self._ask(next_in, gap.end, 1, now_ns)
        if gap is None and self._overflowed and not self._waiting:
            self._overflowed = False
            return self._ask(next_in, next_in, 1, now_ns)
        return None

    def tick(self, next_in: int, now_ns: int) -> Ask | None:
        """Whether to ask again. Raises GapStalled."""
        gap = self._open
        if gap is None:
            return None
        if next_in > gap.next_in:
            gap.next_in, gap.at_ns, gap.asked = next_in, now_ns, 1
        elif now_ns - gap.at_ns >= RESEND_STALL_NS:
            if gap.asked >= RESEND_ATTEMPTS_MAX:
                raise GapStalled(f"{next_in} to {gap.end} did not come after {gap.asked} resend requests")
            return self._ask(next_in, gap.end, gap.asked + 1, now_ns)
        return None

    def clock_set(self, by_ns: int) -> None:
        """As `KeepAlive.clock_set`."""
        if self._open is not None:
            self._open.at_ns += by_ns

    def _ask(self, begin: int, end: int, asked: int, now_ns: int) -> Ask:
        last_of_piece = begin + self._chunk - 1
        asked_to = last_of_piece if self._chunk and last_of_piece < end else 0
        self._open = _Open(end, asked_to, asked, begin, now_ns)
        return Ask(begin, asked_to)
