"""Opening the log to write: in the living tail, or, when the memory is gone, at the end of the files.

Always holds: one process at a time has it open, by a lock of the kernel's. Each opening is an epoch of its own. What a
torn tail may have held is never numbered again. Nothing is cut off before the witness has heard where.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

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
    LogCorrupt,
    LogError,
    LogExhausted,
    Tail,
    place_of,
    ring_bells,
    segment_path,
    tail_path,
)
from shared_mem.log_folder import claim, log_id, number_from, numbered_from
from shared_mem.log_recovery import find_end, repair
from shared_mem.segment import Segment, SegmentError

LOCK_FILE: Final = "writer.lock"

# Is told where the log ends and the epoch that it ends in, before anything behind that is cut off; raises what it knows
# better.
Witness = Callable[[int, int], None]

# So much of what was synced last is compared between the tail and its file.
COMPARED_BYTES: Final = 4096


class LogWriter:
    """The log, open for its one writer. `position` and `next_seq` are where the writer goes on."""

    def __init__(self, log_dir: Path, run_dir: Path, tail: Tail, lock: int) -> None:
        self.log_dir = log_dir
        self.run_dir = run_dir
        self.tail = tail
        self._lock = lock
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
        first_seq: int = 1,
        segment_bytes: int = log.SEGMENT_BYTES,
        witness: Witness | None = None,
    ) -> LogWriter:
        """Go on where the log ends: in the tail when it is still in memory, else at the end of the files.

        Each opening is an epoch of its own: `epoch`, or one more than the log's last when that is higher. first_seq:
        the number of a new log's first record.
        Raises LogCorrupt, LogExhausted, LogError, or NoRoom where memory is too small for the tail.
        """
        if segment_bytes < SEGMENT_BYTES_MIN or segment_bytes % mmap.PAGESIZE:
            raise LogError(
                f"segment_bytes {segment_bytes} must be a multiple of {mmap.PAGESIZE}, {SEGMENT_BYTES_MIN} or more"
            )
        log_dir.mkdir(parents=True, exist_ok=True)
        lock = _locked(log_dir)
        claim(log_dir, log.LAYOUT, log.VERSION)
        number = log_id(log_dir)
        witness = witness or _knows_nothing
        tail = _living_tail(log_dir, run_dir, number, segment_bytes, witness)
        if tail is None:
            tail = _tail_from_files(log_dir, run_dir, number, shard, first_seq, segment_bytes, witness)
        tail.segment.advise_huge()
        tail.segment.prefault()  # touched once, now: a first store to a page costs as much as ten records
        if tail.written_seq >= NUMBERS_END or tail.written >= NUMBERS_END:
            raise LogExhausted(
                f"the log in {log_dir} ends at seq {tail.written_seq}, position {tail.written}: its numbers are nearly "
                "used up; take a snapshot and begin a new log from it"
            )
        tail.set_word(EPOCH, max(tail.epoch + 1, epoch))
        writer = cls(log_dir, run_dir, tail, lock)
        for gate in Gate:  # for what a predecessor may have published and not rung for
            ring_bells(tail.address, writer.bell_fds.ctypes.data, int(gate))
        return writer

    @property
    def position(self) -> int:
        return self.tail.written

    @property
    def next_seq(self) -> int:
        return self.tail.written_seq + 1

    def go_on_after(self, seq: int, epoch: int) -> None:
        """Number nothing again up to `seq`, of an epoch that is over: for a log of which retention has left no
        record, so that its files don't tell. Before anything is written."""
        least = seq + self.tail.segment_bytes // log.RECORD_HEADER_BYTES
        if seq > 0 and self.tail.start == self.tail.written and self.tail.written_seq < least:
            number_from(self.log_dir, least + 1)  # a second power cut in a row finds it there
            self.tail.set_word(WRITTEN_SEQ, least)
        if self.tail.epoch <= epoch:
            self.tail.set_word(EPOCH, epoch + 1)

    def close(self) -> None:
        """Let go of the readers' bells and of the log's lock."""
        for fd in self.bell_fds:
            os.close(int(fd))
        os.close(self._lock)


def _locked(log_dir: Path) -> int:
    """The lock of the log's one writer, which ends with its process however that ends; nobody inherits it. Raises
    LogError while another process has it."""
    descriptor = os.open(log_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise LogError(
            f"another process (pid {owner}) writes the log in {log_dir}; end it first: one log has one shard"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _knows_nothing(_end: int, _epoch: int) -> None:
    return


def _living_tail(
    log_dir: Path, run_dir: Path, number: int, segment_bytes: int, witness: Witness
) -> Tail | None:
    try:
        tail = Tail.attach(run_dir)
    except SegmentError:
        return None
    if tail.log_id != number:
        return None
    if tail.segment_bytes != segment_bytes:
        raise LogError(f"the log has segments of {tail.segment_bytes} bytes, asked for {segment_bytes}")
    _check_files(log_dir, tail)
    witness(tail.written, tail.epoch)
    tail.set_word(WRITTEN_SEQ, tail.written_seq)  # its last writer may have died while it published
    tail.set_word(SEQ_POSITION, tail.written)
    return tail


def _check_files(log_dir: Path, tail: Tail) -> None:
    """Raises LogCorrupt unless the files hold what was synced last: in a folder that was put back from a copy while the
    tail stayed in memory, the log would go on behind a hole."""
    end = tail.synced
    offset = (end - 1) % tail.segment_bytes + 1  # in the file that has the byte before it
    length = min(COMPARED_BYTES, end - tail.start, offset)
    ours = tail.copy(end - length, length) if length > 0 else None
    path = segment_path(log_dir, (end - 1) // tail.segment_bytes)
    if ours is None or (offset == tail.segment_bytes and not path.exists()):
        return  # nothing to compare: overwritten, never written, or let go by retention
    try:
        with path.open("rb") as file:
            theirs = os.pread(file.fileno(), length, offset - length)
    except FileNotFoundError:
        theirs = b""
    if ours != theirs:
        raise LogCorrupt(
            f"{path} does not hold what was synced before {place_of(end, tail.segment_bytes)}: the folder was changed "
            f"while the log's tail stayed in memory. Nothing was changed. Restore the newest files; or remove "
            f"{tail_path(tail.segment.path.parent)}: then the log goes on where its files end",
            end - length,
        )


def _tail_from_files(
    log_dir: Path,
    run_dir: Path,
    number: int,
    shard: int,
    first_seq: int,
    segment_bytes: int,
    witness: Witness,
) -> Tail:
    end = find_end(log_dir, segment_bytes)
    witness(end.position, end.epoch)
    repair(log_dir, segment_bytes, end)
    position, next_seq, epoch = end.position, end.next_seq, end.epoch
    begun = numbered_from(log_dir)
    if next_seq > 1 or begun > 0:
        # What stood in the lost tail, behind the flusher, may have been seen by a client or a venue (gate
        # `written`): its sequence numbers, and the order ids made of them, are not given out again. Nor are those of a
        # start that lost its tail in its turn before any of it was on disk.
        next_seq = max(next_seq, begun) + segment_bytes // log.RECORD_HEADER_BYTES
    else:
        next_seq = first_seq
    number_from(log_dir, next_seq)
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
        LOG_ID: number,
    }
    return Tail(Segment.create(path, log.DATA + segment_bytes, log.LAYOUT, log.VERSION, words))
