"""The replay against a clock that a test turns, real shared memory, and a source that is a list or the real
thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import inf
from pathlib import Path

import numpy as np
import pytest

from core.records import TICK, TICK_BYTES, TickKind
from core.units import QTY_SCALE
from marketdata.book import Top
from marketdata.bridge import Bridge
from marketdata.closes import Closes
from marketdata.feed import FEED_CAPACITY, FeedGap, FeedReader, attach_feed, request_pass, requested
from marketdata.recorded import GAP_NS_MAX, Recorded
from marketdata.recording import batches
from marketdata.records import F_LAST, Action, Message, Tick, pack_message, unpack_messages, unpack_tick
from marketdata.replay import QUOTE_REFRESH_NS, TICKS_RING, Clock, Replay
from marketdata.source import NS, Description, Step, quote
from shared_mem.broadcast import Broadcast, BroadcastReader
from shared_mem.ring import Ring
from tests.marketdata.naive_book import NaiveBook

WALL_NS = 1_700_000_000 * NS


class HandClock:
    """A clock that only sleeping moves. `stops_at`: when the test has seen enough."""

    def __init__(self, stops_at: int = 3600 * NS) -> None:
        self.now = 0
        self.stops_at = stops_at
        self.slept: list[Callable[[], None]] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: WALL_NS + self.now, lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(1, round(seconds * NS))
        for then in self.slept:
            then()

    def stopped(self) -> bool:
        return self.now >= self.stops_at


class Published:
    """Who publishes ticks, in a list: (clock when published, tick)."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.ticks: list[tuple[int, Tick]] = []

    def publish(self, record: bytes) -> int:
        tick = unpack_tick(record, {1: "ESH4", 2: "X"})
        assert tick is not None
        self.ticks.append((self.clock.now, tick))
        return len(self.ticks)


class Listed:
    """A source that is a list of steps, once."""

    def __init__(self, steps: list[Step], clock: HandClock) -> None:
        self._steps = steps
        self._clock = clock

    def describe(self) -> Description:
        return Description("list", "", "", ("X",))

    def steps(self, request: int) -> Iterator[Step]:
        yield from self._steps
        self._clock.now = max(self._clock.now, self._clock.stops_at)


def quote_at(offset_ns: int, index: int) -> Step:
    return Step(offset_ns, (quote("X", 5, 100, 101, QTY_SCALE, QTY_SCALE, index),))


def replayed(steps: list[Step], speed: float, clock: HandClock) -> list[tuple[int, Tick]]:
    published = Published(clock)
    Replay(Listed(steps, clock), {"X": 2}, published, clock=clock.clock, speed=speed).run(clock.stopped)
    return published.ticks


def test_a_tick_comes_when_it_is_due_at_the_speed_asked_for() -> None:
    steps = [quote_at(0, 1), quote_at(NS, 2), quote_at(90 * NS, 3)]
    published = [(at, tick.recording_index) for at, tick in replayed(steps, 60.0, HandClock())]
    times = {index: at for at, index in reversed(published)}
    assert times == {1: 0, 2: pytest.approx(NS / 60, abs=2), 3: pytest.approx(1.5 * NS, abs=2)}


@pytest.mark.parametrize("speed", [0, inf])
def test_without_a_pace_no_time_passes(speed: float) -> None:
    clock = HandClock()
    published = replayed([quote_at(n * NS, n) for n in range(100)], speed, clock)
    assert [(at, tick.recording_index) for at, tick in published] == [(0, n) for n in range(100)]


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        replayed([], -1, HandClock())


def test_a_quote_that_stands_is_refreshed_and_says_so_by_its_index() -> None:
    published = replayed([quote_at(0, 1), quote_at(5 * NS, 2)], 1.0, HandClock())
    again = [at for at, tick in published if tick.recording_index == 1]
    assert len(again) >= 5
    assert all(
        QUOTE_REFRESH_NS <= after - before < 1.1 * QUOTE_REFRESH_NS for before, after in pairwise(again)
    )


def test_a_quote_that_is_gone_is_not_refreshed() -> None:
    gone = Step(NS, (), (), ("X",))
    published = replayed([quote_at(0, 1), gone, quote_at(9 * NS, 2)], 1.0, HandClock())
    assert max(at for at, tick in published if tick.recording_index == 1) <= NS


