"""A take-over under load: from `kill -9` of the owner's host to the first order that the new owner acknowledges.

    python -m loadtests.takeover [--rounds N] [--lease-ms MS] [--json]

Measured at one clock, here: the owner's processes are killed while orders flow, `tradewind takeover` is called
at once, and one order after another is posted to the standby's port until one is acknowledged (200). The steps are the
standby's own: when it had decided, had the row in Postgres, had everything settled, and the former lease was over.
Excluded: noticing that the owner is gone, which is a time that is configured (takeover_after_ms). Both hosts, the
servers, the venue and this program share one machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from app.config import run_dir_of
from app.embedded.nats import Nats
from app.embedded.postgres import Postgres
from app.embedded.server import EmbeddedServer, running
from app.embedded.valkey import Valkey
from loadtests.measure import Row, progress, row, show

ROUNDS: Final = 3
LEASE_MS: Final = 500
# Ports of this program's own: the servers, then the two hosts.
BASE: Final = 23_000
OWNER, STANDBY = BASE + 20, BASE + 60
# What goes on when the owner's host is gone: the venue and its prices.
WORLD: Final = frozenset(("venue", "marketdata", "mailbox"))
HANDS: Final = 4
SERVERS: Final[tuple[Callable[[Path, int, str], EmbeddedServer], ...]] = (Postgres, Nats, Valkey)
LOAD_S: Final = 5.0
ORDER: Final = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


class Host:
    """One of the two, by its folder and ports; driven by the command, as a person would."""

    def __init__(self, folder: Path, base: int, words: list[str]) -> None:
        self.folder, self.base, self._words = folder, base, words

    def command(self, *words: str) -> str:
        where = ["--data-dir", str(self.folder), "--port-base", str(self.base)]
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", words[0], *where, *words[1:]],
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0 and words[0] != "status":
            raise SystemExit(f"tradewind {' '.join(words)} on {self.folder}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, verb: str, *more: str) -> None:
        self.command(verb, "--detach", *self._words, *more)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("status", "--json"))
        return found

    def kill(self) -> None:
        """kill -9 of all but the world."""
        status = json.loads((self.folder / "run" / "status.json").read_text())
        os.kill(status["supervisor"]["pid"], signal.SIGKILL)
        for process in status["processes"]:
            if process["pid"] and process["name"] not in WORLD:
                with suppress(ProcessLookupError):
                    os.killpg(process["pid"], signal.SIGKILL)


@contextmanager
def hosts(folder: Path, lease_ms: int) -> Iterator[tuple[Host, Host, dict[str, str]]]:
    """Owner and standby, the second one following; and the demo key's headers."""
    key = folder / "link.key"
    key.write_text(secrets.token_hex(16))
    key.chmod(0o600)
    with ExitStack() as servers:
        for number, make in enumerate(SERVERS):
            server_dir = folder / f"server-{number}"
            server_dir.mkdir()
            server = make(server_dir, BASE + number, "load")
            servers.enter_context(running(server, folder / f"{server.name}.log"))
        words = [
            "--postgres-url", f"postgresql://tradewind:load@127.0.0.1:{BASE}/tradewind",
            "--nats-url", f"nats://tradewind:load@127.0.0.1:{BASE + 1}",
            "--redis-url", f"redis://:load@127.0.0.1:{BASE + 2}/0",
            "--venue-address", f"127.0.0.1:{OWNER + 2}",
            "--standby-key", str(key), "--gate", "replicated", "--lease-ms", str(lease_ms),
            "--standby-away-ms", "5000", "--when-standby-away", "degrade",
        ]  # fmt: skip
        owner, standby = Host(folder / "owner", OWNER, words), Host(folder / "standby", STANDBY, words)
        try:
            owner.start("up")
            demo = owner.status()["demo"]
            standby.start("standby", "--standby-of", f"127.0.0.1:{OWNER + 5}")
            while owner.status().get("standby", {}).get("state") != "following":
                time.sleep(0.2)
            headers = {"APCA-API-KEY-ID": demo["key_id"], "APCA-API-SECRET-KEY": demo["secret_key"]}
            yield owner, standby, headers
        finally:
            for host in (standby, owner):
                host.command("down")
                shutil.rmtree(run_dir_of(host.folder), ignore_errors=True)


def load(base: int, headers: dict[str, str], stopped: threading.Event, taken: list[int]) -> None:
    """One hand: orders one after another until the desk is gone."""
    with httpx.Client(base_url=f"http://127.0.0.1:{base}", headers=headers, timeout=5) as client:
        while not stopped.is_set():
            with suppress(httpx.TransportError):
                taken.append(client.post("/v2/orders", json=ORDER).status_code)


def first_order(base: int, headers: dict[str, str]) -> None:
    """Returns when one was acknowledged. A fresh connection each time: there was nobody to connect to."""
    while True:
        with suppress(httpx.TransportError), socket.create_connection(("127.0.0.1", base), 1):
            answer = httpx.post(f"http://127.0.0.1:{base}/v2/orders", json=ORDER, headers=headers, timeout=5)
            if answer.status_code == 200:
                return
        time.sleep(0.005)


def one_round(lease_ms: int) -> dict[str, float]:
    """Milliseconds of each step, "first order" the whole."""
    with tempfile.TemporaryDirectory() as folder, hosts(Path(folder), lease_ms) as (owner, standby, headers):
        stopped, taken = threading.Event(), list[int]()
        hands = [
            threading.Thread(target=load, args=(OWNER, headers, stopped, taken), daemon=True)
            for _ in range(HANDS)
        ]
        for hand in hands:
            hand.start()
        time.sleep(LOAD_S)
        stopped.set()
        owner.kill()
        begin = time.perf_counter()
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(standby.command("takeover", "--json")))
        asking.start()
        first_order(STANDBY, headers)
        whole_ms = (time.perf_counter() - begin) * 1000
        asking.join()
        progress(f"{taken.count(200)} orders acknowledged before; {whole_ms:.0f} ms to the first one after")
        steps: dict[str, float] = json.loads(answers[0].splitlines()[-1])["times_ms"]
        return {**steps, "first order": whole_ms}


def bench(rounds: int = ROUNDS, lease_ms: int = LEASE_MS) -> list[Row]:
    found = [one_round(lease_ms) for _ in range(rounds)]
    note = f"gate replicated, lease {lease_ms} ms; from the kill, which the command follows at once"
    return [
        row(
            f"take_over_{step.replace(' ', '_')}",
            "ms",
            [times[step] for times in found if step in times],
            note=note,
        )
        for step in found[0]
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--lease-ms", type=int, default=LEASE_MS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show("a take-over under load", bench(given.rounds, given.lease_ms), given.json)
