"""What is looked at before anything starts: are the ports free, is there memory, do the servers elsewhere
answer? A fault found here costs a second and a sentence; found later, a half-started desk.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final
from urllib.parse import urlsplit

import msgspec

from app.config import Config
from app.faults import StackError

CONNECT_TIMEOUT_S: Final = 5.0
# An idle desk's tables, rings and log tail touch about 300 MB of shared memory (actors/ahead.py), a busy one's several
# times that.
# A page that cannot be had there is a killed process (SIGBUS), not an error that could be handled.
SHARED_MEMORY_BYTES_MIN: Final = 512 << 20
DEFAULT_PORTS: Final = {"postgres": 5432, "nats": 4222, "valkey": 6379}


def check_free(config: Config) -> None:
    """Raises StackError naming each taken port, who has it, and the remedy."""
    taken = []
    for name, port in msgspec.structs.asdict(config.ports).items():
        if name in DEFAULT_PORTS and name not in config.embedded:
            continue
        problem = _problem(config.host if name in ("rest", "fix") else "127.0.0.1", port)
        if problem:
            taken.append(f"port {port} ({name}) {problem}")
    if taken:
        raise StackError(
            "; ".join(taken) + f". End what holds it, or choose other ports, as in "
            f"--port-base {_other_base(config)} (now {config.port_base})"
        )


def check_memory(config: Config) -> None:
    """Raises StackError where the file system of `run_dir` is too small, as in a container by default."""
    space = os.statvfs(config.run_dir)
    free = space.f_bavail * space.f_frsize
    if free < SHARED_MEMORY_BYTES_MIN:
        raise StackError(
            f"{config.run_dir.parent} has {free >> 20} MB free, and a desk needs {SHARED_MEMORY_BYTES_MIN >> 20}; "
            f"remove what fills it, or give the container more (docker run --shm-size=1g)"
        )


def check_elsewhere(config: Config) -> None:
    """Raises StackError for a TRADEWIND_*_URL at which nobody listens. Who it is, the roles find out."""
    for name, variable, url in (
        ("postgres", "TRADEWIND_POSTGRES_URL", config.postgres_url),
        ("nats", "TRADEWIND_NATS_URL", config.nats_url),
        ("valkey", "TRADEWIND_REDIS_URL", config.redis_url),
    ):
        if name in config.embedded:
            continue
        parts = urlsplit(url)
        host, port = parts.hostname or "127.0.0.1", parts.port or DEFAULT_PORTS[name]
        try:
            socket.create_connection((host, port), CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise StackError(
                f"{variable} names {host}:{port}, and nothing answers there ({error.strerror or error}); "
                f"start that server, mend the url, or unset it to have one started here"
            ) from None


def _problem(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"is taken{_holder(port)}"
            return f"cannot be used on {host}: {error.strerror}"
    return ""


def _holder(port: int) -> str:
    import psutil  # only here: it costs a tenth of a second, and a start without trouble should not pay

    try:
        listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
        pid = next(c.pid for c in listening if (*c.laddr, 0, 0)[1] == port)
        return f" by {psutil.Process(pid).name()} (pid {pid})" if pid else ""
    except (StopIteration, psutil.Error, OSError):
        return ""  # another user's process: the system does not tell


def _other_base(config: Config) -> int:
    step = 100
    return config.port_base + step if config.port_base + step < 60_000 else config.port_base - step
