"""What time alone does: the end of a day, an order's own date, a venue that does not answer."""

from __future__ import annotations

from datetime import UTC, datetime
from datetime import time as Time

import pytest

from actors.due import RETRY_NS, Lookout, Timers, last_day_end_ns
from actors.emit import P_TIME
from actors.shard import Lane
from actors.tables import R_TIME
from core import commands
from core.records import CommandKind, ExecType, OrdStatus, Source, TimeInForce
from core.rejects import Reject
from core.units import cash_e6, qty_e8
from tests.actors.desk import Desk, ShardDesk, deposit, order

DAY_END, EXPIRE, ASK_STATUS = CommandKind.DAY_END, CommandKind.EXPIRE, CommandKind.ASK_STATUS
SECOND = 10**9


def test_a_day_order_ends_with_its_day(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.fill(placed.order_id, 4)
    event = desk.timer(DAY_END, placed.order_id, desk.next_ns)
    assert (event.exec_type, event.ord_status, event.source) == (
        ExecType.EXPIRED, OrdStatus.EXPIRED, Source.TIMER,
    )  # fmt: skip
    assert (event.reserved_e6, desk.state.accounts[0]["open_orders"]) == (0, 0)
    told = desk.report(placed.order_id, ExecType.EXPIRED)
    assert told.reject_code == Reject.REPORT_UNEXPECTED, "the venue says it too: recorded"
    late = desk.fill(placed.order_id, 6)
    assert (late.ord_status, late.position_qty_e8) == (OrdStatus.EXPIRED, qty_e8(10)), "and still booked"


def test_what_the_venue_said_before_the_day_ended_counts(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.CANCELED)
    event = desk.timer(DAY_END, placed.order_id, desk.next_ns)
    assert (event.exec_type, event.reject_code, event.ord_status) == (
        ExecType.ORDER_STATUS, Reject.TIMER_NOT_DUE, OrdStatus.CANCELED,
    )  # fmt: skip


@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC])
def test_other_orders_do_not_end_with_the_day(a_funded_account: Desk, tif: TimeInForce) -> None:
    desk = a_funded_account
    until = desk.next_ns + SECOND if tif is TimeInForce.GTD else 0
    placed = desk.buy(10, tif=tif, expire_time_ns=until)
    event = desk.timer(DAY_END, placed.order_id, desk.next_ns)
    assert (event.reject_code, event.reserved_e6) == (Reject.TIMER_NOT_DUE, cash_e6(1000))


def test_an_order_of_the_next_day_and_a_day_that_goes_on_are_not_due(a_funded_account: Desk) -> None:
    desk = a_funded_account
    yesterdays_end = desk.next_ns
    placed = desk.buy(10)
    for end in (yesterdays_end, desk.next_ns + 10 * SECOND):
        assert desk.timer(DAY_END, placed.order_id, end).reject_code == Reject.TIMER_NOT_DUE


def test_a_good_till_date_orders_cancel_is_asked_of_the_venue_at_its_time(a_funded_account: Desk) -> None:
    desk = a_funded_account
    until = desk.next_ns + 3_000_000
    placed = desk.buy(10, tif=TimeInForce.GTD, expire_time_ns=until)
    assert desk.timer(EXPIRE, placed.order_id, until).reject_code == Reject.TIMER_NOT_DUE, "too early"
    while desk.next_ns < until:
        desk.buy(1)
    event = desk.timer(EXPIRE, placed.order_id, until)
    assert (event.exec_type, event.ord_status) == (ExecType.PENDING_CANCEL, OrdStatus.PENDING_CANCEL)
    assert event.reserved_e6 > cash_e6(1000), "nothing is released before the venue has answered"
    assert desk.timer(EXPIRE, placed.order_id, until).reject_code == Reject.TIMER_NOT_DUE, "under way"
    assert desk.report(placed.order_id, ExecType.CANCELED).ord_status == OrdStatus.CANCELED


@pytest.mark.parametrize(
    ("tif", "until"), [(TimeInForce.GTD, 0), (TimeInForce.GTD, 1), (TimeInForce.DAY, 2**62)]
)
def test_a_date_that_is_past_missing_or_out_of_place_is_rejected(
    a_funded_account: Desk, tif: TimeInForce, until: int
) -> None:
    event = a_funded_account.buy(10, tif=tif, expire_time_ns=until)
    assert (event.reject_code, event.ord_status) == (Reject.EXPIRE_TIME_PAST, OrdStatus.REJECTED)
    assert a_funded_account.reserved() == 0


