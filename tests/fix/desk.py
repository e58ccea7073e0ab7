"""A desk with FIX on both sides: a real shard, the roles `fix` and `fix-door` as processes, and a venue to
script.

client --FIX--> fix-door -> shard -> fix --FIX--> venue (the test's own)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
import shutil
import ssl
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import msgspec

from app.config import Config, Ports, run_dir_of
from app.options import Address
from core import events
from core.events import Event
from core.records import EventKind
from fix.acceptor import Acceptor, only
from fix.codec import Message
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import MsgType, Tag
from fix.tls import TlsFiles
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from tests.fix.peers import Desk, until
from tests.gateways.conftest import Market, RunningShard

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {"KEY1": ("secret one", "TW000001"), "KEY2": ("secret two", "TW000002")}


class Venue:
    """Accepts every order and cancel at once; fills when it is told to. Asked how an order stands it says so; it takes
    no question about all of them."""

    def __init__(self) -> None:
        self.orders: dict[str, Message] = {}
        self.heard: list[str] = []
        self.acceptor: Acceptor | None = None
        self.refuses_replaces = False
        self.is_silent = False  # about how orders stand
        self.asked: list[str] = []  # how these orders stand
        self._executions = 0
        self._filled: dict[str, int] = {}
        self._paid: dict[str, Decimal] = {}
        self._ended: dict[str, str] = {}

    def on_logon(self, session: DurableSession) -> None: ...

    def on_logout(self, session: DurableSession) -> None: ...

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        if message.type == MsgType.OrderMassStatusRequest:
            return [(MsgType.BusinessMessageReject, [
                (Tag.RefSeqNum, str(message.seq)), (Tag.RefMsgType, message.type), (Tag.BusinessRejectReason, "3"),
            ])]  # fmt: skip
        name = message.require(Tag.ClOrdID)
        if message.type == MsgType.OrderStatusRequest:
            self.asked.append(name)
            return [] if self.is_silent else [self._standing(name)]
        self.heard.append(name)
        if message.type == MsgType.NewOrderSingle:
            self.orders[name] = message
            return [self._report(name, "0", "0")]
        if message.type == MsgType.OrderCancelReplaceRequest:
            orig = message.require(Tag.OrigClOrdID)
            self.orders[name] = message
            self._filled[name] = self._filled.get(orig, 0)
            if self.refuses_replaces:
                return [_refused(name, orig, "2", "99")]
            return [self._report(name, "5", "0", [(Tag.ClOrdID, name), (Tag.OrigClOrdID, orig)])]
        if message.type == MsgType.OrderCancelRequest:
            orig = message.require(Tag.OrigClOrdID)
            if orig not in self.orders:
                return [_refused(name, orig, "1", "1")]
            self._ended[orig] = "4"
            return [self._report(orig, "4", "4", [(Tag.ClOrdID, name), (Tag.OrigClOrdID, orig)])]
        return []

    def has(self, orders: int) -> bool:
        return len(self.orders) >= orders

    def bust(self, name: str, exec_ref_id: str, qty: int, price: str) -> None:
        """Takes back a fill of this order."""
        self._filled[name] -= qty
        taken: list[tuple[int, str]] = [
            (Tag.ExecRefID, exec_ref_id),
            (Tag.LastQty, str(qty)),
            (Tag.LastPx, price),
        ]
        assert self.acceptor is not None
        session = self.acceptor.session("TRADEWIND")
        assert session is not None
        session.send([self._report(name, "H", "0", taken)])

    @property
    def last_exec_id(self) -> str:
        return f"X{self._executions}"

    def fill(self, name: str, qty: int, price: str) -> None:
        done = self._filled[name] = self._filled.get(name, 0) + qty
        self._paid[name] = self._paid.get(name, Decimal(0)) + qty * Decimal(price)
        status = "2" if done == int(self.orders[name].require(Tag.OrderQty)) else "1"
        assert self.acceptor is not None
        session = self.acceptor.session("TRADEWIND")
        assert session is not None
        session.send([self._report(name, "F", status, [(Tag.LastQty, str(qty)), (Tag.LastPx, price)])])

    def forget(self, name: str) -> None:
        """As a venue that lost its memory."""
        del self.orders[name]

    def cancel_unasked(self, name: str) -> None:
        self._ended[name] = "4"

    def fill_untold(self, name: str, qty: int, price: str) -> None:
        """A fill whose report never comes."""
        self._filled[name] = self._filled.get(name, 0) + qty
        self._paid[name] = self._paid.get(name, Decimal(0)) + qty * Decimal(price)

    def _standing(self, name: str) -> Outgoing:
        """An ExecutionReport with 150=I."""
        about = [(Tag.ClOrdID, name), (Tag.ExecID, "0"), (Tag.ExecType, "I")]
        order = self.orders.get(name)
        if order is None:
            return MsgType.ExecutionReport, [
                (Tag.OrderID, "NONE"), *about, (Tag.OrdStatus, "8"), (Tag.OrdRejReason, "5"), (Tag.Symbol, "AAPL"),
                (Tag.Side, "1"), (Tag.LeavesQty, "0"), (Tag.CumQty, "0"), (Tag.AvgPx, "0"), (Tag.Text, "which?"),
            ]  # fmt: skip
        qty, done = int(order.require(Tag.OrderQty)), self._filled.get(name, 0)
        status = self._ended.get(name) or ("2" if done == qty else "1" if done else "0")
        average = self._paid.get(name, Decimal(0)) / done if done else Decimal(0)
        return MsgType.ExecutionReport, [
            (Tag.OrderID, f"V{name}"), *about, (Tag.OrdStatus, status), (Tag.Symbol, order.require(Tag.Symbol)),
            (Tag.Side, order.require(Tag.Side)), (Tag.OrderQty, str(qty)), (Tag.Price, order.require(Tag.Price)),
            (Tag.LeavesQty, "0" if status in "24" else str(qty - done)), (Tag.CumQty, str(done)),
            (Tag.AvgPx, f"{average:.10f}"),
        ]  # fmt: skip

    def _report(
        self, name: str, exec_type: str, status: str, more: list[tuple[int, str]] | None = None
    ) -> Outgoing:
        self._executions += 1
        order, done = self.orders[name], self._filled.get(name, 0)
        leaves = 0 if status in "248" else int(order.require(Tag.OrderQty)) - done
        more = more or []
        return MsgType.ExecutionReport, [
            (Tag.OrderID, f"V{name}"),
            *([] if any(tag == Tag.ClOrdID for tag, _ in more) else [(Tag.ClOrdID, name)]),
            (Tag.ExecID, f"X{self._executions}"),
            (Tag.ExecType, exec_type),
            (Tag.OrdStatus, status),
            (Tag.Symbol, order.require(Tag.Symbol)),
            (Tag.Side, order.require(Tag.Side)),
            (Tag.LeavesQty, str(leaves)),
            (Tag.CumQty, str(done)),
            (Tag.AvgPx, "0"),
            *more,
        ]


def _refused(name: str, orig: str, response_to: str, reason: str) -> Outgoing:
    """An OrderCancelReject: CxlRejResponseTo (434), CxlRejReason (102)."""
    return MsgType.OrderCancelReject, [
        (Tag.OrderID, f"V{orig}"), (Tag.ClOrdID, name), (Tag.OrigClOrdID, orig), (Tag.OrdStatus, "0"),
        (Tag.CxlRejResponseTo, response_to), (Tag.CxlRejReason, reason), (Tag.Text, "not today"),
    ]  # fmt: skip


class FixDesk:
    """Start it with `async with`. `market` is the shard's administrator and quotes; nothing else reports to
    it."""

    def __init__(
        self,
        folder: Path,
        port_base: int,
        rules: Mapping[str, Mapping[str, object]] | None = None,
        tls: TlsFiles | None = None,
        settings: Mapping[str, Any] | None = None,
        drop_copy: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """`rules`: the door's rules by key (`gateways/fix_rules.py`). `tls`: the door speaks TLS with these.
        `settings`: of the stack's Config, besides. `drop_copy`: keys of the drop-copy door, whose role the test
        starts."""
        self._drop_copy = list(drop_copy)
        ports = Ports(**{name: port_base + i for i, name in enumerate(Ports.__struct_fields__)})
        self.folder = folder
        self.config = Config(
            data_dir=folder, run_dir=run_dir_of(folder), port_base=port_base, host="127.0.0.1", shard=0,
            gate="written", postgres_url="", nats_url="", redis_url="", replay=None, speed=1.0, ports=ports,
            venue_address=Address("127.0.0.1", ports.venue), embedded=frozenset(),
        )  # fmt: skip
        self.config = msgspec.structs.replace(self.config, **(settings or {}))
        if tls is not None:
            self.config = msgspec.structs.replace(
                self.config, fix_tls_cert=tls.cert, fix_tls_key=tls.key, fix_tls_ca=tls.ca
            )
        self._rules = rules or {}
        self.venue = Venue()
        self.roles: dict[str, asyncio.subprocess.Process] = {}
        self._clients: list[tuple[Initiator, asyncio.Task[None]]] = []

    async def __aenter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        credentials = [
            {
                "key_id": key,
                "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(),
                "account": account,
                "fix": self._rules.get(key, {}),
            }
            for key, (secret, account) in SECRETS.items()
        ]
        self.config.credentials_path.write_text(
            json.dumps({"credentials": credentials, "drop_copy": self._drop_copy})
        )
        self.config.credentials_path.chmod(0o600)
        (self.folder / "config").write_bytes(pickle.dumps(self.config))
        self.shard = RunningShard(self.config.log_dir, self.config.run_dir)
        self.shard.start()
        self.market = Market(self.config.run_dir)
        self.market.list_instrument("AAPL")
        self.market.quote("AAPL", "149.90", "150.00")
        for _, account in SECRETS.values():
            self.market.open_account(account, "1000000")
        await self.start_venue()
        await asyncio.gather(self.start("fix"), self.start("fix_door"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for initiator, task in self._clients:
            if not task.cancelled():
                await initiator.close()
                task.cancel()
        for role in list(self.roles):
            await self.kill(role)
        await self.stop_venue()
        self.shard.stop()
        shutil.rmtree(self.config.run_dir, ignore_errors=True)

    def events(self, kind: EventKind) -> list[Event]:
        """All of this kind that the log has."""
        reader = LogReader(self.config.log_dir, self.config.run_dir, Reader.AUDIT)
        found: list[Event] = []
        while records := reader.read():
            found += [events.decode(r.seq, r.time_ns, r.payload) for r in records if r.kind == kind]
        reader.close()
        return found

    async def start(self, role: str) -> None:
        command = (sys.executable, "-m", "tests.fix.role_child", role, str(self.folder / "config"))
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        self.roles[role] = process
        assert process.stdout is not None
        async with asyncio.timeout(300):  # the first start on a machine compiles
            assert await process.stdout.readline() == b"ready\n", f"{role} did not start"

    async def kill(self, role: str) -> None:
        """kill -9."""
        process = self.roles.pop(role)
        process.kill()
        await process.wait()

    async def terminate(self, role: str) -> int | None:
        """SIGTERM; the exit status."""
        process = self.roles.pop(role)
        process.terminate()
        async with asyncio.timeout(30):
            await process.wait()
        return process.returncode

    async def leave(self, client: Client, in_order: bool) -> None:
        """The client goes: with a Logout, or as if its machine lost its power."""
        task = next(task for initiator, task in self._clients if initiator is client.initiator)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if in_order:
            await client.initiator.close()
        else:
            client.session.hang_up()
            client.session.close()

    async def start_venue(self) -> None:
        self.venue.acceptor = Acceptor(self.folder / "venue", "SIMULATOR", self.venue, only({"TRADEWIND"}))
        await self.venue.acceptor.listen("127.0.0.1", self.config.ports.venue)
        self._venue_running = asyncio.create_task(self.venue.acceptor.run())

    async def lose_the_routers_store(self) -> None:
        """The role `fix` goes, and comes back without its messages, numbers and place in the log."""
        await self.kill("fix")
        shutil.rmtree(self.folder / "fix" / "venue")
        await self.start("fix")

    async def lose_the_venues_store(self) -> None:
        """The venue goes, and comes back without its messages and numbers; its book it keeps."""
        await self.stop_venue()
        shutil.rmtree(self.folder / "venue")
        await self.start_venue()

    async def stop_venue(self) -> None:
        if self.venue.acceptor is not None:
            await self.venue.acceptor.close()
            self._venue_running.cancel()
            self.venue.acceptor = None

    def client(
        self,
        name: str = "CLIENT",
        key: str = "KEY1",
        secret: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Client:
        """A FIX client that logs on with `key`; not yet connected when this returns."""
        application = Client()
        folder = self.folder / "clients" / name
        logon = ((int(Tag.Username), key), (int(Tag.Password), secret or SECRETS[key][0]))
        config = SessionConfig(name, "TRADEWIND", Role.INITIATOR, logon_fields=logon)
        line = Line((Host("127.0.0.1", self.config.ports.fix),), tls)
        initiator = Initiator(folder, config, application, line)
        application.session = initiator.session
        application.initiator = initiator
        self._clients.append((initiator, asyncio.create_task(initiator.run())))
        return application


class Client(Desk):
    """A FIX client of the desk, and what it was told."""

    session: DurableSession
    initiator: Initiator

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.told.append(message)
        return []

    def send(self, msg_type: str, **fields: str) -> None:
        """Fields by name: send("D", ClOrdID="A", OrderQty="10", ...); "" leaves a field out."""
        self.session.send([(msg_type, [(Tag[name], value) for name, value in fields.items() if value])])

    def order(self, name: str, **changed: str) -> None:
        """Buys 10 AAPL at 150.00, unless it is changed."""
        usual = {"ClOrdID": name, "HandlInst": "1", "Symbol": "AAPL", "Side": "1", "OrderQty": "10", "OrdType": "2",
                 "Price": "150.00", "TimeInForce": "0", "TransactTime": "20261124-12:00:00.000"}  # fmt: skip
        self.send(MsgType.NewOrderSingle, **{**usual, **changed})

    def cancel(self, name: str, orig: str) -> None:
        self.send(MsgType.OrderCancelRequest, ClOrdID=name, OrigClOrdID=orig, Symbol="AAPL", Side="1", OrderQty="10",
                  TransactTime="20261124-12:00:00.000")  # fmt: skip

    def replace(self, name: str, orig: str, **changed: str) -> None:
        """The usual order, with what is changed."""
        usual = {"ClOrdID": name, "OrigClOrdID": orig, "Symbol": "AAPL", "Side": "1", "OrderQty": "10", "OrdType": "2",
                 "Price": "150.00", "TimeInForce": "0", "TransactTime": "20261124-12:00:00.000"}  # fmt: skip
        self.send(MsgType.OrderCancelReplaceRequest, **{**usual, **changed})

    async def logged_on(self) -> None:
        await until(lambda: self.session.is_logged_on, 60)

    async def hears(self, count: int) -> list[Message]:
        """The first `count` messages; waits for them."""
        await until(lambda: len(self.told) >= count, 60)
        return self.told[:count]

    def line(self, message: Message, *tags: Tag) -> str:
        return " ".join(f"{int(tag)}={message.get(tag)}" for tag in tags)
