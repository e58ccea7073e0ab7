"""What waits for one client: the newest quote of each symbol, every trade in order, and never more than the
bound."""

from __future__ import annotations

import asyncio

import pytest

from core.records import TickKind
from gateways import tick_feed, trade_stream
from gateways.quote_wire import Tick, TickMessage
from gateways.stream_socket import SlowClientError
from gateways.tick_feed import TickClient


def tick(symbol: str, kind: TickKind, number: int) -> TickMessage:
    return TickMessage(symbol, Tick(1, kind, 0, 0, number, number + 1, 1, 1, number, 1, number))


def offer(client: TickClient, symbol: str, kind: TickKind, numbers: range) -> None:
    for number in numbers:
        client.offer(symbol, tick(symbol, kind, number))


async def test_a_client_that_is_behind_gets_the_newest_quote_only() -> None:
    client = TickClient()
    client.quotes = {"AAPL", "MSFT"}
    offer(client, "AAPL", TickKind.QUOTE, range(1000))
    offer(client, "MSFT", TickKind.QUOTE, range(5))
    assert [(m.symbol, m.tick.bid_e8) for m in await client.take()] == [("AAPL", 999), ("MSFT", 4)]


async def test_every_trade_is_kept_in_order() -> None:
    client = TickClient()
    client.trades = {"*"}
    offer(client, "AAPL", TickKind.TRADE, range(50))
    assert [m.tick.px_e8 for m in await client.take()] == list(range(50))


async def test_what_was_not_asked_for_does_not_wake_the_client() -> None:
    client = TickClient()
    client.quotes = {"AAPL"}
    offer(client, "AAPL", TickKind.TRADE, range(5))
    offer(client, "MSFT", TickKind.QUOTE, range(5))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.take(), 0.01)


async def test_a_full_queue_of_trades_ends_the_client() -> None:
    client = TickClient()
    client.trades = {"*"}
    offer(client, "AAPL", TickKind.TRADE, range(tick_feed.TRADES_MAX + 1))
    with pytest.raises(SlowClientError, match=str(tick_feed.TRADES_MAX)):
        await client.take()


async def test_a_full_queue_of_updates_keeps_what_came_first() -> None:
    client = trade_stream._Client()
    for number in range(trade_stream.QUEUE_MAX + 5):
        client.offer(str(number).encode())
    assert client.overflowed
    assert client.queue.qsize() == trade_stream.QUEUE_MAX
    assert client.queue.get_nowait() == b"0"
    client.offer(b"late")
    assert client.queue.qsize() == trade_stream.QUEUE_MAX - 1
