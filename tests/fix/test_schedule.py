"""Session schedules against an oracle that only looks at two clocks, minute by minute, over changes of the clocks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fix.schedule import NS_PER_S, WEEKDAYS, Schedule, ScheduleError

MINUTE = 60
# A week around changes of the clocks: by an hour at one or two in the morning, at midnight, by half an hour, two
# zones that change on different days, and a zone that skips a whole day.
WEEKS = {
    "London forward": ("Europe/London", dt.datetime(2026, 3, 25)),
    "London back": ("Europe/London", dt.datetime(2026, 10, 21)),
    "New York forward": ("America/New_York", dt.datetime(2026, 3, 4)),
    "New York back": ("America/New_York", dt.datetime(2026, 10, 28)),
    "Beirut at midnight": ("Asia/Beirut", dt.datetime(2026, 3, 25)),
    "Cairo at midnight": ("Africa/Cairo", dt.datetime(2026, 4, 21)),
    "Lord Howe by half an hour": ("Australia/Lord_Howe", dt.datetime(2026, 3, 31)),
    "Apia skips a day": ("Pacific/Apia", dt.datetime(2011, 12, 27)),
}
ZONES = sorted({zone for zone, _ in WEEKS.values()} | {"UTC", "Asia/Tokyo", "America/Chicago"})


def ns(text: str, zone: str = "UTC") -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS_PER_S


@lru_cache(maxsize=16)
def clock(zone: str, begin: int, end: int) -> list[tuple[dt.date, dt.time]]:
    """What the clock of `zone` shows at each minute."""
    tz = ZoneInfo(zone)
    shown = (dt.datetime.fromtimestamp(second, tz) for second in range(begin, end, MINUTE))
    return [(local.date(), local.time()) for local in shown]


def arrivals(shown: list[tuple[dt.date, dt.time]], time: dt.time, days: tuple[str, ...]) -> Iterator[int]:
    """The minutes at which the clock first shows `time` or later, for each date of `days`; a date that is skipped
    arrives with the next."""
    date = shown[0][0]
    seen: set[dt.date] = set()
    for minute, (today, now) in enumerate(shown):
        while date < today:
            if date not in seen and WEEKDAYS[date.weekday()] in days:
                yield minute
            seen.add(date)
            date += dt.timedelta(days=1)
        if today not in seen and now >= time:
            seen.add(today)
            if WEEKDAYS[today.weekday()] in days:
                yield minute


def oracle(schedule: Schedule, begin: int, end: int) -> list[bool]:
    """Open or not at each minute: what closes comes before what opens in the same minute."""
    starts = set(
        arrivals(
            clock(schedule.start_zone, begin, end),
            schedule.start_time,
            (schedule.start_day,) if schedule.start_day else schedule.days or WEEKDAYS,
        )
    )
    ends = set(
        arrivals(
            clock(schedule.end_zone, begin, end),
            schedule.end_time,
            (schedule.end_day,) if schedule.end_day else WEEKDAYS,
        )
    )
    is_open, result = False, []
    for minute in range((end - begin) // MINUTE):
        is_open = (is_open and minute not in ends) or minute in starts
        result.append(is_open)
    return result


times = st.builds(dt.time, st.integers(0, 23), st.sampled_from((0, 1, 15, 30, 59)))
days_of = st.lists(st.sampled_from(WEEKDAYS), unique=True).map(tuple)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    start_zone, end_zone = draw(st.sampled_from(ZONES)), draw(st.sampled_from(ZONES))
    start, end = draw(times), draw(times)
    if draw(st.booleans()):
        return Schedule(start_zone, start, end_zone, end, days=draw(days_of))
    days = draw(st.sampled_from(WEEKDAYS)), draw(st.sampled_from(WEEKDAYS))
    return Schedule(start_zone, start, end_zone, end, start_day=days[0], end_day=days[1])


@settings(deadline=None, max_examples=60)
@given(schedules(), st.sampled_from(sorted(WEEKS)), st.data())
def test_a_schedule_agrees_with_two_clocks_watched_minute_by_minute(
    schedule: Schedule, week: str, data: st.DataObject
) -> None:
    zone, monday = WEEKS[week]
    if data.draw(
        st.booleans()
    ):  # the week's own zone, where the clock jumps, more often than chance gives it
        schedule = Schedule(
            zone, schedule.start_time, schedule.end_zone, schedule.end_time, schedule.days,
            schedule.start_day, schedule.end_day,
        )  # fmt: skip
    middle = int(monday.replace(tzinfo=dt.UTC).timestamp())
    lead = 9 * 24 * 60  # minutes that the oracle watches first, to know whether a session is on
    begin, end = middle - lead * MINUTE, middle + 8 * 24 * 60 * MINUTE
    expected = oracle(schedule, begin, end)[lead:]
    hours = None
    for minute, is_open in enumerate(expected):
        now = (middle + minute * MINUTE) * NS_PER_S
        if minute % 7 == 0 or minute == 0 or expected[minute - 1] != is_open:
            hours = schedule.hours(now)
            assert (hours is not None) == is_open, (
                schedule,
                dt.datetime.fromtimestamp(now // NS_PER_S, dt.UTC),
            )


@settings(deadline=None, max_examples=100)
@given(schedules(), st.sampled_from(sorted(WEEKS)), st.integers(0, 8 * 24 * 3600))
@example(  # the week without a Friday brings the next Monday before the session's end
    Schedule("Pacific/Apia", dt.time(), "Africa/Cairo", dt.time(), start_day="monday", end_day="monday"),
    "Apia skips a day",
    0,
)
def test_the_next_start_is_closed_before_and_open_at_it(schedule: Schedule, week: str, second: int) -> None:
    now = (int(WEEKS[week][1].replace(tzinfo=dt.UTC).timestamp()) + second) * NS_PER_S
    start = schedule.next_start(now)
    assert start > now
    hours = schedule.hours(start)
    assert hours is not None
    assert hours.start_ns == start
    assert hours.end_ns > start
    assert not schedule.same_session(start - 1, start)


NEW_YORK_NIGHT = Schedule(
    start_zone="America/New_York", start_time=dt.time(17), end_zone="America/Chicago", end_time=dt.time(15, 15),
    days=("sunday", "monday", "tuesday", "wednesday", "thursday"),
)  # fmt: skip


def test_an_overnight_session_in_two_zones_of_a_trading_week() -> None:
    assert NEW_YORK_NIGHT.hours(ns("2026-11-22T16:59:59", "America/New_York")) is None
    hours = NEW_YORK_NIGHT.hours(ns("2026-11-22T17:00:00", "America/New_York"))
    assert hours == (ns("2026-11-22T22:00:00"), ns("2026-11-23T21:15:00"))
    assert NEW_YORK_NIGHT.hours(ns("2026-11-23T15:15:00", "America/Chicago")) is None
    assert NEW_YORK_NIGHT.hours(ns("2026-11-27T17:30:00", "America/New_York")) is None, "Friday evening"
    assert NEW_YORK_NIGHT.next_start(ns("2026-11-27T17:30:00")) == ns("2026-11-29T22:00:00")


def test_a_time_that_the_clock_skips_is_the_instant_of_the_skip() -> None:
    at_half_past_two = Schedule("America/New_York", dt.time(2, 30), "America/New_York", dt.time(16))
    hours = at_half_past_two.hours(ns("2026-03-08T12:00:00"))
    assert hours is not None
    assert hours.start_ns == ns("2026-03-08T07:00:00"), "02:00 EST became 03:00 EDT"


def test_a_time_that_the_clock_shows_twice_is_the_first_of_the_two() -> None:
    at_half_past_one = Schedule("America/New_York", dt.time(1, 30), "America/New_York", dt.time(16))
    hours = at_half_past_one.hours(ns("2026-11-01T12:00:00"))
    assert hours is not None
    assert hours.start_ns == ns("2026-11-01T05:30:00"), "01:30 EDT, not 01:30 EST"


def test_a_weeks_session_whose_end_is_its_start_is_always_on_and_changes_at_the_boundary() -> None:
    week = Schedule(
        "America/New_York",
        dt.time(13),
        "America/New_York",
        dt.time(13),
        start_day="saturday",
        end_day="saturday",
    )
    boundary = ns("2026-11-28T18:00:00")
    before, after = week.hours(boundary - 1), week.hours(boundary)
    assert before is not None
    assert after is not None
    assert before.end_ns == after.start_ns == boundary
    assert not week.same_session(boundary - 1, boundary)
    assert week.same_session(boundary, boundary + 6 * 24 * 3600 * NS_PER_S)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Schedule(start_zone="Europe/Londinium"), "time zone 'Europe/Londinium' is not known"),
        (Schedule(end_zone=""), "time zone '' is not known"),
        (Schedule(start_day="monday"), "go together"),
        (Schedule(days=("friday",), start_day="monday", end_day="friday"), "exclude each other"),
        (Schedule(start_time=dt.time(1, tzinfo=dt.UTC)), "of a zone"),
    ],
)
def test_a_schedule_that_makes_no_sense_says_what_is_wrong(schedule: Schedule, text: str) -> None:
    with pytest.raises(ScheduleError, match=text):
        schedule.check()
