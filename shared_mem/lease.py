"""The lease: until when this host owns its shard. Nothing that the log asks for leaves after it.

Always holds:
- The lease is a time of the machine's clock since boot, which goes on while a process is stopped and while the machine
  sleeps. It is counted from before it was asked for, so that whoever granted it counts it as longer.
- It is looked at before each reading of the log for an effect, and once more before bytes leave. So an owner that was
  stopped, and is woken after another has taken over, ends before its next effect.
- Without a lease in the tail (no standby was ever configured here) nothing is asked.

Must not: renew it. That is its owner's (app/roles/shard.py), with whoever grants it.
"""

from __future__ import annotations

import time
from typing import Final

from shared_mem.log import FENCED, GRANTED_UNTIL, LEASE_UNTIL, LogError, Tail

# EX_NOPERM of sysexits.h: this host may not go on. The supervisor does not start again what ends with it.
EXIT_LEASE_OVER: Final = 77
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseOver(LogError):
    """This host's time as the shard's owner is over. The process must end with EXIT_LEASE_OVER."""


def boot_ns() -> int:
    """Nanoseconds since the machine was booted, sleep included."""
    return time.clock_gettime_ns(_CLOCK)


def is_held(tail: Tail) -> bool:
    """Whether effects may leave now."""
    if tail.word(FENCED):
        return False
    until = tail.word(LEASE_UNTIL)
    return until == 0 or boot_ns() < max(until, tail.word(GRANTED_UNTIL))


def extend(tail: Tail, word: int, until_ns: int) -> None:
    """Own it until then, as LEASE_UNTIL (by the database) or GRANTED_UNTIL (by the standby). Never shortens it."""
    tail.set_word(word, max(until_ns, tail.word(word)))


def fence(tail: Tail) -> None:
    """Another host owns the shard: from now on nothing leaves this one."""
    tail.set_word(FENCED, 1)


def require(tail: Tail) -> None:
    """Raises LeaseOver where the lease has run out."""
    if not is_held(tail):
        raise LeaseOver(
            "the lease on this shard is over: another host may own it. Nothing leaves this one any more; start it as "
            "that host's standby (`tradewind standby`), or, if there is none, start it again"
        )
