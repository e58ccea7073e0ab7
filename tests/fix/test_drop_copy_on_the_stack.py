"""Drop copies on everything that `tradewind up` starts: one fault of the venue's copy is one break, in the log, in the
mail and on the account; an operator sets it active again, and some hundred orders after it are none."""

from __future__ import annotations

import json
import mailbox
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fix.simulator.copy_faults import FAULT_EVERY
from tests.conftest import MakeStack
from tests.stack import Stack

pytestmark = pytest.mark.stack

WAIT_S = 60.0
ORDERS = 200


def eventually(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not come true within {WAIT_S:.0f} s")


@pytest.fixture
def stack_with_a_fault(make_stack: MakeStack) -> Stack:
    return make_stack(venue_copy_faults="price")


def breaks(stack: Stack) -> list[dict[str, Any]]:
    said = stack.tradewind("log", "cat", "--kind", "break", "--json").stdout
    told = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [
        record for record in told if "reserved" in record or "state" in record
    ]  # the events, not the commands


def test_a_fault_of_the_copy_is_one_break_and_some_hundred_orders_are_none(stack_with_a_fault: Stack) -> None:
    stack = stack_with_a_fault
    processes = stack.processes()
    assert [processes[name]["state"] for name in ("drop-copy", "venue-copy")] == ["ready", "ready"]
    host, _, port = str(stack.status["endpoints"]["drop_copy"]).rpartition(":")
    socket.create_connection((host, int(port)), timeout=10).close()

    rest = httpx.Client(base_url=f"{stack.rest}/v2", headers=stack.headers, timeout=10)
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}

    def filled() -> float:
        return sum(float(position["qty"]) for position in rest.get("/positions").json())

    for number in range(1, FAULT_EVERY + 1):
        eventually(lambda: rest.post("/orders", json=order).status_code == 200)
        while filled() < number:
            time.sleep(0.05)
    (found,) = eventually(lambda: breaks(stack))
    assert (found["break_kind"], found["account"], found["side"]) == ("price", 1, "buy")
    assert float(found["venues"]) == pytest.approx(float(found["ours"]) + 0.01)
    refused = rest.post("/orders", json=order)
    assert refused.status_code == 403
    assert "account may only reduce positions: state is REDUCING" in refused.text
    eventually(lambda: mails(stack, "BREAK with the venue: price AAPL"))

    done = stack.tradewind("admin", "account-state", "TW000001", "active")
    assert done.returncode == 0, done.stdout
    for _ in range(ORDERS):
        eventually(lambda: rest.post("/orders", json=order).status_code == 200)
    eventually(lambda: filled() >= FAULT_EVERY + ORDERS // 2)
    assert len(breaks(stack)) == 1
    assert len(mails(stack, "BREAK")) == 1


def mails(stack: Stack, subject: str) -> list[str]:
    folder = mailbox.Maildir(stack.data_dir / "mailbox", create=False)
    return [mail["Subject"] for mail in folder if mail["Subject"].startswith(subject)]
