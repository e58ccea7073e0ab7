"""Conflation: each key's newest value once, and how many were skipped on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shared_mem.broadcast import Broadcast, BroadcastReader
from shared_mem.conflation import Conflator, LatestReader
from shared_mem.table import Table, TableError
from tests.shared_mem.desk import Child
from tests.shared_mem.loops import put_numbers, read_untorn

QUOTE = np.dtype([("time_ns", "i8"), ("instrument", "u4"), ("bid", "i8"), ("ask", "i8")], align=True)


def quote(instrument: int, price: int) -> bytes:
    return np.array([(price, instrument, price, price)], QUOTE).tobytes()


def seen(reader: LatestReader) -> list[tuple[int, int, int]]:
    """(instrument, price, skipped) of what changed."""
    return [(int(new.record["instrument"]), int(new.record["bid"]), new.skipped) for new in reader.changed()]


def test_a_slow_reader_gets_the_newest_of_each_key_and_what_it_skipped(run_dir: Path) -> None:
    owner = Table.create(run_dir / "latest", QUOTE, 8, key="instrument")
    reader = LatestReader(run_dir / "latest", QUOTE, key="instrument")
    for price in range(5):
        owner.put((price, 1, price, price))
    owner.put((9, 2, 9, 9))
    assert seen(reader) == [(1, 4, 4), (2, 9, 0)]
    assert seen(reader) == []
    owner.put((10, 2, 10, 10))
    assert seen(reader) == [(2, 10, 0)]


def test_a_reader_starts_with_all_that_stands_or_with_what_comes(run_dir: Path) -> None:
    owner = Table.create(run_dir / "latest", QUOTE, 8, key="instrument")
    for price in range(3):
        owner.put((price, 1, price, price))
    everything = LatestReader(run_dir / "latest", QUOTE, key="instrument")
    from_now = LatestReader(run_dir / "latest", QUOTE, key="instrument", start="now")
    assert (seen(everything), seen(from_now)) == ([(1, 2, 0)], [])
    owner.put((3, 1, 3, 3))
    assert seen(everything) == seen(from_now) == [(1, 3, 0)]


def test_a_conflator_brings_a_broadcast_into_a_table_and_counts_what_it_lost(run_dir: Path) -> None:
    ticks = Broadcast.create(run_dir / "ticks", 64, 16)
    owner = Table.create(run_dir / "latest", QUOTE, 2, key="instrument")
    conflator = Conflator(BroadcastReader(run_dir / "ticks"), owner)
    reader = LatestReader(run_dir / "latest", QUOTE, key="instrument")
    for price in range(6):
        ticks.publish(quote(1 + price % 2, price))
    assert conflator.step() == 6
    assert conflator.step() == 0
    assert seen(reader) == [(1, 4, 2), (2, 5, 2)]
    assert reader.lost == 0
    for price in range(100, 140):
        ticks.publish(quote(1, price))
    assert conflator.step() == 8
    assert seen(reader) == [(1, 139, 7)]
    assert reader.lost == 32
    ticks.publish(quote(3, 1))
    assert conflator.step() == 1
    assert conflator.refused == 1, "the table is full"
    assert len(owner) == 2


def test_records_that_are_shorter_than_a_row_are_refused(run_dir: Path) -> None:
    Broadcast.create(run_dir / "ticks", 16, 16)
    owner = Table.create(run_dir / "latest", QUOTE, 2, key="instrument")
    with pytest.raises(TableError, match="a row has 32 bytes, a record of the broadcast only 16"):
        Conflator(BroadcastReader(run_dir / "ticks"), owner)


VALUES = 20_000


def _conflate(folder: Path) -> None:
    owner = Table.create(folder / "latest", QUOTE, 8, key="instrument")
    conflator = Conflator(BroadcastReader(folder / "ticks", "oldest"), owner)
    while True:
        conflator.step()


def test_nothing_is_torn_and_everything_counted_between_three_processes(run_dir: Path) -> None:
    ticks = Broadcast.create(run_dir / "ticks", 64, 65_536)
    Table.create(run_dir / "latest", QUOTE, 8, key="instrument")
    reader = LatestReader(run_dir / "latest", QUOTE, key="instrument")
    child = Child(_conflate, run_dir)
    newest, taken, skipped = dict.fromkeys(range(1, 4), -1), 0, 0
    sent = 0
    while min(newest.values()) < VALUES - 1:
        if sent < VALUES:
            for instrument in newest:
                ticks.publish(quote(instrument, sent))
            sent += 1
        for latest in reader.changed():
            record = latest.record
            assert record["time_ns"] == record["bid"] == record["ask"], "torn"
            instrument = int(record["instrument"])
            assert int(record["bid"]) == newest[instrument] + 1 + latest.skipped
            newest[instrument] = int(record["bid"])
            taken += 1
            skipped += latest.skipped
    child.kill()
    assert taken + skipped == 3 * VALUES
    assert reader.lost == 0


def test_no_row_is_torn_at_full_speed(run_dir: Path) -> None:
    """Long rows, one key: the owner is in the row most of the time."""
    words, count = 512, 1_000_000
    dtype = np.dtype([("key", "i8"), ("words", "i8", words)])
    owner = Table.create(run_dir / "t", dtype, 1, key="key")
    record, target = np.zeros(1 + words, np.int64), np.zeros(1 + words, np.int64)
    arguments = (owner.address, int(record.ctypes.data), words)
    put_numbers(*arguments, 0, 1)  # compiled before the race begins
    read_untorn(owner.address, int(target.ctypes.data), words, 0)
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(read_untorn, owner.address, int(target.ctypes.data), words, count - 1)
        threads.submit(put_numbers, *arguments, 1, count).result()
        reads, torn, back = reading.result()
    assert (torn, back) == (0, 0)
    assert reads > 0
