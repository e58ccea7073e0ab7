"""A take-over among random kills on both hosts: one round each way; more by `make takeovers`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.takeovers import DIES, WAKES, Round

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(("seed", "ending"), [(1, DIES), (2, WAKES)])
def test_a_take_over_among_kills_loses_nothing_and_doubles_nothing(
    tmp_path: Path, seed: int, ending: str
) -> None:
    made = Round(tmp_path, seed, ending)
    try:
        result = made.run()
    finally:
        made.discard()
    assert result.findings == []
    assert result.acknowledged > 0
    assert result.after > 0
