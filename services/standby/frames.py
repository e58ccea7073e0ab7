"""The link's frames: bytes in, frames out. Sans I/O.

    length u4 | kind u1 | flags u1 | 0 u2 | CRC-32 u4 of everything else | body

Always holds: a frame is handed out whole and with the right checksum, or the link is broken (`LinkBroken`): TCP's own
sum lets one damaged segment in 65,536 pass. Nothing is skipped to find the next frame; a broken link is made anew.

Must not know what a frame means.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct("<IBBHI")
_SUMMED: Final = struct.Struct("<IBBH")
# A piece of the log is at most a quarter of a segment (shared_mem/log_copy.py); the other frames are small.
BODY_BYTES_MAX: Final = (16 << 20) + 64


class LinkBroken(ConnectionError):
    """The link can't be used any more; it may be made anew."""


class Frame(NamedTuple):
    kind: int
    flags: int
    body: bytes


def encode(kind: int, body: bytes, flags: int = 0) -> bytes:
    head = _SUMMED.pack(len(body), kind, flags, 0)
    return head + zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "little") + body


class Framer:
    """Takes what a socket gave; `next_frame` until None."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Raises LinkBroken."""
        if len(self._buffer) < _HEAD.size:
            return None
        length, kind, flags, zero, crc = _HEAD.unpack_from(self._buffer)
        if length > BODY_BYTES_MAX or zero:
            raise LinkBroken(f"a frame of {length} bytes, kind {kind}: this is no frame of the link")
        if len(self._buffer) < _HEAD.size + length:
            return None
        body = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
        found = zlib.crc32(body, zlib.crc32(_SUMMED.pack(length, kind, flags, zero)))
        if found != crc:
            raise LinkBroken(
                f"a frame of {length} bytes, kind {kind}, has checksum {found:#x} and says {crc:#x}: "
                "it was damaged on its way"
            )
        del self._buffer[: _HEAD.size + length]
        return Frame(kind, flags, body)
