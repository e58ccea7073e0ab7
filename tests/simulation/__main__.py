"""`python -m tests.simulation --seeds 1000 [--first N] [--steps N] [--mutation NAME]`: one story for each seed.

Prints how it goes on, what was reached how often, and for a seed that found something its last steps and the command
that tells it again. The exit code is 1 when one did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import nullcontext
from typing import Final

from tests.simulation.mutations import MUTATIONS
from tests.simulation.simulation import STEPS, Outcome, simulate

# How many findings are told in full.
TOLD_MAX: Final = 5


def tell(outcome: Outcome, steps: int) -> str:
    """What a person needs who wants to know why."""
    again = f"make simulate SEEDS=1 FIRST={outcome.seed}" + (f" STEPS={steps}" if steps != STEPS else "")
    story = "\n".join(f"    {line}" for line in outcome.story)
    return f"seed {outcome.seed}: {outcome.broken}\n    {outcome.where}\n{story}\n  once more: {again}"


def reached(seen: Counter[str], seeds: int) -> str:
    """How often each fault and each state was there, so that nobody has to believe it."""
    lines = [f"  {count:8d}  {count / seeds:8.2f} a seed  {what}" for what, count in sorted(seen.items())]
    return "\n".join(["what was reached:", *lines])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="break the desk on purpose")
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    found: list[Outcome] = []
    begun = shown = time.monotonic()
    with MUTATIONS[asked.mutation]() if asked.mutation else nullcontext():
        for number in range(asked.seeds):
            outcome = simulate(asked.first + number, asked.steps)
            seen += outcome.seen
            if outcome.broken is not None:
                found.append(outcome)
                if len(found) <= TOLD_MAX:
                    _say(tell(outcome, asked.steps))
            now = time.monotonic()
            if now - shown >= 5 or number + 1 == asked.seeds:
                shown = now
                rate = (number + 1) / (now - begun)
                _say(
                    f"{number + 1} of {asked.seeds} seeds, {rate:.1f} a second, {len(found)} found something"
                )
    _say(reached(seen, asked.seeds))
    if found:
        _say("seeds that found something: " + " ".join(str(outcome.seed) for outcome in found))
    return 1 if found else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
