"""The shard's JetStream stream, held against the log event by event, in the order of both.

Always holds: the consumer that it reads by is its own, kept in the server's memory, and gone soon after it; nothing of
the stream or of anyone's place in it is changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import nats.errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from core.events import Event
from core.records import EventKind
from services.audit.facts import Facts
from services.audit.findings import Difference, Findings
from services.audit.said import Said, Value, canonical, said_by

FETCHED_AT_ONCE: Final = 512
FETCH_S: Final = 5.0
# The server forgets the consumer of an audit that died.
FORGOTTEN_AFTER_S: Final = 60.0
_MESSAGE_ID: Final = "Nats-Msg-Id"
_EPOCH: Final = "Tradewind-Epoch"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]")
# A decimal's text, as against an id, a word or a name.
_NUMBERS: Final = frozenset(
    (
        "qty", "price", "route_price", "last_qty", "last_px", "cum_qty", "leaves_qty", "avg_px", "cum_notional", "cash",
        "reserved", "position_qty", "position_cost", "realized", "asked_qty", "asked_price", "receivable", "payable",
        "settled", "tick_size", "lot_size", "previous_close", "reference_price", "max_exposure", "gross",
        "max_order_notional", "max_open_notional", "max_gross", "round_lot",
    )
)  # fmt: skip


class Message(NamedTuple):
    """`number`: its place in the stream, from 1."""

    number: int
    subject: str
    message_id: str
    epoch: str  # empty in messages of earlier releases
    body: dict[str, Any]

    @property
    def seq(self) -> int:
        """Of the event that it tells; 0 where it says none."""
        seq = self.body.get("seq")
        return seq if isinstance(seq, int) else 0


class Extent(NamedTuple):
    """What the stream has. `done`: the event that its last message tells; 0 when it is empty."""

    first: int
    last: int
    done: int


async def extent(context: JetStreamContext, name: str) -> Extent:
    """Raises NotFoundError where there is no such stream."""
    state = (await context.stream_info(name)).state
    if state.messages == 0:
        return Extent(state.first_seq, 0, 0)
    stored = await context.get_msg(name, seq=state.last_seq)
    return Extent(state.first_seq, state.last_seq, _body(stored.data or b"").get("seq", 0))


def _body(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


async def messages(context: JetStreamContext, name: str, found: Extent) -> AsyncIterator[Message]:
    """Every message of `found`, in order. One that the stream has lost is left out."""
    number = found.first
    while number <= found.last:
        made = await context.add_consumer(
            name,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=number,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=FORGOTTEN_AFTER_S,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        subscription = await context.pull_subscribe_bind(consumer=made.name, stream=name)
        try:
            while number <= found.last:
                most = min(FETCHED_AT_ONCE, found.last - number + 1)
                for message in await subscription.fetch(most, timeout=FETCH_S):
                    at = message.metadata.sequence.stream
                    if at < number or at > found.last:
                        continue
                    if at > number and not await _are_lost(context, name, number):
                        raise nats.errors.TimeoutError  # the connection lost one: from there once more
                    number = at + 1
                    headers = message.headers or {}
                    said = headers.get(_MESSAGE_ID, ""), headers.get(_EPOCH, "")
                    yield Message(at, message.subject, *said, _body(message.data))
        except nats.errors.TimeoutError:
            if await _are_lost(context, name, number):
                number += 1
        finally:
            await subscription.unsubscribe()
            await context.delete_consumer(name, made.name)


async def _are_lost(context: JetStreamContext, name: str, number: int) -> bool:
    """Whether the stream itself has no message of that number."""
    try:
        await context.get_msg(name, seq=number)
    except NotFoundError:
        return True
    return False


class Hearing:
    """Compares, message by message, as the log goes on. `kept_from`: the first record that the log has; 1: it
    is whole, and so must the stream be, unless its own limits have taken its beginning."""

    def __init__(
        self,
        place: str,
        shard: int,
        source: AsyncIterator[Message],
        names: Facts,
        findings: Findings,
        kept_from: int,
    ) -> None:
        self._place = place
        self._shard = shard
        self._source = source
        self._names = names
        self._findings = findings
        self._kept_from = kept_from
        self._is_whole = kept_from <= 1
        self._next: Message | None = None
        self._heard_from = 0
        self._last_seq = 0
        self.compared = 0

    async def begin(self, found: Extent) -> None:
        """Take the first message that the log can judge."""
        await self._advance()
        while self._next is not None and self._next.seq < self._kept_from:
            self._last_seq = self._next.seq
            await self._advance()
        if self._next is not None and (found.first > 1 or not self._is_whole):
            self._heard_from = self._next.seq
            self._last_seq = self._last_seq or self._next.body.get("prior_seq", 0)

    async def _advance(self) -> None:
        self._next = await anext(self._source, None)

    async def hear(self, event: Event, epoch: int) -> None:
        """The log's next event, which the stream must have told by now; epoch: of its record."""
        if event.seq < self._heard_from:
            return
        while self._next is not None and self._next.seq < event.seq:
            await self._unknown(self._next)
        if self._next is None or self._next.seq > event.seq:
            told = f"{EventKind(event.kind).name} of {event.seq}"
            self._findings.add(Difference(self._place, f"event {event.seq}", "", told, None, event.seq))
        else:
            self._compare(event, epoch, self._next)
            self.compared += 1
            await self._advance()
        self._last_seq = event.seq

    async def end(self) -> None:
        """No more events: what the stream still has, the log does not know."""
        while self._next is not None:
            await self._unknown(self._next)

    async def _unknown(self, message: Message) -> None:
        again = "again" if 0 < message.seq <= self._last_seq else "once"
        told = f"{message.subject}, event {message.seq}, {again}"
        self._findings.add(Difference(self._place, f"message {message.number}", "", None, told, message.seq))
        await self._advance()

    def _compare(self, event: Event, epoch: int, message: Message) -> None:
        kind, said = said_by(event, self._shard)
        expected: Said = {
            "shard": self._shard,
            "seq": event.seq,
            "prior_seq": self._last_seq,
            "time_ns": event.time_ns,
            **said,
        }
        if kind:
            expected["type"] = f"tradewind.v1.{kind}"
            for field, number in (("account", said.get("account_id")), ("symbol", said.get("instrument_id"))):
                if isinstance(number, int) and (name := self._name(field, number)) is not None:
                    expected[field] = name
            if (subject := _subject(kind, self._shard, expected)) is not None:
                self._differ(event, message, "subject", subject, message.subject)
        self._differ(event, message, _MESSAGE_ID, f"{self._shard}:{event.seq}", message.message_id)
        if message.epoch:
            self._differ(event, message, _EPOCH, str(epoch), message.epoch)
        for field, value in expected.items():
            # What was added to a message later is not in those before: nothing said is nothing there.
            told = message.body.get(field, value if not value else None)
            self._differ(event, message, field, value, _comparable(field, told))

    def _name(self, kind: str, number: int) -> str | None:
        """Empty for nobody, of whom a whole log tells nothing; None where it can't be known."""
        known = self._names.name(kind, number)
        return known if known is not None or not self._is_whole else ""

    def _differ(self, event: Event, message: Message, field: str, log: Value, other: object) -> None:
        if log != other:
            what = f"message {message.number}"
            self._findings.add(Difference(self._place, what, field, str(log), str(other), event.seq))


