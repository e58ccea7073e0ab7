"""A follower whose store was lost, or that was away for longer than its source reaches, has everything again."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
from nats.js.api import StreamConfig

from actors.shard import Lane
from actors.snapshot import restore, take
from actors.tables import State, private_state
from core import commands
from core.records import ExecType, OrdStatus
from core.units import qty_e8
from services import schemas
from services.backlog import Backlog, BeginningGone, Hold
from services.follower import Follower
from services.names import Names
from services.notifications import Notifications
from services.portfolio import Portfolio
from services.publisher import Publisher
from services.shard_tables import ShardTables
from shared_mem.cursors import BEGINNING, Cursor, CursorFile
from shared_mem.log import Gate, Reader, segment_path
from shared_mem.log_reader import LogReader, first_kept
from tests.actors.desk import ASK_E8, CAPACITY, SEGMENT_BYTES, ShardDesk, order
from tests.services.conftest import NatsServer, PostgresServer, eventually, stop
from tests.services.desk import Desk
from tests.services.test_audit import audited, said
from tests.services.test_notifications import mails, notifications
from tests.services.test_portfolio import assert_tables_are_the_desks_books, caught_up, fetch
from tests.services.test_publisher import (
    assert_stream_is_the_log,
    published,
    running,
    stream_count,
    stream_messages,
    trade,
)

DESK_SEGMENT_BYTES = 1 << 20  # as tests/services/desk.py has them


def backlog_of(desk: Desk) -> Backlog:
    return Backlog(
        shard=0,
        log_dir=desk.log_dir,
        segment_bytes=lambda: DESK_SEGMENT_BYTES,
        open_log=lambda position: LogReader(desk.log_dir, desk.run_dir, Reader.AUDIT, position, Gate.SYNCED),
        names=lambda: Names(desk),
    )


@contextlib.asynccontextmanager
async def following(
    nats_url: str, effect: Portfolio | Notifications, backlog: Backlog
) -> AsyncIterator[asyncio.Task[None]]:
    """As a role follows: with the log behind the stream."""
    follower = Follower(nats_url=nats_url, shard=0, effect=effect, on_serving=lambda: None, backlog=backlog)
    task = asyncio.create_task(follower.run())
    try:
        yield task
    finally:
        await stop(task)


async def sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def jetstream(url: str, work: Any) -> None:
    client = await nats.connect(url)
    try:
        await work(client.jetstream())
    finally:
        await client.close()


async def assert_all_agree(desk: Desk, nats_url: str, postgres_url: str) -> None:
    await assert_tables_are_the_desks_books(desk, postgres_url)
    report = await audited(desk, nats_url, postgres_url)
    assert report.agrees, said(report)
    assert report.stores["postgres"].behind == report.stores["jetstream"].behind == 0


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def a_day(desk: Desk) -> None:
    desk.open_account()
    desk.define_instrument()
    trade(desk, 50)


@pytest.mark.parametrize(
    "schema", ["DROP SCHEMA public CASCADE; CREATE SCHEMA public", "DROP SCHEMA public CASCADE"]
)
async def test_tables_dropped_under_the_projector_are_built_again(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, schema: str
) -> None:
    a_day(a_desk)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)),
    ):
        await caught_up(a_desk, postgres_url)
        await sql(postgres_url, schema)
        trade(a_desk, 10)
        await caught_up(a_desk, postgres_url)
    await assert_all_agree(a_desk, nats_server.url, postgres_url)


async def test_lost_tables_are_built_from_the_log_when_the_streams_limits_took_its_beginning(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_day(a_desk)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        await jetstream(nats_server.url, lambda js: js.purge_stream("TRADEWIND", keep=5))
        async with following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)):
            await caught_up(a_desk, postgres_url)
            trade(a_desk, 10)
            await caught_up(a_desk, postgres_url)
    await assert_all_agree(a_desk, nats_server.url, postgres_url)


async def test_a_hole_in_the_stream_is_filled_from_the_log(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_day(a_desk)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        for hole in (7, 8, 40, 151):
            await jetstream(nats_server.url, lambda js, hole=hole: js.delete_msg("TRADEWIND", hole))
        async with following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)):
            await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)
    report = await audited(a_desk, nats_server.url, postgres_url)
    assert {(d.place, d.seq) for d in report.first} >= {
        ("TRADEWIND", a_desk.event_seqs[hole - 1]) for hole in (7, 8, 40, 151)
    }
    assert set(report.by_place) == {"TRADEWIND"}


async def test_a_projector_away_for_longer_than_the_stream_reaches_catches_up(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_day(a_desk)
    async with running(a_desk.publisher(nats_server.url)):
        async with following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)):
            await caught_up(a_desk, postgres_url)
        trade(a_desk, 200)
        await published(a_desk, nats_server.url)
        await jetstream(nats_server.url, lambda js: js.purge_stream("TRADEWIND", keep=1))
        async with following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)):
            await caught_up(a_desk, postgres_url)
    await assert_all_agree(a_desk, nats_server.url, postgres_url)


async def test_a_stream_that_a_follower_made_anew_before_its_loss_was_seen_is_filled(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    """The publisher, with nothing to publish, finds a stream of the right name: it has to see that it is empty."""
    a_day(a_desk)

    async def deleted_and_made_anew(js: nats.js.JetStreamContext) -> None:
        config = (await js.stream_info("TRADEWIND")).config
        await js.delete_stream("TRADEWIND")
        await js.add_stream(StreamConfig(name="TRADEWIND", subjects=config.subjects))

    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        await jetstream(nats_server.url, deleted_and_made_anew)
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_after_the_dedup_window_nothing_is_published_twice(
    a_desk: Desk, nats_server: NatsServer
) -> None:
    """The server remembers Nats-Msg-Id for a moment only: what drops repeats is the stream's own end."""
    a_day(a_desk)
    window_s = 0.1
    subjects = [schemas.shard_subjects(0)]
    await jetstream(
        nats_server.url,
        lambda js: js.add_stream(
            StreamConfig(name="TRADEWIND", subjects=subjects, duplicate_window=window_s)
        ),
    )
    cursor = CursorFile(a_desk.log_dir.parent / "cursors", "publisher")
    for _ in range(3):
        async with running(a_desk.publisher(nats_server.url)):
            await published(a_desk, nats_server.url)
        cursor.save(BEGINNING)
        await asyncio.sleep(3 * window_s)
        trade(a_desk, 1)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    await assert_stream_is_the_log(a_desk, nats_server.url)


