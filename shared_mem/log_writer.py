"""Opening the log to write, and the flusher that streams the tail to disk. One process at a time does this.

Always holds: a segment file is reserved in full (`posix_fallocate`) before it is written; what is written goes
out with `pwrite` and counts only after `fdatasync`. After a failed `fdatasync` or `pwrite` the process dies at
once: the page cache can't be trusted any more (Rebello et al., ATC 2020), and nothing is acknowledged after it.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from shared_mem import log
from shared_mem.bell import clear_flag, drain, open_fifo, park_flag, sleep_on
from shared_mem.log import (
    BELL_STRIDE,
    BELLS,
    DATA,
    EPOCH,
    LOG_ID,
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
    Reader,
    Tail,
    proof_of_sync,
    ring_bells,
    scan,
    segment_path,
    tail_path,
)
from shared_mem.segment import Segment, SegmentError

# The flusher looks at least this often, should a wake-up ever fail it: the bound of the flush window.
FLUSH_POLL_S: Final = 0.05

EXIT_DISK_FAILED: Final = 70  # EX_SOFTWARE; the supervisor tells it from a crash


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
        Raises LogCorrupt or LogError.
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
        tail.set_word(EPOCH, max(tail.epoch + 1, epoch))
        return cls(log_dir, run_dir, tail)

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
        LOG_ID: log_id,
    }
    return Tail(Segment.create(path, DATA + segment_bytes, log.LAYOUT, log.VERSION, words))


def find_end(log_dir: Path, segment_bytes: int, *, repair: bool) -> tuple[int, int, int]:
    """Where the files end, after a whole group: (position, next seq, last epoch). Raises LogCorrupt.

    repair: cut off what a torn tail left behind it, and see to it that the rest is on disk."""
    numbers = sorted(int(path.stem) for path in log_dir.glob("*.log"))
    end, end_seq = (numbers[0] * segment_bytes if numbers else 0), 1
    seq = epoch = 0
    for index, number in enumerate(numbers):
        if number != numbers[0] + index:
            raise LogCorrupt(
                f"{segment_path(log_dir, numbers[0] + index)} is missing; restore it from a copy"
            )
        path = segment_path(log_dir, number)
        data = np.fromfile(path, dtype=np.uint8)
        size = len(data) - len(data) % 8
        walked, seq, epoch, closed, closed_seq = scan(data.ctypes.data, size, seq, epoch)
        if closed >= 0:
            end, end_seq = number * segment_bytes + int(closed), int(closed_seq)
        if segment_bytes - walked >= log.RECORD_HEADER_BYTES:
            _check_end(path, data, size, int(walked), number * segment_bytes, numbers[index + 1 :])
            break
    if repair:
        _cut(log_dir, [n for n in numbers if (n + 1) * segment_bytes >= end], end, segment_bytes)
    return end, end_seq, int(epoch)


def _check_end(
    path: Path, data: np.ndarray, size: int, walked: int, file_position: int, later: list[int]
) -> None:
    """The good records end inside `path`, at `walked`. Raises LogCorrupt where something proves that they went on."""
    proof = int(proof_of_sync(data.ctypes.data, size, walked, file_position))
    for number in later:  # begun only when the one before was synced
        if proof < 0 and np.fromfile(segment_path(path.parent, number), dtype=np.uint8).any():
            proof = file_position + (number - int(path.stem)) * len(data)
    if proof >= 0:
        raise LogCorrupt(
            f"{path} is damaged at offset {walked} (position {file_position + walked}): the record at position "
            f"{proof} proves that it had been on disk. Nothing was changed. Restore the file from a copy or a standby"
        )


def _cut(log_dir: Path, numbers: list[int], end: int, segment_bytes: int) -> None:
    """Wipe what stands behind `end`; what stands before it may still be in the page cache alone: sync it."""
    for number in numbers:
        with segment_path(log_dir, number).open("r+b") as file:
            keep = min(max(end - number * segment_bytes, 0), segment_bytes)
            file.seek(keep)
            rest = np.frombuffer(file.read(), np.uint8)
            if rest.any():
                file.seek(keep)
                file.write(bytes(len(rest)))
                file.flush()
            os.fsync(file.fileno())


class Flusher(threading.Thread):
    """Streams the tail to the segment files, in the shard's process, beside its compiled loop."""

    def __init__(self, writer: LogWriter, die: Callable[[str], NoReturn] | None = None) -> None:
        super().__init__(name="flusher", daemon=True)
        self._writer = writer
        self._tail = writer.tail
        self._die = die or _die
        self._flag = self._tail.address + BELLS + int(Reader.FLUSHER) * BELL_STRIDE
        self._fd = open_fifo(writer.run_dir / f"bell.reader.{int(Reader.FLUSHER)}")
        self._files: dict[int, int] = {}
        self._stopping = threading.Event()
        self.disk_full = False
        self.flushes = 0

    def run(self) -> None:
        while not self._stopping.is_set():
            if self.flush() == 0:
                park_flag(self._flag, int(Gate.WRITTEN))
                if self._tail.written == self._tail.synced or self.disk_full:
                    sleep_on(self._fd, FLUSH_POLL_S)
                clear_flag(self._flag)
                drain(self._fd)
        self.flush()

    def stop(self) -> None:
        """Flush what is written, and end."""
        self._stopping.set()
        self.join()
        for fd in (*self._files.values(), self._fd):
            os.close(fd)

    def flush(self) -> int:
        """Bring everything written to disk; the bytes it was. Sets `disk_full` and returns 0 when there is no room."""
        tail = self._tail
        end, start = tail.written, tail.synced
        if end == start:
            return 0
        position = start
        while position < end:
            number, offset = divmod(position, tail.segment_bytes)
            fd = self._file(number)
            if fd is None:
                self.disk_full = True
                return 0
            length = min(end - position, tail.segment_bytes - offset)
            self._write(fd, DATA + offset, length, offset)
            # One file is synced before the next is begun: so what stands in the next proves this one whole.
            self._sync(fd)
            position += length
        self.disk_full = False
        tail.set_word(SYNCED, end)
        self.flushes += 1
        ring_bells(tail.address, self._writer.bell_fds.ctypes.data, int(Gate.SYNCED))
        return end - start

    def _write(self, fd: int, start: int, length: int, offset: int) -> None:
        view = self._tail.segment.view
        done = 0
        while done < length:
            try:
                done += os.pwrite(fd, view[start + done : start + length], offset + done)
            except OSError as error:
                self._die(f"write to the log failed: {error}")

    def _sync(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError as error:
            self._die(
                f"fdatasync of the log failed: {error}. Nothing after position {self._tail.synced} is acknowledged."
            )

    def _file(self, number: int) -> int | None:
        """The descriptor of a segment, its space reserved; None when the disk has no room for it."""
        if number in self._files:
            return self._files[number]
        path = segment_path(self._writer.log_dir, number)
        try:
            fd = _reserve(path, self._tail.segment_bytes)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return None
            self._die(f"{path}: {error}")
        for old in [n for n in self._files if n < number - 1]:
            os.close(self._files.pop(old))
        self._files[number] = fd
        return fd


def _reserve(path: Path, size: int) -> int:
    """A descriptor of the file, made if missing, `size` bytes of it reserved and its name on disk."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
        os.fsync(fd)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        os.close(fd)
        raise
    return fd


def _die(message: str) -> NoReturn:
    os.write(2, f"{message}\n".encode())
    os._exit(EXIT_DISK_FAILED)
