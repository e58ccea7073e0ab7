"""Where the simulated machine meets the real code: the system calls that make something durable, chance, and time.

The modules that keep something on disk call `os.pwrite`, `os.fdatasync` and so on. For the time of a simulation their
`os` is this one: it tells the disk what was synced, fails as the disk says, and is where a process dies.

Always holds: a dead process makes no call: each raises `Killed`, which nothing catches.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from unittest.mock import patch

import fix.store
import shared_mem.cursors
import shared_mem.flusher
import shared_mem.log_folder
import shared_mem.log_recovery
import shared_mem.log_writer
import shared_mem.ring
from tests.simulation.disk import Disk
from tests.simulation.world import World

_WITH_OS: Final[tuple[ModuleType, ...]] = (
    shared_mem.flusher,
    shared_mem.cursors,
    shared_mem.log_folder,
    shared_mem.log_recovery,
    shared_mem.log_writer,
    fix.store,
)
_WITH_CHANCE: Final[tuple[ModuleType, ...]] = (shared_mem.log_folder, shared_mem.ring)


class Killed(BaseException):
    """The process is dead. Not an Exception, so that no code of it goes on."""


class Process:
    """One process, as far as the kernel knows it. `calls_left`: it dies at that call from now on; -1: it does not.
    `takes_power`: its machine loses its power with that."""

    def __init__(self, name: str, disk: Disk) -> None:
        self.name = name
        self.disk = disk
        self.is_dead = False
        self.calls_left = -1
        self.takes_power = False


class Kernel:
    """`os` for the code that is simulated. What it does not name is the real one's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.process: Process | None = None
        self._open: dict[int, Process] = {}
        self._reserved: dict[int, int] = {}  # up to which byte a session's store has room

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _enter(self) -> bool:
        """A call begins. True: the process dies in it."""
        process = self.process
        if process is None:
            return False
        if process.is_dead:
            raise Killed(process.name)
        if process.calls_left < 0:
            return False
        process.calls_left -= 1
        return process.calls_left < 0

    def _die(self, where: str) -> None:
        assert self.process is not None
        self.process.is_dead = True
        self._world.saw(f"killed in {where}")
        raise Killed(self.process.name)

    def write(self, fd: int, data: bytes) -> int:
        return self._written(fd, memoryview(data), None)

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        return self._written(fd, memoryview(data), offset)

    def _written(self, fd: int, data: memoryview, offset: int | None) -> int:
        dies, world = self._enter(), self._world
        disk = self._disk()
        appends_to = os.fstat(fd).st_size + len(data)
        if disk is not None and disk.is_full and offset is None and appends_to > self._reserved.get(fd, 0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if dies:
            data = data[: world.rng.randrange(len(data) + 1)]
        at = os.fstat(fd).st_size if offset is None else offset
        done = os.write(fd, data) if offset is None else os.pwrite(fd, data, offset)
        if disk is not None:
            disk.wrote(fd, at, done)
        if dies:
            self._die("a write")
        return done

    def fdatasync(self, fd: int) -> None:
        self._sync(fd)

    def fsync(self, fd: int) -> None:
        self._sync(fd)

    def _sync(self, fd: int) -> None:
        dies = self._enter()
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        disk = self._disk()
        if dies and self._world.chance(0.5):
            self._die("a sync, before it")
        if disk is not None and disk.has(path):
            disk.sync(fd, path)
        if dies:
            self._die("a sync, after it")

    def posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        dies = self._enter()
        disk = self._disk()
        if disk is not None and disk.is_full and os.fstat(fd).st_size < offset + length:
            self._world.saw("no room for a segment")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.posix_fallocate(fd, offset, length)
        if dies:
            self._die("a reservation")

    def reserve(self, fd: int, begin: int, length: int) -> bool:
        """Of a session's store: see fix/disk_room.py."""
        dies = self._enter()
        disk = self._disk()
        has_room = disk is None or not disk.is_full or begin + length <= self._reserved.get(fd, 0)
        if has_room:
            self._reserved[fd] = max(begin + length, self._reserved.get(fd, 0))
        else:
            self._world.saw("no room for a session")
        if dies:
            self._die("a session's reservation")
        return has_room

    def ftruncate(self, fd: int, length: int) -> None:
        dies = self._enter()
        os.ftruncate(fd, length)
        if dies:
            self._die("a truncation")

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        if self._enter():
            self._die("an open")
        fd = os.open(path, flags, mode)
        if self.process is not None:
            self._open[fd] = self.process
        return fd

    def close(self, fd: int) -> None:
        self._open.pop(fd, None)
        self._reserved.pop(fd, None)
        os.close(fd)

    def reap(self, process: Process) -> None:
        """Closes what a dead process left open."""
        for fd in [fd for fd, owner in self._open.items() if owner is process]:
            self.close(fd)

    def _disk(self) -> Disk | None:
        return None if self.process is None else self.process.disk


class _Chance:
    """`secrets`, from the seed."""

    def __init__(self, world: World) -> None:
        self._rng = world.rng

    def randbits(self, bits: int) -> int:
        return self._rng.getrandbits(bits)


class _Time:
    """`time` of the flusher."""

    def __init__(self, world: World) -> None:
        self._world = world

    def time_ns(self) -> int:
        return self._world.now_ns

    def monotonic(self) -> float:
        return self._world.now_ns / 1e9


@contextmanager
def seams(world: World) -> Iterator[Kernel]:
    """For this long the durable code runs on a simulated machine."""
    kernel = Kernel(world)
    with ExitStack() as stack:
        for module in _WITH_OS:
            stack.enter_context(patch.object(module, "os", kernel))
        for module in _WITH_CHANCE:
            stack.enter_context(patch.object(module, "secrets", _Chance(world)))
        stack.enter_context(patch.object(fix.store, "reserve", kernel.reserve))
        stack.enter_context(patch.object(shared_mem.flusher, "time", _Time(world)))
        yield kernel
