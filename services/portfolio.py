"""The portfolio: the stream projected into Postgres, so that history and reports can be asked for in SQL.

Exactly once: a batch's rows and the cursor are one transaction (`services/cursor_table.py`). Every update
carries the state after it, so that a row is the last update about it; nothing is added up here, and nothing
can drift. It must not be asked whether an order may be sent: it runs behind the log.

Lost, the tables are built again: from the stream; from the log where the stream does not reach back far enough
(services/backlog.py); from the newest snapshot's state and the log after it where the log does not either
(services/seed.py). Only then is history lost: the executions before that snapshot, and orders that had left the shard's
table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import asyncpg

from actors.tables import State
from services import database
from services.backlog import BeginningGone
from services.cursor_table import Connection, move_place, read_place
from services.follower import Place
from services.projection import Batch
from services.schemas import Update
from services.seed import ROWS_AT_ONCE, Seed
from services.upsert import Row, Upsert

_log = logging.getLogger("tradewind.portfolio")

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
    # Somebody wiped the database under us: `place` makes it anew.
    trouble: tuple[type[BaseException], ...] = (asyncpg.UndefinedTableError, asyncpg.InvalidCatalogNameError)

    def __init__(
        self,
        postgres_url: str,
        shard: int,
        snapshot: Callable[[], State | None] = lambda: None,
        epoch: Callable[[], int | None] = lambda: None,
    ) -> None:
        """snapshot: the newest one's state. epoch: of the shard's owner on this host, where it has a standby."""
        self._url = postgres_url
        self._shard = shard
        self._snapshot = snapshot
        self._epoch = epoch
        self._connection: Connection | None = None

    async def place(self) -> Place:
        self._connection = await database.connect_migrated(self._url)
        return await read_place(self._connection, NAME, self._shard)

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        assert self._connection is not None, "place() opens the connection"
        batch = Batch()
        for update in updates:
            batch.add(update)
        async with self._connection.transaction():
            await move_place(self._connection, NAME, self._shard, before, after, self._epoch())
            await _ACCOUNTS.run(self._connection, list(batch.accounts.values()))
            await _INSTRUMENTS.run(self._connection, list(batch.instruments.values()))
            await _ORDERS.run(self._connection, list(batch.orders.values()))
            await _EXECUTIONS.run(self._connection, list(batch.executions.values()))
            await _POSITIONS.run(self._connection, list(batch.positions.values()))
            await _CASH.run(self._connection, list(batch.cash.values()))
            await _GROUPS.run(self._connection, list(batch.groups.values()))

    async def start_anew(self, before: Place, gone: BeginningGone) -> Place:
        """The newest snapshot's state as rows, all or nothing; the log goes on from there."""
        assert self._connection is not None, "place() opens the connection"
        state = await asyncio.to_thread(self._snapshot)
        seed = None if state is None else Seed(state, self._shard)
        if seed is None or seed.seq < gone.kept_from - 1 or seed.seq <= before.seq:
            raise gone
        after = Place(seed.seq, 0)
        async with self._connection.transaction():
            await move_place(self._connection, NAME, self._shard, before, after, self._epoch())
            for table, rows in (
                (_ACCOUNTS, seed.accounts()),
                (_INSTRUMENTS, seed.instruments()),
                (_GROUPS, seed.groups()),
                (_ORDERS, seed.orders()),
                (_POSITIONS, seed.positions()),
                (_CASH, seed.cash()),
            ):
                for some in _runs(rows):
                    await table.run(self._connection, some)
        _log.error(
            "events %d to %d are gone from stream and log: the tables hold the snapshot's state after event %d, and "
            "miss the executions between",
            before.seq + 1,
            gone.kept_from - 1,
            seed.seq,
        )
        return after

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _runs(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, ROWS_AT_ONCE)):
        yield some
