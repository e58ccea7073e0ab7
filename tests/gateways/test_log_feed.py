"""Following the log: from its end, in order, and never past a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actors.shard import LANE_FILES, Lane
from core import commands
from core.events import Event
from core.records import OrdType, Side, Source, TimeInForce
from gateways.log_feed import LogFeed
from shared_mem.log import LogCorrupt, Reader
from shared_mem.log_reader import LogReader, Record
from shared_mem.ring import Ring
from tests.gateways.conftest import Market


def order(request_id: int) -> bytes:
    return commands.new_order(
        source=Source.GATEWAY, request_id=request_id, account=1, instrument=1, side=Side.BUY,
        ord_type=OrdType.LIMIT, tif=TimeInForce.DAY, qty_e8=10**8, price_e8=149 * 10**8,
        client_order_id=f"order-{request_id}",
    )  # fmt: skip


@pytest.fixture
def reader(market: Market, log_dir: Path, run_dir: Path) -> LogReader:
    return LogReader(log_dir, run_dir, Reader.GATEWAY)


@pytest.fixture
def lane(market: Market, run_dir: Path) -> Ring:
    return Ring.attach(run_dir / LANE_FILES[Lane.ORDERS_GATEWAY], bell=market.bell)


async def until(condition: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await condition.wait()


async def test_nothing_is_missed_between_making_the_feed_and_starting_it(
    reader: LogReader, lane: Ring
) -> None:
    heard: list[Event] = []
    everything = asyncio.Event()

    def listen(event: Event) -> None:
        heard.append(event)
        if len(heard) == 300:
            everything.set()

    feed = LogFeed(reader, lambda failure: pytest.fail(str(failure)))
    feed.listen(lambda source, request_id, account: source == Source.GATEWAY, listen)
    for number in range(1, 151):
        assert lane.try_push(order(number))
    await asyncio.sleep(0.05)
    feed.start()
    for number in range(151, 301):
        assert lane.try_push(order(number))
        if number % 50 == 0:
            await asyncio.sleep(0.01)  # so that the feed sleeps in between, and has to be woken
    await until(everything)
    feed.stop()
    assert [event.request_id for event in heard] == list(range(1, 301))
    assert {event.text for event in heard} == {f"order-{number}" for number in range(1, 301)}


async def test_a_log_that_can_not_be_read_ends_the_feed_and_says_so(
    reader: LogReader, lane: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = []
    failed = asyncio.Event()

    def end_with(failure: BaseException) -> None:
        failures.append(failure)
        failed.set()

    feed = LogFeed(reader, end_with)
    feed.start()

    def damaged(_most: int = 256) -> list[Record]:
        raise LogCorrupt("no record at position 7")

    monkeypatch.setattr(reader, "read", damaged)
    lane.try_push(order(1))
    await until(failed)
    assert [str(failure) for failure in failures] == ["no record at position 7"]
    feed.stop()
