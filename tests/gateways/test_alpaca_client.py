"""An unmodified alpaca-py against the gateway: its clients parse what we send, and its streams follow ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockLatestQuoteRequest, StockLatestTradeRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    StopOrderRequest,
)
from alpaca.trading.stream import TradingStream

from tests.gateways.conftest import Gateway, Market, eventually


@pytest.fixture
def trading(gateway: Gateway) -> TradingClient:
    return TradingClient(gateway.key_id, gateway.secret_key, url_override=gateway.rest)


def buy(**changed: Any) -> MarketOrderRequest:
    asked = {"symbol": "AAPL", "qty": 10, "side": OrderSide.BUY, "time_in_force": TimeInForce.DAY, **changed}
    return MarketOrderRequest(**asked)


def limit_buy(**changed: Any) -> LimitOrderRequest:
    asked = {
        "symbol": "AAPL",
        "qty": 1,
        "side": OrderSide.BUY,
        "time_in_force": TimeInForce.DAY,
        "limit_price": 149.5,
    }
    return LimitOrderRequest(**{**asked, **changed})


@contextmanager
def running(stream: TradingStream | StockDataStream) -> Iterator[None]:
    """The stream's own loop, in a thread, as its users run it."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop).result()
        asyncio.run_coroutine_threadsafe(stream.close(), stream._loop)
        thread.join(timeout=10)


def test_an_order_fills_and_its_position_shows(trading: TradingClient, market: Market) -> None:
    order = trading.submit_order(buy())
    assert order.status is OrderStatus.PENDING_NEW
    market.accept(str(order.id))
    market.fill(str(order.id), "10", "149.99")
    filled = trading.get_order_by_id(order.id)
    assert filled.status is OrderStatus.FILLED
    assert Decimal(filled.filled_avg_price) == Decimal("149.99")
    position = trading.get_open_position("AAPL")
    assert (position.qty, position.avg_entry_price) == ("10", "149.99")
    assert [held.symbol for held in trading.get_all_positions()] == ["AAPL"]
    assert trading.get_account().cash == "98500.1"


def test_orders_are_listed_found_and_cancelled(trading: TradingClient, market: Market) -> None:
    orders = [trading.submit_order(limit_buy(client_order_id=f"mine-{n}")) for n in range(3)]
    for order in orders:
        market.accept(str(order.id))
    assert trading.get_order_by_client_id("mine-1").id == orders[1].id
    found = trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, symbols=["AAPL"], limit=2))
    assert [order.id for order in found] == [orders[2].id, orders[1].id]
    later = trading.get_orders(GetOrdersRequest(after=orders[0].created_at, status=QueryOrderStatus.ALL))
    assert orders[2].id in [order.id for order in later]
    trading.cancel_order_by_id(orders[0].id)
    assert trading.get_order_by_id(orders[0].id).status is OrderStatus.PENDING_CANCEL
    answers = {answer.id: answer.status for answer in trading.cancel_orders()}
    assert answers == {orders[0].id: 422, orders[1].id: 200, orders[2].id: 200}


def test_errors_come_as_alpacas_with_code_and_message(trading: TradingClient) -> None:
    with pytest.raises(APIError) as unsupported:
        trading.submit_order(
            StopOrderRequest(
                symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, stop_price=160
            )
        )
    assert (unsupported.value.status_code, unsupported.value.code) == (422, 42210000)
    assert "stop" in unsupported.value.message
    with pytest.raises(APIError) as poor:
        trading.submit_order(limit_buy(qty=1000))
    assert (poor.value.status_code, poor.value.code) == (403, 40310000)
    assert "insufficient buying power" in poor.value.message
    trading.submit_order(limit_buy(client_order_id="once"))
    with pytest.raises(APIError, match="client_order_id must be unique"):
        trading.submit_order(limit_buy(client_order_id="once"))


def test_a_wrong_secret_is_an_api_error(gateway: Gateway) -> None:
    stranger = TradingClient(gateway.key_id, "wrong", url_override=gateway.rest)
    with pytest.raises(APIError) as refused:
        stranger.get_account()
    assert (refused.value.status_code, refused.value.code) == (401, 40110000)


