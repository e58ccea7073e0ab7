"""The connection to NATS, and the shard's stream: how it is kept, and what it holds now.

Always holds here: a connection is never mended, only replaced. The client's own reconnect sends again what it
still has and loses what the dead socket had, which makes holes; instead everyone goes back to a cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

from services import schemas

CONNECT_TIMEOUT_S: Final = 2
# A paused or cut-off server answers no PING: found dead after PING_S * (PINGS_MISSED + 1).
PING_S: Final = 5
PINGS_MISSED: Final = 2
# An API request to a healthy server takes a millisecond; five seconds of silence is a sick one.
REQUEST_TIMEOUT_S: Final = 5.0
# Longer than any connection of ours can still have messages under way in.
DUPLICATE_WINDOW_S: Final = 120.0
# Five million updates: more than a busy day, and what a laptop's disk can spare. The log has everything
# anyway.
STREAM_BYTES_MAX: Final = 4 * 1024**3
# A follower that was away for two weeks is rebuilt, not caught up.
STREAM_AGE_MAX_S: Final = 14 * 24 * 3600.0
# An update is about one kilobyte. What is larger is a mistake, and stops here.
MESSAGE_BYTES_MAX: Final = 16 * 1024

# What is worth another attempt: the server or the way to it is ill. Everything else is our bug, and ends the
# process.
NATS_TROUBLE: Final = (nats.errors.Error, nats.js.errors.Error, OSError, asyncio.TimeoutError)


class StreamEnd(NamedTuple):
    """The end of a shard's stream. `event_seq`: of its last message's event; None if that message is gone. `epoch`:
    that the event is of; None where the message does not say it, as those of earlier releases."""

    first_message: int
    last_message: int
    event_seq: int | None
    epoch: int | None = None


@contextlib.asynccontextmanager
async def connected(url: str, name: str, on_lost: Callable[[], None] | None = None) -> AsyncIterator[Client]:
    """A connection to NATS for as long as the block runs. `on_lost` is called when it breaks."""

    async def lost() -> None:
        if on_lost is not None:
            on_lost()

    async def ignore(_error: Exception) -> None:
        """Each error also reaches whoever waits for an answer: saying it here would say it twice."""

    client = await nats.connect(
        url,
        name=name,
        allow_reconnect=False,
        # Of the first connection, whatever `allow_reconnect` says: else a server that is away is tried for two minutes.
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=CONNECT_TIMEOUT_S,
        ping_interval=PING_S,
        max_outstanding_pings=PINGS_MISSED,
        closed_cb=lost,
        error_cb=ignore,
    )
    try:
        yield client
    finally:
        with contextlib.suppress(*NATS_TROUBLE):
            await asyncio.wait_for(client.close(), CONNECT_TIMEOUT_S)


async def ensure_stream(context: JetStreamContext, shard: int) -> None:
    """Create the shard's stream if it is missing. One that is there keeps the limits its operator gave it."""
    name = schemas.stream_name(shard)
    try:
        await context.stream_info(name)
    except nats.js.errors.NotFoundError:
        await context.add_stream(
            StreamConfig(
                name=name,
                subjects=[schemas.shard_subjects(shard)],
                storage=StorageType.FILE,
                discard=DiscardPolicy.OLD,
                duplicate_window=DUPLICATE_WINDOW_S,
                max_bytes=STREAM_BYTES_MAX,
                max_age=STREAM_AGE_MAX_S,
                max_msg_size=MESSAGE_BYTES_MAX,
            )
        )


async def stream_end(context: JetStreamContext, shard: int) -> StreamEnd:
    """Where the shard's stream ends. Raises nats.js.errors.NotFoundError if there is no stream."""
    name = schemas.stream_name(shard)
    state = (await context.stream_info(name)).state
    if state.last_seq == 0:
        return StreamEnd(first_message=1, last_message=0, event_seq=0)
    try:
        stored = await context.get_msg(name, seq=state.last_seq)
    except nats.js.errors.NotFoundError:
        return StreamEnd(state.first_seq, state.last_seq, None)
    epoch = (stored.headers or {}).get(schemas.EPOCH_HEADER)
    seq = schemas.decode_link(stored.data or b"").seq
    return StreamEnd(state.first_seq, state.last_seq, seq, int(epoch) if epoch else None)


async def event_seq_at(context: JetStreamContext, shard: int, message: int) -> int | None:
    """The log's seq of the event in message number `message` of the stream; None if the message is gone."""
    try:
        stored = await context.get_msg(schemas.stream_name(shard), seq=message)
    except nats.js.errors.NotFoundError:
        return None
    return schemas.decode_link(stored.data or b"").seq
