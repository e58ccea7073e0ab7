"""One-way hop and throughput of the ring between two processes, beside the same ring in C and a stdlib queue.

Measured: ping-pong over two rings, half the round trip; 64-byte messages pushed and popped in compiled loops.
Both sides spin; the two processes are pinned to cores 0 and 1. Excluded: bells (nobody parks here).
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from loadtests.limits import compiled
from loadtests.measure import Row, progress, row
from shared_mem import ring
from shared_mem.atomics import pause
from shared_mem.jit import jit
from shared_mem.ring import Ring

ROUNDS: Final = 5
HOPS: Final = 200_000
MESSAGES: Final = 10_000_000
QUEUE_MESSAGES: Final = 50_000
SLOT: Final = 64


@jit
def _ping(there: int, back: int, record: int, hops: int) -> None:
    for _ in range(hops):
        while not ring.try_push(there, record, 64):
            pause()
        while ring.front(back) == 0:
            pause()
        ring.release_front(back)


@jit
def _pong(there: int, back: int, record: int, hops: int) -> None:
    for _ in range(hops):
        while ring.front(there) == 0:
            pause()
        ring.release_front(there)
        while not ring.try_push(back, record, 64):
            pause()


@jit
def _send(there: int, record: int, messages: int) -> None:
    for _ in range(messages):
        while not ring.try_push(there, record, 64):
            pause()


@jit
def _take(there: int, record: int, messages: int) -> None:
    for _ in range(messages):
        while ring.front(there) == 0:
            pause()
        ring.copy_bytes(record, ring.front(there), 64)
        ring.release_front(there)


def _pin(core: int) -> None:
    if (os.cpu_count() or 1) > core:
        os.sched_setaffinity(0, {core})


def _child(folder: str, hops: int, messages: int) -> None:
    _pin(1)
    there, back = Ring.attach(Path(folder) / "there"), Ring.attach(Path(folder) / "back")
    record = np.zeros(SLOT, np.uint8)
    _pong(there.address, back.address, record.ctypes.data, hops)
    _take(there.address, record.ctypes.data, messages)
    back.try_push(b"done")


def ours(hops: int = HOPS, messages: int = MESSAGES) -> tuple[float, float]:
    """(one-way hop in ns, messages a second)."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        there = Ring.create(Path(folder) / "there", SLOT, 4096)
        back = Ring.create(Path(folder) / "back", SLOT, 4096)
        record = np.zeros(SLOT, np.uint8)
        address = record.ctypes.data
        for function in (_ping, _pong, _send, _take):  # compiled before the clock starts, and before the fork
            arguments = (there.address, back.address, address, 0)
            function(*(arguments if function in (_ping, _pong) else (there.address, address, 0)))
        child = multiprocessing.get_context("fork").Process(target=_child, args=(folder, hops, messages))
        child.start()
        affinity = os.sched_getaffinity(0)
        _pin(0)
        try:
            begin = time.perf_counter_ns()
            _ping(there.address, back.address, address, hops)
            hop = (time.perf_counter_ns() - begin) / hops / 2
            begin = time.perf_counter_ns()
            _send(there.address, address, messages)
            while back.pop() is None:
                pass
            rate = messages * 1e9 / (time.perf_counter_ns() - begin)
        finally:
            os.sched_setaffinity(0, affinity)
            child.join()
        return hop, rate


def _queue_child(
    there: multiprocessing.Queue[bytes], back: multiprocessing.Queue[bytes], hops: int, n: int
) -> None:
    for _ in range(hops):
        back.put(there.get())
    for _ in range(n):
        there.get()
    back.put(b"done")


def queue(hops: int = 5_000, messages: int = QUEUE_MESSAGES) -> tuple[float, float]:
    """The same over multiprocessing.Queue."""
    there: multiprocessing.Queue[bytes] = multiprocessing.Queue(4096)
    back: multiprocessing.Queue[bytes] = multiprocessing.Queue(4096)
    child = multiprocessing.Process(target=_queue_child, args=(there, back, hops, messages))
    child.start()
    record = bytes(SLOT)
    there.put(record)
    back.get()
    begin = time.perf_counter_ns()
    for _ in range(hops - 1):
        there.put(record)
        back.get()
    hop = (time.perf_counter_ns() - begin) / (hops - 1) / 2
    begin = time.perf_counter_ns()
    for _ in range(messages):
        there.put(record)
    back.get()
    rate = messages * 1e9 / (time.perf_counter_ns() - begin)
    child.join()
    return hop, rate


def bench() -> list[Row]:
    program = compiled("ring")
    mine, limit, peer = [], [], []
    for number in range(ROUNDS):
        progress(f"ring, round {number + 1} of {ROUNDS}")
        mine.append(ours())
        if program is not None:
            out = subprocess.run(
                [program, str(HOPS), str(MESSAGES)], capture_output=True, text=True, check=True
            )
            hop, rate = (float(word) for word in out.stdout.split())
            limit.append((hop, rate))
        peer.append(queue())
    note = "limit: the same ring in C; peer: multiprocessing.Queue"
    return [
        row(
            "hop_p50",
            "ns",
            [h for h, _ in mine],
            limit=[h for h, _ in limit],
            peer=[h for h, _ in peer],
            note=note,
        ),
        row(
            "ring_throughput",
            "1/s",
            [r for _, r in mine],
            limit=[r for _, r in limit],
            peer=[r for _, r in peer],
        ),
    ]
