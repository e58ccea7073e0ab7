"""Alembic runs this to make SQL (`services.database.upgrade_sql`). It never connects: asyncpg runs the
SQL."""

from __future__ import annotations

from alembic import context

from services.database import metadata

# The caller's transaction is around everything, so alembic writes no BEGIN and COMMIT.
context.configure(
    dialect_name="postgresql", target_metadata=metadata, literal_binds=True, transactional_ddl=False
)
context.run_migrations()
