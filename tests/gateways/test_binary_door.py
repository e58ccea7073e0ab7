"""The binary door as a process: a client, the door, the shard, the router, a venue."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from core.records import ExecType, Side
from core.rejects import Reject
from gateways.binary.client import BinaryClient
from gateways.binary.conversation import LoggedOut, LoginRefused
from gateways.binary.docs import PAGE
from gateways.binary.layout import Code
from gateways.binary.messages import (
    Cancel,
    Heartbeat,
    Login,
    LoginAccepted,
    Logout,
    NewOrder,
    OrderEvent,
    Refused,
    encode,
)
from tests.fix.desk import ROOT, SECRETS
from tests.fix.peers import until
from tests.gateways.binary_desk import BinaryDesk, RawClient, buy, hears, hears_until, shown
from tests.stack import free_port_base

RULES = {"KEY2": {"messages": 3, "window_ms": 60_000, "cancel_on": "drop", "grace_ms": 200}}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BinaryDesk]:
    async with BinaryDesk(tmp_path_factory.mktemp("binary") / "desk", free_port_base()) as running:
        yield running


@pytest.fixture
def desk(shared: BinaryDesk) -> BinaryDesk:
    """Several tests' desk; `since` says where this one's begins."""
    shared.since = shared.market.view.seq + 1
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def strict(tmp_path: Path) -> AsyncIterator[BinaryDesk]:
    """A test's own desk, at which KEY2 has rules."""
    async with BinaryDesk(tmp_path / "desk", free_port_base(), RULES) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(desk: BinaryDesk) -> AsyncIterator[BinaryClient]:
    """Logged in for TW000001."""
    async with desk.binary() as logged_in:
        yield logged_in


async def test_an_order_its_fills_a_replace_and_a_cancel(desk: BinaryDesk, client: BinaryClient) -> None:
    asked = buy(client, "1.A")
    first, second = await hears(client, 2)
    assert [shown(first), shown(second)] == ["1.A AA", "1.A 00"]
    assert isinstance(first, OrderEvent)
    assert (first.request_id, first.symbol, first.leaves_qty_e8, first.source) == (asked, "AAPL", 10**9, 5)
    name = desk.venue.heard[-1]
    desk.venue.fill(name, 4, "149.95")
    (fill,) = await hears(client, 1)
    assert isinstance(fill, OrderEvent)
    assert (fill.cum_qty_e8, fill.leaves_qty_e8, fill.last_qty_e8) == (4 * 10**8, 6 * 10**8, 4 * 10**8)
    assert (fill.last_px_e8, fill.avg_px_e8) == (14_995_000_000, 14_995_000_000)
    replacing = client.replace(order_id=first.order_id, token="1.B", qty=20)
    pending, replaced = await hears(client, 2)
    assert isinstance(pending, OrderEvent)
    assert isinstance(replaced, OrderEvent)
    assert (shown(pending), pending.request_id, pending.asked_qty_e8) == ("1.A EE", replacing, 2 * 10**9)
    assert (shown(replaced), replaced.qty_e8, replaced.leaves_qty_e8) == ("1.B 51", 2 * 10**9, 16 * 10**8)
    canceling = client.cancel(token="1.A")  # the name that it had
    pending, canceled = await hears(client, 2)
    assert (shown(pending), shown(canceled)) == ("1.B 66", "1.B 44")
    assert isinstance(pending, OrderEvent)
    assert pending.request_id == canceling
    assert len(desk.told_by_the_log()) == 7


async def test_what_is_heard_is_what_the_log_says(desk: BinaryDesk, client: BinaryClient) -> None:
    for n in range(20):
        buy(client, f"2.A{n}", qty=n + 1)
        client.cancel(token=f"2.A{n}")
    heard = await hears(client, 80)
    assert heard == desk.told_by_the_log()
    assert sum(shown(each).endswith(" 44") for each in heard) == 20


