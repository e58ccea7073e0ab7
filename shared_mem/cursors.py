"""Durable cursors: how far each follower of the log has come, a file each, kept over kill -9 and power cuts.

Always holds:
- A file has two slots, written in turn, each with a checksum: a write that a crash tears leaves the one before it.
- A cursor is saved after the effect it stands for, so it may be behind, never ahead. Going on from an older one only
  means that more is read again. So a save is a write of 40 bytes, and no sync unless it is asked for: a power cut then
  gives an older cursor back.
- The folder is the list of who still needs the log (shared_mem/retention.py): a name stays until an operator removes
  its file.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

_SLOT: Final = struct.Struct("<QqqI4x")  # generation, position, seq, CRC-32 of what stands before it
_CHECKED: Final = struct.Struct("<Qqq")
_SLOTS: Final = 2


class Cursor(NamedTuple):
    """All records up to `seq` are done; what comes next begins at byte `position` of the log."""

    position: int = 0
    seq: int = 0


BEGINNING: Final = Cursor()


class CursorFile:
    """One follower's cursor. One process at a time saves it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self._generation, self._cursor = _newest(os.pread(self._fd, _SLOTS * _SLOT.size, 0))

    def load(self) -> Cursor:
        """The cursor last saved; the log's beginning if there is none that can be read."""
        return self._cursor

    def save(self, cursor: Cursor, *, sync: bool = False) -> None:
        """Raises OSError. sync: on disk when this returns."""
        if cursor != self._cursor or self._generation == 0:
            self._generation += 1
            checked = _CHECKED.pack(self._generation, *cursor)
            slot = _SLOT.pack(self._generation, *cursor, zlib.crc32(checked))
            os.pwrite(self._fd, slot, self._generation % _SLOTS * _SLOT.size)
            self._cursor = cursor
        if sync:
            os.fdatasync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _newest(raw: bytes) -> tuple[int, Cursor]:
    """(generation, cursor) of the newest good slot; (0, BEGINNING) when there is none."""
    found = (0, BEGINNING)
    for at in range(0, len(raw) - _SLOT.size + 1, _SLOT.size):
        generation, position, seq, crc = _SLOT.unpack_from(raw, at)
        if crc == zlib.crc32(raw[at : at + _CHECKED.size]) and generation > found[0]:
            found = (generation, Cursor(position, seq))
    return found


def saved_cursors(folder: Path) -> dict[str, Cursor]:
    """Every follower's cursor by name. One that can't be read stands at the beginning: it holds everything."""
    if not folder.is_dir():
        return {}
    return {path.name: _newest(path.read_bytes())[1] for path in sorted(folder.iterdir()) if path.is_file()}
