"""The portfolio: the stream projected into Postgres, so that history and reports can be asked for in SQL.

Exactly once: a batch's rows and the cursor are one transaction (`services/cursor_table.py`). Every update
carries the state after it, so that a row is the last update about it; nothing is added up here, and nothing
can drift. It must not be asked whether an order may be sent: it runs behind the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services import database
from services.cursor_table import Connection, move_place, read_place
from services.follower import Place
from services.projection import Batch
from services.schemas import Update
from services.upsert import Upsert

NAME: Final = "portfolio"

_ACCOUNTS: Final = Upsert(database.accounts, keep_if_null=frozenset({"household_id"}))
_INSTRUMENTS: Final = Upsert(database.instruments)
_ORDERS: Final = Upsert(
    database.orders,
    keep=frozenset({"created_ns"}),
    keep_if_null=frozenset({"reject_code", "reject_message"}),
)
_EXECUTIONS: Final = Upsert(database.executions)
_POSITIONS: Final = Upsert(database.positions)
_CASH: Final = Upsert(database.cash)
_GROUPS: Final = Upsert(database.groups)


class Portfolio:
    """The effect of following (`services.follower.Effect`): rows and cursor in one transaction."""

    name = NAME
    trouble: tuple[type[BaseException], ...] = ()

    def __init__(self, postgres_url: str, shard: int) -> None:
        self._url = postgres_url
        self._shard = shard
        self._connection: Connection | None = None

    async def place(self) -> Place:
        await database.migrate(self._url)
        self._connection = await database.connect(self._url)
        return await read_place(self._connection, NAME, self._shard)

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        assert self._connection is not None, "place() opens the connection"
        batch = Batch()
        for update in updates:
            batch.add(update)
        async with self._connection.transaction():
            await move_place(self._connection, NAME, self._shard, before, after)
            await _ACCOUNTS.run(self._connection, list(batch.accounts.values()))
            await _INSTRUMENTS.run(self._connection, list(batch.instruments.values()))
            await _ORDERS.run(self._connection, list(batch.orders.values()))
            await _EXECUTIONS.run(self._connection, list(batch.executions.values()))
            await _POSITIONS.run(self._connection, list(batch.positions.values()))
            await _CASH.run(self._connection, list(batch.cash.values()))
            await _GROUPS.run(self._connection, list(batch.groups.values()))

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
