"""The initiator's application: orders out of the log to the venue, the venue's reports into the shard's ring.

Out: an event PENDING_NEW becomes a NewOrderSingle, PENDING_CANCEL an OrderCancelRequest, PENDING_REPLACE an
OrderCancelReplaceRequest; an ORDER_STATUS that asks, for an answer that is overdue or after a restart
(`fix/inquiry.py`), an OrderStatusRequest. The log is the outbox: the position behind the last record looked at is
stored in the same append as the messages made of it.
In: a message of the venue becomes commands (`fix/venue_reports.py`), numbered by its MsgSeqNum.

Each request has a ClOrdID of its own, and OrigClOrdID is that of the last one that the venue has accepted; whatever
link of that chain a report names, it names the order (`ids.parse_cl_ord_id`). A good-till-date order is good till
cancel for the venue: the desk cancels it at its time.

Why a kill -9 at any instruction neither loses nor doubles anything:
- Out. Before the append, neither the message nor the cursor is there: the restart reads the record again and
  makes the message for the first time, with the next number. After it, both are: the record is not read
  again, and the message, if it did not reach the venue, is resent under its number with PossDupFlag when the
  venue finds the gap. ClOrdID is a function of the order's number, so the venue would know even a double.
- In. A report is pushed into the ring before it is stored that it was taken. Killed between the two, the
  session expects the report once more, the venue resends it, it is pushed twice; the shard drops a venue_seq
  that it has applied. The ring lies in shared memory and outlives both processes.
- If the ring is new (the machine was booted, the file removed), reports that were taken may not be in the
  log. So at every start the session expects again what follows the last report that the shard has applied
  (`expect_from`), if that is less than what it had taken; the venue resends from there, the shard drops
  doubles.

`venue_seq` must go up for ever, and MsgSeqNum begins again at 1 when the numbers are reset: the count of
resets stands in its upper bits. Before the first reset it is the MsgSeqNum itself.

Where the venue has a throttle, or the disk is full, orders wait here for room, in their order, and cancels of other
orders pass them; a cancel of one that waits stays behind it. The stored state is then the position of the first record
that waits and those of the cancels that went ahead of it, so that a restart sends each of them once.

Must not do: read the log while nobody is logged on (orders wait there, where they are counted and bounded),
or take a report that the ring has no room for (`Busy`: the socket is not read until there is).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from core import events, ids, units
from core.events import Event
from core.records import EventKind, ExecType, OrdType, Source, TimeInForce
from fix.codec import Message, MissingTag
from fix.durable import Busy, DurableSession, Outgoing
from fix.inquiry import Inquiry
from fix.order_bodies import OrderBodies
from fix.report_fields import ReportError, order_id_of, refusal
from fix.tags import BusinessReason, MsgType, Tag
from fix.venue_reports import commands_of
from shared_mem.log_reader import Record
from shared_mem.ring import Ring

log = logging.getLogger(__name__)

# How many records that need no message may pass before the cursor is stored all the same: what a restart
# reads again at most, a few milliseconds.
CURSOR_LAG_RECORDS_MAX: Final = 4096
# Messages that wait for room in the venue's throttle. Then the log is not read on, where more of them wait.
HELD_MAX: Final = 10_000
# Cancels that have passed waiting orders: each is 8 bytes of the stored state. More of them wait too.
AHEAD_MAX: Final = 1024

# Whose ORDER_STATUS is a question: a timer's, or after a restart the router's own. A report's is its order's.
_ASKERS: Final = frozenset((Source.TIMER, Source.VENUE))

SEQ_BITS: Final = 40
_SEQ_MASK: Final = (1 << SEQ_BITS) - 1


class _Held(NamedTuple):
    """A message that is to go out: where its record stands in the log, and which order it is about."""

    position: int
    message: Outgoing
    order_id: int

    @property
    def is_cancel(self) -> bool:
        return self.message[0] == MsgType.OrderCancelRequest


class OrderRouter:
    """An Application for one session. `symbol_of` and `account_of` name an instrument and an account.

    `bodies`: what orders look like at this venue. `inquiry`: its questions about open orders. `logs_out`: at the
    limit of the throttle it logs out, in order, instead of waiting on the line.
    """

    def __init__(
        self,
        shard: int,
        reports: Ring,
        symbol_of: Callable[[int], str],
        account_of: Callable[[int], str],
        bodies: OrderBodies,
        inquiry: Inquiry,
        logs_out: bool = False,
    ) -> None:
        self._shard = shard
        self._reports = reports
        self._symbol_of = symbol_of
        self._account_of = account_of
        self._bodies = bodies
        self._inquiry = inquiry
        self._logs_out = logs_out
        self._passed = 0  # records since the cursor was stored
        self._read_to = 0  # the position behind the last record read
        self._held: deque[_Held] = deque()
        self._orders_held: set[int] = set()  # the new orders in `_held`
        self._ahead: set[int] | None = (
            None  # positions of the cancels that passed `_held`; None: not looked up
        )
        self.on_room: Callable[[], None] = lambda: None  # called when the log may be read (again)

    # --- out ------------------------------------------------------------------------------------------

    def may_read(self, session: DurableSession) -> bool:
        """Whether more of the log can be taken."""
        return session.has_room and len(self._held) < HELD_MAX

    def is_idle(self, session: DurableSession) -> bool:
        """Whether nothing waits here, and the venue owes no answer: all that is known is the session's state."""
        return not self._held and not self._ahead_of(session) and self._inquiry.is_done

    def route(self, session: DurableSession, records: list[Record]) -> None:
        """The messages of these records, stored together with the position behind them, then sent."""
        ahead = self._ahead_of(session)
        for record in records:
            if record.position in ahead:
                ahead.discard(record.position)  # it went before a restart
            elif (routed := self._message_for(record)) is not None:
                self._hold(_Held(record.position, *routed))
        self._read_to = records[-1].next_position
        self._passed += len(records)
        self.push(session)

    def push(self, session: DurableSession) -> None:
        """Sends what waits, as far as the venue's throttle has room, and goes on asking."""
        due = self._due(session) if self._held and session.has_room else []
        if due or self._passed >= CURSOR_LAG_RECORDS_MAX:
            self._passed = 0
            cursor = self._held[0].position if self._held else self._read_to
            self._ahead = {position for position in self._ahead_of(session) if position > cursor}
            session.send([held.message for held in due], state=cursor_bytes(cursor, self._ahead))
            for held in due:
                if held.message[0] == MsgType.OrderStatusRequest:
                    self._inquiry.sent(held.order_id)
        if session.has_room and (questions := self._inquiry.step(session.has_all)):
            session.send(questions)
        if self._logs_out and self._held and session.is_logged_on and not session.room_for_orders():
            session.logout("the message rate is reached; on again when there is room")

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        if held.message[0] == MsgType.NewOrderSingle:
            self._orders_held.add(held.order_id)

    def _due(self, session: DurableSession) -> list[_Held]:
        """Takes out of `_held` what may go now: cancels of orders that have gone, then the first ones."""
        room, for_orders = session.room(), session.room_for_orders()
        if session.is_short_of_disk:
            for_orders = 0
        if room == 0:
            return []
        due: list[_Held] = []
        if len(self._held) > for_orders:
            self._take_cancels(due, room, self._ahead_of(session))
        orders = 0
        while self._held and len(due) < room and (self._held[0].is_cancel or orders < for_orders):
            held = self._held.popleft()
            if not held.is_cancel:
                orders += 1
                self._orders_held.discard(held.order_id)
            due.append(held)
        return due

    def _take_cancels(self, due: list[_Held], room: int, ahead: set[int]) -> None:
        stay: deque[_Held] = deque()
        for held in self._held:
            passes = held.is_cancel and held.order_id not in self._orders_held
            if passes and len(due) < room and len(ahead) < AHEAD_MAX:
                ahead.add(held.position)
                due.append(held)
            else:
                stay.append(held)
        self._held = stay

    def _ahead_of(self, session: DurableSession) -> set[int]:
        if self._ahead is None:
            state = session.state[8:]
            self._ahead = {int.from_bytes(state[at : at + 8], "little") for at in range(0, len(state), 8)}
        return self._ahead

    def _message_for(self, record: Record) -> tuple[Outgoing, int] | None:
        """The message that the record asks for, and the order's number."""
        if record.kind != EventKind.ORDER:
            return None
        event = events.decode(record.seq, record.time_ns, record.payload)
        if event.exec_type == ExecType.PENDING_NEW:
            return self._new_order(event), event.order_id
        if event.exec_type == ExecType.PENDING_CANCEL:
            return self._cancel(event), event.order_id
        if event.exec_type == ExecType.PENDING_REPLACE:
            return self._replace(event), event.order_id
        if event.exec_type == ExecType.ORDER_STATUS and event.source in _ASKERS:
            if not event.reject_code:
                return self._ask_status(event), event.order_id
            self._inquiry.heard(event.order_id)  # it ended before it was asked about
        return None

    def _new_order(self, event: Event) -> Outgoing:
        fields = [
            (Tag.Account, self._account_of(event.account)),
            (Tag.ClOrdID, ids.cl_ord_id(self._shard, event.order_id)),
            *self._terms(event, event.qty_e8, event.route_price_e8, event.tif),
        ]

        return self._bodies.message(MsgType.NewOrderSingle, fields)

    def _replace(self, event: Event) -> Outgoing:
        fields = [
            (Tag.Account, self._account_of(event.account)),
            (Tag.ClOrdID, ids.replace_cl_ord_id(self._shard, event.order_id, event.asked_replacement)),
            (Tag.OrigClOrdID, self._name_at_the_venue(event)),
            *self._terms(event, event.asked_qty_e8, event.asked_price_e8, event.asked_tif),
        ]
        return self._bodies.message(MsgType.OrderCancelReplaceRequest, fields)

    def _terms(self, event: Event, qty_e8: int, price_e8: int, tif: int) -> list[tuple[int, str]]:
        return [
            (Tag.HandlInst, "1"),
            (Tag.OrderQty, units.qty_text(qty_e8)),
            # A market order goes as a limit at the collar's bound: "market with protection".
            (Tag.OrdType, chr(OrdType.LIMIT)),
            (Tag.Price, units.price_text(price_e8)),
            (Tag.Side, chr(event.side)),
            (Tag.Symbol, self._symbol_of(event.instrument)),
            (Tag.TimeInForce, chr(TimeInForce.GTC if tif == TimeInForce.GTD else tif)),
            (Tag.TransactTime, self._bodies.time_text(event.time_ns)),
        ]

    def _cancel(self, event: Event) -> Outgoing:
        fields = [
            (Tag.ClOrdID, ids.cancel_cl_ord_id(self._shard, event.seq)),
            (Tag.OrderQty, units.qty_text(event.qty_e8)),
            (Tag.OrigClOrdID, self._name_at_the_venue(event)),
            (Tag.Side, chr(event.side)),
            (Tag.Symbol, self._symbol_of(event.instrument)),
            (Tag.TransactTime, self._bodies.time_text(event.time_ns)),
        ]
        return self._bodies.message(MsgType.OrderCancelRequest, fields)

    def _ask_status(self, event: Event) -> Outgoing:
        fields = [
            (Tag.ClOrdID, self._name_at_the_venue(event)),
            (Tag.Side, chr(event.side)),
            (Tag.Symbol, self._symbol_of(event.instrument)),
        ]
        return self._bodies.message(MsgType.OrderStatusRequest, fields)

    def _name_at_the_venue(self, event: Event) -> str:
        """ClOrdID of the order, or of the last replace of it that the venue accepted."""
        return ids.replace_cl_ord_id(self._shard, event.order_id, event.replacement)

    # --- in -------------------------------------------------------------------------------------------

    def on_logon(self, session: DurableSession) -> None:
        self._inquiry.logged_on(session.generation)
        self.on_room()

    def on_logout(self, session: DurableSession) -> None:
        self._inquiry.lost()

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        if self._inquiry.mass_told(message) == 0:
            return []  # of the answer about all orders, and about none of ours
        try:
            commands = commands_of(session, message, session.generation << SEQ_BITS | message.seq)
            answered = self._answered_by(session, message)
        except MissingTag as missing:
            return [refusal(message, BusinessReason.CONDITIONALLY_REQUIRED_FIELD_MISSING, str(missing))]
        except ReportError as error:
            return [refusal(message, BusinessReason.OTHER, f"tag {error.tag}: {error}")]
        for command in commands:
            if not self._reports.try_push(command):
                raise Busy(f"the ring of reports is full ({self._reports.capacity})")
        if answered is not None:
            self._inquiry.heard(answered)
        return []

    def _answered_by(self, session: DurableSession, message: Message) -> int | None:
        """The order about which the venue owes no answer any more. Raises MissingTag, ReportError."""
        if message.type == MsgType.ExecutionReport:
            return order_id_of(message)
        if message.type not in (MsgType.Reject, MsgType.BusinessMessageReject):
            return None
        ref = message.require(Tag.RefSeqNum)
        sent = session.sent(int(ref)) if ref.isdigit() else None
        if sent is not None and sent.type == MsgType.OrderMassStatusRequest:
            self._inquiry.mass_refused()
        is_question = sent is not None and sent.type == MsgType.OrderStatusRequest
        return order_id_of(sent) if sent is not None and is_question else None


def cursor_bytes(position: int, ahead: Collection[int] = ()) -> bytes:
    """The session's state: a position in the log, and those behind it whose messages have gone already."""
    return b"".join(at.to_bytes(8, "little") for at in (position, *sorted(ahead)))


def cursor_of(session: DurableSession) -> int:
    """The position in the log at which routing goes on; 0 for a new session."""
    return int.from_bytes(session.state[:8], "little")


def follow_lost_store(session: DurableSession, venue_seq_applied: int, log_end: int) -> bool:
    """Before the first connection: whether the session's store is new, though reports of an earlier one were applied.
    Then routing goes on at the log's end, for what stands before it may be at the venue; it is asked about."""
    if not session.is_new or not venue_seq_applied:
        return False
    session.follow_lost_store((venue_seq_applied >> SEQ_BITS) + 1, cursor_bytes(log_end))
    return True


def expect_from(session: DurableSession, venue_seq_applied: int) -> None:
    """Before the first connection: have resent what follows the last report that the shard has applied."""
    if venue_seq_applied >> SEQ_BITS == session.generation:
        session.rewind((venue_seq_applied & _SEQ_MASK) + 1)
