"""The flusher: streams the log's tail to its segment files, in the writer's process, beside its loop.

Always holds:
- A segment file is reserved in full (`posix_fallocate`) before it is written, the next one as soon as this one is
  begun. A disk without room for the next is told to the writer while this one still has room (`DISK_END`): orders
  are rejected, cancels go on; it is tried again until there is room.
- What is written goes out with `pwrite` and counts only after `fdatasync`. After a failed `fdatasync` or `pwrite`
  the process dies at once: the page cache can't be trusted any more (Rebello et al., ATC 2020), and nothing is
  acknowledged after it.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from shared_mem.bell import clear_flag, drain, open_fifo, park_flag, sleep_on
from shared_mem.log import (
    BELL_STRIDE,
    BELLS,
    DATA,
    DISK_END,
    FLUSH_BYTES,
    FLUSH_BYTES_MAX,
    FLUSH_NS,
    FLUSH_NS_MAX,
    FLUSH_NS_TOTAL,
    FLUSHES,
    NO_END,
    R_TIME,
    RECORD_HEADER_BYTES,
    SYNCED,
    Gate,
    Reader,
    ring_bells,
    segment_path,
)
from shared_mem.log_writer import LogWriter

_log: Final = logging.getLogger("tradewind.log")

# The flusher looks at least this often, should a wake-up ever fail it; and so often it tries a full disk again.
FLUSH_POLL_S: Final = 0.05

# A longer flush window than this is a clock that was set, or a machine that slept.
_WINDOW_NS_MAX: Final = 3600 * 10**9

EXIT_DISK_FAILED: Final = 70  # EX_SOFTWARE; the supervisor tells it from a crash


class Flusher(threading.Thread):
    """In a thread of its own (`start`), or turned by hand (`flush`)."""

    def __init__(self, writer: LogWriter, die: Callable[[str], NoReturn] | None = None) -> None:
        super().__init__(name="flusher", daemon=True)
        self._writer = writer
        self._tail = writer.tail
        self._die = die or _die
        self._flag = self._tail.address + BELLS + int(Reader.FLUSHER) * BELL_STRIDE
        self._fd = open_fifo(writer.run_dir / f"bell.reader.{int(Reader.FLUSHER)}")
        self._files: dict[int, int] = {}
        self._stopping = threading.Event()
        self._failed_at = -math.inf
        self.disk_full = False

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:  # whatever it is: a log that nobody flushes must not look like a slow disk
            self._die(f"the flusher failed: {error!r}")

    def _run(self) -> None:
        self._reserve_ahead()
        while not self._stopping.is_set():
            if self.flush() > 0:
                continue
            if self.disk_full and self._tail.written != self._tail.synced:
                self._stopping.wait(FLUSH_POLL_S)  # no bell tells when the disk has room
                continue
            park_flag(self._flag, int(Gate.WRITTEN))
            if self._tail.written == self._tail.synced:
                sleep_on(self._fd, FLUSH_POLL_S)
            clear_flag(self._flag)
            drain(self._fd)
            self._reserve_ahead()
        self.flush()

    def stop(self) -> None:
        """Flush what is written, and end."""
        self._stopping.set()
        self.join()
        self.close()

    def close(self) -> None:
        """Give the descriptors back. Not while it runs."""
        for fd in (*self._files.values(), self._fd):
            os.close(fd)
        self._files.clear()

    def flush(self) -> int:
        """Bring everything written to disk; the bytes it was. 0 when the disk has no room for all of it."""
        tail = self._tail
        end, start = tail.written, tail.synced
        if end == start:
            return 0
        oldest_ns = self._time_at(start)
        position = start
        while position < end:
            number, offset = divmod(position, tail.segment_bytes)
            fd = self._file(number)
            if fd is None:
                return 0  # what was written of it is written again: SYNCED never stands within a group
            length = min(end - position, tail.segment_bytes - offset)
            self._write(fd, DATA + offset, length, offset)
            # One file is synced before the next is begun: so what stands in the next proves this one whole.
            self._sync(fd)
            position += length
        tail.set_word(SYNCED, end)
        self._note(end - start, oldest_ns)
        ring_bells(tail.address, self._writer.bell_fds.ctypes.data, int(Gate.SYNCED))
        self._reserve_ahead()
        return end - start

    def _time_at(self, position: int) -> int:
        """The time in the record at `position`; 0 where a segment is filled up to its end."""
        offset = position % self._tail.segment_bytes
        if offset + RECORD_HEADER_BYTES > self._tail.segment_bytes:
            return 0
        return self._tail.word(DATA + offset + R_TIME)

    def _note(self, length: int, oldest_ns: int) -> None:
        """The measured flush window."""
        tail = self._tail
        window_ns = min(max(time.time_ns() - oldest_ns, 0), _WINDOW_NS_MAX) if oldest_ns else 0
        for word, value in (
            (FLUSH_BYTES, length),
            (FLUSH_BYTES_MAX, max(length, tail.word(FLUSH_BYTES_MAX))),
            (FLUSH_NS, window_ns),
            (FLUSH_NS_MAX, max(window_ns, tail.word(FLUSH_NS_MAX))),
            (FLUSH_NS_TOTAL, window_ns + tail.word(FLUSH_NS_TOTAL)),
            (FLUSHES, 1 + tail.word(FLUSHES)),
        ):
            tail.set_word(word, value)

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

    def _reserve_ahead(self) -> None:
        """See to it that the segment being written and the next are there; after a failure at a pace that leaves the
        disk alone."""
        number = self._tail.written // self._tail.segment_bytes
        is_done = number + 1 in self._files and not self.disk_full
        if is_done or time.monotonic() - self._failed_at < FLUSH_POLL_S:
            return
        if self._file(number) is not None and self._file(number + 1) is not None:
            if self.disk_full:
                _log.warning("there is room for the log again: new orders are taken")
            self.disk_full = False
            self._tail.set_word(DISK_END, NO_END)

    def _file(self, number: int) -> int | None:
        """The descriptor of a segment, its space reserved; None when the disk has no room for it, and then the writer
        is told where its space ends."""
        if number in self._files:
            return self._files[number]
        path = segment_path(self._writer.log_dir, number)
        try:
            fd = _reserve(path, self._tail.segment_bytes)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                if not self.disk_full:
                    _log.error(
                        "no room for %s (%s): new orders are rejected until there is; cancels go on",
                        path,
                        os.strerror(error.errno),
                    )
                self.disk_full = True
                self._failed_at = time.monotonic()
                self._tail.set_word(DISK_END, number * self._tail.segment_bytes)
                return None
            self._die(f"{path}: {error}")
        for old in [n for n in self._files if n < number - 2]:
            os.close(self._files.pop(old))
        self._files[number] = fd
        self._failed_at = -math.inf
        return fd


def _reserve(path: Path, size: int) -> int:
    """A descriptor of the file, made if missing, `size` bytes of it reserved and its name on disk."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        is_new = os.fstat(fd).st_size == 0
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError:
            if is_new:
                path.unlink()  # what it did get is others' again
            raise
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
