"""How one process comes to life: a server is executed, a role is forked off the warm supervisor.

Always holds here: a child stands in a session of its own (a Ctrl-C at the terminal reaches the supervisor
alone), prints into its log, holds none of the supervisor's descriptors (a lock held by a child would
outlive us), and a role says that it is ready by one byte on a pipe.
"""

from __future__ import annotations

import ctypes
import gc
import io
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from app import logs, placement
from app.config import Config
from app.embedded.server import EmbeddedServer
from app.roles import Main

# The kernel keeps 15 characters of a process's name (prctl(2), PR_SET_NAME).
NAME_CHARACTERS_MAX: Final = 15
_PR_SET_NAME: Final = 15
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# As in shared_mem/lease.py; a test holds them equal. What ends with it must not be started again on this host.
EXIT_LEASE_OVER: Final = 77
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Child:
    """A living process, until `poll` has told its end."""

    def __init__(self, pid: int, ready_fd: int | None, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._ready_fd = ready_fd
        self._popen = popen

    @property
    def ready_fd(self) -> int | None:
        """The pipe that tells of readiness, until it has been read."""
        return self._ready_fd

    def read_ready(self) -> bool:
        """Whether the byte came. Call when `ready_fd` is readable; an end without a byte is a death."""
        assert self._ready_fd is not None
        came = os.read(self._ready_fd, 1) == b"!"
        self.close()
        return came

    def close(self) -> None:
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it lives."""
        if self._popen is not None:
            return self._popen.poll()
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


def execute(server: EmbeddedServer, config: Config) -> Child:
    """Starts an embedded server. Raises ServerError, OSError."""
    output = logs.open_for(config.logs_dir, server.name)
    try:
        popen = server.launch().spawn(output)
    finally:
        os.close(output)
    return Child(popen.pid, None, popen)


def fork(name: str, main: Main, config: Config, to_close: Iterable[int]) -> Child:
    """Forks a role: the child runs `main` and never returns. `to_close`: the supervisor's descriptors."""
    readable, writable = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid != 0:
        os.close(writable)
        return Child(pid, readable)
    code = 1
    try:
        for descriptor in (readable, *to_close):
            os.close(descriptor)
        _settle(name, config)
        placement.place(name, config)
        _watch_the_lease(name, config)
        main(config, _ready(writable))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
    except BaseException as error:  # whatever it is, it must not unwind into the supervisor's frames
        code = _exit_code_of(error)
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch_the_lease(name: str, config: Config) -> None:
    """Only where there is a standby, and so a lease."""
    if config.standby_key is not None:
        from app import lease_watch  # here, and not above: see `_exit_code_of`

        if name in lease_watch.WATCHING:
            lease_watch.start(config)


def _exit_code_of(error: BaseException) -> int:
    """Here, and not above: the commands that trade nothing need not load what compiles."""
    from shared_mem.lease import LeaseOver

    return EXIT_LEASE_OVER if isinstance(error, LeaseOver) else 1


def _settle(name: str, config: Config) -> None:
    """Makes the forked process one of its own: session, signals, name, output, log format."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    set_process_name(f"tw-{name}")
    null = os.open(os.devnull, os.O_RDONLY)
    output = logs.open_for(config.logs_dir, name)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    configure_logging()
    gc.enable()


def configure_logging() -> None:
    """The one log format of every role, on stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=LOG_FORMAT, force=True)


def set_process_name(name: str) -> None:
    """The name that ps, top and pgrep show. Cosmetic: a system that refuses is no fault."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_NAME, name[:NAME_CHARACTERS_MAX].encode(), 0, 0, 0)


def _ready(writable: int) -> Callable[[], None]:
    told = False

    def ready() -> None:
        nonlocal told
        if not told:
            told = True
            with suppress(BrokenPipeError):  # the supervisor was killed: a role trades on without it
                os.write(writable, b"!")
            os.close(writable)

    return ready
