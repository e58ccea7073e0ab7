"""Many rows into a table in one statement, last one wins: SQL made from the table's own declaration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

Row: TypeAlias = dict[str, Any]


class Upsert:
    """Inserts rows by the table's primary key. Rows that are there get the new values; but columns of `keep`
    stay as they are, and so do those of `keep_if_null` where the new value is null.

    Numbers of NUMERIC columns are given as decimal text, and reach Postgres as they are.
    """

    def __init__(
        self, table: Table, *, keep: frozenset[str] = frozenset(), keep_if_null: frozenset[str] = frozenset()
    ) -> None:
        self._names = [column.name for column in table.columns]
        keys = [column.name for column in table.primary_key]
        arrays = []
        for number, column in enumerate(table.columns, start=1):
            kind = column.type.compile(dialect=_DIALECT).partition("(")[0]
            text_first = "::text[]" if kind == "NUMERIC" else ""
            arrays.append(f"${number}{text_first}::{kind}[]")
        changes = [
            f"{name} = COALESCE(excluded.{name}, {table.name}.{name})"
            if name in keep_if_null
            else f"{name} = excluded.{name}"
            for name in self._names
            if name not in keys and name not in keep
        ]
        self._sql = (
            f"INSERT INTO {table.name} ({', '.join(self._names)}) SELECT * FROM unnest({', '.join(arrays)}) "
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(changes)}"
        )

    async def run(self, connection: asyncpg.Connection[asyncpg.Record], rows: Sequence[Row]) -> None:
        """Write `rows`, no two of which may have the same key."""
        if rows:
            await connection.execute(self._sql, *([row[name] for row in rows] for name in self._names))
