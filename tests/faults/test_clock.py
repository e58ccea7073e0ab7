"""A shard whose clock is set: over the end of a day and back again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from datetime import time as Time
from pathlib import Path

from actors.due import Timers
from actors.emit import P_TIME
from actors.shard import Lane
from core.records import ExecType, OrdStatus
from tests.actors.desk import ShardDesk, order

_NS = 10**9
HALF_AN_HOUR = 1800 * _NS


def time_of(ns: int) -> Time:
    return datetime.fromtimestamp(ns // _NS, UTC).time()


def test_a_day_ends_once_for_an_order_though_the_clock_goes_over_its_end_twice(
    tmp_path: Path, run_dir: Path
) -> None:
    desk = ShardDesk(tmp_path / "log", run_dir)
    desk.open_market()
    now = time.time_ns()
    clock = [now]

    def push(raw: bytes) -> bool:
        return desk.push(Lane.ADMIN, raw)

    def look() -> list[int]:
        """What is due is done: the events' kinds. The few orders are one turn's."""
        timers.turn()
        desk.turn_until_quiet()
        return [event.exec_type for event in desk.events()]

    timers = Timers(desk.shard.state, push, day_end=time_of(now + HALF_AN_HOUR), clock=lambda: clock[0])
    desk.push(Lane.ORDERS_GATEWAY, order("before"))
    desk.turn_until_quiet()
    assert look() == [ExecType.PENDING_NEW]
    clock[0] = now + 2 * HALF_AN_HOUR
    desk.shard.out.pen[P_TIME] = clock[0]  # the shard's own clock goes with it
    assert look() == [ExecType.EXPIRED]
    clock[0] = now
    desk.push(Lane.ORDERS_GATEWAY, order("after"))
    desk.turn_until_quiet()
    assert look() == [ExecType.PENDING_NEW]
    clock[0] = now + HALF_AN_HOUR + _NS
    assert look() == [], "the day's end comes again, and nothing is due"
    statuses = [int(row["status"]) for row in desk.shard.state.orders[:2]]
    assert statuses == [OrdStatus.EXPIRED, OrdStatus.PENDING_NEW]
    desk.close()
