"""The stream is the log's events, each once, in order, without holes; whatever stops and starts between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from typing import Any

import nats
import nats.errors
import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from core.records import Side
from core.rejects import Reject
from services import jetstream, schemas
from services.pipeline import Pipeline
from services.publisher import Publisher, StreamAheadOfLog, StreamOfAnotherOwner
from services.schemas import InstrumentUpdate, OrderUpdate, Update
from shared_mem.cursors import BEGINNING, Cursor, CursorFile
from tests.services.conftest import NatsServer, eventually, stop
from tests.services.desk import Desk


@contextlib.asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        await stop(task)


async def stream_count(url: str) -> int:
    """Messages in the stream; -1 while there is no asking."""
    try:
        client = await nats.connect(url, allow_reconnect=False, connect_timeout=1)
    except (OSError, nats.errors.Error):
        return -1
    try:
        return int((await client.jetstream().stream_info("TRADEWIND")).state.messages)
    except (nats.errors.Error, nats.js.errors.Error, TimeoutError):
        return -1
    finally:
        await client.close()


async def stream_messages(url: str) -> list[tuple[str, Update]]:
    """Subject and update of every message, in the stream's order."""
    client = await nats.connect(url)
    context = client.jetstream()
    await context.add_consumer("TRADEWIND", ConsumerConfig(durable_name="reader", ack_policy=AckPolicy.NONE))
    subscription = await context.pull_subscribe_bind(consumer="reader", stream="TRADEWIND")
    found = []
    left = (await context.stream_info("TRADEWIND")).state.messages
    while left > 0:
        for message in await subscription.fetch(min(left, 256), timeout=10):
            found.append((message.subject, schemas.decode(message.data)))
            left -= 1
    await context.delete_consumer("TRADEWIND", "reader")
    await client.close()
    return found


async def assert_stream_is_the_log(desk: Desk, url: str) -> None:
    updates = [update for _, update in await stream_messages(url)]
    assert [update.seq for update in updates] == desk.event_seqs
    assert [update.prior_seq for update in updates] == [0, *desk.event_seqs[:-1]]


def trade(desk: Desk, orders: int) -> None:
    for _ in range(orders):
        order = desk.accept(1, 1, Side.BUY, "10", "134.77")
        desk.acknowledge(order)
        desk.fill(order, "10", "134.77")


async def published(desk: Desk, url: str) -> None:
    async def all_there() -> bool:
        return await stream_count(url) == len(desk.event_seqs)

    await eventually(all_there)


