"""Where a new order's time goes: cycles of each stage, by counters read around it in a copy of the shard's code.

Measured: the cycles between two reads of the time stamp counter, around each of the functions in STAGES, summed over a
round and divided by its orders, less what the reads of an empty stage show (`stage_counter`). `stage_all` is a whole
order in rounds of the shard's own code, without counters, that alternate with these; `stage_rest` is what is left of
it: copying the command, filling in its head and the order's row, the loops.
What it can't see: a processor works on many instructions at once, and a wait for memory is counted where it ends, not
where it began; the counters themselves keep stages apart that would overlap. So these are shares, not a clock.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from actors import account, emit, new_order, orders, prefetch, shard, tables
from actors.shard import Lane
from loadtests import desk as desk_module
from loadtests.clock import ticks_per_s
from loadtests.decision import MANY
from loadtests.desk import Desk, capacity_for, draw, orders_feed
from loadtests.measure import Row, progress, row
from loadtests.rebuilt import rebuilt, timed
from shared_mem import log, ring
from shared_mem.atomics import cycles
from shared_mem.jit import jit

ACCOUNTS: Final = MANY
ROUNDS: Final = 5
ORDERS: Final = 200_000

# A stage is a function that the order's way goes through; none contains another. In the order of the way.
STAGES: Final[dict[str, Any]] = {
    "look_ahead": prefetch.look_ahead,
    "ring_front": ring.front,
    "stamp_quote": shard.stamp_quote,
    "journal": emit.journal,
    "find_account": account.account_row,
    "find_client_order": tables.find_client_order,
    "risk_checks": new_order.check,
    "find_order_row": orders.free_order_row,
    "find_position": orders.position_row,
    "take_order_row": orders.take_order_row,
    "reserve": orders.hold,
    "clear_event": emit.new_event,
    "show_order": orders.show_order,
    "emit": emit.emit,
    "publish": log.publish,
    "ring_release": ring.release_front,
}


@jit
def _counter_cost(reads: int) -> int:
    """Cycles that a stage of nothing shows."""
    spent = 0
    for _ in range(reads):
        before = cycles()
        spent += cycles() - before
    return spent // reads


def counting_drive(totals: np.ndarray) -> Any:
    """`desk.drive` on a copy of the shard's code that adds each stage's cycles to its int64 of `totals`."""
    watched = {
        function: timed(function, int(totals[number:].ctypes.data))
        for number, function in enumerate(STAGES.values())
    }
    return rebuilt(desk_module.drive, watched)


def bench() -> list[Row]:
    totals = np.zeros(len(STAGES), np.int64)
    drive = counting_drive(totals)
    cycles_per_ns = ticks_per_s() / 1e9
    figures: dict[str, list[float]] = {name: [] for name in (*STAGES, "rest", "all")}
    counter = min(_counter_cost(1000) for _ in range(ROUNDS))
    total = 2 * (ROUNDS + 1) * ORDERS
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        desk = Desk(Path(folder), capacity_for(ACCOUNTS, total))
        try:
            progress("compiling the order's way with counters")
            desk.open_market(ACCOUNTS)
            feed = orders_feed(*draw(ACCOUNTS, total, seed=1), seed=2)
            for number in range(ROUNDS + 1):
                progress(f"cycles by stage, round {number + 1} of {ROUNDS + 1}")
                spent, _ = desk.serve(Lane.ORDERS_GATEWAY, feed, 2 * number * ORDERS, ORDERS)
                totals[:] = 0
                desk.serve(Lane.ORDERS_GATEWAY, feed, (2 * number + 1) * ORDERS, ORDERS, drive)
                if number == 0:
                    continue
                each = np.maximum(totals / ORDERS - counter, 0)
                for name, found in zip(STAGES, each, strict=True):
                    figures[name].append(float(found))
                whole = spent * cycles_per_ns / ORDERS
                figures["all"].append(whole)
                figures["rest"].append(whole - float(each.sum()))
        finally:
            desk.close()
    rows = [row(f"stage_{name}", "cycles", found) for name, found in figures.items()]
    note = f"taken off each stage; {cycles_per_ns:.2f} cycles a nanosecond"
    rows.append(row("stage_counter", "cycles", [float(counter)], note=note))
    return rows
