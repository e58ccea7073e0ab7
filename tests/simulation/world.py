"""The world of one seed: its clock, its dice, what is due, and the story so far.

Always holds: time goes forward only, and only here. The digest of the story is the same for the same seed.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Final

START_NS: Final = 1_764_000_000_000_000_000
MS: Final = 1_000_000
S: Final = 1_000_000_000
# What a failure shows of the story.
TOLD_STEPS: Final = 60


class Broken(AssertionError):
    """A promise that did not hold. The text names it and what was seen."""


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now_ns = START_NS
        self.steps = 0
        self.seen: Counter[str] = Counter()
        self.story: deque[str] = deque(maxlen=TOLD_STEPS)
        self._digest = hashlib.blake2b(digest_size=8)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def clock(self) -> int:
        return self.now_ns

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def note(self, what: str) -> None:
        """One line of the story; it counts for the digest."""
        line = f"{self.steps:5d} {(self.now_ns - START_NS) / S:10.6f} {what}"
        self._digest.update(line.encode())
        self.story.append(line)

    def saw(self, what: str) -> None:
        """Counts a fault or a state that was really reached."""
        self.seen[what] += 1

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def advance(self, ns: int) -> None:
        """Time passes, and what is due happens at its time."""
        end = self.now_ns + ns
        while self._due and self._due[0][0] <= end:
            when, _, what = heapq.heappop(self._due)
            self.now_ns = max(self.now_ns, when)
            what()
        self.now_ns = end

    def later(self, ns: int, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now_ns + ns, self._count, what))
