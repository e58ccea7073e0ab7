"""No Python object is made for an order: the hot path's machine code knows no interpreter, and its memory stays level.

Three ways of knowing. The compiler: `@jit` takes numba's runtime away, so a function that would allocate does not
compile. The machine code: it names every function outside itself, and these are a handful of the C library's. The
counters: the interpreter's blocks of memory before and after a great many orders.
"""

from __future__ import annotations

import gc
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.errors import NumbaError

from actors import shard
from actors.shard import Lane
from actors.tables import R_ORDERS
from loadtests.desk import Desk, capacity_for, draw, orders_feed
from loadtests.rebuilt import uncached
from shared_mem.idle import Idle
from shared_mem.jit import jit

ORDERS = 100_000
ACCOUNTS = 1_000

# What the shard's loop calls: the clock, its bell and its readers' bells, the core's yield.
LIBRARY = {"clock_gettime", "poll", "read", "write", "sched_yield"}
# What the compiler may call for copying, filling and comparing memory.
COMPILERS = {"memcpy", "memmove", "memset", "memcmp", "bcmp"}


def makes_an_array(count: int) -> Any:
    made = np.zeros(count)
    return made[0]


def makes_a_list(count: int) -> int:
    made = [count]
    return made[0]


def makes_a_dict(count: int) -> int:
    made = {}
    made[count] = count
    return made[count]


def makes_a_string(count: int) -> int:
    return len(str(count))


@pytest.fixture
def a_desk_of_a_thousand_accounts(tmp_path: Path, run_dir: Path) -> Iterator[Desk]:
    desk = Desk(run_dir, capacity_for(ACCOUNTS, 2 * ORDERS), log_dir=tmp_path / "log")
    desk.open_market(ACCOUNTS)
    yield desk
    desk.close()


@pytest.mark.parametrize("function", [makes_an_array, makes_a_list, makes_a_dict, makes_a_string])
def test_a_function_that_allocates_does_not_compile(function: Callable[[int], Any]) -> None:
    with pytest.raises(NumbaError):
        jit(function)(3)


def test_a_hundred_thousand_orders_leave_no_block_of_memory(a_desk_of_a_thousand_accounts: Desk) -> None:
    desk = a_desk_of_a_thousand_accounts
    feed = orders_feed(*draw(ACCOUNTS, 2 * ORDERS, seed=1), seed=2)
    desk.serve(Lane.ORDERS_GATEWAY, feed, 0, ORDERS)  # whatever a first call makes is made
    before_orders = desk.register(R_ORDERS)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        blocks = sys.getallocatedblocks()
        tracemalloc.reset_peak()
        bytes_before = tracemalloc.get_traced_memory()[0]
        desk.serve(Lane.ORDERS_GATEWAY, feed, ORDERS, ORDERS)
        blocks_after = sys.getallocatedblocks()
        bytes_at_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert desk.register(R_ORDERS) - before_orders == ORDERS, "the orders were decided"
    # The one call makes some objects, its arguments and its answer: as many for one order as for a hundred thousand.
    objects_of_a_call, bytes_of_a_call = 200, 100_000
    assert abs(blocks_after - blocks) < objects_of_a_call
    assert bytes_at_peak - bytes_before < bytes_of_a_call, "nor was anything made and given back in between"


_NAME = r"@\"?([^\s\"(]+)\"?\("


def outside_calls(function: Any) -> set[str]:
    """What the machine code of a compiled function, called once, calls outside itself: from its native entry on,
    through every function that is in its module. The wrapper by which Python calls it once is not on that way."""
    (ir,) = function.inspect_llvm().values()
    calls: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=define )", ir):
        if head := re.match(r"define [^\n]*?" + _NAME, block):
            calls[head[1]] = set(re.findall(r"\b(?:call|invoke) [^\n]*?" + _NAME, block))
    mangled = f"_ZN6actors5shard{len(function.py_func.__name__)}{function.py_func.__name__}"
    entries = [name for name in calls if name.startswith(mangled)]
    assert len(entries) == 1, entries
    seen: set[str] = set()
    waiting = set(entries)
    while waiting:
        name = waiting.pop()
        seen.add(name)
        waiting |= calls.get(name, set()) - seen
    return {name for name in seen if name not in calls and not name.startswith("llvm.")}


def test_the_shards_loop_calls_nothing_but_the_c_library(a_desk_of_a_thousand_accounts: Desk) -> None:
    desk = a_desk_of_a_thousand_accounts.shard
    desk.control[shard.C_STOP] = 1
    loop = uncached(shard.run.py_func, shard.run)  # the cache keeps machine code only
    loop(desk.state, desk.out, desk.command, desk.wiring, Idle())
    called = outside_calls(loop)
    assert called >= {"clock_gettime", "poll"}, "the way through the code was found"
    assert called <= LIBRARY | COMPILERS, sorted(name[:60] for name in called - LIBRARY - COMPILERS)
