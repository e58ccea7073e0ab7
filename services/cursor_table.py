"""A follower's cursor in Postgres, moved in the transaction of the effect it stands for."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

from services.follower import Place, PlaceMoved

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def read_place(connection: Connection, consumer: str, shard: int) -> Place:
    """Where `consumer` stands; a new one stands before everything."""
    await connection.execute(
        "INSERT INTO projection_cursor (consumer, shard, seq, message) VALUES ($1, $2, 0, 0) "
        "ON CONFLICT DO NOTHING",
        consumer,
        shard,
    )
    row = await connection.fetchrow(
        "SELECT seq, message FROM projection_cursor WHERE consumer = $1 AND shard = $2", consumer, shard
    )
    assert row is not None
    return Place(row["seq"], row["message"])


class Overtaken(PlaceMoved):
    """The shard has a newer owner than the one that this process belongs to: nothing of it is written."""

    def __init__(self, shard: int, epoch: int, newest: int) -> None:
        RuntimeError.__init__(
            self,
            f"shard {shard} has an owner at epoch {newest}; what one at {epoch} would write is not taken",
        )


async def require_newest(connection: Connection, shard: int, epoch: int | None) -> None:
    """Raises Overtaken if the shard has an owner above `epoch`, and none can come before the caller's transaction ends.
    None: of a shard without a standby, which nobody overtakes."""
    assert connection.is_in_transaction()
    if epoch is None:
        return
    newest = await connection.fetchval("SELECT epoch FROM shard_owner WHERE shard = $1 FOR SHARE", shard)
    if newest is not None and newest > epoch:
        raise Overtaken(shard, epoch, newest)


async def move_place(
    connection: Connection, consumer: str, shard: int, before: Place, after: Place, epoch: int | None = None
) -> None:
    """From `before` to `after`, inside the caller's transaction. Raises PlaceMoved if it is not at `before`. epoch: of
    the owner whose follower this is; raises Overtaken if there is a newer one, and none can come before the commit.

    To be called first: it locks the row, so that a second process of that name waits, and then finds it
    moved.
    """
    assert connection.is_in_transaction()
    await require_newest(connection, shard, epoch)
    moved = await connection.execute(
        "UPDATE projection_cursor SET seq = $4, message = $5 WHERE consumer = $1 AND shard = $2 AND seq = $3",
        consumer,
        shard,
        before.seq,
        after.seq,
        after.message,
    )
    if moved != "UPDATE 1":
        raise PlaceMoved(consumer, before.seq)