def test_an_order_without_an_answer_is_marked_and_asked_about_but_never_released(
    a_funded_account: Desk,
) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    event = desk.timer(ASK_STATUS, placed.order_id, placed.time_ns)
    assert (event.exec_type, event.ord_status, event.reject_code) == (
        ExecType.ORDER_STATUS, OrdStatus.PENDING_NEW, 0,
    )  # fmt: skip
    assert (event.reserved_e6, desk.state.orders[0]["fate"]) == (cash_e6(1000), 1)
    assert desk.timer(ASK_STATUS, placed.order_id, placed.time_ns).reject_code == Reject.TIMER_NOT_DUE
    desk.report(placed.order_id, ExecType.NEW)
    assert desk.state.orders[0]["fate"] == 0


def test_cancels_and_replaces_without_an_answer_are_asked_about_too(a_funded_account: Desk) -> None:
    desk = a_funded_account
    placed = desk.buy(10)
    desk.report(placed.order_id, ExecType.NEW)
    assert desk.timer(ASK_STATUS, placed.order_id, desk.next_ns).reject_code == Reject.TIMER_NOT_DUE
    asked = desk.replace(placed.order_id, qty_e8=qty_e8(5))
    assert desk.timer(ASK_STATUS, placed.order_id, asked.time_ns - 1).reject_code == Reject.TIMER_NOT_DUE
    assert desk.timer(ASK_STATUS, placed.order_id, asked.time_ns).reject_code == 0


@pytest.mark.parametrize(
    ("told", "after"),
    [
        (OrdStatus.NEW, ExecType.NEW),
        (OrdStatus.REJECTED, ExecType.REJECTED),
        (OrdStatus.CANCELED, ExecType.CANCELED),
        (OrdStatus.EXPIRED, ExecType.EXPIRED),
        (OrdStatus.FILLED, ExecType.ORDER_STATUS),
        (OrdStatus.PENDING_NEW, ExecType.ORDER_STATUS),
    ],
)
def test_the_venues_answer_about_an_order_is_taken_as_what_it_says(
    a_funded_account: Desk, told: OrdStatus, after: ExecType
) -> None:
    """But a fill is booked only by its own execution."""
    desk = a_funded_account
    placed = desk.buy(10)
    desk.timer(ASK_STATUS, placed.order_id, placed.time_ns)
    event = desk.report(placed.order_id, ExecType.ORDER_STATUS, ord_status=told)
    assert (event.exec_type, event.cum_qty_e8) == (after, 0)
    kept = after in (ExecType.NEW, ExecType.ORDER_STATUS)
    assert (event.reserved_e6, desk.state.orders[0]["fate"]) == (cash_e6(1000) * kept, 0)


def test_a_timer_for_an_order_that_is_none_is_recorded(a_funded_account: Desk) -> None:
    placed = a_funded_account.buy(10)
    for order_id, account in ((77, 1), (placed.order_id, 2)):
        event = a_funded_account.timer(DAY_END, order_id, a_funded_account.next_ns, account)
        assert event.reject_code == Reject.ORDER_UNKNOWN


def test_the_end_of_a_day_is_the_last_one_that_has_been() -> None:
    def at(hour: int, minute: int = 0, day: int = 24) -> int:
        return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()) * SECOND

    evening = Time(21, 0)
    assert last_day_end_ns(evening, at(20, 59)) == at(21, day=23)
    assert last_day_end_ns(evening, at(21)) == at(21)
    assert last_day_end_ns(evening, at(23)) == at(21)
    assert last_day_end_ns(None, at(23)) == 0


class Clockwork:
    """Timers of a shard that is turned by hand, with a clock that the test sets."""

    def __init__(self, desk: ShardDesk, day_end: Time | None = None) -> None:
        self.desk = desk
        self.now_ns = int(desk.shard.state.registers[R_TIME])
        self.timers = Timers(
            desk.shard.state,
            desk.shard.lanes[Lane.ADMIN].try_push,
            day_end=day_end,
            clock=lambda: self.now_ns,
        )

    def later(self, seconds: float) -> int:
        """How many commands are pushed then; the shard applies them."""
        self.now_ns += int(seconds * SECOND)
        pen = self.desk.shard.out.pen
        pen[P_TIME] = max(self.now_ns, int(pen[P_TIME]))
        pushed = self.timers.turn()
        self.desk.turn_until_quiet()
        return pushed


