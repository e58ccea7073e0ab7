"""kill -9 of the binary door, of its clients and of the shard: nothing is lost, doubled, or numbered otherwise."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.view import StateView
from core import commands
from core.records import ExecType, OrdType, Side, Source, TimeInForce
from gateways.binary.armed import ArmedAccounts
from gateways.binary.client import BinaryClient
from gateways.binary.door import own_cancel_id
from gateways.binary.layout import FLAG_RESENT
from gateways.binary.messages import Login, LoginAccepted, NewOrder, OrderEvent
from shared_mem.bell import Bell
from shared_mem.ring import Ring
from tests.conftest import MakeStack
from tests.fix.desk import ROOT, SECRETS
from tests.fix.peers import until
from tests.gateways.binary_child import lines
from tests.gateways.binary_desk import BinaryDesk, RawClient, buy, hears, hears_until, shown
from tests.stack import free_port_base

RULES = {"KEY2": {"cancel_on": "drop", "grace_ms": 300}}
AN_ORDER = NewOrder(7, "A", "AAPL", ord("1"), ord("2"), ord("0"), qty_e8=10**9, price_e8=150 * 10**8)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[BinaryDesk]:
    async with BinaryDesk(tmp_path / "desk", free_port_base(), RULES) as running:
        yield running


async def test_a_client_goes_on_over_kills_of_the_door(desk: BinaryDesk) -> None:
    heard: list[OrderEvent] = []
    async with desk.binary() as client:
        for life in range(3):
            for n in range(30):
                buy(client, f"{life}-{n}", qty=1)
            await asyncio.sleep(0.004 * life)  # some are under way
            await desk.kill("binary_door")
            buy(client, f"{life}-away", qty=1)
            await desk.start("binary_door")
        await until(lambda: not client.unanswered or client._heard.qsize() > 0, 60)
        while True:
            try:
                async with asyncio.timeout(2):
                    each = await client.hear()
            except TimeoutError:
                break
            assert isinstance(each, OrderEvent)
            heard.append(each)
        assert client.unanswered == []
    told = desk.told_by_the_log()
    echoes = [e for e in told if e.exec_type == ExecType.REJECTED]
    assert heard == [e for e in told if e not in echoes]
    tokens = Counter(e.text for e in desk.orders_in_the_log())
    assert set(tokens.values()) == {1}
    assert len(tokens) == 93


async def test_an_order_that_was_pushed_before_the_kill_is_taken_once(desk: BinaryDesk) -> None:
    """It is in the ring when the door dies; its client can't know, and sends it again."""
    await desk.kill("binary_door")
    ring = Ring.attach(
        desk.config.run_dir / "orders.binary_door", bell=Bell.attach(desk.config.run_dir / "bell.shard")
    )
    view = StateView.attach(desk.config.run_dir)
    instrument = view.instrument_by_symbol("AAPL")
    assert instrument is not None
    pushed = commands.new_order(
        source=Source.BINARY_CLIENT, request_id=7, account=desk.account_number(), instrument=instrument.instrument,
        side=Side.BUY, ord_type=OrdType.LIMIT, tif=TimeInForce.DAY, qty_e8=10**9, price_e8=150 * 10**8,
        client_order_id="A",
    )  # fmt: skip
    assert ring.try_push(pushed)
    await desk.start("binary_door")
    async with RawClient(desk.place) as client:
        again = NewOrder(
            **{f: getattr(AN_ORDER, f) for f in AN_ORDER.__struct_fields__} | {"flags": FLAG_RESENT}
        )
        client.say(Login("KEY1", SECRETS["KEY1"][0], next_seq=1), again, again)
        assert isinstance(await client.hear(), LoginAccepted)
        first, second = await client.hear(), await client.hear()
        assert isinstance(first, OrderEvent)
        assert isinstance(second, OrderEvent)
        assert [shown(first), shown(second)] == ["A AA", "A 00"]
        assert first.request_id == 7
    assert [shown(e) for e in desk.told_by_the_log()] == ["A AA", "A 00"]


