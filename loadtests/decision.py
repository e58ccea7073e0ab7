"""Shard decision time: what one new order costs the shard's thread, from its ring to the published log.

Measured: taking the command from its ring, the clock, stamping the quote, all checks, reservation, order row and
indexes, two log records with CRC-32C, publication (gate `written`). The accounts are drawn at random.
Excluded: whoever fills the ring (it is filled before the clock starts), and the disk: the flusher's mark is moved
by hand, so that the log's tail is written over and over. Cold start: the first batch is not counted.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from actors import shard as shard_module
from actors.shard import LANE_CAPACITY, Lane, Shard
from actors.tables import QUOTE, R_ACCOUNTS, R_INSTRUMENTS, Capacity, State
from core.records import NEW_ORDER, OrdType, Side, Source, TimeInForce
from loadtests.measure import Row, progress, row
from shared_mem import log, ring
from shared_mem.atomics import CLOCK_MONOTONIC, clock_ns, load_acquire, store_release
from shared_mem.idle import Idle
from shared_mem.jit import jit

INSTRUMENTS: Final = 10_000
ROUNDS: Final = 5


@jit
def fill(base: int, orders: np.ndarray, first: int, count: int) -> int:
    """Push `count` prepared commands; how many went in."""
    for i in range(count):
        if not ring.try_push(base, orders.ctypes.data + (first + i) * orders.itemsize, orders.itemsize):
            return i
    return count


@jit
def timed_batches(state, out, command, wiring, tail, lane, orders, first, count, scratch):  # type: ignore[no-untyped-def]
    """Serve prepared orders in ring-sized batches; (orders, nanoseconds inside the shard's code)."""
    spent = 0
    done = 0
    while done < count:
        pushed = fill(lane, orders, first + done, min(count - done, 4096))
        store_release(tail + log.SYNCED, load_acquire(tail + log.WRITTEN))
        before = clock_ns(CLOCK_MONOTONIC, scratch)
        taken = 0
        while taken < pushed:
            taken += shard_module.serve_lanes(state, out, command, wiring)
        spent += clock_ns(CLOCK_MONOTONIC, scratch) - before
        done += pushed
    return done, spent


def _populate(state: State, accounts: int, now_ns: int) -> None:
    """Accounts with cash and limits, instruments with a fresh quote: what thousands of commands would leave."""
    registers = state.registers
    registers[R_ACCOUNTS], registers[R_INSTRUMENTS] = accounts, INSTRUMENTS
    table = state.accounts[:accounts]
    table["account"] = np.arange(1, accounts + 1)
    table["cash_e6"] = 10**15
    table["max_order_qty_e8"] = 10**13
    table["max_order_notional_e6"] = 10**13
    table["max_position_qty_e8"] = 10**15
    instruments = state.instruments[:INSTRUMENTS]
    instruments["instrument"] = np.arange(1, INSTRUMENTS + 1)
    instruments["tick_e8"], instruments["lot_e8"] = 10**6, 10**8
    instruments["max_order_qty_e8"] = 10**13
    instruments["collar_bps"], instruments["quote_age_ms_max"] = 500, 10**9
    quotes = state.quotes[:INSTRUMENTS]
    assert quotes.dtype == QUOTE
    quotes["bid_e8"], quotes["ask_e8"], quotes["quote_time_ns"] = 99 * 10**8, 100 * 10**8, now_ns


def prepared_orders(accounts: int, count: int, seed: int) -> np.ndarray:
    """Buys of 1 to 10 at the ask; the client's order id is 16 characters."""
    random = np.random.default_rng(seed)
    orders = np.zeros(count, NEW_ORDER)
    orders["kind"], orders["source"] = 1, int(Source.GATEWAY)
    orders["account"] = random.integers(1, accounts + 1, count)
    orders["instrument"] = random.integers(1, INSTRUMENTS + 1, count)
    orders["side"], orders["ord_type"], orders["tif"] = (
        int(Side.BUY),
        int(OrdType.LIMIT),
        int(TimeInForce.DAY),
    )
    orders["qty_e8"] = random.integers(1, 11, count) * 10**8
    orders["price_e8"] = 100 * 10**8
    orders["request_id"] = np.arange(count)
    orders["text_length"] = 16
    orders["text"] = np.char.mod("%016d", np.arange(count)).astype("S16")
    return orders


def decision_ns(accounts: int, count: int) -> list[float]:
    """Nanoseconds an order, one figure a round."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        capacity = Capacity(
            accounts=max(1 << accounts.bit_length(), 1024),
            instruments=1 << 14,
            positions=1 << 23,
            orders=1 << 23,
        )
        shard = Shard(Path(folder) / "log", Path(folder) / "run", capacity=capacity, idle=Idle())
        shard.recover()
        _populate(shard.state, accounts, time.time_ns())
        lane = shard.lanes[Lane.ORDERS_GATEWAY].address
        scratch = np.zeros(2, np.int64)
        orders = prepared_orders(accounts, (ROUNDS + 1) * count, seed=1)
        figures = []
        for round_number in range(ROUNDS + 1):
            done, spent = timed_batches(
                shard.state, shard.out, shard.command, shard.wiring, shard.writer.tail.address, lane,
                orders, round_number * count, count, scratch.ctypes.data,
            )  # fmt: skip
            if round_number:
                figures.append(spent / done)
        rejected = int(shard.state.registers[7])
        assert rejected == (ROUNDS + 1) * count, f"{rejected} orders were accepted of {(ROUNDS + 1) * count}"
        return figures


def bench() -> list[Row]:
    assert LANE_CAPACITY == 4096
    rows = []
    for accounts, count in ((1_000, 200_000), (100_000, 200_000), (1_000_000, 400_000)):
        progress(f"decisions over {accounts:,} accounts")
        figures = decision_ns(accounts, count)
        rows.append(row(f"decision_{accounts}_accounts", "ns", figures))
        rows.append(row(f"orders_per_s_{accounts}_accounts", "1/s", [1e9 / f for f in figures]))
    rows[
        -1
    ].note = "exchange-core publishes 5 M/s at p50 1.5 us, its journal off, on one symbol (other machine)"
    return rows
