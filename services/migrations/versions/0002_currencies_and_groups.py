"""Cash by currency, the levels above accounts, an instrument's currency and static prices.

What was projected before was in US dollars: there was no other currency.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_MONEY = sa.Numeric(19, 6)
_PRICE = sa.Numeric(19, 8)


def upgrade() -> None:
    op.add_column("accounts", sa.Column("household_id", sa.BigInteger))
    op.add_column("instruments", sa.Column("currency", sa.Text, nullable=False, server_default="USD"))
    op.alter_column("instruments", "currency", server_default=None)
    op.add_column("instruments", sa.Column("previous_close", _PRICE))
    op.add_column("instruments", sa.Column("reference_price", _PRICE))
    op.add_column("cash", sa.Column("currency", sa.Text, nullable=False, server_default="USD"))
    op.alter_column("cash", "currency", server_default=None)
    op.drop_constraint("cash_pkey", "cash", type_="primary")
    op.create_primary_key("cash_pkey", "cash", ["shard", "account_id", "currency"])
    op.create_table(
        "groups",
        sa.Column("shard", sa.SmallInteger, primary_key=True),
        sa.Column("group_id", sa.BigInteger, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("parent_id", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("max_order_notional", _MONEY),
        sa.Column("max_open_notional", _MONEY),
        sa.Column("max_gross", _MONEY),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("updated_ns", sa.BigInteger, nullable=False),
    )