async def test_orders_of_a_session_that_died_with_its_door_are_cancelled(desk: BinaryDesk) -> None:
    async with RawClient(desk.place) as client:
        client.say(Login("KEY2", SECRETS["KEY2"][0]), AN_ORDER)
        assert [type(await client.hear()) for _ in range(3)] == [LoginAccepted, OrderEvent, OrderEvent]
        await desk.kill("binary_door")
    await desk.start("binary_door")
    await until(lambda: [shown(e) for e in desk.told_by_the_log("KEY2")][-1] == "A 44", 30)
    canceled = desk.told_by_the_log("KEY2")[2]
    assert canceled.request_id == own_cancel_id(0, canceled.order_id)
    folder = desk.config.data_dir / "binary" / "armed"
    await until(lambda: ArmedAccounts(folder, False).graces_ms() == {}, 30)


@pytest.mark.faults
async def test_a_client_that_is_back_in_its_grace_keeps_its_orders(desk: BinaryDesk) -> None:
    async with RawClient(desk.place) as client:
        client.say(Login("KEY2", SECRETS["KEY2"][0]), AN_ORDER)
        for _ in range(3):
            await client.hear()
        await desk.kill("binary_door")
    await desk.start("binary_door")
    async with desk.binary("KEY2") as client:
        await asyncio.sleep(1)
        buy(client, "B")
        assert [shown(e) for e in await hears(client, 2)] == ["B AA", "B 00"]
    assert [shown(e) for e in desk.told_by_the_log("KEY2")] == ["A AA", "A 00", "B AA", "B 00"]


@pytest.mark.faults
async def test_a_shard_that_restarts_is_waited_for(desk: BinaryDesk) -> None:
    async with desk.binary() as client:
        buy(client, "A")
        await hears(client, 2)
        desk.shard.stop()
        for n in range(20):
            buy(client, f"B{n}")
            client.cancel(token=f"B{n}")
        await asyncio.sleep(0.05)
        desk.shard.start()
        heard = await hears(client, 80)
        assert heard == desk.told_by_the_log()[2:]
        assert sum(shown(e).endswith(" 44") for e in heard) == 20


@pytest.mark.faults
async def test_a_client_that_is_killed_has_each_event_once(desk: BinaryDesk, tmp_path: Path) -> None:
    journal, dice = tmp_path / "journal", random.Random(7)
    words = [
        sys.executable, "-m", "tests.gateways.binary_child", *map(str, desk.place), "KEY1", SECRETS["KEY1"][0],
        str(journal), "40",
    ]  # fmt: skip
    for last in (False, False, True):
        child = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        if last:
            async with asyncio.timeout(60):
                assert await child.stdout.readline() == b"done\n"
            await until(lambda: len(lines(journal)) == len(desk.told_by_the_log()), 60)
        else:
            before = len(lines(journal))
            await until(lambda: len(lines(journal)) > before + dice.randrange(5, 40), 60)  # noqa: B023
        child.kill()
        await child.wait()
    told = desk.told_by_the_log()
    assert lines(journal) == [f"{e.seq} {e.token} {e.exec_type}" for e in told]
    assert set(Counter(e.text for e in desk.orders_in_the_log()).values()) == {1}


@pytest.mark.faults
@pytest.mark.stack
async def test_kills_of_the_shard_and_the_door_of_a_whole_stack(make_stack: MakeStack) -> None:
    stack = make_stack()
    host, _, port = stack.status["endpoints"]["binary"].rpartition(":")
    heard: list[OrderEvent] = []
    async with BinaryClient(host, int(port), stack.key_id, stack.secret_key, next_seq=1) as client:

        async def listen() -> None:
            async for each in client:
                if isinstance(each, OrderEvent):
                    heard.append(each)

        listening = asyncio.create_task(listen())
        for round_, name in enumerate(("shard", "binary-door", "shard", "binary-door")):
            for n in range(50):
                client.order("KO", Side.BUY, 1, "10.00", token=f"{round_}-{n}")
                client.cancel(token=f"{round_}-{n}")
                if n == 25:
                    pid = await asyncio.to_thread(stack.kill, name)
                await asyncio.sleep(0.002)
            await asyncio.to_thread(stack.wait_for_restart, name, pid)
        await until(lambda: client.unanswered == [], 90)
        await asyncio.sleep(2)
        listening.cancel()
    async with BinaryClient(host, int(port), stack.key_id, stack.secret_key, next_seq=1) as client:
        assert client.login is not None
        again = await hears_until(client, heard[-1].seq)
    echo = [e for e in again if (e.exec_type, e.code) == (ExecType.REJECTED, 209)]
    assert [e for e in heard if e not in echo] == [e for e in again if e not in echo]
    assert set(Counter(e.token for e in again if e.exec_type == ExecType.PENDING_NEW).values()) <= {1}
