"""Retention: a segment goes when nobody needs it any more, and never while somebody does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Reader, segment_numbers
from shared_mem.log_reader import LogReader
from shared_mem.retention import SNAPSHOTS_CURSOR, Holder, holders, kept, living_readers, trim
from tests.shared_mem.desk import SEGMENT_BYTES, Child, LogDesk, everything, payloads

FOR_EVER_S = 10.0**9


@pytest.fixture
def four_segments(a_log: LogDesk) -> LogDesk:
    """A log whose records fill four segments, all synced, and a fifth that is reserved."""
    while a_log.position < 3 * SEGMENT_BYTES + 100:
        a_log.write_and_flush(b"%d" % a_log.position * 100)
    assert segment_numbers(a_log.log_dir) == [0, 1, 2, 3, 4]
    return a_log


def left(desk: LogDesk, snapshot_position: int, keep_s: float = 0.0) -> list[int]:
    """The segments that are left with the newest snapshot at that position."""
    CursorFile(desk.log_dir / "cursors", SNAPSHOTS_CURSOR).save(Cursor(snapshot_position, 1))
    held_by = holders(desk.tail, desk.log_dir / "cursors")
    trim(desk.log_dir, SEGMENT_BYTES, held_by, keep_s, time.time() + 1)
    return segment_numbers(desk.log_dir)


def test_what_ends_before_the_snapshot_goes_and_the_rest_stays(four_segments: LogDesk) -> None:
    assert left(four_segments, 0)[0] == 0
    assert left(four_segments, SEGMENT_BYTES - 8)[0] == 0
    assert left(four_segments, SEGMENT_BYTES)[0] == 1
    assert left(four_segments, 3 * SEGMENT_BYTES - 8)[0] == 2
    assert left(four_segments, four_segments.position)[0] == 3, "what is being written stays"
    assert payloads(everything(four_segments.reader(3 * SEGMENT_BYTES)))


def test_a_cursor_holds_whatever_the_snapshot_says(four_segments: LogDesk) -> None:
    cursor = CursorFile(four_segments.log_dir / "cursors", "slow")
    cursor.save(Cursor(SEGMENT_BYTES + 8, 1))
    assert left(four_segments, four_segments.position)[0] == 1
    cursor.path.write_bytes(b"damaged")
    assert left(four_segments, four_segments.position)[0] == 1, "who can't say what it needs needs everything"
    cursor.path.unlink()
    assert left(four_segments, four_segments.position)[0] == 3


def test_a_cursor_file_that_is_only_begun_holds_everything(four_segments: LogDesk) -> None:
    CursorFile(four_segments.log_dir / "cursors", "new")
    assert left(four_segments, four_segments.position)[0] == 0


def test_what_is_young_stays(four_segments: LogDesk) -> None:
    assert left(four_segments, four_segments.position, keep_s=3600)[0] == 0
    assert left(four_segments, four_segments.position, keep_s=0)[0] == 3


def _read_a_little(log_dir: Path, run_dir: Path) -> None:
    reader = LogReader(log_dir, run_dir, Reader.GATEWAY, SEGMENT_BYTES)
    reader.read(3)
    time.sleep(FOR_EVER_S)


def test_a_living_reader_holds_and_a_killed_one_does_not(four_segments: LogDesk) -> None:
    child = Child(_read_a_little, four_segments.log_dir, four_segments.run_dir)
    while living_readers(four_segments.tail).get(Reader.GATEWAY, 0) <= SEGMENT_BYTES:
        time.sleep(0.001)
    assert left(four_segments, four_segments.position)[0] == 1
    child.kill()
    assert Reader.GATEWAY not in living_readers(four_segments.tail)
    assert left(four_segments, four_segments.position)[0] == 3


def test_nothing_that_is_not_synced_goes(four_segments: LogDesk) -> None:
    position = four_segments.position
    while four_segments.position < position + SEGMENT_BYTES // 2:
        four_segments.write(bytes(900))
    CursorFile(four_segments.log_dir / "cursors", SNAPSHOTS_CURSOR).save(Cursor(2**62, 1))
    held_by = holders(four_segments.tail, four_segments.log_dir / "cursors")
    assert held_by[0] == Holder("the disk", four_segments.tail.synced)


def test_without_a_snapshot_everything_stays(four_segments: LogDesk) -> None:
    held_by = holders(four_segments.tail, four_segments.log_dir / "none")
    assert held_by[0] == Holder("cursor snapshots", 0)
    assert trim(four_segments.log_dir, SEGMENT_BYTES, held_by, 0, time.time() + 1) == []


def test_a_trimmed_log_is_opened_read_and_recovered(four_segments: LogDesk) -> None:
    records = everything(four_segments.reader(2 * SEGMENT_BYTES))
    left(four_segments, 2 * SEGMENT_BYTES)
    end, seq = four_segments.position, four_segments.seq
    assert four_segments.recovered_end() == (end, seq)
    four_segments.lose_memory()
    four_segments.open()
    assert four_segments.position == end
    assert everything(four_segments.reader(2 * SEGMENT_BYTES)) == records


def test_why_each_segment_is_kept_is_said(four_segments: LogDesk) -> None:
    held_by = [Holder("cursor slow", SEGMENT_BYTES), Holder("snapshot", 2 * SEGMENT_BYTES)]
    now = time.time()
    assert [k.reason for k in kept(four_segments.log_dir, SEGMENT_BYTES, held_by, 0, now + 1)][:4] == [
        "", "cursor slow", "cursor slow", "cursor slow",
    ]  # fmt: skip
    assert next(iter(kept(four_segments.log_dir, SEGMENT_BYTES, held_by, 3600, now))).reason == "its age"


def _trim_forever(log_dir: Path) -> None:
    while True:
        trim(log_dir, SEGMENT_BYTES, [], 0, time.time() + 1)


def test_a_kill_in_the_middle_leaves_no_hole(tmp_path: Path) -> None:
    for _ in range(10):
        for number in range(200):
            (tmp_path / f"{number:010d}.log").touch()
        child = Child(_trim_forever, tmp_path)
        while len(segment_numbers(tmp_path)) > 150:
            pass
        child.kill()
        numbers = segment_numbers(tmp_path)
        assert numbers == list(range(200 - len(numbers), 200))
