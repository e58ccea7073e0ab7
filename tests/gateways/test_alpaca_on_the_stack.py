"""An unmodified alpaca-py against everything that `tradewind up` starts: the order goes to the venue and comes back.

The stack is shared by the whole test run, so these tests sell what they buy and look at differences.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.live import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest
from alpaca.trading.stream import TradingStream

from tests.gateways.conftest import eventually
from tests.stack import Stack

pytestmark = pytest.mark.stack

SYMBOL = "KO"


@pytest.fixture
def trading(stack: Stack) -> TradingClient:
    return TradingClient(stack.key_id, stack.secret_key, url_override=stack.rest)


def market_order(side: OrderSide, **changed: Any) -> MarketOrderRequest:
    asked = {"symbol": SYMBOL, "qty": 10, "side": side, "time_in_force": TimeInForce.DAY, **changed}
    return MarketOrderRequest(**asked)


def held(trading: TradingClient) -> float:
    return sum(float(p.qty) for p in trading.get_all_positions() if p.symbol == SYMBOL)  # type: ignore[union-attr]


def filled(trading: TradingClient, side: OrderSide) -> Any:
    """An order of ten at the market, once the venue has filled it."""
    order: Any = trading.submit_order(market_order(side))

    def done() -> Any:
        seen: Any = trading.get_order_by_id(order.id)
        return seen if seen.status is OrderStatus.FILLED else None

    return eventually(done)


@contextmanager
def running(stream: TradingStream | StockDataStream) -> Iterator[None]:
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop: Any = stream._loop
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), loop).result()
        asyncio.run_coroutine_threadsafe(stream.close(), loop)
        thread.join(timeout=10)


def test_an_order_reaches_the_venue_fills_and_shows_as_a_position(trading: TradingClient) -> None:
    before = held(trading)
    bought = filled(trading, OrderSide.BUY)
    assert float(bought.filled_avg_price) > 0
    assert held(trading) == before + 10
    filled(trading, OrderSide.SELL)
    assert held(trading) == before


def test_a_resting_order_is_cancelled_by_the_venue(trading: TradingClient, stack: Stack) -> None:
    path = f"/v2/stocks/quotes/latest?symbols={SYMBOL}"
    bid = httpx.get(stack.rest + path, headers=stack.headers).json()["quotes"][SYMBOL]["bp"]
    order: Any = trading.submit_order(
        LimitOrderRequest(
            symbol=SYMBOL, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY,
            limit_price=round(bid * 0.97, 2),
        )
    )  # fmt: skip
    reserved = float(httpx.get(stack.rest + "/v2/account", headers=stack.headers).json()["reserved"])
    assert reserved > 0

    def is_new() -> bool:
        seen: Any = trading.get_order_by_id(order.id)
        return seen.status is OrderStatus.NEW

    def is_cancelled() -> bool:
        seen: Any = trading.get_order_by_id(order.id)
        return seen.status is OrderStatus.CANCELED

    eventually(is_new)
    trading.cancel_order_by_id(order.id)
    eventually(is_cancelled)


def test_the_trading_stream_tells_of_the_fill(trading: TradingClient, stack: Stack) -> None:
    stream = TradingStream(stack.key_id, stack.secret_key, url_override=stack.trading_stream)
    updates: list[Any] = []

    async def on_update(update: Any) -> None:
        updates.append(update)

    def is_heard() -> bool:
        filled(trading, OrderSide.BUY)
        filled(trading, OrderSide.SELL)
        return bool(updates)

    stream.subscribe_trade_updates(on_update)
    with running(stream):
        eventually(is_heard)
        order = filled(trading, OrderSide.BUY)
        own = eventually(lambda: [u for u in updates if u.order.id == order.id and u.event == "fill"])
        filled(trading, OrderSide.SELL)
    assert own[0].order.status is OrderStatus.FILLED
    events = [update.event for update in updates if update.order.id == order.id]
    assert events[:2] == ["pending_new", "new"]


def test_the_data_stream_brings_live_quotes(stack: Stack) -> None:
    stream = StockDataStream(stack.key_id, stack.secret_key, url_override=stack.data_stream)
    quotes: list[Any] = []

    async def on_quote(quote: Any) -> None:
        quotes.append(quote)

    stream.subscribe_quotes(on_quote, SYMBOL)
    with running(stream):
        eventually(lambda: len(quotes) >= 3)
    assert {quote.symbol for quote in quotes} == {SYMBOL}
    assert all(0 < quote.bid_price < quote.ask_price for quote in quotes)


def test_the_source_of_the_prices_is_named_everywhere(stack: Stack) -> None:
    label = httpx.get(stack.rest + "/v1/source").json()["label"]
    assert label
    assets = httpx.get(stack.rest + "/v2/assets", headers=stack.headers).json()
    assert all(asset["attributes"] == [f"source: {label}"] for asset in assets)


def test_an_order_that_arrived_is_refused_the_second_time(trading: TradingClient) -> None:
    name = str(uuid4())
    trading.submit_order(market_order(OrderSide.BUY, client_order_id=name))
    with pytest.raises(APIError, match="client_order_id must be unique"):
        trading.submit_order(market_order(OrderSide.BUY, client_order_id=name))
    assert trading.get_order_by_client_id(name) is not None
    filled(trading, OrderSide.SELL)


def test_bad_orders_leave_the_desk_as_it_was(stack: Stack) -> None:
    def account() -> dict[str, Any]:
        seen: dict[str, Any] = httpx.get(stack.rest + "/v2/account", headers=stack.headers).json()
        return seen

    before = account()
    good = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    for changed in (
        {"qty": "-1"}, {"qty": 0}, {"qty": "NaN"}, {"qty": "1e400"}, {"qty": "99999999999999999999"},
        {"symbol": "NOPE"}, {"type": "stop"}, {"time_in_force": "opg"}, {"notional": "5"}, {"side": "short"},
        {"client_order_id": "x" * 129},
    ):  # fmt: skip
        answer = httpx.post(stack.rest + "/v2/orders", headers=stack.headers, json={**good, **changed})
        assert answer.status_code == 422, changed
        assert set(answer.json()) == {"code", "message"}
    for content in (b"", b"{", b"x" * 20_000):
        answer = httpx.post(stack.rest + "/v2/orders", headers=stack.headers, content=content)
        assert answer.status_code in (400, 413)
    assert httpx.post(stack.rest + "/v2/orders", json=good).status_code == 401
    assert account() == before
