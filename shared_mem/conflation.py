"""Conflation: the latest value of each key, for readers that want no more. Quotes for a screen come this way.

    producer -> broadcast ring -> `Conflator` -> table, a row a key -> readers, each at its own pace
         \\_ or straight into the table, by `table.put`

Always holds: a reader sees each key's newest value once, whole, and learns how many values of that key it skipped;
keys whose rows did not change cost it nothing but a look at their stamps. What the feeder itself missed in the
broadcast stands in the table (`lost`): of which keys those were, nobody knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from shared_mem import broadcast, table
from shared_mem.atomics import load_acquire, load_i64, store_release
from shared_mem.broadcast import BroadcastReader
from shared_mem.jit import jit
from shared_mem.table import CHANGES, LOST, Table

Array = np.ndarray[Any, np.dtype[Any]]


@jit
def conflate(source: int, sequence: int, target: int, scratch: int, most: int) -> tuple[int, int, int]:
    """Move at most `most` records from the broadcast at `source` into the table at `target`, by way of `scratch` (a
    slot's bytes): (next sequence, taken, refused). What was missed is added to the table's LOST. refused: records of
    new keys that found the table full."""
    taken = refused = 0
    while taken < most:
        outcome = broadcast.read(source, sequence, scratch)
        if outcome == 0:
            break
        if outcome < 0:
            oldest = max(broadcast.oldest_sequence(source), sequence + 1)
            store_release(target + LOST, load_i64(target + LOST) + oldest - sequence)
            sequence = oldest
            continue
        if table.put(target, scratch) < 0:
            refused += 1
        sequence += 1
        taken += 1
    return sequence, taken, refused


@jit
def next_changed(base: int, seen: Array, row: int) -> int:
    """The first row from `row` on whose stamp is not the one in `seen`; -1: none."""
    for at in range(row, table.count(base)):
        if table.stamp_of(base, at) != seen[at]:
            return at
    return -1


@jit
def changes(base: int) -> int:
    return load_acquire(base + CHANGES)


@jit
def lost(base: int) -> int:
    return load_acquire(base + LOST)


class Conflator:
    """Feeds a table from a broadcast whose records begin with the table's row. The table's owner runs it."""

    def __init__(self, source: BroadcastReader, target: Table) -> None:
        self._source = source
        self._target = target
        self._scratch = np.zeros(source.slot_bytes, np.uint8)
        if source.slot_bytes < target.dtype.itemsize:
            raise table.TableError(
                f"a row has {target.dtype.itemsize} bytes, a record of the broadcast only {source.slot_bytes}"
            )
        self.refused = 0

    def step(self, most: int = 4096) -> int:
        """Take what there is, at most so many records: how many it was."""
        source, address = self._source, int(self._scratch.ctypes.data)
        sequence, taken, refused = conflate(
            source.address, source.sequence, self._target.address, address, most
        )
        source.sequence = int(sequence)
        self.refused += int(refused)
        return int(taken)


class Latest(NamedTuple):
    """A key's newest value, and how many of its values since the last look were skipped."""

    record: np.void
    skipped: int


class LatestReader:
    """One reader of a table's newest values, in any process."""

    def __init__(
        self, path: Path, dtype: np.dtype[Any], *, key: str, start: Literal["now", "all"] = "all"
    ) -> None:
        """start: "all" gives what stands there at first, "now" only what changes from here on."""
        self._table = Table.attach(path, dtype, key=key)
        self._seen = np.zeros(self._table.capacity, np.int64)
        self._looked_at = -1
        for row in range(len(self._table)):
            stamp = int(table.stamp_of(self._table.address, row))
            self._seen[row] = stamp if start == "now" else stamp - 1

    @property
    def table(self) -> Table:
        return self._table

    @property
    def lost(self) -> int:
        """Records that never came to the table: its feeder was overrun."""
        return int(lost(self._table.address))

    def changed(self) -> list[Latest]:
        """What changed since the last call, each key once."""
        base = self._table.address
        at = int(changes(base))
        if at == self._looked_at:
            return []
        found: list[Latest] = []
        row = int(next_changed(base, self._seen, 0))
        while row >= 0:
            record, stamp = self._table.row(row)
            found.append(Latest(record, stamp - int(self._seen[row]) - 1))
            self._seen[row] = stamp
            row = int(next_changed(base, self._seen, row + 1))
        self._looked_at = at
        return found
