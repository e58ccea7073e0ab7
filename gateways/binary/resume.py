"""Where in the log a client goes on: from the sequence number that it names to a position, and the records from there.

Always holds: the log is the store. A session's stream is the log's events of its account in the log's order, under the
log's own sequence numbers; nothing else is kept of what was sent, so nothing that is killed can lose it or number it
otherwise. What `PLACES` remembers only spares reading: without it a resume reads on from the beginning of a segment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from pathlib import Path
from typing import Final

from actors.view import StateView
from gateways.binary.layout import Code
from gateways.binary.requests import Refusal
from shared_mem.log_reader import LogReader, Record, segment_before

# A place is remembered for each so many records: a resume reads fewer than these in vain.
RECORDS_A_PLACE: Final = 512
# The newest places, for thirty million records: more than two segments' worth.
PLACES_MAX: Final = 65_536


class Places:
    """Sequence numbers and positions of records that have passed, rising."""

    def __init__(self) -> None:
        self._seqs: deque[int] = deque(maxlen=PLACES_MAX)
        self._positions: deque[int] = deque(maxlen=PLACES_MAX)
        self._passed = 0

    def note(self, records: list[Record]) -> None:
        if self._passed <= 0:
            self._seqs.append(records[0].seq)
            self._positions.append(records[0].position)
            self._passed = RECORDS_A_PLACE
        self._passed -= len(records)

    def before(self, seq: int) -> int | None:
        """The newest position remembered of a record that is not behind `seq`."""
        at = bisect_right(self._seqs, seq)
        return self._positions[at - 1] if at else None


class Resumes:
    """`reader` is moved about for all sessions that are behind; nobody else's."""

    def __init__(self, log_dir: Path, reader: LogReader, view: StateView, places: Places) -> None:
        self._log_dir = log_dir
        self._reader = reader
        self._view = view
        self._places = places

    @property
    def last_seq(self) -> int:
        return self._view.seq

    def position_of(self, next_seq: int) -> int:
        """A position at or before the first record from `next_seq` on. Raises Refusal where the log has not what the
        client asks for: its older part is gone, or its end."""
        if next_seq > self.last_seq + 1:
            text = (
                f"next_seq {next_seq}: the log ends at {self.last_seq}, so it has lost what was told behind that; "
                "reconcile by REST, then log in with 0"
            )
            raise Refusal(Code.NEXT_SEQ_AHEAD, text, next_seq)
        near = self._places.before(next_seq)
        if near is not None:
            return near
        found = segment_before(self._log_dir, self._reader.tail.segment_bytes, next_seq - 1)
        if found.seq > next_seq - 1:
            text = (
                f"next_seq {next_seq}: the log is kept from {found.seq + 1} on; reconcile by REST, then log in "
                "with that, or with 0"
            )
            raise Refusal(Code.NEXT_SEQ_GONE, text, found.seq + 1)
        return found.position

    def read(self, position: int, end: int, most: int) -> tuple[list[Record], int]:
        """Records from `position` on and before `end`, both of which are records' beginnings, and where to go on.
        Raises LogError."""
        self._reader.position = position
        records = [record for record in self._reader.read(most) if record.position < end]
        return records, min(self._reader.position, end)

    def close(self) -> None:
        self._reader.close()
