"""The publisher: follows a shard's log and publishes each event to the shard's JetStream stream.

What always holds: **the stream is the log's events, each once, in the log's order, without holes.**

- The stream itself says how far it has come. At each (re)connection its last message is read, and publishing
  goes on with the event after that one. The cursor file only says where in the log that is.
- Each message expects the one before it to be the stream's last (`services/pipeline.py`). If one of those
  under way fails, all behind it fail too, and we start again from the stream's end. Whoever publishes this log
  puts an event at the same place of the stream or nowhere: what an old connection still had under way, or a
  second publisher that was thought dead, does our work or nothing.
- A stream that ends before the cursor has lost data (wiped, or restored from an old copy): the log is read
  from its beginning, and what the stream still has is passed over.
- A stream that ends after the log has events which the log does not know: the log is another one, or was
  restored from an old copy. Nothing is published over that; an operator decides.
- Each message names the epoch of its event (the header `Tradewind-Epoch`), which grows along the log. A stream that
  ends in a later epoch than the log, or whose last event is of another epoch than the log's of that number, is that of
  an owner that has taken over: an owner that was overtaken adds nothing behind its successor's first message.

It must not disturb trading: it only reads the log. NATS gone means waiting, with bounded back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from core import events
from core.events import Event
from services import jetstream, schemas
from services.backoff import Backoff
from services.cancelling import end_if_cancelled
from services.names import Names, NamesUnavailable
from services.pipeline import WINDOW, Pipeline
from services.translate import EVENT_KINDS, to_update
from shared_mem.cursors import BEGINNING, Cursor, CursorFile
from shared_mem.segment import SegmentMissing

_log = logging.getLogger("tradewind.publisher")

# Records read at once: small beside the window, so that acks are taken between reads.
READ_RECORDS: Final = 256
# With the log silent, see to the stream this often: one that was deleted meanwhile is built anew.
IDLE_CHECK_S: Final = 2.0
# A shard that is still recovering shows a log that ends too early; recovery takes less than this.
RECOVERY_S_MAX: Final = 10.0
RECOVERY_POLL_S: Final = 0.1


class LogRecord(Protocol):
    """What the publisher needs of a record of the log (`shared_mem.log_reader.Record`)."""

    @property
    def next_position(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def payload(self) -> bytes: ...


class Log(Protocol):
    """What the publisher needs of a reader of the log (`shared_mem.log_reader.LogReader`)."""

    @property
    def position(self) -> int: ...
    def end_position(self) -> int: ...
    def read(self, max_records: int = ...) -> Sequence[LogRecord]: ...
    def fileno(self) -> int: ...
    def park(self) -> None: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class StreamAheadOfLog(RuntimeError):
    """The stream has events that the log has not. Says which, and what an operator can do."""

    def __init__(self, shard: int, stream_seq: int, log_seq: int) -> None:
        super().__init__(
            f"stream {schemas.stream_name(shard)} ends with event {stream_seq}, which is not in the log (the "
            f"event before it there is {log_seq}): the log is another one or an old copy. The log is the "
            f"truth: delete the stream, and this shard's rows in Postgres, and both are built anew from it."
        )


class StreamOfAnotherOwner(RuntimeError):
    """The stream goes on with what another owner of the shard has published. Says what an operator can do."""

    def __init__(self, shard: int, seq: int, theirs: int, ours: int) -> None:
        super().__init__(
            f"stream {schemas.stream_name(shard)} ends with event {seq} of epoch {theirs}, and the log here is of "
            f"epoch {ours} there: another host has taken the shard over, and publishes. This one may become its "
            f"standby; if it is the owner all the same, delete the stream, and it is built anew from the log."
        )


class StreamMoved(nats.errors.Error):
    """The stream does not end where this publisher's last message stands: read where it does, and go on from there."""

    def __init__(self, shard: int, published: int, found: int) -> None:
        super().__init__(
            f"stream {schemas.stream_name(shard)} ends with message {found}, and {published} was published last"
        )


