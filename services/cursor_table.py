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


async def move_place(connection: Connection, consumer: str, shard: int, before: Place, after: Place) -> None:
    """From `before` to `after`, inside the caller's transaction. Raises PlaceMoved if it is not at `before`.

    To be called first: it locks the row, so that a second process of that name waits, and then finds it
    moved.
    """
    assert connection.is_in_transaction()
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
