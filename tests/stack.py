"""A whole stack as tests drive it: through the `tradewind` command and its ports, as a person would."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from app.config import run_dir_of
from app.embedded.nats import Nats
from app.embedded.postgres import Postgres
from app.embedded.server import EmbeddedServer, running
from app.embedded.valkey import Valkey
from app.options import PORT_OFFSET_MAX

ROOT: Final = Path(__file__).resolve().parent.parent
# The first start on a machine compiles everything: minutes on two cores, and more where tests share them.
START_TIMEOUT_S: Final = 900
STOP_TIMEOUT_S: Final = 90
# Below the range that the kernel gives out for outgoing connections (32768 and up).
PORT_BASES: Final = range(12_000, 32_000, PORT_OFFSET_MAX + 1)
LOG_LINES_SHOWN: Final = 15


@cache
def _bases() -> Iterator[int]:
    start = os.getpid() % len(PORT_BASES)
    return (PORT_BASES[(start + step) % len(PORT_BASES)] for step in count())


def free_port_base() -> int:
    """A port base of this process's own, with nothing listening on it or above."""
    for base in _bases():
        try:
            for port in range(base, base + PORT_OFFSET_MAX + 1):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("unreachable: the bases go round")


class Stack:
    """One stack under its own data folder. `options` are those of `tradewind up`, with underscores."""

    command: tuple[str, ...] = (sys.executable, "-m", "app.cli")

    def __init__(self, data_dir: Path, port_base: int, options: Mapping[str, object] | None = None) -> None:
        self.data_dir = data_dir
        self.run_dir = run_dir_of(data_dir)
        self.port_base = port_base
        self.options = dict(options or {})
        self.status: dict[str, Any] = {}

    @property
    def rest(self) -> str:
        return str(self.status["endpoints"]["rest"])

    @property
    def web(self) -> str:
        return str(self.status["endpoints"]["web"])

    @property
    def docs(self) -> str:
        return str(self.status["endpoints"]["docs"])

    @property
    def trading_stream(self) -> str:
        return str(self.status["endpoints"]["trading_stream"])

    @property
    def data_stream(self) -> str:
        return str(self.status["endpoints"]["data_stream"])

    @property
    def fix(self) -> tuple[str, int]:
        """(host, port) of the clients' FIX door."""
        host, _, port = str(self.status["endpoints"]["fix"]).rpartition(":")
        return host, int(port)

    @property
    def key_id(self) -> str:
        return str(self.status["demo"]["key_id"])

    @property
    def secret_key(self) -> str:
        return str(self.status["demo"]["secret_key"])

    @property
    def headers(self) -> dict[str, str]:
        """What the API wants to see: the demo account's key."""
        return {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret_key}

    def tradewind(self, *words: str, timeout: float = STOP_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Runs one `tradewind` command on this stack's folder."""
        where = ("--data-dir", str(self.data_dir), "--port-base", str(self.port_base))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TRADEWIND_")}
        return subprocess.run(
            [*self.command, words[0], *where, *words[1:]],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )

    def start(self) -> None:
        """Up, or an AssertionError that shows what every process last said."""
        options = [w for k, v in self.options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
        done = self.tradewind("up", "--detach", *options, timeout=START_TIMEOUT_S)
        assert done.returncode == 0, f"the stack did not start:\n{done.stdout}\n{self.log_tails()}"
        self.refresh()
        assert self.status["ready"], f"the stack is not ready: {self.status}\n{self.log_tails()}"

    def refresh(self) -> dict[str, Any]:
        """Reads the status anew."""
        self.status = json.loads(self.tradewind("status", "--json").stdout)
        return self.status

    def processes(self) -> dict[str, dict[str, Any]]:
        """{"shard": {"name", "pid", "state"}, …} as they are now."""
        return {process["name"]: process for process in self.refresh()["processes"]}

    def stop(self) -> None:
        done = self.tradewind("down")
        assert done.returncode == 0, f"the stack did not stop:\n{done.stdout}\n{self.log_tails()}"

    def restart(self) -> None:
        """Down in order, and up again on the same folder."""
        self.stop()
        self.start()

    def kill(self, name: str) -> int:
        """kill -9 of one process; returns the pid it had. It is not waited for: see `wait_for`."""
        pid = int(self.processes()[name]["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_for_restart(self, name: str, old_pid: int, timeout_s: float = 60) -> int:
        """Waits until `name` serves again under another pid, which is returned."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            process = self.processes()[name]
            if process["state"] == "ready" and process["pid"] != old_pid:
                return int(process["pid"])
            assert process["state"] != "failed", self.log_tails()
            time.sleep(0.05)
        raise AssertionError(f"{name} did not come back: {self.status}\n{self.log_tails()}")

    def kill_everything(self) -> None:
        """kill -9 of the supervisor, then of every process: a power cut, but for memory and disk."""
        status = json.loads((self.data_dir / "run" / "status.json").read_text())
        for pid in (status["supervisor"]["pid"], *(p["pid"] for p in status["processes"] if p["pid"])):
            with_group = os.kill if pid == status["supervisor"]["pid"] else os.killpg
            try:
                with_group(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)

    def log_tails(self) -> str:
        tails = []
        for path in sorted((self.data_dir / "logs").glob("*.log")):
            last = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            tails.append("\n".join([f"--- {path.name}", *last]))
        return "\n".join(tails)

    def discard(self) -> None:
        """Stops it whatever its state, and frees its shared memory."""
        try:
            if self.data_dir.exists():
                self.tradewind("down")
        finally:
            shutil.rmtree(self.run_dir, ignore_errors=True)


@contextmanager
def running_server(name: str, folder: Path) -> Iterator[str]:
    """One embedded server for a test run without a stack; yields its url."""
    base = free_port_base()
    servers: dict[str, tuple[EmbeddedServer, str]] = {
        "postgres": (
            Postgres(folder, base, "test"),
            f"postgresql://tradewind:test@127.0.0.1:{base}/tradewind",
        ),
        "nats": (Nats(folder, base, "test"), f"nats://tradewind:test@127.0.0.1:{base}"),
        "valkey": (Valkey(folder, base, "test"), f"redis://:test@127.0.0.1:{base}/0"),
    }
    server, url = servers[name]
    with running(server, folder / f"{name}.log"):
        yield url
