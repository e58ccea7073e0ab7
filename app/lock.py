"""One stack to a data folder: a lock that dies with the supervisor.

The lock is flock(2) on data_dir/run/lock, held by the supervisor alone; the kernel lets it go however the supervisor
ends, so it is never stale. What a killed supervisor left running is `app/orphans.py`'s.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from app import status
from app.config import Config
from app.faults import StackError


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
