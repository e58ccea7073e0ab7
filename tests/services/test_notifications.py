"""One mail for each fill, whatever dies between claim, hand-over, confirmation and cursor."""

from __future__ import annotations

import asyncio
import mailbox as standard
from pathlib import Path

import aiosmtplib
import asyncpg
import pytest

from core.records import Side
from services import database, mailbox
from services.cursor_table import Connection, Overtaken
from services.follower import Place
from services.mailbox import Maildir
from services.notifications import Notifications, mail_of
from services.schemas import OrderUpdate, Update
from services.standby import ownership
from shared_mem.cursors import CursorFile
from tests.services.conftest import NatsServer, eventually, free_port
from tests.services.desk import Desk
from tests.services.test_portfolio import caught_up, fetch, following, updates_of
from tests.services.test_publisher import running, trade


def notifications(postgres_url: str, port: int, tmp_path: Path, epoch: int | None = None) -> Notifications:
    return Notifications(
        postgres_url=postgres_url,
        shard=0,
        smtp_host="127.0.0.1",
        smtp_port=port,
        recipient="trader@tradewind.local",
        mark=CursorFile(tmp_path / "marks", "notifications"),
        epoch=lambda: epoch,
    )


def mails(tmp_path: Path) -> list[standard.MaildirMessage]:
    return list(standard.Maildir(tmp_path / "mailbox", create=False))


def fills_of(desk: Desk) -> list[OrderUpdate]:
    return [u for u in updates_of(desk) if isinstance(u, OrderUpdate) and u.exec_type == "trade"]


async def assert_one_mail_for_each_fill(desk: Desk, tmp_path: Path, postgres_url: str) -> None:
    wanted = sorted(f"<{fill.execution_id}@tradewind>" for fill in fills_of(desk))
    assert sorted(mail["Message-ID"] for mail in mails(tmp_path)) == wanted
    assert len(wanted) == len(desk.fills)
    unconfirmed = await fetch(postgres_url, "SELECT * FROM notifications_sent WHERE sent_at IS NULL")
    assert unconfirmed == []


async def test_a_fill_is_mailed_with_its_order_and_what_is_left_of_it(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int, tmp_path: Path
) -> None:
    a_desk.open_account()
    order = a_desk.accept(1, a_desk.define_instrument(), Side.BUY, "30", "134.8", "mine-1")
    a_desk.acknowledge(order)
    a_desk.fill(order, "10", "134.77")
    a_desk.refuse_report(order)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, notifications(postgres_url, mail_port, tmp_path)),
    ):
        await caught_up(a_desk, postgres_url, "notifications")
    [mail] = mails(tmp_path)
    assert mail["Subject"] == "Filled: BUY 10 AAPL @ 134.77"
    assert mail["To"] == "trader@tradewind.local"
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    lines = [" ".join(line.split()) for line in text.decode().splitlines()]
    assert {
        "Account: TW000001",
        "Order: mine-1",
        "Filled so far: 10 of 30",
        "Still open: 20",
        "Average price: 134.77",
    } <= set(lines)
    assert any(line.startswith("Time: 2023-11-14 22:13:20.123 UTC") for line in lines)


async def test_a_break_is_mailed_with_what_both_sides_say_and_what_to_do(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int, tmp_path: Path
) -> None:
    a_desk.open_account()
    order = a_desk.accept(1, a_desk.define_instrument(), Side.BUY, "30", "134.8")
    a_desk.break_found(order)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, notifications(postgres_url, mail_port, tmp_path)),
    ):
        await caught_up(a_desk, postgres_url, "notifications")
    [mail] = mails(tmp_path)
    assert mail["Subject"] == "BREAK with the venue: quantity AAPL X1"
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    lines = [" ".join(line.split()) for line in text.decode().splitlines()]
    assert {
        "Account: TW000001 (state: reducing)",
        "Our log says: 10",
        "Venue says: 7",
        "What to do: settle it with the venue, then: tradewind admin account-state TW000001 active",
    } <= set(lines)


async def test_a_mail_made_again_has_the_same_bytes(a_desk: Desk) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 1)
    [fill] = fills_of(a_desk)
    assert mail_of(fill, "a@b").as_bytes() == mail_of(fill, "a@b").as_bytes()


async def test_a_clients_text_puts_no_header_and_no_line_into_a_mail(a_desk: Desk) -> None:
    a_desk.open_account()
    order = a_desk.accept(
        1, a_desk.define_instrument("A\nBcc: x@y"), Side.BUY, "1", "1", "z\r\nStill open: 0"
    )
    a_desk.fill(order, "1", "1")
    [fill] = fills_of(a_desk)
    mail = mail_of(fill, "a@b")
    assert mail["Bcc"] is None
    assert sum(line.startswith("Still open:") for line in mail.get_content().splitlines()) == 1


class Dies(Notifications):
    """Reaches one step of its work, and is gone there."""

    died = False

    async def _die(self) -> None:
        self.died = True
        await asyncio.Future()


