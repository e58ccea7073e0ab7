"""The tables in Postgres: what the followers project the log into, their cursors, snapshots, who owns a
shard.

Always holds: money, prices and quantities are NUMERIC with the scale of `core/units.py`, exact; times are
nanoseconds as the log has them. Everything but `shard_owner` can be built anew from the log.

`migrate` brings a database up to date. Alembic makes the SQL (services/migrations), asyncpg runs it: one
driver.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

# The newest revision in services/migrations/versions; a test holds the two together. Known here so that a
# start with an up-to-date database need not load alembic.
HEAD: Final = "0003"

# What is worth another attempt: the server or the way to it is ill, or another transaction was first.
# PostgresError is not as a whole: a wrong statement stays wrong.
POSTGRES_TROUBLE: Final = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)

CONNECT_TIMEOUT_S: Final = 2.0
# The largest batch takes tens of milliseconds; a server silent for ten seconds is paused or cut off.
COMMAND_TIMEOUT_S: Final = 10.0

# int64 at six or eight places has 19 digits.
_MONEY: Final = Numeric(19, 6)
_QTY: Final = Numeric(19, 8)
_PRICE: Final = Numeric(19, 8)

# Any number that no other program takes as its advisory lock: "tradewin" in ASCII.
_MIGRATION_LOCK: Final = 0x7472616465_77696E

_MIGRATIONS: Final = Path(__file__).with_name("migrations")

metadata: Final = MetaData()

accounts: Final = Table(
    "accounts",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("account", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("household_id", BigInteger),
    Column("seq", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Index("accounts_account", "account"),
)

instruments: Final = Table(
    "instruments",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("instrument_id", BigInteger, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("tick_size", _PRICE, nullable=False),
    Column("lot_size", _QTY, nullable=False),
    Column("currency", Text, nullable=False),
    Column("previous_close", _PRICE),
    Column("reference_price", _PRICE),
    Column("seq", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

orders: Final = Table(
    "orders",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("order_number", BigInteger, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("instrument_id", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("ord_type", Text, nullable=False),
    Column("tif", Text, nullable=False),
    Column("ord_status", Text, nullable=False),
    Column("qty", _QTY, nullable=False),
    Column("price", _PRICE),
    Column("route_price", _PRICE),
    Column("cum_qty", _QTY, nullable=False),
    Column("leaves_qty", _QTY, nullable=False),
    Column("avg_px", _PRICE),
    Column("cum_notional", _MONEY, nullable=False),
    Column("reject_code", Integer),
    Column("reject_message", Text),
    Column("seq", BigInteger, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
    Index("orders_of_account", "shard", "account_id", "order_number"),
)

executions: Final = Table(
    "executions",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("execution_id", Text, nullable=False, unique=True),
    Column("order_number", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("account", Text, nullable=False),
    Column("instrument_id", BigInteger, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("last_qty", _QTY, nullable=False),
    Column("last_px", _PRICE, nullable=False),
    Column("cum_qty", _QTY, nullable=False),
    Column("leaves_qty", _QTY, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Index("executions_of_order", "shard", "order_number"),
    Index("executions_of_account", "shard", "account_id", "seq"),
)

positions: Final = Table(
    "positions",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("instrument_id", BigInteger, primary_key=True),
    Column("account", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("qty", _QTY, nullable=False),
    Column("cost", _MONEY, nullable=False),
    Column("realized", _MONEY, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

# One row for each currency that the account has money in.
cash: Final = Table(
    "cash",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("account_id", BigInteger, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("cash", _MONEY, nullable=False),
    Column("reserved", _MONEY, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

# The levels above accounts. A limit that is null is none.
groups: Final = Table(
    "groups",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("group_id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("parent_id", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("max_order_notional", _MONEY),
    Column("max_open_notional", _MONEY),
    Column("max_gross", _MONEY),
    Column("seq", BigInteger, nullable=False),
    Column("updated_ns", BigInteger, nullable=False),
)

# seq: the last event whose effect is in the tables. message: its number in the shard's stream.
projection_cursor: Final = Table(
    "projection_cursor",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("shard", SmallInteger, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("message", BigInteger, nullable=False),
)

# claimed before the mail is handed over; sent_at once the server has taken it.
notifications_sent: Final = Table(
    "notifications_sent",
    metadata,
    Column("execution_id", Text, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent_at", DateTime(timezone=True)),
)

snapshots: Final = Table(
    "snapshots",
    metadata,
    Column("snapshot_id", BigInteger, Identity(always=True), primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("log_position", BigInteger, nullable=False),
    Column("state_hash", Text, nullable=False),
    Column("layout_version", Integer, nullable=False),
    Column("blob_count", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("shard", "epoch", "seq"),
)

# blob_bytes: of the whole blob. crc32: of this chunk's bytes.
snapshot_chunks: Final = Table(
    "snapshot_chunks",
    metadata,
    Column("snapshot_id", ForeignKey("snapshots.snapshot_id", ondelete="CASCADE"), primary_key=True),
    Column("blob", Text, primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("blob_bytes", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

shard_owner: Final = Table(
    "shard_owner",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    # Of a shard with a standby (services/standby/ownership.py); null where no lease is kept.
    Column("renewed_at", DateTime(timezone=True)),
    Column("lease_ms", Integer),
)


async def connect(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection with this project's time limits."""
    return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S)


async def migrate(url: str) -> bool:
    """Bring the database at `url` up to date; True if there was something to do.

    Any number of processes may call it at once: one does the work, in one transaction, and the others wait.
    """
    connection = await connect(url)
    try:
        if await _revision(connection) == HEAD:
            return False
        # Before the transaction, not in it: one that began while another migrated would not see its tables.
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        async with connection.transaction():
            revision = await _revision(connection)
            if revision == HEAD:
                return False
            if await connection.fetchval("SELECT to_regnamespace('public')") is None:
                await connection.execute("CREATE SCHEMA public")  # dropped with all that was in it
            await connection.execute(upgrade_sql(revision))
        return True
    finally:
        await connection.close()


async def connect_migrated(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """As `connect`, to a database that is up to date: a server that was wiped has its tables again."""
    await migrate(url)
    return await connect(url)


async def _revision(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    """The database's revision; None for a new one."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


def upgrade_sql(revision: str | None) -> str:
    """The SQL from `revision` (None: an empty database) to HEAD."""
    from alembic import command  # here, not above: a tenth of a second that an up-to-date start need not pay
    from alembic.config import Config

    buffer = io.StringIO()
    config = Config(output_buffer=buffer)
    config.set_main_option("script_location", str(_MIGRATIONS))
    command.upgrade(config, f"{revision}:head" if revision else "head", sql=True)
    return buffer.getvalue()
