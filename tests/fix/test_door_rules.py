"""The client door's rules for a key, on a whole desk: its pace, what becomes of its orders when it drops, TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from app.fix_settings import FIX_RULES
from fix.tags import Tag
from fix.tls import TlsFiles, connecting
from fix.validation import Strictness
from gateways.fix_rules import FixRules
from tests.fix.certificates import Authority
from tests.fix.desk import Client, FixDesk
from tests.fix.peers import until
from tests.stack import free_port_base

KIND = (Tag.MsgType, Tag.ClOrdID, Tag.ExecType, Tag.OrdStatus)
DeskWith = Callable[..., AbstractAsyncContextManager[FixDesk]]


@pytest.fixture
def desk_with(tmp_path: Path) -> DeskWith:
    """A desk whose KEY1 has these rules."""

    @asynccontextmanager
    async def started(tls: TlsFiles | None = None, **rules: object) -> AsyncIterator[FixDesk]:
        async with FixDesk(tmp_path / "desk", free_port_base(), {"KEY1": rules}, tls) as desk:
            yield desk

    return started


async def on(desk: FixDesk, name: str = "CLIENT") -> Client:
    client = desk.client(name)
    await client.logged_on()
    return client


async def test_orders_over_the_limit_are_refused_with_limit_and_count_and_cancels_pass(
    desk_with: DeskWith,
) -> None:
    async with desk_with(messages=3, window_ms=600_000) as desk:
        client = await on(desk)
        for name in "ABCD":
            client.order(name)
        client.cancel("X", "A")
        await until(lambda: "35=8 11=X 150=4 39=4" in [client.line(m, *KIND) for m in client.told], 60)
        (refused,) = [m for m in client.told if m.get(Tag.ExecType) == "8"]
        assert (refused.get(Tag.ClOrdID), refused.get(Tag.OrdRejReason)) == ("D", "0")
        text = refused.get(Tag.Text) or ""
        assert "the limit is 3 messages in 600000 ms, and this is number 4" in text
        assert sum(name.startswith("TW000-") and "-C" not in name for name in desk.venue.heard) == 3


async def test_a_session_that_drops_has_its_open_orders_cancelled_after_its_grace(
    desk_with: DeskWith,
) -> None:
    async with desk_with(cancel_on="drop", grace_ms=300) as desk:
        client = await on(desk)
        for name in "ABC":
            client.order(name)
        await client.hears(6)
        desk.venue.fill(desk.venue.heard[0], 10, "150")  # A is over
        await client.hears(7)
        await desk.leave(client, in_order=False)
        await until(lambda: len(desk.venue.heard) == 5, 60)
        again = await on(desk)
        await again.hears(4)
        assert sorted(again.line(m, *KIND) for m in again.told) == [
            "35=8 11=B 150=4 39=4", "35=8 11=B 150=6 39=6", "35=8 11=C 150=4 39=4", "35=8 11=C 150=6 39=6",
        ]  # fmt: skip


async def test_a_session_that_is_back_in_time_keeps_its_orders(desk_with: DeskWith) -> None:
    async with desk_with(cancel_on="drop", grace_ms=3_000) as desk:
        client = await on(desk)
        client.order("A")
        await client.hears(2)
        client.session.hang_up()  # its initiator connects again at once
        await until(lambda: client.logons == 2, 2)
        await asyncio.sleep(3.5)
        assert len(desk.venue.heard) == 1
        assert len(client.told) == 2


async def test_a_logout_keeps_the_orders_unless_it_is_asked_for(desk_with: DeskWith) -> None:
    async with desk_with(cancel_on="drop", grace_ms=100) as desk:
        client = await on(desk)
        client.order("A")
        await client.hears(2)
        await desk.leave(client, in_order=True)
        await asyncio.sleep(1)
        assert len(desk.venue.heard) == 1


async def test_a_logout_cancels_where_it_is_asked_for(desk_with: DeskWith) -> None:
    async with desk_with(cancel_on="end", grace_ms=100) as desk:
        client = await on(desk)
        client.order("A")
        await client.hears(2)
        await desk.leave(client, in_order=True)
        await until(lambda: len(desk.venue.heard) == 2, 60)


async def test_a_door_that_dies_with_its_sessions_cancels_when_it_is_back(desk_with: DeskWith) -> None:
    async with desk_with(cancel_on="drop", grace_ms=300) as desk:
        client = await on(desk)
        client.order("A")
        await client.hears(2)
        await desk.leave(client, in_order=False)
        await desk.kill("fix_door")
        await desk.start("fix_door")
        await until(lambda: len(desk.venue.heard) == 2, 60)


async def test_clients_over_tls_need_a_certificate_of_the_authority(
    tmp_path: Path, desk_with: DeskWith
) -> None:
    authority = Authority(tmp_path / "tls")
    async with desk_with(authority.certificate("127.0.0.1")) as desk:
        client = desk.client(tls=connecting(authority.certificate("client.test")))
        await client.logged_on()
        client.order("A")
        await client.hears(2)
        stranger = desk.client("EVE", key="KEY2", tls=connecting(TlsFiles(ca=authority.ca)))
        plain = desk.client("BOB", key="KEY2")
        await asyncio.sleep(1)
        assert (stranger.logons, plain.logons) == (0, 0)


@pytest.mark.parametrize(
    ("lenient", "answers"), [("", ["3"]), ("user_defined", ["8", "8"]), ("all", ["8", "8"])]
)
async def test_the_door_is_as_strict_as_it_is_told(tmp_path: Path, lenient: str, answers: list[str]) -> None:
    rules = frozenset(lenient.split())
    async with FixDesk(tmp_path / "desk", free_port_base(), settings={"fix_lenient": rules}) as desk:
        client = await on(desk)
        usual = {Tag.ClOrdID: "A", Tag.Symbol: "AAPL", Tag.Side: "1", Tag.OrderQty: "10", Tag.OrdType: "2",
                 Tag.Price: "150", Tag.TransactTime: "20261124-12:00:00"}  # fmt: skip
        client.session.send([("D", [*usual.items(), (5001, "Z")])])
        told = await client.hears(len(answers))
        assert [message.type for message in told] == answers
        if answers == ["3"]:
            assert (told[0].get(Tag.RefTagID), told[0].get(Tag.SessionRejectReason)) == ("5001", "0")


def test_the_configuration_knows_the_rules_by_their_names() -> None:
    assert {field.name for field in fields(Strictness)} == set(FIX_RULES)


def test_rules_that_make_no_sense_are_refused() -> None:
    for text in ('{"messages":0}', '{"cancel_on":"never ever"}', '{"grace_ms":-1}', '{"grace":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=FixRules)
