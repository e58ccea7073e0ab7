"""The clock that compiled benchmarks read: the core's own counter where it counts time, else clock_gettime.

Always holds: `ticks` costs some ten nanoseconds at most on x86-64 (invariant time stamp counter), and is the same on
every core. Elsewhere it is in nanoseconds.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from shared_mem.atomics import CLOCK_MONOTONIC, X86, clock_ns, cycles
from shared_mem.jit import jit

# struct timespec for each thread that may ask at once would be needed; two threads that write the same time
# into the same one can at worst read each other's.
_scratch: Final = np.zeros(2, np.int64)
_SCRATCH: Final = int(_scratch.ctypes.data)


@jit
def _counter() -> int:
    count: int = cycles()
    return count


@jit
def _gettime() -> int:
    return clock_ns(CLOCK_MONOTONIC, _SCRATCH)


ticks = _counter if X86 else _gettime

CALIBRATION_S: Final = 0.1


def ticks_per_s() -> int:
    """Measured against the monotonic clock; exact to some parts in 100,000."""
    ticks()  # compiled, or loaded, before it counts
    begin, first = time.perf_counter_ns(), ticks()
    while time.perf_counter_ns() - begin < CALIBRATION_S * 1e9:
        pass
    end, last = time.perf_counter_ns(), ticks()
    return int((last - first) * 1e9 / (end - begin))
