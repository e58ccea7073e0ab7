"""One stack to a data folder: a lock that dies with the supervisor, and what a killed one left running.

The lock is flock(2) on data_dir/run/lock, held by the supervisor alone; the kernel lets it go however the
supervisor ends, so it is never stale. Its processes do outlive it: they are named in the status file, each
with the time it started, so that a pid given out again to a stranger is never touched.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app import status
from app.config import Config
from app.faults import StackError
from app.roles import SERVERS
from app.status import ProcessStatus

LEFTOVER_STOP_S: Final = 5.0
POLL_S: Final = 0.02


def acquire(config: Config) -> int:
    """Takes the data folder's lock and returns its descriptor. Raises StackError while another has it."""
    _make_folders(config)
    descriptor = os.open(config.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _try_lock(descriptor):
        os.close(descriptor)
        running = status.read(config.status_path)
        known = f" (pid {running.supervisor.pid})" if running else ""
        raise StackError(
            f"a stack already runs on {config.data_dir}{known}; see `tradewind status`, stop it with "
            f"`tradewind down`, or start another with --data-dir and --port-base"
        )
    return descriptor


def is_held(config: Config) -> bool:
    """Whether a supervisor lives on this data folder."""
    try:
        descriptor = os.open(config.lock_path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def stop_leftovers(config: Config, tell: Callable[[str], None]) -> int:
    """Ends what a killed supervisor left running, in the order of a stop; returns how many there were.

    Only for the holder of the lock.
    """
    last = status.read(config.status_path)
    left = [process for process in last.processes if process.identity.alive()] if last else []
    if left:
        names = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
        tell(f"an earlier supervisor of {config.data_dir} was killed; stopping what it left: {names}")
    for stage in sorted({process.stop_stage for process in left}):
        _stop([process for process in left if process.stop_stage == stage])
    return len(left)


def _stop(processes: list[ProcessStatus]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            # Postgres's fast shutdown is SIGINT; at SIGTERM it would wait for clients that may never leave.
            fast = number is signal.SIGTERM and process.stop_stage == SERVERS and process.name == "postgres"
            _signal(process, signal.SIGINT if fast else number)
        deadline_s = time.monotonic() + LEFTOVER_STOP_S
        while any(process.identity.alive() for process in processes):
            if time.monotonic() > deadline_s:
                break
            time.sleep(POLL_S)
        else:
            return
    alive = [process for process in processes if process.identity.alive()]
    raise StackError(
        f"{alive[0].name} (pid {alive[0].pid}) of an earlier stack cannot be killed; end it by hand"
    )


def _signal(process: ProcessStatus, number: signal.Signals) -> None:
    if process.pid is None or not process.identity.alive():
        return
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise StackError(
            f"{process.name} (pid {process.pid}) of an earlier stack belongs to another user; "
            f"stop it as that user, or use another --data-dir"
        ) from None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_folders(config: Config) -> None:
    for folder, mode in (
        (config.data_dir, 0o700),
        (config.data_dir / "run", 0o700),
        (config.logs_dir, 0o700),
        (config.run_dir, 0o700),
    ):
        try:
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"{folder} cannot be made: {error.strerror}; use another --data-dir") from None
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            owner = Path(folder).stat().st_uid
            raise StackError(f"{folder} is not ours to write (uid {owner} owns it); use another --data-dir")
