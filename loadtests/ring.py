"""One-way hop and throughput of the ring between two processes, beside the same ring in C and what others use.

Measured: ping-pong over two rings, half the round trip, each by the core's counter; 64-byte records pushed and popped
in compiled loops, one at a time (`try_push`, `front`) and in batches (`put`, `at`); the records are numbered, and the
consumer's sum is checked. Limit: loadtests/limits/ring.c, which does the same in C: its one-at-a-time ring beside
ours, its batched ring beside ours. Both sides spin; the two processes are pinned to cores 0 and 1.

Peers (loadtests/peers.py) are called from Python, so our ring is measured from Python too, beside them.
Excluded: bells (nobody parks here).
"""

from __future__ import annotations

import functools
import multiprocessing
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from loadtests import peers
from loadtests.clock import ticks
from loadtests.limits import compiled
from loadtests.measure import Row, on_core, pin, progress, row
from shared_mem import ring
from shared_mem.atomics import copy_bytes, load_i64, pause, store_i64
from shared_mem.jit import jit
from shared_mem.ring import Ring

ROUNDS: Final = 5
HOPS: Final = 200_000
MESSAGES: Final = 10_000_000
PYTHON_HOPS: Final = 20_000
PYTHON_MESSAGES: Final = 200_000
SLOT: Final = 64
CAPACITY: Final = 4096
# So long does the producer of a full ring wait at most for its next slots: a few microseconds of work.
BATCH: Final = 64
# The peer that everyone has: it stands in the first rows.
FIRST_PEER: Final = "multiprocessing.Queue"


@jit
def _ping(there: int, back: int, record: int, trips: np.ndarray) -> None:
    last = ticks()
    for i in range(len(trips)):
        while not ring.try_push(there, record, SLOT):
            pause()
        while ring.front(back) == 0:
            pause()
        ring.release_front(back)
        at = ticks()
        trips[i] = at - last
        last = at


@jit
def _pong(there: int, back: int, record: int, hops: int) -> None:
    for _ in range(hops):
        while ring.front(there) == 0:
            pause()
        ring.release_front(there)
        while not ring.try_push(back, record, SLOT):
            pause()


@jit
def _send(there: int, record: int, messages: int) -> None:
    for i in range(messages):
        store_i64(record, i)
        while not ring.try_push(there, record, SLOT):
            pause()


@jit
def _take(there: int, record: int, messages: int) -> int:
    total = 0
    for _ in range(messages):
        found = ring.front(there)
        while found == 0:
            pause()
            found = ring.front(there)
        copy_bytes(record, found, SLOT)
        total += load_i64(record)
        ring.release_front(there)
    return total


@jit
def _send_in_batches(there: int, record: int, messages: int) -> None:
    room = 0
    for i in range(messages):
        store_i64(record, i)
        while room == 0:
            room = ring.room(there)
            if room == 0:
                pause()
        ring.put(there, record, SLOT)
        room -= 1


@jit
def _take_in_batches(there: int, record: int, messages: int) -> int:
    total = 0
    taken = 0
    while taken < messages:
        waiting = min(ring.waiting(there), BATCH)
        if waiting == 0:
            pause()
            continue
        for i in range(waiting):
            copy_bytes(record, ring.at(there, i), SLOT)
            total += load_i64(record)
        ring.release(there, waiting)
        taken += waiting
    return total


class Ours(NamedTuple):
    """One round: the hop in ns, and messages a second."""

    hop_p50: float
    hop_p99: float
    one_by_one: float
    batched: float


def _child(folder: str, hops: int, messages: int) -> None:
    pin(1)
    there, back = Ring.attach(Path(folder) / "there"), Ring.attach(Path(folder) / "back")
    record = np.zeros(SLOT, np.uint8)
    address = record.ctypes.data
    _pong(there.address, back.address, address, hops)
    for take in (_take, _take_in_batches):
        total = int(take(there.address, address, messages))
        while not back.try_push(total.to_bytes(8, "little", signed=True)):
            pass


def _compile(there: Ring, back: Ring, address: int) -> None:
    """Before the clock starts, and before the fork."""
    _ping(there.address, back.address, address, np.zeros(0, np.int64))
    _pong(there.address, back.address, address, 0)
    for function in (_send, _take, _send_in_batches, _take_in_batches):
        function(there.address, address, 0)


def _sum_of(back: Ring) -> int:
    while (answer := back.pop()) is None:
        pass
    return int.from_bytes(answer[:8], "little", signed=True)


