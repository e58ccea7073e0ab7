"""A benchmark's copy of compiled code does what the original does, and tells when the original has changed."""

from __future__ import annotations

import numpy as np
import pytest

from actors.emit import journal
from actors.shard import run
from loadtests.latency import Stamps, stamped_loop
from loadtests.rebuilt import NotCalled, rebuilt, timed, uncached
from loadtests.stages import STAGES, counting_drive
from shared_mem.jit import jit


@jit
def inner(value: int) -> int:
    return value + 1


@jit
def between(value: int) -> int:
    return inner(value) * 10


@jit
def beside(value: int) -> int:
    return value - 1


@jit
def way(value: int) -> int:
    return between(value) + beside(value)


def test_a_copy_calls_the_watcher_wherever_it_leads_and_the_original_does_not() -> None:
    def watcher(value: int) -> int:
        return inner(value) + 100

    copy = rebuilt(way, {inner: uncached(watcher, inner)})
    assert copy(1) == (1 + 1 + 100) * 10 + 0
    assert way(1) == 20


def test_a_timed_function_answers_as_before_and_its_cycles_are_counted() -> None:
    total = np.zeros(1, np.int64)
    copy = rebuilt(way, {between: timed(between, int(total.ctypes.data))})
    assert [copy(n) for n in range(5)] == [way(n) for n in range(5)]
    assert total[0] > 0


def test_a_function_that_is_not_called_any_more_is_named() -> None:
    with pytest.raises(NotCalled, match="way does not call journal"):
        rebuilt(way, {journal: journal})


def test_every_stage_and_both_stamps_are_on_an_orders_way() -> None:
    """So a change of the shard's code that loses one is seen here, and not by whoever measures next."""
    assert counting_drive(np.zeros(len(STAGES), np.int64)) is not None
    assert stamped_loop(Stamps(1)) is not run
