"""Follows the log from an event loop: wakes with the log's bell, hands over batches, waits while told to.

Always holds here: records are handed over in order, each once; between two batches the loop gets its turn;
while `may_read` is False nothing is read, and `resume` goes on where it was held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from shared_mem.log_reader import LogReader, Record

# One batch becomes one append to a store and one write to a socket. At 300 bytes a message that is 75 KiB.
BATCH_RECORDS: Final = 256


class LogFollower:
    """`take` is called with each batch. `end_with` gets an error of the log or of `take`: the process must
    end."""

    def __init__(
        self,
        reader: LogReader,
        take: Callable[[list[Record]], None],
        end_with: Callable[[BaseException], None],
        may_read: Callable[[], bool] = lambda: True,
    ) -> None:
        self._reader = reader
        self._take = take
        self._end_with = end_with
        self._may_read = may_read
        self._loop: asyncio.AbstractEventLoop | None = None
        self._again: asyncio.Handle | None = None
        self._held = False

    def start(self) -> None:
        """Within a running loop: begins to follow."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader.fileno(), self._woken)
        self.pump()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._reader.fileno())
        if self._again is not None:
            self._again.cancel()
        self._loop = None

    def pump(self) -> None:
        """Takes one batch now and the next in the loop's next turn; parks when there is none."""
        if self._loop is None or (self._again is not None and not self._again.cancelled()):
            return
        self._held = not self._may_read()
        if self._held:
            return
        try:
            records = self._reader.read(BATCH_RECORDS)
            if not records:
                self._reader.park()
                records = self._reader.read(BATCH_RECORDS)
            if records:
                self._take(records)
        except Exception as error:
            # Whatever it is, the cursor stands before this batch: a restart goes on there, going on here
            # might not.
            self._end_with(error)
            return
        if records:
            self._again = self._loop.call_soon(self._next)

    def resume(self) -> None:
        """`pump`, if there was something that could not be read for want of room."""
        if self._held:
            self.pump()

    def _woken(self) -> None:
        self._reader.wake()
        self.pump()

    def _next(self) -> None:
        self._again = None
        self.pump()
