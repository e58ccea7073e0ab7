"""What a restart finds in the files: a torn tail is cut to the exact prefix, damage before it halts with its place."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from shared_mem import log
from shared_mem.log import LogCorrupt, LogError
from shared_mem.log_recovery import find_end, repair
from shared_mem.log_writer import LogWriter
from tests.shared_mem.desk import (
    COMMAND,
    EVENT,
    LEFT_OUT,
    SEGMENT_BYTES,
    LogDesk,
    contents,
    everything,
    flip,
    payloads,
)

GROUP = 2 * (log.RECORD_HEADER_BYTES + 8)


def tear(path: Path, offset: int, rubbish: bytes = b"") -> None:
    """What a power cut leaves: `rubbish`, then zeros, from `offset` on."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(rubbish + bytes(SEGMENT_BYTES - offset - len(rubbish)))


@pytest.mark.parametrize("rubbish", [b"", b"\xa5" * 13], ids=["zeros", "rubbish"])
def test_a_tail_torn_at_any_byte_gives_the_exact_prefix(a_synced_log: LogDesk, rubbish: bytes) -> None:
    """Three groups were written in one flush that did not return. Half a group is none."""
    start = a_synced_log.position
    a_synced_log.write(b"groups11", b"groups12", b"groups13")
    a_synced_log.flush()
    assert a_synced_log.position == start + 3 * GROUP
    whole = a_synced_log.file().read_bytes()
    for cut in range(3 * GROUP):
        a_synced_log.file().write_bytes(whole)
        tear(a_synced_log.file(), start + cut, rubbish)
        kept = cut // GROUP
        assert a_synced_log.recovered_end() == (start + kept * GROUP, 21 + 2 * kept), f"torn at {cut}"
        after = a_synced_log.file().read_bytes()
        assert after[: start + kept * GROUP] == whole[: start + kept * GROUP]
        assert not any(after[start + kept * GROUP :]), "nothing is left that a later end could run into"