def _comparable(field: str, told: object) -> object:
    if field in _NUMBERS and isinstance(told, str):
        try:
            return canonical(Decimal(told))
        except InvalidOperation:
            return told
    return told


def _token(text: str) -> str:
    return (
        _UNSAFE.sub(lambda c: "".join(f"_{byte:02X}" for byte in c.group().encode()), text) if text else "_"
    )


def _subject(kind: str, shard: int, said: Said) -> str | None:
    """The subject of docs/events.md; None where a name in it can't be known."""
    refused = bool(said.get("reject_code"))
    who, what = {
        "order": (said.get("account"), said.get("exec_type")),
        "cash": (said.get("account"), "rejected" if refused else "paid"),
        "account": (said.get("account"), "rejected" if refused else said.get("state")),
        "instrument": ("", said.get("symbol")),
        "break": (said.get("account"), said.get("kind")),
        "quarantine": (said.get("account"), said.get("kind")),
        "group": (said.get("group"), "rejected" if refused else said.get("state")),
        "settlement": ("", said.get("date")),
        "table": ("", f"{said.get('kind')}-{said.get('table')}"),
    }[kind]
    if not isinstance(who, str) or not isinstance(what, str):
        return None
    return f"tradewind.v1.{kind}.{shard}.{_token(who)}.{_token(what)}"