async def test_a_repeat_that_reached_the_stream_after_all_is_passed_over_by_its_followers(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    """Somebody else's hand, past the dedup window: the follower's high-water mark drops it."""
    a_day(a_desk)

    async def again(js: nats.js.JetStreamContext) -> None:
        for number in (9, 60, 150):
            raw = await js.get_msg("TRADEWIND", number)
            assert raw.subject is not None
            assert raw.data is not None
            await js.publish(raw.subject, raw.data)

    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    await jetstream(nats_server.url, again)
    async with following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)):
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


async def test_everything_away_for_a_backlog_of_thousands_catches_up(
    a_desk: Desk, nats_server: NatsServer, postgres_server: PostgresServer, postgres_url: str
) -> None:
    a_day(a_desk)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0), backlog_of(a_desk)),
    ):
        await caught_up(a_desk, postgres_url)
        nats_server.stop(signal.SIGKILL)
        postgres_server.stop(signal.SIGQUIT)
        trade(a_desk, 2000)
        nats_server.wipe()
        nats_server.start()
        postgres_server.start()
        await caught_up(a_desk, postgres_url)
        await published(a_desk, nats_server.url)
    await assert_all_agree(a_desk, nats_server.url, postgres_url)


async def test_mails_are_not_sent_again_when_their_rows_were_lost(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, mail_port: int, tmp_path: Path
) -> None:
    """Nor does the mailbox help here: it was emptied, as a reader's is."""
    a_day(a_desk)
    backlog = backlog_of(a_desk)
    async with running(a_desk.publisher(nats_server.url)):
        async with following(nats_server.url, notifications(postgres_url, mail_port, tmp_path), backlog):
            await caught_up(a_desk, postgres_url, "notifications")
        assert len(mails(tmp_path)) == len(a_desk.fills)
        await sql(postgres_url, "DROP SCHEMA public CASCADE")
        emptied(tmp_path / "mailbox" / "new")
        trade(a_desk, 3)
        async with following(nats_server.url, notifications(postgres_url, mail_port, tmp_path), backlog):
            await caught_up(a_desk, postgres_url, "notifications")
    assert len(mails(tmp_path)) == 3
    rows = await fetch(
        postgres_url, "SELECT seq FROM notifications_sent WHERE sent_at IS NOT NULL ORDER BY seq"
    )
    assert [row["seq"] for row in rows] == a_desk.fills


