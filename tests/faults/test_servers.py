"""Postgres, NATS and Valkey killed, paused for three minutes, and wiped, while orders flow.

Trading goes on each time: every order has its answer, at the gate `synced`; and once all is back, log, Postgres,
JetStream and mails tell one story, by `tradewind audit`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.audit import mails
from tests.acceptance.desk import Trader, flowing, frozen
from tests.faults.desk import a_trader, all_agree, wipe
from tests.stack import Stack, free_port_base

pytestmark = [pytest.mark.faults, pytest.mark.stack]

PAUSE_S = 180.0
SOME = 25


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("servers") / "data", free_port_base(), {"gate": "synced"})
    try:
        running.start()
        yield running
    finally:
        running.discard()


@pytest.fixture(scope="module")
def trader(stack: Stack) -> Trader:
    return a_trader(stack)


def unheard(trader: Trader, before: int) -> list[int]:
    """Statuses of orders since then that got no clear answer."""
    return [status for status in list(trader.answers.values())[before:] if status in (0, 503)]


SERVERS = ("postgres", "nats", "valkey")


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_killed(stack: Stack, trader: Trader, server: str) -> None:
    before = len(trader.answers)
    with flowing(trader) as flow:
        for _ in range(3):
            flow.wait_for_orders(SOME)
            stack.wait_for_restart(server, stack.kill(server))
        flow.wait_for_orders(SOME)
    assert unheard(trader, before) == []
    all_agree(stack)


@pytest.mark.parametrize("servers", [("postgres",), ("nats",), ("valkey",), SERVERS])
def test_servers_paused_for_three_minutes(stack: Stack, trader: Trader, servers: tuple[str, ...]) -> None:
    before = len(trader.answers)
    with frozen(stack, *servers), flowing(trader) as flow:
        until = time.monotonic() + PAUSE_S
        while time.monotonic() < until:
            flow.wait_for_orders(SOME)
    assert unheard(trader, before) == []
    all_agree(stack)


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_wiped(stack: Stack, trader: Trader, server: str) -> None:
    mailed = mails(stack)
    before = len(trader.answers)
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        wipe(stack, server)
        flow.wait_for_orders(SOME)
    assert unheard(trader, before) == []
    found = all_agree(stack)
    told = mails(stack)
    assert len(told) == len(set(told)) == found["stores"]["mails"]["looked_at"]["notifications_sent"]
    assert set(mailed) <= set(told)


def test_everything_wiped_and_the_shard_killed(stack: Stack, trader: Trader) -> None:
    """It comes back without Postgres's tables: from its local snapshot and the log."""
    with flowing(trader) as flow:
        flow.wait_for_orders(SOME)
        for server in SERVERS:
            wipe(stack, server)
        stack.wait_for_restart("shard", stack.kill("shard"))
        flow.wait_for_orders(SOME)
    all_agree(stack)


def test_the_stores_alone_are_audited_when_nothing_else_runs(
    stack: Stack, trader: Trader, tmp_path: Path
) -> None:
    """As after a fault that took the shard: its log is read from the files."""
    all_agree(stack)
    with frozen(stack, *(name for name in stack.processes() if name not in SERVERS)):
        moved = stack.run_dir.rename(stack.run_dir.with_name(f"{stack.run_dir.name}-away"))
        try:
            found = all_agree(stack)
        finally:
            moved.rename(stack.run_dir)
    assert found["kept_from"] == 1
    assert found["stores"]["jetstream"]["looked_at"]["messages"] == found["events"]
