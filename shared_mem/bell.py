"""Bell: wakes a consumer that has nothing to do, at no cost while it has.

A flag in shared memory says that the consumer is parked; a FIFO is what it sleeps on. A producer looks at the
flag after each push and writes one byte only when it is set.

Always holds: no wake-up is lost. The consumer sets the flag and then looks at its rings once more; the producer
pushes and then looks at the flag; a full fence stands between the two steps on both sides (Dekker's argument).
Nor by a kill -9: the byte is written before the flag is taken down, and taken down only if it is still the flag
of the same parking. A producer that dies between its push and its ring has rung nobody; its successor rings
when it attaches.
"""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Final

from shared_mem import atomics
from shared_mem.atomics import compare_and_swap, fence, load_acquire, load_i64, store_i64, store_release
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES, Segment

LAYOUT: Final = "bell"
VERSION: Final = 2
FLAG: Final = HEADER_BYTES  # AWAKE, or the number of this parking and what is waited for
_PARKINGS: Final = 8  # behind the flag: how often its consumer has parked. The consumer's own
SIZE: Final = 128

# A FIFO takes 64 KiB before it says EAGAIN; a read of this many empties what one park can have gathered.
DRAIN_BYTES: Final = 4096

AWAKE: Final = 0
PARKED: Final = 1
# What is waited for stands in the flag's low bits, the number of the parking above them.
_WAITED_FOR_BITS: Final = 2
_WAITED_FOR: Final = (1 << _WAITED_FOR_BITS) - 1


@jit
def ring_if_parked(flag: int, fd: int, wanted: int) -> int:
    """Wake the consumer when its flag (an address) waits for `wanted`. To be called after the push."""
    fence()
    return ring_after_fence(flag, fd, wanted)


@jit
def ring_after_fence(flag: int, fd: int, wanted: int) -> int:
    """As `ring_if_parked`, for whoever has a row of bells to look at behind one fence."""
    seen = load_acquire(flag)
    if seen & _WAITED_FOR != wanted:
        return 0
    written = atomics.write_fd(fd, flag, 1)
    compare_and_swap(flag, seen, AWAKE)
    return written


@jit
def park_flag(flag: int, wanted: int) -> int:
    """Say that the consumer sleeps. Look at the rings once more before sleeping."""
    parking = load_i64(flag + _PARKINGS) + 1
    store_i64(flag + _PARKINGS, parking)
    store_release(flag, parking << _WAITED_FOR_BITS | wanted)
    fence()
    return 0


@jit
def clear_flag(flag: int) -> int:
    store_release(flag, AWAKE)
    return 0


def open_fifo(path: Path) -> int:
    """A descriptor of the FIFO, made when missing. Opened both ways, so that no side's death closes it."""
    try:
        os.mkfifo(path, 0o600)
    except FileExistsError:
        pass
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def sleep_on(fd: int, timeout_s: float) -> bool:
    """Wait until `fd` can be read; False after the time. By poll: select knows no descriptor above 1023."""
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(timeout_s * 1000))


def drain(fd: int) -> None:
    try:
        os.read(fd, DRAIN_BYTES)
    except BlockingIOError:
        pass


class Bell:
    """One consumer's bell. The consumer creates it; producers attach."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self.flag = segment.address + FLAG
        self._fd = open_fifo(segment.path.with_name(segment.path.name + ".fifo"))

    @classmethod
    def create(cls, path: Path) -> Bell:
        return cls(Segment.create(path, SIZE, LAYOUT, VERSION))

    @classmethod
    def attach(cls, path: Path) -> Bell:
        """For a producer: it rings once, for what its predecessor may have pushed and not rung for."""
        bell = cls(Segment.attach(path, LAYOUT, VERSION))
        bell.ring()
        return bell

    def ring(self) -> None:
        ring_if_parked(self.flag, self._fd, PARKED)

    def fileno(self) -> int:
        return self._fd

    def park(self) -> None:
        """Set the flag. Look at the rings once more, then sleep on `fileno()`."""
        park_flag(self.flag, PARKED)

    def wake(self) -> None:
        """Clear the flag and empty the FIFO. Then look at the rings."""
        clear_flag(self.flag)
        drain(self._fd)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until rung (True) or until the time is over. Call `park` and look once more before it."""
        rung = sleep_on(self._fd, timeout_s)
        self.wake()
        return rung

    def close(self) -> None:
        os.close(self._fd)
