"""Everything that `tradewind up` starts, on a recording: what the venue gave is held against the file."""

from __future__ import annotations

import json
import re
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from fix.codec import parse
from fix.simulator.messages import answer_of
from fix.simulator.orders import Report
from fix.store import Store
from tests.conftest import MakeStack
from tests.simulator.desk import Auditor
from tests.simulator.witness import Witness
from tests.stack import Stack

pytestmark = pytest.mark.stack

WAIT_S = 60.0


@pytest.fixture
def es_stack(make_stack: MakeStack, es_recording: Path) -> Stack:
    return make_stack(replay=es_recording, speed=60)


class Trader:
    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(base_url=f"{stack.rest}/v2", headers=stack.headers, timeout=10)
        self.order_ids: list[str] = []

    def send(self, **fields: object) -> None:
        """Sends an order; while the market is away (its replay restarts) it is asked again."""
        asked = {"symbol": "ESH4", "time_in_force": "day", **fields}
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = self._http.post("/orders", json=asked)
            if answer.status_code == 200:
                self.order_ids.append(answer.json()["id"])
                return
            assert "fresh quote" in answer.text, answer.text
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)

    def round_trip(self, qty: int) -> None:
        """Buys and sells again, and waits for both."""
        for side in ("buy", "sell"):
            self.send(side=side, type="market", qty=str(qty))
            self.until_over(self.order_ids[-1])

    def status(self, order_id: str) -> str:
        return str(self._http.get(f"/orders/{order_id}").json()["status"])

    def until_over(self, order_id: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while self.status(order_id) not in ("filled", "canceled"):
            assert time.monotonic() < deadline, f"{order_id} is still {self.status(order_id)}"
            time.sleep(0.01)

    def cancel(self, order_id: str) -> None:
        self._http.delete(f"/orders/{order_id}")
        self.until_over(order_id)


def reports_of(stack: Stack) -> list[Report]:
    """What the venue sent, from its own store, in the order of sending."""
    store = Store(stack.data_dir / "venue" / "TRADEWIND")
    sent = [answer_of(parse(stored.raw), "TRADEWIND") for stored in store.read(1, store.next_out - 1)]
    store.close()
    return [report for report in sent if isinstance(report, Report)]


def passes(reports: list[Report], begun_ns: list[int]) -> list[list[Report]]:
    """The reports of each pass of the recording, by the times at which the venue says that one began."""
    edges = [*begun_ns, time.time_ns()]
    found = [[r for r in reports if one <= r.time_ns < after] for one, after in pairwise(edges)]
    assert sum(map(len, found)) == len(reports)
    return found


def test_fills_on_the_stack_stood_in_the_recording_also_after_kills(
    es_stack: Stack, es_recording: Path
) -> None:
    trader = Trader(es_stack)
    for name in ("venue", "marketdata", "venue", "fix"):
        trader.round_trip(3)
        trader.send(side="buy", type="limit", qty="2", limit_price="4795.25")
        es_stack.wait_for_restart(name, es_stack.kill(name))
        trader.round_trip(25)
        trader.cancel(trader.order_ids[-3])
    es_stack.stop()
    reports = reports_of(es_stack)
    Auditor().read(reports)
    log = (es_stack.data_dir / "logs" / "venue.log").read_text()
    begun_ns = [int(time_ns) for time_ns in re.findall(r"the recording begins, time_ns=(\d+)", log)]
    judged = [Witness(es_recording).judge(one) for one in passes(reports, begun_ns)]
    assert len(judged) >= 3  # each new venue had the recording from its beginning
    assert sum(swept for swept, _ in judged) >= 16
    assert "Traceback" not in log, json.dumps(log[-2000:])
