"""QuickFIX as a member and as the operator: every kind of message, each answer valid by QuickFIX's dictionary."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fix.codec import Message, parse
from fix.durable import Outgoing
from fix.simulator.control import OPERATOR
from fix.store import Store
from fix.tags import MsgType, Tag
from fix.timestamps import format_ns
from tests.fix.quickfix_peer import ROOT, QuickFix
from tests.simulator.desk import NOW_NS
from tests.simulator.test_members_restart import House
from tests.simulator.test_simulator_restart import until

NOW = (Tag.TransactTime, format_ns(NOW_NS))
AAPL = (Tag.Symbol, "AAPL")


@asynccontextmanager
async def quickfix_member(folder: Path, port: int, sender: str) -> AsyncIterator[QuickFix]:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.simulator.quickfix_member", str(folder), str(port), sender)
    member = QuickFix(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe))
    try:
        await until(lambda: member.is_logged_on)
        yield member
    finally:
        await member.kill()


def order(name: str, side: str, qty: int, *more: tuple[int, str]) -> Outgoing:
    fields = [(Tag.ClOrdID, name), (Tag.HandlInst, "1"), AAPL, (Tag.Side, side), NOW]
    return (MsgType.NewOrderSingle, [*fields, (Tag.OrderQty, str(qty)), *more])


def limit(name: str, side: str, qty: int, price: str, tif: str = "0") -> Outgoing:
    more = (Tag.OrdType, "2"), (Tag.Price, price), (Tag.TimeInForce, tif)
    return order(name, side, qty, *more)


def cancel(name: str, orig: str, side: str = "1") -> Outgoing:
    return (
        MsgType.OrderCancelRequest,
        [(Tag.OrigClOrdID, orig), (Tag.ClOrdID, name), AAPL, (Tag.Side, side), NOW],
    )


def replace(name: str, orig: str, side: str, qty: int, price: str, kind: str = "2") -> Outgoing:
    fields = [(Tag.OrigClOrdID, orig), (Tag.ClOrdID, name), (Tag.HandlInst, "1"), AAPL, (Tag.Side, side), NOW]
    more = [(Tag.OrderQty, str(qty)), (Tag.OrdType, kind), (Tag.Price, price)]
    return (MsgType.OrderCancelReplaceRequest, [*fields, *more])


def mass_cancel(name: str, kind: str, *more: tuple[int, str]) -> Outgoing:
    return (
        MsgType.OrderMassCancelRequest,
        [(Tag.ClOrdID, name), (Tag.MassCancelRequestType, kind), NOW, *more],
    )


def phase(status: str) -> Outgoing:
    return (
        MsgType.SecurityStatus,
        [(Tag.SecurityStatusReqID, "P"), AAPL, (Tag.SecurityTradingStatus, status)],
    )


def undo(name: str, exec_id: str, *more: tuple[int, str]) -> Outgoing:
    kind = "2" if more else "1"
    fields = [(Tag.TradeReportID, name), (Tag.TradeReportTransType, kind), (Tag.ExecID, exec_id), AAPL]
    return (MsgType.TradeCaptureReport, [*fields, *(more or ((Tag.LastQty, "1"), (Tag.LastPx, "1"))), NOW])


async def asked(member: QuickFix, answers: int, *requests: Outgoing) -> list[Message]:
    """Sends, and waits until so many more messages have come."""
    before = len(member.heard)
    member.send(*requests)
    await until(lambda: len(member.heard) >= before + answers)
    return member.heard[before:]


def kinds(messages: list[Message]) -> list[str]:
    """MsgType, and ExecType for reports."""
    return [m.type + (m.get(Tag.ExecType) or "" if m.type == "8" else "") for m in messages]


async def test_quickfix_takes_every_answer_to_every_request(tmp_path: Path) -> None:
    house = House(tmp_path / "venue")
    port = await house.start()
    async with (
        quickfix_member(tmp_path / "anna", port, "ANNA") as anna,
        quickfix_member(tmp_path / "ben", port, "BEN") as ben,
        quickfix_member(tmp_path / "operator", port, OPERATOR) as operator,
    ):
        await trade_by_quickfix(anna, ben)
        await refuse_quickfix(anna)
        await operate_by_quickfix(anna, ben, operator)
        heard = {"ANNA": anna.heard, "BEN": ben.heard, OPERATOR: operator.heard}
        await house.stop()
    for name, messages in heard.items():
        store = Store(tmp_path / "venue" / name)
        sent = [parse(stored.raw) for stored in store.read(1, store.next_out - 1)]
        store.close()
        assert MsgType.Reject not in {m.type for m in messages}
        # One that QuickFIX does not find in its dictionary never gets to its application.
        assert [m.seq for m in messages] == [m.seq for m in sent]


async def trade_by_quickfix(anna: QuickFix, ben: QuickFix) -> None:
    """Every kind of order and of change to one."""
    assert kinds(await asked(anna, 1, limit("A1", "2", 10, "100"))) == ["80"]
    assert kinds(await asked(anna, 1, replace("A2", "A1", "2", 8, "100"))) == ["85"]
    assert kinds(await asked(ben, 2, limit("B1", "1", 3, "101"))) == ["80", "8F"]
    await until(lambda: kinds(anna.heard) == ["80", "85", "8F"])
    assert kinds(await asked(ben, 2, limit("B2", "1", 30, "101", "4"))) == ["80", "84"]  # fill or kill
    market = order("B3", "1", 2, (Tag.OrdType, "1"), (Tag.TimeInForce, "3"))
    assert kinds(await asked(ben, 2, market)) == ["80", "8F"]
    stop = order("B4", "1", 2, (Tag.OrdType, "3"), (Tag.StopPx, "110"), (Tag.TimeInForce, "1"))
    stop_limit = order("B5", "1", 1, (Tag.OrdType, "4"), (Tag.StopPx, "100"), (Tag.Price, "100"))
    assert kinds(await asked(ben, 4, stop, stop_limit)) == ["80", "80", "8D", "8F"]  # 100 was reached
    assert kinds(await asked(ben, 1, cancel("B6", "B4"))) == ["84"]
    assert kinds(await asked(ben, 2, limit("B7", "1", 1, "90", "1"), limit("B8", "1", 1, "91"))) == [
        "80",
        "80",
    ]
    b7 = [(Tag.ClOrdID, "B7"), AAPL, (Tag.Side, "1")]
    assert kinds(await asked(ben, 1, (MsgType.OrderStatusRequest, b7))) == ["8I"]
    assert kinds(await asked(ben, 2, mass_status("S1"))) == ["8I", "8I"]
    of_a_security = mass_cancel("B9", "1", AAPL)
    assert kinds(await asked(ben, 4, of_a_security, mass_cancel("B10", "7"))) == ["r", "84", "84", "r"]
    assert kinds(await asked(ben, 1, mass_status("S2"))) == ["8I"]  # none is open


def mass_status(name: str) -> Outgoing:
    fields = [(Tag.MassStatusReqID, name), (Tag.MassStatusReqType, "7")]
    return (MsgType.OrderMassStatusRequest, fields)


async def refuse_quickfix(anna: QuickFix) -> None:
    """Every kind of refusal."""
    assert kinds(await asked(anna, 1, replace("A3", "A2", "2", 1, "100"))) == ["9"]
    assert kinds(await asked(anna, 1, replace("A4", "A2", "2", 8, "100", "P"))) == ["9"]
    assert kinds(await asked(anna, 1, cancel("A5", "nothing"))) == ["9"]
    assert kinds(await asked(anna, 1, limit("A6", "1", 1, "100.001"))) == ["88"]
    assert kinds(await asked(anna, 1, limit("A7", "1", 1, "100", "6"))) == ["88"]
    assert kinds(await asked(anna, 1, mass_cancel("A8", "1", (Tag.Symbol, "NONE")))) == ["r"]
    assert kinds(await asked(anna, 1, mass_cancel("A9", "3"))) == ["j"]
    assert kinds(await asked(anna, 1, phase("2"))) == ["j"]  # which is the operator's
    nobody = [(Tag.ClOrdID, "nobody"), AAPL, (Tag.Side, "1")]
    assert kinds(await asked(anna, 1, (MsgType.OrderStatusRequest, nobody))) == ["8I"]
    status = [(Tag.SecurityStatusReqID, "S"), AAPL, (Tag.SubscriptionRequestType, "0")]
    assert kinds(await asked(anna, 1, (MsgType.SecurityStatusRequest, status))) == ["f"]


async def operate_by_quickfix(anna: QuickFix, ben: QuickFix, operator: QuickFix) -> None:
    """A halt, a close, a call and its uncross; a correction and a bust."""
    assert kinds(await asked(operator, 2, phase("4"), phase("21"))) == ["f", "f"]
    assert kinds(await asked(ben, 1, limit("B20", "1", 1, "100", "3"))) == ["88"]
    assert kinds(await asked(ben, 1, limit("B21", "1", 1, "100"))) == ["80"]
    before = len(anna.heard)
    assert kinds(await asked(operator, 1, phase("3"))) == ["f"]
    await until(lambda: kinds(anna.heard[before:]) == ["8F"])
    exec_id = anna.heard[-1].require(Tag.ExecID)
    corrected = undo("T1", exec_id, (Tag.LastQty, "1"), (Tag.LastPx, "100"))
    assert kinds(await asked(operator, 2, corrected, undo("T2", exec_id))) == ["AR", "AR"]
    await until(lambda: kinds(anna.heard[before:]) == ["8F", "8G"])
    again = anna.heard[-1].require(Tag.ExecID)
    assert kinds(await asked(operator, 2, undo("T3", again), phase("18"))) == ["AR", "f"]
    await until(lambda: kinds(anna.heard[before:]) == ["8F", "8G", "8H", "8C"])
    ben.send(limit("B22", "1", 1, "100"))
    await until(lambda: kinds(ben.heard)[-4:] == ["8F", "8G", "8H", "88"])
