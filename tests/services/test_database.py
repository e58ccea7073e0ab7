from __future__ import annotations

import asyncio

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Numeric

from services import database


def test_the_head_known_in_code_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == database.HEAD


async def test_a_second_migration_has_nothing_to_do(postgres_url: str) -> None:
    assert await database.migrate(postgres_url) is True
    assert await database.migrate(postgres_url) is False


async def test_processes_that_migrate_at_once_do_it_once(postgres_url: str) -> None:
    done = await asyncio.gather(*(database.migrate(postgres_url) for _ in range(5)))
    assert sorted(done) == [False, False, False, False, True]


async def test_the_migrated_tables_are_the_declared_ones(postgres_url: str) -> None:
    await database.migrate(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    rows = await connection.fetch(
        "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale, is_nullable "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    )
    indexes = {
        row["indexname"]
        for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    }
    await connection.close()
    words = {
        "VARCHAR": "character varying",
        "BYTEA": "bytea",
        "BLOB": "bytea",
        "DATETIME": "timestamp with time zone",
    }
    declared = set()
    for table in database.metadata.sorted_tables:
        for column in table.columns:
            kind = str(column.type).partition("(")[0]
            numeric = column.type if isinstance(column.type, Numeric) else None
            declared.add(
                (
                    table.name,
                    column.name,
                    words.get(kind, kind.lower()),
                    (numeric.precision, numeric.scale) if numeric else None,
                    column.nullable,
                )
            )
        assert {index.name for index in table.indexes} <= indexes
    found = {
        (
            row["table_name"],
            row["column_name"],
            row["data_type"],
            (row["numeric_precision"], row["numeric_scale"]) if row["data_type"] == "numeric" else None,
            row["is_nullable"] == "YES",
        )
        for row in rows
    }
    assert found == declared
