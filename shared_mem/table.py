"""Table: fixed-layout rows by key, written by one process and read in place by any number of others.

    rows, each twice, with a stamp: how often it was written. Update n is written into copy n & 1, then the stamp
    says n. A reader takes the copy that the stamp names and looks at the stamp again.

Always holds:
- A reader never gets a torn row: while it reads one copy the owner writes the other, and a stamp that has moved
  says that the owner may have come round. An owner killed in the middle of a write leaves the value before it.
- Rows are never moved or removed (what has ended says so in a field), so the hash index only grows: readers search
  it without a lock. The table is bounded, and full is an answer.
- The owner is the only writer. Readers map the file read-only, come and go and die without a trace.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared_mem.atomics import (
    acquire_fence,
    copy_bytes,
    load_acquire,
    load_i64,
    load_u8,
    pause,
    release_fence,
    store_i64,
    store_release,
)
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES, LayoutMismatch, Segment

LAYOUT: Final = "table"
VERSION: Final = 1

ROW_BYTES: Final = HEADER_BYTES  # of one copy: the dtype's itemsize
STRIDE: Final = HEADER_BYTES + 8  # from row to row
KEY_AT: Final = HEADER_BYTES + 16  # offset of the key's field in a row
KEY_BYTES: Final = HEADER_BYTES + 24
CAPACITY: Final = HEADER_BYTES + 32
MASK: Final = HEADER_BYTES + 40  # of the index, whose size is a power of two
ROWS: Final = HEADER_BYTES + 48  # offset of the first row
LAYOUT_ID: Final = HEADER_BYTES + 56  # of dtype and key
COUNT: Final = 128  # rows in use
CHANGES: Final = 136  # puts so far
LOST: Final = 144  # records that whoever feeds the table knows to have missed
INDEX: Final = 256  # int64: row + 1, or 0

STAMP: Final = 0  # at the beginning of a row; then the two copies
COPIES: Final = 8
_LINE: Final = 64  # rows that are written apart share no cache line

# A read fails only while the owner writes the same row twice during each try; so often it does not.
TRIES_MAX: Final = 1_000_000

_MIX: Final = -7046029254386353131  # 2**64 / golden ratio, odd: Knuth 6.4, multiplicative hashing


class TableError(ValueError):
    pass


class TableBusy(RuntimeError):
    pass


@jit
def _home(key: int, length: int) -> int:
    """Where the search for the key at address `key` begins; never negative."""
    value = length
    for at in range(0, length - 7, 8):
        value = (value ^ load_i64(key + at)) * _MIX
        value ^= (value >> 32) & 0xFFFFFFFF
    for at in range(length & ~7, length):
        value = (value ^ load_u8(key + at)) * _MIX
        value ^= (value >> 32) & 0xFFFFFFFF
    return value & 0x7FFFFFFFFFFFFFFF


@jit
def _same(a: int, b: int, length: int) -> bool:
    for at in range(0, length - 7, 8):
        if load_i64(a + at) != load_i64(b + at):
            return False
    for at in range(length & ~7, length):
        if load_u8(a + at) != load_u8(b + at):
            return False
    return True


@jit
def _copy_at(base: int, row: int, stamp: int) -> int:
    size = (load_i64(base + ROW_BYTES) + 7) & ~7
    return base + load_i64(base + ROWS) + row * load_i64(base + STRIDE) + COPIES + (stamp & 1) * size


@jit
def _stamp_at(base: int, row: int) -> int:
    return base + load_i64(base + ROWS) + row * load_i64(base + STRIDE) + STAMP


@jit
def find(base: int, key: int) -> int:
    """Row of the key whose bytes stand at address `key`, or -1."""
    length = load_i64(base + KEY_BYTES)
    mask = load_i64(base + MASK)
    at = _home(key, length) & mask
    while True:
        entry = load_acquire(base + INDEX + 8 * at)
        if entry == 0:
            return -1
        # The first put wrote copy 1, and no later one another key.
        if _same(_copy_at(base, entry - 1, 1) + load_i64(base + KEY_AT), key, length):
            return entry - 1
        at = (at + 1) & mask


@jit
def count(base: int) -> int:
    return load_acquire(base + COUNT)


@jit
def stamp_of(base: int, row: int) -> int:
    """How often the row was written."""
    return load_acquire(_stamp_at(base, row))


@jit
def write(base: int, row: int, record: int) -> None:
    """The owner: a new value for a row that is there. The record at address `record` has the row's key."""
    stamp = _stamp_at(base, row)
    next_stamp = load_i64(stamp) + 1
    release_fence()  # the stamp before this one is seen before its copy is written over
    copy_bytes(_copy_at(base, row, next_stamp), record, load_i64(base + ROW_BYTES))
    store_release(stamp, next_stamp)
    store_release(base + CHANGES, load_i64(base + CHANGES) + 1)


@jit
def put(base: int, record: int) -> int:
    """The owner: the row of the record's key gets the record at address `record`; its row, or -1 when it is new and
    the table full."""
    row = find(base, record + load_i64(base + KEY_AT))
    if row >= 0:
        write(base, row, record)
        return row
    row = load_i64(base + COUNT)
    if row >= load_i64(base + CAPACITY):
        return -1
    store_i64(_stamp_at(base, row), 0)  # an owner that was killed here may have left one
    write(base, row, record)
    store_release(base + COUNT, row + 1)
    _enter(base, row)
    return row


@jit
def _enter(base: int, row: int) -> None:
    """Into the index, unless it is there already."""
    key = _copy_at(base, row, 1) + load_i64(base + KEY_AT)
    if find(base, key) >= 0:
        return
    mask = load_i64(base + MASK)
    at = _home(key, load_i64(base + KEY_BYTES)) & mask
    while load_i64(base + INDEX + 8 * at) != 0:
        at = (at + 1) & mask
    store_release(base + INDEX + 8 * at, row + 1)