def test_what_runs_out_is_found_in_the_order_table_and_pushed_once(a_shard: ShardDesk) -> None:
    clock = Clockwork(a_shard)
    a_shard.push(Lane.ORDERS_GATEWAY, order("waits"))
    a_shard.push(
        Lane.ORDERS_GATEWAY,
        order("dated", tif=TimeInForce.GTD, expire_time_ns=clock.now_ns + 60 * SECOND),
    )
    a_shard.turn_until_quiet()
    a_shard.events()
    assert clock.later(9) == 0
    assert clock.later(5) == 2, "both have no answer"
    assert [(e.text, e.exec_type) for e in a_shard.events()] == [
        ("waits", ExecType.ORDER_STATUS),
        ("dated", ExecType.ORDER_STATUS),
    ]
    assert clock.later(5) == 0
    assert clock.later(60) == 1
    assert [(e.text, e.exec_type) for e in a_shard.events()] == [("dated", ExecType.PENDING_CANCEL)]


def test_a_refused_cancel_at_an_orders_date_is_asked_again_only_after_a_while(a_shard: ShardDesk) -> None:
    clock = Clockwork(a_shard)
    until = clock.now_ns + 60 * SECOND
    a_shard.push(Lane.ORDERS_GATEWAY, order("dated", tif=TimeInForce.GTD, expire_time_ns=until))
    a_shard.turn_until_quiet()
    placed = a_shard.events()[0]
    new, refused = (
        commands.venue_report(venue_seq=n, order_id=placed.order_id, exec_type=kind, ord_status=OrdStatus.NEW)
        for n, kind in ((1, ExecType.NEW), (2, ExecType.CANCEL_REJECT))
    )
    a_shard.push(Lane.REPORTS_VENUE, new)
    a_shard.turn_until_quiet()
    assert clock.later(61) == 1
    a_shard.push(Lane.REPORTS_VENUE, refused)
    a_shard.turn_until_quiet()
    assert clock.later(1) == 0
    assert clock.later(RETRY_NS / SECOND) == 1


def test_the_day_ends_for_day_orders_alone(a_shard: ShardDesk) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("day"))
    a_shard.push(Lane.ORDERS_GATEWAY, order("gtc", tif=TimeInForce.GTC))
    a_shard.turn_until_quiet()
    a_shard.events()
    now = datetime.fromtimestamp(int(a_shard.shard.state.registers[R_TIME]) // SECOND, UTC)
    clock = Clockwork(a_shard, now.time().replace(microsecond=0))
    assert clock.later(0) == 0, "placed after the last end"
    clock.later(86_400)
    assert ("day", ExecType.EXPIRED) in [(e.text, e.exec_type) for e in a_shard.events()]
    assert a_shard.shard.state.accounts[0]["open_orders"] == 1


def test_a_full_lane_is_tried_again(a_shard: ShardDesk) -> None:
    clock = Clockwork(a_shard)
    a_shard.push(Lane.ORDERS_GATEWAY, order("waits"))
    a_shard.turn_until_quiet()
    while a_shard.push(Lane.ADMIN, deposit(1)):
        pass
    clock.now_ns += 60 * SECOND
    assert clock.timers.turn() == 0
    a_shard.turn_until_quiet()
    assert clock.later(60) == 1


def test_the_thread_pushes_by_itself_and_stops(a_shard: ShardDesk) -> None:
    a_shard.push(Lane.ORDERS_GATEWAY, order("waits"))
    a_shard.turn_until_quiet()
    a_shard.events()
    timers = Timers(a_shard.shard.state, a_shard.shard.lanes[Lane.ADMIN].try_push, stale_after_s=0)
    lookout = Lookout((timers.turn,))
    lookout.start()
    try:
        while a_shard.turn() == 0:
            pass
    finally:
        lookout.stop()
    assert a_shard.events()[0].exec_type == ExecType.ORDER_STATUS
