"""Whole messages out of a stream's bytes.

Always holds: bytes may come in any pieces; a header is checked as soon as it is there, so that bytes which are no
message are never waited upon; what is kept is less than one message and what the last read brought.
Must not do: look into a message behind its header.
"""

from __future__ import annotations

import struct
from collections.abc import Set
from typing import Final

from gateways.binary.layout import HEADER_BYTES, LENGTHS, MAGIC, VERSION, Kind

_HEADER: Final = struct.Struct("<4H")
assert _HEADER.size == HEADER_BYTES


class FrameError(ValueError):
    """Bytes that are no message of this protocol, or not one that this side is sent. The text names them, where they
    stand in the stream, and the remedy. Nothing behind them can be read."""


class Frames:
    """Of one connection. `kinds`: those that may come."""

    def __init__(self, kinds: Set[Kind]) -> None:
        self._lengths = {int(kind): LENGTHS[int(kind)] for kind in kinds}
        self._buffer = bytearray()
        self._at = 0
        self._before = 0  # bytes of the stream that are gone from the buffer

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._at:
            del self._buffer[: self._at]
            self._before += self._at
            self._at = 0
        self._buffer += data

    @property
    def waiting(self) -> int:
        """Bytes that are not taken yet."""
        return len(self._buffer) - self._at

    def next(self) -> bytes | None:
        """The next whole message; None until it is there. Raises FrameError."""
        at = self._at
        if len(self._buffer) - at < HEADER_BYTES:
            return None
        magic, length, kind, version = _HEADER.unpack_from(self._buffer, at)
        expected = self._lengths.get(kind)
        if magic != MAGIC or version != VERSION or length != expected:
            raise FrameError(self._what_is_wrong(magic, length, kind, version))
        if len(self._buffer) - at < length:
            return None
        self._at = at + length
        return bytes(self._buffer[at : at + length])

    def _what_is_wrong(self, magic: int, length: int, kind: int, version: int) -> str:
        place = f"at byte {self._before + self._at}"
        if magic != MAGIC:
            return f"magic {magic:#06x} {place}; messages begin with {MAGIC:#06x}"
        if version != VERSION:
            return f"version {version} {place}; this door speaks {VERSION}"
        if kind not in self._lengths:
            known = ", ".join(str(number) for number in sorted(self._lengths))
            return f"kind {kind} {place}; what may be sent is {known}"
        return f"length {length} of kind {kind} {place}; it has {self._lengths[kind]} bytes"
