"""The supervisor: starts a stack's processes in the order of their needs, restarts what dies, stops in order.

One thread and no event loop, so that a fork copies nothing that was busy: it waits in poll() for a signal
or for a child's word that it is ready, and looks at all of them then. Its picture of the stack goes to the
status file at each change, before anything else can happen to what changed.

Must not: import a room, know what a role does, or touch an order. What it starts is handed to it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final

from app import child, logs, status
from app.config import Config
from app.embedded.server import ServerError
from app.process import KILLS_MAX, ROLE_STOP_S, SERVER_STOP_S, Process, State
from app.roles import Role
from app.status import Identity, Status

# Servers have no pipe to tell us by: while one starts it is asked this often.
SERVER_PROBE_S: Final = 0.02
IDLE_S: Final = 5.0

Tell = Callable[[str], None]


class Supervisor:
    """Runs `processes` until a signal. `tell` shows a line to whoever started the stack."""

    def __init__(
        self,
        config: Config,
        processes: Sequence[Process],
        tell: Tell,
        inherited: Sequence[int] = (),
    ) -> None:
        self._config = config
        self._processes = list(processes)
        self._by_name = {process.name: process for process in processes}
        self._tell = tell
        self._inherited = list(inherited)
        self._demo: dict[str, str] = {}
        self._stop_asked = 0
        self._was_ready = False
        self._written: Status | None = None
        self._next_rotation_s = 0.0
        self._wake_receive, self._wake_send = socket.socketpair()
        self._wake_receive.setblocking(False)
        self._wake_send.setblocking(False)

    def start_servers(self) -> None:
        """Executes the embedded servers, which start while the roles' modules are imported."""
        for process in self._processes:
            if not isinstance(process.work, Role):
                self._begin(process)
        self._write()

    def run(self, demo: dict[str, str], on_ready: Callable[[], None]) -> int:
        """Starts the rest and looks after all of it until a signal says stop; returns the exit code.

        `on_ready` is called once, when everything serves. A process that fails while others still wait for it
        ends the start, in order, with exit code 1.
        """
        self._demo = demo
        self._take_signals()
        exit_code = 0
        while not self._stop_asked:
            self._look()
            self._write()
            if not self._was_ready and self._all_ready():
                self._was_ready = True
                on_ready()
            if any(process.lease_is_over for process in self._processes):
                self._tell("another host owns the shard, or this one's lease has run out: stopping all of it")
                exit_code = child.EXIT_LEASE_OVER
                break
            if blocked := self._blocked():
                self._tell(blocked)
                exit_code = 1
                break
            self._wait()
        self.stop()
        return exit_code

    def stop(self) -> None:
        """Ends everything: stage by stage, each with its time, and SIGKILL for what overstays."""
        for process in self._processes:
            if process.child is None and process.state in (State.WAITING, State.STARTING):
                process.state = State.STOPPED
        for stage in sorted({process.stop_stage for process in self._processes}):
            self._stop_stage([p for p in self._processes if p.stop_stage == stage and p.child is not None])
        self._write()

    # -- looking -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now_s = time.monotonic()
        for process in self._processes:
            if process.child is not None:
                self._look_at(process, now_s)
        for process in self._processes:
            if process.state is State.WAITING and process.not_before <= now_s and self._needs_met(process):
                self._begin(process)
                self._write()
        if now_s >= self._next_rotation_s:
            logs.rotate(self._config.logs_dir)
            self._next_rotation_s = now_s + IDLE_S

    def _look_at(self, process: Process, now_s: float) -> None:
        running = process.child
        assert running is not None
        if process.state is State.STARTING and self._is_ready(process):
            process.became_ready(now_s)
        exit_code = running.poll()
        if exit_code is None:
            return
        process.ended(exit_code, now_s)
        if process.state is State.DONE:
            return
        said = logs.last_line(self._config.logs_dir, process.name)
        if process.state is State.FAILED:
            process.detail += f": {said}"
            self._tell(f"{process.name} failed: {process.detail}. See `tradewind logs {process.name}`.")
        else:
            self._tell(f"{process.name} {process.detail} ({said}); starting it again")

    def _is_ready(self, process: Process) -> bool:
        running = process.child
        assert running is not None
        if not isinstance(process.work, Role):
            return process.work.is_ready(running.pid)
        if running.ready_fd is None or not _readable(running.ready_fd):
            return False
        return running.read_ready()

    def _needs_met(self, process: Process) -> bool:
        """A need that is no process of this stack (a server elsewhere) was checked before the start."""
        return all(self._by_name[name].serves for name in process.needs if name in self._by_name)

    def _all_ready(self) -> bool:
        held = any(process.holds for process in self._processes)
        return all(
            process.serves
            or process.holds
            or process.state is State.DONE
            or (held and process.state is State.WAITING)
            for process in self._processes
        )

    def _blocked(self) -> str:
        if self._was_ready:
            return ""
        failed = {process.name for process in self._processes if process.state is State.FAILED}
        waiting = [
            p.name for p in self._processes if p.state is State.WAITING and failed.intersection(p.needs)
        ]
        if not waiting and not (failed and all(p.serves or p.name in failed for p in self._processes)):
            return ""
        return f"the start cannot go on without {', '.join(sorted(failed))}; stopping what has started"

    # -- acting --------------------------------------------------------------------------------------------

    def _begin(self, process: Process) -> None:
        try:
            if isinstance(process.work, Role):
                assert process.main is not None
                begun = child.fork(process.name, process.main, self._config, self._own_descriptors())
            else:
                process.work.prepare()
                begun = child.execute(process.work, self._config)
        except (ServerError, OSError) as error:
            process.could_not_begin(str(error), time.monotonic())
            self._tell(f"{process.name} cannot start: {error}")
        else:
            process.began(begun)

    def _own_descriptors(self) -> list[int]:
        pipes = [p.child.ready_fd for p in self._processes if p.child and p.child.ready_fd is not None]
        return [*self._inherited, *pipes, self._wake_receive.fileno(), self._wake_send.fileno()]

    def _stop_stage(self, processes: list[Process]) -> None:
        longest_s = 0.0
        for process in processes:
            assert process.child is not None
            process.state = State.STOPPING
            process.child.kill(process.stop_signal)
            longest_s = max(longest_s, ROLE_STOP_S if isinstance(process.work, Role) else SERVER_STOP_S)
        self._write()
        deadline_s = time.monotonic() + longest_s
        asked, kills = self._stop_asked, 0
        while left := [process for process in processes if process.child is not None]:
            if time.monotonic() > deadline_s or (kills == 0 and self._stop_asked > max(asked, 1)):
                if kills == KILLS_MAX:
                    names = ", ".join(f"{p.name} (pid {p.child.pid})" for p in left if p.child is not None)
                    self._tell(f"{names} cannot be killed: the kernel holds it; going on without")
                    return
                for process in left:
                    assert process.child is not None
                    self._tell(f"{process.name} does not stop by itself; killed")
                    process.child.kill(signal.SIGKILL)
                kills += 1
                deadline_s = time.monotonic() + ROLE_STOP_S
            for process in left:
                assert process.child is not None
                exit_code = process.child.poll()
                if exit_code is not None:
                    process.ended(exit_code, time.monotonic())
            time.sleep(SERVER_PROBE_S / 2)

    # -- waiting -------------------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        def asked(_number: int, _frame: object) -> None:
            self._stop_asked += 1

        signal.set_wakeup_fd(self._wake_send.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, asked)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _wait(self) -> None:
        now_s = time.monotonic()
        timeout_s = IDLE_S
        poller = select.poll()
        poller.register(self._wake_receive, select.POLLIN)
        for process in self._processes:
            if process.state is State.STARTING and process.child is not None:
                if process.child.ready_fd is None:
                    timeout_s = min(timeout_s, SERVER_PROBE_S)
                else:
                    poller.register(process.child.ready_fd, select.POLLIN)
            elif process.state is State.WAITING and process.not_before > now_s:
                timeout_s = min(timeout_s, process.not_before - now_s)
        poller.poll(timeout_s * 1000)
        try:
            while self._wake_receive.recv(64):
                pass
        except BlockingIOError:
            pass

    def _write(self) -> None:
        current = Status(
            ready=self._all_ready(),
            supervisor=Identity.of(os.getpid()),
            endpoints=status.endpoints(self._config),
            demo=self._demo,
            processes=[p.status() for p in self._processes if p.state is not State.DONE],
        )
        if current != self._written:
            status.write(self._config.status_path, current)
            self._written = current


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
