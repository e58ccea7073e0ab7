"""The sliding window against a list of times."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fix.throttle import Throttle


@settings(deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), max_size=60),
)
def test_room_is_what_a_list_of_the_sent_says(limit: int, window: int, steps: list[tuple[int, int]]) -> None:
    throttle, sent, now = Throttle(limit, window), list[int](), 0
    for later, asked in steps:
        now += later
        within = sum(1 for time in sent if time > now - window)
        assert throttle.room(now) == max(limit - within, 0)
        assert throttle.used(now) == min(within, limit)
        may = min(asked, throttle.room(now))
        throttle.count(now, may)
        sent += [now] * may
    for time in sent:  # in no window were there more than the limit
        assert sum(1 for other in sent if time <= other < time + window) <= limit


@settings(deadline=None)
@given(st.integers(2, 1000))
def test_orders_leave_room_for_cancels(limit: int) -> None:
    throttle = Throttle(limit, 1_000)
    throttle.count(0, throttle.room_for_orders(0))
    assert throttle.room_for_orders(0) == 0
    assert throttle.room(0) == max(1, limit // 10)


def test_a_limit_of_one_is_for_orders_too() -> None:
    assert Throttle(1, 1_000).room_for_orders(0) == 1


def test_what_had_to_pass_takes_the_room_of_what_comes_next() -> None:
    throttle = Throttle(5, 1_000)
    throttle.count(0, 8)
    assert throttle.room(999) == 0
    assert throttle.room(1_000) == 5


def test_a_clock_that_goes_back_gives_no_room() -> None:
    throttle = Throttle(2, 1_000)
    throttle.count(5_000, 2)
    throttle.count(4_000)
    assert throttle.room(5_500) == 0
    assert throttle.room(6_000) == 2
