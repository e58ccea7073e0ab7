"""Ticks a second from the broadcast ring into the instrument actors, by the shard's own `take_ticks`.

Measured: quotes of instruments drawn at random, taken in the shard's thread: the ring's seqlock, the copy, the quote's
row and its seqlock. Half a ring is published before the clock starts, again and again.
Limit: the same bytes copied out of slots of the same size into a row of each instrument, in C
(loadtests/limits/copy.c). Excluded: whoever publishes.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from actors.shard import TICKS_CAPACITY
from core.records import TICK, TICK_BYTES
from loadtests.desk import INSTRUMENTS, Desk, capacity_for
from loadtests.limits import compiled
from loadtests.measure import Row, progress, row
from shared_mem.broadcast import STAMP_BYTES

ROUNDS: Final = 5
BATCHES: Final = 50
BATCH: Final = TICKS_CAPACITY // 2


def _limit(program: Path | None) -> list[float]:
    if program is None:
        return []
    words = (TICK.itemsize, TICK_BYTES + STAMP_BYTES, INSTRUMENTS, BATCH, BATCHES)
    out = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=True)
    return [float(out.stdout.split()[0])]


def bench() -> list[Row]:
    program = compiled("copy")
    random = np.random.default_rng(1)
    mine: list[float] = []
    limit: list[float] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        desk = Desk(Path(folder), capacity_for(1, 1))
        try:
            desk.open_market(1)
            for number in range(ROUNDS + 1):
                progress(f"ticks, round {number + 1} of {ROUNDS + 1}")
                spent = sum(desk.quote(random.integers(1, INSTRUMENTS + 1, BATCH)) for _ in range(BATCHES))
                if number:
                    mine.append(BATCH * BATCHES * 1e9 / spent)
                    limit += _limit(program)
        finally:
            desk.close()
    note = "limit: the same bytes by memcpy, from slots to rows, in C"
    return [row("ticks_per_s", "1/s", mine, limit=limit, note=note)]
