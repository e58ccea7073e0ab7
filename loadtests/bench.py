"""`tradewind bench` and `make bench`: which benchmarks there are, and running them by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from loadtests import (
    back_again,
    decision,
    fix_codec,
    latency,
    memory,
    recovery,
    replay,
    rest_to_fix,
    ring,
    stages,
    start,
    ticks,
    wire_desk,
)
from loadtests.measure import Bench, show

BENCHES: Final[dict[str, tuple[tuple[str, Bench], ...]]] = {
    "ring": (("shared-memory ring, between two processes", ring.bench),),
    "core": (
        ("new orders one after the other, in the shard's thread", decision.bench),
        ("decision latency, open loop", latency.bench),
        ("cycles of an order, by stage", stages.bench),
        ("ticks into the instrument actors", ticks.bench),
        ("memory an account takes", memory.bench),
    ),
    "replay": (("replaying the log", replay.bench),),
    "recover": (
        ("millions of commands replayed", recovery.commands_replayed),
        ("a million accounts from a snapshot", recovery.accounts_restored),
    ),
    "back": (("from kill -9 of the shard to the next order", back_again.bench),),
    "start": (("a start, until the shard serves", start.bench),),
    "fix": (("parsing and encoding FIX", fix_codec.bench),),
    "wire": (("a client's socket to the venue's and back", wire_desk.bench),),
    "rest": (("order in (REST) to FIX out, over the whole stack", rest_to_fix.bench),),
}


def run(names: Sequence[str], as_json: bool) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        known = "\n".join(f"  {name:<8}{', '.join(t for t, _ in parts)}" for name, parts in BENCHES.items())
        print(f"tradewind: no benchmark {', '.join(unknown)}; there are\n{known}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        for title, bench in BENCHES[name]:
            show(title, bench(), as_json)
    return 0
