"""The stress of shared memory, shortly: processes killed at random, every byte checked. `make stress` is longer."""

from __future__ import annotations

import random

import pytest

from loadtests import stress

SECONDS = 3.5


@pytest.mark.parametrize("scenario", stress.SCENARIOS, ids=[s.name for s in stress.SCENARIOS])
def test_nothing_is_torn_lost_doubled_or_left_asleep(scenario: stress.Scenario) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    stress.warm((scenario,))
    result = stress.stress(scenario, SECONDS, random.Random(seed))
    assert {name: count for name, count in result.findings.items() if count} == {}
    assert result.kills > 0
    assert result.records > 0