def ours(hops: int = HOPS, messages: int = MESSAGES) -> Ours:
    """One round of the compiled loops."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        there = Ring.create(Path(folder) / "there", SLOT, CAPACITY)
        back = Ring.create(Path(folder) / "back", SLOT, CAPACITY)
        record = np.zeros(SLOT, np.uint8)
        address = record.ctypes.data
        _compile(there, back, address)
        child = multiprocessing.get_context("fork").Process(target=_child, args=(folder, hops, messages))
        child.start()
        trips = np.ones(hops, np.int64)
        with on_core(0):
            begin = time.perf_counter_ns()
            _ping(there.address, back.address, address, trips)
            ns_per_tick = (time.perf_counter_ns() - begin) / trips.sum()
            rates = []
            for send in (_send, _send_in_batches):
                begin = time.perf_counter_ns()
                send(there.address, address, messages)
                total = _sum_of(back)
                rates.append(messages * 1e9 / (time.perf_counter_ns() - begin))
                assert total == messages * (messages - 1) // 2, f"messages were lost: their sum is {total}"
        child.join()
        p50, p99 = (float(np.percentile(trips, q)) * ns_per_tick / 2 for q in (50, 99))
        return Ours(p50, p99, *rates)


def _ours_from_python() -> peers.Pair:
    """Our ring as a program in Python uses it: `Ring.try_push` and `Ring.pop`, spinning."""

    def side(folder: str, is_child: bool) -> tuple[Callable[[bytes], Any], Callable[[], bytes]]:
        pin(1 if is_child else 0)
        while is_child and not (Path(folder) / "back").exists():
            pass
        make = Ring.attach if is_child else functools.partial(Ring.create, slot_bytes=SLOT, capacity=CAPACITY)
        there, back = make(Path(folder) / "there"), make(Path(folder) / "back")
        out, in_ = (back, there) if is_child else (there, back)

        def send(record: bytes) -> None:
            while not out.try_push(record):
                pass

        def receive() -> bytes:
            while (record := in_.pop()) is None:
                pass
            return record

        return send, receive

    return peers.measure(side, PYTHON_HOPS, PYTHON_MESSAGES, SLOT)


def _limit(program: Path | None) -> Ours | None:
    if program is None:
        return None
    words = [str(program), str(HOPS), str(MESSAGES), str(BATCH)]
    out = subprocess.run(words, capture_output=True, text=True, check=True)
    return Ours(*(float(word) for word in out.stdout.split()))


def bench() -> list[Row]:
    program = compiled("ring")
    mine: list[Ours] = []
    limit: list[Ours] = []
    python: list[peers.Pair] = []
    others: dict[str, list[peers.Pair]] = {name: [] for name in peers.PEERS}
    for number in range(ROUNDS):
        progress(f"ring, round {number + 1} of {ROUNDS}")
        mine.append(ours())
        if (found := _limit(program)) is not None:
            limit.append(found)
        python.append(_ours_from_python())
        for name, peer in peers.PEERS.items():
            if (pair := peer()) is not None:
                others[name].append(pair)
            elif number == 0:
                progress(f"{name} is not installed; it is left out (`make bench` installs it)")
    rows = [
        row("hop_p50", "ns", [r.hop_p50 for r in mine], limit=[r.hop_p50 for r in limit],
            peer=[p.hop_ns for p in others[FIRST_PEER]],
            note="limit: the same ring in C, push and pop; peer: multiprocessing.Queue"),
        row("hop_p99", "ns", [r.hop_p99 for r in mine], limit=[r.hop_p99 for r in limit]),
        row("ring_throughput", "1/s", [r.batched for r in mine], limit=[r.batched for r in limit],
            peer=[p.per_s for p in others[FIRST_PEER]],
            note=f"in batches of at most {BATCH}; limit: the same batches in C; peer: multiprocessing.Queue"),
        row("ring_throughput_one_by_one", "1/s", [r.one_by_one for r in mine],
            limit=[r.one_by_one for r in limit], note="try_push and front; limit: push and pop in C"),
    ]  # fmt: skip
    for name, pairs in others.items():
        if pairs:
            rows += _beside(name, mine, python, pairs)
    return rows


def _beside(name: str, mine: list[Ours], python: list[peers.Pair], pairs: list[peers.Pair]) -> list[Row]:
    """Our ring, from compiled code and from Python, beside a peer called from Python."""
    label = peers.LABELS[name]
    hops, rates = [p.hop_ns for p in pairs], [p.per_s for p in pairs]
    python_rows = [
        row(f"hop_p50_from_python_beside_{label}", "ns", [p.hop_ns for p in python], peer=hops,
            note=f"peer: {name}, from Python"),
        row(f"ring_throughput_from_python_beside_{label}", "1/s", [p.per_s for p in python], peer=rates),
    ]  # fmt: skip
    if name == FIRST_PEER:
        return python_rows
    return [
        row(
            f"hop_p50_beside_{label}",
            "ns",
            [r.hop_p50 for r in mine],
            peer=hops,
            note=f"peer: {name}, from Python",
        ),
        row(f"ring_throughput_beside_{label}", "1/s", [r.batched for r in mine], peer=rates),
        *python_rows,
    ]
