"""The audit agrees with what is right, and names each thing that is not."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import nats
import pytest

from core.records import Side
from core.rejects import Reject
from services import schemas
from services.audit.auditor import Report, audit
from services.notifications import Notifications
from services.portfolio import Portfolio
from services.schemas import CashUpdate
from shared_mem.cursors import CursorFile
from tests.services.conftest import NatsServer, PostgresServer
from tests.services.desk import Desk
from tests.services.test_portfolio import caught_up, following
from tests.services.test_publisher import published, running, trade


async def audited(desk: Desk, nats_url: str, postgres_url: str) -> Report:
    reader = desk.open_whole_log()
    try:
        records = [record for batch in iter(reader.read, []) for record in batch]
    finally:
        reader.close()
    async with asyncio.timeout(60):  # whatever state a store is in
        return await audit(records, shard=0, postgres_url=postgres_url, nats_url=nats_url)


def said(report: Report) -> str:
    return "\n".join(map(str, report.first))


@contextlib.asynccontextmanager
async def everyone(desk: Desk, nats_url: str, postgres_url: str, mail_port: int) -> AsyncIterator[None]:
    notifications = Notifications(
        postgres_url=postgres_url,
        shard=0,
        smtp_host="127.0.0.1",
        smtp_port=mail_port,
        recipient="a@b",
        mark=CursorFile(desk.log_dir.parent / "marks", "notifications"),
    )
    async with (
        running(desk.publisher(nats_url)),
        following(nats_url, Portfolio(postgres_url, 0)),
        following(nats_url, notifications),
    ):
        yield


def a_day(desk: Desk) -> None:
    """Something of everything."""
    desk.open_account()
    desk.open_account("TW000002")
    desk.define_instrument("BRK.B")
    trade(desk, 20)
    order = desk.accept(1, 1, Side.BUY, "10", "100")
    desk.fill(order, "3", "99.99")
    desk.fill(order, "3", "99.98")
    desk.cancel(order)
    desk.refuse_cancel(order)
    desk.refuse_report(order)
    desk.reject(1, 1, Reject.BUYING_POWER)
    desk.reject(1, 1, Reject.DUPLICATE_CLIENT_ORDER_ID, original=order)
    desk.reject(999, 1, Reject.ACCOUNT_UNKNOWN)
    desk.cancel_unknown(1)
    desk.break_found(order)


async def settled(desk: Desk, nats_url: str, postgres_url: str, mail_port: int) -> None:
    """A day, and everyone has read it to its end."""
    a_day(desk)
    async with everyone(desk, nats_url, postgres_url, mail_port):
        await caught_up(desk, postgres_url)
        await caught_up(desk, postgres_url, "notifications")


async def test_all_agree_after_a_day(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int
) -> None:
    await settled(a_desk, nats_server.url, postgres_url, mail_port)
    report = await audited(a_desk, nats_server.url, postgres_url)
    assert report.agrees, said(report)
    assert report.is_complete
    last = a_desk.event_seqs[-1]
    assert {name: (store.done, store.behind) for name, store in report.stores.items()} == dict.fromkeys(
        report.stores, (last, 0)
    )
    assert report.stores["jetstream"].looked_at == {"messages": len(a_desk.event_seqs)}
    assert report.stores["postgres"].looked_at["executions"] == len(a_desk.fills)
    assert report.stores["mails"].looked_at == {"notifications_sent": len(a_desk.fills) + 1}


async def test_it_agrees_at_any_moment_while_the_desk_trades(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with everyone(a_desk, nats_server.url, postgres_url, mail_port):
        await published(a_desk, nats_server.url)
        await caught_up(a_desk, postgres_url)
        cursors = set()
        for _ in range(8):
            trade(a_desk, 100)
            await asyncio.sleep(0.01)
            report = await audited(a_desk, nats_server.url, postgres_url)
            assert report.agrees, said(report)
            cursors.add((report.stores["postgres"].done, report.stores["jetstream"].done))
    assert len(cursors) > 1, "the followers were at work meanwhile"


async def sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


# What is done to Postgres, and what the audit has to say of it.
IN_POSTGRES = (
    (
        "UPDATE orders SET cum_qty = 11 WHERE order_number = {order}",
        "order {order}: cum_qty is 11, the log says 10",
    ),
    (
        "UPDATE orders SET ord_status = 'new' WHERE order_number = {order}",
        "ord_status is new, the log says filled",
    ),
    ("UPDATE orders SET seq = seq - 1 WHERE order_number = {order}", "orders: order {order}: seq is"),
    ("UPDATE orders SET reject_code = 1 WHERE order_number = {order}", "reject_code is 1, the log says None"),
    ("DELETE FROM orders WHERE order_number = {order}", "orders: order {order} is not there; the log says"),
    ("DELETE FROM executions WHERE seq = {fill}", "executions: execution {fill} is not there; the log says"),
    ("UPDATE executions SET last_px = last_px + 0.00000001 WHERE seq = {fill}", "last_px is 134.77000001"),
    ("UPDATE executions SET seq = seq + 1000000 WHERE seq = {fill}", "the log knows nothing of it"),
    ("UPDATE positions SET qty = 196", "positions: position TW000001 BRK.B: qty is 196, the log says 206"),
    ("UPDATE positions SET realized = realized + 0.000001", "realized is 0.000001, the log says 0"),
    ("UPDATE cash SET cash = 7 WHERE account_id = 2", "cash TW000002 USD: cash is 7, the log says 1000000"),
    ("DELETE FROM cash WHERE account_id = 2", "cash: cash TW000002 USD is not there"),
    ("UPDATE accounts SET account = 'TW9' WHERE account_id = 2", "account is TW9, the log says TW000002"),
    ("UPDATE accounts SET state = 'active' WHERE account_id = 1", "state is active, the log says reducing"),
    (
        "UPDATE instruments SET tick_size = 0.02",
        "instruments: instrument 1: tick_size is 0.02, the log says 0.01",
    ),
    ("DELETE FROM notifications_sent WHERE seq = {fill}", "notifications_sent: mail {fill} is not there"),
    ("UPDATE notifications_sent SET sent_at = NULL WHERE seq = {fill}", "mail {fill}: sent_at is not set"),
    ("UPDATE projection_cursor SET seq = seq + 1000 WHERE consumer = 'portfolio'", "log: its end is there"),
)


async def test_each_difference_in_postgres_is_named(
    a_desk: Desk, nats_server: NatsServer, postgres_server: PostgresServer, postgres_url: str, mail_port: int
) -> None:
    await settled(a_desk, nats_server.url, postgres_url, mail_port)
    names = {"fill": a_desk.fills[3], "order": [*a_desk.orders][3]}
    original = postgres_url.rpartition("/")[2]
    server = postgres_server.url("tradewind")
    for statement, named in IN_POSTGRES:
        await sql(server, f"CREATE DATABASE damaged TEMPLATE {original}")
        await sql(postgres_server.url("damaged"), statement.format(**names))
        report = await audited(a_desk, nats_server.url, postgres_server.url("damaged"))
        await sql(server, "DROP DATABASE damaged WITH (FORCE)")
        assert named.format(**names) in said(report), statement
        assert 1 <= report.differences <= 2, said(report)


Damage = Callable[[nats.js.JetStreamContext, Desk], Awaitable[None]]


async def _a_message_is_gone(context: nats.js.JetStreamContext, _desk: Desk) -> None:
    await context.delete_msg("TRADEWIND", 7)


async def _one_is_told_twice(context: nats.js.JetStreamContext, desk: Desk) -> None:
    raw = await context.get_msg("TRADEWIND", len(desk.event_seqs))
    assert raw.subject is not None
    assert raw.data is not None
    await context.publish(raw.subject, raw.data)


async def _one_is_told_that_never_was(context: nats.js.JetStreamContext, desk: Desk) -> None:
    last = desk.event_seqs[-1]
    paid = CashUpdate(
        shard=0, seq=last + 1, prior_seq=last, time_ns=1, account="TW000001", account_id=1, reject_code=0,
        reject_message=None, currency="USD", cash="5", reserved="0", receivable="0", payable="0", settled="5",
    )  # fmt: skip
    await context.publish(schemas.subject_of(paid), schemas.encode(paid))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_a_message_is_gone, "TRADEWIND: event {seventh} is not there; the log says ORDER of {seventh}"),
        (_one_is_told_twice, "the log knows nothing of it (event {last})"),
        (_one_is_told_that_never_was, "jetstream knows it to end with event {next} or a later one"),
    ],
)
async def test_a_difference_in_the_stream_is_named(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int, damage: Damage, named: str
) -> None:
    await settled(a_desk, nats_server.url, postgres_url, mail_port)
    client = await nats.connect(nats_server.url)
    await damage(client.jetstream(), a_desk)
    await client.close()
    report = await audited(a_desk, nats_server.url, postgres_url)
    last = a_desk.event_seqs[-1]
    assert named.format(seventh=a_desk.event_seqs[6], last=last, next=last + 1) in said(report)
    assert report.differences <= 2, said(report)


async def test_a_message_that_says_something_else_is_named_by_its_field(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a mistake in what the publisher makes of an event: the audit shares nothing with it."""
    from services import translate

    monkeypatch.setattr(translate, "average_px_e8", lambda notional, qty: 1 if qty else None)
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 1)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        await caught_up(a_desk, postgres_url)
    report = await audited(a_desk, nats_server.url, postgres_url)
    assert {(d.place, d.field, d.log, d.other) for d in report.first} == {
        ("TRADEWIND", "avg_px", "134.77", "0.00000001"),
        ("orders", "avg_px", "134.77", "0.00000001"),
    }


