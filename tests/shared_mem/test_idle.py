"""Idle strategies: the stages come in their order, a strategy without an end never parks, a wrong name is told."""

from __future__ import annotations

import pytest

from shared_mem.idle import FOREVER, STRATEGIES, Idle, UnknownStrategy, idle_step, strategy


def parks_after(idle: Idle, rounds: int = 2000) -> int | None:
    return next((quiet for quiet in range(1, rounds) if idle_step(idle, quiet)), None)


def test_a_loop_parks_behind_its_stages() -> None:
    assert parks_after(Idle(spins=3, pauses=4, yields=5)) == 13
    assert parks_after(Idle(spins=0, pauses=0, yields=0)) == 1
    assert parks_after(strategy("park")) == 203


@pytest.mark.parametrize("name", ["spin", "pause", "yield"])
def test_the_others_never_park(name: str) -> None:
    assert parks_after(strategy(name)) is None
    assert not idle_step(strategy(name), FOREVER - 1000)


def test_a_name_that_is_none_is_told_with_those_there_are() -> None:
    assert list(STRATEGIES) == ["spin", "pause", "yield", "park"]
    with pytest.raises(UnknownStrategy, match="no idle strategy 'sleep'; there are spin, pause, yield, park"):
        strategy("sleep")
