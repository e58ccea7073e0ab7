"""A whole stack under a fault, somebody who trades on it meanwhile, and `tradewind audit` as the judge."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from app import audit
from tests.acceptance.desk import Trader, eventually
from tests.stack import Stack

SYMBOLS = ("KO", "PFE", "BAC")
# So that a test whose followers never catch up ends; nothing is measured by it.
PATIENCE_S = 300.0
CENT = Decimal("0.01")


def audited(stack: Stack) -> dict[str, Any]:
    """What `tradewind audit` says. A difference is one at any moment: it is never waited away."""
    servers = [
        w
        for k, v in stack.options.items()
        if k.endswith("_url")
        for w in (f"--{k.replace('_', '-')}", str(v))
    ]
    done = stack.tradewind("audit", "--json", *servers, timeout=PATIENCE_S)
    assert done.returncode in (audit.EXIT_AGREE, audit.EXIT_FAULT), done.stdout
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(done.stdout) from None
    return found


def all_agree(stack: Stack) -> dict[str, Any]:
    """Once everyone has come to the log's end."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = audited(stack)
        stores = found["stores"].values()
        if all(store["trouble"] is None and store["behind"] == 0 for store in stores):
            assert found["agrees"]
            return found
        time.sleep(0.5)
    raise AssertionError(f"they never came to the log's end: {found}\n{stack.log_tails()}")


def a_trader(stack: Stack) -> Trader:
    trader = Trader(stack)
    eventually(lambda: all(trader.has_quote(symbol) for symbol in SYMBOLS), "first quotes")
    return trader


def far_order(trader: Trader, symbol: str = "KO") -> dict[str, Any] | None:
    """One that rests: it buys 3 % below the bid. None when it was refused."""
    bid, _ = trader.quote(symbol)
    return trader.send("buy", symbol, 1, (bid * Decimal("0.97")).quantize(CENT), "gtc")


def supervisor_of(stack: Stack) -> int:
    status = json.loads((stack.data_dir / "run" / "status.json").read_text())
    return int(status["supervisor"]["pid"])


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wipe(stack: Stack, server: str) -> None:
    """Kills an embedded server and removes its folder, before the supervisor can start it again on it."""
    pid = int(stack.processes()[server]["pid"])
    with standing_still(supervisor_of(stack)):
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)  # Postgres's own processes see their parent's end, and let the folder go
        shutil.rmtree(stack.data_dir / server)
    stack.wait_for_restart(server, pid)
