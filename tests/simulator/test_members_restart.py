"""Several members and the operator over real sessions, and a kill -9 between the two sides of a trade."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from random import Random

import pytest

from core.records import OrdStatus, Side
from fix.acceptor import only
from fix.durable import DurableSession, Outgoing
from fix.simulator.control import OPERATOR
from fix.simulator.exchange import Exchange
from fix.simulator.market import NoMarket
from fix.simulator.orders import Report, StatusReport, TradeAck
from fix.simulator.venue import Venue
from fix.simulator.words import ExecType, Phase
from fix.tags import MsgType, Tag
from tests.simulator.desk import NOW_NS, SHARES, Auditor, reports
from tests.simulator.test_simulator_restart import (
    Desk,
    connected,
    new_order,
    port,
    start_child,
    until,
)
from tests.simulator.venue_child import LET_IN

__all__ = ["port"]  # a fixture of another module


class House:
    """A venue in this process, without any market outside; made again from its stores by `restarted`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exchange = Exchange(SHARES, NoMarket())
        self.venue = Venue(self.exchange, folder, "SIMULATOR", only(LET_IN), clock=lambda: NOW_NS)

    async def start(self, port: int = 0) -> int:
        self.running = asyncio.create_task(self.venue.acceptor.run())
        return await self.venue.acceptor.listen("127.0.0.1", port)

    async def stop(self) -> None:
        await self.venue.close()
        self.running.cancel()

    async def restarted(self, port: int) -> House:
        await self.stop()
        again = House(self.folder)
        await again.start(port)
        return again


def replace_request(cl_ord_id: str, orig: str, side: str, qty: int, price: str) -> Outgoing:
    fields = [
        (Tag.OrigClOrdID, orig), (Tag.ClOrdID, cl_ord_id), (Tag.Symbol, "AAPL"), (Tag.Side, side),
        (Tag.OrderQty, str(qty)), (Tag.OrdType, "2"), (Tag.Price, price),
    ]  # fmt: skip
    return (MsgType.OrderCancelReplaceRequest, fields)


def mass_cancel(cl_ord_id: str) -> Outgoing:
    return (MsgType.OrderMassCancelRequest, [(Tag.ClOrdID, cl_ord_id), (Tag.MassCancelRequestType, "7")])


def set_phase(phase: Phase) -> Outgoing:
    return (MsgType.SecurityStatus, [(Tag.Symbol, "AAPL"), (Tag.SecurityTradingStatus, str(int(phase)))])


def bust(request_id: str, exec_id: str) -> Outgoing:
    fields = [
        (Tag.TradeReportID, request_id), (Tag.TradeReportTransType, "1"), (Tag.ExecID, exec_id),
        (Tag.Symbol, "AAPL"),
    ]  # fmt: skip
    return (MsgType.TradeCaptureReport, fields)


def both_sides_agree(one: Desk, other: Desk) -> int:
    """Holds the two members' trades against each other; how many there are."""
    found = {r.exec_id: r for desk in (one, other) for r in reports(desk.answers) if r.contra_exec_id}
    for report in found.values():
        contra = found[report.contra_exec_id]
        assert contra.contra_exec_id == report.exec_id
        assert (contra.last_qty_e8, contra.last_px_e8) == (report.last_qty_e8, report.last_px_e8)
        assert contra.side is not report.side
    return len(found) // 2


async def test_both_members_are_told_of_their_trade(tmp_path: Path) -> None:
    house = House(tmp_path / "venue")
    port = await house.start()
    async with (
        connected(tmp_path / "anna", port, "ANNA") as (anna, hers),
        connected(tmp_path / "ben", port, "BEN") as (ben, his),
    ):
        hers.send([new_order("A1", "2", 10, "100")])
        await until(lambda: len(anna.answers) == 1)
        his.send(
            [new_order("B1", "1", 4, "101"), replace_request("B2", "B1", "1", 9, "101"), mass_cancel("B3")]
        )
        await until(lambda: len(anna.answers) == 2 and len(ben.answers) == 4)
        await house.stop()
    assert both_sides_agree(anna, ben) == 1
    assert [r.status for r in reports(anna.answers)] == [OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED]


async def test_the_operator_s_phases_and_busts_reach_the_members_and_survive_a_restart(
    tmp_path: Path,
) -> None:
    house = House(tmp_path / "venue")
    port = await house.start()
    async with (
        connected(tmp_path / "anna", port, "ANNA") as (anna, hers),
        connected(tmp_path / "ben", port, "BEN") as (ben, his),
        connected(tmp_path / "operator", port, OPERATOR) as (operator, its),
    ):
        its.send([set_phase(Phase.CALL)])
        await until(lambda: len(operator.answers) == 1)
        hers.send([new_order("A1", "2", 10, "100")])
        his.send([new_order("B1", "1", 4, "101")])
        await until(lambda: len(anna.answers) == len(ben.answers) == 1)
        house = await house.restarted(port)
        assert house.exchange.floor.books["AAPL"].phase is Phase.CALL
        its.send([set_phase(Phase.CONTINUOUS)])
        await until(lambda: len(anna.answers) == len(ben.answers) == 2)
        assert both_sides_agree(anna, ben) == 1
        house = await house.restarted(port)
        assert house.exchange.floor.books["AAPL"].phase is Phase.CONTINUOUS
        exec_id = reports(anna.answers)[-1].exec_id
        hers.send([bust("X", exec_id)])  # which is not hers to ask
        its.send([bust("T1", exec_id), bust("T2", exec_id)])
        await until(lambda: len(operator.answers) == 4 and len(ben.answers) == 3 and len(anna.messages) == 4)
        await house.stop()
    first, second = operator.answers[-2:]
    assert isinstance(first, TradeAck)
    assert isinstance(second, TradeAck)
    assert first.text == ""
    assert exec_id in second.text
    assert [isinstance(a, StatusReport) for a in operator.answers] == [True, True, False, False]
    assert {r.exec_type for desk in (anna, ben) for r in reports(desk.answers[2:])} == {ExecType.TRADE_CANCEL}
    assert sum(m.type == MsgType.BusinessMessageReject for m in anna.messages) == 1