class Publisher:
    """One shard's publisher. `open_log(position)` opens the log there; `on_serving` is called once it
    publishes. `beginning`: where the log begins that is kept (`shared_mem.log_reader.first_kept`)."""

    def __init__(
        self,
        *,
        nats_url: str,
        shard: int,
        open_log: Callable[[int], Log],
        names: Names,
        cursor_file: CursorFile,
        on_serving: Callable[[], None],
        beginning: Callable[[], Cursor] = lambda: BEGINNING,
    ) -> None:
        self._nats_url = nats_url
        self._shard = shard
        self._open_log = open_log
        self._names = names
        self._cursor_file = cursor_file
        self._on_serving = on_serving
        self._beginning = beginning
        self._backoff = Backoff()

    async def run(self) -> None:
        """Publish until cancelled. Raises StreamAheadOfLog; any other trouble is waited out."""
        while True:
            try:
                await self._run_one_connection()
            except (*jetstream.NATS_TROUBLE, NamesUnavailable, SegmentMissing) as error:
                _log.warning("publisher: %s; trying again", str(error) or type(error).__name__)
            end_if_cancelled()
            await self._backoff.pause()

    async def _run_one_connection(self) -> None:
        """Publish over one connection, from the stream's end. Ends only by an error."""
        wake = asyncio.Event()
        pipelines: list[Pipeline[Cursor]] = []

        def on_lost() -> None:
            wake.set()
            for pipeline in pipelines:
                pipeline.lost()

        async with jetstream.connected(self._nats_url, "publisher", on_lost) as client:
            context = client.jetstream(timeout=jetstream.REQUEST_TIMEOUT_S)
            await jetstream.ensure_stream(context, self._shard)
            end = await jetstream.stream_end(context, self._shard)
            start = self._where_to_start(end)
            pipelines.append(pipeline := Pipeline[Cursor](client, end.last_message))
            await pipeline.open()
            with self._opened(start.position, wake) as log:
                run = _Run(self._shard, self._names, log, pipeline, start)
                try:
                    await run.pass_over(max(start.seq, end.event_seq or 0), end)
                    self._backoff.succeeded()
                    self._on_serving()
                    self._on_serving = _already_said
                    while True:
                        end_if_cancelled()
                        await run.publish_what_there_is(self._cursor_file)
                        await self._wait_for_records(log, wake, client, context, pipeline.last_message)
                finally:
                    self._cursor_file.save(run.done)

    def _where_to_start(self, end: jetstream.StreamEnd) -> Cursor:
        """The stored cursor, unless the stream ends before it: then where the log that is kept begins. Its first event
        then names one before it that the stream has not, so that a new follower sees that something is missing."""
        cursor = self._cursor_file.load()
        if cursor == BEGINNING:
            cursor = self._beginning()
        if end.event_seq is None or end.event_seq >= cursor.seq:
            return cursor
        _log.warning(
            "stream %s ends with event %d though %d was published: publishing again from where the log begins",
            schemas.stream_name(self._shard),
            end.event_seq,
            cursor.seq,
        )
        return self._beginning()

    @contextmanager
    def _opened(self, position: int, wake: asyncio.Event) -> Iterator[Log]:
        """The log from `position`; its bell sets `wake`."""
        log = self._open_log(position)
        loop = asyncio.get_running_loop()
        loop.add_reader(log.fileno(), wake.set)
        try:
            yield log
        finally:
            loop.remove_reader(log.fileno())
            log.close()

    async def _wait_for_records(
        self, log: Log, wake: asyncio.Event, client: Client, context: JetStreamContext, last_message: int
    ) -> None:
        """Until the bell rings. Returns at once if a record came before it was listened to; sees to it that the stream
        still ends with `last_message`: a follower may have made it anew, empty, before its loss was seen here."""
        wake.clear()
        log.park()
        try:
            if client.is_closed:
                raise nats.errors.ConnectionClosedError
            if log.end_position() > log.position:  # it came before the flag was set, and rang no bell
                return
            try:
                async with asyncio.timeout(IDLE_CHECK_S):
                    await wake.wait()
            except TimeoutError:
                state = (await context.stream_info(schemas.stream_name(self._shard))).state
                if state.last_seq != last_message:
                    raise StreamMoved(self._shard, last_message, state.last_seq) from None
        finally:
            log.wake()


