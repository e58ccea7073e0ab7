"""The log itself, for a follower of the stream that needs what the stream has not any more.

Always holds: it gives the very updates that the publisher would, in order and without a hole, or says from where on the
log is kept (BeginningGone). Reading changes nothing; the log that a follower still needs is held for it by a cursor
(`Hold`), as it is for those who read the log itself (shared_mem/retention.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from core import events
from services.names import Names
from services.publisher import Log
from services.schemas import Update
from services.translate import EVENT_KINDS, to_update
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log_reader import segment_before

# Updates given at once: a batch of the follower's.
BATCH_MAX: Final = 512
# How often the cursor that holds the log is moved: it moves by whole segments, which take longer to fill.
HOLD_S: Final = 5.0


class BeginningGone(RuntimeError):
    """The log does not reach back to where a follower stands."""

    def __init__(self, done: int, kept_from: int) -> None:
        super().__init__(
            f"events after {done} are needed, and the log is kept from record {kept_from} on only"
        )
        self.kept_from = kept_from


class Backlog:
    """One shard's log. `open_log(position)` opens it there; `segment_bytes()` is asked when it is needed, for the log
    may not be there yet when the role starts."""

    def __init__(
        self,
        *,
        shard: int,
        log_dir: Path,
        segment_bytes: Callable[[], int],
        open_log: Callable[[int], Log],
        names: Callable[[], Names],
    ) -> None:
        self._shard = shard
        self._log_dir = log_dir
        self._segment_bytes = segment_bytes
        self._open_log = open_log
        self._names = names

    def place_before(self, seq: int) -> Cursor:
        """Where a segment begins from which on everything after event `seq` is read. Raises BeginningGone."""
        found = segment_before(self._log_dir, self._segment_bytes(), seq)
        if found.seq > seq:
            raise BeginningGone(seq, found.seq + 1)
        return found

    def updates(self, done: int, up_to: int) -> Iterator[list[Update]]:
        """The updates after event `done`, to event `up_to` or the log's end. Raises BeginningGone."""
        log, names, prior = self._open_log(self.place_before(done).position), self._names(), done
        batch: list[Update] = []
        try:
            while prior < up_to and (records := log.read()):
                for record in records:
                    if record.kind not in EVENT_KINDS:
                        continue
                    event = events.decode(record.seq, record.time_ns, record.payload)
                    names.learn(event)
                    if not done < event.seq <= up_to:
                        continue
                    account, symbol = names.account(event.account), names.symbol(event.instrument)
                    batch.append(
                        to_update(event, shard=self._shard, prior_seq=prior, account=account, symbol=symbol)
                    )
                    prior = event.seq
                    if len(batch) == BATCH_MAX:
                        yield batch
                        batch = []
            if batch:
                yield batch
        finally:
            log.close()


class Holder(Protocol):
    """Told how far a follower is."""

    def done(self, seq: int) -> None: ...


class Hold:
    """Keeps the log for a follower, by its name in `cursors/`: from the segment on that it stands in."""

    def __init__(self, backlog: Backlog, cursor_file: CursorFile) -> None:
        self._backlog = backlog
        self._cursor_file = cursor_file
        self._looked_at = -HOLD_S

    def done(self, seq: int) -> None:
        """Everything up to event `seq` is done. One whose log has gone already holds nothing that there was."""
        now_s = time.monotonic()
        if now_s - self._looked_at < HOLD_S:
            return
        self._looked_at = now_s
        try:
            before = self._backlog.place_before(seq)
        except BeginningGone:
            return
        if before.position > self._cursor_file.load().position or self._cursor_file.load().seq == 0:
            self._cursor_file.save(Cursor(before.position, seq))
