"""One audit: the log read once, each store judged up to the event that it says it has done.

Always holds: Postgres is read in one transaction (repeatable read), the stream up to the message that was its last when
the audit began; so that it may run while the desk trades. A store that can't be asked is told as that; the others are
judged all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Final

import asyncpg
import msgspec
from nats.js.errors import NotFoundError

from core import events
from core.events import Event
from core.records import EventKind
from services import database, jetstream, schemas
from services.audit import stream, tables
from services.audit.facts import Facts
from services.audit.findings import Difference, Findings, Store
from services.audit.said import facts_of, mail_of
from shared_mem.log_reader import Record

POSTGRES: Final = "postgres"
JETSTREAM: Final = "jetstream"
MAILS: Final = "mails"
# Of the projection's cursors: who keeps the tables, and who the mails.
_CONSUMERS: Final = {POSTGRES: "portfolio", MAILS: "notifications"}
_EVENTS: Final = frozenset(map(int, EventKind))
# So often the loop lets the connections answer their PINGs.
_BREATH: Final = 512


class Report(msgspec.Struct):
    """`kept_from`: the first record that the log has; above 1, what is older is not judged. `events`: how many."""

    kept_from: int
    last_seq: int
    events: int
    stores: dict[str, Store]
    differences: int
    by_place: dict[str, int]
    first: list[Difference]

    @property
    def agrees(self) -> bool:
        return self.differences == 0

    @property
    def is_complete(self) -> bool:
        """Whether every store could be asked."""
        return all(store.trouble is None for store in self.stores.values())


async def audit(records: Iterable[Record], *, shard: int, postgres_url: str, nats_url: str) -> Report:
    """Read `records`, the log from where it is kept, and hold both stores against it."""
    async with contextlib.AsyncExitStack() as closing:
        one = _Audit(shard)
        closing.callback(one.facts.close)
        await one.open_postgres(closing, postgres_url)
        await one.open_stream(closing, nats_url)
        await one.read(records)
        await one.judge_tables()
        return one.report()


class _Audit:
    def __init__(self, shard: int) -> None:
        self._shard = shard
        self.facts = Facts()
        self._findings = Findings()
        self._stores = {name: Store() for name in (POSTGRES, JETSTREAM, MAILS)}
        self._connection: tables.Connection | None = None
        self._messages: AsyncIterator[stream.Message] | None = None
        self._extent = stream.Extent(1, 0, 0)
        self._kept_from = 0
        self._last_seq = 0
        self._events = 0

    async def open_postgres(self, closing: contextlib.AsyncExitStack, url: str) -> None:
        try:
            connection = await database.connect(url)
            closing.push_async_callback(_closed, connection)
            # Never ended: it only reads, and the connection is dropped whatever state the server is in.
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            done = await tables.cursors(connection, self._shard)
        except asyncpg.UndefinedTableError:
            self._postgres_is_ill("its tables are not there yet")
            return
        except (*database.POSTGRES_TROUBLE, asyncpg.PostgresError) as error:
            self._postgres_is_ill(str(error) or type(error).__name__)
            return
        self._connection = connection
        for name, consumer in _CONSUMERS.items():
            self._stores[name].done = done.get(consumer, 0)

    def _postgres_is_ill(self, why: str) -> None:
        self._connection = None
        for name in _CONSUMERS:
            self._stores[name].trouble = why

    async def open_stream(self, closing: contextlib.AsyncExitStack, url: str) -> None:
        name = schemas.stream_name(self._shard)
        try:
            client = await closing.enter_async_context(jetstream.connected(url, "audit"))
            context = client.jetstream(timeout=jetstream.REQUEST_TIMEOUT_S)
            self._extent = await stream.extent(context, name)
        except jetstream.NATS_TROUBLE as error:
            is_missing = isinstance(error, NotFoundError)
            why = f"there is no stream {name}" if is_missing else str(error) or type(error).__name__
            self._stores[JETSTREAM].trouble = why
            return
        self._stores[JETSTREAM].done = self._extent.done
        self._messages = stream.messages(context, name, self._extent)

    async def read(self, records: Iterable[Record]) -> None:
        hearing: stream.Hearing | None = None
        for count, record in enumerate(records):
            if not self._kept_from:
                self._kept_from = record.seq
                hearing = await self._begin_hearing()
            self._last_seq = record.seq
            if record.kind in _EVENTS:
                self._events += 1
                event = events.decode(record.seq, record.time_ns, record.payload)
                self._learn(event)
                hearing = await self._take(event, record.epoch, hearing)
            if count % _BREATH == 0:
                await asyncio.sleep(0)
        for name, store in self._stores.items():
            if store.done > self._last_seq:
                end = f"to end with event {store.done} or a later one"
                self._findings.add(
                    Difference("log", "its end", "", None, f"{name} knows it {end}", store.done)
                )
        if hearing is not None:
            await self._heard(hearing, hearing.end())

    async def _begin_hearing(self) -> stream.Hearing | None:
        if self._messages is None:
            return None
        place = schemas.stream_name(self._shard)
        hearing = stream.Hearing(
            place, self._shard, self._messages, self.facts, self._findings, self._kept_from
        )
        return await self._heard(hearing, hearing.begin(self._extent))

    async def _heard(self, hearing: stream.Hearing, work: Awaitable[None]) -> stream.Hearing | None:
        """None once the stream can't be read any more."""
        try:
            await work
        except jetstream.NATS_TROUBLE as error:
            self._stores[JETSTREAM].trouble = str(error) or type(error).__name__
            return None
        self._stores[JETSTREAM].looked_at["messages"] = hearing.compared
        return hearing

    async def _take(self, event: Event, epoch: int, hearing: stream.Hearing | None) -> stream.Hearing | None:
        for store in self._stores.values():
            store.behind += event.seq > store.done
        if event.seq <= self._stores[POSTGRES].done:
            for fact in facts_of(event, self._shard):
                self.facts.tell(fact)
        if event.seq <= self._stores[MAILS].done and (mail := mail_of(event, self._shard)) is not None:
            self.facts.tell(mail)
        if hearing is not None and event.seq <= self._stores[JETSTREAM].done:
            return await self._heard(hearing, hearing.hear(event, epoch))
        return hearing

    def _learn(self, event: Event) -> None:
        if event.reject_code or not event.text:
            return
        if event.kind == EventKind.ACCOUNT and event.account:
            self.facts.tell_name("account", event.account, event.text)
        elif event.kind == EventKind.INSTRUMENT and event.instrument:
            self.facts.tell_name("symbol", event.instrument, event.text)

    async def judge_tables(self) -> None:
        if self._connection is None:
            return
        judge = tables.Judge(self._connection, self._shard, self.facts, self._findings, self._kept_from)
        try:
            for table in tables.TABLES:
                self._stores[POSTGRES].looked_at[table.name] = await judge.compare(table)
            self._stores[MAILS].looked_at[tables.MAILS.name] = await judge.compare(
                tables.MAILS, self._stores[MAILS].done
            )
        except (*database.POSTGRES_TROUBLE, asyncpg.PostgresError) as error:
            self._postgres_is_ill(str(error) or type(error).__name__)

    def report(self) -> Report:
        return Report(
            kept_from=self._kept_from,
            last_seq=self._last_seq,
            events=self._events,
            stores=self._stores,
            differences=self._findings.total,
            by_place=dict(self._findings.counts),
            first=self._findings.kept,
        )


async def _closed(connection: tables.Connection) -> None:
    """The transaction only read; there is nothing to wait for."""
    connection.terminate()
