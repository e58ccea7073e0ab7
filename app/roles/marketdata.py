"""The role `marketdata`: the replay -> quotes and trades for everyone, and a recording's messages for the
venue.

Without a recording it plays simulated days between real closes, at the place where the clock says, so that a
restart goes on where it would have been.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final, TypeVar

from actors.view import StateView
from app.config import Config
from core.records import TICK_BYTES
from marketdata import closes
from marketdata.bridge import SEED, WINDOW_DAYS, Bridge
from marketdata.feed import attach_feed, requested
from marketdata.instruments import definitions
from marketdata.recorded import Recorded
from marketdata.replay import TICKS_CAPACITY, TICKS_RING, Clock, Replay
from marketdata.source import Source
from shared_mem.broadcast import Broadcast
from shared_mem.segment import SegmentMissing

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_S: Final = 0.02  # how often it looks for a shard or a venue that is starting too


def main(config: Config, ready: Callable[[], None]) -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    ticks = Broadcast.create(config.run_dir / TICKS_RING, TICK_BYTES, TICKS_CAPACITY)
    source = _source(config)
    log.info("%s", source.describe().text)
    numbers = _until(stopping, partial(_instruments, config))
    feed = _until(stopping, partial(attach_feed, config.run_dir)) if config.replay else None
    if numbers is None or (config.replay and feed is None):
        return
    replay = Replay(
        source,
        numbers,
        ticks,
        clock=Clock(time.time_ns, time.monotonic_ns, stopping.wait),
        speed=config.speed,
        feed=feed,
        requested=partial(requested, config.run_dir) if feed is not None else lambda: 0,
    )
    ready()
    replay.run(stopping.is_set)


def _source(config: Config) -> Source:
    if config.replay is not None:
        return Recorded(config.replay)
    bridge = Bridge(closes.read(WINDOW_DAYS + 1), seed=SEED)
    if config.speed != inf:
        bridge.starting_at(int(time.time_ns() * config.speed) // bridge.step_ns)
    return bridge


def _instruments(config: Config) -> dict[str, int]:
    """The shard's numbers of all instruments. Raises SegmentMissing while it has not defined them all."""
    view = StateView.attach(config.run_dir)
    found = {view.symbol: view.instrument for view in view.instruments()}
    missing = [d.symbol for d in definitions(config.replay) if d.symbol not in found]
    if missing:
        raise SegmentMissing(f"the shard has not defined {', '.join(missing)} yet")
    return found


def _until(stopping: threading.Event, attempt: Callable[[], T]) -> T | None:
    """What `attempt` returns once it no longer raises SegmentMissing; None when it is time to stop."""
    while not stopping.is_set():
        try:
            return attempt()
        except SegmentMissing:
            stopping.wait(LOOK_S)
    return None
