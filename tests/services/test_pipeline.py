"""Of messages under way, none is stored behind one that was not."""

from __future__ import annotations

import nats
import pytest
from nats.aio.client import Client

from services import jetstream, schemas
from services.jetstream import MESSAGE_BYTES_MAX
from services.pipeline import Pipeline, PublishRefused
from tests.services.conftest import NatsServer

SUBJECT = schemas.subject("cash", 0, "TW000001", "paid")


async def opened(client: Client, last_message: int) -> Pipeline[int]:
    pipeline = Pipeline[int](client, last_message)
    await pipeline.open()
    return pipeline


async def stored(client: Client) -> int:
    return int((await client.jetstream().stream_info("TRADEWIND")).state.messages)


async def send(pipeline: Pipeline[int], number: int, body: bytes = b"{}") -> None:
    await pipeline.send(SUBJECT, body, schemas.message_id(0, number), number, {})


async def test_a_refused_message_stops_all_behind_it(nats_server: NatsServer) -> None:
    async with jetstream.connected(nats_server.url, "test") as client:
        await jetstream.ensure_stream(client.jetstream(), 0)
        pipeline = await opened(client, 0)
        for number in (1, 2, 3, 4):
            await send(pipeline, number, b"x" * (MESSAGE_BYTES_MAX + 1) if number == 2 else b"{}")
        assert await pipeline.oldest_stored() == 1
        with pytest.raises(PublishRefused, match="size"):
            await pipeline.oldest_stored()
        await client.flush()
        assert await stored(client) == 1


async def test_a_second_writer_is_refused_and_its_messages_are_not_stored(nats_server: NatsServer) -> None:
    async with jetstream.connected(nats_server.url, "test") as client:
        await jetstream.ensure_stream(client.jetstream(), 0)
        first, second = await opened(client, 0), await opened(client, 0)
        await send(first, 1)
        await send(second, 2)
        assert await first.oldest_stored() == 1
        with pytest.raises(PublishRefused, match="wrong last sequence"):
            await second.oldest_stored()
        assert await stored(client) == 1


async def test_what_an_old_connection_stores_meanwhile_is_at_its_place_and_there_once(
    nats_server: NatsServer,
) -> None:
    async with jetstream.connected(nats_server.url, "test") as client:
        await jetstream.ensure_stream(client.jetstream(), 0)
        old, new = await opened(client, 0), await opened(client, 0)
        await send(old, 1)
        await send(new, 1)
        await send(new, 2)
        with pytest.raises(PublishRefused, match="wrong last sequence"):
            await new.oldest_stored()
        await client.flush()
        messages = [await client.jetstream().get_msg("TRADEWIND", seq=seq) for seq in (1, 2)]
        assert [(message.headers or {})["Nats-Msg-Id"] for message in messages] == ["0:1", "0:2"]
        assert await stored(client) == 2


async def test_a_stream_that_is_not_there_is_said(nats_server: NatsServer) -> None:
    async with jetstream.connected(nats_server.url, "test") as client:
        pipeline = await opened(client, 0)
        await send(pipeline, 1)
        with pytest.raises(PublishRefused, match="no such stream"):
            await pipeline.oldest_stored()


async def test_a_lost_connection_is_told_at_once_to_whoever_waits(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    pipeline = await opened(client, 0)
    await send(pipeline, 1)
    pipeline.lost()
    with pytest.raises(PublishRefused, match="connection was lost"):
        await pipeline.oldest_stored()
    await client.close()


async def test_a_stream_that_is_there_keeps_its_operators_limits(nats_server: NatsServer) -> None:
    async with jetstream.connected(nats_server.url, "test") as client:
        context = client.jetstream()
        await context.add_stream(name="TRADEWIND", subjects=[schemas.shard_subjects(0)], max_bytes=1 << 20)
        await jetstream.ensure_stream(context, 0)
        assert (await context.stream_info("TRADEWIND")).config.max_bytes == 1 << 20
