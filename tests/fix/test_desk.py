"""The whole way: a FIX client, the door, the shard, the initiator, a venue; and kill -9 of what stands
between."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import commands, ids
from core.records import OrdType, Side, Source, TimeInForce
from fix.store import Store
from fix.tags import Tag
from shared_mem.bell import Bell
from shared_mem.ring import Ring
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.fix.quickfix_peer import QuickFix
from tests.stack import free_port_base

KIND = (Tag.MsgType, Tag.ClOrdID, Tag.ExecType, Tag.OrdStatus)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[FixDesk]:
    async with FixDesk(tmp_path / "desk", free_port_base()) as running:
        yield running


@pytest.fixture
async def client(desk: FixDesk) -> Client:
    """Logged on for TW000001."""
    client = desk.client()
    await client.logged_on()
    return client


def kinds(client: Client) -> list[str]:
    return [client.line(message, *KIND) for message in client.told]


async def test_an_order_goes_to_the_venue_and_its_fills_come_back(desk: FixDesk, client: Client) -> None:
    client.order("A")
    await client.hears(2)
    (name,) = desk.venue.heard
    routed = desk.venue.orders[name]
    assert [routed.get(tag) for tag in (1, 21, 38, 40, 44, 54, 55, 59)] == [
        "TW000001", "1", "10", "2", "150", "1", "AAPL", "0",
    ]  # fmt: skip
    desk.venue.fill(name, 4, "149.95")
    desk.venue.fill(name, 6, "150.00")
    await client.hears(4)
    assert kinds(client) == [
        "35=8 11=A 150=A 39=A",
        "35=8 11=A 150=0 39=0",
        "35=8 11=A 150=F 39=1",
        "35=8 11=A 150=F 39=2",
    ]
    numbers = (Tag.LastQty, Tag.LastPx, Tag.CumQty, Tag.LeavesQty, Tag.AvgPx)
    assert [client.line(message, *numbers) for message in client.told[2:]] == [
        "32=4 31=149.95 14=4 151=6 6=149.95",
        "32=6 31=150 14=10 151=0 6=149.98",
    ]
    order_id = ids.order_id_of(name)
    assert {message.get(Tag.OrderID) for message in client.told} == {str(ids.order_uuid(0, order_id))}
    assert len({message.get(Tag.ExecID) for message in client.told}) == 4


async def test_a_market_order_is_a_limit_at_the_collar_for_the_venue(desk: FixDesk, client: Client) -> None:
    client.order("M", OrdType="1", Price="")
    await client.hears(2)
    (routed,) = desk.venue.orders.values()
    assert (routed.get(40), routed.get(44)) == ("2", "157.5")
    assert client.told[0].get(40) == "1"
    assert client.told[0].get(44) is None


async def test_a_cancel_in_the_same_breath_as_its_order(desk: FixDesk, client: Client) -> None:
    client.order("A")
    client.cancel("C", "A")
    await client.hears(4)
    shown = [client.line(m, Tag.ClOrdID, Tag.OrigClOrdID, Tag.ExecType, Tag.OrdStatus) for m in client.told]
    assert shown[0] == "11=A 41=None 150=A 39=A"
    assert "11=C 41=A 150=6 39=6" in shown
    assert shown[-1] == "11=C 41=A 150=4 39=4"
    asked = desk.venue.heard[1]
    assert re.fullmatch(r"TW000-C\d+", asked)


async def test_a_cancel_of_what_is_over_or_unknown_is_refused_with_the_reason(
    desk: FixDesk, client: Client
) -> None:
    client.order("A")
    await client.hears(2)
    desk.venue.fill(desk.venue.heard[0], 10, "150")
    await client.hears(3)
    client.cancel("C1", "A")
    client.cancel("C2", "nobody")
    await client.hears(5)
    shown = {
        client.line(m, Tag.MsgType, Tag.ClOrdID, Tag.OrigClOrdID, Tag.CxlRejReason) for m in client.told[3:]
    }
    assert shown == {"35=9 11=C1 41=A 102=0", "35=9 11=C2 41=nobody 102=1"}
    texts = {m.get(Tag.ClOrdID): m.get(Tag.Text) or "" for m in client.told[3:]}
    assert "already filled" in texts["C1"]
    assert "'nobody' is not an order of this account" in texts["C2"]


async def test_a_risk_reject_names_check_limit_and_value(desk: FixDesk, client: Client) -> None:
    client.order("A", OrderQty="9999")
    client.order("B", Price="180")
    client.order("C", Symbol="AAPL", Side="2")
    await client.hears(3)
    shown = {m.get(Tag.ClOrdID): (m.get(Tag.OrdRejReason), m.get(Tag.Text)) for m in client.told}
    assert shown == {
        "A": (
            "3",
            "buying power: insufficient buying power: the order needs 1499850, available is 1000000 (code 401)",
        ),
        "B": ("99", "price collar: limit price 180 is outside the collar, whose bound is 157.5 (code 302)"),
        "C": (
            "3",
            "position limit: insufficient qty available: the order sells 10, free to sell is 0 (code 403)",
        ),
    }
    assert desk.venue.heard == []


BAD = [
    ({"OrderQty": "0"}, "13", "OrderQty (38) 0 must be more than 0"),
    ({"OrderQty": "-5"}, "13", "OrderQty (38) -5 must be more than 0"),
    ({"OrderQty": "1." + "0" * 70 + "1"}, "13", "OrderQty (38) has 73 characters"),
    ({"Price": "150.123456789"}, "13", "Price (44) 150.123456789 has more than 8 decimal places"),
    ({"Symbol": "NOPE"}, "1", "Symbol (55) 'NOPE' is not traded here"),
    ({"Side": "5"}, "11", "Side (54) '5' is not supported; send 1 (buy) or 2 (sell)"),
    ({"OrdType": "3"}, "11", "OrdType (40) '3' is not supported; send 1 (market) or 2 (limit)"),
    ({"OrderQty": "9" * 30}, "13", f"OrderQty (38) {'9' * 30} is too large"),
    ({"TimeInForce": "2"}, "11", "TimeInForce (59) '2' is not supported"),
    ({"Account": "TW000002"}, "15", "Account (1) 'TW000002' is not this session's"),
    ({"ClOrdID": "x" * 129}, "99", "use at most 128 ASCII characters"),
]
# What FIX itself forbids: (changed, RefTagID, SessionRejectReason).
MALFORMED: list[tuple[dict[str, str], str, str]] = [
    *(({"OrderQty": text}, "38", "6") for text in ("NaN", "1e30", "ten", "1_0")),
    ({"Side": "x"}, "54", "5"),
    ({"OrdType": "buy"}, "40", "6"),
    ({"TransactTime": "noon"}, "60", "6"),
    ({"ExecType": "0"}, "150", "2"),
    *(({name: ""}, str(int(Tag[name])), "1") for name in ("ClOrdID", "Side", "OrdType", "TransactTime")),
]
MISSING = ["Symbol", "OrderQty", "Price"]  # which FIX leaves to whoever takes the order


async def test_bad_input_is_told_and_reaches_nothing(desk: FixDesk, client: Client) -> None:
    for i, (changed, _, _) in enumerate(BAD):
        client.order(f"B{i}", **changed)
    await client.hears(len(BAD))
    for (changed, reason, text), told in zip(BAD, client.told, strict=True):
        assert told.get(Tag.OrdStatus) == "8", changed
        assert told.get(Tag.OrdRejReason) == reason, changed
        assert text in (told.get(Tag.Text) or ""), changed
    for name in MISSING:
        client.order("M", **{name: ""})
    client.send("H", ClOrdID="A", Symbol="AAPL", Side="1")
    answers = (await client.hears(len(BAD) + len(MISSING) + 1))[len(BAD) :]
    assert [client.line(m, Tag.MsgType, Tag.BusinessRejectReason) for m in answers] == [
        *["35=j 380=5"] * len(MISSING),
        "35=j 380=3",
    ]
    for name, told in zip(MISSING, answers, strict=False):
        assert f"tag {int(Tag[name])} is missing" in (told.get(Tag.Text) or "")
    assert desk.venue.heard == []
    client.order("good")
    await until(lambda: len(desk.venue.heard) == 1)


async def test_what_fix_forbids_is_rejected_with_its_reason_and_reaches_nothing(
    desk: FixDesk, client: Client
) -> None:
    for changed, _, _ in MALFORMED:
        client.order("M", **changed)
    answers = await client.hears(len(MALFORMED))
    assert [
        client.line(m, Tag.MsgType, Tag.RefTagID, Tag.RefMsgType, Tag.SessionRejectReason) for m in answers
    ] == [f"35=3 371={tag} 372=D 373={reason}" for _, tag, reason in MALFORMED]
    assert desk.venue.heard == []
    client.order("good")
    await until(lambda: len(desk.venue.heard) == 1)


async def test_a_wrong_password_and_another_ones_account_are_not_let_in(
    desk: FixDesk, client: Client
) -> None:
    for stranger in (desk.client("EVE", secret="guess"), desk.client("BOB", key="KEY1")):
        await until(lambda stranger=stranger: stranger.session.next_in > 1)
        assert stranger.logons == 0
    assert client.session.is_logged_on
    assert sorted(path.name for path in (desk.folder / "fix" / "clients").iterdir()) == ["CLIENT"]


async def test_reports_go_to_the_session_of_the_account_and_only_for_fix_orders(
    desk: FixDesk, client: Client
) -> None:
    other = desk.client("OTHER", key="KEY2")
    await other.logged_on()
    bell = Bell.attach(desk.config.run_dir / "bell.shard")
    rest = Ring.attach(desk.config.run_dir / "orders.gateway", bell=bell)
    assert rest.try_push(
        commands.new_order(
            source=Source.GATEWAY, request_id=1, account=1, instrument=1, side=Side.BUY, ord_type=OrdType.LIMIT,
            tif=TimeInForce.DAY, qty_e8=10**9, price_e8=150 * 10**8, client_order_id="by REST",
        )
    )  # fmt: skip
    await until(lambda: len(desk.venue.heard) == 1)
    other.order("theirs")
    await other.hears(2)
    client.order("ours")
    await client.hears(2)
    assert {m.get(Tag.ClOrdID) for m in client.told} == {"ours"}
    assert {m.get(Tag.ClOrdID) for m in other.told} == {"theirs"}


async def test_an_order_that_is_sent_twice_is_rejected_as_a_duplicate(desk: FixDesk, client: Client) -> None:
    client.order("A")
    await client.hears(2)
    client.order("A")
    told = (await client.hears(3))[2]
    assert (told.get(Tag.OrdStatus), told.get(Tag.OrdRejReason), told.get(Tag.OrderID)) == ("8", "6", "NONE")


async def test_a_killed_initiator_sends_every_order_once_and_brings_every_fill(
    desk: FixDesk, client: Client
) -> None:
    total, filled = 120, 0
    for i in range(total):
        client.order(str(i))
        if i % 40 == 20:
            await until(lambda i=i: len(desk.venue.heard) > i - 15, 60)
            await desk.kill("fix")
            filled += _fill_some(desk)
            await desk.start("fix")
    await _heard_all_once(desk, client, total, filled)


async def test_a_killed_door_tells_everything_once(desk: FixDesk, client: Client) -> None:
    total, filled = 150, 0
    for i in range(total):
        client.order(str(i))
        if i % 50 == 30:
            await until(lambda i=i: len(client.told) > i, 60)
            await desk.kill("fix_door")
            filled += _fill_some(desk)
            await desk.start("fix_door")
    await _heard_all_once(desk, client, total, filled)
    assert {m.get(Tag.OrdStatus) for m in client.told} == {"A", "0", "1"}, (
        "none was rejected as its own duplicate"
    )


def _fill_some(desk: FixDesk) -> int:
    """One share of each of the last five orders that the venue has."""
    names = desk.venue.heard[-5:]
    for name in names:
        desk.venue.fill(name, 1, "150")
    return len(names)


async def _heard_all_once(desk: FixDesk, client: Client, total: int, filled: int) -> None:
    """Every order is at the venue, and the client was told of each: pending, accepted, and every fill."""
    told = 2 * total + filled
    await client.hears(told)
    await asyncio.sleep(0.3)  # for what should not come
    assert len(desk.venue.heard) == len(set(desk.venue.heard)) == total
    assert len({m.get(Tag.ExecID) for m in client.told}) == len(client.told) == told


async def test_orders_wait_in_the_log_while_the_venue_is_away(desk: FixDesk, client: Client) -> None:
    await desk.stop_venue()
    for name in "ABC":
        client.order(name)
    await client.hears(3)
    await desk.start_venue()
    await client.hears(6)
    assert len(desk.venue.heard) == 3


async def test_reports_that_the_shard_has_not_applied_are_asked_for_again(
    desk: FixDesk, client: Client
) -> None:
    """The machine was booted: the ring of reports is new, and the initiator had taken more than the log
    has."""
    client.order("A")
    await client.hears(2)
    await desk.kill("fix")
    store = desk.folder / "fix" / "venue"
    ahead = Store(store)
    ahead.append(ahead.next_in + 1, [])  # as if the fill that comes now had been taken
    ahead.close()
    desk.venue.fill(desk.venue.heard[0], 10, "150")
    await desk.start("fix")
    await client.hears(3)
    assert client.told[2].get(Tag.OrdStatus) == "2"


async def test_a_restarted_shard_finds_both_doors_where_it_left_them(desk: FixDesk, client: Client) -> None:
    client.order("A")
    await client.hears(2)
    desk.shard.stop()
    desk.shard.start()
    client.order("B")
    await client.hears(4)
    desk.venue.fill(desk.venue.heard[1], 10, "150")
    await client.hears(5)
    assert len(desk.venue.heard) == 2


async def test_the_roles_stop_in_order_at_sigterm(desk: FixDesk, client: Client) -> None:
    assert await desk.terminate("fix") == 0
    assert await desk.terminate("fix_door") == 0
    await until(lambda: client.logouts == 1)


async def test_quickfix_as_the_client(desk: FixDesk, tmp_path: Path) -> None:
    logon = {553: "KEY1", 554: "secret one"}
    client = await QuickFix.start(
        "initiator", tmp_path / "qf", desk.config.ports.fix, "QF", "TRADEWIND", logon
    )
    try:
        await until(lambda: client.is_logged_on)
        client.send(
            (
                "D",
                [
                    (11, "A"),
                    (55, "AAPL"),
                    (54, "1"),
                    (38, "10"),
                    (40, "2"),
                    (44, "150"),
                    (60, "20261124-12:00:00"),
                ],
            )
        )
        await until(lambda: len(client.heard) == 2)
        desk.venue.fill(desk.venue.heard[0], 10, "150")
        await until(lambda: len(client.heard) == 3)
        assert [m.get(Tag.OrdStatus) for m in client.heard] == ["A", "0", "2"]
    finally:
        await client.kill()
