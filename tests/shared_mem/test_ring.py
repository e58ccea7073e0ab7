"""A ring: first in, first out, full is an answer, and a kill -9 on either side loses nothing and doubles nothing."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_mem import ring
from shared_mem.ring import Ring, RingError
from shared_mem.segment import LayoutMismatch, Segment, SegmentMissing
from tests.shared_mem.desk import Child
from tests.shared_mem.loops import put_numbered, take_numbered

SLOT = 256


def numbered(number: int) -> bytes:
    """A slot full of its number, so that a torn record shows."""
    return struct.pack("<q", number) * (SLOT // 8)


def number_in(record: bytes) -> int:
    number: int = struct.unpack_from("<q", record)[0]
    assert record == numbered(number), "torn"
    return number


def pushed_so_far(path: Path) -> int:
    segment = Segment.attach(path, ring.LAYOUT, ring.VERSION)
    return int.from_bytes(segment.view[ring.TAIL : ring.TAIL + 8], "little")


def test_first_in_first_out_over_many_wraps(run_dir: Path) -> None:
    consumer, producer = Ring.create(run_dir / "r", SLOT, 4), Ring.attach(run_dir / "r")
    for start in range(0, 60, 3):
        assert all(producer.try_push(numbered(n)) for n in range(start, start + 3))
        assert len(consumer) == len(producer) == 3
        assert [number_in(consumer.pop() or b"") for _ in range(3)] == [start, start + 1, start + 2]
    assert consumer.pop() is None


def test_full_is_an_answer_and_changes_nothing(run_dir: Path) -> None:
    consumer, producer = Ring.create(run_dir / "r", SLOT, 4), Ring.attach(run_dir / "r")
    assert producer.capacity == 4
    assert all(producer.try_push(numbered(n)) for n in range(4))
    assert producer.try_push(numbered(9)) is False
    assert [number_in(consumer.pop() or b"") for _ in range(4)] == [0, 1, 2, 3]
    assert producer.try_push(numbered(4)) is True


def test_a_record_longer_than_a_slot_is_refused(run_dir: Path) -> None:
    with pytest.raises(RingError, match="record of 257 bytes; a slot has 256"):
        Ring.create(run_dir / "r", SLOT, 4).try_push(bytes(257))


def test_sizes_that_can_not_be_are_named(run_dir: Path) -> None:
    with pytest.raises(RingError, match="capacity 6 is not a power of two; take 8"):
        Ring.create(run_dir / "r", SLOT, 6)
    with pytest.raises(RingError, match="slot_bytes 12 is not a multiple of 8"):
        Ring.create(run_dir / "r", 12, 8)


def test_a_missing_ring_and_a_thing_that_is_no_ring(run_dir: Path) -> None:
    with pytest.raises(SegmentMissing):
        Ring.attach(run_dir / "r")
    Segment.create(run_dir / "r", 4096, "other", 1)
    with pytest.raises(LayoutMismatch):
        Ring.attach(run_dir / "r")


def test_a_new_consumer_finds_what_its_predecessor_left(run_dir: Path) -> None:
    first = Ring.create(run_dir / "r", SLOT, 4)
    assert first.try_push(numbered(1))
    assert number_in(Ring.create(run_dir / "r", SLOT, 4).pop() or b"") == 1


def test_a_ring_of_other_slots_and_the_same_size_is_made_anew(run_dir: Path) -> None:
    Ring.create(run_dir / "r", SLOT, 8).try_push(numbered(1))
    again = Ring.create(run_dir / "r", 2 * SLOT, 4)
    assert (again.slot_bytes, again.capacity, len(again)) == (2 * SLOT, 4, 0)
    assert Ring.attach(run_dir / "r").slot_bytes == 2 * SLOT


def test_skip_through_knows_only_names_of_this_ring(run_dir: Path) -> None:
    r = Ring.create(run_dir / "r", SLOT, 8)
    for n in range(4):
        r.try_push(numbered(n))
    first = int(ring.front_name(r.address))
    ring.skip_through(r.address, 0)
    ring.skip_through(r.address, first ^ (1 << ring.SEQUENCE_BITS))
    assert number_in(r.pop() or b"") == 0
    ring.skip_through(r.address, first)
    assert number_in(r.pop() or b"") == 1, "what was taken already is not skipped again"
    ring.skip_through(r.address, first + 2)
    assert number_in(r.pop() or b"") == 3


def test_names_differ_from_those_of_an_earlier_ring(run_dir: Path) -> None:
    first = Ring.create(run_dir / "r", SLOT, 8)
    (run_dir / "r").unlink()
    second = Ring.create(run_dir / "r", SLOT, 8)
    assert ring.front_name(first.address) != ring.front_name(second.address)


def begin_at(path: Path, number: int) -> Ring:
    """A ring that has seen `number` records."""
    consumer = Ring.create(path, SLOT, 8)
    for offset in (ring.TAIL, ring.HEAD):
        consumer._segment.view[offset : offset + 8] = number.to_bytes(8, "little", signed=True)
    return consumer


@pytest.mark.parametrize("number", [2**40 - 2, 2**63 - 3], ids=["names come round", "numbers come round"])
def test_a_ring_goes_on_past_every_power_of_two(run_dir: Path, number: int) -> None:
    consumer, producer = begin_at(run_dir / "r", number), Ring.attach(run_dir / "r")
    for n in range(6):
        assert producer.try_push(numbered(n))
    assert len(consumer) == 6
    names = set()
    for n in range(6):
        name = int(ring.front_name(consumer.address))
        names.add(name)
        assert number_in(consumer.pop() or b"") == n
        ring.skip_through(consumer.address, name)
        assert len(consumer) == 5 - n, "what was given back is not skipped again"
    assert len(names) == 6
    for n in range(8):
        assert producer.try_push(numbered(n))
    assert producer.try_push(numbered(8)) is False
    for _ in range(3):
        ring.skip_through(consumer.address, int(ring.front_name(consumer.address)))
    assert number_in(consumer.pop() or b"") == 3


def _produce(path: Path) -> None:
    producer = Ring.attach(path)
    number = pushed_so_far(path)
    while True:
        if producer.try_push(numbered(number)):
            number += 1


def test_a_producer_killed_anywhere_leaves_whole_records_only(run_dir: Path) -> None:
    consumer = Ring.create(run_dir / "r", SLOT, 64)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    expected = 0
    for _ in range(10):
        child = Child(_produce, run_dir / "r")
        goal = expected + dice.randrange(200, 3000)
        while expected < goal:
            record = consumer.pop()
            if record is not None:
                assert number_in(record) == expected
                expected += 1
        child.kill()
    while (record := consumer.pop()) is not None:
        assert number_in(record) == expected
        expected += 1
    assert expected == pushed_so_far(run_dir / "r")


def test_batches_hold_what_they_hold_in_any_order_of_steps(run_dir: Path) -> None:
    """One at a time and in batches may be mixed; a list is the model."""

    @given(steps=st.lists(st.tuples(st.sampled_from(["push", "put", "pop", "take"]), st.integers(1, 5))))
    def holds(steps: list[tuple[str, int]]) -> None:
        (run_dir / "r").unlink(missing_ok=True)
        r = Ring.create(run_dir / "r", SLOT, 4)
        staged = np.zeros(SLOT, np.uint8)
        model: list[int] = []
        number = 0
        for step, count in steps:
            assert ring.room(r.address) == 4 - len(model)
            assert ring.waiting(r.address) == len(r) == len(model)
            if step == "push" and r.try_push(numbered(number)):
                model.append(number)
                number += 1
            elif step == "put":
                for _ in range(min(count, ring.room(r.address))):
                    staged[:] = np.frombuffer(numbered(number), np.uint8)
                    ring.put(r.address, staged.ctypes.data, SLOT)
                    model.append(number)
                    number += 1
            elif step == "pop":
                found = r.pop()
                assert (None if found is None else number_in(found)) == (model.pop(0) if model else None)
            elif step == "take":
                wanted = min(count, ring.waiting(r.address))
                assert [number_in(slot_at(r, i)) for i in range(wanted)] == model[:wanted]
                ring.release(r.address, wanted)
                del model[:wanted]

    holds()


def slot_at(r: Ring, distance: int) -> bytes:
    offset = ring.at(r.address, distance) - r.address
    return bytes(r._segment.view[offset : offset + SLOT])


def test_batches_between_two_threads_lose_nothing_and_tear_nothing(run_dir: Path) -> None:
    r = Ring.create(run_dir / "r", SLOT, 64)
    record = np.zeros(SLOT, np.uint8)
    address, words, count = record.ctypes.data, SLOT // 8, 300_000
    with ThreadPoolExecutor(2) as threads:
        for most in (1, 7, 64):
            producer = threads.submit(put_numbered, r.address, address, words, count)
            consumer = threads.submit(take_numbered, r.address, words, most, count)
            assert (producer.result(), consumer.result()) == (count, 0)
            assert len(r) == 0


JOURNAL = struct.Struct("<qq")


def _consume_in_batches(path: Path, journal: Path) -> None:
    """Note each record and its name, then give the whole batch back."""
    consumer = Ring.create(path, SLOT, 64)
    fd = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(fd).st_size
    if size:
        _, name = JOURNAL.unpack(os.pread(fd, JOURNAL.size, size - JOURNAL.size))
        ring.skip_through(consumer.address, name)
    while True:
        waiting = ring.waiting(consumer.address)
        for i in range(waiting):
            number = number_in(slot_at(consumer, i))
            os.write(fd, JOURNAL.pack(number, ring.name_at(consumer.address, i)))
        ring.release(consumer.address, waiting)


def _consume(path: Path, journal: Path) -> None:
    """As a shard does it: note the record and its name in one write, then give its slot back."""
    consumer = Ring.create(path, SLOT, 64)
    fd = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(fd).st_size
    if size:
        _, name = JOURNAL.unpack(os.pread(fd, JOURNAL.size, size - JOURNAL.size))
        ring.skip_through(consumer.address, name)
    while True:
        address = ring.front(consumer.address)
        if address:
            offset = address - consumer.address
            number = number_in(bytes(consumer._segment.view[offset : offset + SLOT]))
            os.write(fd, JOURNAL.pack(number, ring.front_name(consumer.address)))
            ring.release_front(consumer.address)


@pytest.mark.parametrize("consume", [_consume, _consume_in_batches])
def test_a_consumer_killed_anywhere_takes_each_record_once(
    run_dir: Path, consume: Callable[[Path, Path], None]
) -> None:
    Ring.create(run_dir / "r", SLOT, 64)
    producer = Ring.attach(run_dir / "r")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    journal = run_dir / "journal"
    number = 0
    for _ in range(10):
        child = Child(consume, run_dir / "r", journal)
        goal = number + dice.randrange(200, 2000)
        while number < goal:
            number += producer.try_push(numbered(number))
        child.kill()
    child = Child(consume, run_dir / "r", journal)
    while len(producer):
        time.sleep(0.001)
    child.kill()
    noted = [JOURNAL.unpack_from(raw, 0)[0] for raw in _pieces(journal.read_bytes())]
    assert noted == list(range(number))


def _pieces(raw: bytes) -> list[bytes]:
    return [raw[at : at + JOURNAL.size] for at in range(0, len(raw), JOURNAL.size)]