async def test_a_trade_of_which_one_side_was_not_told_is_told_after_the_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "venue")
    port = await house.start()
    async with (
        connected(tmp_path / "anna", port, "ANNA") as (anna, hers),
        connected(tmp_path / "ben", port, "BEN") as (ben, his),
    ):
        hers.send([new_order("A1", "2", 10, "100")])
        await until(lambda: len(anna.answers) == 1)
        # As if killed there: Ben's message and answers are stored, Anna's report is not.
        monkeypatch.setattr(house.venue.simulator, "_finish_soon", lambda: None)
        his.send([new_order("B1", "1", 4, "101")])
        await until(lambda: len(ben.answers) == 2)
        assert len(anna.answers) == 1
        house = await house.restarted(port)
        await until(lambda: len(anna.answers) == 2)
        assert both_sides_agree(anna, ben) == 1
        house = await house.restarted(port)
        hers.send([mass_cancel("A2")])
        await until(lambda: len(anna.answers) == 4)
        await house.stop()
    assert reports(anna.answers)[-1].cum_qty_e8 == 4 * 10**8


async def test_a_trade_whose_cause_was_not_stored_never_was(tmp_path: Path) -> None:
    house = House(tmp_path / "venue")
    port = await house.start()
    async with connected(tmp_path / "anna", port, "ANNA") as (anna, hers):
        hers.send([new_order("A1", "2", 10, "100")])
        await until(lambda: len(anna.answers) == 1)
        async with connected(tmp_path / "ben", port, "BEN") as (ben, his):
            await until(lambda: his.is_logged_on)
            shutil.copytree(tmp_path / "venue" / "BEN", tmp_path / "before")
            shutil.copytree(tmp_path / "venue" / "ANNA", tmp_path / "anna-before")
            his.send([new_order("B1", "1", 4, "101")])
            await until(lambda: len(ben.answers) == 2)
        await house.stop()
    # As if killed there: the outbox has Anna's report, Ben's store has not got his message.
    for name, kept in (("BEN", "before"), ("ANNA", "anna-before")):
        shutil.rmtree(tmp_path / "venue" / name)
        shutil.copytree(tmp_path / kept, tmp_path / "venue" / name)
    outbox = sorted((tmp_path / "venue" / "_outbox").glob("*.fix"))[-1]
    os.truncate(outbox, outbox.stat().st_size - 40)  # "delivered" had not been written either
    again = House(tmp_path / "venue")
    (order,) = again.exchange.open_orders("ANNA")
    assert order.cum_qty_e8 == 0
    assert again.exchange.open_orders("BEN") == []
    await again.venue.close()


async def test_after_kill_9_every_trade_has_both_its_sides(tmp_path: Path, port: int) -> None:
    rng = Random(3)
    sent: dict[str, list[str]] = {"ANNA": [], "BEN": []}
    child = await start_child(tmp_path / "venue", port, "members")
    try:
        async with (
            connected(tmp_path / "anna", port, "ANNA") as (anna, hers),
            connected(tmp_path / "ben", port, "BEN") as (ben, his),
        ):
            for life in range(1, 5):
                await until(partial(_are_back, anna, ben, life))
                for _ in range(25):
                    for name, session in (("ANNA", hers), ("BEN", his)):
                        _send_some(name, session, rng, sent[name])
                    await asyncio.sleep(0.004)
                os.kill(child.pid, signal.SIGKILL)  # in the middle of it
                assert await child.wait() == -signal.SIGKILL
                child = await start_child(tmp_path / "venue", port, "members")
            await until(partial(_are_back, anna, ben, 5))
            for name, desk, session in (("ANNA", anna, hers), ("BEN", ben, his)):
                session.send([mass_cancel(f"{name}-end")])
                await until(partial(_is_flat, desk, f"{name}-end"))
            await until(lambda: anna.accepted() == sent["ANNA"] and ben.accepted() == sent["BEN"])
            await until(lambda: _trades(anna) == _trades(ben))
    finally:
        child.kill()
        await child.wait()
    assert both_sides_agree(anna, ben) > 50
    for desk in (anna, ben):
        Auditor().read(desk.answers)
        numbers = [r.number for r in reports(desk.answers)]
        assert numbers == sorted(numbers)
    assert _net(anna) == -_net(ben)


def _are_back(anna: Desk, ben: Desk, times: int) -> bool:
    return anna.logons >= times and ben.logons >= times


def _send_some(name: str, session: DurableSession, rng: Random, sent: list[str]) -> None:
    orders = []
    for _ in range(rng.randint(1, 4)):
        sent.append(f"{name}-{len(sent)}")
        price = f"{100 + rng.randint(-5, 5) / 100:.2f}"
        orders.append(new_order(sent[-1], rng.choice("12"), rng.randint(1, 20), price, rng.choice("0134")))
    session.send(orders)


def _is_flat(desk: Desk, mass_cancel_id: str) -> bool:
    has_answer = any(getattr(a, "cl_ord_id", "") == mass_cancel_id for a in desk.answers)
    return has_answer and not desk.open_orders()


def _trades(desk: Desk) -> int:
    return sum(r.exec_type is ExecType.TRADE for r in reports(desk.answers))


def _net(desk: Desk) -> int:
    found: list[Report] = reports(desk.answers)
    return sum(r.last_qty_e8 if r.side is Side.BUY else -r.last_qty_e8 for r in found)
