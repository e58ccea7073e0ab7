"""PATCH /v2/orders/{id}: other terms for an order, through the real gateway and a real shard; and by alpaca-py."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, ReplaceOrderRequest

from tests.gateways.conftest import Gateway, Market
from tests.gateways.test_orders_rest import error, resting


def replace(client: httpx.Client, order_id: str, **terms: Any) -> httpx.Response:
    return client.patch(f"/v2/orders/{order_id}", json=terms)


def test_an_order_is_replaced_under_its_id_when_the_venue_agrees(
    client: httpx.Client, market: Market
) -> None:
    order = resting(client, client_order_id="first")
    market.accept(order["id"])
    asked = replace(client, order["id"], qty="20", limit_price="148.00", client_order_id="second")
    assert asked.status_code == 200, asked.text
    shown = asked.json()
    assert (shown["status"], shown["qty"], shown["client_order_id"]) == ("pending_replace", "10", "first")
    assert client.get("/v2/account").json()["reserved"] == "2960", "the larger of both"
    assert [o["id"] for o in client.get("/v2/orders").json()] == [order["id"]], "it is open"
    market.replaced(order["id"])
    found = client.get(f"/v2/orders/{order['id']}").json()
    assert (found["status"], found["qty"], found["limit_price"]) == ("new", "20", "148")
    query = "/v2/orders:by_client_order_id?client_order_id="
    for name in ("first", "second"):
        assert client.get(query + name).json()["client_order_id"] == "second"


def test_a_refused_replace_leaves_the_order(client: httpx.Client, market: Market) -> None:
    order = resting(client)
    market.accept(order["id"])
    replace(client, order["id"], qty="20")
    market.refuse_replace(order["id"])
    found = client.get(f"/v2/orders/{order['id']}").json()
    assert (found["status"], found["qty"]) == ("new", "10")
    assert client.get("/v2/account").json()["reserved"] == "1490"


def test_a_replace_that_breaks_a_limit_names_it(client: httpx.Client, market: Market) -> None:
    order = resting(client)
    status, code, message = error(replace(client, order["id"], qty="2000"))
    assert (status, code) == (403, 40310000)
    assert "insufficient buying power" in message
    market.confirm_cancel(order["id"])
    status, _, message = error(replace(client, order["id"], qty="5"))
    assert status == 422
    assert "can't be replaced: it is canceled" in message


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({}, "nothing to replace"),
        ({"client_order_id": "x"}, "nothing to replace"),
        ({"qty": "-1"}, "qty -1 must be more than 0"),
        ({"qty": "NaN"}, "is not a number"),
        ({"limit_price": "1e99"}, "limit_price"),
        ({"time_in_force": "ioc"}, "time_in_force 'ioc' is not supported; supported is 'day' or 'gtc'"),
        ({"stop_price": "3"}, "stop_price"),
        ({"side": "sell"}, "not as expected"),
    ],
)
def test_a_change_that_can_not_be_read_is_refused_by_name(
    client: httpx.Client, terms: dict[str, str], says: str
) -> None:
    order = resting(client)
    status, _, message = error(replace(client, order["id"], **terms))
    assert status == 422
    assert says in message
    assert client.get(f"/v2/orders/{order['id']}").json()["status"] == "pending_new"


def test_another_accounts_order_can_not_be_replaced(
    client: httpx.Client, somebody_else: httpx.Client
) -> None:
    order = resting(client)
    assert error(replace(somebody_else, order["id"], qty="5"))[0] == 404


def test_alpaca_py_replaces_an_order(gateway: Gateway, market: Market) -> None:
    trading: Any = TradingClient(gateway.key_id, gateway.secret_key, url_override=gateway.rest)
    request = LimitOrderRequest(
        symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=149.5
    )
    order = trading.submit_order(request)
    assert order.time_in_force is TimeInForce.GTC
    market.accept(str(order.id))
    change = ReplaceOrderRequest(qty=12, limit_price=149.25, client_order_id="again")
    asked = trading.replace_order_by_id(order.id, change)
    assert (asked.id, asked.status) == (order.id, OrderStatus.PENDING_REPLACE)
    market.replaced(str(order.id))
    found = trading.get_order_by_client_id("again")
    assert (found.id, found.qty, found.limit_price) == (order.id, "12", "149.25")
    assert found.status is OrderStatus.NEW


def test_a_bust_shows_in_the_order_the_position_and_the_cash(client: httpx.Client, market: Market) -> None:
    order = resting(client)
    market.accept(order["id"])
    market.fill(order["id"], "4", "149", exec_id="E1")
    market.bust(order["id"], "E1")
    found = client.get(f"/v2/orders/{order['id']}").json()
    assert (found["status"], found["filled_qty"], found["filled_avg_price"]) == ("new", "0", None)
    account = client.get("/v2/account").json()
    assert (account["cash"], account["reserved"]) == ("100000", "1490")
