"""A segment is seen whole by whoever can open it, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared_mem.broadcast import Broadcast
from shared_mem.ring import Ring
from shared_mem.segment import LayoutMismatch, Segment, SegmentMissing


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
