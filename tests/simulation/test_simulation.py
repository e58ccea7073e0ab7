"""A few dozen stories in each test run, those that found something once more, and the proof that bugs are found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.__main__ import tell
from tests.simulation.mutations import MUTATIONS
from tests.simulation.regressions import FOUND
from tests.simulation.simulation import STEPS, simulate

ROOT = Path(__file__).resolve().parents[2]
# A few dozen in each run; `make simulate` for as many as there is time for.
SEEDS = 30
# A deliberate bug that so many stories don't find is not found. Those of the quick ones are found by the first few.
SEEDS_PER_BUG = 120
QUICK = ("follower-cursor-first", "no-fdatasync-in-the-store", "sent-before-stored", "synced-too-early")
# What the stories of one run must have reached together, or they don't show what they claim. What is rarer, a run of
# `make simulate` prints.
REACHED = (
    "power cut",
    "the venue's power cut",
    "killed: router",
    "killed: venue",
    "killed in a write",
    "sync fails",
    "disk full",
    "a line is cut",
    "a half-open line",
    "a partition",
    "a message comes in pieces",
    "a client asks again",
    "a snapshot",
    "a recovery from a snapshot",
    "a timer runs out",
    "an audit",
)


def test_nothing_breaks_in_a_few_dozen_stories() -> None:
    seen: Counter[str] = Counter()
    for seed in range(1, SEEDS + 1):
        outcome = simulate(seed)
        assert outcome.broken is None, tell(outcome, STEPS)
        seen += outcome.seen
    assert [what for what in REACHED if not seen[what]] == []


def test_a_seed_tells_the_same_story_again_also_in_another_process() -> None:
    here = simulate(7).digest
    assert simulate(7).digest == here
    assert simulate(8).digest != here
    command = "from tests.simulation.simulation import simulate; print(simulate(7).digest)"
    there = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "11"}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert there.stdout.strip() == here


@pytest.mark.parametrize(("seed", "what"), FOUND.items())
def test_what_a_seed_found_stays_mended(seed: int, what: str) -> None:
    outcome = simulate(seed)
    assert outcome.broken is None, f"{what}\n{tell(outcome, STEPS)}"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.faults) for name in sorted(MUTATIONS)],
)
def test_a_deliberate_bug_is_found(name: str) -> None:
    with MUTATIONS[name]():
        assert any(simulate(seed).broken for seed in range(1, SEEDS_PER_BUG + 1)), f"{name} was not found"
