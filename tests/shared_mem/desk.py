"""Stories of this room: a log with records in it, and processes that can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared_mem import log
from shared_mem.flusher import Flusher
from shared_mem.log import DATA, SEGMENT_BYTES_MIN, Gate, Reader
from shared_mem.log_reader import LogReader, Record
from shared_mem.log_recovery import find_end, repair
from shared_mem.log_writer import LogWriter

SEGMENT_BYTES = SEGMENT_BYTES_MIN
# How many sequence numbers a start after a lost tail leaves out, for what may have stood in it.
LEFT_OUT = SEGMENT_BYTES // log.RECORD_HEADER_BYTES
COMMAND, EVENT = 1, 101  # a kind that goes on, and one that closes its group

# So that a test that waits for a process that hangs ends; nothing is measured by it.
PATIENCE_S = 60

_FORK = multiprocessing.get_context("fork")


class Child:
    """A real process that runs `work`, to be killed with SIGKILL."""

    def __init__(self, work: Callable[..., None], *args: Any) -> None:
        self._process = _FORK.Process(target=work, args=args, daemon=True)
        self._process.start()

    def kill(self) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def join(self) -> int | None:
        self._process.join(PATIENCE_S)
        if self._process.exitcode is None:
            self.kill()
        return self._process.exitcode


@contextmanager
def small_disk(root: Path, size: int) -> Iterator[Path]:
    """A file system of its own with `size` bytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    folder = root / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class Died(BaseException):
    """What a flusher's `die` raises in a test, where the process would end."""


def die(message: str) -> Any:
    raise Died(message)


class LogDesk:
    """The log's one writer, in this process, with small segments. It writes groups as a shard does."""

    def __init__(self, root: Path, run_dir: Path) -> None:
        self.log_dir, self.run_dir = root / "log", run_dir
        self._readers: list[LogReader] = []
        self.time_ns = 0  # of what is written, when a test says so
        self.open()

    def close(self) -> None:
        """Give the descriptors back; what a killed process holds, its system closes."""
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        if hasattr(self, "writer"):
            self.writer.close()
            del self.writer

    def open(self) -> None:
        self.close()
        self.writer = LogWriter.open(self.log_dir, self.run_dir, 0, segment_bytes=SEGMENT_BYTES)
        self.tail = self.writer.tail
        self.position, self.seq = self.writer.position, self.writer.next_seq
        self.flusher = Flusher(self.writer, die)

    def put(self, kind: int, payload: bytes) -> None:
        """One record, not yet visible; padding before it where it would cross the segment's end."""
        left = SEGMENT_BYTES - self.position % SEGMENT_BYTES
        target = self.tail.address + DATA + self.position % SEGMENT_BYTES
        if log.RECORD_HEADER_BYTES + len(payload) > left:
            log.put_padding(target, left)
            self.position += left
            target = self.tail.address + DATA
        raw = np.frombuffer(payload, np.uint8)
        behind = self.position - self.tail.synced
        address = raw.ctypes.data if len(raw) else 0
        time_ns = (self.time_ns or 10**18) + self.seq % 10**12
        taken = log.put_record(target, kind, self.seq, time_ns, self.tail.epoch, behind, address, len(raw))
        self.position += int(taken)
        self.seq += 1

    def publish(self) -> None:
        log.publish(self.tail.address, self.position, self.seq - 1)

    def write(self, *payloads: bytes) -> None:
        """A group for each payload: a command with it, and an event with it."""
        for payload in payloads:
            self.put(COMMAND, payload)
            self.put(EVENT, payload)
            self.publish()

    def flush(self) -> int:
        return self.flusher.flush()

    def write_and_flush(self, *payloads: bytes) -> None:
        """As `write`, for more than the tail holds: the flusher keeps up."""
        for payload in payloads:
            self.write(payload)
            if self.position - self.tail.synced > SEGMENT_BYTES // 8:
                self.flush()
        self.flush()

    def reader(self, position: int = 0, gate: Gate = Gate.WRITTEN, who: Reader = Reader.AUDIT) -> LogReader:
        reader = LogReader(self.log_dir, self.run_dir, who, position, gate)
        self._readers.append(reader)
        return reader

    def lose_memory(self) -> None:
        """The machine went down: what is not in the files is gone."""
        log.tail_path(self.run_dir).unlink()

    def recovered_end(self) -> tuple[int, int]:
        end = find_end(self.log_dir, SEGMENT_BYTES)
        repair(self.log_dir, SEGMENT_BYTES, end)
        return end.position, end.next_seq

    def file(self, number: int = 0) -> Path:
        return log.segment_path(self.log_dir, number)


def everything(reader: LogReader) -> list[Record]:
    found: list[Record] = []
    while records := reader.read():
        found += records
    return found


def payloads(records: Iterable[Record]) -> list[bytes]:
    return [record.payload for record in records if record.kind == EVENT]


def flip(path: Path, offset: int, bit: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
