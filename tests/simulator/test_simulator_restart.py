"""The simulator behind a real acceptor, a real initiator before it, and a kill -9 in between."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from core.records import OrdStatus
from core.units import price_e8, qty_e8
from fix.acceptor import only
from fix.codec import Message, encode
from fix.durable import DurableSession, Outgoing
from fix.initiator import Initiator, Line
from fix.profiles.profile import Host
from fix.session import Role, SessionConfig
from fix.simulator import application as application_module
from fix.simulator import venue as venue_module
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.messages import answer_of
from fix.simulator.orders import Answer, CancelReject, Report
from fix.simulator.words import ExecType
from fix.tags import MsgType, Tag
from fix.timestamps import format_ns
from tests.simulator.desk import COPY, NOW_NS, OWNER, SHARES, Auditor, reports

REPO = Path(__file__).resolve().parents[2]


class Desk:
    """The client's end: keeps every message it gets."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answers: list[Answer] = []
        self.logons = 0

    def on_logon(self, session: DurableSession) -> None:
        self.logons += 1

    def on_logout(self, session: DurableSession) -> None:
        pass

    def on_message(self, session: DurableSession, message: Message) -> list[Outgoing]:
        self.messages.append(message)
        answer = answer_of(message, session.key.sender)
        if answer is not None:
            self.answers.append(answer)
        return []

    def has_logged_on(self, times: int) -> bool:
        return self.logons >= times

    def accepted(self) -> list[str]:
        return [r.cl_ord_id for r in reports(self.answers) if r.exec_type is ExecType.NEW]

    def none_is_open(self, cl_ord_ids: list[str]) -> bool:
        return not self.open_orders() & set(cl_ord_ids)

    def open_orders(self) -> set[str]:
        """ClOrdIDs that have a report and no last one."""
        found = {}
        for report in reports(self.answers):
            is_open = report.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)
            found[report.orig_cl_ord_id or report.cl_ord_id] = is_open
        return {cl_ord_id for cl_ord_id, is_open in found.items() if is_open}


def new_order(
    cl_ord_id: str, side: str, qty: int, price: str, tif: str = "0", *more: tuple[int, str]
) -> Outgoing:
    fields = [
        (Tag.ClOrdID, cl_ord_id), (Tag.Symbol, "AAPL"), (Tag.Side, side), (Tag.OrderQty, str(qty)),
        (Tag.OrdType, "2"), (Tag.Price, price), (Tag.TimeInForce, tif), *more,
    ]  # fmt: skip
    return (MsgType.NewOrderSingle, fields)


def cancel_request(cl_ord_id: str, orig: str, *more: tuple[int, str]) -> Outgoing:
    fields = [(Tag.ClOrdID, cl_ord_id), (Tag.OrigClOrdID, orig), (Tag.Symbol, "AAPL"), (Tag.Side, "1"), *more]
    return (MsgType.OrderCancelRequest, fields)


