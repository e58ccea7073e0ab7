"""Stories of two whole hosts on this machine: an owner and its standby, with one venue, one database, one NATS.

The servers are nobody's. The venue and its market data are processes of the owner's stack; what "the owner's host"
loses in a story is everything else of it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.embedded.postgres import Postgres
from app.embedded.server import running
from app.options import PORT_OFFSETS
from tests.acceptance.desk import Trader
from tests.acceptance.wire import Relay
from tests.stack import START_TIMEOUT_S, Stack, free_port_base, running_server

# What stands for the rest of the world in these stories.
WORLD = frozenset(("venue", "marketdata", "mailbox"))


class StandbyStack(Stack):
    """A stack that begins as a standby: ready when it follows."""

    def start(self) -> None:
        options = [w for k, v in self.options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
        done = self.tradewind("standby", "--detach", *options, timeout=START_TIMEOUT_S)
        assert done.returncode == 0, f"the standby did not start:\n{done.stdout}\n{self.log_tails()}"
        self.refresh()

    def take_over(self, *words: str) -> dict[str, Any]:
        """The answer of `tradewind takeover`, once this host is the owner."""
        done = self.tradewind("takeover", "--json", *words)
        assert done.returncode == 0, f"{done.stdout}\n{self.log_tails()}"
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


class Hosts:
    """Both of them, started; orders of either go to the venue through a relay that keeps every byte."""

    def __init__(
        self, folder: Path, gate: str = "replicated", lease_ms: int = 3000, **standby: object
    ) -> None:
        key = folder / "link.key"
        key.write_text(secrets.token_hex(16))
        key.chmod(0o600)
        self.relay = Relay()
        base = free_port_base()
        self.relay.target = ("127.0.0.1", base + 2)
        self._servers = ExitStack()
        self._folder = folder
        self.urls = {
            f"{'redis' if name == 'valkey' else name}_url": self._servers.enter_context(
                running_server(name, _made(folder / name))
            )
            for name in ("postgres", "nats", "valkey")
        }
        both = {
            **self.urls,
            "standby_key": key, "gate": gate, "lease_ms": lease_ms, "venue_address": self.relay.address,
            "standby_away_ms": 5000,
        }  # fmt: skip
        self.owner = Stack(folder / "owner", base, both)
        self.owner.start()
        of = {"standby_of": f"127.0.0.1:{base + PORT_OFFSETS['standby']}"}
        self.standby = StandbyStack(folder / "standby", free_port_base(), {**both, **of, **standby})
        self.standby.start()

    def trader(self, stack: Stack) -> Trader:
        """A client of either, with the one key that both know."""
        stack.refresh()
        stack.status["demo"] = self.owner.status["demo"]
        return Trader(stack)

    def link(self) -> dict[str, Any]:
        """What the owner says of its standby."""
        found: dict[str, Any] = self.owner.refresh().get("standby", {})
        return found

    def signal_owner(self, number: signal.Signals, *, with_supervisor: bool = True) -> list[int]:
        """To every process of the owner's host; the pids."""
        status = json.loads((self.owner.data_dir / "run" / "status.json").read_text())
        if with_supervisor:
            os.kill(status["supervisor"]["pid"], number)
        pids = [int(p["pid"]) for p in status["processes"] if p["pid"] and p["name"] not in WORLD]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)
        return pids

    def stop_postgres(self) -> None:
        """At once, as a machine that is gone."""
        told = (self._folder / "postgres" / "postgres" / "postmaster.pid").read_text()
        os.kill(int(told.split()[0]), signal.SIGQUIT)

    def start_postgres(self) -> None:
        port = urlsplit(self.urls["postgres_url"]).port
        assert port is not None
        server = Postgres(self._folder / "postgres", port, "test")
        self._servers.enter_context(running(server, self._folder / "postgres-again.log"))

    def discard(self) -> None:
        with suppress(Exception):  # whatever a story left: its processes must go
            self.signal_owner(signal.SIGCONT)
        for stack in (self.standby, self.owner):
            stack.discard()
        self.relay.close()
        self._servers.close()


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
