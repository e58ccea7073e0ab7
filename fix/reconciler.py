"""The reconciler: executions as the log has them against the same as the venue's drop copy tells them.

Pure: no clock, no file, no socket. Both sides are put in as they come, in any order, and time with them.

How two tales of one execution find each other. At once by ExecID (17) and order. What has not found its like when
the grace is over looks once more: for the same ExecID under another order, then for the same order and CumQty (14)
under another ExecID, for a venue may number its copies apart. Then it is missing on the other side. A fill that was
booked without its report has no ExecID: it is told by the copies that fill its stretch (`fix/booked_totals.py`).

Always holds:
- A pair that agrees leaves nothing but its ExecID; a pair that differs is one break, by the first of order,
  side, quantity, price, symbol that differs.
- Missing is said only when the grace is over, and only while the other side is known to be complete up to now; so
  neither a late report, nor a line that is down, nor a log that is still being read is a break.
- An execution is in at most one break. What comes later under its ExecID is passed over.
- Both sides are bounded, and say when they are full: then the log is not read on, and the socket neither.

Must not do: decide what a break does (`actors/breaks.py`), or trust that either side is right.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

import msgspec

from core.records import BreakKind
from fix.booked_totals import BookedTotals, Kept
from fix.executions import Break, Execution

# Executions of one side that wait for the other: what a venue may be ahead of its copy, or the copy of us, while one
# line is being connected again: 20 s at some 800 fills a second. 5 MB.
PENDING_MAX: Final = 16_384
# ExecIDs by which a copy that is told twice is known, and what belongs to a break. As many as may wait.
REMEMBERED_MAX: Final = 16_384
# What a snapshot holds at most, so that it fits the state of a session's store (64 KiB) with ExecIDs of 128
# characters. With more than that under way no snapshot is given, and the one before still serves.
SNAPSHOT_PENDING_MAX: Final = 128
SNAPSHOT_CLOSED_MAX: Final = 128
SNAPSHOT_TOLD_MAX: Final = 64


Name = TypeVar("Name")


class _Waiting(NamedTuple):
    since_ns: int
    execution: Execution


class _Side:
    """The executions of one side that have not found their like, oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._by_exec_id: defaultdict[str, list[int]] = defaultdict(list)
        self._by_place: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, execution: Execution, since_ns: int) -> None:
        self._count += 1
        self._waiting[self._count] = _Waiting(since_ns, execution)
        self._by_exec_id[execution.exec_id].append(self._count)
        self._by_place[execution.place].append(self._count)

    def take(self, key: tuple[str, int]) -> Execution | None:
        """The oldest with this ExecID and order."""
        exec_id, order_id = key
        return self._take_of(self._by_exec_id.get(exec_id, ()), lambda found: found.order_id == order_id)

    def take_by_exec_id(self, exec_id: str) -> Execution | None:
        return self._take_of(self._by_exec_id.get(exec_id, ()))

    def take_by_place(self, place: tuple[int, int, int]) -> Execution | None:
        return self._take_of(self._by_place.get(place, ()))

    def take_older_than(self, time_ns: int) -> Execution | None:
        """The oldest, if it waits since this time or longer."""
        for number, (since_ns, execution) in self._waiting.items():
            if since_ns > time_ns:
                return None
            return self._remove(number, execution)
        return None

    def all(self) -> list[_Waiting]:
        return list(self._waiting.values())

    def _take_of(
        self, numbers: list[int] | tuple[()], fits: Callable[[Execution], bool] = lambda _: True
    ) -> Execution | None:
        for number in numbers:
            execution = self._waiting[number].execution
            if fits(execution):
                return self._remove(number, execution)
        return None

    def _remove(self, number: int, execution: Execution) -> Execution:
        del self._waiting[number]
        _forget(self._by_exec_id, execution.exec_id, number)
        _forget(self._by_place, execution.place, number)
        return execution


def _forget(index: dict[Name, list[int]], name: Name, number: int) -> None:
    index[name].remove(number)
    if not index[name]:
        del index[name]