class _Run:
    """One reading of the log, from the cursor `start`: what the stream has is passed over, the rest goes
    out."""

    def __init__(self, shard: int, names: Names, log: Log, pipeline: Pipeline[Cursor], start: Cursor) -> None:
        self._shard = shard
        self._names = names
        self._log = log
        self._pipeline = pipeline
        self._prior_seq = start.seq
        self._epoch = 0  # of the last event that was passed over
        self._unpublished: list[LogRecord] = []
        self._saved = start
        self.done = start  # in the stream for sure

    async def pass_over(self, published_seq: int, end: jetstream.StreamEnd) -> None:
        """Read up to the stream's last event, learning names. Raises StreamAheadOfLog if the log does not
        have it, StreamOfAnotherOwner if the log's is of another epoch."""
        waited_s = 0.0
        while self._prior_seq < published_seq and not self._unpublished:
            records = self._log.read(READ_RECORDS)
            if not records:
                if waited_s >= RECOVERY_S_MAX:
                    break
                waited_s += RECOVERY_POLL_S
                await asyncio.sleep(RECOVERY_POLL_S)
            for record in records:
                if record.kind in EVENT_KINDS and record.seq <= published_seq:
                    self._learn(record)
                    self._prior_seq, self._epoch = record.seq, record.epoch
                    self.done = Cursor(record.next_position, record.seq)
                elif record.seq > published_seq:
                    self._unpublished.append(record)
            await asyncio.sleep(0)  # a long log: let the connection's PINGs be answered
        is_there = self._prior_seq == end.event_seq
        if end.epoch and self._epoch and (end.epoch > self._epoch or (is_there and end.epoch < self._epoch)):
            raise StreamOfAnotherOwner(self._shard, published_seq, end.epoch, self._epoch)
        if self._prior_seq != published_seq:
            raise StreamAheadOfLog(self._shard, published_seq, self._prior_seq)

    async def publish_what_there_is(self, cursor_file: CursorFile) -> None:
        """Publish up to the log's present end, and wait until all of it is in the stream."""
        records: Sequence[LogRecord] = self._unpublished or self._log.read(READ_RECORDS)
        self._unpublished = []
        while records:
            end_if_cancelled()
            for record in records:
                if record.kind in EVENT_KINDS:
                    await self._publish(record)
            if self.done.seq - self._saved.seq >= WINDOW:
                cursor_file.save(self.done)
                self._saved = self.done
            records = self._log.read(READ_RECORDS)
        while self._pipeline.under_way:
            self.done = await self._pipeline.oldest_stored()
        if self.done != self._saved:
            cursor_file.save(self.done)
            self._saved = self.done

    async def _publish(self, record: LogRecord) -> None:
        event = self._learn(record)
        update = to_update(
            event,
            shard=self._shard,
            prior_seq=self._prior_seq,
            account=self._names.account(event.account),
            symbol=self._names.symbol(event.instrument),
        )
        if self._pipeline.under_way == WINDOW:
            self.done = await self._pipeline.oldest_stored()
        await self._pipeline.send(
            schemas.subject_of(update),
            schemas.encode(update),
            schemas.message_id(self._shard, event.seq),
            Cursor(record.next_position, record.seq),
            {schemas.EPOCH_HEADER: str(record.epoch)},
        )
        self._prior_seq = record.seq

    def _learn(self, record: LogRecord) -> Event:
        event = events.decode(record.seq, record.time_ns, record.payload)
        self._names.learn(event)
        return event


def _already_said() -> None:
    """`on_serving` is called once."""
