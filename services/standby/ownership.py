"""Who owns a shard: one row in Postgres, changed by compare-and-set, with a lease by the database's clock.

Always holds:
- Epochs only go up; each owner, and each life of an owner, has one of its own.
- The row's owner alone renews the lease, and claims the shard again after a restart. Another host gets it by a
  take-over only: a standby, which has the log.
- A take-over changes the row first, which ends all renewing, and then waits until what the former owner had of its
  lease is over. The database counts a lease from the moment in which it renewed it; the owner counts from before it
  asked. So for the owner it is over first, unless clocks run apart by more than DRIFT_SHARE.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import asyncpg

from services import database

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_log: Final = logging.getLogger("tradewind.owner")

# Renewals in the time of one lease: two may fail before it runs out.
RENEWALS_A_LEASE: Final = 4
# Two machines' clocks since boot run apart by some parts in a million; one in ten is beyond any that works.
DRIFT_SHARE: Final = 10


class NotOwner(RuntimeError):
    """Another host owns the shard. This one must not act; it may become that host's standby."""


class Owner(NamedTuple):
    """The row. left_ms: of the lease, by the database's clock; 0: it has run out, or none is kept."""

    epoch: int
    name: str
    left_ms: int


_LEFT: Final = (
    "greatest(0, ceil(extract(epoch FROM renewed_at - clock_timestamp()) * 1000 + lease_ms))::bigint"
)


async def read(connection: Connection, shard: int) -> Owner | None:
    """None: nobody ever owned it."""
    row = await connection.fetchrow(
        f"SELECT epoch, owner, coalesce({_LEFT}, 0) AS left_ms FROM shard_owner WHERE shard = $1", shard
    )
    return None if row is None else Owner(row["epoch"], row["owner"], row["left_ms"])


async def claim(connection: Connection, shard: int, name: str, lease_ms: int) -> int:
    """Its owner starts, or somebody for the first time: the new epoch. Raises NotOwner."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        epoch: int | None = await connection.fetchval(
            "INSERT INTO shard_owner (shard, epoch, owner, renewed_at, lease_ms) "
            "VALUES ($1, 1, $2, clock_timestamp(), $3) ON CONFLICT (shard) DO UPDATE "
            "SET epoch = shard_owner.epoch + 1, owner = $2, renewed_at = clock_timestamp(), lease_ms = $3 "
            "WHERE shard_owner.owner = $2 OR shard_owner.lease_ms IS NULL RETURNING epoch",
            shard,
            name,
            lease_ms,
        )
    if epoch is None:
        raise await _not_owner(connection, shard, name)
    return epoch


async def renew(connection: Connection, shard: int, name: str, epoch: int, lease_ms: int) -> None:
    """Go on owning it. epoch: of the log's present writer, which may have gone ahead of the row. Raises NotOwner."""
    done = await connection.execute(
        "UPDATE shard_owner SET renewed_at = clock_timestamp(), lease_ms = $4, epoch = greatest(epoch, $3) "
        "WHERE shard = $1 AND owner = $2",
        shard,
        name,
        epoch,
        lease_ms,
    )
    if done != "UPDATE 1":
        raise await _not_owner(connection, shard, name)


async def take_over(
    connection: Connection,
    shard: int,
    name: str,
    seen: Owner | None,
    log_epoch: int,
    log_end: int,
    lease_ms: int,
) -> tuple[int, int]:
    """Become the owner instead of the one that was `seen`: the new epoch, and how many milliseconds to wait before
    anything may leave. What the former owner stored of the time after `log_end` goes: the log has no such time. Raises
    NotOwner when somebody was first."""
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = on")
        row = await connection.fetchrow(
            "WITH former AS (SELECT shard, epoch, "
            f"coalesce({_LEFT}, 0) AS left_ms, coalesce(lease_ms, 0) AS lease_ms "
            "FROM shard_owner WHERE shard = $1 AND epoch = $3 AND owner = $4 FOR UPDATE) "
            "UPDATE shard_owner SET epoch = greatest(former.epoch, $5) + 1, owner = $2, "
            "renewed_at = clock_timestamp(), lease_ms = $6 FROM former WHERE shard_owner.shard = former.shard "
            "RETURNING shard_owner.epoch, former.left_ms, former.lease_ms",
            shard,
            name,
            seen.epoch if seen else 0,
            seen.name if seen else "",
            log_epoch,
            lease_ms,
        )
        if row is not None:
            await connection.execute(
                "DELETE FROM snapshots WHERE shard = $1 AND log_position > $2", shard, log_end
            )
            left: int = row["left_ms"]
            return row["epoch"], left + row["lease_ms"] // DRIFT_SHARE if left else 0
        if seen is None:
            return await claim(connection, shard, name, lease_ms), 0
    raise await _not_owner(connection, shard, name)


async def _not_owner(connection: Connection, shard: int, name: str) -> NotOwner:
    owner = await read(connection, shard)
    whose = f"{owner.name}, at epoch {owner.epoch}" if owner else "nobody"
    return NotOwner(
        f"shard {shard} is owned by {whose}; {name} must not act for it. Start this host as its standby, on an empty "
        "data folder: `tradewind standby --of HOST:PORT`"
    )


class LeaseKeeper:
    """Renews the lease from a thread of its own, until `stop`. `granted(asked_ns)` is told each time it was renewed,
    and when it was asked; `lost` once, when another owns the shard. is_vouched: an operator made this host the owner
    while the database was away; whoever stands there is put off first."""

    def __init__(
        self,
        postgres_url: str,
        shard: int,
        name: str,
        epoch: Callable[[], int],
        lease_ms: int,
        clock_ns: Callable[[], int],
        granted: Callable[[int], None],
        lost: Callable[[NotOwner], None],
        is_vouched: bool = False,
    ) -> None:
        self._url = postgres_url
        self._shard = shard
        self._name = name
        self._epoch = epoch
        self._lease_ms = lease_ms
        self._clock_ns = clock_ns
        self._granted = granted
        self._lost = lost
        self._is_vouched = is_vouched
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._keep())

    async def _keep(self) -> None:
        connection: Connection | None = None
        period_s = self._lease_ms / RENEWALS_A_LEASE / 1000
        while not self._stopping.wait(0 if connection is None else period_s):
            try:
                if connection is None:
                    connection = await database.connect(self._url)
                if self._is_vouched:
                    await self._put_off(connection)
                asked_ns = self._clock_ns()
                await renew(connection, self._shard, self._name, self._epoch(), self._lease_ms)
                self._granted(asked_ns)
            except NotOwner as error:
                self._lost(error)
                return
            except database.POSTGRES_TROUBLE as error:
                _log.warning("the lease was not renewed: Postgres is away (%s)", error)
                if connection is not None:
                    connection.terminate()
                connection = None
                if self._stopping.wait(period_s):
                    return
        if connection is not None:
            await connection.close()

    async def _put_off(self, connection: Connection) -> None:
        seen = await read(connection, self._shard)
        if seen is None or seen.name != self._name:
            no_end = (1 << 63) - 1
            # The row comes to this owner's own epoch, and not above it: what its followers write would be refused.
            below = self._epoch() - 1
            await take_over(connection, self._shard, self._name, seen, below, no_end, self._lease_ms)
            _log.warning("the database is back, and knows now that %s owns shard %d", self._name, self._shard)
        self._is_vouched = False
