"""Processes of the simulation: each is started, takes steps, and may die in any of them.

Always holds: a dead process does nothing more, its descriptors are closed as a kernel would, and what it kept in its
own memory is gone. An error that its role would end with ends it, where a fault that was injected explains it; any
other error is a finding.
"""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from fix.store import StoreCorrupt, StoreError
from shared_mem.log import Gate, LogError
from tests.simulation.disk import Disk
from tests.simulation.seams import Kernel, Killed, Process
from tests.simulation.world import Broken, World


class Machine:
    """`data` is on the disk; `run` is memory that its processes share, and is gone with the power."""

    def __init__(self, world: World, kernel: Kernel, root: Path, torn: float, *, synced: bool) -> None:
        self.world = world
        self.kernel = kernel
        self.data = root / "data"
        self.run = root / "run"
        self.data.mkdir(parents=True)
        self.run.mkdir()
        self.disk = Disk(world, self.data, torn)
        self.synced = synced
        self.skew_ns = 0  # of its clock
        self.hosts: list[Host] = []
        self.on_power_cut: Callable[[], None] = self.power_cut

    @property
    def gate(self) -> Gate:
        return Gate.SYNCED if self.synced else Gate.WRITTEN

    def clock(self) -> int:
        return self.world.now_ns + self.skew_ns

    def power_cut(self) -> None:
        for host in self.hosts:
            host.die(machine=True)
        gc.collect()  # nothing may still be mapped or open
        for path in self.run.iterdir():
            path.unlink()
        self.disk.power_cut()
        self.disk.is_full = self.disk.fails_sync = False


class Host:
    """One process of a machine."""

    name: ClassVar[str]

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = machine.world
        self.process: Process | None = None
        machine.hosts.append(self)

    @property
    def is_alive(self) -> bool:
        return self.process is not None

    def start(self) -> None:
        """Begins a new life, where what it needs is there."""
        if self.is_alive or not self.may_start():
            return
        self.process = Process(self.name, self.machine.disk)
        self.world.note(f"{self.name} starts")
        self.step(self.begin)

    def step(self, what: Callable[[], object]) -> bool:
        """A step of a living process; False when there was none, or it died."""
        process, kernel = self.process, self.machine.kernel
        if process is None:
            return False
        before, kernel.process = kernel.process, process
        try:
            what()
        except Killed:
            self.world.note(f"{self.name} dies in a call")
            self.die()
            if process.takes_power:
                self.machine.on_power_cut()
            return False
        except (StoreError, LogError, OSError) as error:
            if not (process.is_dead or self._is_the_disks(error)):
                raise Broken(f"{self.name}: {error}") from error
            self.world.note(f"{self.name} ends: {type(error).__name__}")
            self.die()
            return False
        finally:
            kernel.process = before
        return True

    def _is_the_disks(self, error: StoreError | LogError | OSError) -> bool:
        """Whether a role that ends with it does what it shall: the disk is full, or has failed a sync."""
        if isinstance(error, StoreCorrupt):
            return False
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in (errno.EIO, errno.ENOSPC):
                return True
            cause = cause.__cause__ or cause.__context__
        return False

    def die(self, *, machine: bool = False) -> None:
        """SIGKILL; with `machine`, the power is gone."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.is_dead = True
        self.end(machine)
        self.machine.kernel.reap(process)

    # --- what each is -----------------------------------------------------------------------------------

    def may_start(self) -> bool:
        return True

    def begin(self) -> None:
        raise NotImplementedError

    def end(self, machine: bool) -> None:
        """Drops everything; closes descriptors."""
        raise NotImplementedError
