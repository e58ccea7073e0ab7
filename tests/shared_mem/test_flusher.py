"""The flusher: what it acknowledges is on disk, a disk that fails ends the process, a full one is waited for."""

from __future__ import annotations

import errno
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared_mem import log
from shared_mem.flusher import EXIT_DISK_FAILED, Flusher
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from tests.shared_mem.desk import SEGMENT_BYTES, Child, Died, LogDesk, everything, payloads, small_disk


def is_full(desk: LogDesk) -> bool:
    return desk.flusher.disk_full


def fail(code: int) -> object:
    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
def test_a_disk_that_fails_ends_the_process_and_nothing_is_acknowledged(
    a_log: LogDesk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    a_log.write(b"first")
    a_log.flush()
    a_log.write(b"second")
    before = a_log.tail.synced
    monkeypatch.setattr(os, call, fail(errno.EIO))
    with pytest.raises(Died, match=r"log failed: .*Input/output error"):
        a_log.flush()
    assert a_log.tail.synced == before
    assert payloads(everything(a_log.reader(gate=Gate.SYNCED))) == [b"first"]


@pytest.mark.parametrize("call", ["open", "posix_fallocate", "fsync"])
def test_a_segment_file_that_can_not_be_made_ends_the_process(
    a_log: LogDesk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    a_log.write(b"first")
    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail(errno.EIO))
        with pytest.raises(Died, match=r"0000000000\.log: .*Input/output error"):
            a_log.flush()
    assert a_log.tail.synced == 0


def _die_for_real(a_log: LogDesk) -> None:
    os.fdatasync = fail(errno.EIO)  # type: ignore[assignment]
    flusher = Flusher(a_log.writer)
    flusher.start()
    a_log.write(b"x")
    flusher.join()


def test_the_process_really_ends_with_its_code(a_log: LogDesk) -> None:
    assert Child(_die_for_real, a_log).join() == EXIT_DISK_FAILED
    assert a_log.tail.synced == 0


@pytest.mark.parametrize("call", ["open", "posix_fallocate"])
def test_no_room_for_a_segment_is_waited_for(
    a_log: LogDesk, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    a_log.write(b"first")
    with monkeypatch.context() as full:
        full.setattr(os, call, fail(errno.ENOSPC))
        assert a_log.flush() == 0
    assert is_full(a_log)
    assert a_log.tail.synced == 0
    assert a_log.flush() > 0
    assert not is_full(a_log)
    assert a_log.tail.synced == a_log.tail.written


def test_one_file_is_synced_before_the_next_is_begun(a_log: LogDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave the second file without the end of the first: a torn tail that looks damaged."""
    while a_log.position < SEGMENT_BYTES - 4000:
        a_log.write(bytes(900))
    a_log.flush()
    while a_log.position < SEGMENT_BYTES + 4000:
        a_log.write(bytes(900))
    calls: list[tuple[str, int]] = []
    pwrite, fdatasync = os.pwrite, os.fdatasync

    def number_of(fd: int) -> int:
        return int(Path(os.readlink(f"/proc/self/fd/{fd}")).stem)

    def noted_pwrite(fd: int, data: memoryview, offset: int) -> int:
        calls.append(("pwrite", number_of(fd)))
        return pwrite(fd, data, offset)

    def noted_sync(fd: int) -> None:
        calls.append(("sync", number_of(fd)))
        fdatasync(fd)

    monkeypatch.setattr(os, "pwrite", noted_pwrite)
    monkeypatch.setattr(os, "fdatasync", noted_sync)
    a_log.flush()
    assert calls == [("pwrite", 0), ("sync", 0), ("pwrite", 1), ("sync", 1)]
    assert a_log.tail.synced == a_log.tail.written


def test_the_thread_flushes_what_comes_and_what_is_left_at_its_stop(a_log: LogDesk) -> None:
    reader = LogReader(a_log.log_dir, a_log.run_dir, Reader.AUDIT, 0, Gate.SYNCED)
    a_log.flusher.start()
    for n in range(200):
        a_log.write(b"%d" % n)
    a_log.flusher.stop()
    assert payloads(everything(reader)) == [b"%d" % n for n in range(200)]
    a_log.lose_memory()
    a_log.open()
    assert payloads(everything(a_log.reader())) == [b"%d" % n for n in range(200)]


@pytest.fixture
def a_small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for three segments and a half, and for one and a quarter beside `FILLER`."""
    with small_disk(tmp_path, SEGMENT_BYTES * 7 // 2) as folder:
        yield folder


FILLER = bytes(SEGMENT_BYTES * 9 // 4)


def order_room(desk: LogDesk) -> int:
    return int(log.order_room(desk.tail.address, desk.position))


ACCEPTS = SEGMENT_BYTES // log.ORDER_ROOM_SHARE


def test_a_full_disk_is_told_while_there_is_room_and_room_lets_all_go_on(
    a_small_disk: Path, run_dir: Path
) -> None:
    """The segment being written was reserved: it takes cancels and reports to its end, after orders are refused."""
    filler = a_small_disk / "filler"
    filler.write_bytes(FILLER)
    desk = LogDesk(a_small_disk, run_dir)
    desk.write(b"first")
    assert desk.flush() > 0
    assert is_full(desk)
    assert desk.tail.word(log.DISK_END) == SEGMENT_BYTES
    assert not desk.file(1).exists(), "what could be had of it was given back"
    written = 0
    refused_at = 0
    while desk.position < SEGMENT_BYTES:
        if order_room(desk) < ACCEPTS and not refused_at:
            refused_at = desk.position
        desk.write(b"%d" % written * 100)
        written += 1
        desk.flush()
        assert log.room(desk.tail.address, desk.position) > SEGMENT_BYTES * 3 // 4
    assert SEGMENT_BYTES * 3 // 8 < refused_at < SEGMENT_BYTES * 5 // 8
    assert order_room(desk) < ACCEPTS, "with nothing left too"
    assert desk.flush() == 0
    assert desk.tail.synced < desk.tail.written
    filler.unlink()
    assert desk.flush() > 0
    assert not is_full(desk)
    assert order_room(desk) > ACCEPTS
    expected = [b"first"] + [b"%d" % n * 100 for n in range(written)]
    assert payloads(everything(desk.reader(gate=Gate.SYNCED))) == expected
    desk.lose_memory()
    desk.open()
    assert payloads(everything(desk.reader())) == expected


def test_the_running_flusher_says_that_the_disk_is_full_and_finds_the_room_that_came(
    a_small_disk: Path, run_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filler = a_small_disk / "filler"
    filler.write_bytes(FILLER)
    desk = LogDesk(a_small_disk, run_dir)
    desk.flusher.start()
    while desk.tail.word(log.DISK_END) == log.NO_END:
        time.sleep(0.001)
    assert desk.flusher.is_alive()
    filler.unlink()
    while desk.tail.word(log.DISK_END) != log.NO_END:
        time.sleep(0.001)
    desk.flusher.stop()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "once each, however often it was tried"
    assert "no room for" in told[0]
    assert "there is room for the log again" in told[1]


def _limited(log_dir: Path, run_dir: Path) -> None:
    """A process whose files may not grow to a segment."""
    desk = LogDesk(log_dir, run_dir)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SEGMENT_BYTES // 2, resource.RLIM_INFINITY))
    desk.write(b"x")
    assert desk.flush() == 0
    assert is_full(desk)
    assert order_room(desk) < ACCEPTS
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert desk.flush() > 0
    assert not is_full(desk)


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path, run_dir: Path) -> None:
    assert Child(_limited, tmp_path, run_dir).join() == 0


def test_the_next_segment_is_there_before_it_is_needed(a_log: LogDesk) -> None:
    a_log.write(b"first")
    a_log.flush()
    assert a_log.file(1).stat().st_blocks * 512 >= SEGMENT_BYTES
    assert a_log.tail.word(log.DISK_END) == log.NO_END
    while a_log.position < SEGMENT_BYTES + 100:
        a_log.write(bytes(900))
        a_log.flush()
    assert a_log.file(2).stat().st_blocks * 512 >= SEGMENT_BYTES


def test_the_flush_window_is_measured_in_bytes_and_time(a_log: LogDesk) -> None:
    now = time.time_ns()
    a_log.time_ns = now - 10**9
    a_log.write(b"a second old")
    first = a_log.flush()
    a_log.time_ns = now + 10**12
    a_log.write(b"from a clock that was set back since", b"more")
    second = a_log.flush()
    word = a_log.tail.word
    assert (word(log.FLUSHES), word(log.FLUSH_BYTES), word(log.FLUSH_BYTES_MAX)) == (2, second, second)
    assert second > first
    assert word(log.FLUSH_NS) == 0
    assert 10**9 <= word(log.FLUSH_NS_MAX) <= time.time_ns() - now + 10**9
    assert word(log.FLUSH_NS_TOTAL) == word(log.FLUSH_NS_MAX)


def test_an_error_that_nobody_foresaw_ends_the_process_too(a_log: LogDesk) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    a_log.flusher.flush = broken  # type: ignore[method-assign]
    with pytest.raises(Died, match="the flusher failed: ZeroDivisionError"):
        a_log.flusher.run()
