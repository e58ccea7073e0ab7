"""The exchange's drop copy: what a member is told, told once more, over kill -9 of the exchange; and its faults."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from random import Random

from core.records import Side
from core.units import PRICE_SCALE, QTY_SCALE
from fix.simulator.copy_faults import FAULT_EVERY, CopyFaults
from fix.simulator.orders import Report
from fix.simulator.words import ExecType, Fault
from fix.tags import Tag
from tests.simulator.desk import COPY, OWNER
from tests.simulator.members import Members
from tests.simulator.test_simulator_restart import (
    Desk,
    Venue,
    connected,
    new_order,
    port,
    start_child,
    trade,
    until,
)

__all__ = ["port"]  # the fixture


def exec_ids(desk: Desk) -> list[str]:
    return [answer.exec_id for answer in desk.answers if isinstance(answer, Report)]


async def test_every_report_is_copied_once_over_kill_9(tmp_path: Path, port: int) -> None:
    rng, sent = Random(11), list[str]()
    child = await start_child(tmp_path / "venue", port)
    try:
        async with (
            connected(tmp_path / "copy", port, COPY) as (copy, _),
            connected(tmp_path / "desk", port) as (desk, session),
        ):
            for life in range(1, 4):
                await until(partial(desk.has_logged_on, life))
                await until(partial(copy.has_logged_on, life))
                await trade(session, rng, sent)
                os.kill(child.pid, signal.SIGKILL)  # in the middle of it
                assert await child.wait() == -signal.SIGKILL
                child = await start_child(tmp_path / "venue", port)
            await until(lambda: len(desk.accepted()) >= len(sent))
            await until(lambda: len(exec_ids(copy)) >= len(exec_ids(desk)))
            await asyncio.sleep(0.1)
    finally:
        child.kill()
        await child.wait()
    told = exec_ids(desk)
    assert exec_ids(copy)[: len(told)] == told
    assert len(told) > 300
    assert all(m.get(Tag.CopyMsgIndicator) == "Y" for m in copy.messages if m.type == "8")


async def test_a_copy_begins_with_its_first_logon_and_only_listens(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    number = await venue.start()
    async with connected(tmp_path / "desk", number) as (desk, session):
        session.send([new_order("before", "1", 1, "99")])
        await until(lambda: len(desk.answers) == 1)
        async with connected(tmp_path / "copy", number, COPY) as (copy, listener):
            await until(partial(copy.has_logged_on, 1))
            session.send([new_order("after", "1", 1, "99")])
            await until(lambda: len(copy.answers) == 1)
            listener.send([new_order("mine", "1", 1, "99")])
            await until(lambda: len(copy.messages) == 2)
        await venue.stop()
    (report,) = copy.answers
    assert isinstance(report, Report)
    assert report.cl_ord_id == "after"
    refusal = copy.messages[-1]
    assert (refusal.type, refusal.get(Tag.BusinessRejectReason)) == ("j", "3")
    assert [order.cl_ord_id for order in venue.exchange.open_orders(OWNER)] == ["before", "after"]


def test_each_fault_happens_once_and_says_that_it_is_simulated() -> None:
    members, faults = Members(), CopyFaults(list(Fault))
    told: list[list[Report]] = []
    for number in range(FAULT_EVERY * (len(Fault) + 1)):
        members.sell(f"ben-{number}", 2, 100)
        for answer in members.buy(f"anna-{number}", 2, 100):
            if isinstance(answer, Report) and answer.owner == "anna" and answer.exec_type is ExecType.TRADE:
                told.append([answer, *faults.told(answer)])
    wrong = [(trade, copies) for trade, *copies in told if copies != [trade]]
    assert len(wrong) == len(Fault)
    differences = []
    for told_first, copies in wrong:
        made_up = [copy for copy in copies if copy != told_first]
        assert all(copy.text.startswith("simulated fault: ") for copy in made_up)
        differences.append((len(copies), [_difference(told_first, copy) for copy in made_up]))
    assert differences == [
        (0, []),
        (2, [{"exec_id", "cum_qty_e8"}]),
        (2, [{"exec_id", "cum_qty_e8", "cl_ord_id"}]),
        (1, [{"cl_ord_id"}]),
        (1, [{"side"}]),
        (1, [{"symbol"}]),
        (1, [{"last_qty_e8"}]),
        (1, [{"last_px_e8"}]),
    ]
    assert wrong[4][1][0].side is Side.SELL
    assert wrong[6][1][0].last_qty_e8 == 3 * QTY_SCALE
    assert wrong[7][1][0].last_px_e8 == 100 * PRICE_SCALE + PRICE_SCALE // 100


def _difference(one: Report, other: Report) -> set[str]:
    return {name for name in Report._fields if getattr(one, name) != getattr(other, name)} - {"text"}
