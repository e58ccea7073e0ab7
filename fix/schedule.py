"""When a session is on: from a time of day in one zone to a time of day in another, daily or weekly.

    schedule = Schedule(start_zone="America/New_York", start_time=time(17), end_zone="America/Chicago",
                        end_time=time(15, 15), days=("sunday", "monday", "tuesday", "wednesday", "thursday"))
    hours = schedule.hours(now_ns)              # Hours(start_ns, end_ns), or None while it is closed

What always holds here, over every change of the clocks:
- A session begins when the clock of `start_zone` first shows `start_time` or later on one of its days, and
  ends at the first instant after that at which the clock of `end_zone` first shows `end_time` or later on a
  day (weekly: on `end_day`). So a time that a clock skips is the instant of the skip, one that it shows twice
  is the first of the two, and an overnight session needs no word of its own.
- A session ends at the latest when the next one begins, so no instant is in two. Where start and end are the same
  clock time, one begins when the one before it ends.

Now is an argument: nothing here reads a clock. Holidays are not known here: a venue that is closed does not
answer, and the initiator goes on trying.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

NS_PER_S: Final = 1_000_000_000

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: Final[tuple[Weekday, ...]] = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip

# A start or an end is at most a week away, a day more for the zones, and one for a date that a zone skips.
_DAYS_AWAY_MAX: Final = 9
_DAY: Final = dt.timedelta(days=1)


class ScheduleError(ValueError):
    """A schedule that makes no sense. Names the value and the remedy."""


class Hours(NamedTuple):
    """One session: from `start_ns` to just before `end_ns`, nanoseconds since 1970."""

    start_ns: int
    end_ns: int

    def has(self, now_ns: int) -> bool:
        return self.start_ns <= now_ns < self.end_ns


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Daily: `days` are those on which a session begins (none named: all). Weekly: `start_day` and `end_day`."""

    start_zone: str = "UTC"
    start_time: dt.time = dt.time()
    end_zone: str = "UTC"
    end_time: dt.time = dt.time()
    days: tuple[Weekday, ...] = ()
    start_day: Weekday | None = None
    end_day: Weekday | None = None

    def check(self) -> None:
        """Raises ScheduleError for a zone that is not known, or days that contradict each other."""
        for zone in (self.start_zone, self.end_zone):
            _zone(zone)
        for time in (self.start_time, self.end_time):
            if time.tzinfo is not None or time.microsecond:
                raise ScheduleError(f"time {time} is of a zone, or finer than a second; give HH:MM:SS")
        if (self.start_day is None) != (self.end_day is None):
            raise ScheduleError("start_day and end_day go together: a week's session has both")
        if self.days and self.start_day is not None:
            raise ScheduleError("days and start_day exclude each other: a session is daily or weekly")

    def hours(self, now_ns: int) -> Hours | None:
        """The session that is on at `now_ns`."""
        start_ns = self._last_start(now_ns)
        if start_ns is None:
            return None
        hours = Hours(start_ns, min(self._end_after(start_ns), self.next_start(start_ns)))
        return hours if hours.has(now_ns) else None

    def next_start(self, now_ns: int) -> int:
        """When the next session begins, after `now_ns`."""
        today = _local_date(now_ns, self.start_zone)
        return next(start for start in self._starts(today, -1, _DAYS_AWAY_MAX) if start > now_ns)

    def same_session(self, one_ns: int, other_ns: int) -> bool:
        """Whether both instants lie in one and the same session; numbers of another one are over."""
        hours = self.hours(one_ns)
        return hours is not None and hours.has(other_ns)

    def _last_start(self, now_ns: int) -> int | None:
        today = _local_date(now_ns, self.start_zone)
        starts = [start for start in self._starts(today, -_DAYS_AWAY_MAX, 1) if start <= now_ns]
        return starts[-1] if starts else None

    def _starts(self, today: dt.date, begin: int, end: int) -> Iterator[int]:
        days = (self.start_day,) if self.start_day is not None else self.days or WEEKDAYS
        yield from _instants(today, begin, end, days, self.start_time, self.start_zone)

    def _end_after(self, start_ns: int) -> int:
        day = _local_date(start_ns, self.end_zone)
        days = (self.end_day,) if self.end_day is not None else WEEKDAYS
        ends = _instants(day, 0, _DAYS_AWAY_MAX, days, self.end_time, self.end_zone)
        return next(end for end in ends if end > start_ns)


def _instants(
    today: dt.date, begin: int, end: int, days: tuple[Weekday, ...], time: dt.time, zone: str
) -> Iterator[int]:
    """When the clock of `zone` first shows `time` on those dates from `today + begin` to `today + end` that fall
    on `days`; ascending."""
    for offset in range(begin, end + 1):
        date = today + offset * _DAY
        if WEEKDAYS[date.weekday()] in days:
            yield _first_ns(date, time, zone)


@cache  # bounded by what profiles name
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, a name that is no path, a folder of zones
        raise ScheduleError(f"time zone {name!r} is not known; give one like Europe/London") from None


def _local_date(now_ns: int, zone: str) -> dt.date:
    return dt.datetime.fromtimestamp(now_ns // NS_PER_S, _zone(zone)).date()


@lru_cache(maxsize=1024)  # some days of some venues
def _first_ns(date: dt.date, time: dt.time, zone: str) -> int:
    """The first instant at which the clock of `zone` shows `time` or later on `date`, or a later date."""
    local = dt.datetime.combine(date, time)
    # PEP 495: of a time that is shown twice, fold 0 is the first. Of one that is skipped, fold 1 lies before the
    # skip and fold 0 behind it; the skip itself is between them.
    late = int(local.replace(tzinfo=_zone(zone), fold=0).timestamp())
    early = int(local.replace(tzinfo=_zone(zone), fold=1).timestamp())
    while early < late:
        middle = (early + late) // 2
        if _shown(middle, zone) >= local:
            late = middle
        else:
            early = middle + 1
    return late * NS_PER_S


def _shown(second: int, zone: str) -> dt.datetime:
    """What the clock of `zone` shows, without its zone."""
    return dt.datetime.fromtimestamp(second, _zone(zone)).replace(tzinfo=None)