def test_a_tick_is_stamped_with_the_wall_clock_and_the_instrument(run_dir: Path) -> None:
    clock = HandClock()
    ring = Broadcast.create(run_dir / TICKS_RING, TICK_BYTES, 1024)
    reader = BroadcastReader(run_dir / TICKS_RING)
    Replay(Listed([quote_at(0, 7)], clock), {"X": 2}, ring, clock=clock.clock, speed=1).run(clock.stopped)
    raw = reader.pop()
    assert raw is not None
    row = np.frombuffer(raw[: TICK.itemsize], dtype=TICK)[0]
    assert (row["instrument"], row["kind"], row["recording_index"]) == (2, TickKind.QUOTE, 7)
    assert (row["time_ns"], row["published_ns"]) == (5, WALL_NS)
    assert (row["bid_e8"], row["ask_e8"], row["bid_size_e8"], row["ask_size_e8"]) == (
        100,
        101,
        QTY_SCALE,
        QTY_SCALE,
    )


def test_the_bridge_loops_and_its_prices_stay_above_zero(four_days: Closes) -> None:
    clock = HandClock(stops_at=20 * NS)
    published = Published(clock)
    bridge = Bridge(four_days, seed=1, day_seconds=2, steps_per_day=4)
    numbers = {"XOM": 2}
    Replay(bridge, numbers, published, clock=clock.clock, speed=1).run(clock.stopped)
    assert all(tick.bid_e8 > 0 for _, tick in published.ticks)
    firsts = [
        tick for _, tick in published.ticks if tick.recording_index // 2 == 19 and tick.kind == TickKind.QUOTE
    ]
    assert len(firsts) >= 3  # the first step of XOM, pass after pass
    assert len(set(firsts)) == 1


# --- the recording, with a venue -----------------------------------------------------------------------


def expected_quotes(path: Path, until: int) -> list[tuple[int, Top]]:
    """The changes of the top at event ends, by a plain book."""
    book, last = NaiveBook(), Top(0, 0, 0, 0)
    changes: list[tuple[int, Top]] = []
    for batch in batches(path):
        for message in unpack_messages(batch.tobytes()):
            if message.recording_index > until:
                return changes
            book.apply(message)
            if not message.flags & F_LAST:
                continue
            bids, asks = book.levels("B"), book.levels("A")
            top = Top(*bids[0], *asks[0])
            if top != last and top.bid_e8 < top.ask_e8:
                changes.append((message.recording_index, top))
            last = top
    return changes