def test_assets_and_clock_parse(trading: TradingClient) -> None:
    assert [asset.symbol for asset in trading.get_all_assets()] == ["AAPL", "MSFT"]
    asset = trading.get_asset("AAPL")
    assert asset.price_increment == 0.01
    assert trading.get_asset(asset.id).symbol == "AAPL"
    assert trading.get_clock().is_open


def test_the_latest_quote_and_trade_parse(gateway: Gateway, market: Market) -> None:
    data = StockHistoricalDataClient(gateway.key_id, gateway.secret_key, url_override=gateway.rest)
    quote = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="AAPL"))["AAPL"]
    assert (quote.bid_price, quote.ask_price, quote.bid_size) == (149.9, 150.0, 300.0)
    market.trade("AAPL", "149.95")
    trade = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=["AAPL"]))["AAPL"]
    assert (trade.price, trade.size) == (149.95, 100.0)


def test_the_trading_stream_follows_an_order(
    gateway: Gateway, trading: TradingClient, market: Market
) -> None:
    stream = TradingStream(gateway.key_id, gateway.secret_key, url_override=gateway.trading_stream)
    updates: list[Any] = []

    async def on_update(update: Any) -> None:
        updates.append(update)

    stream.subscribe_trade_updates(on_update)

    def is_heard() -> bool:
        """The client does not say when it listens: ask with orders until one is heard of."""
        trading.submit_order(limit_buy())
        return bool(updates)

    with running(stream):
        eventually(is_heard)
        order = trading.submit_order(buy())
        market.accept(str(order.id))
        market.fill(str(order.id), "4", "149.99")
        market.fill(str(order.id), "6", "150")
        eventually(lambda: updates[-1].event == "fill")
    own = [update for update in updates if update.order.id == order.id]
    assert [update.event for update in own] == ["pending_new", "new", "partial_fill", "fill"]
    last = own[-1]
    assert (last.price, last.qty, last.position_qty) == (150.0, 6.0, 10.0)
    assert last.order.status is OrderStatus.FILLED
    assert len({update.execution_id for update in own}) == 4


def test_the_data_stream_delivers_quotes_and_trades(gateway: Gateway, market: Market) -> None:
    """alpaca-py subscribes in fragments and wants msgpack with real timestamps."""
    stream = StockDataStream(gateway.key_id, gateway.secret_key, url_override=gateway.data_stream)
    quotes: list[Any] = []
    trades: list[Any] = []

    async def on_quote(quote: Any) -> None:
        quotes.append(quote)

    async def on_trade(trade: Any) -> None:
        trades.append(trade)

    stream.subscribe_quotes(on_quote, "AAPL")
    stream.subscribe_trades(on_trade, "*")

    def publish_until_seen() -> bool:
        market.quote("AAPL", "150.10", "150.12")
        market.quote("MSFT", "401.00", "401.05")
        market.trade("MSFT", "401.02")
        return bool(quotes and trades)

    with running(stream):
        eventually(publish_until_seen)
    assert {(quote.symbol, quote.bid_price, quote.ask_price) for quote in quotes} == {("AAPL", 150.1, 150.12)}
    assert {(trade.symbol, trade.price, trade.size) for trade in trades} == {("MSFT", 401.02, 100.0)}
    assert quotes[0].timestamp.tzinfo is not None


def test_a_stream_with_a_wrong_secret_is_refused(gateway: Gateway) -> None:
    async def refusals() -> list[str]:
        said = []
        for stream in (
            TradingStream(gateway.key_id, "wrong", url_override=gateway.trading_stream),
            StockDataStream(gateway.key_id, "wrong", url_override=gateway.data_stream),
        ):
            await stream._connect()
            with pytest.raises(ValueError, match="auth") as refused:
                await stream._auth()
            said.append(str(refused.value))
            await stream.close()
        return said

    trading_said, data_said = asyncio.run(refusals())
    assert "failed to authenticate" in trading_said
    assert "auth failed" in data_said
