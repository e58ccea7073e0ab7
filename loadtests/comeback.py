"""How long nobody is answered: from kill -9 of a process to the next acknowledged order, on a whole running desk.

    python -m loadtests.comeback [--rounds 10] [--victims shard,gateway] [--json]

A stack of its own is started in a temporary folder. One client sends a small market order after the other over
REST, on a connection that it opens anew when it breaks; a process is killed with SIGKILL between two of them.
Measured: from the kill's return to the answer 200 of the first order that was sent after it. What is sent into
the gap and answered with 503 is not counted. Nothing here judges.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from loadtests.measure import Row, progress, row, show

SYMBOL: Final = "KO"
# Between two rounds, so that a death is that of a process that has settled (app/process.py), and not one in a row.
SETTLE_S: Final = 3.0
ROUND_S_MAX: Final = 60.0
PAUSE_S: Final = 0.002
PORT_BASE: Final = 28_700


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Any]]:
    """A stack's `tradewind status --json`, once it is ready."""
    words = ["--data-dir", str(folder / "data"), "--port-base", str(PORT_BASE)]
    command = [sys.executable, "-m", "app.cli"]
    subprocess.run([*command, "up", "--detach", *words], check=True, stdout=sys.stderr)
    try:
        status = subprocess.run([*command, "status", "--json", *words], capture_output=True, check=True)
        found: dict[str, Any] = json.loads(status.stdout)
        yield found
    finally:
        subprocess.run([*command, "down", *words], check=True, stdout=sys.stderr)


class Client:
    """One that buys and sells a share, and asks again on a new connection when one breaks."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._host = str(status["endpoints"]["rest"]).removeprefix("http://")
        demo = status["demo"]
        self._headers = {
            "APCA-API-KEY-ID": demo["key_id"],
            "APCA-API-SECRET-KEY": demo["secret_key"],
            "Content-Type": "application/json",
        }
        self._sides = 0
        self._connection: http.client.HTTPConnection | None = None

    def send(self) -> int:
        """The answer's status; 0 when there was none."""
        self._sides += 1
        order = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, timeout=ROUND_S_MAX)
        try:
            self._connection.request("POST", "/v2/orders", json.dumps(order), self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return 0
        return answer.status

    def until_acknowledged(self) -> None:
        deadline = time.monotonic() + ROUND_S_MAX
        while self.send() != 200:
            if time.monotonic() > deadline:
                raise SystemExit(f"no order was acknowledged within {ROUND_S_MAX:.0f} s")
            time.sleep(PAUSE_S)


def pid_of(status_path: Path, name: str) -> int:
    said = json.loads(status_path.read_text())
    pid: int = next(p["pid"] for p in said["processes"] if p["name"] == name)
    return pid


def seconds(client: Client, status_path: Path, name: str) -> float:
    """One round."""
    client.until_acknowledged()
    pid = pid_of(status_path, name)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    begin = time.perf_counter()
    client.until_acknowledged()
    took = time.perf_counter() - begin
    time.sleep(SETTLE_S)
    return took


def bench(victims: list[str], rounds: int) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as status:
        client, status_path = Client(status), Path(folder) / "data" / "run" / "status.json"
        client.until_acknowledged()
        time.sleep(SETTLE_S)
        for name in victims:
            progress(f"{rounds} kills of {name}")
            took = [seconds(client, status_path, name) for _ in range(rounds)]
            note = "from kill -9 to the next acknowledged order over REST"
            rows.append(row(f"comeback_{name}", "s", took, note=note))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, metavar="N")
    parser.add_argument("--victims", default="shard,gateway", metavar="LIST")
    parser.add_argument("--json", action="store_true", help="one JSON row a line")
    words = parser.parse_args()
    show("after kill -9", bench(words.victims.split(","), words.rounds), words.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
