"""The log as its readers see it: what was written is read back, from memory or from files, and nothing else is."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared_mem import log
from shared_mem.bell import sleep_on
from shared_mem.log import RECORD_BYTES_MAX, CursorInvalid, Gate, LogCorrupt, LogError, LogExhausted, Tail
from shared_mem.log_reader import LogReader
from shared_mem.log_writer import LogWriter
from shared_mem.segment import NoRoom, SegmentMissing
from tests.shared_mem.desk import (
    COMMAND,
    EVENT,
    LEFT_OUT,
    SEGMENT_BYTES,
    LogDesk,
    everything,
    flip,
    payloads,
    small_disk,
)

PAYLOAD_MAX = RECORD_BYTES_MAX - log.RECORD_HEADER_BYTES


def fill_to(a_log: LogDesk, left: int) -> None:
    """Fill the segment with groups, synced, until `left` bytes of it (a multiple of 8) are free."""
    smallest = log.RECORD_HEADER_BYTES + 8
    rest = SEGMENT_BYTES - a_log.position % SEGMENT_BYTES - left
    while rest > 0:
        taken = rest if rest <= RECORD_BYTES_MAX else min(RECORD_BYTES_MAX, rest - smallest)
        a_log.put(EVENT, bytes(taken - log.RECORD_HEADER_BYTES))
        rest -= taken
    a_log.publish()
    a_log.flush()
    assert a_log.position % SEGMENT_BYTES == (SEGMENT_BYTES - left) % SEGMENT_BYTES


def test_records_read_back_with_everything_they_were_written_with(a_log: LogDesk) -> None:
    a_log.write(b"one", b"", b"x" * 100)
    records = everything(a_log.reader())
    assert [r.payload for r in records] == [b"one"] * 2 + [b""] * 2 + [b"x" * 100] * 2
    assert [r.seq for r in records] == [1, 2, 3, 4, 5, 6]
    assert [r.kind for r in records] == [COMMAND, EVENT] * 3
    assert [r.time_ns for r in records] == [10**18 + n for n in range(1, 7)]
    assert {r.epoch for r in records} == {a_log.tail.epoch}
    assert records[0].position == 0
    assert [r.next_position for r in records[:-1]] == [r.position for r in records[1:]]
    assert records[-1].next_position == a_log.tail.written


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, PAYLOAD_MAX), min_size=150, max_size=400), seed=st.integers(0, 2**32))
def test_any_sizes_read_back_over_segments_ends(a_log: LogDesk, sizes: list[int], seed: int) -> None:
    """The log goes on from example to example, so that its ends fall everywhere."""
    dice = random.Random(seed)
    reader = a_log.reader(a_log.position)
    written = [dice.randbytes(size) for size in sizes]
    for payload in written:
        a_log.write(payload)
        if dice.random() < 0.02:
            a_log.flush()
    a_log.flush()
    assert payloads(everything(reader)) == written
    assert reader.position == a_log.tail.written


@pytest.mark.parametrize("left", range(0, 120, 8))
def test_a_segment_ends_with_padding_or_with_zeros(a_log: LogDesk, left: int) -> None:
    """32 bytes hold a record of padding; fewer are zeros. In memory and in the files, before and after a restart."""
    fill_to(a_log, left)
    reader = a_log.reader(a_log.position)
    a_log.write(b"y" * 100, b"z")
    assert payloads(everything(reader)) == [b"y" * 100, b"z"]
    a_log.flush()
    end = a_log.position
    a_log.lose_memory()
    a_log.open()
    assert a_log.position == end
    assert payloads(everything(a_log.reader()))[-2:] == [b"y" * 100, b"z"]


def test_a_log_that_ends_right_before_a_segments_end_goes_on(a_log: LogDesk) -> None:
    for left in (0, 8, 24, 32):
        fill_to(a_log, left)
        a_log.lose_memory()
        a_log.open()
        a_log.write(b"next %d" % left)
        a_log.flush()
        a_log.lose_memory()
        a_log.open()
        assert payloads(everything(a_log.reader()))[-1] == b"next %d" % left


def test_a_reader_that_lags_reads_the_files(a_log: LogDesk) -> None:
    reader = a_log.reader()
    a_log.write_and_flush(*(b"%06d" % number * 100 for number in range(1000)))
    assert a_log.tail.written > 4 * SEGMENT_BYTES
    assert payloads(everything(reader)) == [b"%06d" % number * 100 for number in range(1000)]


def test_a_reader_beside_a_running_writer_and_flusher_sees_every_record_once(a_log: LogDesk) -> None:
    def write() -> None:
        number = 0
        while number < 4000:
            if log.room(a_log.tail.address, a_log.position) > 8 * RECORD_BYTES_MAX:
                a_log.write(b"%d" % number * 50)
                number += 1

    a_log.flusher.start()
    writer = threading.Thread(target=write)
    reader = a_log.reader()
    writer.start()
    found: list[bytes] = []
    while len(found) < 4000:
        found += payloads(reader.read())
    writer.join()
    a_log.flusher.stop()
    assert found == [b"%d" % number * 50 for number in range(4000)]


def test_nothing_is_seen_before_it_is_published(a_log: LogDesk) -> None:
    a_log.put(COMMAND, b"not yet")
    assert a_log.reader().read() == []
    a_log.put(EVENT, b"now")
    a_log.publish()
    assert len(a_log.reader().read()) == 2


def test_the_gate_synced_never_shows_what_is_not_on_disk(a_log: LogDesk) -> None:
    gated = a_log.reader(gate=Gate.SYNCED)
    a_log.write(b"first")
    assert (gated.read(), gated.end_position()) == ([], 0)
    a_log.flush()
    a_log.write(b"second")
    assert payloads(everything(gated)) == [b"first"]
    assert payloads(everything(a_log.reader())) == [b"first", b"second"]
    a_log.flush()
    assert payloads(everything(gated)) == [b"second"]


def test_a_reader_sleeps_until_its_own_gate_is_passed(a_log: LogDesk) -> None:
    written = a_log.reader(who=log.Reader.GATEWAY)
    synced = a_log.reader(who=log.Reader.FIX, gate=Gate.SYNCED)

    def rung() -> list[int]:
        return [reader.fileno() for reader in (written, synced) if sleep_on(reader.fileno(), 0)]

    written.park()
    synced.park()
    a_log.write(b"x")
    log.ring_bells(a_log.tail.address, a_log.writer.bell_fds.ctypes.data, int(Gate.WRITTEN))
    assert rung() == [written.fileno()]
    written.wake()
    a_log.flush()
    assert rung() == [synced.fileno()]
    synced.wake()
    assert rung() == []


def test_max_records_bounds_one_read(a_log: LogDesk) -> None:
    a_log.write(*(b"%d" % n for n in range(100)))
    reader = a_log.reader()
    assert len(reader.read(7)) == 7
    assert [r.seq for r in reader.read(5)] == [8, 9, 10, 11, 12]


def test_a_living_tail_goes_on_where_its_writer_died(a_log: LogDesk) -> None:
    a_log.write(b"published")
    a_log.put(COMMAND, b"never published")
    before = a_log.tail.epoch
    a_log.open()
    assert a_log.tail.epoch == before + 1
    a_log.write(b"after")
    records = everything(a_log.reader())
    assert payloads(records) == [b"published", b"after"]
    assert [r.seq for r in records] == [1, 2, 3, 4]


def test_a_writer_that_dies_in_the_middle_of_a_publish_leaves_the_old_end(a_log: LogDesk) -> None:
    """The sequence number stands there already, the position does not."""
    a_log.write(b"published")
    old_position = a_log.tail.written
    a_log.write(b"torn")
    a_log.tail.set_word(log.WRITTEN, old_position)
    a_log.open()
    assert (a_log.position, a_log.seq) == (old_position, 3)
    a_log.open()
    assert a_log.seq == 3
    a_log.write(b"again")
    assert [(r.seq, r.payload) for r in everything(a_log.reader())][2:] == [(3, b"again"), (4, b"again")]


def test_an_owners_epoch_is_taken_when_it_is_higher(a_log: LogDesk) -> None:
    LogWriter.open(a_log.log_dir, a_log.run_dir, 0, epoch=40, segment_bytes=SEGMENT_BYTES)
    assert a_log.tail.epoch == 40
    LogWriter.open(a_log.log_dir, a_log.run_dir, 0, epoch=3, segment_bytes=SEGMENT_BYTES)
    assert a_log.tail.epoch == 41


def test_the_files_alone_bring_the_log_back(a_log: LogDesk) -> None:
    written = [b"%d" % n * 100 for n in range(500)]
    a_log.write_and_flush(*written)
    end, epoch = a_log.position, a_log.tail.epoch
    a_log.lose_memory()
    a_log.open()
    assert (a_log.position, a_log.seq, a_log.tail.epoch) == (end, 1001 + LEFT_OUT, epoch + 1)
    assert a_log.tail.synced == end
    a_log.write(b"more")
    assert payloads(everything(a_log.reader())) == [*written, b"more"]


def test_a_wiped_folder_does_not_meet_the_old_tail(a_synced_log: LogDesk) -> None:
    for path in a_synced_log.log_dir.iterdir():
        path.unlink()
    a_synced_log.open()
    assert (a_synced_log.position, a_synced_log.seq) == (0, 1)
    assert everything(a_synced_log.reader()) == []


def test_a_cursor_past_the_end_is_invalid_and_says_what_to_do(a_synced_log: LogDesk) -> None:
    end = a_synced_log.tail.written
    with pytest.raises(
        CursorInvalid, match=f"AUDIT stands at {end + 8}, the log ends at {end}: the log lost its end"
    ):
        a_synced_log.reader(end + 8)
    assert a_synced_log.reader(end).read() == []


def test_a_reader_behind_what_is_kept_is_told(a_log: LogDesk) -> None:
    a_log.write_and_flush(*(b"%d" % number * 100 for number in range(700)))
    a_log.file(0).unlink()
    with pytest.raises(CursorInvalid, match=r"0000000000\.log is gone: .*rebuild it from a snapshot"):
        a_log.reader().read()


def test_a_reader_without_a_log_is_told(tmp_path: Path, run_dir: Path) -> None:
    with pytest.raises(SegmentMissing):
        LogReader(tmp_path, run_dir, log.Reader.AUDIT)


def test_a_segment_size_that_can_not_be_is_named(tmp_path: Path, run_dir: Path) -> None:
    for wrong in (1 << 16, SEGMENT_BYTES + 8):
        with pytest.raises(LogError, match=f"{wrong} must be a multiple of 4096, {SEGMENT_BYTES} or more"):
            LogWriter.open(tmp_path, run_dir, 0, segment_bytes=wrong)


def test_another_segment_size_than_the_tails_is_refused(a_log: LogDesk) -> None:
    with pytest.raises(LogError, match=f"segments of {SEGMENT_BYTES} bytes, asked for {2 * SEGMENT_BYTES}"):
        LogWriter.open(a_log.log_dir, a_log.run_dir, 0, segment_bytes=2 * SEGMENT_BYTES)


def test_a_log_id_that_is_no_number_is_refused(a_log: LogDesk) -> None:
    (a_log.log_dir / "log.id").write_text("?")
    with pytest.raises(LogError, match=r"log\.id is not a number; restore it, or remove it"):
        a_log.open()


def test_a_reader_too_far_behind_for_the_tail_waits_for_the_flusher(a_log: LogDesk) -> None:
    """The writer has been let on too far (only a writer without the shard's ROOM can): no wrong byte, no hang."""
    reader = a_log.reader()
    while a_log.position < SEGMENT_BYTES - 2 * RECORD_BYTES_MAX:
        a_log.write(bytes(900))
    assert reader.read() == []
    a_log.flush()
    assert set(payloads(everything(reader))) == {bytes(900)}


def test_rubbish_under_a_reader_is_corruption_and_not_an_endless_loop(a_log: LogDesk) -> None:
    a_log.write_and_flush(*(b"%d" % number * 100 for number in range(700)))
    flip(a_log.file(0), log.R_LENGTH + 1, 7)
    with pytest.raises(LogCorrupt, match="no good record at position 0"):
        a_log.reader().read()


def test_a_log_whose_numbers_are_nearly_used_up_is_not_opened(a_log: LogDesk) -> None:
    """A running log can't come to their end: what is left must last for an epoch."""
    a_log.seq = log.NUMBERS_END - 2
    a_log.write(b"the last but two")
    assert a_log.reader().read()[-1].seq == log.NUMBERS_END - 1
    a_log.flush()
    assert a_log.recovered_end() == (a_log.position, log.NUMBERS_END)
    a_log.open()
    a_log.write(b"the last of an old epoch")
    with pytest.raises(LogExhausted, match=f"ends at seq {log.NUMBERS_END + 1}, .*begin a new log"):
        a_log.open()


def test_records_up_to_the_very_last_number_are_read_and_checked(a_log: LogDesk) -> None:
    a_log.seq = 2**63 - 2
    a_log.write(b"last")
    records = everything(a_log.reader())
    assert [(r.seq, r.payload) for r in records] == [(2**63 - 2, b"last"), (2**63 - 1, b"last")]


def test_a_reader_is_woken_for_what_a_killed_writer_published_and_did_not_ring_for(a_log: LogDesk) -> None:
    reader = a_log.reader(who=log.Reader.GATEWAY)
    reader.park()
    a_log.write(b"published, not rung for")
    assert not sleep_on(reader.fileno(), 0)
    LogWriter.open(a_log.log_dir, a_log.run_dir, 0, segment_bytes=SEGMENT_BYTES).close()
    assert sleep_on(reader.fileno(), 0)


def test_the_tail_is_touched_once_when_the_log_is_opened(a_log: LogDesk) -> None:
    path = log.tail_path(a_log.run_dir)
    assert path.stat().st_blocks * 512 >= log.DATA + SEGMENT_BYTES


def test_memory_that_is_too_small_for_the_tail_is_told_at_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path, SEGMENT_BYTES // 2) as memory, pytest.raises(NoRoom, match="make room in"):
        LogWriter.open(tmp_path / "log", memory, 0, segment_bytes=SEGMENT_BYTES)


def test_a_reader_that_closes_leaves_another_of_its_name_in_the_tail(a_log: LogDesk) -> None:
    """Two people read by hand: what the one still needs is kept when the other ends."""
    first, second = a_log.reader(), a_log.reader()
    pid = first._flag + log.READER_PID
    log.store_word(pid, 1)  # as if the second were another process
    first.close()
    a_log._readers.remove(first)
    assert log.load_word(pid) == 1
    log.store_word(pid, os.getpid())
    second.close()
    a_log._readers.remove(second)
    assert log.load_word(pid) == 0


def _hold(log_dir: Path, run_dir: Path) -> None:
    LogWriter.open(log_dir, run_dir, 0, segment_bytes=SEGMENT_BYTES)
    (run_dir / "held").touch()
    signal.pause()


def test_a_log_has_one_writer_and_another_is_told_which_process_it_is(tmp_path: Path, run_dir: Path) -> None:
    log_dir = tmp_path / "log"
    first = multiprocessing.get_context("fork").Process(target=_hold, args=(log_dir, run_dir), daemon=True)
    first.start()
    while not (run_dir / "held").exists():
        first.join(0.01)
    for _ in range(2):
        with pytest.raises(LogError, match=rf"another process \(pid {first.pid}\) writes the log"):
            LogWriter.open(log_dir, run_dir, 0, segment_bytes=SEGMENT_BYTES)
    epoch = Tail.attach(run_dir).epoch
    first.kill()
    first.join()
    after = LogWriter.open(log_dir, run_dir, 0, segment_bytes=SEGMENT_BYTES)
    assert after.tail.epoch == epoch + 1, "the refused ones have changed nothing"
    after.close()
