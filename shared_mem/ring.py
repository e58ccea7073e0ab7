"""Ring: one producer, one consumer, fixed slots, in shared memory. Commands travel in it.

Always holds: a slot is read only after its release-store, and reused only after the consumer's. Full is an
answer (`try_push` is False), never a wait. Producer and consumer may be killed at any instruction: a record is
in the ring whole or not at all, and what is in it is there for the next consumer.

Two ways in and out. One record at a time: `try_push`, `front`, `release_front`. In batches: the producer asks for
`room` and fills as many slots with `put`; the consumer asks how many are `waiting`, takes them with `at`, and gives
their slots back in one `release`. So each reads the other's cache line once a batch, not once a record (Giacomoni,
Moseley, Vachharajani, FastForward, PPoPP 2008; Lee, Bu, Chandranmenon, MCRingBuffer, IPDPS 2010). What `room` and
`waiting` answered is the caller's to keep, in its own process's memory: it can only become too small, since the
other side alone changes it, and dies with the caller, whose successor asks again. Each record is still published by
a release-store of its own; a consumer killed before `release` leaves the whole batch in the ring, and its successor
goes on behind the last one that is known to have been taken (`skip_through`).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from shared_mem.atomics import copy_bytes, load_acquire, load_i64, store_release
from shared_mem.bell import Bell
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES, Segment

LAYOUT: Final = "ring"
VERSION: Final = 1

# Each on a cache line of its own (two, for the adjacent-line prefetcher).
SLOT_BYTES: Final = HEADER_BYTES
MASK: Final = HEADER_BYTES + 8
RING_ID: Final = HEADER_BYTES + 16  # random, not 0: tells this ring from a later one of the same name
TAIL: Final = 128  # the next slot to be written: the producer's
HEAD: Final = 256  # the next slot to be read: the consumer's
SLOTS: Final = 384

# A record's name in 64 bits: its ring's id and its number in it.
RING_ID_BITS: Final = 23
SEQUENCE_BITS: Final = 40
_SEQUENCE_MASK: Final = (1 << SEQUENCE_BITS) - 1


@jit
def try_push(base: int, record: int, length: int) -> bool:
    """Copy `length` bytes at address `record` into the next slot; False when the ring is full."""
    tail = load_i64(base + TAIL)
    mask = load_i64(base + MASK)
    if tail - load_acquire(base + HEAD) > mask:
        return False
    copy_bytes(base + SLOTS + (tail & mask) * load_i64(base + SLOT_BYTES), record, length)
    store_release(base + TAIL, tail + 1)
    return True


@jit
def front(base: int) -> int:
    """Address of the oldest record, or 0 when there is none. `release_front` gives its slot back."""
    head = load_i64(base + HEAD)
    if load_acquire(base + TAIL) == head:
        return 0
    return base + SLOTS + (head & load_i64(base + MASK)) * load_i64(base + SLOT_BYTES)


@jit
def release_front(base: int) -> None:
    store_release(base + HEAD, load_i64(base + HEAD) + 1)


@jit
def room(base: int) -> int:
    """How many slots the producer may fill now with `put`."""
    return load_i64(base + MASK) + 1 - (load_i64(base + TAIL) - load_acquire(base + HEAD))


@jit
def put(base: int, record: int, length: int) -> None:
    """Copy `length` bytes at address `record` into the next slot, which `room` has said to be free."""
    tail = load_i64(base + TAIL)
    slot = base + SLOTS + (tail & load_i64(base + MASK)) * load_i64(base + SLOT_BYTES)
    copy_bytes(slot, record, length)
    store_release(base + TAIL, tail + 1)


@jit
def waiting(base: int) -> int:
    """How many records the consumer may take now with `at`."""
    return load_acquire(base + TAIL) - load_i64(base + HEAD)


@jit
def at(base: int, distance: int) -> int:
    """Address of the record `distance` places behind the oldest, one of those that `waiting` has counted."""
    place = load_i64(base + HEAD) + distance
    return base + SLOTS + (place & load_i64(base + MASK)) * load_i64(base + SLOT_BYTES)


@jit
def release(base: int, count: int) -> None:
    """Give the slots of the oldest `count` records back; `name_at` says the name of the last."""
    store_release(base + HEAD, load_i64(base + HEAD) + count)


@jit
def name_at(base: int, distance: int) -> int:
    """The name of the record `distance` places behind the oldest: unlike any other's, of this ring or of an earlier
    one (until 2**40 later)."""
    return load_i64(base + RING_ID) << SEQUENCE_BITS | (load_i64(base + HEAD) + distance) & _SEQUENCE_MASK


@jit
def front_name(base: int) -> int:
    """The name of the oldest record."""
    return name_at(base, 0)


@jit
def skip_through(base: int, name: int) -> None:
    """A new consumer goes on behind the record that its predecessor is known to have taken, if it is of this ring."""
    head = load_i64(base + HEAD)
    ahead = (name - head) & _SEQUENCE_MASK  # of a record whose slot was given back it is nearly 2**40
    if name >> SEQUENCE_BITS == load_i64(base + RING_ID) and ahead <= load_i64(base + MASK):
        store_release(base + HEAD, head + ahead + 1)


@jit
def _claim(base: int) -> int:
    """Offset of the slot to be written, or -1 when the ring is full."""
    tail = load_i64(base + TAIL)
    mask = load_i64(base + MASK)
    if tail - load_acquire(base + HEAD) > mask:
        return -1
    return SLOTS + (tail & mask) * load_i64(base + SLOT_BYTES)


@jit
def _publish(base: int) -> None:
    store_release(base + TAIL, load_i64(base + TAIL) + 1)


@jit
def _length(base: int) -> int:
    return load_acquire(base + TAIL) - load_acquire(base + HEAD)


class RingError(ValueError):
    pass


class Ring:
    """A ring as Python sees it. The consumer creates it, the producer attaches; each is one thread."""

    def __init__(self, segment: Segment, bell: Bell | None) -> None:
        self._segment = segment
        self._bell = bell
        self.address = segment.address
        self.slot_bytes = int.from_bytes(segment.view[SLOT_BYTES : SLOT_BYTES + 8], "little")
        self.capacity = int.from_bytes(segment.view[MASK : MASK + 8], "little") + 1

    @classmethod
    def create(cls, path: Path, slot_bytes: int, capacity: int, *, bell: Bell | None = None) -> Ring:
        """capacity: a power of two. An earlier ring of the same size is kept, with the records in it."""
        if capacity < 1 or capacity & (capacity - 1):
            raise RingError(f"capacity {capacity} is not a power of two; take {1 << capacity.bit_length()}")
        if slot_bytes % 8:
            raise RingError(f"slot_bytes {slot_bytes} is not a multiple of 8")
        size = SLOTS + slot_bytes * capacity
        words = {SLOT_BYTES: slot_bytes, MASK: capacity - 1, RING_ID: 1 + secrets.randbits(RING_ID_BITS - 1)}
        ring = cls(Segment.create(path, size, LAYOUT, VERSION, words), bell)
        if ring.slot_bytes != slot_bytes:  # of the same size, but divided otherwise
            path.unlink()
            ring = cls(Segment.create(path, size, LAYOUT, VERSION, words), bell)
        return ring

    @classmethod
    def attach(cls, path: Path, *, bell: Bell | None = None) -> Ring:
        return cls(Segment.attach(path, LAYOUT, VERSION), bell)

    def try_push(self, record: bytes) -> bool:
        """Put a record in, and ring the consumer's bell. False when full. Raises RingError when it is too long."""
        if len(record) > self.slot_bytes:
            raise RingError(f"record of {len(record)} bytes; a slot has {self.slot_bytes}")
        offset = _claim(self.address)
        if offset < 0:
            return False
        self._segment.view[offset : offset + len(record)] = record
        _publish(self.address)
        if self._bell is not None:
            self._bell.ring()
        return True

    def pop(self) -> bytes | None:
        """The oldest record, a whole slot long; None when there is none."""
        address = front(self.address)
        if address == 0:
            return None
        offset = address - self.address
        record = bytes(self._segment.view[offset : offset + self.slot_bytes])
        release_front(self.address)
        return record

    def __bool__(self) -> bool:
        return True  # an empty ring is a ring

    def __len__(self) -> int:
        return int(_length(self.address))