async def test_every_event_of_the_log_is_in_the_stream_once_and_in_order(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 500)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        trade(a_desk, 5)  # and what comes while it sleeps on the bell
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_fill_names_its_account_and_symbol_and_counts_in_decimals(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    a_desk.open_account("TW000001")
    a_desk.define_instrument("BRK.B")
    order = a_desk.accept(1, 1, Side.BUY, "10", "134.77", "mine-1")
    a_desk.fill(order, "4", "134.5")
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    messages = await stream_messages(nats_server.url)
    subject, fill = messages[-1]
    assert subject == "tradewind.v1.order.0.TW000001.trade"
    assert isinstance(fill, OrderUpdate)
    assert (fill.account, fill.symbol, fill.client_order_id) == ("TW000001", "BRK.B", "mine-1")
    assert (fill.side, fill.ord_status, fill.exec_type) == ("buy", "partially_filled", "trade")
    assert (fill.last_qty, fill.last_px, fill.cum_qty, fill.leaves_qty, fill.avg_px) == (
        "4", "134.5", "4", "6", "134.5",
    )  # fmt: skip
    assert (fill.cash, fill.reserved, fill.position_qty, fill.position_cost) == (
        "999462",
        "808.62",
        "4",
        "538",
    )
    subject, defined = messages[2]
    assert subject == "tradewind.v1.instrument.0._.BRK_2EB"
    assert isinstance(defined, InstrumentUpdate)


async def test_events_about_what_does_not_exist_are_said_without_it(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    a_desk.open_account()
    order = a_desk.accept(1, a_desk.define_instrument(), Side.BUY, "1", "1")
    a_desk.reject(999, 1, Reject.ACCOUNT_UNKNOWN)
    a_desk.reject(1, 999, Reject.INSTRUMENT_UNKNOWN)
    a_desk.reject(1, 1, Reject.DUPLICATE_CLIENT_ORDER_ID, original=order)
    a_desk.cancel_unknown(1)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    last = [update for _, update in (await stream_messages(nats_server.url))[-4:]]
    assert all(isinstance(update, OrderUpdate) for update in last)
    assert [(u.account, u.symbol, u.order_id is None) for u in last if isinstance(u, OrderUpdate)] == [
        ("", "AAPL", False),
        ("TW000001", "", False),
        ("TW000001", "AAPL", True),
        ("TW000001", "", True),
    ]


async def test_after_a_restart_it_goes_on_from_its_cursor_with_names_it_never_read(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    trade(a_desk, 3)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)
    _, fill = (await stream_messages(nats_server.url))[-1]
    assert isinstance(fill, OrderUpdate)
    assert (fill.account, fill.symbol) == ("TW000001", "AAPL")


async def test_a_lost_cursor_publishes_nothing_twice(a_desk: Desk, nats_server: NatsServer) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 20)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    cursor = CursorFile(a_desk.log_dir.parent / "cursors", "publisher")
    assert cursor.load().seq == a_desk.event_seqs[-1]
    cursor.save(BEGINNING)
    trade(a_desk, 1)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_nats_gone_while_publishing_leaves_no_hole(
    a_desk: Desk, nats_server: NatsServer, number: signal.Signals
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with running(a_desk.publisher(nats_server.url)):
        for _ in range(3):
            trade(a_desk, 300)
            await asyncio.sleep(0.02)  # into the middle of it
            nats_server.stop(number)
            trade(a_desk, 100)
            nats_server.start()
            trade(a_desk, 100)
            await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


@pytest.mark.parametrize("error", [None, TimeoutError()])
async def test_a_publisher_ends_when_it_is_cancelled_though_a_library_kept_that_to_itself(
    a_desk: Desk, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    at_work = asyncio.Event()
    send = Pipeline.send

    async def send_late(*arguments: Any) -> None:
        try:
            if not at_work.is_set():
                at_work.set()
                await asyncio.Future()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        await send(*arguments)

    monkeypatch.setattr(Pipeline, "send", send_late)
    a_desk.open_account()
    async with running(a_desk.publisher(nats_server.url)) as task:
        async with asyncio.timeout(30):
            await at_work.wait()
        await stop(task)
        assert task.cancelled()


async def test_a_paused_nats_is_waited_for(a_desk: Desk, nats_server: NatsServer) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        nats_server.send_signal(signal.SIGSTOP)
        trade(a_desk, 100)
        await asyncio.sleep(6)  # longer than an ack is waited for: another connection is tried meanwhile
        nats_server.send_signal(signal.SIGCONT)
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_wiped_stream_is_built_anew_from_the_log(a_desk: Desk, nats_server: NatsServer) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 50)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        nats_server.stop(signal.SIGKILL)
        nats_server.wipe()
        nats_server.start()
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_stream_built_from_a_trimmed_log_says_that_something_is_missing(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    """Its first event names one before it, so that a follower without a cursor stops at the gap."""
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 5)
    kept_from = a_desk.open_whole_log().read()[4]
    beginning = Cursor(kept_from.position, kept_from.seq - 1)
    expected = [seq for seq in a_desk.event_seqs if seq >= kept_from.seq]

    async def all_there() -> bool:
        return await stream_count(nats_server.url) == len(expected)

    async with running(a_desk.publisher(nats_server.url, beginning=lambda: beginning)):
        await eventually(all_there)
    updates = [update for _, update in await stream_messages(nats_server.url)]
    assert updates[0].prior_seq == beginning.seq
    assert [update.seq for update in updates] == expected


async def test_a_stream_deleted_under_a_silent_publisher_is_built_anew(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    a_desk.open_account()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        client = await nats.connect(nats_server.url)
        await client.jetstream().delete_stream("TRADEWIND")
        await client.close()
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_stream_that_lost_its_end_gets_it_again(a_desk: Desk, nats_server: NatsServer) -> None:
    """A server that died without syncing comes back with an older stream than it had acknowledged."""
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 10)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    nats_server.stop()
    old = nats_server.folder.rename(nats_server.folder.with_name("old"))
    nats_server.start()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        trade(a_desk, 10)
        await published(a_desk, nats_server.url)
    nats_server.stop()
    nats_server.wipe()
    old.rename(nats_server.folder)
    nats_server.start()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_two_publishers_at_once_publish_nothing_twice(a_desk: Desk, nats_server: NatsServer) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 300)
    async with running(a_desk.publisher(nats_server.url)), running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        trade(a_desk, 100)
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_stream_of_another_log_is_not_written_to(
    a_desk: Desk, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 2)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    other = Desk(a_desk.log_dir.parent / "other" / "log", a_desk.run_dir.parent / "other" / "run")
    other.open_account()
    monkeypatch.setattr("services.publisher.RECOVERY_S_MAX", 0.2)
    with pytest.raises(StreamAheadOfLog, match="delete the stream"):
        await other.publisher(nats_server.url).run()
    other.close()


async def test_each_message_names_the_epoch_of_its_event(a_desk: Desk, nats_server: NatsServer) -> None:
    a_desk.open_account()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    async with jetstream.connected(nats_server.url, "test") as client:
        end = await jetstream.stream_end(client.jetstream(), 0)
    assert (end.event_seq, end.epoch) == (a_desk.event_seqs[-1], a_desk.open_whole_log().read()[-1].epoch)


async def test_an_owner_that_was_overtaken_adds_nothing_behind_its_successors_first_message(
    a_desk: Desk, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where both gave out the same number."""
    monkeypatch.setattr("services.publisher.RECOVERY_S_MAX", 0.2)
    a_desk.open_account()
    a_desk.define_instrument()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    before = len(a_desk.event_seqs)
    trade(a_desk, 2)
    async with jetstream.connected(nats_server.url, "successor") as client:
        successor = Pipeline[int](client, before)
        await successor.open()
        seq = a_desk.event_seqs[before]
        body = b'{"seq": %d, "prior_seq": %d}' % (seq, a_desk.event_seqs[before - 1])
        subject = schemas.subject("cash", 0, "TW000001", "paid")
        epoch = {schemas.EPOCH_HEADER: "1000000"}
        await successor.send(subject, body, schemas.message_id(0, seq), 0, epoch)
        await successor.oldest_stored()
    with pytest.raises(StreamOfAnotherOwner, match="another host has taken the shard over"):
        await a_desk.publisher(nats_server.url).run()
    assert await stream_count(nats_server.url) == before + 1