@jit
def recover(base: int) -> None:
    """A new owner: the row that its predecessor was adding when it was killed is in the index, or is none."""
    for row in range(load_i64(base + COUNT)):
        _enter(base, row)


@jit
def read(base: int, row: int, target: int, tries: int) -> int:
    """Copy a row to address `target`: its stamp, or -1 when it was written over and over again."""
    for _ in range(tries):
        stamp = stamp_of(base, row)
        copy_bytes(target, _copy_at(base, row, stamp), load_i64(base + ROW_BYTES))
        if is_still(base, row, stamp):
            return stamp
        pause()
    return -1


@jit
def look(base: int, row: int, stamp: int) -> int:
    """Address of the row as it is at `stamp_of`, to be read in place. Believe what was read only if `is_still`."""
    return _copy_at(base, row, stamp)


@jit
def is_still(base: int, row: int, stamp: int) -> bool:
    """Whether everything read since `stamp_of` gave `stamp` belongs to it."""
    acquire_fence()
    return load_acquire(_stamp_at(base, row)) == stamp


class Table:
    """A table as Python sees it: `put` is the owner's, everything else anybody's."""

    def __init__(self, segment: Segment, dtype: np.dtype[Any], key: str) -> None:
        self._segment = segment
        self.address = segment.address
        self.dtype = dtype
        self.key = key
        self.capacity = self._word(CAPACITY)
        self._row = np.zeros(1, dtype)
        self._row_address = int(self._row.ctypes.data)
        self._wanted = np.zeros(1, dtype)
        assert dtype.fields is not None
        self._wanted_key = int(self._wanted.ctypes.data) + dtype.fields[key][1]

    @classmethod
    def create(cls, path: Path, dtype: np.dtype[Any], capacity: int, *, key: str) -> Table:
        """The owner's. Rows that an earlier owner left are kept when dtype, key and capacity are the same.

        key: the field that tells rows apart. Raises TableError for a dtype that can't be shared."""
        _check(dtype, key)
        if capacity < 1:
            raise TableError(f"capacity {capacity} is no number of rows")
        slots = 1 << (2 * capacity - 1).bit_length()  # half of them stay empty: searches are short, and end
        stride = -(-(COPIES + 2 * ((dtype.itemsize + 7) & ~7)) // _LINE) * _LINE
        assert dtype.fields is not None
        field = dtype.fields[key]
        words = {
            ROW_BYTES: dtype.itemsize,
            STRIDE: stride,
            KEY_AT: field[1],
            KEY_BYTES: field[0].itemsize,
            CAPACITY: capacity,
            MASK: slots - 1,
            ROWS: INDEX + 8 * slots,
            LAYOUT_ID: _layout_id(dtype, key),
        }
        size = INDEX + 8 * slots + stride * capacity
        segment = Segment.create(path, size, LAYOUT, VERSION, words)
        table = cls(segment, dtype, key)
        if any(table._word(offset) != value for offset, value in words.items()):  # by chance of the same size
            path.unlink()
            table = cls(Segment.create(path, size, LAYOUT, VERSION, words), dtype, key)
        recover(table.address)
        return table

    @classmethod
    def attach(cls, path: Path, dtype: np.dtype[Any], *, key: str) -> Table:
        """A reader's. Raises SegmentMissing, or LayoutMismatch when its rows are others."""
        segment = Segment.attach(path, LAYOUT, VERSION, writable=False)
        table = cls(segment, dtype, key)
        if table._word(LAYOUT_ID) != _layout_id(dtype, key):
            raise LayoutMismatch(f"{path} has rows of another dtype or key than {dtype} by {key!r}")
        return table

    def _word(self, offset: int) -> int:
        return int.from_bytes(self._segment.view[offset : offset + 8], "little")

    def put(self, record: Any) -> bool:
        """Add or replace the row of the record's key (a record of `dtype`, or a tuple of its fields). False when it is
        new and the table full."""
        assert self._segment.writable, "only the owner writes"
        self._row[0] = record
        return int(put(self.address, self._row_address)) >= 0

    def get(self, key: Any) -> np.void | None:
        """A copy of the key's row as it was at one moment, or None."""
        self._wanted[self.key] = key
        row = int(find(self.address, self._wanted_key))
        return None if row < 0 else self.row(row)[0]

    def row(self, row: int) -> tuple[np.void, int]:
        """Row number `row`, and how often it was written. Raises TableBusy."""
        target = np.zeros(1, self.dtype)
        stamp = int(read(self.address, row, int(target.ctypes.data), TRIES_MAX))
        if stamp < 0:
            raise TableBusy(f"row {row} of {self._segment.path} is written too fast to be read")
        return target[0], stamp

    def __iter__(self) -> Iterator[np.void]:
        """The rows in the order in which their keys came, each as it was at one moment."""
        for row in range(len(self)):
            yield self.row(row)[0]

    def __len__(self) -> int:
        return int(count(self.address))

    def __bool__(self) -> bool:
        return True  # an empty table is a table


def _check(dtype: np.dtype[Any], key: str) -> None:
    if dtype.hasobject or not dtype.fields:
        raise TableError(f"rows of {dtype} can't be shared: fields of fixed size are needed, and no objects")
    if key not in dtype.fields:
        raise TableError(f"the key {key!r} is no field of the rows; there are {', '.join(dtype.fields)}")


def _layout_id(dtype: np.dtype[Any], key: str) -> int:
    return zlib.crc32(f"{dtype.descr} by {key}".encode())
