"""The roles as processes of their own, behind a real shard, killed with SIGKILL while it trades."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event as ReadyEvent
from pathlib import Path

import numpy as np
import pytest

from actors.shard import TICKS_CAPACITY, TICKS_FILE, Lane, Shard
from actors.tables import Capacity
from actors.view import StateView
from app import config as configuration
from app.config import Config
from core import commands, units
from core.records import TICK, TICK_BYTES, ExecType, OrdStatus, OrdType, Side, Source, TickKind, TimeInForce
from services.mailbox import Maildir
from shared_mem.broadcast import Broadcast
from shared_mem.idle import Idle
from tests.services.conftest import PASSWORD, NatsServer, eventually
from tests.services.test_portfolio import fetch
from tests.services.test_publisher import stream_messages
from tests.stack import free_port_base

_processes = multiprocessing.get_context("spawn")


def run_role(name: str, config: Config, ready: ReadyEvent) -> None:
    importlib.import_module(f"app.roles.{name}").main(config, ready.set)


class Role:
    """One role in a process of its own."""

    def __init__(self, name: str, config: Config) -> None:
        self.name, self._config = name, config
        self._process: BaseProcess | None = None

    def start(self) -> None:
        ready = _processes.Event()
        self._process = _processes.Process(
            target=run_role, args=(self.name, self._config, ready), daemon=True
        )
        self._process.start()
        assert ready.wait(120), f"{self.name} did not become ready"

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.join()

    def terminate(self) -> int | None:
        assert self._process is not None
        self._process.terminate()
        self._process.join(30)
        return self._process.exitcode


class TradingShard:
    """A real shard in this process; the test is its administrator, its market data, its trader and its venue."""

    def __init__(self, config: Config) -> None:
        self._shard = Shard(
            config.log_dir, config.run_dir, capacity=Capacity(16, 16, 64, 4096), idle=Idle(pauses=1, yields=1)
        )
        self._shard.recover()
        self._shard.start()
        self.view = StateView.attach(config.run_dir)
        self._numbers = iter(range(1, 10**9))
        self.fills = 0
        self._ask(
            Lane.ADMIN,
            commands.open_account(
                request_id=next(self._numbers),
                number="TW000001",
                max_order_qty_e8=units.qty_e8(1000),
                max_order_notional_e6=units.cash_e6(10**6),
                max_position_qty_e8=units.qty_e8(10**6),
            ),
        )
        self._ask(Lane.ADMIN, commands.deposit(request_id=next(self._numbers), account=1, amount_e6=10**12))
        self._ask(
            Lane.ADMIN,
            commands.define_instrument(
                request_id=next(self._numbers),
                symbol="AAPL",
                tick_e8=units.price_e8("0.01"),
                lot_e8=units.qty_e8(1),
                max_order_qty_e8=units.qty_e8(1000),
                collar_bps=500,
                quote_age_ms_max=3_600_000,
            ),
        )
        self._quote(Broadcast.create(config.run_dir / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY))

    def _ask(self, lane: Lane, command: bytes) -> None:
        before = self.view.seq
        assert self._shard.lanes[lane].try_push(command)
        while self.view.seq == before:
            time.sleep(0.001)

    def _quote(self, ticks: Broadcast) -> None:
        row = np.zeros(1, TICK)
        now = time.time_ns()
        quote = {"instrument": 1, "kind": TickKind.QUOTE, "time_ns": now, "published_ns": now}
        for name, value in {
            **quote,
            "bid_e8": units.price_e8("99.99"),
            "ask_e8": units.price_e8("100"),
        }.items():
            row[name] = value
        ticks.publish(row.tobytes())
        while not (seen := self.view.instrument(1)) or seen.quote_time_ns != now:
            time.sleep(0.001)

    def trade(self, orders: int) -> None:
        """Each order is bought whole at 100."""
        for _ in range(orders):
            number = next(self._numbers)
            order = commands.new_order(
                source=Source.GATEWAY,
                request_id=number,
                account=1,
                instrument=1,
                side=Side.BUY,
                ord_type=OrdType.LIMIT,
                tif=TimeInForce.DAY,
                qty_e8=units.qty_e8(1),
                price_e8=units.price_e8("100"),
                client_order_id=f"order-{number}",
            )
            self._ask(Lane.ORDERS_GATEWAY, order)
            accepted = self.view.order_by_client_id(1, f"order-{number}")
            assert accepted is not None
            report = commands.venue_report(
                venue_seq=number,
                order_id=accepted.order_id,
                exec_type=ExecType.TRADE,
                ord_status=OrdStatus.FILLED,
                last_qty_e8=units.qty_e8(1),
                last_px_e8=units.price_e8("100"),
            )
            self._ask(Lane.REPORTS_VENUE, report)
            self.fills += 1

    def stop(self) -> None:
        self._shard.stop()


@pytest.fixture
def a_config(tmp_path: Path, run_dir: Path, nats_server: NatsServer, postgres_url: str) -> Config:
    """Of a stack whose servers are this test's own. run_dir: the folder that belongs to tmp_path."""
    given = {
        "data_dir": str(tmp_path),
        "port_base": str(free_port_base()),
        "nats_url": nats_server.url,
        "postgres_url": postgres_url,
    }
    config = configuration.load(given, {}, tmp_path)
    assert config.run_dir == run_dir
    assert PASSWORD in config.nats_url
    return config


