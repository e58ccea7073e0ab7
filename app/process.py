"""One supervised process over its lives: a table of states, and when it may be tried again.

    waiting ──start──▶ starting ──ready──▶ ready ──▶ stopping ──▶ stopped
       ▲                  │   ╲              │
       │                  │    ╲ (once) ─▶ done
       └── back-off ◀── died ◀──────────────┘
                          │
                          └── QUICK_DEATHS_MAX in a row ──▶ failed

A death is quick when it comes before READY_SETTLED_S of service: a process that worked and was killed comes
back at once, one that cannot start is not tried for ever.
"""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Final

from app.child import EXIT_LEASE_OVER, Child
from app.embedded.server import EmbeddedServer
from app.roles import SERVERS, Main, Role
from app.status import ProcessStatus, start_time

# Before the first, second, … new try in a row. The first is at once: a killed process is back within 2 s.
BACK_OFF_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
QUICK_DEATHS_MAX: Final = len(BACK_OFF_S)
READY_SETTLED_S: Final = 2.0


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Process:
    """A server or a role, its present child, and what became of the ones before."""

    def __init__(self, work: EmbeddedServer | Role, main: Main | None = None) -> None:
        self.work = work
        self.main = main
        self.name = work.name
        self.state = State.WAITING
        self.child: Child | None = None
        self.started = 0
        self.detail = ""
        self.not_before = 0.0
        self._ready_at = 0.0
        self._quick_deaths = 0
        self.lease_is_over = False

    @property
    def needs(self) -> tuple[str, ...]:
        return self.work.needs if isinstance(self.work, Role) else ()

    @property
    def stop_stage(self) -> int:
        return self.work.stop_stage if isinstance(self.work, Role) else SERVERS

    @property
    def stop_signal(self) -> signal.Signals:
        return signal.SIGTERM if isinstance(self.work, Role) else self.work.stop_signal

    @property
    def once(self) -> bool:
        return isinstance(self.work, Role) and self.work.once

    @property
    def serves(self) -> bool:
        """Whether what needs this process may start."""
        return self.state is (State.DONE if self.once else State.READY)

    @property
    def holds(self) -> bool:
        """Whether it does its work well while what needs it waits, perhaps for days: a standby."""
        return isinstance(self.work, Role) and self.work.holds and self.state is State.READY

    def began(self, child: Child) -> None:
        assert self.state is State.WAITING
        assert self.child is None
        self.child = child
        self.started = start_time(child.pid)
        self.state = State.STARTING

    def became_ready(self, now_s: float) -> None:
        assert self.state is State.STARTING
        self.state = State.READY
        self.detail = ""
        self._ready_at = now_s

    def ended(self, exit_code: int, now_s: float) -> None:
        """The child is gone. Decides whether and when it is tried again; `detail` says how it went."""
        assert self.child is not None
        self.child.close()
        self.child = None
        if self.state is State.STOPPING:
            self.state = State.STOPPED
            return
        if self.once and exit_code == 0:
            self.state = State.DONE
            return
        settled = self.state is State.READY and now_s - self._ready_at >= READY_SETTLED_S
        self._quick_deaths = 0 if settled else self._quick_deaths + 1
        self.detail = died_of(exit_code)
        if exit_code == EXIT_LEASE_OVER:
            self.state = State.FAILED
            self.lease_is_over = True
        elif self._quick_deaths >= QUICK_DEATHS_MAX:
            self.state = State.FAILED
        else:
            self.state = State.WAITING
            self.not_before = now_s + BACK_OFF_S[self._quick_deaths]

    def could_not_begin(self, reason: str) -> None:
        """Starting it again would change nothing: a folder that cannot be used, a binary that is missing."""
        self.state = State.FAILED
        self.detail = reason

    def status(self) -> ProcessStatus:
        pid = self.child.pid if self.child is not None else None
        return ProcessStatus(self.name, pid, str(self.state), self.started, self.stop_stage, self.detail)


def died_of(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        try:
            return f"killed by {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"killed by signal {-exit_code}"
    return f"ended with exit code {exit_code}"
