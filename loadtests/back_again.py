"""From kill -9 of the shard to the next order's answer, on a whole stack: what a client waits.

Measured: the shard's process is killed while it serves; from that moment on an order is sent by REST until one is
answered with its acceptance (`back_after_kill`). In between are: the supervisor's notice, a fork of the warm parent,
Postgres asked for snapshots and an epoch, recovery, the doors' finding of the new shard. Each order has a
client_order_id of its own, so none is answered for another.
Excluded: nothing. The log is a short one; `tradewind bench recover` has what a long one adds.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from app.process import READY_SETTLED_S
from loadtests.measure import Row, progress, row

ROUNDS: Final = 5
PORT_BASE: Final = 24_720
# A desk that is not back by then has failed.
PATIENCE_S: Final = 60.0
RETRY_S: Final = 0.005
HTTP_TIMEOUT_S: Final = 1.0


def _tradewind(*words: str) -> str:
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Client:
    """An account that asks whether the desk takes orders."""

    def __init__(self, port: int, demo: dict[str, str]) -> None:
        self._port = port
        self._headers = {
            "APCA-API-KEY-ID": demo["key_id"],
            "APCA-API-SECRET-KEY": demo["secret_key"],
            "Content-Type": "application/json",
        }
        self._number = 0

    def is_served(self) -> bool:
        """One order; whether it was accepted."""
        self._number += 1
        body = {
            "symbol": "KO", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "ioc", "limit_price": "1",
            "client_order_id": f"back-{self._number}",
        }  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HTTP_TIMEOUT_S)
        try:
            connection.request("POST", "/v2/orders", json.dumps(body), self._headers)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def waits(self) -> float:
        """Seconds until an order is accepted."""
        begin = time.perf_counter()
        while not self.is_served():
            if time.perf_counter() - begin > PATIENCE_S:
                raise RuntimeError(f"no order was taken for {PATIENCE_S:g} s after the kill")
            time.sleep(RETRY_S)
        return time.perf_counter() - begin


def bench() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        words = ("--data-dir", str(Path(folder) / "data"), "--port-base", str(PORT_BASE))
        progress("starting a stack")
        _tradewind("up", "--detach", *words)
        try:
            client = Client(PORT_BASE, _status(words)["demo"])
            client.waits()
            spent = []
            for number in range(ROUNDS):
                time.sleep(READY_SETTLED_S + 1)  # a death before that counts as one of a start that fails
                progress(f"kill -9 of the shard, round {number + 1} of {ROUNDS}")
                pid = next(p["pid"] for p in _status(words)["processes"] if p["name"] == "shard")
                os.kill(int(pid), signal.SIGKILL)
                spent.append(client.waits())
        finally:
            _tradewind("down", *words)
    return [
        row(
            "back_after_kill",
            "s",
            spent,
            note="kill -9 of the shard until a REST order is accepted; target 2",
        )
    ]


def _status(words: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_tradewind("status", "--json", *words))
    return found