def test_the_log_is_held_from_the_segment_that_a_follower_stands_in(a_desk: Desk, tmp_path: Path) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    while a_desk.open_whole_log().end_position() < 2.5 * DESK_SEGMENT_BYTES:
        trade(a_desk, 100)
    backlog = backlog_of(a_desk)
    cursor = CursorFile(tmp_path / "cursors", "portfolio")
    hold = Hold(backlog, cursor)
    segment_path(a_desk.log_dir, 3).write_bytes(b"")  # as a full disk leaves the next one for a moment
    hold.done(a_desk.event_seqs[-1])
    assert cursor.load() == Cursor(2 * DESK_SEGMENT_BYTES, a_desk.event_seqs[-1])
    [first] = backlog.updates(a_desk.event_seqs[99], a_desk.event_seqs[119])
    assert [update.seq for update in first] == a_desk.event_seqs[100:120]
    assert [update.prior_seq for update in first] == a_desk.event_seqs[99:119]


# -- and when the log's beginning has gone too ---------------------------------------------------------------


class TrimmedDesk:
    """A real shard's log of some segments, and its state as a snapshot in the midst of it."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.log_dir, self.run_dir = folder / "log", run_dir
        self.desk = ShardDesk(self.log_dir, run_dir, CAPACITY)
        self.desk.open_market()
        self._numbers = iter(range(1, 10**6))
        self._until(1.5)
        self.snapshot = take(self.desk.shard.state)
        self._until(2.5)

    def _until(self, segments: float) -> None:
        while self.desk.shard.writer.position < segments * SEGMENT_BYTES:
            for _ in range(20):
                self._trade()
            self.desk.turn_until_quiet()
        self.desk.flusher.flush()

    def _trade(self) -> None:
        number = next(self._numbers)
        self.desk.push(Lane.ORDERS_GATEWAY, order(f"c{number}", request_id=number, qty_e8=qty_e8(1)))
        self.desk.turn()
        placed = int(self.desk.shard.writer.next_seq) - 2
        if number % 50:  # the others stay open
            report = commands.venue_report(
                venue_seq=number, order_id=placed, exec_type=ExecType.TRADE if number % 2 else ExecType.CANCELED,
                ord_status=OrdStatus.NEW, last_qty_e8=qty_e8(1) if number % 2 else 0,
                last_px_e8=ASK_E8 if number % 2 else 0, exec_id=f"X{number}",
            )  # fmt: skip
            self.desk.push(Lane.REPORTS_VENUE, report)
            self.desk.turn()

    def state(self) -> State:
        state = private_state(CAPACITY)
        restore(self.snapshot, state)
        return state

    def trim(self) -> None:
        segment_path(self.log_dir, 0).unlink()

    @property
    def last_seq(self) -> int:
        return int(self.desk.shard.writer.next_seq) - 1

    def open_log(self, position: int) -> LogReader:
        return LogReader(self.log_dir, self.run_dir, Reader.PUBLISHER, position, Gate.SYNCED)

    def publisher(self, nats_url: str) -> Publisher:
        return Publisher(
            nats_url=nats_url,
            shard=0,
            open_log=self.open_log,
            names=Names(ShardTables(self.run_dir)),
            cursor_file=CursorFile(self.log_dir.parent / "cursors", "publisher"),
            on_serving=lambda: None,
            beginning=lambda: first_kept(self.log_dir, SEGMENT_BYTES),
        )

    def backlog(self) -> Backlog:
        return Backlog(
            shard=0,
            log_dir=self.log_dir,
            segment_bytes=lambda: SEGMENT_BYTES,
            open_log=self.open_log,
            names=lambda: Names(ShardTables(self.run_dir)),
        )


@pytest.fixture
def a_long_log(tmp_path: Path, run_dir: Path) -> TrimmedDesk:
    return TrimmedDesk(tmp_path, run_dir)


async def at(url: str, seq: int, consumer: str = "portfolio") -> None:
    async def is_there() -> bool:
        try:
            rows = await fetch(url, f"SELECT seq FROM projection_cursor WHERE consumer = '{consumer}'")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return bool(rows) and rows[0]["seq"] == seq

    await eventually(is_there)


async def rows_of(url: str) -> dict[str, list[dict[str, Any]]]:
    """What is told of the present: without the moment at which a row was told last."""
    found = {}
    for table in ("accounts", "instruments", "groups", "orders", "positions", "cash"):
        rows = await fetch(url, f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        found[table] = [{k: v for k, v in row.items() if k not in ("seq", "updated_ns")} for row in rows]
    return found


async def test_lost_tables_are_built_from_a_snapshot_when_the_logs_beginning_has_gone_too(
    a_long_log: TrimmedDesk, nats_server: NatsServer, postgres_server: PostgresServer, postgres_url: str
) -> None:
    log = a_long_log
    portfolio = Portfolio(postgres_url, 0, log.state)
    async with running(log.publisher(nats_server.url)), following(nats_server.url, portfolio, log.backlog()):
        await at(postgres_url, log.last_seq)
    whole = await rows_of(postgres_url)
    executed = await fetch(postgres_url, "SELECT seq, last_qty FROM executions ORDER BY seq")
    await sql(postgres_url, "DROP SCHEMA public CASCADE")
    nats_server.stop(signal.SIGKILL)
    nats_server.wipe()
    nats_server.start()
    log.trim()
    async with running(log.publisher(nats_server.url)), following(nats_server.url, portfolio, log.backlog()):
        await at(postgres_url, log.last_seq)
    again = await rows_of(postgres_url)
    held = {row["order_number"] for row in again["orders"]}
    assert len(held) >= CAPACITY.orders
    whole["orders"] = [row for row in whole["orders"] if row["order_number"] in held]
    assert again == whole
    kept = await fetch(postgres_url, "SELECT seq, last_qty FROM executions ORDER BY seq")
    assert kept == [row for row in executed if row["seq"] > log.snapshot.seq]
    first = (await stream_messages(nats_server.url))[0][1]
    assert 0 < first.prior_seq < log.snapshot.seq, "the snapshot stands in what is kept of the log"


async def test_without_a_snapshot_lost_tables_stay_empty_and_the_gap_is_named(
    a_long_log: TrimmedDesk, nats_server: NatsServer, postgres_url: str
) -> None:
    log = a_long_log
    log.trim()
    async with running(log.publisher(nats_server.url)):

        async def is_published() -> bool:
            return await stream_count(nats_server.url) > 0

        await eventually(is_published)
        follower = Follower(
            nats_url=nats_server.url,
            shard=0,
            effect=Portfolio(postgres_url, 0),
            on_serving=lambda: None,
            backlog=log.backlog(),
        )
        with pytest.raises(BeginningGone, match="events after 0 are needed, and the log is kept from record"):
            await follower._run_one_connection()
    assert await fetch(postgres_url, "SELECT * FROM orders") == []


async def test_mails_go_on_behind_a_gap_that_nobody_can_fill(
    a_long_log: TrimmedDesk,
    nats_server: NatsServer,
    postgres_url: str,
    mail_port: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = a_long_log
    log.trim()
    effect = notifications(postgres_url, mail_port, tmp_path)
    async with running(log.publisher(nats_server.url)), following(nats_server.url, effect, log.backlog()):
        await at(postgres_url, log.last_seq, "notifications")
    kept_from = first_kept(log.log_dir, SEGMENT_BYTES).seq
    rows = await fetch(postgres_url, "SELECT min(seq) AS first, count(*) AS n FROM notifications_sent")
    assert rows[0]["first"] > kept_from
    assert rows[0]["n"] == len(mails(tmp_path)) > 0
    assert f"events 1 to {kept_from} are gone" in caplog.text
