"""A follower: reads a shard's stream and hands batches to an effect that keeps its own cursor.

What always holds: **the cursor that is stored with the effect is the only truth about what is done.** At each
(re)connection the JetStream consumer is made anew from it; the consumer's own acks are for the eyes of
whoever watches the lag (`nats consumer info`). So no redelivery is ever needed, none can come out of order,
and a batch half done by a process that died is simply read again.

- An update whose `seq` is not above the cursor has been done, and is passed over.
- An update whose `prior_seq` is not the cursor's `seq` means that something is missing: the follower was away for
  longer than the stream reaches, its own store was lost, or the stream has a hole. Then what lies between is read from
  the log (`services/backlog.py`), and the stream from there on. Where the log does not reach back so far either, the
  effect says what can be done (`start_anew`).
- Two followers of one name disturb each other's consumer, not the effect: the cursor moves by
  compare-and-set.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services import jetstream, schemas
from services.backlog import Backlog, BeginningGone, Holder
from services.backoff import Backoff
from services.cancelling import end_if_cancelled
from services.database import POSTGRES_TROUBLE
from services.names import NamesUnavailable
from services.schemas import Update
from shared_mem.segment import SegmentMissing

_log = logging.getLogger("tradewind.follower")

# Updates in one transaction: enough to make its commit cheap, small enough to be done in tens of
# milliseconds.
BATCH_MAX: Final = 512
# How long one request for messages waits. A consumer that was deleted meanwhile is noticed after this.
FETCH_S: Final = 2.0
# Only one batch is ever out, and it is acked as a whole.
ACK_PENDING_MAX: Final = 2 * BATCH_MAX
# Nothing relies on redelivery; a minute keeps the server from trying while Postgres is slow.
ACK_WAIT_S: Final = 60.0


class Place(NamedTuple):
    """Where an effect stands: the log's seq of the last event done, and its message's number in the
    stream."""

    seq: int
    message: int


class PlaceMoved(RuntimeError):
    """Another follower of the same name moved the cursor. What was begun is undone; go on from where it
    stands."""

    def __init__(self, consumer: str, expected: int) -> None:
        super().__init__(
            f"{consumer} is no longer at event {expected}: another process of that name is at work"
        )


class StreamGap(RuntimeError):
    """Events are missing from the stream. Says which, and what an operator can do."""

    def __init__(self, consumer: str, shard: int, done: int, prior: int) -> None:
        super().__init__(
            f"{consumer} has done event {done}, but the next that {schemas.stream_name(shard)} has comes "
            f"after {prior}: what lies between is over the stream's limits and gone. Delete the stream: it is "
            f"published again from the log."
        )
        self.prior = prior


class Effect(Protocol):
    """What a follower does with the updates. `place` and `apply` may raise POSTGRES_TROUBLE; then all is
    begun anew."""

    @property
    def name(self) -> str:
        """Of the durable consumer, and of the cursor."""
        ...

    @property
    def trouble(self) -> tuple[type[BaseException], ...]:
        """Errors of its own that are worth another attempt, beside those of NATS and Postgres."""
        ...

    async def place(self) -> Place:
        """Where it stands."""
        ...

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        """Do `updates` and move from `before` to `after`, together or not at all. Raises PlaceMoved."""
        ...

    async def start_anew(self, before: Place, gone: BeginningGone) -> Place:
        """Events after `before` are in neither stream nor log: do what can be done without them, and say where it
        stands then. Raises `gone` where nothing can."""
        ...

    async def close(self) -> None:
        """Let go of connections; `place` opens them again."""
        ...


class Follower:
    """Follows one shard's stream for one effect. `on_serving` is called once it does. `backlog`: the log, for what the
    stream has not any more; None: such a gap stops it. `hold`: told what is done, so that the log stays for it."""

    def __init__(
        self,
        *,
        nats_url: str,
        shard: int,
        effect: Effect,
        on_serving: Callable[[], None],
        backlog: Backlog | None = None,
        hold: Holder | None = None,
    ) -> None:
        self._backlog = backlog
        self._hold = hold
        self._nats_url = nats_url
        self._shard = shard
        self._effect = effect
        self._on_serving = on_serving
        self._serving = False
        self._backoff = Backoff()

    async def run(self) -> None:
        """Follow until cancelled; trouble with NATS, Postgres or the effect's own server is waited out."""
        trouble: tuple[type[BaseException], ...] = (
            *jetstream.NATS_TROUBLE,
            *POSTGRES_TROUBLE,
            *self._effect.trouble,
            PlaceMoved,
            StreamGap,
            BeginningGone,
            NamesUnavailable,
            SegmentMissing,
        )
        while True:
            try:
                await self._run_one_connection()
            except trouble as error:
                _log.warning("%s: %s; trying again", self._effect.name, str(error) or type(error).__name__)
            finally:
                await self._effect.close()
            end_if_cancelled()
            await self._backoff.pause()

    async def _run_one_connection(self) -> None:
        """Follow over one connection, from the effect's place. Ends only by an error."""
        place = await self._effect.place()
        async with jetstream.connected(self._nats_url, self._effect.name) as client:
            context = client.jetstream(timeout=jetstream.REQUEST_TIMEOUT_S)
            await jetstream.ensure_stream(context, self._shard)
            subscription = await self._subscribe(context, place)
            if not self._serving:
                self._serving = True
                self._on_serving()
            while True:
                end_if_cancelled()
                try:
                    messages = await subscription.fetch(BATCH_MAX, timeout=FETCH_S)
                except nats.errors.TimeoutError:
                    if client.is_closed:
                        raise nats.errors.ConnectionClosedError from None
                    await context.consumer_info(schemas.stream_name(self._shard), self._effect.name)
                    continue
                if not messages:  # the client may give none, and no time-out
                    continue
                try:
                    place = await self._apply(messages, place)
                except StreamGap as gap:
                    place = await self._apply(messages, await self._bridged(place, gap))
                await messages[-1].ack()
                self._backoff.succeeded()
                if self._hold is not None:
                    self._hold.done(place.seq)

    async def _subscribe(self, context: JetStreamContext, place: Place) -> JetStreamContext.PullSubscription:
        """A consumer made anew, whose first message is the one after `place`."""
        stream = schemas.stream_name(self._shard)
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await context.delete_consumer(stream, self._effect.name)
        known = (
            place.message > 0
            and await jetstream.event_seq_at(context, self._shard, place.message) == place.seq
        )
        await context.add_consumer(
            stream,
            ConsumerConfig(
                durable_name=self._effect.name,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE if known else DeliverPolicy.ALL,
                opt_start_seq=place.message + 1 if known else None,
                ack_policy=AckPolicy.ALL,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=ACK_PENDING_MAX,
            ),
        )
        return await context.pull_subscribe_bind(consumer=self._effect.name, stream=stream)

    async def _bridged(self, place: Place, gap: StreamGap) -> Place:
        """What the stream has not, done from the log. Raises `gap` where there is none, or not yet so far."""
        if self._backlog is None:
            raise gap
        _log.warning("%s: events %d to %d are read from the log", self._effect.name, place.seq + 1, gap.prior)
        try:
            place = await self._from_log(place, gap.prior)
        except BeginningGone as gone:
            place = await self._effect.start_anew(place, gone)
            place = await self._from_log(place, gap.prior)
        if place.seq < gap.prior:
            raise gap
        return place

    async def _from_log(self, place: Place, up_to: int) -> Place:
        assert self._backlog is not None
        if place.seq >= up_to:
            return place
        for updates in self._backlog.updates(place.seq, up_to):
            after = Place(updates[-1].seq, place.message)
            async with asyncio.timeout(ACK_WAIT_S):
                await self._effect.apply(updates, place, after)
            end_if_cancelled()
            place = after
        return place

    async def _apply(self, messages: Sequence[Msg], before: Place) -> Place:
        """Hand on what is new in `messages`; where the effect stands then."""
        new: list[Update] = []
        place = before
        for message in messages:
            link = schemas.decode_link(message.data)
            if link.seq <= place.seq:
                continue
            if link.prior_seq != place.seq:
                raise StreamGap(self._effect.name, self._shard, place.seq, link.prior_seq)
            new.append(schemas.decode(message.data))
            place = Place(link.seq, message.metadata.sequence.stream)
        if new:
            async with asyncio.timeout(ACK_WAIT_S):
                await self._effect.apply(new, before, place)
        return place
