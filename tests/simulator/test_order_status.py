"""The exchange is asked how orders stand (35=H, 35=AF), and says so (35=8, 150=I)."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.records import OrdStatus
from fix.codec import Message
from fix.durable import Outgoing
from fix.simulator import exchange as exchange_module
from fix.tags import MsgType, Tag
from tests.simulator.desk import OWNER
from tests.simulator.test_members_restart import replace_request
from tests.simulator.test_simulator_restart import Desk, Venue, cancel_request, connected, new_order, until

TOLD = (
    Tag.ClOrdID, Tag.OrdStatus, Tag.OrderQty, Tag.CumQty, Tag.AvgPx, Tag.LeavesQty, Tag.LastQty, Tag.LastPx,
)  # fmt: skip


def question(cl_ord_id: str) -> Outgoing:
    return (MsgType.OrderStatusRequest, [(Tag.ClOrdID, cl_ord_id), (Tag.Symbol, "AAPL"), (Tag.Side, "1")])


def mass_question(request_id: str, kind: str = "7", symbol: str = "") -> Outgoing:
    more = [(Tag.Symbol, symbol)] if symbol else []
    return (
        MsgType.OrderMassStatusRequest,
        [(Tag.MassStatusReqID, request_id), (Tag.MassStatusReqType, kind), *more],
    )


def standings(desk: Desk) -> list[Message]:
    return [m for m in desk.messages if m.get(Tag.ExecType) == "I"]


def line(message: Message, *tags: Tag) -> list[str | None]:
    return [message.get(tag) for tag in tags]


async def test_an_order_is_told_as_it_stands_by_any_of_its_names_also_after_a_restart(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    venue.quote("100.00", "100.02", 5)
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([new_order("A", "1", 8, "100.02"), replace_request("A2", "A", "1", 9, "100.02")])
        session.send(
            [new_order("B", "1", 8, "99"), cancel_request("C", "B"), new_order("bad", "1", 8, "1.001")]
        )
        await until(lambda: len(desk.answers) == 6)
        session.send([question(name) for name in ("A", "A2", "B")])
        await until(lambda: len(standings(desk)) == 3)
        reports = len(desk.answers)
        await venue.stop()
        again = Venue(tmp_path / "venue")
        await again.start(port)
        session.send([question("A2"), question("nobody")])
        await until(lambda: len(standings(desk)) == 5)
        assert len(desk.answers) == reports, "no answer to a question is an event"
        await again.stop()
    first, second, third, later, unknown = standings(desk)
    wanted = ["A2", "1", "9", "5", "100.02", "4", "5", "100.02"]
    assert [line(m, *TOLD) for m in (first, second, later)] == [wanted] * 3
    assert line(third, *TOLD)[:6] == ["B", "4", "8", "0", "0", "0"]
    assert line(unknown, Tag.OrderID, Tag.ClOrdID, Tag.OrdStatus, Tag.OrdRejReason) == [
        "NONE",
        "nobody",
        "8",
        "5",
    ]
    assert {m.get(Tag.ExecID) for m in standings(desk)} == {"0"}


async def test_all_open_orders_are_told_with_how_many_they_are(tmp_path: Path) -> None:
    venue = Venue(tmp_path / "venue")
    venue.quote("100.00", "100.02", 5)
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([mass_question("M0")])
        session.send([new_order(name, "1", 8, "99") for name in ("A", "B", "C")])
        session.send([cancel_request("X", "B"), mass_question("M1"), mass_question("M2", "1", "XOM")])
        await until(lambda: len(standings(desk)) == 4)
        await venue.stop()
    tags = (Tag.MassStatusReqID, Tag.ClOrdID, Tag.OrdStatus, Tag.TotNumReports, Tag.LastRptRequested)
    assert [line(m, *tags) for m in standings(desk)] == [
        ["M0", None, "8", "0", "Y"],
        ["M1", "A", "0", "2", "N"],
        ["M1", "C", "0", "2", "Y"],
        ["M2", None, "8", "0", "Y"],
    ]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (mass_question("M", "3"), "MassStatusReqType (585) '3'"),
        (mass_question("M", "1"), "tag 55 is missing"),
        (
            (MsgType.OrderStatusRequest, [(Tag.ClOrdID, "A"), (Tag.Symbol, "AAPL"), (Tag.Side, "5")]),
            "Side (54) '5'",
        ),
        (
            (MsgType.OrderStatusRequest, [(Tag.ClOrdID, "x" * 65), (Tag.Symbol, "AAPL"), (Tag.Side, "1")]),
            "65",
        ),
    ],
)
async def test_a_question_that_can_not_be_read_is_refused_with_the_reason(
    tmp_path: Path, asked: Outgoing, says: str
) -> None:
    venue = Venue(tmp_path / "venue")
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([asked])
        await until(lambda: len(desk.messages) == 1)
        await venue.stop()
    assert desk.messages[0].type == MsgType.BusinessMessageReject
    assert says in (desk.messages[0].get(Tag.Text) or "")


async def test_more_orders_than_one_answer_holds_are_asked_about_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "MASS_STATUS_MAX", 2)
    venue = Venue(tmp_path / "venue")
    port = await venue.start()
    async with connected(tmp_path / "desk", port) as (desk, session):
        session.send([new_order(name, "1", 8, "99") for name in ("A", "B", "C")])
        session.send([mass_question("M1"), question("A")])
        await until(lambda: len(desk.messages) == 5)
        await venue.stop()
    assert [m.type for m in desk.messages[3:]] == ["j", "8"]
    assert desk.messages[4].get(Tag.OrdStatus) == chr(OrdStatus.NEW)
    assert venue.exchange.open_orders(OWNER)[0].cl_ord_id == "A"