class _Remembered:
    """A bounded set that forgets its oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: OrderedDict[tuple[str, int], None] = OrderedDict()

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: tuple[str, int]) -> None:
        self._keys[key] = None
        if len(self._keys) > self._most:
            self._keys.popitem(last=False)

    def newest(self, count: int) -> list[tuple[str, int]]:
        return list(self._keys)[-count:]


class _Snapshot(msgspec.Struct, array_like=True):
    logged: list[tuple[int, Execution]]
    copied: list[tuple[int, Execution]]
    closed: list[tuple[str, int]]
    told: list[tuple[str, int]]
    totals: list[Kept] = []


class Reconciler:
    """`grace_ns`: how long an execution may wait for its like. `begin_ns`: executions whose TransactTime (60) lies
    before it concern nobody here, on either side."""

    def __init__(
        self,
        grace_ns: int,
        begin_ns: int = 0,
        pending_max: int = PENDING_MAX,
        remembered_max: int = REMEMBERED_MAX,
    ) -> None:
        self.begin_ns = begin_ns
        self._grace_ns = grace_ns
        self._pending_max = pending_max
        self._logged = _Side()
        self._copied = _Side()
        self._totals = BookedTotals()
        self._told = _Remembered(remembered_max)  # copies that came
        self._closed = _Remembered(remembered_max)  # what a break was about

    # --- what comes -------------------------------------------------------------------------------------

    def logged(self, execution: Execution, now_ns: int) -> Break | None:
        """Our log books it. Returns the break when its copy tells it differently."""
        if self._is_before(execution) or execution.key in self._closed:
            return None
        copy = self._copied.take(execution.key)
        if copy is None:
            self._logged.add(execution, now_ns)
            return None
        return self._judge(execution, copy)

    def booked_by_total(self, execution: Execution, now_ns: int) -> None:
        """Our log books it without an ExecID. The copies that tell it may have come already."""
        if not self._is_before(execution):
            self._totals.add(execution, now_ns)

    def copied(self, execution: Execution, now_ns: int) -> Break | None:
        """The venue's drop copy tells it. Returns the break when our log has it differently."""
        if self._is_before(execution) or execution.key in self._closed or execution.key in self._told:
            return None
        self._told.add(execution.key)
        ours = self._logged.take(execution.key)
        if ours is not None:
            return self._judge(ours, execution)
        is_told, found = self._totals.tells(execution)
        if not is_told:
            self._copied.add(execution, now_ns)
        return found

    def raised(self, exec_id: str, order_id: int) -> None:
        """A break about this execution stands in the log: whatever is or will be told of it is settled."""
        if not exec_id:
            self._totals.drop(order_id)
            return
        key = (exec_id, order_id)
        self._closed.add(key)
        for side in (self._logged, self._copied):
            while side.take(key) is not None:
                pass

    def due(self, now_ns: int, copies_since_ns: int | None, log_read_to_ns: int) -> Iterator[Break]:
        """Breaks of what has waited for its grace: take as many as there is room for, the others come next time.

        `copies_since_ns`: since when the copy is complete: its session is on, and nothing is being resent; None: it is
        not. `log_read_to_ns`: the time up to which the log has been read. A side that is full is not read on, so it is
        not complete; but when both are full neither gets any room, and what has waited is missing for certain.
        """
        both_full = not self.has_room_for_copies and not self.has_room_for_log
        horizon_ns = min(now_ns, log_read_to_ns) - self._grace_ns
        copies_tell = (
            copies_since_ns is not None
            and copies_since_ns <= now_ns - self._grace_ns
            and self.has_room_for_copies
        )
        if copies_tell or both_full:
            # Full, the log is not read on; and what has come of it is all there.
            logged_to_ns = horizon_ns if self.has_room_for_log else now_ns - self._grace_ns
            yield from self._missing(self._logged, logged_to_ns, self._alone)
        yield from self._missing(
            self._copied, now_ns - self._grace_ns if both_full else horizon_ns, self._unheard
        )
        if copies_tell or both_full:  # last: a copy that has waited may be a part of one
            yield from self._totals.missing(now_ns - self._grace_ns if both_full else horizon_ns)

    # --- room -------------------------------------------------------------------------------------------

    @property
    def has_room_for_log(self) -> bool:
        return len(self._logged) + len(self._totals) < self._pending_max

    @property
    def has_room_for_copies(self) -> bool:
        return len(self._copied) < self._pending_max

    @property
    def pending(self) -> tuple[int, int]:
        """How many wait: of the log, of the copy."""
        return len(self._logged) + len(self._totals), len(self._copied)

    # --- over a restart -----------------------------------------------------------------------------------

    def snapshot(self) -> bytes | None:
        """What `restore` needs to go on from here; None while too much is under way."""
        if sum(self.pending) > SNAPSHOT_PENDING_MAX:
            return None
        return msgspec.msgpack.encode(
            _Snapshot(
                [(w.since_ns, w.execution) for w in self._logged.all()],
                [(w.since_ns, w.execution) for w in self._copied.all()],
                self._closed.newest(SNAPSHOT_CLOSED_MAX),
                self._told.newest(SNAPSHOT_TOLD_MAX),
                self._totals.kept(),
            )
        )

    def restore(self, data: bytes) -> None:
        """Into a new one. Raises msgspec.MsgspecError for anything that `snapshot` did not make."""
        found = msgspec.msgpack.decode(data, type=_Snapshot)
        for side, waiting in ((self._logged, found.logged), (self._copied, found.copied)):
            for since_ns, execution in waiting:
                side.add(execution, since_ns)
        self._totals.restore(found.totals)
        for memory, keys in ((self._closed, found.closed), (self._told, found.told)):
            for key in keys:
                memory.add(key)

    # --- inside -----------------------------------------------------------------------------------------

    def _is_before(self, execution: Execution) -> bool:
        return 0 < execution.transact_time_ns < self.begin_ns

    @staticmethod
    def _missing(side: _Side, to_ns: int, judge: Callable[[Execution], Break | None]) -> Iterator[Break]:
        while (execution := side.take_older_than(to_ns)) is not None:
            if (found := judge(execution)) is not None:
                yield found

    def _alone(self, ours: Execution) -> Break | None:
        """Our log has it, and its grace is over."""
        copy = self._copied.take_by_exec_id(ours.exec_id) or self._copied.take_by_place(ours.place)
        if copy is not None:
            return self._judge(ours, copy)
        return self._closing(Break(BreakKind.MISSING_AT_VENUE, ours, ours.last_qty_e8, 0))

    def _unheard(self, copy: Execution) -> Break | None:
        """The copy tells it, and its grace is over."""
        ours = self._logged.take_by_exec_id(copy.exec_id) or self._logged.take_by_place(copy.place)
        if ours is not None:
            return self._judge(ours, copy)
        is_told, found = self._totals.tells(copy)
        if is_told:
            return found
        kind = BreakKind.MISSING_HERE if copy.order_id else BreakKind.UNKNOWN_ORDER
        return self._closing(Break(kind, copy, 0, copy.last_qty_e8))

    def _judge(self, ours: Execution, copy: Execution) -> Break | None:
        """Two tales of one execution."""
        for kind, said, told in (
            (BreakKind.ORDER, ours.order_id, copy.order_id),
            (BreakKind.SIDE, ours.side, copy.side),
            (BreakKind.QUANTITY, ours.last_qty_e8, copy.last_qty_e8),
            (BreakKind.QUANTITY, ours.cum_qty_e8, copy.cum_qty_e8),
            (BreakKind.PRICE, ours.last_px_e8, copy.last_px_e8),
        ):
            if said != told:
                return self._closing(Break(kind, ours, said, told), copy)
        if ours.symbol != copy.symbol:
            return self._closing(Break(BreakKind.SYMBOL, ours, ours.instrument, 0), copy)
        return None

    def _closing(self, found: Break, copy: Execution | None = None) -> Break:
        self._closed.add(found.execution.key)
        if copy is not None:
            self._closed.add(copy.key)
        return found
