"""What the log has told so far, kept by row: in a temporary file, so that memory is bounded whatever the log's length.

SQLite's own temporary database: on disk where it outgrows its cache, without a name, gone with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

import msgspec

from services.audit.said import PARTS, Fact, Said

Key = tuple[int, int | str]

# Facts held back to be written at once: some tens of megabytes.
BUFFERED_MAX: Final = 50_000
# Pages in memory, in KiB; what is beyond goes to the file.
CACHE_KIB: Final = 64 << 10
# Names in memory; others are asked of the file.
NAMES_REMEMBERED_MAX: Final = 65_536

_RANK: Final = {part: rank for rank, part in enumerate(PARTS)}
_decode: Final = msgspec.json.Decoder(Said).decode


class Facts:
    """One log's facts. `tell` in the log's order; then `rows` of each table, by key."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            'CREATE TABLE facts (name TEXT, a INTEGER, b, part INTEGER, "values" BLOB, '
            "PRIMARY KEY (name, a, b, part)) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE names (kind TEXT, number INTEGER, name TEXT, PRIMARY KEY (kind, number))"
        )
        self._last: dict[tuple[str, int, int | str, int], bytes] = {}
        self._first: dict[tuple[str, int, int | str, int], bytes] = {}
        self._names: dict[tuple[str, int], str] = {}

    def tell(self, fact: Fact) -> None:
        place = (fact.table, *fact.key, _RANK[fact.part])
        if fact.first:
            self._first.setdefault(place, msgspec.json.encode(fact.values))
        else:
            self._last[place] = msgspec.json.encode(fact.values)
        if len(self._last) + len(self._first) >= BUFFERED_MAX:
            self._write()

    def _write(self) -> None:
        for verb, buffer in (("REPLACE", self._last), ("IGNORE", self._first)):
            rows = ((*place, values) for place, values in buffer.items())
            self._db.execute("BEGIN")
            self._db.executemany(f"INSERT OR {verb} INTO facts VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute("COMMIT")
            buffer.clear()

    def rows(self, table: str) -> Iterator[tuple[Key, Said]]:
        """What each row of the table must hold, ascending by key; text keys by their bytes."""
        self._write()
        found = self._db.execute(
            'SELECT a, b, "values" FROM facts WHERE name = ? ORDER BY a, b, part', (table,)
        )
        for key, parts in groupby(found, itemgetter(0, 1)):
            said: Said = {}
            for _, _, values in parts:
                said |= _decode(values)
            yield key, said

    def tell_name(self, kind: str, number: int, name: str) -> None:
        """The number that people know an account by, or an instrument's symbol. It never changes."""
        if self.name(kind, number) != name:
            self._db.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", (kind, number, name))
            self._remember(kind, number, name)

    def name(self, kind: str, number: int) -> str | None:
        known = self._names.get((kind, number))
        if known is None:
            row = self._db.execute(
                "SELECT name FROM names WHERE kind = ? AND number = ?", (kind, number)
            ).fetchone()
            if row is None:
                return None
            known = str(row[0])
            self._remember(kind, number, known)
        return known

    def _remember(self, kind: str, number: int, name: str) -> None:
        if len(self._names) >= NAMES_REMEMBERED_MAX:
            self._names.clear()
        self._names[kind, number] = name

    def close(self) -> None:
        self._db.close()
