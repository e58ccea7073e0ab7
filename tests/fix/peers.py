"""Applications and loopback runners for the tests: each a few lines of the real thing."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fix.acceptor import Acceptor, Admit, only
from fix.codec import Message
from fix.durable import Busy, DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.inquiry import Inquiry
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.tags import MsgType, Tag


class Desk:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.logons = 0
        self.logouts = 0

    def on_logon(self, session: DurableSession) -> None:
        self.logons += 1

    def on_logout(self, session: DurableSession) -> None:
        self.logouts += 1

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.heard.append(message.get(Tag.ClOrdID) or message.get(Tag.Text) or message.type)
        return []


class Venue(Desk):
    """Answers each order with one report. While `busy`, it has no room."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self.offered = 0

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.offered += 1
        if self.busy:
            raise Busy("full")
        super().on_message(session, message)
        if message.type != MsgType.NewOrderSingle:
            return []
        return [report(message.require(Tag.ClOrdID))]


def no_questions() -> Inquiry:
    """Of a router whose venue is asked nothing: no order is open."""
    return Inquiry(0, list, lambda _: True, by_mass=False)


def order(name: str) -> Outgoing:
    return MsgType.NewOrderSingle, [
        (Tag.ClOrdID, name),
        (Tag.HandlInst, "1"),
        (Tag.OrderQty, "10"),
        (Tag.OrdType, "2"),
        (Tag.Price, "99.5"),
        (Tag.Side, "1"),
        (Tag.Symbol, "AAPL"),
        (Tag.TimeInForce, "0"),
        (Tag.TransactTime, "20261124-12:00:00.000"),
    ]


def report(name: str) -> Outgoing:
    return MsgType.ExecutionReport, [
        (Tag.OrderID, "7"),
        (Tag.ClOrdID, name),
        (Tag.ExecID, f"E-{name}"),
        (Tag.ExecType, "0"),
        (Tag.OrdStatus, "0"),
        (Tag.Symbol, "AAPL"),
        (Tag.Side, "1"),
        (Tag.LeavesQty, "10"),
        (Tag.CumQty, "0"),
        (Tag.AvgPx, "0"),
    ]


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for it; a test that hangs fails here instead."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  what is waited for is in another process, or has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def accepting(
    folder: Path,
    application: Desk,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    admit: Admit = only({"TRADEWIND"}),  # noqa: B008  it keeps nothing
    clock: Callable[[], int] = time.time_ns,
) -> AsyncIterator[tuple[Acceptor, int]]:
    """An acceptor SIMULATOR for TRADEWIND on loopback."""
    acceptor = Acceptor(folder, "SIMULATOR", application, admit, clock=clock)
    number = await acceptor.listen("127.0.0.1", port, tls)
    running = asyncio.create_task(acceptor.run())
    try:
        yield acceptor, number
    finally:
        await acceptor.close()
        running.cancel()


@asynccontextmanager
async def initiating(
    folder: Path, application: Desk, port: int, line: Line | None = None
) -> AsyncIterator[Initiator]:
    """An initiator TRADEWIND to SIMULATOR on loopback, or over `line`."""
    config = SessionConfig("TRADEWIND", "SIMULATOR", Role.INITIATOR, heartbeat_s=1)
    initiator = Initiator(folder, config, application, line or Line((Host("127.0.0.1", port),)))
    running = asyncio.create_task(initiator.run())
    try:
        yield initiator
    finally:
        await initiator.close()
        running.cancel()
