"""Postgres holds what the stream says, once, whatever dies between."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import nats
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import events, units
from core.records import OrdStatus, Side
from core.rejects import Reject
from services import database, schemas
from services.follower import Effect, Follower, Place, PlaceMoved, StreamGap
from services.portfolio import Portfolio
from services.schemas import Update
from services.translate import EVENT_KINDS, to_update
from tests.services.conftest import NatsServer, PostgresServer, eventually, stop
from tests.services.desk import Desk
from tests.services.test_publisher import published, running, trade


def a_follower(nats_url: str, effect: Effect) -> Follower:
    return Follower(nats_url=nats_url, shard=0, effect=effect, on_serving=lambda: None)


@contextlib.asynccontextmanager
async def following(nats_url: str, effect: Effect) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(a_follower(nats_url, effect).run())
    try:
        yield task
    finally:
        await stop(task)


async def fetch(url: str, sql: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def caught_up(desk: Desk, url: str, consumer: str = "portfolio") -> None:
    async def at_the_end() -> bool:
        try:
            rows = await fetch(url, f"SELECT seq FROM projection_cursor WHERE consumer = '{consumer}'")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return bool(rows) and rows[0]["seq"] == desk.event_seqs[-1]

    await eventually(at_the_end)


def decimal(fixed: int, scale: int) -> Decimal:
    return Decimal(units.from_fixed(fixed, scale))


async def assert_tables_are_the_desks_books(desk: Desk, url: str) -> None:
    cash = {r["account_id"]: (r["cash"], r["reserved"]) for r in await fetch(url, "SELECT * FROM cash")}
    assert cash == {
        account: (decimal(book.cash_e6, units.MONEY_SCALE), decimal(book.reserved_e6, units.MONEY_SCALE))
        for account, book in desk.books.items()
    }
    positions = {
        (r["account_id"], r["instrument_id"]): (r["qty"], r["cost"])
        for r in await fetch(url, "SELECT * FROM positions")
    }
    assert positions == {
        (account, instrument): (
            decimal(qty_e8, units.QTY_SCALE),
            decimal(book.cost_e6[instrument], units.MONEY_SCALE),
        )
        for account, book in desk.books.items()
        for instrument, qty_e8 in book.qty_e8.items()
    }
    orders = {
        r["order_number"]: (r["ord_status"], r["cum_qty"], r["cum_notional"], r["client_order_id"])
        for r in await fetch(url, "SELECT * FROM orders WHERE reject_code IS NULL")
    }
    assert orders == {
        order.order_id: (
            order.status.name.lower(),
            decimal(order.cum_qty_e8, units.QTY_SCALE),
            decimal(order.cum_notional_e6, units.MONEY_SCALE),
            order.client_order_id,
        )
        for order in desk.orders.values()
    }
    executions = await fetch(url, "SELECT seq FROM executions ORDER BY seq")
    assert [r["seq"] for r in executions] == desk.fills


async def test_accounts_orders_fills_positions_and_cash_are_projected(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 20)
    filled_in_part = a_desk.accept(1, 1, Side.BUY, "10", "100")
    a_desk.fill(filled_in_part, "3", "99.99")
    a_desk.cancel(filled_in_part)
    a_desk.refuse_cancel(filled_in_part)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)
    [order] = await fetch(
        postgres_url, f"SELECT * FROM orders WHERE order_number = {filled_in_part.order_id}"
    )
    assert (order["symbol"], order["account"], order["leaves_qty"], order["avg_px"]) == (
        "AAPL", "TW000001", 0, Decimal("99.99"),
    )  # fmt: skip
    assert order["created_ns"] < order["updated_ns"]


async def test_a_break_shows_its_account_reducing(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    order = a_desk.accept(1, a_desk.define_instrument(), Side.BUY, "1", "1")
    a_desk.break_found(order)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        await caught_up(a_desk, postgres_url)
    assert [r["state"] for r in await fetch(postgres_url, "SELECT * FROM accounts")] == ["reducing"]
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


async def test_a_rejected_order_is_kept_with_its_reason_and_what_never_was_is_not(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    order = a_desk.accept(1, a_desk.define_instrument(), Side.BUY, "1", "1")
    poor = a_desk.reject(1, 1, Reject.BUYING_POWER)
    a_desk.reject(1, 1, Reject.DUPLICATE_CLIENT_ORDER_ID, original=order)
    a_desk.reject(999, 1, Reject.ACCOUNT_UNKNOWN)
    a_desk.refuse_report(order)
    a_desk.cancel_unknown(1)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)
    [rejected] = await fetch(postgres_url, "SELECT * FROM orders WHERE reject_code IS NOT NULL")
    assert (rejected["order_number"], rejected["reject_code"], rejected["ord_status"]) == (
        poor,
        401,
        "rejected",
    )
    assert "insufficient buying power" in rejected["reject_message"]


class DiesAfterCommit(Portfolio):
    """Commits its first batch, and is gone before the ack."""

    died = False

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        await super().apply(updates, before, after)
        self.died = True
        await asyncio.Future()


async def test_a_follower_killed_between_commit_and_ack_doubles_nothing(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 300)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        doomed = DiesAfterCommit(postgres_url, 0)
        async with following(nats_server.url, doomed):

            async def dead() -> bool:
                return doomed.died

            await eventually(dead)
        trade(a_desk, 100)
        async with following(nats_server.url, Portfolio(postgres_url, 0)):
            await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


class DiesBeforeCommit(Portfolio):
    """Takes messages of the stream, and is gone before anything is done with them."""

    died = False

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        self.died = True
        await asyncio.Future()


async def test_messages_taken_by_one_who_died_are_not_lost(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    """The server would deliver what comes after them first, and them only when their ack is overdue."""
    a_desk.open_account()
    a_desk.define_instrument()
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
        doomed = DiesBeforeCommit(postgres_url, 0)
        async with following(nats_server.url, doomed):

            async def dead() -> bool:
                return doomed.died

            await eventually(dead)
        trade(a_desk, 10)
        await published(a_desk, nats_server.url)
        async with following(nats_server.url, Portfolio(postgres_url, 0)):
            await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


class KeepsItToItself(Portfolio):
    """As a library does that loses a cancellation: it goes on, or raises something else."""

    def __init__(self, postgres_url: str, error: Exception | None) -> None:
        super().__init__(postgres_url, 0)
        self._error = error
        self.at_work = False

    async def apply(self, updates: Sequence[Update], before: Place, after: Place) -> None:
        try:
            self.at_work = True
            await asyncio.Future()
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None
        await super().apply(updates, before, after)


@pytest.mark.parametrize("error", [None, TimeoutError()])
async def test_a_follower_ends_when_it_is_cancelled_though_a_library_kept_that_to_itself(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str, error: Exception | None
) -> None:
    a_desk.open_account()
    effect = KeepsItToItself(postgres_url, error)

    async def at_work() -> bool:
        return effect.at_work

    async with running(a_desk.publisher(nats_server.url)), following(nats_server.url, effect) as task:
        await eventually(at_work)
        await stop(task)
        assert task.cancelled()


async def test_two_followers_of_one_name_double_nothing(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        for _ in range(5):
            trade(a_desk, 50)
            await asyncio.sleep(0.05)
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


async def test_nats_and_postgres_gone_and_back_leave_the_books_right(
    a_desk: Desk, nats_server: NatsServer, postgres_server: PostgresServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        trade(a_desk, 200)
        await asyncio.sleep(0.1)
        postgres_server.stop(signal.SIGQUIT)
        trade(a_desk, 100)
        await asyncio.sleep(0.5)
        postgres_server.start()
        trade(a_desk, 100)
        nats_server.stop(signal.SIGKILL)
        trade(a_desk, 100)
        await asyncio.sleep(0.5)
        nats_server.start()
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


async def test_a_wiped_stream_that_is_built_anew_is_followed_on(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 50)
    async with (
        running(a_desk.publisher(nats_server.url)),
        following(nats_server.url, Portfolio(postgres_url, 0)),
    ):
        await caught_up(a_desk, postgres_url)
        nats_server.stop(signal.SIGKILL)
        nats_server.wipe()
        trade(a_desk, 50)
        nats_server.start()
        await caught_up(a_desk, postgres_url)
        trade(a_desk, 10)
        await caught_up(a_desk, postgres_url)
    await assert_tables_are_the_desks_books(a_desk, postgres_url)


async def test_a_stream_whose_beginning_is_gone_is_a_gap_and_not_projected(
    a_desk: Desk, nats_server: NatsServer, postgres_url: str
) -> None:
    a_desk.open_account()
    a_desk.define_instrument()
    trade(a_desk, 5)
    async with running(a_desk.publisher(nats_server.url)):
        await published(a_desk, nats_server.url)
    client = await nats.connect(nats_server.url)
    await client.jetstream().purge_stream("TRADEWIND", keep=5)
    await client.close()
    with pytest.raises(StreamGap, match="published again from the log"):
        await a_follower(nats_server.url, Portfolio(postgres_url, 0))._run_one_connection()
    assert await fetch(postgres_url, "SELECT * FROM orders") == []


async def test_a_cursor_that_another_process_moved_undoes_the_batch(postgres_url: str) -> None:
    late, early = Portfolio(postgres_url, 0), Portfolio(postgres_url, 0)
    place = await late.place()
    assert await early.place() == place == Place(0, 0)
    paid = schemas.CashUpdate(
        shard=0, seq=2, prior_seq=0, time_ns=1, account="A", account_id=1,
        reject_code=0, reject_message=None, currency="USD", cash="5", reserved="0", receivable="0",
            payable="0", settled="5",
    )  # fmt: skip
    await early.apply([], place, Place(7, 7))
    with pytest.raises(PlaceMoved, match="another process"):
        await late.apply([paid], place, Place(2, 1))
    assert await fetch(postgres_url, "SELECT * FROM cash") == []
    await late.close()
    await early.close()


VERBS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "buy",
                "sell",
                "fill",
                "fill",
                "fill",
                "cancel",
                "refuse",
                "report",
                "pay",
                "reject",
                "duplicate",
            ]
        ),
        st.integers(1, 3),
        st.integers(0, 10**6),
    ),
    min_size=1,
    max_size=60,
)


def play(desk: Desk, verbs: Sequence[tuple[str, int, int]]) -> None:
    """A random day at the desk."""
    for verb, account, number in verbs:
        open_orders = [
            o for o in desk.orders.values() if o.status in (OrdStatus.PENDING_NEW, OrdStatus.PARTIALLY_FILLED)
        ]
        price = units.price_text(10**6 + number)
        if verb in ("buy", "sell"):
            side = Side.BUY if verb == "buy" else Side.SELL
            desk.accept(account, 1 + number % 2, side, str(1 + number % 9), price)
        elif verb == "pay":
            desk.pay_in(account, number)
        elif verb == "reject":
            desk.reject(account, 1, Reject.BUYING_POWER)
        elif open_orders:
            order = open_orders[number % len(open_orders)]
            if verb == "fill":
                desk.fill(order, "1", units.price_text(max(1, 10**6 + number - 10**5)))
            elif verb == "cancel":
                desk.cancel(order)
            elif verb == "refuse":
                desk.refuse_cancel(order)
            elif verb == "report":
                desk.refuse_report(order)
            else:
                desk.reject(account, 1, Reject.DUPLICATE_CLIENT_ORDER_ID, original=order)


def updates_of(desk: Desk) -> list[Update]:
    """What the publisher would say of the desk's log."""
    reader, found, prior = desk.open_whole_log(), [], 0
    while records := reader.read():
        for record in records:
            if record.kind in EVENT_KINDS:
                event = events.decode(record.seq, record.time_ns, record.payload)
                account, symbol = desk.accounts.get(event.account, ""), desk.symbols.get(event.instrument, "")
                found.append(to_update(event, shard=0, prior_seq=prior, account=account, symbol=symbol))
                prior = event.seq
    reader.close()
    return found


