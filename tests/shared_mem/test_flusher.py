"""The flusher: what it acknowledges is on disk, a disk that fails ends the process, a full one is waited for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared_mem.log import Gate, LogReader, Reader
from shared_mem.log_writer import EXIT_DISK_FAILED, Flusher
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
    """A file system with room for two segments and a half."""
    with small_disk(tmp_path, SEGMENT_BYTES * 5 // 2) as folder:
        yield folder


def test_a_full_disk_stops_the_flusher_and_room_lets_it_go_on(a_small_disk: Path, run_dir: Path) -> None:
    filler = a_small_disk / "filler"
    filler.write_bytes(bytes(SEGMENT_BYTES))
    desk = LogDesk(a_small_disk, run_dir)
    written = 0
    while not is_full(desk):
        desk.write(b"%d" % written * 100)
        written += 1
        desk.flush()
    assert desk.tail.synced < desk.tail.written
    assert desk.tail.synced // SEGMENT_BYTES == 0
    assert desk.flush() == 0
    filler.unlink()
    assert desk.flush() > 0
    assert not is_full(desk)
    assert payloads(everything(desk.reader(gate=Gate.SYNCED))) == [b"%d" % n * 100 for n in range(written)]
    desk.lose_memory()
    desk.open()
    assert payloads(everything(desk.reader())) == [b"%d" % n * 100 for n in range(written)]
