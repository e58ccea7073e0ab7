"""The simulator as an application of the FIX acceptor: requests in, reports out, and its memory in the store.

Always holds: the answers to a message and the message are stored in one append, before a byte leaves, and so
are the counter of ids and the number of the oldest answer that is needed. What a message means for other
members stands in the outbox before that (`fix/simulator/outbox.py`), and is sent to them after it. The
exchange is made again from all that (`fix/simulator/recovery.py`): after a kill -9 an order is there exactly
when its report is, a trade has both its sides, and no ExecID comes twice.

What ends an order that nobody canceled: REPORTS_BACK_MAX reports after its first, or when its session begins
its sequence numbers anew (141=Y), for then the store forgets what was sent. Both are told with an ER
"expired". Reports for a member without a session (a seeded flow) go nowhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fix.codec import Message, MissingTag
from fix.durable import DurableSession, Outgoing
from fix.simulator.control import OPERATOR, OPERATOR_TYPES, operate
from fix.simulator.copies import DropCopies, is_copy
from fix.simulator.exchange import MASS_STATUS_MAX, Exchange
from fix.simulator.flow import FLOW
from fix.simulator.messages import outgoing
from fix.simulator.orders import Answer, Report, StatusReport
from fix.simulator.outbox import Outbox, cause_of
from fix.simulator.requests import (
    Objection,
    Refused,
    cancel_of,
    mass_cancel_of,
    mass_question_of,
    new_order_of,
    order_question_of,
    replace_of,
)
from fix.simulator.state import VenueState
from fix.simulator.temper import Telling, Temper
from fix.store import StoreError
from fix.tags import BusinessReason, MsgType, Tag

log = logging.getLogger(__name__)

# The store keeps some four million reports; an order whose first is a million back is ended while all is
# there.
REPORTS_BACK_MAX: Final = 1_000_000
# Reports in one append, which is bounded; an auction may have more for one member.
REPORTS_PER_APPEND: Final = 4_096

POSS_RESEND: Final = 97  # PossResend: "this may have been sent under another number"

_REQUESTS: Final = frozenset(
    (
        MsgType.NewOrderSingle,
        MsgType.OrderCancelRequest,
        MsgType.OrderCancelReplaceRequest,
        MsgType.OrderMassCancelRequest,
    )
)

SessionOf = Callable[[str], DurableSession | None]


class Simulator:
    """`Application` of fix/durable.py. `session_of` finds the session of an order's owner by its CompID;
    `fail` is told of an error that must end the process; `copies` are the drop copies;
    `temper`: None for a venue that behaves."""

    def __init__(
        self,
        exchange: Exchange,
        session_of: SessionOf,
        clock: Callable[[], int],
        outbox: Outbox,
        fail: Callable[[BaseException], None],
        copies: DropCopies,
        temper: Temper | None = None,
    ) -> None:
        self.exchange = exchange
        self._session_of = session_of
        self._clock = clock
        self._outbox = outbox
        self._fail = fail
        self._temper = temper
        self._copies = copies
        self._untold: list[Answer] = []  # stands in the outbox
        self._causes: set[str] = set()  # whose messages caused it; their appends may be yet to come
        self._is_finishing = False
        self._is_serving = False

    def on_logon(self, session: DurableSession) -> None:
        owner = session.key.target
        if is_copy(owner):
            self._copies.take_up(session)
            self._copies.copy_soon()
            return
        generation = VenueState.unpack(session.state).generation if session.state else 0
        if generation != session.generation:
            text = "the session began its sequence numbers anew"
            answers: list[Answer] = [
                self.exchange.expire(o, self._clock(), text) for o in self.exchange.open_orders(owner)
            ]
            if owner == OPERATOR:
                answers += self._statuses(session)
            self.publish(answers)
            session.send([], state=self._state(session))

    def on_logout(self, session: DurableSession) -> None:
        """Orders rest on: a lost connection cancels nothing here."""

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        owner = session.key.target
        if is_copy(owner):
            return _only_listens(message)
        if owner not in self._causes:
            self._tell()
        try:
            answers = self._answers(session, message, owner)
        except MissingTag as missing:
            return [_refusal(message, BusinessReason.CONDITIONALLY_REQUIRED_FIELD_MISSING, str(missing))]
        except Refused as refused:
            return [_refusal(message, BusinessReason.OTHER, str(refused))]
        if answers is None:
            text = f"MsgType (35) {message.type} is not taken here; send D, F, G, H, AF, q or e"
            return [_refusal(message, BusinessReason.UNSUPPORTED_MESSAGE_TYPE, text)]
        oldest = self.exchange.oldest(owner)
        while oldest is not None and session.next_out - oldest.first_seq > REPORTS_BACK_MAX:
            answers.append(self.exchange.expire(oldest, self._clock(), f"{REPORTS_BACK_MAX} reports later"))
            oldest = self.exchange.oldest(owner)
        if self._temper is not None:
            answers += self._temper.unasked(self.exchange, answers, self._clock())
        self._keep_for_others(session, message, [a for a in answers if a.owner not in (owner, FLOW)])
        messages = self._messages([a for a in answers if a.owner == owner], session.next_out)
        session.remember(self._state(session))
        self._copies.copy_soon()
        return messages

    def publish(self, answers: Iterable[Answer]) -> None:
        """Sends what happened unasked to whom it belongs. Raises StoreError."""
        self._tell()
        answers = [answer for answer in answers if answer.owner != FLOW]
        owners = {answer.owner for answer in answers}
        if len(owners) > 1 and any(isinstance(a, Report) and a.contra_exec_id for a in answers):
            self._outbox.put(None, answers)
            self._finish_soon()
        self._send(answers)

    def tell(self, untold: Sequence[Answer]) -> None:
        """After a restart: sends what was found untold. Before the first connection."""
        self._send(untold)
        self._outbox.delivered()
        self._is_serving = True

    # --- inside ---------------------------------------------------------------------------------------

    def _answers(self, session: DurableSession, message: Message, owner: str) -> list[Answer] | None:
        if message.type == MsgType.Reject:
            log.warning("%s rejects a message of ours: %s", owner, message.get(Tag.Text))
            return []
        now_ns = self._clock()
        if message.type in OPERATOR_TYPES:
            return operate(self.exchange, message, owner, now_ns)
        if message.type == MsgType.SecurityStatusRequest:
            return self._status(message, owner, now_ns)
        if message.type == MsgType.OrderStatusRequest:
            return [self.exchange.standing(order_question_of(message, owner), now_ns)]
        if message.type == MsgType.OrderMassStatusRequest:
            return self._standings(message, owner, now_ns)
        if message.type not in _REQUESTS:
            return None
        again = message.poss_dup or message.get(POSS_RESEND) == "Y"
        if again and self.exchange.is_known(owner, message.require(Tag.ClOrdID)):
            return []  # its reports were sent, or wait to be resent
        if message.type == MsgType.OrderCancelRequest:
            return self.exchange.cancel(cancel_of(message, owner), now_ns)
        if message.type == MsgType.OrderMassCancelRequest:
            return self.exchange.mass_cancel(mass_cancel_of(message, owner), now_ns)
        try:
            if message.type == MsgType.OrderCancelReplaceRequest:
                return self.exchange.replace(replace_of(message, owner), now_ns)
            return self.exchange.new_order(new_order_of(message, owner), now_ns, session.next_out)
        except Objection as objection:
            if message.type == MsgType.OrderCancelReplaceRequest:
                orig = message.require(Tag.OrigClOrdID)
                return self.exchange.reject_replace(objection.request, orig, str(objection), now_ns)
            return self.exchange.reject(objection.request, objection.reason, str(objection), now_ns)

    def _standings(self, message: Message, owner: str, now_ns: int) -> list[Answer]:
        told = self.exchange.standings(mass_question_of(message, owner), now_ns)
        if told is None:
            raise Refused(f"more than {MASS_STATUS_MAX} orders are open; ask by symbol (585=1), or for each")
        return [*told]

    def _status(self, message: Message, owner: str, now_ns: int) -> list[Answer]:
        """A snapshot; nobody is kept informed."""
        symbol = message.require(Tag.Symbol)
        status = self.exchange.status(owner, message.require(Tag.SecurityStatusReqID), symbol, now_ns)
        if status is None:
            raise Refused(f"symbol {symbol} is not traded here")
        return [status]

    def _keep_for_others(self, session: DurableSession, message: Message, answers: list[Answer]) -> None:
        """What a message means for others, to be told once the message is in its session's store."""
        if answers:
            self._outbox.put(cause_of(session, message.seq), answers)
            self._untold += answers
            self._causes.add(session.key.target)
            self._finish_soon()

    def _finish_soon(self) -> None:
        """Once all that is under way is in its store: tells the others, and marks that they have been told."""
        if not self._is_finishing:
            self._is_finishing = True
            asyncio.get_running_loop().call_soon(self._finish)

    def _finish(self) -> None:
        self._is_finishing = False
        try:
            self._tell()
            self._outbox.delivered()
        except StoreError as error:
            self._fail(error)

    def _tell(self) -> None:
        if self._untold:
            untold, self._untold = self._untold, []
            self._causes.clear()
            self._send(untold)

    def _send(self, answers: Iterable[Answer]) -> None:
        by_owner: defaultdict[str, list[Answer]] = defaultdict(list)
        for answer in answers:
            by_owner[answer.owner].append(answer)
        for owner, theirs in by_owner.items():
            session = self._session_of(owner)
            assert session is not None, f"an order of {owner}, whose session has no store"
            for at in range(0, len(theirs), REPORTS_PER_APPEND):
                messages = self._messages(theirs[at : at + REPORTS_PER_APPEND], session.next_out)
                session.send(messages, state=self._state(session))
        if by_owner and self._is_serving:
            self._copies.copy_soon()

    def _messages(self, answers: list[Answer], first_seq: int) -> list[Outgoing]:
        """The answers as they are told, under the numbers from `first_seq`. Notes which of them tell the
        operator a phase: a restart needs those."""
        tellings = [Telling(answer, False) for answer in answers]
        if self._temper is not None:
            tellings = self._temper.telling(answers)
        messages: list[Outgoing] = []
        for seq, (answer, is_again) in enumerate(tellings, first_seq):
            if isinstance(answer, StatusReport) and answer.owner == OPERATOR:
                self.exchange.phase_told(answer, seq)
            msg_type, fields = outgoing(answer)
            messages.append((msg_type, [(POSS_RESEND, "Y"), *fields] if is_again else fields))
        return messages

    def _statuses(self, session: DurableSession) -> list[Answer]:
        now_ns, owner = self._clock(), session.key.target
        found = [
            self.exchange.status(owner, f"phase-{symbol}", symbol, now_ns)
            for symbol, _ in self.exchange.phases()
        ]
        return [status for status in found if status is not None]

    def _state(self, session: DurableSession) -> bytes:
        owner = session.key.target
        needed = [seq for _, seq in self.exchange.phases()] if owner == OPERATOR else []
        oldest = self.exchange.oldest(owner)
        if oldest is not None:
            needed.append(oldest.first_seq)
        return VenueState(
            self.exchange.next_number, min(needed, default=session.next_out), session.generation
        ).pack()


def _only_listens(message: Message) -> list[Outgoing]:
    if message.type in (MsgType.Reject, MsgType.BusinessMessageReject):
        log.warning("a copy of ours is rejected: %s", message.get(Tag.Text))
        return []
    text = "this session has copies of another one's reports, and takes nothing"
    return [_refusal(message, BusinessReason.UNSUPPORTED_MESSAGE_TYPE, text)]


def _refusal(message: Message, reason: BusinessReason, text: str) -> Outgoing:
    """A BusinessMessageReject (j)."""
    fields = [
        (int(Tag.RefSeqNum), message.require(Tag.MsgSeqNum)),
        (int(Tag.RefMsgType), message.type),
        (int(Tag.BusinessRejectReason), str(int(reason))),
        (int(Tag.Text), text),
    ]
    return (MsgType.BusinessMessageReject, fields)
