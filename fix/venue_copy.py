"""The venue's drop copy as an application of the initiator, and the log beside it: both go into the reconciler, and
its breaks into the shard's ring.

What is reconciled is what moves money: trades, their corrections and cancels. Of the log: a VENUE_REPORT that was
booked (its event has no reject), under the venue's own ExecID, and fills that were booked without one, by the venue's
total. Of the copy: an ExecutionReport of this kind, whose ClOrdID names the order. ClOrdIDs of other shards of ours
are passed over.

Over a kill -9. Stored with the session is a snapshot of the reconciler, and where log and copy stood at it: a restart
reads the log from there, and has the venue resend from there. Breaks that were raised since stand in the log as BREAK
events, or still in the ring: the role reads the log to its end, with the ring empty, before it judges; so each is
raised once.

It begins with the session's first Logon: what has an earlier TransactTime (60) concerns neither side, for the copy
may not have it. It begins anew, and says so, when copies are lost for good: the venue began its numbers anew while
some of them were outstanding.

Must not do: answer the venue (but for what can't be read), or change anything but through the ring.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from core import commands, events, ids
from core.events import Event
from core.records import BreakKind, CommandKind, EventKind, ExecType
from fix.codec import Message, MissingTag
from fix.durable import Busy, DurableSession, Outgoing
from fix.executions import Break, Execution
from fix.reconciler import Reconciler
from fix.report_fields import (
    ReportError,
    amount,
    exec_type_of,
    order_id_of,
    plain_text,
    refusal,
    transact_time_of,
)
from fix.tags import BusinessReason, MsgType, Tag
from shared_mem.log_reader import Record
from shared_mem.ring import Ring

log = logging.getLogger(__name__)

# How often the snapshot is stored, if anything has come: what a restart reads and asks for again.
CHECKPOINT_NS: Final = 1_000_000_000

_TRADE: Final = int(ExecType.TRADE)
_CORRECT: Final = int(ExecType.TRADE_CORRECT)
_CANCEL: Final = int(ExecType.TRADE_CANCEL)
_MONEY: Final = frozenset((_TRADE, _CORRECT, _CANCEL))
_KINDS: Final = {"F": _TRADE, "G": _CORRECT, "H": _CANCEL}


class _State(msgspec.Struct, array_like=True):
    """What is stored with the session. `next_in` counts within `generation`, the session's count of resets."""

    begin_ns: int
    position: int
    next_in: int
    generation: int
    reconciler: bytes


