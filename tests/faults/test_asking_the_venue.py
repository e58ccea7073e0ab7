"""What of an order's life is not told: after a restart the venue is asked, and its answer is what holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.view import OrderView
from app.fates import unknown_fates
from core import ids
from core.events import Event
from core.records import EventKind, ExecType, Fate, OrdStatus
from core.rejects import Reject
from core.units import price_e8, qty_e8
from fix.tags import Tag
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.stack import free_port_base


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[FixDesk]:
    async with FixDesk(tmp_path / "desk", free_port_base()) as running:
        yield running


@pytest.fixture
async def client(desk: FixDesk) -> Client:
    client = desk.client()
    await client.logged_on()
    return client


def order_of(desk: FixDesk, name: str) -> OrderView:
    """By its name at the venue."""
    found = desk.market.view.order(ids.order_id_of(name))
    assert found is not None
    return found


def standings(desk: FixDesk) -> list[Event]:
    return [e for e in desk.events(EventKind.ORDER) if e.exec_type == ExecType.ORDER_STATUS]


async def placed(desk: FixDesk, client: Client, *names: str) -> list[str]:
    """Orders that the venue has accepted: their names there."""
    before = len(client.told)
    for name in names:
        client.order(name)
    await client.hears(before + 2 * len(names))
    return desk.venue.heard[-len(names) :]


async def test_what_happened_while_the_router_was_away_is_found_by_asking(
    desk: FixDesk, client: Client
) -> None:
    filled, part, canceled, untouched, gone = await placed(desk, client, "A", "B", "C", "D", "E")
    await desk.kill("fix")
    desk.venue.fill_untold(filled, 10, "149.95")
    desk.venue.fill_untold(part, 3, "149.95")
    desk.venue.fill_untold(part, 1, "149.90")
    desk.venue.fill_untold(canceled, 2, "150")
    desk.venue.cancel_unasked(canceled)
    desk.venue.forget(gone)
    await desk.start("fix")
    await until(lambda: order_of(desk, gone).fate == Fate.UNKNOWN, 60)
    await until(lambda: order_of(desk, untouched).fate == Fate.SURE, 60)
    assert sorted(desk.venue.asked) == sorted([filled, part, canceled, untouched, gone])
    shown = {
        name: (order_of(desk, name).ord_status, order_of(desk, name).cum_qty_e8)
        for name in (filled, part, canceled, untouched, gone)
    }
    assert shown == {
        filled: (OrdStatus.FILLED, qty_e8(10)),
        part: (OrdStatus.PARTIALLY_FILLED, qty_e8(4)),
        canceled: (OrdStatus.CANCELED, qty_e8(2)),
        untouched: (OrdStatus.NEW, 0),
        gone: (OrdStatus.NEW, 0),
    }
    paid = order_of(desk, part).cum_notional_e6
    assert paid == 3 * 149_950_000 + 149_900_000
    fills = [e for e in desk.events(EventKind.ORDER) if e.exec_type == ExecType.TRADE]
    assert {e.state for e in fills} == {Fate.RECONCILED}
    assert order_of(desk, gone).reserved_e6 > 0
    assert len(unknown_fates(desk.config)) == 1
    assert desk.venue.heard == [filled, part, canceled, untouched, gone], "no order is sent again"
    told = [client.line(m, Tag.ClOrdID, Tag.ExecType, Tag.CumQty) for m in (await client.hears(15))[10:]]
    assert sorted(told) == [
        "11=A 150=F 14=10", "11=B 150=F 14=4", "11=C 150=4 14=2", "11=C 150=F 14=2", "11=E 150=I 14=0",
    ]  # fmt: skip


async def test_the_missed_reports_are_taken_before_anything_is_asked(desk: FixDesk, client: Client) -> None:
    filled, rest = await placed(desk, client, "A", "B")
    await desk.kill("fix")
    desk.venue.fill(filled, 10, "149.95")
    await desk.start("fix")
    await until(lambda: desk.venue.asked == [rest], 60)
    await client.hears(5)
    assert order_of(desk, filled).ord_status == OrdStatus.FILLED
    (fill,) = [e for e in desk.events(EventKind.ORDER) if e.exec_type == ExecType.TRADE]
    assert (fill.state, fill.last_px_e8) == (Fate.SURE, price_e8("149.95"))


async def test_a_venue_that_lost_its_store_gets_no_order_twice_and_every_open_one_is_asked_about(
    desk: FixDesk, client: Client
) -> None:
    filled, part = await placed(desk, client, "A", "B")
    desk.venue.fill(part, 2, "150")
    await client.hears(5)
    desk.venue.fill_untold(filled, 10, "149.95")
    desk.venue.fill_untold(part, 3, "149.90")
    await desk.lose_the_venues_store()
    await until(lambda: order_of(desk, filled).ord_status == OrdStatus.FILLED, 60)
    await until(lambda: order_of(desk, part).cum_qty_e8 == qty_e8(5), 60)
    assert desk.venue.heard == [filled, part]
    (more,) = await placed(desk, client, "C")
    assert len({filled, part, more}) == 3
    desk.venue.fill(more, 10, "150")
    await until(lambda: order_of(desk, more).ord_status == OrdStatus.FILLED, 60)


async def test_a_router_that_lost_its_store_sends_nothing_again_and_hears_everything_new(
    desk: FixDesk, client: Client
) -> None:
    filled, gone = await placed(desk, client, "A", "B")
    desk.venue.fill_untold(filled, 10, "149.95")
    desk.venue.forget(gone)
    await desk.lose_the_routers_store()
    await until(lambda: order_of(desk, filled).ord_status == OrdStatus.FILLED, 60)
    await until(lambda: order_of(desk, gone).fate == Fate.UNKNOWN, 60)
    assert desk.venue.heard == [filled, gone]
    (more,) = await placed(desk, client, "C")
    desk.venue.fill(more, 10, "150")
    await until(lambda: order_of(desk, more).ord_status == OrdStatus.FILLED, 60)


@pytest.mark.faults
async def test_a_venue_that_does_not_answer_leaves_its_orders_in_doubt_until_it_says_something(
    desk: FixDesk, client: Client
) -> None:
    (name,) = await placed(desk, client, "A")
    desk.venue.is_silent = True
    await desk.kill("fix")
    await desk.start("fix")
    await until(lambda: order_of(desk, name).fate == Fate.ASKED, 60)
    await until(lambda: order_of(desk, name).fate == Fate.UNKNOWN, 60)
    assert [e.reject_code for e in standings(desk)][-1] == Reject.VENUE_SILENT
    assert desk.venue.heard == [name]
    desk.venue.fill(name, 10, "150")
    await until(lambda: order_of(desk, name).ord_status == OrdStatus.FILLED, 60)
    assert order_of(desk, name).fate == Fate.SURE


async def test_a_cancel_of_an_order_that_the_venue_does_not_know_puts_it_in_doubt(
    desk: FixDesk, client: Client
) -> None:
    (name,) = await placed(desk, client, "A")
    desk.venue.forget(name)
    client.cancel("C", "A")
    await until(lambda: order_of(desk, name).fate == Fate.UNKNOWN, 60)
    assert order_of(desk, name).ord_status == OrdStatus.NEW
    assert order_of(desk, name).reserved_e6 > 0


async def test_a_client_is_told_once_that_its_order_is_in_doubt_and_once_that_it_is_not(
    desk: FixDesk, client: Client
) -> None:
    (name,) = await placed(desk, client, "A")
    kept = desk.venue.orders[name]
    desk.venue.forget(name)
    for _ in range(2):
        await desk.kill("fix")
        await desk.start("fix")
        await until(lambda: order_of(desk, name).fate == Fate.UNKNOWN, 60)
    await desk.kill("fix_door")
    await desk.start("fix_door")
    desk.venue.orders[name] = kept
    await desk.kill("fix")
    await desk.start("fix")
    told = (await client.hears(4))[2:]
    kind = (Tag.ClOrdID, Tag.ExecType, Tag.OrdStatus, Tag.LeavesQty)
    assert [client.line(m, *kind) for m in told] == ["11=A 150=I 39=0 151=10"] * 2
    texts = [m.get(Tag.Text) or "" for m in told]
    assert "the venue does not know the order: its fate is unknown" in texts[0]
    assert "the venue says again how the order stands" in texts[1]
    assert len({m.get(Tag.ExecID) for m in told}) == 2
    desk.venue.fill(name, 10, "150")
    assert client.line((await client.hears(5))[4], *kind) == "11=A 150=F 39=2 151=0"
