"""Shipped: how far a standby has one file of this host on its disk, told to the file's own process by a word.

A file here is a row of segments that are only appended to: the word is the newest segment's number and its bytes.

Always holds: one process writes the word, it never goes back within one life of the file, and what it says is durable
on the standby.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared_mem.log import load_word, store_word
from shared_mem.segment import HEADER_BYTES, Segment

LAYOUT: Final = "shipped"
VERSION: Final = 1
_WORD: Final = HEADER_BYTES
_SIZE: Final = 128
_BYTES_BITS: Final = 32


class Shipped:
    """Made by whoever comes first."""

    def __init__(self, run_dir: Path, name: str) -> None:
        path = run_dir / f"shipped.{name.replace('/', '.')}"
        self._segment = Segment.create(path, _SIZE, LAYOUT, VERSION)

    def get(self) -> tuple[int, int]:
        """(number of the segment, its bytes) that the standby has; (0, 0): nothing."""
        word = int(load_word(self._segment.address + _WORD))
        return word >> _BYTES_BITS, word & ((1 << _BYTES_BITS) - 1)

    def put(self, number: int, size: int) -> None:
        store_word(self._segment.address + _WORD, number << _BYTES_BITS | size)
