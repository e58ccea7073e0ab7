"""The projection's tables in Postgres, held against the facts of the log, row by row in the order of their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

import asyncpg

from services.audit.facts import Facts, Key
from services.audit.findings import Difference, Findings
from services.audit.said import NOT_JUDGED, Said, Value, canonical

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# Rows in memory at once, of each cursor.
FETCHED_AT_ONCE: Final = 2000
# A table without an index in its order is sorted before its first row comes.
SORT_S: Final = 600.0


class Table(NamedTuple):
    """`keys`: its columns beside the shard. `thing`: what a row is. `names`: columns that hold somebody's name, and the
    column that has the number. `nulls`: columns that hold nothing until an event says more."""

    name: str
    thing: str
    keys: tuple[str, ...]
    names: tuple[tuple[str, str], ...] = ()
    nulls: tuple[str, ...] = ()


_ACCOUNT: Final = ("account", "account_id")
_SYMBOL: Final = ("symbol", "instrument_id")
TABLES: Final = (
    Table("accounts", "account", ("account_id",), names=(_ACCOUNT,)),
    Table("instruments", "instrument", ("instrument_id",), names=(_SYMBOL,)),
    Table("groups", "group", ("group_id",)),
    Table("orders", "order", ("order_number",), (_ACCOUNT, _SYMBOL), ("reject_code", "reject_message")),
    Table("executions", "execution", ("seq",), names=(_ACCOUNT, _SYMBOL)),
    Table("positions", "position", ("account_id", "instrument_id"), names=(_ACCOUNT, _SYMBOL)),
    Table("cash", "cash", ("account_id", "currency"), names=(_ACCOUNT,)),
)
# One row for each mail; nothing of it but that it is there, and that the server has taken it, is in the log.
MAILS: Final = Table("notifications_sent", "mail", ("seq",))


async def cursors(connection: Connection, shard: int) -> dict[str, int]:
    """The last event that each consumer has done. Raises asyncpg.UndefinedTableError before the first migration."""
    rows = await connection.fetch("SELECT consumer, seq FROM projection_cursor WHERE shard = $1", shard)
    return {row["consumer"]: row["seq"] for row in rows}


async def _rows(connection: Connection, table: Table, shard: int) -> AsyncIterator[dict[str, Any]]:
    """In the order of the facts: text by its bytes, whatever the database's collation."""
    order = ", ".join(f'{key} COLLATE "C"' if key == "currency" else key for key in table.keys)
    sql = f"SELECT * FROM {table.name} WHERE shard = $1 ORDER BY {order}"
    async for row in connection.cursor(sql, shard, prefetch=FETCHED_AT_ONCE, timeout=SORT_S):
        yield dict(row)


def _key(table: Table, row: dict[str, Any]) -> Key:
    second = row[table.keys[1]] if len(table.keys) > 1 else 0
    return row[table.keys[0]], second


def _label(table: Table, key: Key, names: Facts) -> str:
    """'position TW000001 KO' where the names are known, else the numbers."""
    if table.keys[0] != "account_id":
        return f"{table.thing} {key[0]}"
    parts = [names.name("account", key[0]) or str(key[0])]
    if len(table.keys) > 1:
        second = key[1]
        parts.append(str(names.name("symbol", second) or second) if isinstance(second, int) else second)
    return " ".join((table.thing, *parts))


class Judge:
    """One audit's comparisons of tables. `kept_from`: the first record that the log has; 1: it is whole, and a row that
    it does not tell of is one too many."""

    def __init__(
        self, connection: Connection, shard: int, facts: Facts, findings: Findings, kept_from: int
    ) -> None:
        self._connection = connection
        self._shard = shard
        self._facts = facts
        self._findings = findings
        self._kept_from = kept_from

    async def compare(self, table: Table, claimed_after: int | None = None) -> int:
        """How many rows were judged. claimed_after: rows after that event are of work that is under way."""
        expected: Iterator[tuple[Key, Said]] = self._facts.rows(table.name)
        wanted = next(expected, None)
        judged = 0
        async for row in _rows(self._connection, table, self._shard):
            key = _key(table, row)
            while wanted is not None and wanted[0] < key:
                self._missing(table, *wanted)
                wanted = next(expected, None)
            if wanted is not None and wanted[0] == key:
                self._compare_row(table, key, wanted[1], row)
                judged += 1
                wanted = next(expected, None)
            elif self._kept_from <= 1 and (claimed_after is None or key[0] <= claimed_after):
                self._unknown(table, key, row)
        while wanted is not None:
            self._missing(table, *wanted)
            wanted = next(expected, None)
        return judged

    def _missing(self, table: Table, key: Key, said: Said) -> None:
        if table.name == "executions" and "execution_id" not in said:
            return  # a trade from before the log begins, undone since: where its row went nobody can say
        told = ", ".join(f"{name} {value}" for name, value in said.items() if value not in (None, NOT_JUDGED))
        place, what = table.name, _label(table, key, self._facts)
        self._findings.add(Difference(place, what, "", told, None, _seq(said)))

    def _unknown(self, table: Table, key: Key, row: dict[str, Any]) -> None:
        told = ", ".join(f"{name} {_comparable(value)}" for name, value in row.items() if value is not None)
        what = _label(table, key, self._facts)
        self._findings.add(Difference(table.name, what, "", None, told, row.get("seq") or 0))

    def _compare_row(self, table: Table, key: Key, said: Said, row: dict[str, Any]) -> None:
        is_whole = self._kept_from <= 1 or (table.name == "orders" and key[0] >= self._kept_from)
        if is_whole:
            said = {**dict.fromkeys(table.nulls), **said}
        else:
            said.pop("created_ns", None)
        for column, number in table.names:
            of = row[number]
            if (name := self._facts.name(column, of)) is not None:
                said[column] = name
        for column, value in said.items():
            if value != NOT_JUDGED and column in row:
                self._differ(table, key, column, value, _comparable(row[column]), _seq(said))
        if table is MAILS and row["sent_at"] is None:
            self._differ(table, key, "sent_at", "that it was sent", "not set: it was never confirmed", key[0])

    def _differ(self, table: Table, key: Key, column: str, log: Value, other: Value, seq: int) -> None:
        if log != other:
            what = _label(table, key, self._facts)
            self._findings.add(Difference(table.name, what, column, str(log), str(other), seq))


def _seq(said: Said) -> int:
    seq = said.get("seq")
    return seq if isinstance(seq, int) else 0


def _comparable(value: Any) -> Value:
    if isinstance(value, Decimal):
        return canonical(value)
    return value if value is None or isinstance(value, int | str) else str(value)
