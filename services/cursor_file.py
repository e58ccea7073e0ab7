"""A cursor in a file: how far a reader of the log has come, kept over restarts and kill -9.

Always holds: the file has one whole cursor, never half of one (written beside, then renamed over). It is not
synced to disk: after a power cut an older one, or none, only means that more is read again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Cursor(msgspec.Struct, frozen=True):
    """All events up to `seq` are done; what comes next begins at byte `position` of the log."""

    position: int = 0
    seq: int = 0


BEGINNING = Cursor()


class CursorFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def load(self) -> Cursor:
        """The stored cursor; the log's beginning if there is none that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Cursor)
        except (FileNotFoundError, msgspec.DecodeError):
            return BEGINNING

    def save(self, cursor: Cursor) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(cursor))
        os.replace(beside, self._path)
