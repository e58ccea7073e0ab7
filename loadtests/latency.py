"""How long a decision takes when orders come at a rate that does not wait: open loop, by rate and gate.

Measured: a thread on core 0 puts order i into the lane when it is due, at start + i / rate, or at once when it is
late; the shard's own loop runs on core 1, with the idle strategy `spin`. Every latency counts from when the order was
due, so that a stall shows in all the orders that it delayed. All of them are kept, so the percentiles are exact.
Where the way ends:
    off      the decision is made and its records stand in the log's tail, not yet published
    written  the log is published: what gate `written` waits for
    synced   fdatasync has returned past the record: the flusher's mark, watched by the thread on core 0
The shard's loop is a copy that reads the counter at the first two places (loadtests/rebuilt.py): some ten nanoseconds
an order each, counted as ours.
Excluded: for `off` and `written` the disk (the mark is moved by hand); for all, sockets. In the runs with the flusher
three threads share two cores. One warm-up at each rate is not counted.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from actors import apply
from actors import shard as shard_module
from actors.shard import C_STOP, Lane
from core.records import COMMAND_BYTES
from loadtests import plots
from loadtests.clock import ticks, ticks_per_s
from loadtests.decision import MANY, SCRATCH_DIR
from loadtests.desk import Desk, Feed, capacity_for, draw, orders_feed, patch
from loadtests.measure import Row, on_core, pin, progress, row
from loadtests.rebuilt import rebuilt, uncached
from shared_mem import log, ring
from shared_mem.atomics import load_acquire, load_i64, pause, store_i64, store_release, yield_core
from shared_mem.idle import strategy
from shared_mem.jit import jit

ACCOUNTS: Final = MANY
ROUNDS: Final = 3
WARM_UP: Final = 100_000
# By name: orders a second, and how many a round.
RATES: Final = {"100k": (100_000, 200_000), "500k": (500_000, 500_000), "1m": (1_000_000, 1_000_000)}
POINTS: Final = {"p50": 50.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
# Moves of the flusher's mark that are noted: it moves at most some ten thousand times a second.
MARKS: Final = 1 << 20
# So long may the disk lag behind the last order.
SETTLE_S: Final = 60
# Without a flusher the mark is moved by hand every so many orders: a small part of the tail.
BY_HAND_EVERY: Final = 1024

# Words of the stamps' header: orders decided, orders published.
DECIDED: Final = 0
PUBLISHED: Final = 8


class Stamps:
    """When each order was decided and published, and the log's position after it. Written by the shard's thread."""

    def __init__(self, count: int) -> None:
        self.header = np.zeros(2, np.int64)
        self.decided = np.full(count, -1, np.int64)
        self.published = np.full(count, -1, np.int64)
        self.position = np.full(count, -1, np.int64)

    def clear(self) -> None:
        self.header[:] = 0


def stamped_loop(stamps: Stamps) -> Any:
    """The shard's `run`, noting into `stamps`."""
    apply_one, publish = apply.journal_and_apply, log.publish
    header, decided_at, published_at, position_at = (
        int(array.ctypes.data) for array in (stamps.header, stamps.decided, stamps.published, stamps.position)
    )

    def decided(state, out, command):  # type: ignore[no-untyped-def]
        apply_one(state, out, command)
        number = load_i64(header + DECIDED)
        store_i64(decided_at + 8 * number, ticks())
        store_i64(header + DECIDED, number + 1)

    def published(base: int, position: int, seq: int) -> None:
        publish(base, position, seq)
        now = ticks()
        until = load_i64(header + DECIDED)
        for number in range(load_i64(header + PUBLISHED), until):
            store_i64(published_at + 8 * number, now)
            store_i64(position_at + 8 * number, position)
        store_release(header + PUBLISHED, until)

    watched = {apply_one: uncached(decided, apply_one), publish: uncached(published, publish)}
    return rebuilt(shard_module.run, watched)


@jit
def _note(tail: int, marks: np.ndarray, noted: int) -> int:
    """Note the flusher's mark and the time when it has moved; how many moves are noted."""
    synced = load_acquire(tail + log.SYNCED)
    if noted < len(marks) and (noted == 0 or marks[noted - 1, 1] != synced):
        marks[noted, 0] = ticks()
        marks[noted, 1] = synced
        return noted + 1
    return noted


@jit
def _wait(tail: int, marks: np.ndarray, noted: int, by_hand: bool) -> int:
    if by_hand:
        pause()
        return noted
    yield_core()  # the flusher has no core of its own
    return _note(tail, marks, noted)


@jit
def arrive(
    lane: int, feed: Feed, first: int, count: int, start: int, second: int, rate: int, tail: int, published: int,
    by_hand: bool, marks: np.ndarray,
) -> tuple[int, int]:  # fmt: skip
    """Put each order into its lane when it is due, then wait until all are published and synced.

    start and second in ticks. Returns (moves of the mark noted, ticks by which the last order was late)."""
    noted = 0
    late = 0
    for i in range(count):
        record = patch(feed, first + i)
        due = start + i * second // rate
        while ticks() < due:
            noted = _wait(tail, marks, noted, by_hand)
        # Half of the tail stays free: the shard would refuse orders when the disk does not keep up.
        while log.room(tail, load_acquire(tail + log.WRITTEN)) < load_i64(tail + log.SEGMENT_SIZE) // 2:
            noted = _wait(tail, marks, noted, by_hand)
        while not ring.try_push(lane, record, COMMAND_BYTES):
            noted = _wait(tail, marks, noted, by_hand)
        late = ticks() - due
        if by_hand and i % BY_HAND_EVERY == 0:
            store_release(tail + log.SYNCED, load_acquire(tail + log.WRITTEN))
    give_up = ticks() + SETTLE_S * second
    while ticks() < give_up:
        noted = _wait(tail, marks, noted, by_hand)
        all_synced = by_hand or load_acquire(tail + log.SYNCED) >= load_acquire(tail + log.WRITTEN)
        if all_synced and load_acquire(published) >= count:
            break
    return _note(tail, marks, noted), late