def test_quotes_are_the_changes_of_the_recorded_top_and_trades_the_recorded_ones(es_recording: Path) -> None:
    ticks = [t for step in Recorded(es_recording).steps(1) for t in step.ticks]
    until = 9_800  # the snapshot, the auction and the open
    quotes = [
        (t.recording_index, Top(t.bid_e8, t.bid_size_e8 // QTY_SCALE, t.ask_e8, t.ask_size_e8 // QTY_SCALE))
        for t in ticks
        if t.kind == TickKind.QUOTE and t.recording_index <= until
    ]
    assert quotes == expected_quotes(es_recording, until)
    messages = [m for batch in batches(es_recording) for m in unpack_messages(batch.tobytes())]
    traded = [m for m in messages if m.action == Action.TRADE]
    assert [(t.recording_index, t.px_e8, t.size_e8) for t in ticks if t.kind == TickKind.TRADE] == [
        (m.recording_index, m.price_e8, m.size * QTY_SCALE) for m in traded
    ]


def test_the_steps_carry_every_message_in_order_and_time_skips_gaps_and_auctions(es_recording: Path) -> None:
    steps = list(Recorded(es_recording).steps(7))
    messages = [m for step in steps for m in unpack_messages(b"".join(step.messages))]
    assert [m.recording_index for m in messages] == list(range(68_792))
    assert {m.request for m in messages} == {7}
    offsets = [step.offset_ns for step in steps]
    inside_an_event = NS // 1000
    assert all(0 <= after - before <= GAP_NS_MAX + inside_an_event for before, after in pairwise(offsets))
    opening = next(s for s in steps if any(t.kind == TickKind.TRADE for t in s.ticks))
    assert opening.offset_ns < 120 * NS  # an hour before the open, most of it an auction


class VenueSide:
    """A venue that takes what is in the ring whenever the replay sleeps."""

    def __init__(self, run_dir: Path) -> None:
        self.feed = FeedReader(run_dir)
        self.messages: list[Message] = []

    def drain(self, most: int = 10**9) -> None:
        while most > 0 and (message := self.feed.pop()) is not None:
            self.messages.append(message)
            most -= 1


def test_the_venue_gets_every_message_and_the_recording_waits_for_it(
    es_recording: Path, run_dir: Path
) -> None:
    venue, clock = VenueSide(run_dir), HandClock()
    lag: list[int] = []

    def slowly() -> None:
        indices = [t.recording_index for _, t in published.ticks[-1:]]
        lag.extend(index - len(venue.messages) for index in indices)
        venue.drain(1_000)
        if len(venue.messages) >= 30_000:
            clock.now = clock.stops_at

    clock.slept.append(slowly)
    published = Published(clock)
    replay = Replay(
        Recorded(es_recording), {"ESH4": 1}, published, clock=clock.clock, speed=0,
        feed=attach_feed(run_dir), requested=lambda: requested(run_dir),
    )  # fmt: skip
    replay.run(clock.stopped)
    assert [m.recording_index for m in venue.messages[:30_000]] == list(range(30_000))
    assert max(lag) <= FEED_CAPACITY


def test_while_the_venue_takes_nothing_no_quote_is_refreshed(es_recording: Path, run_dir: Path) -> None:
    venue, clock = VenueSide(run_dir), HandClock(stops_at=5 * NS)
    clock.slept.append(lambda: venue.drain() if clock.now < NS // 100 else None)
    published = Published(clock)
    replay = Replay(
        Recorded(es_recording), {"ESH4": 1}, published, clock=clock.clock, speed=0,
        feed=attach_feed(run_dir), requested=lambda: requested(run_dir),
    )  # fmt: skip
    replay.run(clock.stopped)
    assert published.ticks
    assert max(at for at, _ in published.ticks) <= NS // 10


def test_a_venue_that_restarts_gets_the_recording_from_its_beginning(
    es_recording: Path, run_dir: Path
) -> None:
    clock = HandClock()
    venues = [VenueSide(run_dir)]

    def restart_in_the_middle() -> None:
        venues[-1].drain()
        if len(venues) == 1 and len(venues[0].messages) > 12_000:
            venues.append(
                VenueSide(run_dir)
            )  # the old one is dead; what is in the ring is not for the new one
        if len(venues[-1].messages) > 15_000:
            clock.now = clock.stops_at

    clock.slept.append(restart_in_the_middle)
    replay = Replay(
        Recorded(es_recording), {"ESH4": 1}, Published(clock), clock=clock.clock, speed=0,
        feed=attach_feed(run_dir), requested=lambda: requested(run_dir),
    )  # fmt: skip
    replay.run(clock.stopped)
    first, second = venues
    assert len(first.messages) > 12_000
    assert [m.recording_index for m in second.messages] == list(range(len(second.messages)))
    assert {m.request for m in second.messages} == {requested(run_dir)}


def test_a_replay_that_restarts_begins_anew_for_a_venue_that_lives(run_dir: Path) -> None:
    venue = FeedReader(run_dir)
    ring, number = attach_feed(run_dir), requested(run_dir)
    for index in (0, 1, 2, 0, 1):
        push(ring, index, number)
    taken = [message.recording_index for _ in range(5) if (message := venue.pop()) is not None]
    assert taken == [0, 1, 2, 0, 1]


def test_a_missing_message_is_an_error_and_not_a_wrong_book(run_dir: Path) -> None:
    venue = FeedReader(run_dir)
    ring, number = attach_feed(run_dir), requested(run_dir)
    push(ring, 0, number)
    push(ring, 2, number)
    assert venue.pop() is not None
    with pytest.raises(FeedGap, match="2 came where 1 should"):
        venue.pop()


def test_each_request_has_its_own_number(run_dir: Path) -> None:
    assert requested(run_dir) == 0
    assert [request_pass(run_dir) for _ in range(3)] == [1, 2, 3]
    assert requested(run_dir) == 3


def push(ring: Ring, index: int, request: int) -> None:
    message = Message(index, 0, 0, 1, 100, 1, 1, 0, request, F_LAST, Action.ADD, ord("B"))
    assert ring.try_push(pack_message(message))