def test_a_bit_flipped_anywhere_in_the_last_group_truncates_to_it(a_synced_log: LogDesk) -> None:
    start = a_synced_log.position - GROUP
    end, seq = a_synced_log.position, a_synced_log.seq
    last = a_synced_log.file().read_bytes()[start : start + GROUP]
    payload = log.RECORD_HEADER_BYTES + len(b"group 9")
    padding = {payload, GROUP // 2 + payload}  # filled up to 8 bytes: under the checksum too
    for offset in range(len(last)):
        flip(a_synced_log.file(), start + offset, offset % 8)
        assert a_synced_log.recovered_end() == (start, seq - 2), f"flipped at {offset} {padding}"
        with a_synced_log.file().open("r+b") as file:
            file.seek(start)
            file.write(last)
        assert a_synced_log.recovered_end() == (end, seq)


def test_a_bit_flipped_anywhere_in_an_old_group_halts_and_changes_nothing(a_synced_log: LogDesk) -> None:
    for offset in range(3 * GROUP, 4 * GROUP):
        flip(a_synced_log.file(), offset, offset % 8)
        before = contents(a_synced_log.log_dir)
        bad = offset // (GROUP // 2) * (GROUP // 2)
        with pytest.raises(
            LogCorrupt, match=rf"{a_synced_log.file()} is damaged at offset {bad} .*Nothing was changed"
        ):
            a_synced_log.recovered_end()
        assert contents(a_synced_log.log_dir) == before
        flip(a_synced_log.file(), offset, offset % 8)
    a_synced_log.recovered_end()


def test_damage_halts_the_start_of_a_writer_too(a_synced_log: LogDesk) -> None:
    flip(a_synced_log.file(), 40)
    a_synced_log.lose_memory()
    with pytest.raises(LogCorrupt, match="offset 40 "):
        a_synced_log.open()


def test_after_a_cut_the_log_goes_on_and_comes_back_again(a_synced_log: LogDesk) -> None:
    a_synced_log.write(b"groups11", b"groups12")
    a_synced_log.flush()
    tear(a_synced_log.file(), a_synced_log.position - GROUP - 20, b"\xff" * 60)
    a_synced_log.lose_memory()
    a_synced_log.open()
    a_synced_log.write(b"after")
    a_synced_log.flush()
    a_synced_log.lose_memory()
    a_synced_log.open()
    records = everything(a_synced_log.reader())
    assert payloads(records) == [b"group %d" % n for n in range(10)] + [b"after"]
    assert [r.seq for r in records] == [*range(1, 21), 21 + LEFT_OUT, 22 + LEFT_OUT]


def test_a_group_over_a_segments_end_is_cut_off_whole(a_log: LogDesk) -> None:
    """The command stands in one file, its event, torn, in the next: both go, and nothing of them comes back."""
    while SEGMENT_BYTES - a_log.position > 1500:
        a_log.write(bytes(300))
    a_log.flush()
    keep, seq = a_log.position, a_log.seq
    a_log.put(COMMAND, bytes(900))
    a_log.put(EVENT, bytes(900))
    a_log.publish()
    a_log.flush()
    assert a_log.position > SEGMENT_BYTES
    flip(a_log.file(1), 500)
    assert a_log.recovered_end() == (keep, seq)
    assert not any(a_log.file(0).read_bytes()[keep:])
    assert not any(a_log.file(1).read_bytes())
    a_log.lose_memory()
    a_log.open()
    a_log.write(b"after")
    a_log.flush()
    assert a_log.recovered_end() == (a_log.position, seq + LEFT_OUT + 2)


def three_files(a_log: LogDesk) -> None:
    a_log.write_and_flush(*[bytes(900)] * (2 * SEGMENT_BYTES // 1864 + 5))
    assert a_log.position > 2 * SEGMENT_BYTES


def test_a_missing_file_halts_by_its_name(a_log: LogDesk) -> None:
    three_files(a_log)
    shutil.move(a_log.file(1), a_log.log_dir / "away")
    with pytest.raises(LogCorrupt, match=rf"{a_log.file(1)} is missing; restore it from a copy"):
        a_log.recovered_end()
    shutil.move(a_log.log_dir / "away", a_log.file(1))
    assert a_log.recovered_end() == (a_log.position, a_log.seq)


def test_damage_at_the_end_of_a_file_halts_when_the_next_was_begun(a_log: LogDesk) -> None:
    """No record behind it in its own file tells; the next file does."""
    three_files(a_log)
    last = [r for r in everything(a_log.reader()) if r.position < 2 * SEGMENT_BYTES][-1]
    flip(a_log.file(1), last.position % SEGMENT_BYTES + 8)
    before = contents(a_log.log_dir)
    with pytest.raises(
        LogCorrupt, match=rf"{a_log.file(1)} is damaged at offset {last.position % SEGMENT_BYTES} "
    ):
        a_log.recovered_end()
    assert contents(a_log.log_dir) == before


def test_a_next_file_that_was_only_reserved_is_no_proof(a_log: LogDesk) -> None:
    three_files(a_log)
    end = a_log.recovered_end()
    a_log.file(3).write_bytes(bytes(SEGMENT_BYTES))
    assert a_log.recovered_end() == end
    a_log.file(3).write_bytes(b"")
    assert a_log.recovered_end() == end


def test_old_files_may_have_been_archived(a_log: LogDesk) -> None:
    three_files(a_log)
    a_log.file(0).unlink()
    assert a_log.recovered_end() == (a_log.position, a_log.seq)


def test_what_no_record_proves_synced_is_written_again_and_synced_before_it_counts(
    a_synced_log: LogDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the page cache alone has it, in pages that count as clean: a sync without a write would say
    that all is well (Rebello et al., ATC 2020)."""
    proven = a_synced_log.position
    a_synced_log.write(b"groups11", b"groups12")
    a_synced_log.flush()
    end = a_synced_log.position
    inode, done = a_synced_log.file().stat().st_ino, list[tuple[str, int, int]]()
    pwrite, fsync = os.pwrite, os.fsync

    def noted_write(fd: int, data: bytes, offset: int) -> int:
        if os.fstat(fd).st_ino == inode:
            done.append(("written", offset, offset + len(data)))
        return pwrite(fd, data, offset)

    def noted_sync(fd: int) -> None:
        if os.fstat(fd).st_ino == inode:
            done.append(("synced", 0, 0))
        fsync(fd)

    monkeypatch.setattr(os, "pwrite", noted_write)
    monkeypatch.setattr(os, "fsync", noted_sync)
    before = a_synced_log.file().read_bytes()
    a_synced_log.lose_memory()
    a_synced_log.open()
    (what, begin, until), *_, last = done
    assert (what, until, last) == ("written", end, ("synced", 0, 0))
    assert begin <= proven, "the batch's own records prove what was synced before it, and not itself"
    assert begin > 0, "what is proven is not written again"
    assert a_synced_log.file().read_bytes() == before


def test_a_disk_that_does_not_take_the_repair_is_no_log(
    a_synced_log: LogDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    a_synced_log.lose_memory()
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(
        LogError, match=r"can't be written: .*Input/output error\. Nothing is acknowledged until"
    ):
        a_synced_log.open()


def test_what_a_cut_would_lose_is_counted(a_synced_log: LogDesk) -> None:
    start = a_synced_log.position
    a_synced_log.write(b"groups11", b"groups12")
    a_synced_log.flush()
    tear(a_synced_log.file(), start + GROUP + GROUP // 2 + 5, b"\xff" * 3)
    end = find_end(a_synced_log.log_dir, SEGMENT_BYTES)
    assert (end.position, end.torn_bytes, end.torn_records) == (start + GROUP, GROUP // 2 + 8, 1)
    repair(a_synced_log.log_dir, SEGMENT_BYTES, end)
    assert find_end(a_synced_log.log_dir, SEGMENT_BYTES)[4:] == (0, 0)


def test_the_witness_hears_of_the_end_before_anything_is_cut(a_synced_log: LogDesk) -> None:
    class KnowsBetter(Exception):
        pass

    def witness(end: int, epoch: int) -> None:
        raise KnowsBetter(end, epoch)

    start = a_synced_log.position
    a_synced_log.write(b"groups11")
    a_synced_log.flush()
    tear(a_synced_log.file(), start + 5)
    before = contents(a_synced_log.log_dir)
    a_synced_log.lose_memory()
    with pytest.raises(KnowsBetter) as told:
        LogWriter.open(
            a_synced_log.log_dir, a_synced_log.run_dir, 0, segment_bytes=SEGMENT_BYTES, witness=witness
        )
    assert told.value.args == (start, 1)
    assert contents(a_synced_log.log_dir) == before


def test_an_empty_log_begins_at_the_beginning(a_log: LogDesk) -> None:
    assert a_log.recovered_end() == (0, 1)
    assert (a_log.position, a_log.seq, a_log.tail.epoch) == (0, 1, 1)


def test_two_power_cuts_in_a_row_give_out_no_number_twice(a_log: LogDesk) -> None:
    """Found by the simulation: what was numbered between the two was never on disk, and had been seen."""
    begun = []
    for _ in range(3):
        a_log.write(b"seen at gate `written`")
        begun.append(a_log.seq)
        a_log.lose_memory()
        a_log.open()
    assert begun == [3, 3 + LEFT_OUT, 3 + 2 * LEFT_OUT]