class Cell(NamedTuple):
    """One round at one rate: latencies in ns by gate; ns by which the last order was pushed too late."""

    off: np.ndarray
    written: np.ndarray
    synced: np.ndarray
    late_ns: float


class Run:
    """A desk whose shard runs on core 1, and the orders that are to come to it."""

    def __init__(self, desk: Desk, total: int) -> None:
        self._desk = desk
        self._stamps = Stamps(max(WARM_UP, *(count for _, count in RATES.values())))
        self._orders: Feed = orders_feed(*draw(ACCOUNTS, total, seed=1), seed=2)
        self._next = 0
        self._marks = np.ones((MARKS, 2), np.int64)
        self._loop = stamped_loop(self._stamps)
        self._second = ticks_per_s()
        self._shard_loop(stop=True)  # compiles

    def _shard_loop(self, stop: bool = False) -> None:
        shard = self._desk.shard
        shard.control[C_STOP] = int(stop)
        self._loop(shard.state, shard.out, shard.command, shard.wiring, strategy("spin"))

    def _pinned_loop(self) -> None:
        pin(1)
        self._shard_loop()

    def cell(self, rate: int, count: int) -> Cell:
        desk, stamps = self._desk, self._stamps
        stamps.clear()
        thread = threading.Thread(target=self._pinned_loop)
        thread.start()
        try:
            with on_core(0):
                time.sleep(0.05)  # the shard's thread spins by then
                start = ticks() + self._second // 100
                moves, late = arrive(
                    desk.lane(Lane.ORDERS_GATEWAY), self._orders, self._next, count, start, self._second, rate,
                    desk.tail, int(stamps.header.ctypes.data) + PUBLISHED, not desk.flushing, self._marks,
                )  # fmt: skip
        finally:
            desk.shard.control[C_STOP] = 1
            thread.join()
        self._next += count
        assert stamps.header[1] == count, f"{stamps.header[1]} orders were decided of {count}"
        due = start + np.arange(count) * self._second // rate
        ns = 1e9 / self._second
        off, written = stamps.decided[:count] - due, stamps.published[:count] - due
        synced = self._synced(moves, count) - due if desk.flushing else np.zeros(0)
        return Cell(off * ns, written * ns, synced * ns, late * ns)

    def _synced(self, moves: int, count: int) -> np.ndarray:
        """When the flusher's mark was first seen past each order's records."""
        marks = self._marks[:moves]
        at = np.searchsorted(marks[:, 1], self._stamps.position[:count])
        assert at.max() < moves, f"the disk lags by more than {SETTLE_S} s"
        seen: np.ndarray = marks[at, 0]
        return seen


def measure(flushing: bool) -> dict[str, list[Cell]]:
    """ROUNDS rounds at each rate, by its name."""
    SCRATCH_DIR.mkdir(exist_ok=True)
    total = sum(WARM_UP + ROUNDS * count for _, count in RATES.values())
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        tempfile.TemporaryDirectory(dir=SCRATCH_DIR, prefix="log.") as disk,
    ):
        log_dir = Path(disk) if flushing else None
        desk = Desk(Path(folder), capacity_for(ACCOUNTS, total), log_dir=log_dir, flushing=flushing)
        try:
            progress(f"filling a desk of {ACCOUNTS:,} accounts; compiling the stamped loop")
            desk.open_market(ACCOUNTS)
            run = Run(desk, total)
            found: dict[str, list[Cell]] = {}
            for name, (rate, count) in RATES.items():
                progress(f"{rate:,} orders/s, open loop, {'with the flusher' if flushing else 'no flusher'}")
                run.cell(rate, WARM_UP)
                found[name] = [run.cell(rate, count) for _ in range(ROUNDS)]
            assert desk.orders == total, f"{desk.orders} orders were accepted of {total}"
            return found
        finally:
            desk.close()


def _rows(gate: str, cells: dict[str, list[Cell]], latencies: dict[str, list[np.ndarray]]) -> list[Row]:
    rows = []
    for name, rounds in latencies.items():
        late = max(cell.late_ns for cell in cells[name])
        for point, q in POINTS.items():
            figures = [float(np.percentile(values, q)) for values in rounds]
            rows.append(row(f"decision_latency_{point}_{name}_{gate}", "ns", figures))
        if late > 1e9 / 100:  # a hundredth of the run
            rows[-1].note = f"this rate was not kept: the last order came {late / 1e6:,.0f} ms late"
    return rows


def bench() -> list[Row]:
    dry, flushed = measure(flushing=False), measure(flushing=True)
    by_gate = {
        "off": (dry, {name: [c.off for c in cells] for name, cells in dry.items()}),
        "written": (dry, {name: [c.written for c in cells] for name, cells in dry.items()}),
        "synced": (flushed, {name: [c.synced for c in cells] for name, cells in flushed.items()}),
    }
    rows: list[Row] = []
    for gate, (cells, latencies) in by_gate.items():
        rows += _rows(gate, cells, latencies)
        curves = {f"{name} orders/s": np.concatenate(rounds) for name, rounds in latencies.items()}
        plot = plots.latency(f"decision_latency_{gate}", f"Decision latency, open loop, gate {gate}", curves)
        rows[-1].note = "; ".join(filter(None, (rows[-1].note, plot)))
    return rows
