"""The same orders by REST, by FIX and by the binary door end in the same events, but for who asked and under which
numbers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from core.events import Event
from core.records import EventKind, ExecType, OrdType, Side, TimeInForce
from gateways.binary.messages import OrderEvent
from tests.fix.peers import until
from tests.gateways.binary_desk import BinaryDesk
from tests.gateways.conftest import Gateway
from tests.stack import free_port_base

SEED = 20261124
ORDERS = 24


class Wanted(NamedTuple):
    token: str
    side: Side
    ord_type: OrdType
    tif: TimeInForce
    qty: int
    price: str
    cancels: bool


def wanted() -> list[Wanted]:
    """Some buy too much, sell what is not held, are off the tick, or outside the collar."""
    dice = random.Random(SEED)
    return [
        Wanted(
            f"A{n}" if dice.random() < 0.9 else "A0",
            dice.choice([Side.BUY, Side.BUY, Side.BUY, Side.SELL]),
            dice.choice([OrdType.LIMIT, OrdType.LIMIT, OrdType.MARKET]),
            dice.choice([TimeInForce.DAY, TimeInForce.GTC]),
            dice.choice([1, 10, 100, 9_000, 20_000]),
            dice.choice(["150.00", "149.95", "149.955", "180.00"]),
            dice.random() < 0.3,
        )
        for n in range(ORDERS)
    ]


# What differs by the door or by the clock, and the account's names.
_OWN = {"seq", "time_ns", "source", "request_id", "order_id", "cause_seq", "account"}


def without_names(events: list[Event]) -> list[dict[str, Any]]:
    """What happened; orders by the place at which they were first told of."""
    places: dict[int, int] = {}
    found = []
    for event in events:
        row = {f: getattr(event, f) for f in event.__struct_fields__ if f not in _OWN}
        row["order"] = places.setdefault(event.order_id, len(places)) if event.order_id else -1
        found.append(row)
    return found


class Doors:
    """Each way in: an order, or a cancel by its token, and waits until the log has what became of it."""

    def __init__(self, desk: BinaryDesk) -> None:
        self.desk = desk

    def events(self) -> list[Event]:
        account = self.desk.account_number()
        return [e for e in self.desk.events(EventKind.ORDER) if e.account == account]

    def is_open(self) -> bool:
        return self.events()[-1].exec_type == ExecType.NEW

    async def settled(self, before: int) -> None:
        """One more order's answer, and where it was taken the venue's."""

        def is_settled() -> bool:
            last = self.events()[before:]
            return bool(last) and last[-1].exec_type not in (ExecType.PENDING_NEW, ExecType.PENDING_CANCEL)

        await until(is_settled, 60)


async def by_binary(folder: Path) -> list[Event]:
    async with BinaryDesk(folder, free_port_base()) as desk, desk.binary() as client:
        doors = Doors(desk)
        for each in wanted():
            price = each.price if each.ord_type == OrdType.LIMIT else None
            before = len(doors.events())
            client.order("AAPL", each.side, each.qty, price, each.tif, each.token)
            await doors.settled(before)
            if each.cancels and doors.is_open():
                before = len(doors.events())
                client.cancel(token=each.token)
                await doors.settled(before)
        told = desk.told_by_the_log()
        heard: list[OrderEvent] = []
        async with asyncio.timeout(60):
            while len(heard) < len(told):
                each_heard = await client.hear()
                assert isinstance(each_heard, OrderEvent), each_heard
                heard.append(each_heard)
        assert heard == told
        return doors.events()


async def by_fix(folder: Path) -> list[Event]:
    async with BinaryDesk(folder, free_port_base()) as desk:
        client = desk.client()
        await client.logged_on()
        doors = Doors(desk)
        for n, each in enumerate(wanted()):
            before = len(doors.events())
            client.order(
                each.token, Side=chr(each.side), OrderQty=str(each.qty), OrdType=chr(each.ord_type),
                Price=each.price if each.ord_type == OrdType.LIMIT else "", TimeInForce=chr(each.tif),
            )  # fmt: skip
            await doors.settled(before)
            if each.cancels and doors.is_open():
                before = len(doors.events())
                client.cancel(f"C{n}", each.token)
                await doors.settled(before)
        return doors.events()


async def by_rest(folder: Path) -> list[Event]:
    async with BinaryDesk(folder, free_port_base()) as desk:
        keys = folder / "rest"
        keys.mkdir()
        gateway = await asyncio.to_thread(Gateway, desk.config.run_dir, desk.config.log_dir, keys)
        headers = {"APCA-API-KEY-ID": gateway.key_id, "APCA-API-SECRET-KEY": gateway.secret_key}
        doors = Doors(desk)
        async with httpx.AsyncClient(base_url=gateway.rest, headers=headers, timeout=60) as client:
            for each in wanted():
                order = {
                    "symbol": "AAPL", "side": each.side.name.lower(), "type": each.ord_type.name.lower(),
                    "time_in_force": each.tif.name.lower(), "qty": str(each.qty), "client_order_id": each.token,
                }  # fmt: skip
                if each.ord_type == OrdType.LIMIT:
                    order["limit_price"] = each.price
                before = len(doors.events())
                await client.post("/v2/orders", json=order)
                await doors.settled(before)
                if each.cancels and doors.is_open():
                    before = len(doors.events())
                    query = {"client_order_id": each.token}
                    found = (await client.get("/v2/orders:by_client_order_id", params=query)).json()
                    await client.delete(f"/v2/orders/{found['id']}")
                    await doors.settled(before)
        await asyncio.to_thread(gateway.stop)
        return doors.events()


@pytest.mark.faults
async def test_the_same_orders_by_each_door_end_in_the_same_events(tmp_path: Path) -> None:
    binary = without_names(await by_binary(tmp_path / "binary"))
    assert {row["exec_type"] for row in binary} >= {
        ExecType.PENDING_NEW,
        ExecType.REJECTED,
        ExecType.CANCELED,
    }
    assert without_names(await by_fix(tmp_path / "fix")) == binary
    assert without_names(await by_rest(tmp_path / "rest")) == binary
