"""A replace the whole way: the client's G, the door, the shard, the router's G, the venue; and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fix.tags import MsgType, Tag
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.stack import free_port_base

SHOWN = (Tag.MsgType, Tag.ClOrdID, Tag.OrigClOrdID, Tag.ExecType, Tag.OrdStatus, Tag.OrderQty)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[FixDesk]:
    async with FixDesk(tmp_path / "desk", free_port_base()) as running:
        yield running


@pytest.fixture
async def client(desk: FixDesk) -> Client:
    client = desk.client()
    await client.logged_on()
    return client


async def test_a_chain_of_replaces_has_a_name_for_each_link(desk: FixDesk, client: Client) -> None:
    client.order("A")
    await client.hears(2)
    client.replace("B", "A", OrderQty="15")
    await client.hears(4)
    client.replace("C", "B", OrderQty="12", Price="149.50")
    await client.hears(6)
    client.cancel("D", "C")
    await client.hears(8)
    assert [client.line(m, *SHOWN) for m in client.told] == [
        "35=8 11=A 41=None 150=A 39=A 38=10",
        "35=8 11=A 41=None 150=0 39=0 38=10",
        "35=8 11=B 41=A 150=E 39=E 38=10",
        "35=8 11=B 41=A 150=5 39=0 38=15",
        "35=8 11=C 41=B 150=E 39=E 38=15",
        "35=8 11=C 41=B 150=5 39=0 38=12",
        "35=8 11=D 41=C 150=6 39=6 38=12",
        "35=8 11=D 41=C 150=4 39=4 38=12",
    ]
    name = desk.venue.heard[0]
    assert desk.venue.heard[1:3] == [f"{name}R1", f"{name}R2"]
    links = [desk.venue.orders[f"{name}R{n}"].get(Tag.OrigClOrdID) for n in (1, 2)]
    assert links == [name, f"{name}R1"], "each names the last one that was accepted"
    asked = desk.venue.orders[f"{name}R2"]
    assert (asked.type, asked.get(Tag.OrderQty), asked.get(Tag.Price)) == (
        MsgType.OrderCancelReplaceRequest, "12", "149.5",
    )  # fmt: skip


async def test_a_replace_that_the_venue_refuses_is_answered_as_a_replace(
    desk: FixDesk, client: Client
) -> None:
    desk.venue.refuses_replaces = True
    client.order("A")
    await client.hears(2)
    client.replace("B", "A", OrderQty="15")
    refused = (await client.hears(4))[3]
    shown = client.line(
        refused, Tag.MsgType, Tag.ClOrdID, Tag.OrigClOrdID, Tag.OrdStatus, Tag.CxlRejResponseTo
    )
    assert shown == "35=9 11=B 41=A 39=0 434=2"
    client.cancel("C", "A")
    await client.hears(6)
    assert client.told[5].get(Tag.ExecType) == "4"


async def test_what_can_not_be_replaced_is_refused_with_the_reason(desk: FixDesk, client: Client) -> None:
    client.order("A")
    await client.hears(2)
    client.replace("B", "nobody")
    client.replace("C", "A", Side="2")
    client.replace("D", "A", OrderQty="99999")
    client.replace("E", "A", OrderQty="-1")
    told = (await client.hears(6))[2:]
    found = {m.get(Tag.ClOrdID): m for m in told}
    assert {m.get(Tag.CxlRejResponseTo) for m in told} == {"2"}
    texts = {name: m.get(Tag.Text) or "" for name, m in found.items()}
    assert "'nobody' is not an order of this account" in texts["B"]
    assert "Side (54) is '1' and can't be replaced" in texts["C"]
    assert "insufficient buying power" in texts["D"] or "maximum" in texts["D"]
    assert "must be more than 0" in texts["E"]
    assert len(desk.venue.heard) == 1


async def test_a_bust_reaches_the_client_with_the_execution_that_it_undoes(
    desk: FixDesk, client: Client
) -> None:
    client.order("A")
    await client.hears(2)
    name = desk.venue.heard[0]
    desk.venue.fill(name, 4, "150")
    await client.hears(3)
    desk.venue.bust(name, desk.venue.last_exec_id, 4, "150")
    filled, busted = (await client.hears(4))[2:]
    assert busted.get(Tag.ExecRefID) == filled.get(Tag.ExecID)
    shown = client.line(busted, Tag.ExecType, Tag.OrdStatus, Tag.CumQty, Tag.LeavesQty, Tag.LastQty)
    assert shown == "150=H 39=0 14=0 151=10 32=4"


async def test_a_good_till_date_order_is_good_till_cancel_for_the_venue(
    desk: FixDesk, client: Client
) -> None:
    client.order("A", TimeInForce="6", ExpireTime="20991231-23:59:59")
    client.order("B", TimeInForce="6")
    client.order("C", TimeInForce="6", ExpireTime="20200101-00:00:00")
    await until(lambda: len(client.told) >= 4)
    assert [m.get(Tag.TimeInForce) for m in desk.venue.orders.values()] == ["1"]
    refused = {m.get(Tag.ClOrdID) or m.get(Tag.MsgType): m.get(Tag.Text) for m in client.told}
    assert "expire time that is to come" in (refused["C"] or "")
    assert any("tag 126 is missing" in (m.get(Tag.Text) or "") for m in client.told)