class Venue:
    """The simulator in this process, on quotes that the test gives; `restarted` makes it anew from its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.quotes = Quotes()
        self.exchange = Exchange(SHARES, self.quotes)
        self.venue = venue_module.Venue(
            self.exchange, folder, "SIMULATOR", only({OWNER, COPY}), clock=lambda: NOW_NS
        )
        self.simulator, self.acceptor = self.venue.simulator, self.venue.acceptor
        self.index = 0

    def quote(self, bid: str, ask: str, size: int) -> None:
        self.index += 1
        self.quotes.on_quote("AAPL", price_e8(bid), price_e8(ask), qty_e8(size), qty_e8(size), self.index)
        self.simulator.publish(self.exchange.moved("AAPL", NOW_NS))

    async def start(self, port: int = 0) -> int:
        self.running = asyncio.create_task(self.acceptor.run())
        return await self.acceptor.listen("127.0.0.1", port)

    async def stop(self) -> None:
        await self.venue.close()
        self.running.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.005)


@asynccontextmanager
async def connected(
    folder: Path, port: int, owner: str = OWNER
) -> AsyncIterator[tuple[Desk, DurableSession]]:
    desk = Desk()
    config = SessionConfig(owner, "SIMULATOR", Role.INITIATOR, heartbeat_s=1)
    initiator = Initiator(folder, config, desk, Line((Host("127.0.0.1", port),)))
    running = asyncio.create_task(initiator.run())
    try:
        yield desk, initiator.session
    finally:
        running.cancel()
        await initiator.close()


async def test_an_order_goes_through_a_real_session_and_is_filled_and_canceled(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    venue.quote("100.00", "100.02", 5)
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([new_order("TW000-1", "1", 8, "100.02")])
        await until(lambda: len(desk.answers) == 2)
        venue.quote("100.00", "100.01", 1)
        session.send([cancel_request("TW000-C2", "TW000-1"), cancel_request("TW000-C3", "TW000-9")])
        await until(lambda: len(desk.answers) == 5)
        await venue.stop()
    new, first, second, done, unknown = desk.answers
    assert isinstance(new, Report)
    assert isinstance(done, Report)
    assert isinstance(unknown, CancelReject)
    assert [r.exec_type for r in reports([first, second])] == [ExecType.TRADE] * 2
    assert (done.status, done.cum_qty_e8) == (OrdStatus.CANCELED, qty_e8(6))
    Auditor().read(desk.answers)


async def test_what_can_not_be_answered_by_a_report_is_refused_with_a_reason(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        bare = (MsgType.NewOrderSingle, [(Tag.ClOrdID, "A"), (Tag.Symbol, "AAPL"), (Tag.Side, "1")])
        session.send([bare, new_order("B", "5", 1, "100"), ("H", [(Tag.ClOrdID, "A")]), ("Q", [])])
        await until(lambda: len(desk.messages) == 4)
        await venue.stop()
    told = [(m.type, m.get(Tag.RefMsgType), m.get(Tag.BusinessRejectReason)) for m in desk.messages]
    assert told == [("j", "D", "5"), ("j", "D", "0"), ("j", "H", "5"), ("j", "Q", "3")]
    assert not venue.exchange.open_orders(OWNER)


async def test_a_request_that_comes_again_is_not_done_again(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    port = await venue.start()
    again = (application_module.POSS_RESEND, "Y")
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([new_order("A", "1", 8, "99"), new_order("A", "1", 8, "99", "0", again)])
        session.send([cancel_request("C", "A"), cancel_request("C", "A", again)])
        session.send([new_order("B", "1", 1, "99", "0", again)])
        await until(lambda: len(desk.answers) >= 3)
        await venue.stop()
    assert [(r.cl_ord_id, r.status.name) for r in reports(desk.answers)] == [
        ("A", "NEW"), ("C", "CANCELED"), ("B", "NEW"),
    ]  # fmt: skip


async def test_a_restarted_venue_has_its_orders_its_ids_and_its_memory_of_requests(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    venue.quote("100.00", "100.02", 5)
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        orders = [new_order(name, "1", 8, "100.02") for name in ("A", "B")]
        session.send([*orders, new_order("bad", "1", 8, "100.001"), cancel_request("C1", "B")])
        await until(lambda: len(desk.answers) == 5)
        before = venue.exchange
        await venue.stop()
        venue = Venue(tmp_path / "venue")
        assert venue.exchange.open_orders(OWNER) == before.open_orders(OWNER)
        assert venue.exchange.next_number == before.next_number
        assert all(venue.exchange.is_known(OWNER, cl) for cl in ("A", "B", "bad", "C1"))
        await venue.start(port)
        venue.quote("100.00", "100.02", 5)  # while nobody is connected
        await until(lambda: len(desk.answers) == 6)
        await venue.stop()
    auditor = Auditor()
    auditor.read(desk.answers)
    assert desk.open_orders() == set()


async def test_a_session_that_begins_its_numbers_anew_gives_up_its_open_orders(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([new_order("A", "1", 8, "99")])
        await until(lambda: len(desk.answers) == 1)
    reset = [(Tag.EncryptMethod, "0"), (Tag.HeartBtInt, "5"), (Tag.ResetSeqNumFlag, "Y")]
    replies = await logon_by_hand(port, reset)
    assert b"35=8" in replies
    assert b"150=C" in replies
    assert not venue.exchange.open_orders(OWNER)
    number = venue.exchange.next_number
    await venue.stop()
    anew = Venue(tmp_path / "venue")
    assert not anew.exchange.open_orders(OWNER)
    assert anew.exchange.next_number == number


async def logon_by_hand(port: int, fields: Sequence[tuple[int, str]]) -> bytes:
    """A Logon with number 1; what comes back until an ExecutionReport has."""
    header = [(35, "A"), (34, "1"), (49, OWNER), (52, format_ns(time.time_ns())), (56, "SIMULATOR")]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode("FIX.4.4", [*header, *fields]))
    got = b""
    async with asyncio.timeout(10):
        while b"35=8" not in got or not got.endswith(b"\x01"):
            data = await reader.read(4096)
            assert data, got
            got += data
    writer.close()
    return got


def test_an_order_too_old_for_the_store_is_ended_while_it_is_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_module, "REPORTS_BACK_MAX", 5)

    async def story() -> None:
        venue = Venue(tmp_path / "venue")
        port = await venue.start()
        async with connected(tmp_path / "desk", port) as (desk, session):
            session.send([new_order(str(n), "1", 1, "99") for n in range(8)])
            await until(lambda: len(desk.answers) >= 8 + 1)
            await venue.stop()
        ended = [r.cl_ord_id for r in reports(desk.answers) if r.exec_type is ExecType.EXPIRED]
        assert ended[0] == "0"
        assert ended == [str(n) for n in range(len(ended))]
        Auditor().read(desk.answers)

    asyncio.run(story())


# --- kill -9 -------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


async def start_child(folder: Path, port: int, market: str = "quotes") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.simulator.venue_child", str(folder), str(port), market, cwd=REPO
    )


async def test_after_kill_9_no_order_is_lost_and_none_is_doubled(tmp_path: Path, port: int) -> None:
    rng = Random(9)
    sent: list[str] = []
    child = await start_child(tmp_path / "venue", port)
    try:
        async with connected(tmp_path / "desk", port) as (desk, session):
            for life in range(1, 5):
                await until(partial(desk.has_logged_on, life))
                await trade(session, rng, sent)
                os.kill(child.pid, signal.SIGKILL)  # in the middle of it
                assert await child.wait() == -signal.SIGKILL
                child = await start_child(tmp_path / "venue", port)
            await until(lambda: len(desk.accepted()) >= len(sent))
            while still := sorted(desk.open_orders()):
                names = (f"END{len(desk.answers)}-{number}" for number in range(len(still)))
                session.send([cancel_request(name, cl) for name, cl in zip(names, still, strict=True)])
                await until(partial(desk.none_is_open, still))
    finally:
        child.kill()
        await child.wait()
    assert desk.accepted() == sent  # each once, in the order of sending
    Auditor().read(desk.answers)
    assert sum(r.last_qty_e8 > 0 for r in reports(desk.answers)) > 50


async def trade(session: DurableSession, rng: Random, sent: list[str]) -> None:
    """A few orders at a time, some of them canceled; their ids are added to `sent`."""
    for _ in range(30):
        orders = []
        for _ in range(rng.randint(1, 8)):
            sent.append(f"TW000-{len(sent)}")
            price = f"{100 + rng.randint(-5, 12) / 100:.2f}"
            orders.append(new_order(sent[-1], rng.choice("12"), rng.randint(1, 20), price, rng.choice("003")))
        session.send(orders)
        if rng.random() < 0.3:
            session.send([cancel_request(f"C{len(sent)}", rng.choice(sent))])
        await asyncio.sleep(0.004)
