"""What an audit finds: differences, with what the log says and what the other says, and how far everyone has come."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

# A store that is another one's differs everywhere: the first ones say it, the count says the rest.
DIFFERENCES_KEPT_MAX: Final = 1000


class Difference(msgspec.Struct, frozen=True):
    """`place`: orders, executions, …, or the stream's name. `log` and `other`: what each says of `field`; None where
    one has nothing of it at all. `seq`: the event that it is about, 0 for none."""

    place: str
    what: str
    field: str
    log: str | None
    other: str | None
    seq: int = 0

    def __str__(self) -> str:
        event = f" (event {self.seq})" if self.seq else ""
        if self.other is None:
            return f"{self.place}: {self.what} is not there; the log says {self.log}{event}"
        if self.log is None:
            return (
                f"{self.place}: {self.what} is there ({self.other}), and the log knows nothing of it{event}"
            )
        return f"{self.place}: {self.what}: {self.field} is {self.other}, the log says {self.log}{event}"


class Store(msgspec.Struct):
    """One of those who follow the log. `done`: the last event that it has; `behind`: how many events the log has beyond
    that. `trouble`: why it could not be asked."""

    done: int = 0
    behind: int = 0
    looked_at: dict[str, int] = {}
    trouble: str | None = None


class Findings:
    """Differences as they are found: the first DIFFERENCES_KEPT_MAX of them, and the number of all."""

    def __init__(self) -> None:
        self.kept: list[Difference] = []
        self.counts: Counter[str] = Counter()

    def add(self, difference: Difference) -> None:
        self.counts[difference.place] += 1
        if len(self.kept) < DIFFERENCES_KEPT_MAX:
            self.kept.append(difference)

    @property
    def total(self) -> int:
        return sum(self.counts.values())
