"""Which cores a role's process runs on: `cores = "shard=2-3 binary-door=4"` in tradewind.toml, and what became of it.

Always holds: a core is given before the role's first thread begins, so that all of its threads have it; what can't be
given is refused before anything starts. Roles that are not named run where the kernel puts them.

What the shard does with nothing to do is `idle` (`shared_mem/idle.py`). Its loop and its flusher are two threads: a
loop that spins on the only core of both would keep the log from the disk, and is refused.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from app.faults import StackError
from app.roles import ROLES

if TYPE_CHECKING:
    from app.config import Config

Cores = dict[str, frozenset[int]]

# As many as Linux can be built for.
CORES_MAX: Final = 8192
_PART: Final = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
_SPINS: Final = ("spin", "pause")


def parse(text: str) -> Cores:
    """By role. Raises ValueError."""
    found: Cores = {}
    names = [role.name for role in ROLES]
    for word in text.split():
        name, equals, cores = word.partition("=")
        if not equals or name not in names:
            raise ValueError(f"give ROLE=CORES, like shard=2-3 fix-door=4; roles are {', '.join(names)}")
        if name in found:
            raise ValueError(f"{name} is given twice; name its cores together, like {name}=2,4-5")
        found[name] = _cores(name, cores)
    return found


def _cores(name: str, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        first = int(match[1]) if match else 0
        last = int(match[2] or match[1]) if match else -1
        if not first <= last < CORES_MAX:
            raise ValueError(f"{name}={text} names no cores; give numbers and ranges, like {name}=2,4-5")
        found.update(range(first, last + 1))
    return frozenset(found)


def check(config: Config) -> None:
    """Raises StackError for a core that this machine has not, or may not give us."""
    if not config.cores:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise StackError("this system pins no processes to cores; leave `cores` out")
    there = os.sched_getaffinity(0)
    for name, wanted in config.cores.items():
        missing = wanted - there
        if missing:
            raise StackError(
                f"cores: {name} is to run on {in_words(missing)}, and what may be used here is {in_words(there)}; "
                "name others, or widen the cpuset"
            )
    shard = config.cores.get("shard", there)
    if config.idle in _SPINS and len(shard) < 2:
        raise StackError(
            f"cores: the shard's loop would {config.idle} on core {in_words(shard)}, which its flusher needs too; "
            "give the shard two cores, or idle yield or park"
        )


def place(name: str, config: Config) -> None:
    """This process, and each thread that it starts from now on. Raises OSError: a core went offline since `check`."""
    cores = config.cores.get(name)
    if cores:
        os.sched_setaffinity(0, cores)


def seen(pid: int) -> str:
    """The cores of a process, where it may not use all of ours; "" where it may, or is gone."""
    try:
        cores = os.sched_getaffinity(pid)
    except (AttributeError, OSError):
        return ""
    return "" if cores >= os.sched_getaffinity(0) else in_words(cores)


def in_words(cores: frozenset[int] | set[int]) -> str:
    """0-3,6"""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and runs[-1][1] == core - 1:
            runs[-1][1] = core
        else:
            runs.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
