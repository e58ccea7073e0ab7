"""Order in (REST) to FIX out, over a whole stack with the journal on: what a program and its venue would see.

Measured at one clock, in this process: an order's POST is due (open loop: a late one counts from when it was due);
its answer; the NewOrderSingle's bytes at the venue's port. A relay stands between the FIX initiator and the simulator
and notes the time; it adds nothing to what is measured before it. Rounds of ours and of the limit (a uvloop program
that only parses the POST and moves 200 bytes) alternate.
Excluded: nothing between the two sockets. Both sides and the whole stack share this machine's cores with this program.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import ids
from loadtests import plots
from loadtests.measure import Row, percentiles, progress, row

RATE: Final = 100
ORDERS: Final = 1_000
ROUNDS: Final = 3
WARM_UP: Final = 100

_CL_ORD_ID = re.compile(rb"\x0135=D\x01.*?\x0111=([^\x01]+)", re.DOTALL)


class Tap(threading.Thread):
    """Relays the initiator's connection to the venue, and notes when each NewOrderSingle came by."""

    def __init__(self, port: int, venue_port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._venue_port = port, venue_port
        self.seen: dict[str, int] = {}
        self.chunks: list[int] = []
        self.start()

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        await server.serve_forever()

    async def _relay(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        if not self._venue_port:  # the limit's venue: only the time counts
            while await near_in.read(65536):
                self.chunks.append(time.perf_counter_ns())
            return
        far_in, far_out = await asyncio.open_connection("127.0.0.1", self._venue_port)

        async def back() -> None:
            while data := await far_in.read(65536):
                near_out.write(data)
            near_out.close()

        task = asyncio.create_task(back())
        while data := await near_in.read(65536):
            now = time.perf_counter_ns()
            for found in _CL_ORD_ID.finditer(data):
                self.seen.setdefault(found[1].decode(), now)
            far_out.write(data)
        far_out.close()
        await task


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tradewind(*words: str) -> str:
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _post(connection: http.client.HTTPConnection, body: dict[str, Any], headers: dict[str, str]) -> Any:
    connection.request("POST", "/v2/orders", json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise RuntimeError(f"an order of the benchmark was refused: {answer}")
    return answer


def _round(
    port: int, headers: dict[str, str], count: int, tap: Tap, limit: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(answer, wire) latencies in ns of `count` orders, one every 1/RATE seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {
        "symbol": "KO",
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "ioc",
        "limit_price": "1",
    }
    due, answered, names = [], [], []
    tap.chunks.clear()
    begin = time.perf_counter_ns() + 10_000_000
    for i in range(count):
        at = begin + i * 1_000_000_000 // RATE
        while (left := at - time.perf_counter_ns()) > 0:
            time.sleep(left / 2e9 if left > 200_000 else 0)
        answer = _post(connection, body, headers)
        answered.append(time.perf_counter_ns())
        due.append(at)
        if not limit:
            names.append(ids.cl_ord_id(0, ids.number_of(answer["id"])))
    deadline = time.monotonic() + 10
    while (
        len(tap.chunks) if limit else sum(n in tap.seen for n in names)
    ) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    wire = tap.chunks[:count] if limit else [tap.seen[name] for name in names]
    return np.array(answered) - np.array(due), np.array(wire) - np.array(due[: len(wire)])


class _Side:
    """What was measured of one side, a list entry a round."""

    def __init__(self) -> None:
        self.answers: list[np.ndarray] = []
        self.wires: list[np.ndarray] = []

    def medians(self, values: list[np.ndarray]) -> list[float]:
        return [float(np.median(v)) / 1000 for v in values]


def measure(gate: str) -> tuple[_Side, _Side]:
    """(ours, limit) over ROUNDS alternating rounds, on a stack of its own at this gate."""
    ours, limit = _Side(), _Side()
    with tempfile.TemporaryDirectory() as folder:
        base, tap_port = 24_680, free_port()
        words = ("--data-dir", str(Path(folder) / "data"), "--port-base", str(base), "--gate", gate)
        tap = Tap(tap_port, base + 2)
        progress(f"starting a stack, gate {gate}")
        _tradewind("up", "--detach", *words, "--venue-address", f"127.0.0.1:{tap_port}")
        limit_http, limit_venue = free_port(), free_port()
        limit_tap = Tap(limit_venue, 0)
        time.sleep(0.2)
        door = [sys.executable, "-m", "loadtests.limits.http_to_tcp", str(limit_http), str(limit_venue)]
        relay = subprocess.Popen(door)
        try:
            demo = json.loads(_tradewind("status", "--json", *words))["demo"]
            headers = {
                "APCA-API-KEY-ID": demo["key_id"],
                "APCA-API-SECRET-KEY": demo["secret_key"],
                "Content-Type": "application/json",
            }
            time.sleep(1.0)
            for number in range(-1, ROUNDS):
                count = WARM_UP if number < 0 else ORDERS
                progress("warming up" if number < 0 else f"round {number + 1} of {ROUNDS}, {RATE} orders/s")
                answers, wires = _round(base, headers, count, tap, limit=False)
                limit_answers, limit_wires = _round(limit_http, headers, count, limit_tap, limit=True)
                if number < 0:
                    continue
                ours.answers.append(answers)
                ours.wires.append(wires)
                limit.answers.append(limit_answers)
                limit.wires.append(limit_wires)
        finally:
            relay.terminate()
            _tradewind("down", *words)
    return ours, limit


def bench() -> list[Row]:
    rows: list[Row] = []
    curves: dict[str, np.ndarray] = {}
    for gate in ("written", "synced"):
        ours, limit = measure(gate)
        for what, mine, theirs in (
            ("wire", ours.wires, limit.wires),
            ("answer", ours.answers, limit.answers),
        ):
            name = f"rest_{what}_{gate}"
            rows.append(row(f"{name}_p50", "us", ours.medians(mine), limit=limit.medians(theirs)))
            rows += [r for r in percentiles(np.concatenate(mine), name) if not r.what.endswith("p50")]
        curves[f"order in to FIX out, gate {gate}"] = np.concatenate(ours.wires)
        curves.setdefault("limit: uvloop that only moves bytes", np.concatenate(limit.wires))
    plot = plots.latency("rest_to_fix", f"REST order in to FIX out, {RATE} orders/s, whole stack", curves)
    rows[-1].note = f"limit: uvloop + httptools that only moves bytes; {plot}"
    return rows
