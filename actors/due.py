"""What has run out: looks through the orders, slice by slice, and pushes a timer's command for each that is due.

The order table is the due-list: nothing has to be kept, or built again after a restart. It lies outside `apply`: it
reads without a lock, and what it believes is decided again where its command is applied (`actors/timers.py`), so a
torn read costs a recorded "not due" at the worst.

Always holds: it never writes state. A command that the lane has no room for is found again on the next look. A slice
is some milliseconds of another core, and a million orders are looked through in four seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as Time
from typing import Any, Final

import numpy as np

from actors.orders import is_open
from actors.tables import R_ORDERS, Array, State
from actors.timers import day_is_over, is_past_its_date, is_unanswered
from core.commands import timer
from core.records import CommandKind
from shared_mem.jit import jit

# Rows of one slice, and the pause after it: some 40 MB/s of memory bandwidth when the table has been filled.
SLICE_ROWS: Final = 1 << 16
PAUSE_S: Final = 0.25
# Commands of one slice: a fraction of the lane; the rest is found on the next look.
FOUND_MAX: Final = 1024
# A GTD order whose cancel the venue refused is asked for again after this.
RETRY_NS: Final = 60_000_000_000
# A venue that works answers in milliseconds; one that takes longer than this owes an explanation.
STALE_AFTER_S: Final = 10.0

_DAY_END: Final = int(CommandKind.DAY_END)
_EXPIRE: Final = int(CommandKind.EXPIRE)
_ASK_STATUS: Final = int(CommandKind.ASK_STATUS)
_NS: Final = 1_000_000_000


def found_rows() -> Array:
    """Room for what a slice finds: kind, account, order id, due."""
    return np.zeros((FOUND_MAX, 4), np.int64)


@jit
def _may_ask(order: Any, now_ns: int) -> bool:
    """Once at its time; then only when the venue has let some time pass with it open."""
    return order.updated_ns < order.expire_time_ns or order.updated_ns + RETRY_NS <= now_ns


@jit
def due_orders(
    state: State, first: int, rows: int, now_ns: int, day_end_ns: int, stale_ns: int, found: Array
) -> int:
    """Puts what is due among `rows` rows from `first` on into `found`; returns how many. day_end: the last one, 0
    for none. stale: the time before which an answer is overdue."""
    count = 0
    for row in range(first, min(first + rows, state.registers[R_ORDERS])):
        if count == len(found):
            break
        order = state.orders[row]
        if not is_open(order):
            continue
        kind, due = 0, 0
        if day_is_over(order, day_end_ns, now_ns):
            kind, due = _DAY_END, day_end_ns
        elif is_past_its_date(order, now_ns) and _may_ask(order, now_ns):
            kind, due = _EXPIRE, order.expire_time_ns
        elif is_unanswered(order, stale_ns, now_ns):
            kind, due = _ASK_STATUS, stale_ns
        if kind != 0:
            found[count, 0] = kind
            found[count, 1] = order.account
            found[count, 2] = np.int64(order.order_id)
            found[count, 3] = due
            count += 1
    return count


def last_day_end_ns(day_end: Time | None, now_ns: int) -> int:
    """The newest end of a day that is not after now, in ns since 1970; 0 where no end is set. UTC."""
    if day_end is None:
        return 0
    now = datetime.fromtimestamp(now_ns // _NS, UTC)
    end = now.replace(hour=day_end.hour, minute=day_end.minute, second=day_end.second, microsecond=0)
    if end > now:
        end -= timedelta(days=1)
    return int(end.timestamp()) * _NS


class Timers:
    """`push` puts a command into a lane, and says whether there was room."""

    def __init__(
        self,
        state: State,
        push: Callable[[bytes], bool],
        *,
        day_end: Time | None = None,
        stale_after_s: float = STALE_AFTER_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._state = state
        self._push = push
        self._day_end = day_end
        self._stale_after_ns = int(stale_after_s * _NS)
        self._clock = clock
        self._found = found_rows()
        self._next = 0

    def turn(self) -> int:
        """Looks through one slice: how many commands it pushed."""
        now = self._clock()
        first, self._next = self._next, self._next + SLICE_ROWS
        if self._next >= self._state.registers[R_ORDERS]:
            self._next = 0
        day_end = last_day_end_ns(self._day_end, now)
        stale = now - self._stale_after_ns
        count = due_orders(self._state, first, SLICE_ROWS, now, day_end, stale, self._found)
        pushed = 0
        for kind, account, order_id, due in self._found[:count].tolist():
            command = timer(CommandKind(kind), account=account, order_id=order_id, due_ns=due)
            if not self._push(command):
                break
            pushed += 1
        return pushed


class Lookout:
    """A thread in the shard's own process, which gives each of its looks a turn, and then pauses."""

    def __init__(self, looks: Sequence[Callable[[], int]]) -> None:
        self._looks = looks
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE_S):
            for look in self._looks:
                look()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when nothing more will be pushed."""
        self._stopping.set()
        self._thread.join()
