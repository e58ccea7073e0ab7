"""A desk to send orders to: a real shard, the gateway under its real server, and a funded account with its
key.

The test stands in for the neighbours: it is the administrator, the market data, and the venue that fills
orders. What needs the whole stack is in test_alpaca_on_the_stack.py.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
import uvicorn

from actors.shard import BELL_FILE, LANE_FILES, TICKS_CAPACITY, TICKS_FILE, Lane, Shard
from actors.tables import Capacity
from actors.view import StateView
from core import commands, ids, units
from core.records import TICK, TICK_BYTES, ExecType, OrdStatus, TickKind
from core.rejects import Reject
from gateways.answers import Answers
from gateways.app import create_app
from gateways.desk import Desk
from gateways.identity import Credentials, Identity
from gateways.log_feed import LogFeed
from gateways.settings import GatewaySettings
from gateways.tick_feed import TickFeed
from shared_mem.bell import Bell
from shared_mem.broadcast import Broadcast, BroadcastReader
from shared_mem.idle import Idle
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring

SYMBOLS = ("AAPL", "MSFT")
SOURCE = "prices of a test"


def eventually(holds: Any, within_s: float = 60.0) -> Any:
    """The first true value of `holds()`. The bound is for a hang: the first command may wait for a compiler."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        found = holds()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"did not come true within {within_s} s")


class RunningShard:
    """A shard that can go away and come back, as it does when its process is killed."""

    def __init__(self, log_dir: Path, run_dir: Path) -> None:
        self._log_dir, self._run_dir = log_dir, run_dir
        self._shard: Shard | None = None

    def start(self) -> None:
        """Small, and asleep when there is nothing to do: the tests share two cores."""
        self._shard = Shard(
            self._log_dir,
            self._run_dir,
            capacity=Capacity(16, 16, 64, 1024, groups=16, cash=16),
            idle=Idle(pauses=1, yields=1),
        )
        self._shard.recover()
        self._shard.start()

    def stop(self) -> None:
        if self._shard is not None:
            self._shard.stop()
            self._shard = None


def _tick(symbol: str, kind: TickKind, now_ns: int, fields: dict[str, int]) -> bytes:
    head = {"instrument": SYMBOLS.index(symbol) + 1, "kind": kind, "time_ns": now_ns, "published_ns": now_ns}
    row = np.zeros(1, TICK)
    for name, value in {**head, **fields}.items():
        row[name] = value
    return row.tobytes()


