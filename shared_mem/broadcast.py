"""Broadcast: one producer, any number of readers, and it never waits for them. Ticks travel in it.

Always holds: the producer goes on whatever a reader does. Each slot carries the sequence number of what is in
it, as a seqlock; a reader that was overrun knows it, and how many records it missed, and never returns a torn
record. Reading leaves no trace: a reader may die or come at any time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np

from shared_mem.atomics import (
    acquire_fence,
    copy_bytes,
    load_acquire,
    load_i64,
    release_fence,
    store_i64,
    store_release,
)
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES, Segment

LAYOUT: Final = "broadcast"
VERSION: Final = 1

SLOT_BYTES: Final = HEADER_BYTES  # of the payload
MASK: Final = HEADER_BYTES + 8
NEXT: Final = 128  # sequence number of the next record
SLOTS: Final = 256
# A stamp is twice the number. At 100 million records a second it takes 700 years to here; an owner that finds a
# ring near its end begins a new one.
SEQUENCE_RENEW: Final = 1 << 61
STAMP_BYTES: Final = 8  # before each payload: 2 x sequence + 2 when whole, odd while it is written


@jit
def publish(base: int, record: int, length: int) -> int:
    """Put `length` bytes at address `record` where the oldest stands. Returns its sequence number."""
    sequence = load_i64(base + NEXT)
    stride = load_i64(base + SLOT_BYTES) + STAMP_BYTES
    slot = base + SLOTS + (sequence & load_i64(base + MASK)) * stride
    store_i64(slot, 2 * sequence + 1)
    release_fence()
    copy_bytes(slot + STAMP_BYTES, record, length)
    store_release(slot, 2 * sequence + 2)
    store_release(base + NEXT, sequence + 1)
    return sequence


@jit
def read(base: int, sequence: int, target: int) -> int:
    """Copy record number `sequence` to address `target`. 1 done, 0 not there yet, -1 overrun."""
    if sequence >= load_acquire(base + NEXT):
        return 0
    length = load_i64(base + SLOT_BYTES)
    slot = base + SLOTS + (sequence & load_i64(base + MASK)) * (length + STAMP_BYTES)
    if load_acquire(slot) != 2 * sequence + 2:
        return -1
    copy_bytes(target, slot + STAMP_BYTES, length)
    acquire_fence()
    return 1 if load_acquire(slot) == 2 * sequence + 2 else -1


@jit
def next_sequence(base: int) -> int:
    return load_acquire(base + NEXT)


@jit
def oldest_sequence(base: int) -> int:
    """The oldest record that is safe to begin with: half a ring behind the producer, or the first."""
    return max(0, load_acquire(base + NEXT) - (load_i64(base + MASK) + 1) // 2)


class Broadcast:
    """The producer's end."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self.address = segment.address
        self.slot_bytes = int.from_bytes(segment.view[SLOT_BYTES : SLOT_BYTES + 8], "little")
        self._staging = np.zeros(self.slot_bytes, np.uint8)
        self._staged = self._staging.data
        self._staging_address = int(self._staging.ctypes.data)

    @classmethod
    def create(cls, path: Path, slot_bytes: int, capacity: int) -> Broadcast:
        """capacity: a power of two, in records. What an earlier producer left goes on being numbered; a ring whose
        numbers are used up is begun anew, and its readers must attach again."""
        if capacity < 2 or capacity & (capacity - 1) or slot_bytes % 8:
            raise ValueError(
                f"capacity {capacity} must be a power of two, slot_bytes {slot_bytes} a multiple of 8"
            )
        size = SLOTS + (slot_bytes + STAMP_BYTES) * capacity
        words = {SLOT_BYTES: slot_bytes, MASK: capacity - 1}
        broadcast = cls(Segment.create(path, size, LAYOUT, VERSION, words))
        is_used_up = next_sequence(broadcast.address) >= SEQUENCE_RENEW
        if broadcast.slot_bytes != slot_bytes or is_used_up:  # of the same size, but divided otherwise
            path.unlink()
            broadcast = cls(Segment.create(path, size, LAYOUT, VERSION, words))
        return broadcast

    def publish(self, record: bytes) -> int:
        """Send to every reader; returns the sequence number. Shorter records are filled up with zeros."""
        if len(record) > self.slot_bytes:
            raise ValueError(f"record of {len(record)} bytes; a slot has {self.slot_bytes}")
        self._staged[: len(record)] = record
        self._staged[len(record) :] = bytes(self.slot_bytes - len(record))
        return int(publish(self.address, self._staging_address, self.slot_bytes))


class BroadcastReader:
    """One reader. `missed` counts the records that were overwritten before it came to them."""

    def __init__(self, path: Path, start: Literal["now", "oldest"] = "now") -> None:
        self._segment = Segment.attach(path, LAYOUT, VERSION, writable=False)
        self.address = self._segment.address
        self.slot_bytes = int.from_bytes(self._segment.view[SLOT_BYTES : SLOT_BYTES + 8], "little")
        self._record = np.zeros(self.slot_bytes, np.uint8)
        self._record_address = int(self._record.ctypes.data)
        at_end = start == "now"
        self.sequence = int(next_sequence(self.address) if at_end else oldest_sequence(self.address))
        self.missed = 0

    def pop(self) -> bytes | None:
        """The next record, or None. After an overrun it goes on with the oldest safe one and counts the rest."""
        while True:
            outcome = read(self.address, self.sequence, self._record_address)
            if outcome == 1:
                self.sequence += 1
                return self._record.tobytes()
            if outcome == 0:
                return None
            oldest = max(int(oldest_sequence(self.address)), self.sequence + 1)
            self.missed += oldest - self.sequence
            self.sequence = oldest

    @property
    def lag(self) -> int:
        """Records published and not yet read."""
        return int(next_sequence(self.address)) - self.sequence
