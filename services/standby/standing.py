"""What the tail says of the standby, and `tradewind status` with it: what it has, whether it is there, what it granted.

Always holds: REPLICATED is what a standby has acknowledged as on its disk, and never goes back. A standby that is away
is never passed over in silence: orders are refused, or, where it was configured so, go on without it, with an alarm.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from services.standby.messages import Ack
from shared_mem import lease, log
from shared_mem.bell import open_fifo
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import READERS, Gate, Tail, ring_bells

_log: Final = logging.getLogger("tradewind.replicator")

# A standby that is no further behind is there: what an order then waits for is under way.
CLOSE_BYTES: Final = 8 << 20
# How often the cursor is saved and the status told.
TELL_S: Final = 1.0
STATUS_FILE: Final = "standby.json"
CURSOR_NAME: Final = "standby"


class LinkStatus(msgspec.Struct, frozen=True):
    """What `tradewind status` says of the standby. lag_bytes: synced here and not there."""

    state: str  # following, catching up, away, refused, diverged
    host: str
    position: int
    lag_bytes: int
    detail: str = ""


class Terms(NamedTuple):
    """What this owner was told. lease_ms 0: no lease. degrades: gate `replicated` stands where `synced` does while the
    standby is away. is_awaited: the gate is `replicated`."""

    shard: int
    key: bytes
    lease_ms: int
    away_ms: int
    is_awaited: bool
    degrades: bool


class Standing:
    """Written by the replicator alone."""

    def __init__(self, terms: Terms, run_dir: Path, cursors_dir: Path) -> None:
        self.terms = terms
        self.tail = Tail.attach(run_dir)
        self._status_path = run_dir / STATUS_FILE
        self._bells = np.array([open_fifo(run_dir / f"bell.reader.{r}") for r in range(READERS)], np.int64)
        self._cursor_file = CursorFile(cursors_dir, CURSOR_NAME)
        self._heard_s = time.monotonic()
        self._was_away = False
        self._told: LinkStatus | None = None
        self._told_s = 0.0

    def acknowledged(self, host: str, ack: Ack) -> None:
        """The standby has the log up to here; its promise reaches `lease_ms` from the beat that it answers."""
        terms, tail = self.terms, self.tail
        is_close = tail.synced - ack.position <= CLOSE_BYTES
        if is_close:
            self._heard_s = time.monotonic()
        if is_close and terms.is_awaited and not terms.degrades:
            tail.set_word(log.STANDBY_UNTIL, lease.boot_ns() + terms.away_ms * 1_000_000)
        if terms.lease_ms and ack.beat_ns:
            lease.extend(tail, log.GRANTED_UNTIL, ack.beat_ns + terms.lease_ms * 1_000_000)
        if ack.position > tail.word(log.REPLICATED):
            tail.set_word(log.REPLICATED, ack.position)
        if tail.word(log.DEGRADED) and ack.position >= tail.synced:
            tail.set_word(log.DEGRADED, 0)
            _log.warning("the standby is back: orders wait for it again")
        ring_bells(tail.address, self._bells.ctypes.data, int(Gate.REPLICATED))
        self._was_away = self._was_away and not is_close
        if time.monotonic() - self._told_s >= TELL_S:
            self._told_s = time.monotonic()
            self._cursor_file.save(Cursor(ack.position, 0))
            state = "following" if is_close else "catching up"
            self.say(LinkStatus(state, host, ack.position, max(0, tail.synced - ack.position)))

    def released(self) -> None:
        """What was synced may leave while the gate is degraded: nobody else rings for it."""
        if self.tail.word(log.DEGRADED):
            ring_bells(self.tail.address, self._bells.ctypes.data, int(Gate.REPLICATED))

    def look_whether_away(self) -> None:
        self.released()
        if self._was_away or time.monotonic() - self._heard_s < self.terms.away_ms / 1000:
            return
        self._was_away = True
        tail = self.tail
        answer = "the standby is away"
        if self.terms.is_awaited and self.terms.degrades:
            tail.set_word(log.DEGRADED, 1)
            ring_bells(tail.address, self._bells.ctypes.data, int(Gate.REPLICATED))
            answer += ": ORDERS GO ON WITHOUT IT (when_standby_away = degrade); a lost disk loses them"
        elif self.terms.is_awaited:
            answer += ": new orders are rejected until it is back"
        _log.error("%s", answer)
        before = self._told
        host, position = (before.host, before.position) if before else ("", tail.word(log.REPLICATED))
        self.say(LinkStatus("away", host, position, max(0, tail.synced - position), answer))

    def diverged(self, host: str, ack: Ack) -> None:
        _log.critical("STANDBY %s DIVERGED: %s", host, ack.diverged)
        self.say(LinkStatus("diverged", host, ack.position, 0, ack.diverged))

    def say(self, status: LinkStatus) -> None:
        if status == self._told:
            return
        path = self._status_path
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(status))
        fresh.replace(path)
        self._told = status
