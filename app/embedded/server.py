"""What the three embedded servers have in common: a name, a folder, a port, and who they run as.

A server is described, not run: `prepare` makes its folder (once), `launch` says what to execute, `is_ready`
looks at a running one without waiting for it. The supervisor does the rest; `running` below does it for a
test.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

# A server on loopback answers in microseconds or is busy starting: then the next look is soon enough.
PROBE_TIMEOUT_S: Final = 0.2
# Each of the three is up in about a second; ten is a slow disk, sixty is a fault.
READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.02


class ServerError(RuntimeError):
    """An embedded server that cannot be prepared or started. The text says why and what to do."""


class Launch(NamedTuple):
    """What to execute. `uid`: run as this user, where we are root and the server must not be."""

    argv: list[str]
    cwd: Path
    uid: int | None = None
    gid: int | None = None

    def spawn(self, output: int) -> subprocess.Popen[bytes]:
        """Starts it in a process group of its own, so that a Ctrl-C at the terminal reaches us alone."""
        return subprocess.Popen(
            self.argv,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


class EmbeddedServer(Protocol):
    """One of the three. `stop_signal` asks for a clean stop that waits for no client."""

    name: str
    port: int
    stop_signal: signal.Signals

    def prepare(self) -> None: ...
    def launch(self) -> Launch: ...
    def is_ready(self, pid: int) -> bool: ...


def unprivileged() -> tuple[int, int] | None:
    """(uid, gid) to run as what refuses to run as root: `nobody`, or None where we are no root anyway."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerError(
            "PostgreSQL refuses to run as root and this machine has no user `nobody`; "
            "start Tradewind as an ordinary user, or set TRADEWIND_POSTGRES_URL"
        ) from None
    return entry.pw_uid, entry.pw_gid


def exchange(port: int, request: bytes, answer_bytes_max: int) -> bytes:
    """The first bytes a loopback server answers to `request`; empty while it does not listen or is busy."""
    try:
        with socket.create_connection(("127.0.0.1", port), PROBE_TIMEOUT_S) as connection:
            if request:
                connection.sendall(request)
            return connection.recv(answer_bytes_max)
    except OSError:
        return b""


@contextmanager
def running(server: EmbeddedServer, log: Path) -> Iterator[None]:
    """Prepares and runs one server until the block ends, without a supervisor. Raises ServerError."""
    server.prepare()
    with log.open("ab") as output:
        process = server.launch().spawn(output.fileno())
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not server.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
                raise ServerError(f"{server.name} did not start; its log ends:\n{last}")
            time.sleep(POLL_S)
        yield
    finally:
        process.send_signal(server.stop_signal)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
