"""The steps before the first message."""

from __future__ import annotations

from fix import warm


def test_every_step_runs_in_its_order() -> None:
    steps = warm.steps()
    for step in steps:
        step.run()
    assert len({step.label for step in steps}) == len(steps)
