"""When a process that died is tried again: a function of its deaths and of the time it is given, of nothing else."""

from __future__ import annotations

import pytest

from app.child import Child
from app.process import BACK_OFF_S, READY_SETTLED_S, START_DEATHS_MAX, Process, State
from app.roles import SHARD, Role


class Ended(Child):
    """A child that is gone."""

    def __init__(self) -> None:
        super().__init__(pid=0, ready_fd=None)


@pytest.fixture
def process() -> Process:
    return Process(Role("shard", (), SHARD))


def serve(process: Process, at_s: float, for_s: float) -> float:
    """One life that serves for a while and is killed; how long the next try waits."""
    process.began(Ended())
    process.became_ready(at_s)
    process.ended(-9, at_s + for_s)
    return process.not_before - (at_s + for_s)


def die_starting(process: Process, at_s: float) -> None:
    process.began(Ended())
    process.ended(1, at_s)


def test_one_that_served_and_was_killed_is_tried_at_once(process: Process) -> None:
    assert serve(process, 10.0, READY_SETTLED_S) == 0
    assert process.state is State.WAITING
    assert process.detail == "killed by SIGKILL"


def test_each_quick_death_in_a_row_waits_longer_up_to_the_cap(process: Process) -> None:
    waits = [serve(process, 100.0 * n, READY_SETTLED_S / 2) for n in range(len(BACK_OFF_S) + 3)]
    assert waits == [*BACK_OFF_S[1:], *[BACK_OFF_S[-1]] * 4]
    assert list(BACK_OFF_S) == sorted(BACK_OFF_S)
    assert process.state is State.WAITING, "it has served: it is never given up"
    assert process.detail == f"killed by SIGKILL, {len(waits)} times in a row"


def test_a_healthy_time_makes_the_deaths_before_it_forgotten(process: Process) -> None:
    for n in range(4):
        serve(process, 100.0 * n, 0.0)
    assert serve(process, 1000.0, READY_SETTLED_S) == 0
    assert serve(process, 2000.0, 0.0) == BACK_OFF_S[1]


def test_one_that_has_never_served_is_given_up(process: Process) -> None:
    for n in range(START_DEATHS_MAX):
        assert process.state is State.WAITING
        die_starting(process, float(n))
    assert process.state is State.FAILED
    assert f"{START_DEATHS_MAX} times in a row" in process.detail


def test_one_that_has_served_once_is_tried_for_ever_also_when_it_cannot_start(process: Process) -> None:
    serve(process, 0.0, 60.0)
    for n in range(10 * START_DEATHS_MAX):
        die_starting(process, 100.0 * n)
        assert process.state is State.WAITING
    assert process.not_before == 100.0 * n + BACK_OFF_S[-1]


def test_what_cannot_even_begin_fails_at_the_start_and_waits_later(process: Process) -> None:
    process.could_not_begin("no room for a log file", 0.0)
    assert (process.state, process.detail) == (State.FAILED, "no room for a log file")
    later = Process(Role("shard", (), SHARD))
    serve(later, 0.0, 60.0)
    later.could_not_begin("no room for a log file", 60.0)
    assert (later.state, later.not_before) == (State.WAITING, 60.0 + BACK_OFF_S[1])
