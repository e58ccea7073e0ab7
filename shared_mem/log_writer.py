"""Opening the log to write: in the living tail, or, when the memory is gone, at the end of the files.

Always holds: one process at a time has it open. Each opening is an epoch of its own. What a torn tail may have held
is never numbered again.
"""

from __future__ import annotations

import mmap
import os
import secrets
from pathlib import Path

import numpy as np

from shared_mem import log
from shared_mem.bell import open_fifo
from shared_mem.log import (
    DISK_END,
    EPOCH,
    LOG_ID,
    NO_END,
    NUMBERS_END,
    READERS,
    SEGMENT_BYTES_MIN,
    SEGMENT_SIZE,
    SEQ_POSITION,
    SHARD,
    START,
    SYNCED,
    WRITTEN,
    WRITTEN_SEQ,
    Gate,
    LogError,
    LogExhausted,
    Tail,
    ring_bells,
    tail_path,
)
from shared_mem.log_recovery import find_end
from shared_mem.segment import Segment, SegmentError


class LogWriter:
    """The log, open for its one writer. `position` and `next_seq` are where the writer goes on."""

    def __init__(self, log_dir: Path, run_dir: Path, tail: Tail) -> None:
        self.log_dir = log_dir
        self.run_dir = run_dir
        self.tail = tail
        self.bell_fds = np.array(
            [open_fifo(run_dir / f"bell.reader.{reader}") for reader in range(READERS)], dtype=np.int64
        )

    @classmethod
    def open(
        cls,
        log_dir: Path,
        run_dir: Path,
        shard: int,
        *,
        epoch: int = 0,
        segment_bytes: int = log.SEGMENT_BYTES,
    ) -> LogWriter:
        """Go on where the log ends: in the tail when it is still in memory, else at the end of the files.

        Each opening is an epoch of its own: `epoch`, or one more than the log's last when that is higher.
        Raises LogCorrupt, LogExhausted, LogError, or NoRoom where memory is too small for the tail.
        """
        if segment_bytes < SEGMENT_BYTES_MIN or segment_bytes % mmap.PAGESIZE:
            raise LogError(
                f"segment_bytes {segment_bytes} must be a multiple of {mmap.PAGESIZE}, {SEGMENT_BYTES_MIN} or more"
            )
        log_dir.mkdir(parents=True, exist_ok=True)
        log_id = _log_id(log_dir)
        tail = _living_tail(run_dir, log_id, segment_bytes)
        if tail is None:
            tail = _tail_from_files(log_dir, run_dir, log_id, shard, segment_bytes)
        tail.segment.advise_huge()
        tail.segment.prefault()  # touched once, now: a first store to a page costs as much as ten records
        if tail.written_seq >= NUMBERS_END or tail.written >= NUMBERS_END:
            raise LogExhausted(
                f"the log in {log_dir} ends at seq {tail.written_seq}, position {tail.written}: its numbers are nearly "
                "used up; take a snapshot and begin a new log from it"
            )
        tail.set_word(EPOCH, max(tail.epoch + 1, epoch))
        writer = cls(log_dir, run_dir, tail)
        for gate in Gate:  # for what a predecessor may have published and not rung for
            ring_bells(tail.address, writer.bell_fds.ctypes.data, int(gate))
        return writer

    @property
    def position(self) -> int:
        return self.tail.written

    @property
    def next_seq(self) -> int:
        return self.tail.written_seq + 1

    def close(self) -> None:
        """Let go of the readers' bells."""
        for fd in self.bell_fds:
            os.close(int(fd))


def _log_id(log_dir: Path) -> int:
    """A random number that ties the files to their tail: a wiped folder must not meet an old tail."""
    path = log_dir / "log.id"
    try:
        return int(path.read_text())
    except FileNotFoundError:
        number = secrets.randbits(62)
        temporary = path.with_suffix(".new")
        temporary.write_text(f"{number}\n")
        temporary.rename(path)
        return number
    except ValueError:
        raise LogError(f"{path} is not a number; restore it or remove the whole folder") from None


def _living_tail(run_dir: Path, log_id: int, segment_bytes: int) -> Tail | None:
    try:
        tail = Tail.attach(run_dir)
    except SegmentError:
        return None
    if tail.log_id != log_id:
        return None
    if tail.segment_bytes != segment_bytes:
        raise LogError(f"the log has segments of {tail.segment_bytes} bytes, asked for {segment_bytes}")
    tail.set_word(WRITTEN_SEQ, tail.written_seq)  # its last writer may have died while it published
    tail.set_word(SEQ_POSITION, tail.written)
    return tail


def _tail_from_files(log_dir: Path, run_dir: Path, log_id: int, shard: int, segment_bytes: int) -> Tail:
    position, next_seq, epoch = find_end(log_dir, segment_bytes, repair=True)
    if next_seq > 1:
        # What stood in the lost tail, behind the flusher, may have been seen by a client or a venue (gate
        # `written`): its sequence numbers, and the order ids made of them, are not given out again.
        next_seq += segment_bytes // log.RECORD_HEADER_BYTES
    path = tail_path(run_dir)
    path.unlink(missing_ok=True)
    words = {
        SEGMENT_SIZE: segment_bytes,
        SHARD: shard,
        START: position,
        EPOCH: epoch,
        WRITTEN: position,
        WRITTEN_SEQ: next_seq - 1,
        SEQ_POSITION: position,
        SYNCED: position,
        DISK_END: NO_END,
        LOG_ID: log_id,
    }
    return Tail(Segment.create(path, log.DATA + segment_bytes, log.LAYOUT, log.VERSION, words))
