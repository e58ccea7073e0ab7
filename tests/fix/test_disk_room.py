"""A session's store on a disk that fills: what must be said is still said, and orders wait for room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fix import store as stores
from fix.session import Sent
from fix.store import Store, StoreError

KIB = 1024
DISK_BYTES = 1024 * KIB
RESERVED_BYTES = 256 * KIB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a mebibyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(disk)], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill_up(disk: Path) -> Path:
    """All that is free; the file that has it."""
    path = disk / "others"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4 * KIB))
        except OSError:
            return path


def append(store: Store, size: int = KIB) -> None:
    store.append(store.next_in + 1, [Sent(store.next_out, b"8" * size, False, True)])


def is_short(store: Store) -> bool:
    """It asks the disk: another answer each time."""
    return store.is_short


def append_for_ever(store: Store) -> NoReturn:
    while True:
        append(store)


def test_on_a_full_disk_the_reserved_half_is_written_and_the_store_says_that_it_is_short(
    small_disk: Path,
) -> None:
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    append(store)
    assert not is_short(store)
    others = fill_up(small_disk)
    taken = 0
    while not is_short(store):
        append(store)
        taken += 1
    assert taken >= RESERVED_BYTES // KIB // 2 - 8
    for _ in range(RESERVED_BYTES // KIB // 2 - 8):
        append(store)
    last = store.next_out
    store.close()
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    assert store.next_out == last
    assert is_short(store)
    others.unlink()
    assert not is_short(store)
    append(store)
    store.close()


def test_each_append_renews_the_reserve(small_disk: Path) -> None:
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    for _ in range(2 * RESERVED_BYTES // KIB):
        append(store)
    fill_up(small_disk)
    before = store.next_out
    for _ in range(RESERVED_BYTES // KIB // 2 - 8):
        append(store)
    assert store.next_out == before + RESERVED_BYTES // KIB // 2 - 8, "with no room but the reserve"
    store.close()


def test_a_store_that_uses_up_its_reserve_fails_and_opens_where_it_was(small_disk: Path) -> None:
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    append(store)
    others = fill_up(small_disk)
    with pytest.raises(StoreError):
        append_for_ever(store)
    last = store.next_out
    store.close()
    others.unlink()
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    assert store.next_out in (last, last + 1)
    append(store)
    store.close()


def test_a_full_disk_begins_no_new_segment_and_the_present_one_goes_on(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SEGMENT_BYTES_MAX", 64 * KIB)
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    for _ in range(60):
        append(store)
    others = fill_up(small_disk)
    for _ in range(60):
        append(store)
    assert len(list((small_disk / "store").glob("*.fix"))) == 1
    others.unlink()
    append(store)
    append(store)
    assert len(list((small_disk / "store").glob("*.fix"))) == 2
    kept = [m.seq for m in store.read(1, store.next_out)]
    assert kept == list(range(1, store.next_out))
    store.close()


def test_a_segment_that_is_done_gives_back_what_was_reserved_behind_it(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "SEGMENT_BYTES_MAX", 64 * KIB)
    store = Store(small_disk / "store", reserved_bytes=RESERVED_BYTES)
    for _ in range(400):
        append(store)
    assert not is_short(store)
    old, *_, newest = sorted((small_disk / "store").glob("*.fix"))
    assert os.stat(old).st_blocks * 512 <= os.stat(old).st_size + 4 * KIB
    assert os.stat(newest).st_blocks * 512 >= RESERVED_BYTES // 2
    store.close()
