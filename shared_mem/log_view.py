"""The log as it is at one moment, for whoever looks and follows nothing: from its files, and its tail where it has one.

Always holds: reading leaves no trace, not even where a reader stands, so it is safe beside a running desk and on a dead
one's folder. Records up to `end` do not change any more; those below `first` are no longer kept.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from shared_mem.log import (
    RECORD_HEADER_BYTES,
    CursorInvalid,
    Tail,
    last_record,
    place_of,
    segment_numbers,
    segment_path,
)
from shared_mem.log_folder import read_log_id
from shared_mem.segment import SegmentError

_RECORD: Final = struct.Struct("<HHIQqII")  # the header, as it is laid out in shared_mem/log.py
# What is read at a time.
PIECE_BYTES: Final = 4 << 20


class Source(Protocol):
    """What a replay reads: the log from `position` on, which the replay moves. A LogReader, or a LogView."""

    position: int

    @property
    def log_dir(self) -> Path: ...

    def end_position(self) -> int: ...

    def raw(self, end: int) -> bytes: ...

    def raw_from(self, position: int, end: int) -> bytes: ...


class Head(NamedTuple):
    """What stands in a record's header and names it."""

    seq: int
    time_ns: int
    epoch: int


def living_tail(log_dir: Path, run_dir: Path) -> Tail | None:
    """The tail that belongs to this folder, if it is in memory."""
    try:
        tail = Tail.attach(run_dir)
    except SegmentError:
        return None
    return tail if tail.log_id == read_log_id(log_dir) else None


class LogView:
    """The bytes from `first` to `end`. tail: as `living_tail` gives it. `position`: where a replay of it stands."""

    def __init__(self, log_dir: Path, segment_bytes: int, end: int, tail: Tail | None = None) -> None:
        self.position = 0
        self._log_dir = log_dir
        self.segment_bytes = segment_bytes
        self.end = end
        self._tail = tail
        numbers = segment_numbers(log_dir)
        self.first = numbers[0] * segment_bytes if numbers else (tail.start if tail is not None else 0)

    @property
    def log_dir(self) -> Path:
        return self._log_dir

    def end_position(self) -> int:
        return self.end

    def read(self, position: int, length: int) -> bytes:
        """`length` bytes, not across a segment's end. Raises CursorInvalid where they are not kept."""
        raw = self._tail.copy(position, length) if self._tail is not None else None
        if raw is not None:
            return raw
        number, offset = divmod(position, self.segment_bytes)
        try:
            descriptor = os.open(segment_path(self._log_dir, number), os.O_RDONLY)
        except FileNotFoundError:
            raise CursorInvalid(
                f"what stood at {place_of(position, self.segment_bytes)} is not kept any more"
            ) from None
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def raw(self, end: int) -> bytes:
        """From `position`, at most PIECE_BYTES and not past `end`, over segments' ends."""
        return self.raw_from(self.position, end)

    def raw_from(self, position: int, end: int) -> bytes:
        """As `raw`, from another position."""
        pieces: list[bytes] = []
        at, end = position, min(end, self.end, position + PIECE_BYTES)
        while at < end:
            pieces.append(self.read(at, min(end - at, self.segment_bytes - at % self.segment_bytes)))
            if not pieces[-1]:
                break
            at += len(pieces[-1])
        return b"".join(pieces)

    def record_before(self, position: int) -> Head | None:
        """The record that ends at `position`; None where none ends there, or what stands before it is not kept."""
        start = (position - 1) // self.segment_bytes * self.segment_bytes
        if position <= 0 or position > self.end or start < self.first:
            return None
        raw = b"".join(
            self.read(at, min(PIECE_BYTES, position - at)) for at in range(start, position, PIECE_BYTES)
        )
        last = int(last_record(np.frombuffer(raw, np.uint8).ctypes.data, len(raw)))
        return None if last < 0 else self._head(raw, last)

    def record_at(self, position: int) -> Head | None:
        """The record that begins at `position`; None at the log's end."""
        raw = self.read(position, RECORD_HEADER_BYTES) if position + RECORD_HEADER_BYTES <= self.end else b""
        return self._head(raw, 0) if raw else None

    def _head(self, raw: bytes, offset: int) -> Head:
        _, _, _, seq, time_ns, epoch, _ = _RECORD.unpack_from(raw, offset)
        return Head(seq, time_ns, epoch)