@given(verbs=VERBS, cuts=st.lists(st.integers(1, 60), max_size=8))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_history_in_any_batches_projects_to_the_desks_own_books(
    verbs: list[tuple[str, int, int]], cuts: list[int], a_desk_factory: Any, postgres_server: PostgresServer
) -> None:
    desk: Desk = a_desk_factory()
    for _ in range(3):
        desk.open_account(f"TW{len(desk.accounts) + 1:06d}")
    desk.define_instrument("AAPL")
    desk.define_instrument("MSFT")
    play(desk, verbs)
    asyncio.run(_project(desk, cuts, postgres_server))


async def _project(desk: Desk, cuts: list[int], postgres_server: PostgresServer) -> None:
    url = postgres_server.url("tradewind")
    await database.migrate(url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        "TRUNCATE accounts, instruments, orders, executions, positions, cash, projection_cursor"
    )
    await connection.close()
    portfolio = Portfolio(url, 0)
    updates = updates_of(desk)
    assert [update.seq for update in updates] == desk.event_seqs
    ends = sorted({cut for cut in cuts if cut < len(updates)} | {len(updates)})
    begin, place = 0, await portfolio.place()
    for end in ends:
        after = Place(updates[end - 1].seq, end)
        await portfolio.apply(updates[begin:end], place, after)
        begin, place = end, after
    assert await portfolio.place() == place
    await portfolio.close()
    await assert_tables_are_the_desks_books(desk, url)
