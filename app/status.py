"""The status file: what the supervisor last said of its stack, for every other `tradewind` command.

Written whole or not at all, by the supervisor alone. A reader must not believe it without a look at the
supervisor's process: `Identity.alive` tells a living process from a number that was given out again.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from app.config import Config

# Field 22 of /proc/PID/stat, counted after the command's name, which may hold spaces (proc(5)).
_START_TIME_FIELD = 22 - 3


class Identity(msgspec.Struct, frozen=True):
    """A process that cannot be mistaken for a later one: its pid, and when it started in ticks since boot."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity:
        return cls(pid, start_time(pid))

    def alive(self) -> bool:
        return self.started != 0 and start_time(self.pid) == self.started


def start_time(pid: int) -> int:
    """When process `pid` started, in clock ticks since boot; 0 where there is none, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[_START_TIME_FIELD])


class ProcessStatus(msgspec.Struct, frozen=True):
    """One process; `pid` is None while none runs. `detail` says why, where something is wrong."""

    name: str
    pid: int | None
    state: str
    started: int
    stop_stage: int
    detail: str = ""
    cores: str = ""  # that it is pinned to; "": it runs on any

    @property
    def identity(self) -> Identity:
        return Identity(self.pid or 0, self.started)


class Status(msgspec.Struct, frozen=True):
    """Everything that is known of a stack."""

    ready: bool
    supervisor: Identity
    endpoints: dict[str, str]
    demo: dict[str, str]
    processes: list[ProcessStatus]

    @property
    def is_left(self) -> bool:
        """Whether these processes have no supervisor any more."""
        return bool(self.processes) and not self.supervisor.alive()

    def public(self) -> dict[str, object]:
        """What `tradewind status --json` prints. A promise to programs: fields are added, never changed."""
        return {
            "ready": self.ready,
            "endpoints": self.endpoints,
            "demo": self.demo,
            "processes": [
                {"name": p.name, "pid": p.pid, "state": p.state, "cores": p.cores} for p in self.processes
            ],
        }


def endpoints(config: Config) -> dict[str, str]:
    """Where a person or program finds the stack. A wildcard address is reached on the loopback."""
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
    rest = f"{host}:{config.ports.rest}"
    return {
        "rest": f"http://{rest}",
        "trading_stream": f"ws://{rest}/stream",
        "data_stream": f"ws://{rest}/v2/iex",
        "web": f"http://{rest}/",
        "fix": f"{host}:{config.ports.fix}",
        "binary": f"{host}:{config.ports.binary}",
        "drop_copy": f"{host}:{config.ports.drop_copy}",
        "docs": f"http://{rest}/docs",
    }


def write(path: Path, status: Status) -> None:
    """Replaces the file at once, so that a reader never sees half of it."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)  # it holds the demo's secret key
    fresh.write_bytes(msgspec.json.encode(status))
    fresh.replace(path)


def read(path: Path) -> Status | None:
    """The last status written, or None where no stack was started or the file cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except (OSError, msgspec.MsgspecError):
        return None


def stopped(config: Config) -> Status:
    """The status of a stack that does not run."""
    return Status(False, Identity(os.getpid(), 0), endpoints(config), {}, [])
