"""A segment is seen whole by whoever can open it, or not at all."""

from __future__ import annotations

import mmap
import os
import signal
from pathlib import Path

import pytest

from shared_mem.broadcast import Broadcast
from shared_mem.ring import Ring
from shared_mem.segment import LayoutMismatch, NoRoom, Segment, SegmentMissing, _touch
from tests.shared_mem.desk import Child, small_disk


def test_what_an_owner_left_is_kept(run_dir: Path) -> None:
    first = Segment.create(run_dir / "s", 4096, "kept", 1)
    first.view[100:104] = b"left"
    again = Segment.create(run_dir / "s", 4096, "kept", 1)
    assert bytes(again.view[100:104]) == b"left"
    assert again.inode == first.inode


def test_another_layout_is_refused_by_name_and_replaced_by_its_owner(run_dir: Path) -> None:
    Segment.create(run_dir / "s", 4096, "old", 1)
    with pytest.raises(
        LayoutMismatch, match=r"/s holds 'old' version 1, wanted 'new' version 2; .*remove it"
    ):
        Segment.attach(run_dir / "s", "new", 2)
    assert Segment.create(run_dir / "s", 4096, "new", 2).size == 4096


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100])
def test_what_is_no_segment_is_refused(run_dir: Path, content: bytes) -> None:
    (run_dir / "s").write_bytes(content)
    with pytest.raises(LayoutMismatch, match="remove it"):
        Segment.attach(run_dir / "s", "any", 1)


def test_a_cut_off_file_is_refused(run_dir: Path) -> None:
    Segment.create(run_dir / "s", 8192, "cut", 1)
    os.truncate(run_dir / "s", 4096)
    with pytest.raises(LayoutMismatch):
        Segment.attach(run_dir / "s", "cut", 1)


def test_a_missing_one_asks_for_its_owner(run_dir: Path) -> None:
    with pytest.raises(SegmentMissing, match=r"/none is not there; is its owner running\?"):
        Segment.attach(run_dir / "none", "any", 1)


def test_a_ring_and_a_broadcast_are_whole_before_they_have_their_name(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that opens them at the first moment must not find a ring of no slots."""
    named: list[str] = []
    rename = os.rename

    def rename_and_open(source: Path, target: Path) -> None:
        rename(source, target)
        found = (
            Ring.attach(target)
            if target.name == "ring"
            else Broadcast(Segment.attach(target, "broadcast", 1))
        )
        assert found.slot_bytes == 64
        named.append(target.name)

    monkeypatch.setattr(os, "rename", rename_and_open)
    Ring.create(run_dir / "ring", 64, 8)
    Broadcast.create(run_dir / "broadcast", 64, 8)
    assert named == ["ring", "broadcast"]


def pages_in_memory(path: Path) -> int:
    return path.stat().st_blocks * 512 // mmap.PAGESIZE


PAGES = 64


@pytest.mark.parametrize("way", ["by the kernel", "by hand"])
def test_prefaulting_touches_every_page_and_keeps_what_is_in_them(run_dir: Path, way: str) -> None:
    segment = Segment.create(run_dir / "s", PAGES * mmap.PAGESIZE, "touched", 1)
    segment.view[5 * mmap.PAGESIZE] = 7
    assert pages_in_memory(run_dir / "s") < PAGES
    if way == "by the kernel":
        segment.prefault()
    else:
        _touch(segment.address, segment.size, mmap.PAGESIZE, True)
    assert pages_in_memory(run_dir / "s") == PAGES
    assert segment.view[5 * mmap.PAGESIZE] == 7
    assert not any(segment.view[6 * mmap.PAGESIZE :])


def test_a_reader_prefaults_too(run_dir: Path) -> None:
    Segment.create(run_dir / "s", PAGES * mmap.PAGESIZE, "touched", 1).view[100] = 9
    reader = Segment.attach(run_dir / "s", "touched", 1, writable=False)
    reader.prefault()
    _touch(reader.address, reader.size, mmap.PAGESIZE, False)
    assert reader.view[100] == 9


def test_huge_pages_are_asked_for_and_missed_without_harm(run_dir: Path) -> None:
    segment = Segment.create(run_dir / "s", 4 << 20, "huge", 1)
    assert segment.advise_huge() in (True, False)
    segment.prefault()


def test_memory_that_is_too_small_is_an_error_and_no_sigbus(tmp_path: Path) -> None:
    with small_disk(tmp_path, 16 * mmap.PAGESIZE) as folder:
        segment = Segment.create(folder / "s", PAGES * mmap.PAGESIZE, "big", 1)
        with pytest.raises(NoRoom, match=f"/s: {segment.size} bytes of memory can't be had .*; make room in"):
            segment.prefault()


def _die_before_it_has_its_name(path: Path) -> None:
    os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    Segment.create(path, 4096, "never", 1)


def test_a_maker_killed_before_the_name_leaves_nothing_that_can_be_opened_or_stays(run_dir: Path) -> None:
    Child(_die_before_it_has_its_name, run_dir / "s").join()
    Child(_die_before_it_has_its_name, run_dir / "s2").join()
    assert len(list(run_dir.iterdir())) == 2
    with pytest.raises(SegmentMissing):
        Segment.attach(run_dir / "s", "never", 1)
    living = run_dir / f".s.{os.getppid()}"
    living.touch()
    assert Segment.create(run_dir / "s", 4096, "now", 1).size == 4096
    left = sorted(path.name.split(".")[1] for path in run_dir.iterdir() if path.name.startswith("."))
    assert left == ["s", "s2"], "only what a dead maker of this very name left is removed"
    assert living.exists()


def _hold(path: Path) -> None:
    segment = Segment.create(path, 4096, "held", 1)
    segment.view[100] = 1
    (path.parent / "made").touch()
    signal.pause()


def test_what_a_killed_owner_wrote_is_there_for_who_has_it_mapped_and_for_the_next(run_dir: Path) -> None:
    child = Child(_hold, run_dir / "s")
    while not (run_dir / "made").exists():
        pass
    reader = Segment.attach(run_dir / "s", "held", 1, writable=False)
    child.kill()
    assert reader.view[100] == 1
    again = Segment.create(run_dir / "s", 4096, "held", 1)
    again.view[101] = 2
    assert reader.view[101] == 2