async def test_refusals_and_rejects_say_why(desk: BinaryDesk, client: BinaryClient) -> None:
    buy(client, "3.A", symbol="NONE")
    buy(client, "3.B", qty="9999")
    client.cancel(order_id=12345)
    client.cancel(token="3.nobody")
    client.replace(order_id=12345, token="C", qty=5)
    heard = await hears(client, 5)
    refusals = [(each.code, each.text) for each in heard if isinstance(each, Refused)]
    assert refusals == [
        (Reject.INSTRUMENT_UNKNOWN, "symbol 'NONE' is not traded here"),
        (Reject.ORDER_UNKNOWN, "token '3.nobody': order is not known here, or was long ago"),
        (Reject.ORDER_UNKNOWN, "order_id 12345: order is not known here, or was long ago"),
    ]
    rejects = {each.exec_type: each for each in heard if isinstance(each, OrderEvent)}
    poor = rejects[ExecType.REJECTED]
    assert (poor.code, poor.token, poor.observed_value) == (Reject.BUYING_POWER, "3.B", 1_499_850 * 10**6)
    assert rejects[ExecType.CANCEL_REJECT].code == Reject.ORDER_UNKNOWN


async def test_a_token_is_taken_once(desk: BinaryDesk, client: BinaryClient) -> None:
    buy(client, "4.A")
    first = (await hears(client, 2))[0]
    again = buy(client, "4.A")
    (second,) = await hears(client, 1)
    assert isinstance(first, OrderEvent)
    assert isinstance(second, OrderEvent)
    assert (second.request_id, second.code) == (again, Reject.DUPLICATE_CLIENT_ORDER_ID)
    assert second.order_id == first.order_id
    assert len(desk.orders_in_the_log()) == 1


async def test_orders_of_other_doors_are_told_too(desk: BinaryDesk, client: BinaryClient) -> None:
    fix = desk.client()
    await fix.logged_on()
    fix.order("by FIX")
    heard = await hears(client, 2)
    assert [shown(each) for each in heard] == ["by FIX AA", "by FIX 00"]
    assert isinstance(heard[0], OrderEvent)
    assert heard[0].source == 4
    client.cancel(token="by FIX")
    await fix.hears(4)
    assert [fix.line(m, *(11, 150)) for m in fix.told[2:]] == ["11=by FIX 150=6", "11=by FIX 150=4"]  # type: ignore[arg-type]


async def test_a_session_goes_on_where_the_client_says(desk: BinaryDesk) -> None:
    async with desk.binary() as client:
        for n in range(10):
            buy(client, f"6.A{n}")
        await hears(client, 20)
    everything = desk.told_by_the_log()
    for at in (0, 1, 7, 19):
        async with desk.binary(next_seq=everything[at].seq) as client:
            assert await hears_until(client, everything[-1].seq) == everything[at:]
    async with desk.binary(next_seq=1) as client:
        assert (await hears_until(client, everything[-1].seq))[-len(everything) :] == everything
    async with desk.binary(next_seq=0) as client:
        buy(client, "6.B")
        assert shown((await hears(client, 1))[0]) == "6.B AA"


async def test_two_sessions_at_once_hear_each_their_own(desk: BinaryDesk, client: BinaryClient) -> None:
    async with desk.binary("KEY2") as other:
        buy(client, "7.A")
        buy(other, "7.A")
        assert await hears(client, 2) == desk.told_by_the_log("KEY1")
        assert await hears(other, 2) == desk.told_by_the_log("KEY2")


async def test_a_new_login_takes_over_and_the_old_one_is_told(desk: BinaryDesk, client: BinaryClient) -> None:
    async with desk.binary() as newer:
        with pytest.raises(LoggedOut, match="the account has logged in by another connection") as found:
            await hears(client, 1)
        assert found.value.code == Code.REPLACED
        buy(newer, "8.A")
        await hears(newer, 2)


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"secret": "wrong"}, Code.KEY_WRONG, "key_id or secret is wrong"),
        ({"key": "KEY1", "next_seq": 2**62}, Code.NEXT_SEQ_AHEAD, "the log ends at"),
        ({"heartbeat_ms": 5}, Code.FIELD_WRONG, "heartbeat_ms 5: send 100 to 60000"),
    ],
)
async def test_a_login_that_can_not_be_is_refused(
    desk: BinaryDesk, options: dict[str, object], code: Code, text: str
) -> None:
    with pytest.raises(LoginRefused, match=text) as found:
        async with desk.binary(**options):  # type: ignore[arg-type]
            pass
    assert found.value.code == code


async def test_garbage_is_answered_and_the_connection_closed(desk: BinaryDesk) -> None:
    async with RawClient(desk.place) as client:
        client.writer.write(b"8=FIX.4.4\x019=70\x01")
        answer = await client.hear()
        assert isinstance(answer, Logout)
        assert (answer.code, answer.text) == (
            Code.GARBAGE, "magic 0x3d38 at byte 0; messages begin with 0x5754",
        )  # fmt: skip
        assert await client.hear() is None