class VenueCopy:
    """An Application for one session. `symbol_of` names an instrument. `grace_ns`: see Reconciler."""

    def __init__(
        self,
        shard: int,
        breaks: Ring,
        symbol_of: Callable[[int], str],
        grace_ns: int,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._shard = shard
        self._breaks = breaks
        self._symbol_of = symbol_of
        self._grace_ns = grace_ns
        self._clock = clock
        self._reconciler = Reconciler(grace_ns)
        self._has_begun = False
        self._position = 0  # behind the last event read
        self._report: tuple[int, dict[str, Any]] | None = None  # seq and fields of the last VENUE_REPORT read
        self._read_to_ns = 0  # the time up to which the log is read
        self._copies_since_ns: int | None = None
        self._unsent: deque[Break] = deque()  # for want of room in the ring; nothing more is taken meanwhile
        self._generation = 0
        self._stored = (0, 0)
        self._stored_ns = 0

    # --- over a restart -----------------------------------------------------------------------------------

    def attach(self, session: DurableSession) -> int | None:
        """Before the first connection: goes on where the snapshot stands. Returns the position in the log; None: it
        has not begun, and its end will do."""
        self._generation = session.generation
        if not session.state:
            return None
        state = msgspec.msgpack.decode(session.state, type=_State)
        if state.generation != session.generation:
            self.begin_anew("the venue's numbers began anew before the last copies were reconciled")
            return None
        self._reconciler = Reconciler(self._grace_ns, state.begin_ns)
        self._reconciler.restore(state.reconciler)
        self._has_begun = True
        self._position = state.position
        self._stored = (state.position, state.next_in)
        session.rewind(state.next_in)
        return state.position

    def begin_at(self, position: int) -> None:
        """Where the log is when nothing of it is to be read again."""
        self._position = position
        self._stored = (position, 0)

    def begin_anew(self, reason: str) -> None:
        """From now on; what is under way is given up. An operator reads why."""
        log.error("reconciling begins anew: %s. Compare the executions before now with the venue's", reason)
        self._reconciler = Reconciler(self._grace_ns, self._clock())
        self._has_begun = True

    # --- the session --------------------------------------------------------------------------------------

    def on_logon(self, session: DurableSession) -> None:
        now_ns = self._clock()
        self._copies_since_ns = now_ns
        if not self._has_begun:
            self._has_begun = True
            self._reconciler = Reconciler(self._grace_ns, now_ns)
            log.info("reconciling executions with %s from now on", session.key.target)
        elif session.generation != self._generation:
            self.begin_anew("the venue began its numbers anew; what it told meanwhile is not sent again")
        self._generation = session.generation
        self._store(session, now_ns)

    def on_logout(self, session: DurableSession) -> None:
        self._copies_since_ns = None

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        now_ns = self._clock()
        if message.poss_dup:
            self._copies_since_ns = now_ns  # it is still being told what it missed
        if message.type != MsgType.ExecutionReport:
            if message.type in (MsgType.Reject, MsgType.BusinessMessageReject):
                log.error("the venue refuses a message of ours: %r", message)
            return []
        if not self._send_breaks() or not self._reconciler.has_room_for_copies:
            raise Busy("the executions before this one are not reconciled")
        try:
            execution = execution_of(message, self._shard)
        except MissingTag as missing:
            return [refusal(message, BusinessReason.CONDITIONALLY_REQUIRED_FIELD_MISSING, str(missing))]
        except ReportError as error:
            return [refusal(message, BusinessReason.OTHER, f"tag {error.tag}: {error}")]
        if execution is not None:
            self._keep(self._reconciler.copied(execution, now_ns))
        return []

    # --- the log ------------------------------------------------------------------------------------------

    def may_read(self) -> bool:
        """Whether more of the log can be taken."""
        return not self._unsent and self._reconciler.has_room_for_log

    def take(self, records: list[Record]) -> None:
        """The next records of the log."""
        now_ns = self._clock()
        for record in records:
            if record.kind == CommandKind.VENUE_REPORT:
                self._report = (record.seq, commands.decode(record.payload))
            elif record.kind == EventKind.ORDER:
                self._take_order(record, now_ns)
            elif record.kind == EventKind.BREAK:
                event = events.decode(record.seq, record.time_ns, record.payload)
                self._reconciler.raised(event.text, event.order_id)
                if event.break_kind == BreakKind.ORDER:
                    self._reconciler.raised(event.text, event.observed_value)  # as the copy has it
            if record.kind in _EVENTS:
                self._position = record.next_position
        if records:
            self._read_to_ns = records[-1].time_ns

    def _take_order(self, record: Record, now_ns: int) -> None:
        if not self._has_begun:
            return
        event = events.decode(record.seq, record.time_ns, record.payload)
        if event.exec_type not in _MONEY or event.reject_code:
            return
        seq, report = self._report or (0, {})
        if event.cause_seq == seq:
            # As the venue told it, which is what was booked: a bust's event says what it undid.
            exec_id = report["text"] if event.exec_type == _TRADE else _hashed(report["exec_hash"])
            self._keep(self._reconciler.logged(self._ours(event, exec_id, report), now_ns))
        elif event.exec_type == _TRADE:
            told = {name: getattr(event, name) for name in ("last_qty_e8", "last_px_e8", "cum_qty_e8")}
            ours = self._ours(event, "", {**told, "transact_time_ns": event.time_ns})
            self._reconciler.booked_by_total(ours, now_ns)

    def _ours(self, event: Event, exec_id: str, told: dict[str, Any]) -> Execution:
        return Execution(
            exec_id=exec_id,
            order_id=event.order_id,
            exec_type=event.exec_type,
            side=event.side,
            symbol=self._symbol_of(event.instrument),
            last_qty_e8=told["last_qty_e8"],
            last_px_e8=told["last_px_e8"],
            cum_qty_e8=told["cum_qty_e8"],
            transact_time_ns=told["transact_time_ns"],
            account=event.account,
            instrument=event.instrument,
        )

    # --- time ---------------------------------------------------------------------------------------------

    def tick(self, session: DurableSession, is_at_end: bool) -> None:
        """Several times a second: raises what is due. `is_at_end`: the log has been read to its end."""
        now_ns = self._clock()
        if is_at_end:
            self._read_to_ns = now_ns
        if not self._send_breaks():
            return
        for found in self._reconciler.due(now_ns, self._copies_since_ns, self._read_to_ns):
            self._keep(found)
            if self._unsent:
                return
        if now_ns - self._stored_ns >= CHECKPOINT_NS and self._has_begun:
            self._store(session, now_ns)

    def checkpoint(self, session: DurableSession) -> None:
        """At the end: what a restart need not read again."""
        if self._has_begun:
            self._store(session, self._clock())

    def _store(self, session: DurableSession, now_ns: int) -> None:
        """The snapshot, unless it is stored already or too much is under way for one."""
        stands = (self._position, session.next_in)
        if self._unsent or stands == self._stored:
            return
        snapshot = self._reconciler.snapshot()
        if snapshot is None:
            return
        self._stored, self._stored_ns = stands, now_ns
        state = _State(self._reconciler.begin_ns, *stands, session.generation, snapshot)
        session.send([], state=msgspec.msgpack.encode(state))

    @property
    def restarts_at(self) -> int:
        """The position in the log from which a restart would read it."""
        return self._stored[0]

    # --- breaks -------------------------------------------------------------------------------------------

    def _keep(self, found: Break | None) -> None:
        if found is None:
            return
        execution = found.execution
        log.error(
            "BREAK %s: ExecID %s, order %d: ours %d, the venue's %d",
            found.kind.name, execution.exec_id, execution.order_id, found.ours, found.venues,
        )  # fmt: skip
        self._unsent.append(found)
        self._send_breaks()

    def _send_breaks(self) -> bool:
        """Whether all are in the ring."""
        while self._unsent:
            if not self._breaks.try_push(_command(self._unsent[0])):
                return False
            self._unsent.popleft()
        return True


_EVENTS: Final = frozenset(map(int, EventKind))


def _command(found: Break) -> bytes:
    execution = found.execution
    return commands.break_found(
        break_kind=found.kind,
        account=execution.account,
        instrument=execution.instrument,
        order_id=execution.order_id,
        exec_id=execution.exec_id,
        side=execution.side,
        last_qty_e8=execution.last_qty_e8,
        last_px_e8=execution.last_px_e8,
        ours=found.ours,
        venues=found.venues,
        transact_time_ns=execution.transact_time_ns,
    )


def execution_of(message: Message, shard: int) -> Execution | None:
    """What an ExecutionReport of a drop copy tells; None where no money moved, or not this shard's. Raises
    MissingTag, ReportError."""
    kind = _KINDS.get(exec_type_of(message))
    if kind is None:
        return None
    try:
        order_id = order_id_of(message)
    except ReportError:
        order_id = 0  # nobody here gave that name
    name = message.get(Tag.OrigClOrdID) or message.require(Tag.ClOrdID)
    if order_id and not name.startswith(ids.cl_ord_id(shard, order_id)):
        return None  # of another shard of ours
    side = message.require(Tag.Side)
    if len(side) != 1 or not side.isascii():
        raise ReportError(Tag.Side, f"Side {side[:8]!r} is not one character")
    exec_id = message.require(Tag.ExecID)
    return Execution(
        exec_id=plain_text(message, Tag.ExecID) if kind == _TRADE else _hashed(ids.exec_hash(exec_id)),
        order_id=order_id,
        exec_type=kind,
        side=ord(side),
        symbol=message.require(Tag.Symbol),
        last_qty_e8=amount(message, Tag.LastQty, required=kind == _TRADE),
        last_px_e8=amount(message, Tag.LastPx, required=kind == _TRADE),
        cum_qty_e8=amount(message, Tag.CumQty, required=True),
        transact_time_ns=transact_time_of(message),
    )


def _hashed(exec_hash: int) -> str:
    """The name of a correction or bust: of its own ExecID the log keeps the hash, for its text is the ExecID of what
    is undone."""
    return f"#{exec_hash & (1 << 64) - 1:016x}"
