"""What a loop does with nothing to do: spin, pause, yield the core, or sleep until it is rung for.

A loop counts its rounds without work and asks `idle_step` after each; where that says so, it parks on its bell.

| strategy | what it costs | how soon it sees the next record |
| --- | --- | --- |
| spin | a core, always, at full power | at once |
| pause | a core, always, leaving more to its sibling thread | at once, or some tens of nanoseconds later |
| yield | a core that nobody else wants | when the scheduler comes back |
| park | nothing, but for some microseconds behind each record | a wake-up: some tens of microseconds |
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shared_mem.atomics import pause, yield_core
from shared_mem.jit import jit

# More rounds than a loop will ever make: a stage of so many is its last.
FOREVER: Final = 1 << 62


class Idle(NamedTuple):
    """Rounds of each stage in their order, then sleep. The default is `park`, which fits a laptop: some microseconds
    of spinning catch the next record of a burst. park_ms bounds a sleep: what rings no bell (ticks) waits so long."""

    spins: int = 0
    pauses: int = 200
    yields: int = 2
    park_ms: int = 5


STRATEGIES: Final = {
    "spin": Idle(spins=FOREVER),
    "pause": Idle(pauses=FOREVER),
    "yield": Idle(yields=FOREVER),
    "park": Idle(),
}


class UnknownStrategy(ValueError):
    pass


def strategy(name: str) -> Idle:
    """The strategy of that name. Raises UnknownStrategy, which names those there are."""
    try:
        return STRATEGIES[name]
    except KeyError:
        known = ", ".join(STRATEGIES)
        raise UnknownStrategy(f"there is no idle strategy {name!r}; there are {known}") from None


@jit
def idle_step(idle: Idle, quiet: int) -> bool:
    """After round number `quiet` (from 1) without work. True: park now, and begin to count anew when rung."""
    quiet -= idle.spins
    if quiet <= 0:
        return False
    quiet -= idle.pauses
    if quiet <= 0:
        pause()
        return False
    if quiet <= idle.yields:
        yield_core()
        return False
    return True
