"""The first tables: projections and their cursors, mails sent, snapshots, who owns a shard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_MONEY = sa.Numeric(19, 6)
_QTY = sa.Numeric(19, 8)
_PRICE = sa.Numeric(19, 8)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("accounts_account", "accounts", ["account"])
    op.create_table(
        "instruments",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("instrument_id", sa.BigInteger, primary_key=True),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tick_size", _PRICE, nullable=False),
        sa.Column("lot_size", _QTY, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "orders",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("order_number", sa.BigInteger, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("client_order_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.BigInteger, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("ord_type", sa.Text, nullable=False),
        sa.Column("tif", sa.Text, nullable=False),
        sa.Column("ord_status", sa.Text, nullable=False),
        sa.Column("qty", _QTY, nullable=False),
        sa.Column("price", _PRICE),
        sa.Column("route_price", _PRICE),
        sa.Column("cum_qty", _QTY, nullable=False),
        sa.Column("leaves_qty", _QTY, nullable=False),
        sa.Column("avg_px", _PRICE),
        sa.Column("cum_notional", _MONEY, nullable=False),
        sa.Column("reject_code", sa.Integer),
        sa.Column("reject_message", sa.Text),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("orders_of_account", "orders", ["shard", "account_id", "order_number"])
    op.create_table(
        "executions",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("execution_id", sa.Text, nullable=False, unique=True),
        sa.Column("order_number", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.BigInteger, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.BigInteger, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("last_qty", _QTY, nullable=False),
        sa.Column("last_px", _PRICE, nullable=False),
        sa.Column("cum_qty", _QTY, nullable=False),
        sa.Column("leaves_qty", _QTY, nullable=False),
        sa.Column("time_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("executions_of_order", "executions", ["shard", "order_number"])
    op.create_index("executions_of_account", "executions", ["shard", "account_id", "seq"])
    op.create_table(
        "positions",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True),
        sa.Column("instrument_id", sa.BigInteger, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("qty", _QTY, nullable=False),
        sa.Column("cost", _MONEY, nullable=False),
        sa.Column("realized", _MONEY, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cash",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("account_id", sa.BigInteger, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("cash", _MONEY, nullable=False),
        sa.Column("reserved", _MONEY, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "projection_cursor",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("message", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "notifications_sent",
        sa.Column("execution_id", sa.Text, primary_key=True),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("shard", sa.SmallInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("log_position", sa.BigInteger, nullable=False),
        sa.Column("state_hash", sa.Text, nullable=False),
        sa.Column("layout_version", sa.Integer, nullable=False),
        sa.Column("blob_count", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("shard", "epoch", "seq"),
    )
    op.create_table(
        "snapshot_chunks",
        sa.Column(
            "snapshot_id",
            sa.BigInteger,
            sa.ForeignKey("snapshots.snapshot_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("blob", sa.Text, primary_key=True),
        sa.Column("chunk", sa.Integer, primary_key=True),
        sa.Column("blob_bytes", sa.BigInteger, nullable=False),
        sa.Column("crc32", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    # State tables hardly shrink under pglz, which would be most of a snapshot's time.
    op.execute("ALTER TABLE snapshot_chunks ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "shard_owner",
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
    )
