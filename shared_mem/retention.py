"""Retention: which segment files of the log are still needed, by whom, and removing those that are not.

Always holds: a segment goes only when it ends before every holder's position (each durable cursor, one of which is
the newest snapshot's; each living reader), before what is synced, and when its last byte is older than `keep`. As
long as no snapshot was ever stored, everything stays. They go oldest first, so that what is left has no hole,
whenever this is killed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from shared_mem.cursors import BEGINNING, saved_cursors
from shared_mem.log import (
    BELL_STRIDE,
    BELLS,
    READER_PID,
    READER_POSITION,
    Reader,
    Tail,
    segment_numbers,
    segment_path,
)
from shared_mem.segment import is_alive

# The cursor of the standby, and how far behind what is synced it may hold the log: one that has been away for longer
# begins anew from a snapshot. 4 GiB are some fifteen million orders.
STANDBY_CURSOR: Final = "standby"
STANDBY_BYTES_MAX: Final = 4 << 30

# The cursor of the newest snapshot that every place has which keeps snapshots.
SNAPSHOTS_CURSOR: Final = "snapshots"


class Holder(NamedTuple):
    """Somebody who may still read the log from `position` on."""

    name: str
    position: int


class Kept(NamedTuple):
    """One segment file, and why it is kept: "" when nothing holds it."""

    number: int
    bytes: int
    age_s: float
    reason: str


def living_readers(tail: Tail) -> dict[Reader, int]:
    """Where each living reader reads; of several with one name the last that read."""
    found: dict[Reader, int] = {}
    for reader in Reader:
        line = BELLS + int(reader) * BELL_STRIDE
        pid = tail.word(line + READER_PID)
        if pid and is_alive(pid):
            found[reader] = tail.word(line + READER_POSITION)
    return found


def holders(tail: Tail, cursors_dir: Path) -> list[Holder]:
    """Everyone who holds the log, the one that is furthest behind first."""
    cursors = {SNAPSHOTS_CURSOR: BEGINNING, **saved_cursors(cursors_dir)}
    found = [Holder(f"cursor {name}", cursor.position) for name, cursor in cursors.items()]
    found.append(Holder("the disk", tail.synced))
    found += [
        Holder(f"reader {reader.name.lower()}", position) for reader, position in living_readers(tail).items()
    ]
    standby = (f"cursor {STANDBY_CURSOR}", f"reader {Reader.STANDBY.name.lower()}")
    oldest = tail.synced - STANDBY_BYTES_MAX
    found = [holder for holder in found if holder.position >= oldest or holder.name not in standby]
    return sorted(found, key=lambda holder: holder.position)


def kept(log_dir: Path, segment_bytes: int, held_by: list[Holder], keep_s: float, now_s: float) -> list[Kept]:
    """Every segment file, oldest first. held_by: as `holders` gives it; keep_s: the age below which all are kept."""
    found: list[Kept] = []
    for number in segment_numbers(log_dir):
        path = segment_path(log_dir, number)
        status = path.stat()
        age_s = now_s - status.st_mtime
        end = (number + 1) * segment_bytes
        reason = next((holder.name for holder in held_by if holder.position < end), "")
        if not reason and age_s < keep_s:
            reason = "its age"
        found.append(Kept(number, status.st_blocks * 512, age_s, reason))
    return found


def trim(log_dir: Path, segment_bytes: int, held_by: list[Holder], keep_s: float, now_s: float) -> list[Path]:
    """Remove the segments that nothing holds, from the oldest up to the first that is held; what was removed."""
    removed: list[Path] = []
    for segment in kept(log_dir, segment_bytes, held_by, keep_s, now_s):
        if segment.reason:
            break
        path = segment_path(log_dir, segment.number)
        path.unlink()
        removed.append(path)
    if removed:
        directory = os.open(log_dir, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return removed