class DiesAfterClaim(Dies):
    async def _send(self, connection: Connection, told: dict[str, Update]) -> None:
        self._smtp_port = free_port()  # nobody is there: claimed, and never handed over
        try:
            await super()._send(connection, told)
        except aiosmtplib.SMTPException:
            await self._die()


class DiesAfterHandOver(Dies):
    """The mails are taken, but not one is confirmed."""

    async def _send(self, connection: Connection, told: dict[str, Update]) -> None:
        await super()._send(connection, told)
        await connection.execute("UPDATE notifications_sent SET sent_at = NULL")
        await self._die()


class DiesBeforeCursor(Dies):
    async def _send(self, connection: Connection, told: dict[str, Update]) -> None:
        await super()._send(connection, told)
        await self._die()


@pytest.mark.parametrize("dying", [DiesAfterClaim, DiesAfterHandOver, DiesBeforeCursor])
async def test_a_death_at_any_step_leaves_one_mail_for_each_fill(
    dying: type[Dies],
    a_desk: Desk,
    nats_server: NatsServer,
    postgres_url: str,
    mail_port: int,
    tmp_path: Path,
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 20)
    doomed = dying(
        postgres_url=postgres_url,
        shard=0,
        smtp_host="127.0.0.1",
        smtp_port=mail_port,
        recipient="trader@tradewind.local",
        mark=CursorFile(tmp_path / "marks", "notifications"),
    )
    async with running(a_desk.publisher(nats_server.url)):
        async with following(nats_server.url, doomed):

            async def dead() -> bool:
                return doomed.died

            await eventually(dead)
        trade(a_desk, 5)
        async with following(nats_server.url, notifications(postgres_url, mail_port, tmp_path)):
            await caught_up(a_desk, postgres_url, "notifications")
    await assert_one_mail_for_each_fill(a_desk, tmp_path, postgres_url)


async def test_two_at_once_leave_one_mail_for_each_fill(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int, tmp_path: Path
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, notifications(postgres_url, mail_port, tmp_path)),
        following(nats_server.url, notifications(postgres_url, mail_port, tmp_path)),
    ):
        for _ in range(4):
            trade(a_desk, 10)
            await asyncio.sleep(0.05)
        await caught_up(a_desk, postgres_url, "notifications")
    await assert_one_mail_for_each_fill(a_desk, tmp_path, postgres_url)


async def test_a_mail_server_that_comes_late_gets_every_mail_once(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, tmp_path: Path
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 10)
    port = free_port()
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, notifications(postgres_url, port, tmp_path)),
    ):
        await asyncio.sleep(1)
        server = await mailbox.serve(Maildir(tmp_path / "mailbox"), port)
        await caught_up(a_desk, postgres_url, "notifications")
        server.close()
    await assert_one_mail_for_each_fill(a_desk, tmp_path, postgres_url)


async def test_a_mail_refused_for_good_does_not_hold_up_the_others(
    a_desk: Desk, postgres_url: str, tmp_path: Path, mail_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 3)
    first, *others = fills_of(a_desk)
    real = mailbox._Handler.handle_DATA

    async def refuses_the_first(self: object, server: object, session: object, envelope: object) -> str:
        if first.execution_id.encode() in envelope.content:  # type: ignore[attr-defined]
            return "554 not this one"
        return await real(self, server, session, envelope)  # type: ignore[arg-type]

    monkeypatch.setattr(mailbox._Handler, "handle_DATA", refuses_the_first)
    effect = notifications(postgres_url, mail_port, tmp_path)
    await effect.apply([first, *others], await effect.place(), after := Place(others[-1].seq, 9))
    assert await effect.place() == after
    await effect.close()
    assert {mail["Message-ID"] for mail in mails(tmp_path)} == {
        f"<{u.execution_id}@tradewind>" for u in others
    }
    [left] = await fetch(postgres_url, "SELECT execution_id FROM notifications_sent WHERE sent_at IS NULL")
    assert left["execution_id"] == first.execution_id


async def test_an_owner_that_was_overtaken_mails_nothing_and_its_successor_does(
    a_desk: Desk, postgres_url: str, mail_port: int, tmp_path: Path
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 1)
    [fill] = fills_of(a_desk)
    await database.migrate(postgres_url)
    row = await asyncpg.connect(postgres_url)
    await ownership.claim(row, 0, "former", 1)
    seen = await ownership.read(row, 0)
    epoch, _ = await ownership.take_over(row, 0, "standby", seen, 1, 0, 3_600_000)
    former, successor = (notifications(postgres_url, mail_port, tmp_path, of) for of in (epoch - 1, epoch))
    place, after = await former.place(), Place(fill.seq, 1)
    with pytest.raises(Overtaken):
        await former.apply([fill], place, after)
    assert mails(tmp_path) == []
    assert await fetch(postgres_url, "SELECT * FROM notifications_sent") == []
    assert await successor.place() == place
    await successor.apply([fill], place, after)
    assert [mail["Message-ID"] for mail in mails(tmp_path)] == [f"<{fill.execution_id}@tradewind>"]
    for one in (former, successor):
        await one.close()
    await row.close()
