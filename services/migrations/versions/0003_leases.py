"""The lease of a shard's owner, where the shard has a standby."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("shard_owner", sa.Column("renewed_at", sa.DateTime(timezone=True)))
    op.add_column("shard_owner", sa.Column("lease_ms", sa.Integer))
