"""A broadcast: the producer never waits, a reader knows how much it missed and never sees a torn record."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shared_mem import broadcast
from shared_mem.broadcast import Broadcast, BroadcastReader
from shared_mem.segment import SegmentMissing
from tests.shared_mem.desk import Child
from tests.shared_mem.loops import flood, take_untorn

SLOT = 128


def numbered(number: int) -> bytes:
    return struct.pack("<q", number) * (SLOT // 8)


def number_in(record: bytes | None) -> int:
    assert record is not None
    number: int = struct.unpack_from("<q", record)[0]
    assert record == numbered(number), "torn"
    return number


def test_every_reader_gets_every_record(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", SLOT, 16)
    readers = [BroadcastReader(run_dir / "b") for _ in range(3)]
    for n in range(40):
        assert producer.publish(numbered(n)) == n
        assert [number_in(reader.pop()) for reader in readers] == [n] * 3
    assert [reader.pop() for reader in readers] == [None] * 3
    assert [reader.missed for reader in readers] == [0] * 3


def test_a_reader_starts_now_or_with_the_oldest_that_is_safe(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", SLOT, 16)
    for n in range(5):
        producer.publish(numbered(n))
    assert number_in(BroadcastReader(run_dir / "b", "oldest").pop()) == 0
    for n in range(5, 100):
        producer.publish(numbered(n))
    assert BroadcastReader(run_dir / "b", "now").pop() is None
    oldest = BroadcastReader(run_dir / "b", "oldest")
    assert oldest.lag == 8
    assert [number_in(oldest.pop()) for _ in range(8)] == list(range(92, 100))
    assert oldest.missed == 0


def test_an_overrun_is_counted_exactly(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", SLOT, 16)
    reader = BroadcastReader(run_dir / "b")
    for n in range(16):
        producer.publish(numbered(n))
    assert number_in(reader.pop()) == 0, "a full ring is no overrun"
    for n in range(16, 18):
        producer.publish(numbered(n))
    assert number_in(reader.pop()) == 10, "it goes on half a ring behind the producer"
    assert reader.missed == 9
    assert [number_in(reader.pop()) for _ in range(7)] == list(range(11, 18))
    assert (reader.pop(), reader.missed, reader.lag) == (None, 9, 0)


def test_a_new_producer_goes_on_with_the_numbers(run_dir: Path) -> None:
    Broadcast.create(run_dir / "b", SLOT, 16).publish(numbered(0))
    reader = BroadcastReader(run_dir / "b", "oldest")
    assert Broadcast.create(run_dir / "b", SLOT, 16).publish(numbered(1)) == 1
    assert [number_in(reader.pop()) for _ in range(2)] == [0, 1]


def test_a_ring_of_other_slots_and_the_same_size_is_made_anew(run_dir: Path) -> None:
    Broadcast.create(run_dir / "b", 24, 8).publish(b"old")
    again = Broadcast.create(run_dir / "b", 56, 4)
    assert again.slot_bytes == 56
    assert again.publish(b"new") == 0


def test_what_does_not_fit_is_refused_and_what_is_shorter_filled_up(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", 16, 4)
    reader = BroadcastReader(run_dir / "b")
    producer.publish(b"\xff" * 16)
    producer.publish(b"ab")
    assert [reader.pop(), reader.pop()] == [b"\xff" * 16, b"ab" + bytes(14)]
    with pytest.raises(ValueError, match="record of 17 bytes; a slot has 16"):
        producer.publish(bytes(17))
    with pytest.raises(ValueError, match="capacity 6 must be a power of two"):
        Broadcast.create(run_dir / "c", 16, 6)
    with pytest.raises(SegmentMissing):
        BroadcastReader(run_dir / "none")


RECORDS = 60_000


def _publish(path: Path) -> None:
    producer = Broadcast.create(path, SLOT, 16)
    for n in range(RECORDS):
        producer.publish(numbered(n))


def test_no_record_is_torn_and_none_uncounted_beside_a_fast_producer(run_dir: Path) -> None:
    Broadcast.create(run_dir / "b", SLOT, 16)
    reader = BroadcastReader(run_dir / "b")
    child = Child(_publish, run_dir / "b")
    taken = 0
    while reader.sequence < RECORDS:
        record = reader.pop()
        if record is not None:
            assert number_in(record) == reader.sequence - 1
            taken += 1
    assert child.join() == 0
    assert taken + reader.missed == RECORDS
    assert taken > 0


def test_no_record_is_torn_at_full_speed(run_dir: Path) -> None:
    """Long records in a ring of two: the producer is in the slot that is being read most of the time."""
    words, count = 512, 2_000_000
    producer = Broadcast.create(run_dir / "b", 8 * words, 2)
    record, target = np.zeros(words, np.int64), np.zeros(words, np.int64)
    flood(producer.address, record.ctypes.data, words, 0)  # compiled before the race begins
    take_untorn(producer.address, target.ctypes.data, words, 0)
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(take_untorn, producer.address, target.ctypes.data, words, count)
        threads.submit(flood, producer.address, record.ctypes.data, words, count).result()
        taken, missed, torn = reading.result()
    assert torn == 0
    assert taken + missed == count


def test_a_ring_whose_numbers_are_nearly_used_up_is_begun_anew_by_its_owner(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", SLOT, 16)
    producer._segment.view[broadcast.NEXT : broadcast.NEXT + 8] = (broadcast.SEQUENCE_RENEW - 1).to_bytes(
        8, "little"
    )
    reader = BroadcastReader(run_dir / "b")
    assert Broadcast.create(run_dir / "b", SLOT, 16).publish(numbered(1)) == broadcast.SEQUENCE_RENEW - 1
    assert number_in(reader.pop()) == 1
    assert Broadcast.create(run_dir / "b", SLOT, 16).publish(numbered(2)) == 0
    assert number_in(BroadcastReader(run_dir / "b", "oldest").pop()) == 2


def _publish_on(path: Path) -> None:
    producer = Broadcast.create(path, SLOT, 16)
    number = int(broadcast.next_sequence(producer.address))
    while True:
        assert producer.publish(numbered(number)) == number
        number += 1


def test_a_producer_killed_anywhere_leaves_whole_records_and_its_successor_goes_on(run_dir: Path) -> None:
    Broadcast.create(run_dir / "b", SLOT, 16)
    reader = BroadcastReader(run_dir / "b")
    taken = 0
    for _ in range(12):
        child = Child(_publish_on, run_dir / "b")
        goal = reader.sequence + 3000
        while reader.sequence < goal:
            record = reader.pop()
            if record is not None:
                assert number_in(record) == reader.sequence - 1
                taken += 1
        child.kill()
    while (record := reader.pop()) is not None:
        assert number_in(record) == reader.sequence - 1
        taken += 1
    assert taken + reader.missed == reader.sequence
    assert reader.sequence == int(broadcast.next_sequence(reader.address))


def _read_on(path: Path) -> None:
    reader = BroadcastReader(path, "oldest")
    while True:
        reader.pop()


def test_a_reader_killed_anywhere_is_not_noticed(run_dir: Path) -> None:
    producer = Broadcast.create(run_dir / "b", SLOT, 16)
    child = Child(_read_on, run_dir / "b")
    for n in range(2000):
        assert producer.publish(numbered(n)) == n
    child.kill()
    assert producer.publish(numbered(2000)) == 2000