class Market:
    """The shard's other neighbours: an administrator, the market data, and the venue."""

    def __init__(self, run_dir: Path) -> None:
        self.view = StateView.attach(run_dir)
        bell = self.bell = Bell.attach(run_dir / BELL_FILE)
        self._admin = Ring.attach(run_dir / LANE_FILES[Lane.ADMIN], bell=bell)
        self._reports = Ring.attach(run_dir / LANE_FILES[Lane.REPORTS_VENUE], bell=bell)
        self._ticks = Broadcast.create(run_dir / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY)
        self._venue_seq = 0
        self._request = 0

    def _ask(self, lane: Ring, command: bytes) -> None:
        """Put a command in, and wait until it was applied."""
        before = self.view.seq
        assert lane.try_push(command)
        eventually(lambda: self.view.seq > before)

    def _next_request(self) -> int:
        self._request += 1
        return self._request

    def open_account(self, number: str, cash: str) -> int:
        """A funded account; returns its number inside the shard."""
        order_max, position_max = units.qty_e8(10_000), units.qty_e8(50_000)
        self._ask(
            self._admin,
            commands.open_account(
                request_id=self._next_request(), number=number, max_order_qty_e8=order_max,
                max_order_notional_e6=units.cash_e6(5_000_000), max_position_qty_e8=position_max,
            ),
        )  # fmt: skip
        account = self.view.account_by_text(number)
        assert account is not None
        deposit = commands.deposit(
            request_id=self._next_request(), account=account.account, amount_e6=units.cash_e6(cash)
        )
        self._ask(self._admin, deposit)
        return account.account

    def list_instrument(self, symbol: str) -> None:
        define = commands.define_instrument(
            request_id=self._next_request(), symbol=symbol, tick_e8=units.price_e8("0.01"),
            lot_e8=units.qty_e8(1), max_order_qty_e8=units.qty_e8(1_000_000), collar_bps=500,
            quote_age_ms_max=3_600_000,
        )  # fmt: skip
        self._ask(self._admin, define)

    def settle_day(self, date: int) -> None:
        self._ask(self._admin, commands.settle_day(request_id=self._next_request(), date=date))

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        """To the shard, as its live quote, and to whoever follows the ticks."""
        sizes = {"bid_size_e8": units.qty_e8(300), "ask_size_e8": units.qty_e8(200)}
        prices = {"bid_e8": units.price_e8(bid), "ask_e8": units.price_e8(ask)}
        self._publish(symbol, TickKind.QUOTE, **prices, **sizes)

    def trade(self, symbol: str, price: str) -> None:
        self._publish(symbol, TickKind.TRADE, px_e8=units.price_e8(price), size_e8=units.qty_e8(100))

    def flood_of_trades(self, symbol: str, price: str, count: int) -> None:
        """As fast as they can be published, without waiting for anyone to see them."""
        fields = {"px_e8": units.price_e8(price), "size_e8": units.qty_e8(100)}
        record = _tick(symbol, TickKind.TRADE, time.time_ns(), fields)
        for _ in range(count):
            self._ticks.publish(record)
        time.sleep(0.02)

    def _publish(self, symbol: str, kind: TickKind, **fields: int) -> None:
        """A tick to everyone; waits until the shard has it."""
        now = time.time_ns()
        self._ticks.publish(_tick(symbol, kind, now, fields))
        instrument = SYMBOLS.index(symbol) + 1
        eventually(lambda: now in self._times(instrument))

    def _times(self, instrument: int) -> tuple[int, int]:
        """When the shard's live quote and last trade are from."""
        seen = self.view.instrument(instrument)
        return (0, 0) if seen is None else (seen.quote_time_ns, seen.trade_time_ns)

    def _report(self, order_id: str, exec_type: ExecType, status: OrdStatus, **fields: Any) -> None:
        self._venue_seq += 1
        self._ask(
            self._reports,
            commands.venue_report(
                venue_seq=self._venue_seq, order_id=ids.number_of(order_id), exec_type=exec_type,
                ord_status=status, **fields,
            ),
        )  # fmt: skip

    def accept(self, order_id: str) -> None:
        self._report(order_id, ExecType.NEW, OrdStatus.NEW)

    def fill(self, order_id: str, qty: str, price: str, exec_id: str = "") -> None:
        self._report(
            order_id, ExecType.TRADE, OrdStatus.FILLED,
            last_qty_e8=units.qty_e8(qty), last_px_e8=units.price_e8(price), exec_id=exec_id,
        )  # fmt: skip

    def replaced(self, order_id: str, number: int = 1) -> None:
        self._report(order_id, ExecType.REPLACED, OrdStatus.NEW, replacement=number)

    def refuse_replace(self, order_id: str, number: int = 1) -> None:
        self._report(order_id, ExecType.REPLACE_REJECT, OrdStatus.NEW, replacement=number)

    def bust(self, order_id: str, exec_id: str) -> None:
        self._report(order_id, ExecType.TRADE_CANCEL, OrdStatus.NEW, exec_ref_id=exec_id)

    def doubt(self, order_id: str, code: Reject) -> None:
        """The venue does not know the order, or says nothing."""
        self._ask(self._reports, commands.fate_unknown(order_id=ids.number_of(order_id), code=code))

    def standing(self, order_id: str, status: OrdStatus, cum: str, average: str) -> None:
        """The venue's answer to how an order stands."""
        self._venue_seq += 1
        self._ask(
            self._reports,
            commands.venue_status(
                venue_seq=self._venue_seq, order_id=ids.number_of(order_id), exec_type=ExecType.ORDER_STATUS,
                ord_status=status, cum_qty_e8=units.qty_e8(cum), avg_px_e8=units.price_e8(average),
            ),
        )  # fmt: skip

    def confirm_cancel(self, order_id: str) -> None:
        self._report(order_id, ExecType.CANCELED, OrdStatus.CANCELED)


