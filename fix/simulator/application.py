"""The simulator as an application of the FIX acceptor: requests in, reports out, and its memory in the store.

Always holds: the reports and the message that they answer are stored in one append, before a byte leaves, and
so are the counter of ids and the number of the oldest report that an open order needs. The exchange is made
again from that: after a kill -9 an order is there exactly when its report is, and no ExecID comes twice.

What ends an order that nobody canceled: REPORTS_BACK_MAX reports after its first, or when its session begins
its sequence numbers anew (141=Y), for then the store forgets what was sent. Both are told with an ER
"expired".
"""

from __future__ import annotations

import logging
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from fix.codec import Message, MissingTag, parse
from fix.durable import DurableSession, Outgoing
from fix.simulator.exchange import Exchange
from fix.simulator.messages import Objection, Refused, cancel_of, new_order_of, outgoing, report_of
from fix.simulator.orders import Answer
from fix.store import Store
from fix.tags import BusinessReason, MsgType, Tag

log = logging.getLogger(__name__)

# The store keeps some four million reports; an order whose first is a million back is ended while all is
# there.
REPORTS_BACK_MAX: Final = 1_000_000
# Read at a restart besides what open orders need, to know requests that come twice: about half a second.
REPORTS_READ_BACK: Final = 20_000

POSS_RESEND: Final = 97  # PossResend: "this may have been sent under another number"

_STATE: Final = struct.Struct("<QQI")  # next number, oldest report needed, generation of the sequence numbers

SessionOf = Callable[[str], DurableSession | None]


class Simulator:
    """`Application` of fix/durable.py. `session_of` finds the session of an order's owner by its CompID."""

    def __init__(self, exchange: Exchange, session_of: SessionOf, clock: Callable[[], int]) -> None:
        self.exchange = exchange
        self._session_of = session_of
        self._clock = clock

    def on_logon(self, session: DurableSession) -> None:
        owner = session.key.target
        generation = _STATE.unpack(session.state)[2] if session.state else 0
        if generation != session.generation:
            text = "the session began its sequence numbers anew"
            self.publish(
                [self.exchange.expire(o, self._clock(), text) for o in self.exchange.open_orders(owner)]
            )
            session.send([], state=self._state(session))

    def on_logout(self, session: DurableSession) -> None:
        """Orders rest on: a lost connection cancels nothing here."""

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        owner = session.key.target
        try:
            answers = self._answers(session, message, owner)
        except MissingTag as missing:
            return [_refusal(message, BusinessReason.CONDITIONALLY_REQUIRED_FIELD_MISSING, str(missing))]
        except Refused as refused:
            return [_refusal(message, BusinessReason.OTHER, str(refused))]
        if answers is None:
            text = f"MsgType (35) {message.type} is not taken here; send D or F"
            return [_refusal(message, BusinessReason.UNSUPPORTED_MESSAGE_TYPE, text)]
        oldest = self.exchange.oldest(owner)
        while oldest is not None and session.next_out - oldest.first_seq > REPORTS_BACK_MAX:
            answers.append(self.exchange.expire(oldest, self._clock(), f"{REPORTS_BACK_MAX} reports later"))
            oldest = self.exchange.oldest(owner)
        session.remember(self._state(session))
        return [outgoing(answer) for answer in answers]

    def publish(self, answers: Iterable[Answer]) -> None:
        """Sends what happened unasked to whom it belongs. Raises StoreError."""
        by_owner: defaultdict[str, list[Outgoing]] = defaultdict(list)
        for answer in answers:
            by_owner[answer.owner].append(outgoing(answer))
        for owner, messages in by_owner.items():
            session = self._session_of(owner)
            assert session is not None, f"an order of {owner}, whose session has no store"
            session.send(messages, state=self._state(session))

    def _answers(self, session: DurableSession, message: Message, owner: str) -> list[Answer] | None:
        if message.type == MsgType.Reject:
            log.warning("%s rejects a message of ours: %s", owner, message.get(Tag.Text))
            return []
        if message.type not in (MsgType.NewOrderSingle, MsgType.OrderCancelRequest):
            return None
        again = message.poss_dup or message.get(POSS_RESEND) == "Y"
        if again and self.exchange.is_known(owner, message.require(Tag.ClOrdID)):
            return []  # its reports were sent, or wait to be resent
        if message.type == MsgType.OrderCancelRequest:
            return self.exchange.cancel(cancel_of(message, owner), self._clock())
        try:
            request = new_order_of(message, owner)
        except Objection as objection:
            return self.exchange.reject(objection.request, objection.reason, str(objection), self._clock())
        return self.exchange.new_order(request, self._clock(), session.next_out)

    def _state(self, session: DurableSession) -> bytes:
        oldest = self.exchange.oldest(session.key.target)
        needed = oldest.first_seq if oldest is not None else session.next_out
        return _STATE.pack(self.exchange.next_number, needed, session.generation)


def _refusal(message: Message, reason: BusinessReason, text: str) -> Outgoing:
    """A BusinessMessageReject (j)."""
    fields = [
        (int(Tag.RefSeqNum), message.require(Tag.MsgSeqNum)),
        (int(Tag.RefMsgType), message.type),
        (int(Tag.BusinessRejectReason), str(int(reason))),
        (int(Tag.Text), text),
    ]
    return (MsgType.BusinessMessageReject, fields)


def restore(exchange: Exchange, folder: Path) -> None:
    """Makes the exchange's orders again from the stores in the acceptor's `folder`. Before the acceptor opens
    them.

    Raises StoreError.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir():
            continue
        store = Store(path)
        try:
            for seq, answer in _sent(store, path.name):
                exchange.restore(answer, seq)
            if store.state:
                exchange.next_number = max(exchange.next_number, _STATE.unpack(store.state)[0])
        finally:
            store.close()


def _sent(store: Store, owner: str) -> Iterator[tuple[int, Answer]]:
    needed = _STATE.unpack(store.state)[1] if store.state else 1
    begin = max(1, min(needed, store.next_out - REPORTS_READ_BACK))
    for stored in store.read(begin, store.next_out - 1):
        answer = report_of(parse(stored.raw), owner)
        if answer is not None:
            yield stored.seq, answer
