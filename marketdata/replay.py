"""Replay: runs a source against a clock and hands out what is due: ticks to everyone, messages to the venue.

Always holds: the messages of a step are in the venue's ring before its ticks are published, so that nobody
sees a price that the venue can't come to; when that ring is full the replay waits and the recording with it;
after a wait it goes on at its pace and does not hurry after the clock. A quote that stands is published again
each QUOTE_REFRESH_NS, so that its age tells whether the replay lives, and not whether the market is quiet;
while the venue takes nothing, no quote is refreshed, and quotes grow stale for the risk checks.

Time comes in as an argument (Clock). One thread runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, NamedTuple, Protocol

from core.records import TickKind
from marketdata.records import Tick, pack_tick
from marketdata.source import NS, Source, Step

TICKS_RING: Final = "ticks"
TICKS_CAPACITY: Final = 65536

QUOTE_REFRESH_NS: Final = NS
LOOK_NS: Final = NS // 50  # how often it looks whether to stop, to begin again, or to refresh a quote
FULL_WAIT_S: Final = 0.001  # between two tries to push into a full ring
LATE_NS_MAX: Final = NS // 2  # more behind than this is a wait, not jitter, and is not made up for


class Clock(NamedTuple):
    """`wall` stamps what is published; `monotonic` paces; both in ns."""

    wall: Callable[[], int]
    monotonic: Callable[[], int]
    sleep: Callable[[float], object]


class TickSink(Protocol):
    def publish(self, record: bytes) -> int: ...


class FeedSink(Protocol):
    def try_push(self, record: bytes) -> bool: ...


class _Interrupted(Exception):
    """The pass is over before its end: to stop, or to begin again."""


class Replay:
    """`speed` times real time; 0 is as fast as it goes. `instruments`: numbers by symbol. `feed` is None when
    the venue lives of the ticks. `requested` says which pass the venue wants, 0 for none."""

    def __init__(
        self,
        source: Source,
        instruments: dict[str, int],
        ticks: TickSink,
        *,
        clock: Clock,
        speed: float,
        feed: FeedSink | None = None,
        requested: Callable[[], int] = lambda: 0,
    ) -> None:
        if speed < 0:
            raise ValueError(f"speed {speed} is negative; 1 is real time, 0 (or inf) as fast as it goes")
        self._source = source
        self._instruments = instruments
        self._ticks = ticks
        self._feed = feed
        self._clock = clock
        self._speed = 0.0 if speed == inf else speed
        self._requested = requested
        self._standing: dict[str, tuple[Tick, int]] = {}  # the quote that stands, and when it was published
        self._request = 0
        self._look_at = 0
        self._anchor = 0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Pass after pass, until `stopped`."""
        while not stopped():
            self._request = self._requested()
            self._anchor = self._clock.monotonic()
            try:
                for step in self._source.steps(self._request):
                    self._wait_for(step, stopped)
                    self._hand_out(step, stopped)
            except _Interrupted:
                continue

    def _wait_for(self, step: Step, stopped: Callable[[], bool]) -> None:
        now = self._clock.monotonic()
        due = self._anchor + int(step.offset_ns / self._speed) if self._speed else now
        if now - due > LATE_NS_MAX:
            self._anchor += now - due
        while True:
            self._look(now, stopped)
            if now >= due:
                return
            self._clock.sleep(min(due - now, LOOK_NS) / NS)
            now = self._clock.monotonic()

    def _look(self, now: int, stopped: Callable[[], bool]) -> None:
        if now < self._look_at:
            return
        self._look_at = now + LOOK_NS
        self._check(stopped)
        for tick, published in list(self._standing.values()):
            if now - published >= QUOTE_REFRESH_NS:
                self._publish(tick)

    def _check(self, stopped: Callable[[], bool]) -> None:
        if stopped() or self._requested() != self._request:
            self._standing.clear()
            raise _Interrupted

    def _hand_out(self, step: Step, stopped: Callable[[], bool]) -> None:
        if self._feed is not None:
            for message in step.messages:
                while not self._feed.try_push(message):
                    self._clock.sleep(FULL_WAIT_S)
                    self._check(stopped)
        for tick in step.ticks:
            self._publish(tick)
        for symbol in step.gone:
            self._standing.pop(symbol, None)

    def _publish(self, tick: Tick) -> None:
        number = self._instruments.get(tick.symbol)
        if number is None:
            return  # the recording has instruments that nobody defined
        self._ticks.publish(pack_tick(tick, number, self._clock.wall()))
        if tick.kind == TickKind.QUOTE:
            self._standing[tick.symbol] = (tick, self._clock.monotonic())
