"""The log under stress: a writer with its flusher, followers with durable cursors, and retention, all of them killed.

What a record must hold follows from its sequence number alone, so whoever reads one can check every byte of it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from shared_mem import log
from shared_mem.bell import sleep_on
from shared_mem.cursors import Cursor, CursorFile, saved_cursors
from shared_mem.flusher import Flusher
from shared_mem.log import KIND_CLOSING, RECORD_BYTES_MAX, Gate, Reader, Tail
from shared_mem.log_reader import LogReader, first_kept
from shared_mem.log_recovery import find_end
from shared_mem.log_writer import LogWriter
from shared_mem.retention import SNAPSHOTS_CURSOR, holders, trim
from shared_mem.segment import SegmentMissing

SEGMENT_BYTES: Final = log.SEGMENT_BYTES_MIN
COMMAND: Final = 1
EVENT: Final = KIND_CLOSING + 1
# What a follower found wrong stands here, a line each.
FINDINGS: Final = "findings"

_PAYLOAD_MAX: Final = RECORD_BYTES_MAX - log.RECORD_HEADER_BYTES
_BYTES: Final = random.Random(7).randbytes(1 << 16)
_READERS: Final = {"one": (Reader.GATEWAY, Gate.WRITTEN), "two": (Reader.PUBLISHER, Gate.SYNCED)}


def payload_of(seq: int) -> bytes:
    start = seq * 7919 % (len(_BYTES) - RECORD_BYTES_MAX)
    return _BYTES[start : start + seq * 104_729 % (_PAYLOAD_MAX + 1)]


def prepare(folder: Path) -> None:
    (folder / "run").mkdir()
    LogWriter.open(folder / "log", folder / "run", 0, segment_bytes=SEGMENT_BYTES).close()
    CursorFile(folder / "cursors", SNAPSHOTS_CURSOR).save(Cursor())


def write(folder: Path, is_over: Callable[[], bool]) -> None:
    """Groups of a command and one or two events, published and rung for together, as a shard does it."""
    writer = LogWriter.open(folder / "log", folder / "run", 0, segment_bytes=SEGMENT_BYTES)
    flusher = Flusher(writer)
    flusher.start()
    tail, position, seq = writer.tail, writer.position, writer.next_seq
    bells = int(writer.bell_fds.ctypes.data)
    while not is_over():
        if int(log.room(tail.address, position)) < SEGMENT_BYTES // 4:
            time.sleep(0)
            continue
        for kind in (COMMAND, EVENT, EVENT)[: 2 + seq % 2]:
            position = _put(tail, position, kind, seq)
            seq += 1
        log.publish(tail.address, position, seq - 1)
        log.ring_bells(tail.address, bells, int(Gate.WRITTEN))
    flusher.stop()
    writer.close()


def _put(tail: Tail, position: int, kind: int, seq: int) -> int:
    payload = np.frombuffer(payload_of(seq) or b"\0", np.uint8)
    length = len(payload_of(seq))
    left = SEGMENT_BYTES - position % SEGMENT_BYTES
    target = tail.address + log.DATA + position % SEGMENT_BYTES
    if log.RECORD_HEADER_BYTES + length > left:
        log.put_padding(target, left)
        position += left
        target = tail.address + log.DATA
    lag = position - tail.synced
    return position + int(
        log.put_record(target, kind, seq, time.time_ns(), tail.epoch, lag, int(payload.ctypes.data), length)
    )


def read(folder: Path, name: str, is_over: Callable[[], bool]) -> None:
    """Follow from the durable cursor, check every byte, and save the cursor behind what was checked."""
    who, gate = _READERS[name]
    file = CursorFile(folder / "cursors", name)
    cursor = file.load()
    reader = LogReader(folder / "log", folder / "run", who, cursor.position, gate)
    seq = cursor.seq
    while True:
        records = reader.read()
        for record in records:
            seq += 1
            if record.seq != seq:
                _found(folder, f"{name}: seq {record.seq} where {seq} was to come")
                seq = record.seq
            if record.payload != payload_of(seq):
                _found(folder, f"{name}: seq {seq} holds other bytes")
        if records:
            file.save(Cursor(reader.position, seq))
            continue
        if is_over():
            return
        reader.park()
        if reader.end_position() == reader.position:
            sleep_on(reader.fileno(), 0.05)
        reader.wake()


def trim_until(folder: Path, is_over: Callable[[], bool]) -> None:
    """Retention, with a snapshot that is as far as the slower follower: no file is kept longer than it must."""
    snapshots = CursorFile(folder / "cursors", SNAPSHOTS_CURSOR)
    pace = threading.Event()
    while not is_over():
        cursors = saved_cursors(folder / "cursors")
        slower = min((cursors.get(name, Cursor()) for name in _READERS), key=lambda cursor: cursor.position)
        snapshots.save(slower)
        try:
            tail = Tail.attach(folder / "run")
        except SegmentMissing:
            continue
        trim(folder / "log", SEGMENT_BYTES, holders(tail, folder / "cursors"), 0.0, time.time() + 1)
        pace.wait(0.05)


def _found(folder: Path, what: str) -> None:
    with (folder / FINDINGS).open("a") as file:
        file.write(what + "\n")


def tally(folder: Path) -> tuple[int, dict[str, int]]:
    """Everything once more from the files that are kept, as after a reboot."""
    tail = Tail.attach(folder / "run")
    written, last_seq = tail.written, tail.written_seq
    end, next_seq, *_ = find_end(folder / "log", SEGMENT_BYTES)
    cursors = saved_cursors(folder / "cursors")
    begin = first_kept(folder / "log", SEGMENT_BYTES)
    reader = LogReader(folder / "log", folder / "run", Reader.AUDIT, begin.position)
    seq, wrong = begin.seq, 0
    while records := reader.read():
        for record in records:
            seq += 1
            wrong += record.seq != seq or record.payload != payload_of(record.seq)
    reader.close()
    found = (folder / FINDINGS).read_text().splitlines() if (folder / FINDINGS).exists() else []
    return last_seq, {
        "wrong to a follower": len(found),
        "wrong in the files": wrong,
        "lost at the end": last_seq - seq,
        "files end elsewhere": int((end, next_seq) != (written, last_seq + 1)),
        "followers behind": sum(cursors[name].seq != last_seq for name in _READERS),
    }