async def test_a_store_that_is_away_is_told_and_the_other_is_judged(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int
) -> None:
    await settled(a_desk, nats_server.url, postgres_url, mail_port)
    nats_server.stop(signal.SIGKILL)
    await sql(postgres_url, "DELETE FROM executions")
    report = await audited(a_desk, nats_server.url, postgres_url)
    assert not report.is_complete
    assert report.stores["jetstream"].trouble
    assert report.by_place == {"executions": len(a_desk.fills)}


async def test_a_postgres_without_tables_and_a_server_without_a_stream_are_told_as_that(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    report = await audited(a_desk, nats_server.url, postgres_url)
    assert report.stores["postgres"].trouble == "its tables are not there yet"
    assert report.stores["jetstream"].trouble == "there is no stream TRADEWIND"
    assert report.agrees


async def test_of_a_log_whose_beginning_was_let_go_what_is_kept_is_judged(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int
) -> None:
    await settled(a_desk, nats_server.url, postgres_url, mail_port)
    reader = a_desk.open_whole_log()
    records = [record for batch in iter(reader.read, []) for record in batch]
    reader.close()
    kept = [record for record in records if record.seq >= a_desk.fills[10]]

    async def judged() -> Report:
        return await audit(kept, shard=0, postgres_url=postgres_url, nats_url=nats_server.url)

    report = await judged()
    assert report.agrees, said(report)
    assert report.kept_from == a_desk.fills[10]
    assert report.stores["postgres"].looked_at["executions"] == len(a_desk.fills) - 10
    await sql(postgres_url, "UPDATE cash SET reserved = 7 WHERE account_id = 1")
    assert "cash: cash 1 USD: reserved is 7" in said(await judged())


async def test_a_paused_postgres_does_not_hold_the_audit_for_ever(
    a_desk: Desk, nats_server: NatsServer, postgres_server: PostgresServer, postgres_url: str
) -> None:
    a_desk.open_account()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    postgres_server.send_signal(signal.SIGSTOP)
    try:
        report = await audited(a_desk, nats_server.url, postgres_url)
    finally:
        postgres_server.send_signal(signal.SIGCONT)
    assert report.stores["postgres"].trouble
    assert report.stores["jetstream"].trouble is None
    assert report.agrees, said(report)
