"""Following the log: from the tail in memory while a reader keeps up, from the segment files when it lags.

Always holds: a reader gets every record behind its gate, whole, once, in order. Reading changes nothing of the log;
where it reads stands in the tail, so that what it still needs is kept while it lives (shared_mem/retention.py).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shared_mem.bell import clear_flag, drain, open_fifo, park_flag
from shared_mem.cursors import BEGINNING, Cursor
from shared_mem.lease import require
from shared_mem.log import (
    BELL_STRIDE,
    BELLS,
    KIND_PADDING,
    READER_PID,
    READER_POSITION,
    RECORD_BYTES_MAX,
    RECORD_HEADER_BYTES,
    CursorInvalid,
    Gate,
    LogCorrupt,
    Reader,
    Tail,
    load_word,
    scan,
    segment_numbers,
    segment_path,
    store_word,
)

_RECORD: Final = struct.Struct("<HHIQqII")  # the header, as it is laid out in shared_mem/log.py


class Record(NamedTuple):
    position: int
    next_position: int
    seq: int
    time_ns: int
    epoch: int
    kind: int
    payload: bytes


# What one read takes at most: enough to amortise its cost, small beside the tail.
READ_BYTES_MAX: Final = 256 << 10
RAW_BYTES_MAX: Final = 4 << 20


def parse_records(raw: bytes, start: int, left: int, most: int) -> tuple[list[Record], int]:
    """The records of `raw`, which begins at position `start` and is `left` bytes from its segment's end: at most
    `most` of them, and the position after them. Raises LogCorrupt where no record can begin."""
    records: list[Record] = []
    at = 0
    while at + RECORD_HEADER_BYTES <= len(raw) and len(records) < most:
        total, kind, _crc, seq, time_ns, epoch, _lag = _RECORD.unpack_from(raw, at)
        taken = (total + 7) & ~7
        if total < RECORD_HEADER_BYTES:
            raise LogCorrupt(f"no record at position {start + at}; run `tradewind log verify`")
        if at + taken > len(raw) and kind != KIND_PADDING:
            break
        if kind != KIND_PADDING:
            payload = raw[at + RECORD_HEADER_BYTES : at + total]
            position = start + at
            records.append(Record(position, position + taken, seq, time_ns, epoch, kind, payload))
        at += taken
    if left - at < RECORD_HEADER_BYTES:
        at = left  # too short for a header: the rest of the segment is zeros
    return records, start + at


def first_kept(log_dir: Path, segment_bytes: int) -> Cursor:
    """Where the log begins that is still there: its beginning, until retention has removed a segment."""
    numbers = segment_numbers(log_dir)
    if not numbers or numbers[0] == 0:
        return BEGINNING
    return Cursor(numbers[0] * segment_bytes, _first_seq(log_dir, numbers[0]) - 1)


def segment_before(log_dir: Path, segment_bytes: int, seq: int) -> Cursor:
    """Where the last segment begins whose records before it are all at most `seq`: whoever has done those reads on from
    there. When the log is kept from a later record on, where that is: its `seq` is then above the one asked for."""
    found = first_kept(log_dir, segment_bytes)
    for number in segment_numbers(log_dir)[1:]:
        first_seq = _first_seq(log_dir, number)
        if not 0 < first_seq <= seq + 1:  # 0: reserved, and nothing in it yet
            break
        found = Cursor(number * segment_bytes, first_seq - 1)
    return found


def _first_seq(log_dir: Path, number: int) -> int:
    """Of the record that a segment file begins with; 0 for none. While the disk is full, an empty file is there for
    a moment, again and again."""
    try:
        with segment_path(log_dir, number).open("rb") as file:
            head = file.read(RECORD_HEADER_BYTES)
    except FileNotFoundError:
        return 0
    return int(_RECORD.unpack(head)[3]) if len(head) == RECORD_HEADER_BYTES else 0


class LogReader:
    """Follows the log from a position. Reading changes nothing; the cursor is the caller's to keep, with the
    effect it stands for. `position`: where to go on; 0 is the beginning."""

    def __init__(
        self, log_dir: Path, run_dir: Path, reader: Reader, position: int = 0, gate: Gate = Gate.WRITTEN
    ) -> None:
        self._log_dir = log_dir
        self._tail = Tail.attach(run_dir)
        self._gate = gate
        # Whoever only looks (the audit), or ships what stands here to the next owner, needs no lease.
        self._needs_lease = reader not in (Reader.AUDIT, Reader.STANDBY)
        self._flag = self._tail.address + BELLS + int(reader) * BELL_STRIDE
        self._fd = open_fifo(run_dir / f"bell.reader.{int(reader)}")
        self._file: tuple[int, int] | None = None  # number, descriptor
        self.position = position
        store_word(self._flag + READER_PID, os.getpid())
        if position > self._tail.written:
            raise CursorInvalid(
                f"the cursor of {reader.name} stands at {position}, the log ends at {self._tail.written}: "
                "the log lost its end in a power cut, or was replaced"
            )

    @property
    def tail(self) -> Tail:
        return self._tail

    @property
    def log_dir(self) -> Path:
        return self._log_dir

    @property
    def position(self) -> int:
        """Where the next read begins. The tail shows it: what stands behind it is kept while this reader lives."""
        return self._position

    @position.setter
    def position(self, position: int) -> None:
        self._position = position
        store_word(self._flag + READER_POSITION, position)

    def end_position(self) -> int:
        """How far it may read. Raises LeaseOver."""
        if self._needs_lease:
            require(self._tail)
        return self._tail.reached(self._gate)

    def read(self, max_records: int = 256) -> list[Record]:
        """The next records, oldest first; [] when there are none behind the gate."""
        end = self.end_position()
        records: list[Record] = []
        while not records and self.position < end:
            start = self.position
            left_in_segment = self._tail.segment_bytes - start % self._tail.segment_bytes
            raw = self._bytes(start, min(end - start, left_in_segment, READ_BYTES_MAX))
            good = int(scan(np.frombuffer(raw, np.uint8).ctypes.data, len(raw), 0, 0)[0])
            records, self.position = parse_records(raw[:good], start, left_in_segment, max_records)
            if self.position == start:
                if len(raw) >= min(RECORD_BYTES_MAX, end - start):
                    raise LogCorrupt(
                        f"no good record at position {start}; restore the log from a copy or a standby"
                    )
                break  # it lags too far for the tail, and the flusher is not there yet
        return records

    def raw(self, end: int) -> bytes:
        """The log's bytes from `position`, at most RAW_BYTES_MAX and not past `end`, over segments' ends. It moves
        nothing: the caller adds what it used to `position`."""
        return self.raw_from(self.position, end)

    def raw_from(self, position: int, end: int) -> bytes:
        """As `raw`, from another position. By one thread at a time."""
        pieces: list[bytes] = []
        at = position
        end = min(end, at + RAW_BYTES_MAX)
        while at < end:
            left_in_segment = self._tail.segment_bytes - at % self._tail.segment_bytes
            piece = self._bytes(at, min(end - at, left_in_segment))
            if not piece:
                break
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)

    def _bytes(self, position: int, length: int) -> bytes:
        raw = self._tail.copy(position, length)
        if raw is not None:
            return raw
        return self._file_bytes(position, min(length, max(0, self._tail.synced - position)))

    def _file_bytes(self, position: int, length: int) -> bytes:
        if length == 0:
            return b""
        number, offset = divmod(position, self._tail.segment_bytes)
        if self._file is None or self._file[0] != number:
            self._close_file()
            try:
                self._file = (number, os.open(segment_path(self._log_dir, number), os.O_RDONLY))
            except FileNotFoundError:
                raise CursorInvalid(
                    f"{segment_path(self._log_dir, number)} is gone: this reader is further behind than the log "
                    "is kept; rebuild it from a snapshot"
                ) from None
        return os.pread(self._file[1], length, offset)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file[1])
            self._file = None

    def fileno(self) -> int:
        return self._fd

    def park(self) -> None:
        """Set the flag; read once more, then sleep on `fileno()`."""
        park_flag(self._flag, int(self._gate))

    def wake(self) -> None:
        clear_flag(self._flag)
        drain(self._fd)

    def close(self) -> None:
        clear_flag(self._flag)
        if int(load_word(self._flag + READER_PID)) == os.getpid():  # not another reader of this name
            store_word(self._flag + READER_PID, 0)
        self._close_file()
        os.close(self._fd)
