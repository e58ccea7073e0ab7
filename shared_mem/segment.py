"""A named piece of memory that processes share: a file in a memory file system, mapped by each of them.

Always holds: the first 64 bytes say what it is (magic, layout, version, size), written before the file gets its
name, so that whoever can open it sees it whole. It outlives its owner: after a kill -9 the next owner finds it
as it was. Must not know what is inside.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

MAGIC: Final = 0x5452_4144_4557_494E  # "TRADEWIN"
HEADER_BYTES: Final = 64
_HEADER: Final = struct.Struct("<Q16sQQ")  # magic, layout, version, size; the rest of the 64 is zero


class SegmentError(RuntimeError):
    """Shared memory that can't be used as asked. The text names the file and the remedy."""


class SegmentMissing(SegmentError):
    pass


class LayoutMismatch(SegmentError):
    pass


class Segment:
    """`size` bytes at `address` (an int64), shared by everyone who maps the same file."""

    def __init__(self, path: Path, fd: int, size: int, writable: bool) -> None:
        self.path = path
        self.size = size
        self.inode = os.fstat(fd).st_ino
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        self.memory = mmap.mmap(fd, size, access=access)
        self.bytes = np.frombuffer(self.memory, dtype=np.uint8)
        self.view = memoryview(self.memory)
        self.address: int = self.bytes.ctypes.data

    @classmethod
    def create(
        cls, path: Path, size: int, layout: str, version: int, words: Mapping[int, int] | None = None
    ) -> Segment:
        """Map it, making it when there is none. What an earlier owner left is kept when its layout is the same
        and replaced otherwise: whoever needs the old content checks for it first, with `attach`.

        words: int64 by offset, that a new one begins with. They are there before it has its name."""
        try:
            return cls.attach(path, layout, version, size=size)
        except SegmentError:
            pass
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(fd, size)
            os.pwrite(fd, _HEADER.pack(MAGIC, layout.encode(), version, size), 0)
            for offset, value in (words or {}).items():
                os.pwrite(fd, value.to_bytes(8, "little"), offset)
            os.rename(temporary, path)
            return cls(path, fd, size, writable=True)
        finally:
            os.close(fd)

    @classmethod
    def attach(
        cls, path: Path, layout: str, version: int, *, size: int | None = None, writable: bool = True
    ) -> Segment:
        """Map what another process made. Raises SegmentMissing, or LayoutMismatch when it is something else."""
        try:
            fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        except FileNotFoundError:
            raise SegmentMissing(f"{path} is not there; is its owner running?") from None
        try:
            head = os.pread(fd, _HEADER.size, 0)
            if len(head) < _HEADER.size:
                raise LayoutMismatch(f"{path} is {len(head)} bytes and no segment; remove it")
            magic, raw_layout, found_version, found_size = _HEADER.unpack(head)
            found = raw_layout.rstrip(b"\0").decode("ascii", "replace")
            if magic != MAGIC or found != layout or found_version != version:
                raise LayoutMismatch(
                    f"{path} holds {found!r} version {found_version}, wanted {layout!r} version {version}; "
                    "stop everything that uses it, then remove it"
                )
            if found_size != os.fstat(fd).st_size or (size is not None and found_size != size):
                raise LayoutMismatch(f"{path} is {found_size} bytes, wanted {size}; remove it")
            return cls(path, fd, found_size, writable)
        finally:
            os.close(fd)