@pytest.fixture
def a_trading_shard(a_config: Config) -> Iterator[TradingShard]:
    shard = TradingShard(a_config)
    yield shard
    shard.stop()


@contextlib.asynccontextmanager
async def started(config: Config, *names: str) -> AsyncIterator[list[Role]]:
    roles = [Role(name, config) for name in names]
    try:
        for role in roles:
            await asyncio.to_thread(role.start)
        yield roles
    finally:
        for role in roles:
            role.kill()


async def test_roles_killed_while_the_shard_trades_lose_and_double_nothing(
    a_config: Config, a_trading_shard: TradingShard, nats_server: NatsServer, postgres_url: str
) -> None:
    shard = a_trading_shard
    async with started(a_config, "mailbox", "publisher", "portfolio", "notifications") as roles:
        for role in [*roles, *roles]:
            await asyncio.to_thread(shard.trade, 40)
            role.kill()
            await asyncio.to_thread(shard.trade, 10)
            await asyncio.to_thread(role.start)

        async def caught_up() -> bool:
            rows = await fetch(
                postgres_url, "SELECT count(*) AS n FROM notifications_sent WHERE sent_at IS NOT NULL"
            )
            fills = await fetch(postgres_url, "SELECT count(*) AS n FROM executions")
            return bool(rows[0]["n"] == fills[0]["n"] == shard.fills)

        await eventually(caught_up)
        updates = [update for _, update in await stream_messages(nats_server.url)]
        assert [update.prior_seq for update in updates] == [0, *(update.seq for update in updates[:-1])]
        account = shard.view.account(1)
        assert account is not None
        [cash] = await fetch(postgres_url, "SELECT cash, reserved FROM cash")
        assert cash == {
            "cash": Decimal(account.cash_e6) / 10**6,
            "reserved": Decimal(account.reserved_e6) / 10**6,
        }
        [position] = await fetch(postgres_url, "SELECT symbol, qty FROM positions")
        assert position == {"symbol": "AAPL", "qty": shard.fills}
        assert len(Maildir(a_config.mailbox_dir)) == shard.fills


async def test_a_role_that_is_told_to_stop_stops_in_order(
    a_config: Config, a_trading_shard: TradingShard
) -> None:
    names = ("mailbox", "publisher", "portfolio", "notifications")
    async with started(a_config, *names) as roles:
        assert {role.name: await asyncio.to_thread(role.terminate) for role in roles} == dict.fromkeys(
            names, 0
        )
