"""`tradewind bench` and `make bench`: which benchmarks there are, and running them by name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from loadtests import decision, fix_codec, rest_to_fix, ring
from loadtests.measure import Bench, show

BENCHES: Final[dict[str, tuple[str, Bench]]] = {
    "ring": ("shared-memory ring, between two processes", ring.bench),
    "core": ("a new order in the shard's thread", decision.bench),
    "fix": ("parsing and encoding FIX", fix_codec.bench),
    "rest": ("order in (REST) to FIX out, over the whole stack", rest_to_fix.bench),
}


def run(names: Sequence[str], as_json: bool) -> int:
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        known = "\n".join(f"  {name:<8}{title}" for name, (title, _) in BENCHES.items())
        print(f"tradewind: no benchmark {', '.join(unknown)}; there are\n{known}", file=sys.stderr)
        return 2
    for name in names or BENCHES:
        title, bench = BENCHES[name]
        show(title, bench(), as_json)
    return 0
