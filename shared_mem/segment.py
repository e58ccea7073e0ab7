"""A named piece of memory that processes share: a file in a memory file system, mapped by each of them.

Always holds: the first 64 bytes say what it is (magic, layout, version, size), written before the file gets its
name, so that whoever can open it sees it whole. It outlives its owner: after a kill -9 the next owner finds it
as it was. Must not know what is inside.
"""

from __future__ import annotations

import errno
import glob
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from shared_mem.atomics import fetch_add, load_i64
from shared_mem.jit import jit

MAGIC: Final = 0x5452_4144_4557_494E  # "TRADEWIN"
HEADER_BYTES: Final = 64
_HEADER: Final = struct.Struct("<Q16sQQ")  # magic, layout, version, size; the rest of the 64 is zero

# madvise(2), Linux: names that Python's mmap does not have. Elsewhere, and on kernels before 5.14, they are
# unknown to the kernel, which says EINVAL.
_MADV_HUGEPAGE: Final = 14
_MADV_POPULATE_READ: Final = 22
_MADV_POPULATE_WRITE: Final = 23


class SegmentError(RuntimeError):
    """Shared memory that can't be used as asked. The text names the file and the remedy."""


class SegmentMissing(SegmentError):
    pass


class LayoutMismatch(SegmentError):
    pass


class NoRoom(SegmentError):
    pass


class Segment:
    """`size` bytes at `address` (an int64), shared by everyone who maps the same file."""

    def __init__(self, path: Path, fd: int, size: int, writable: bool) -> None:
        self.path = path
        self.size = size
        self.writable = writable
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
        _remove_leftovers(path)
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

    def prefault(self, offset: int = 0, length: int | None = None) -> None:
        """Touch every page (of `length` bytes from `offset`) now, so that none is faulted in while orders flow. What
        stands in them, and what others write to them meanwhile, stays. Raises NoRoom where the memory file system is
        too small: a store to such a page later would be a SIGBUS."""
        wanted = _MADV_POPULATE_WRITE if self.writable else _MADV_POPULATE_READ
        end = self.size if length is None else min(offset + length, self.size)
        begin = offset - offset % mmap.PAGESIZE
        if end <= begin:
            return
        try:
            self.memory.madvise(wanted, begin, end - begin)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise NoRoom(
                    f"{self.path}: {end - begin} bytes of memory can't be had ({os.strerror(error.errno or 0)}); "
                    f"make room in {self.path.parent}, or make what is in it smaller"
                ) from None
            _touch(self.address + begin, end - begin, mmap.PAGESIZE, self.writable)

    def advise_huge(self) -> bool:
        """Ask for pages of 2 MiB, which save misses of the TLB; False where the system gives none. Before `prefault`.

        Linux gives them to a memory file system that is mounted so: `mount -o remount,huge=advise /dev/shm`."""
        try:
            self.memory.madvise(_MADV_HUGEPAGE)
        except OSError:
            return False
        return True


def _remove_leftovers(path: Path) -> None:
    """What makers left who were killed before their segment had its name."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        pid = leftover.name.rpartition(".")[2]
        if pid.isdigit() and not is_alive(int(pid)):
            leftover.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


@jit
def _touch(address: int, size: int, page: int, writable: bool) -> int:
    """One word of every page: added 0 to, in one step, so that a write of somebody else's beside it is kept."""
    seen = 0
    for offset in range(0, size, page):
        seen += fetch_add(address + offset, 0) if writable else load_i64(address + offset)
    return seen