def _another_key(path: Path, account: str) -> dict[str, str]:
    """Add a key for another account to the file; the headers that sign in with it."""
    content = json.loads(path.read_bytes())
    key_id, secret = f"KEY-{account}", f"the secret of {account}"
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    content["credentials"].append({"key_id": key_id, "secret_sha256": hashed, "account": account})
    path.write_bytes(msgspec.json.encode(content))
    return {"APCA-API-KEY-ID": key_id, "APCA-API-SECRET-KEY": secret}


class Gateway:
    """The real application under a real server, in a thread with a loop of its own."""

    def __init__(self, run_dir: Path, log_dir: Path, data_dir: Path, demo: bool = True) -> None:
        demo_key = Credentials.create_demo(data_dir / "credentials.json").demo
        assert demo_key is not None
        self.key_id, self.secret_key = demo_key.key_id, demo_key.secret_key
        self.other_headers = _another_key(data_dir / "credentials.json", "TW000002")
        bell = self._bell = Bell.attach(run_dir / BELL_FILE)
        self.desk = Desk(
            shard=0, view=StateView.attach(run_dir), answers=Answers(time.time_ns()), source=SOURCE,
            names={"AAPL": "Apple Inc."},
            orders=Ring.attach(run_dir / LANE_FILES[Lane.ORDERS_GATEWAY], bell=bell),
            cancels=Ring.attach(run_dir / LANE_FILES[Lane.CANCELS_GATEWAY], bell=bell),
        )  # fmt: skip
        self.failures: list[BaseException] = []
        app = create_app(
            desk=self.desk,
            identity=Identity(Credentials.load(data_dir / "credentials.json"), self._number),
            feed=LogFeed(LogReader(log_dir, run_dir, Reader.GATEWAY), self.failures.append),
            ticks=TickFeed(lambda: BroadcastReader(run_dir / TICKS_FILE), self.desk.symbol),
            settings=GatewaySettings(demo=demo, page=data_dir / "dist", mailbox=data_dir / "mailbox"),
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        config = uvicorn.Config(
            app, port=self.port, ws="websockets-sansio", http="httptools", loop="uvloop",
            log_config=None, access_log=False, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started)

    def _number(self, text: str) -> int | None:
        account = self.desk.view.account_by_text(text)
        return None if account is None else account.account

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def trading_stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/stream"

    @property
    def data_stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v2/iex"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._bell.close()
        assert not self.failures


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def shard(run_dir: Path, log_dir: Path) -> Iterator[RunningShard]:
    running = RunningShard(log_dir, run_dir)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def market(shard: RunningShard, run_dir: Path) -> Iterator[Market]:
    """Two shares with quotes, and the demo's account with 100,000.00."""
    made = Market(run_dir)
    for symbol in SYMBOLS:
        made.list_instrument(symbol)
    made.quote("AAPL", "149.90", "150.00")
    made.quote("MSFT", "399.90", "400.00")
    made.open_account("TW000001", "100000")
    made.open_account("TW000002", "100000")
    yield made
    made.bell.close()


@pytest.fixture
def gateway(market: Market, run_dir: Path, log_dir: Path, tmp_path: Path) -> Iterator[Gateway]:
    running = Gateway(run_dir, log_dir, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """Signed in with the demo's key."""
    headers = {"APCA-API-KEY-ID": gateway.key_id, "APCA-API-SECRET-KEY": gateway.secret_key}
    with httpx.Client(base_url=gateway.rest, headers=headers) as signed_in:
        yield signed_in


@pytest.fixture
def somebody_else(gateway: Gateway) -> Iterator[httpx.Client]:
    """Signed in for TW000002."""
    with httpx.Client(base_url=gateway.rest, headers=gateway.other_headers) as signed_in:
        yield signed_in