async def test_a_bad_field_is_refused_and_the_session_goes_on(desk: BinaryDesk) -> None:
    async with RawClient(desk.place) as client:
        client.say(Login("KEY1", SECRETS["KEY1"][0]))
        assert isinstance(await client.hear(), LoginAccepted)
        client.say(NewOrder(1, "A", "AAPL", ord("9"), ord("2"), ord("0")), Heartbeat(), Cancel(2, flags=8))
        answers = [await client.hear(), await client.hear()]
        assert [(a.request_id, a.code, a.refused_kind) for a in answers if isinstance(a, Refused)] == [
            (1, Code.FIELD_WRONG, 10), (2, Code.FIELD_WRONG, 11),
        ]  # fmt: skip


async def test_every_break_of_a_stream_gives_the_same_answer(desk: BinaryDesk) -> None:
    sent = encode(Login("KEY1", SECRETS["KEY1"][0])) + encode(
        NewOrder(1, "A", "NONE", ord("1"), ord("2"), ord("0"), qty_e8=1, price_e8=1)
    )
    for at in range(1, len(sent), 9):
        async with RawClient(desk.place) as client:
            client.writer.write(sent[:at])
            await client.writer.drain()
            await asyncio.sleep(0.001)
            client.writer.write(sent[at:])
            accepted, refused = await client.hear(), await client.hear()
            assert isinstance(accepted, LoginAccepted)
            assert isinstance(refused, Refused)
            assert refused.code == Reject.INSTRUMENT_UNKNOWN


async def test_the_keys_limit_refuses_orders_and_lets_cancels_pass(strict: BinaryDesk) -> None:
    async with strict.binary("KEY2") as client:
        assert client.login is not None
        assert (client.login.messages, client.login.window_ms, client.login.cancel_on) == (3, 60_000, 1)
        for n in range(4):
            buy(client, f"A{n}")
        client.cancel(token="A0")
        heard = await hears(client, 9)
        (refusal,) = [each for each in heard if isinstance(each, Refused)]
        assert (refusal.code, refusal.value) == (Code.TOO_FAST, 3)
        assert "the limit is 3 messages in 60000 ms, and this is number 4" in refusal.text
        # By ExecType: the cancel may be asked for before the venue's word that the order is new.
        told = sorted(shown(each)[:4] for each in heard if isinstance(each, OrderEvent))
        assert told[:4] == ["A0 0", "A0 4", "A0 6", "A0 A"]


async def test_a_dropped_session_loses_its_orders_after_the_grace_and_a_logout_keeps_them(
    strict: BinaryDesk,
) -> None:
    async with strict.binary("KEY2") as client:
        buy(client, "kept")
        await hears(client, 2)
    async with RawClient(strict.place) as raw:
        raw.say(Login("KEY2", SECRETS["KEY2"][0]))
        assert isinstance(await raw.hear(), LoginAccepted)
    await until(lambda: [e.ord_status for e in strict.told_by_the_log("KEY2")][-1] == ord("4"), 30)
    assert [shown(each) for each in strict.told_by_the_log("KEY2")] == [
        "kept AA", "kept 00", "kept 66", "kept 44",
    ]  # fmt: skip
    assert strict.told_by_the_log("KEY2")[2].request_id >> 63 == 1


async def test_the_example_of_the_page_runs(desk: BinaryDesk, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "example.py").write_text(found[1])
    host, port = desk.place
    words = [sys.executable, str(tmp_path / "example.py"), host, str(port), "KEY1", SECRETS["KEY1"][0]]
    process = await asyncio.create_subprocess_exec(
        *words, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode == 0
    assert len(said.decode().splitlines()) == 4  # pending new, new, pending cancel, canceled


async def test_a_door_that_stops_says_so_and_the_client_goes_on_with_the_next(
    desk: BinaryDesk, client: BinaryClient
) -> None:
    buy(client, "14.A")
    await hears(client, 2)
    assert await desk.terminate("binary_door") == 0
    buy(client, "14.B")
    await desk.start("binary_door")
    assert [shown(each) for each in await hears(client, 2)] == ["14.B AA", "14.B 00"]


async def test_a_sell_of_what_is_not_held_is_the_shards_reject(
    desk: BinaryDesk, client: BinaryClient
) -> None:
    buy(client, "15.S", side=Side.SELL)
    (heard,) = await hears(client, 1)
    assert isinstance(heard, OrderEvent)
    assert heard.code == Reject.POSITION_NOT_HELD
