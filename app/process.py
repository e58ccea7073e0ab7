"""One supervised process over its lives: a table of states, and when it may be tried again.

    waiting ──start──▶ starting ──ready──▶ ready ──▶ stopping ──▶ stopped
       ▲                  │   ╲              │
       │                  │    ╲ (once) ─▶ done
       └── back-off ◀── died ◀──────────────┘
                          │
                          └── START_DEATHS_MAX in a row, and it has never served ──▶ failed

A death is quick when it comes before READY_SETTLED_S of service. A process that worked and was killed comes back at
once; each quick death in a row makes the next try later, up to the last of BACK_OFF_S. One that has served is tried
for ever, for a desk whose database is away must not need a person when it is back; one that never has is given up,
so that a start that cannot succeed ends with a reason. There is no jitter: one supervisor's processes do not crowd.
"""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Final

from app import placement
from app.child import EXIT_LEASE_OVER, Child
from app.embedded.server import EmbeddedServer
from app.roles import SERVERS, Main, Role
from app.status import ProcessStatus, start_time

# After no, one, two, … quick deaths in a row. The first try is at once: a killed process is back within 2 s. The last
# is the cap: six tries a minute cost a machine nothing, and a cause that goes away is noticed within ten seconds.
BACK_OFF_S: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
# Quick deaths after which a process that has never served is given up: some four seconds of trying.
START_DEATHS_MAX: Final = 5
READY_SETTLED_S: Final = 2.0
# A role promises to stop within 3 s; a server writes its checkpoint first.
ROLE_STOP_S: Final = 5.0
SERVER_STOP_S: Final = 15.0
# SIGKILLs, as far apart as a role's stop; what survives them hangs in the kernel, and a stop goes on without it.
KILLS_MAX: Final = 2


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
        self._has_served = False

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
        self._has_served = True

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
        if exit_code == EXIT_LEASE_OVER:
            self.state = State.FAILED
            self.detail = died_of(exit_code)
            self.lease_is_over = True
        else:
            self._try_again(died_of(exit_code), START_DEATHS_MAX, now_s)

    def could_not_begin(self, reason: str, now_s: float) -> None:
        """No child came to be. At a start that is final: a folder that cannot be used, a binary that is missing. Later
        it passes: no memory for a fork, no room for a log file."""
        self._quick_deaths += 1
        self._try_again(reason, 1, now_s)

    def _try_again(self, reason: str, most: int, now_s: float) -> None:
        deaths = self._quick_deaths
        self.detail = reason if deaths < 2 else f"{reason}, {deaths} times in a row"
        if deaths >= most and not self._has_served:
            self.state = State.FAILED
        else:
            self.state = State.WAITING
            self.not_before = now_s + BACK_OFF_S[min(deaths, len(BACK_OFF_S) - 1)]

    def status(self) -> ProcessStatus:
        pid = self.child.pid if self.child is not None else None
        cores = "" if pid is None else placement.seen(pid)
        return ProcessStatus(
            self.name, pid, str(self.state), self.started, self.stop_stage, self.detail, cores
        )


def died_of(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        try:
            return f"killed by {signal.Signals(-exit_code).name}"
        except ValueError:
            return f"killed by signal {-exit_code}"
    return f"ended with exit code {exit_code}"
