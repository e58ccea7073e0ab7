"""Placing, looking at and cancelling orders, through the real gateway and a real shard."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.gateways.conftest import Market


def place(client: httpx.Client, **changed: Any) -> httpx.Response:
    order = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
    return client.post("/v2/orders", json={**order, **changed})


def resting(client: httpx.Client, **changed: Any) -> dict[str, Any]:
    answer = place(client, **{"type": "limit", "limit_price": "149.00", **changed})
    assert answer.status_code == 200, answer.text
    order: dict[str, Any] = answer.json()
    return order


def error(answer: httpx.Response) -> tuple[int, int, str]:
    body = answer.json()
    assert set(body) == {"code", "message"}
    return answer.status_code, body["code"], body["message"]


def test_an_accepted_order_is_answered_as_the_log_has_it(client: httpx.Client) -> None:
    order = place(client, client_order_id="first").json()
    assert order["status"] == "pending_new"
    assert (order["client_order_id"], order["symbol"], order["qty"]) == ("first", "AAPL", "10")
    assert client.get(f"/v2/orders/{order['id']}").json() == order


def test_a_fill_shows_in_the_order_the_position_and_the_cash(client: httpx.Client, market: Market) -> None:
    order = place(client).json()
    market.accept(order["id"])
    market.fill(order["id"], "4", "149.99")
    market.fill(order["id"], "6", "150.02")
    filled = client.get(f"/v2/orders/{order['id']}").json()
    assert (filled["status"], filled["filled_qty"]) == ("filled", "10")
    assert filled["filled_avg_price"] == "150.008"
    assert filled["filled_at"] is not None
    position = client.get("/v2/positions/AAPL").json()
    assert (position["qty"], position["avg_entry_price"], position["cost_basis"]) == (
        "10",
        "150.008",
        "1500.08",
    )
    # At the bid of 149.90, while nothing has traded.
    assert (position["market_value"], position["unrealized_pl"]) == ("1499", "-1.08")
    account = client.get("/v2/account").json()
    assert (account["cash"], account["reserved"], account["equity"]) == ("98499.92", "0", "99998.92")
    market.trade("AAPL", "151")
    assert client.get("/v2/positions/AAPL").json()["current_price"] == "151"
    assert client.get("/v2/account").json()["equity"] == "100009.92"


def test_what_was_bought_is_owed_until_its_settlement_day_ends(client: httpx.Client, market: Market) -> None:
    order = place(client).json()
    market.fill(order["id"], "10", "150")
    account = client.get("/v2/account").json()
    assert (account["cash"], account["settled"], account["unsettled"]) == ("98500", "100000", "-1500")
    assert (account["cash_withdrawable"], account["currency"]) == ("98500", "USD")
    market.settle_day(20261124)
    account = client.get("/v2/account").json()
    assert (account["cash"], account["settled"], account["unsettled"]) == ("98500", "98500", "0")


def test_proceeds_are_buying_power_at_once_and_withdrawable_once_they_have_settled(
    client: httpx.Client, market: Market
) -> None:
    market.fill(place(client).json()["id"], "10", "150")
    sold = place(client, side="sell", client_order_id="sold").json()
    market.fill(sold["id"], "10", "149.9")
    account = client.get("/v2/account").json()
    assert (account["buying_power"], account["cash_withdrawable"]) == ("99999", "98500")
    assert account["balances"] == [
        {
            "currency": "USD", "cash": "99999", "reserved": "0", "settled": "100000", "unsettled": "-1",
            "withdrawable": "98500",
        }
    ]  # fmt: skip
    market.settle_day(20261124)
    assert client.get("/v2/account").json()["cash_withdrawable"] == "99999"


def test_buying_power_is_cash_less_what_open_orders_reserve(client: httpx.Client) -> None:
    resting(client, qty=100)
    account = client.get("/v2/account").json()
    assert (account["cash"], account["buying_power"], account["reserved"]) == ("100000", "85100", "14900")


def test_a_reject_names_the_check_its_limit_and_the_value(client: httpx.Client) -> None:
    answer = place(client, qty=650, type="limit", limit_price="155.00")
    assert error(answer) == (
        403,
        40310000,
        "buying power: insufficient buying power: the order needs 100750, available is 100000 (code 401)",
    )
    assert error(place(client, side="sell"))[0] == 403


def test_a_price_outside_the_collar_is_rejected(client: httpx.Client) -> None:
    status, code, message = error(place(client, type="limit", limit_price="300"))
    assert (status, code) == (422, 42210000)
    assert "limit price 300 is outside the collar" in message


def test_a_client_order_id_is_taken_once_by_each_account(
    client: httpx.Client, somebody_else: httpx.Client
) -> None:
    resting(client, client_order_id="same")
    assert error(place(client, client_order_id="same"))[:2] == (422, 40010001)
    assert place(somebody_else, client_order_id="same").status_code == 200


def test_an_order_is_found_by_its_client_order_id(client: httpx.Client, somebody_else: httpx.Client) -> None:
    order = resting(client, client_order_id="find me")
    query = "/v2/orders:by_client_order_id?client_order_id="
    assert client.get(query + "find me").json() == order
    assert error(client.get(query + "nobody"))[:2] == (404, 40410000)
    assert error(client.get(query + "caf\u00e9"))[0] == 404
    assert error(somebody_else.get(query + "find me"))[0] == 404


def test_a_cancel_is_taken_and_the_venue_ends_it(client: httpx.Client, market: Market) -> None:
    order = resting(client)
    market.accept(order["id"])
    assert client.delete(f"/v2/orders/{order['id']}").status_code == 204
    assert client.get(f"/v2/orders/{order['id']}").json()["status"] == "pending_cancel"
    market.confirm_cancel(order["id"])
    ended = client.get(f"/v2/orders/{order['id']}").json()
    assert ended["status"] == "canceled"
    assert ended["canceled_at"] is not None
    status, code, message = error(client.delete(f"/v2/orders/{order['id']}"))
    assert (status, code) == (422, 42210000)
    assert "already canceled" in message


@pytest.mark.parametrize("order_id", [str(uuid4()), "not-a-uuid", "74726f72-6400-8000-8000-0000000fffff"])
def test_an_order_that_never_was_is_404(client: httpx.Client, order_id: str) -> None:
    for answer in (client.get(f"/v2/orders/{order_id}"), client.delete(f"/v2/orders/{order_id}")):
        status, code, message = error(answer)
        assert (status, code) == (404, 40410000)
        assert order_id in message


def test_another_accounts_order_is_as_unknown_as_none(
    client: httpx.Client, somebody_else: httpx.Client
) -> None:
    order = resting(client)
    assert somebody_else.get(f"/v2/orders/{order['id']}").status_code == 404
    assert somebody_else.delete(f"/v2/orders/{order['id']}").status_code == 404
    assert somebody_else.get("/v2/orders?status=all").json() == []
    assert somebody_else.get("/v2/positions").json() == []
    assert client.get(f"/v2/orders/{order['id']}").json()["status"] == "pending_new"


def test_cancelling_everything_answers_for_each_order(
    client: httpx.Client, somebody_else: httpx.Client
) -> None:
    mine = {resting(client)["id"] for _ in range(3)}
    theirs = resting(somebody_else)
    client.delete(f"/v2/orders/{min(mine)}")
    answer = client.delete("/v2/orders")
    assert answer.status_code == 207
    lines = {line["id"]: line for line in answer.json()}
    assert set(lines) == mine
    assert lines[min(mine)]["status"] == 422  # its cancel was under way already
    assert {lines[order]["status"] for order in mine - {min(mine)}} == {200}
    assert somebody_else.get(f"/v2/orders/{theirs['id']}").json()["status"] == "pending_new"


def test_orders_are_listed_newest_first_and_filtered(client: httpx.Client, market: Market) -> None:
    first, second = resting(client), resting(client, symbol="MSFT", limit_price="390")
    done = place(client).json()
    market.accept(done["id"])
    market.fill(done["id"], "10", "150")

    def listed(**query: Any) -> list[str]:
        return [order["id"] for order in client.get("/v2/orders", params=query).json()]

    assert listed() == [second["id"], first["id"]]
    assert listed(status="all") == [done["id"], second["id"], first["id"]]
    assert listed(status="closed") == [done["id"]]
    assert listed(status="all", direction="asc", limit=2) == [first["id"], second["id"]]
    assert listed(status="all", limit=1) == [done["id"]]
    assert listed(status="all", symbols="MSFT,TSLA") == [second["id"]]
    assert listed(status="all", side="sell") == []
    assert listed(status="all", after=second["created_at"]) == [done["id"]]
    assert listed(status="all", until=first["created_at"]) == [first["id"]]


@pytest.mark.parametrize(
    "query", ["status=new", "direction=up", "limit=0", "limit=501", "side=x", "after=soon"]
)
def test_a_bad_filter_is_named(client: httpx.Client, query: str) -> None:
    status, _, message = error(client.get(f"/v2/orders?{query}"))
    assert status in (400, 422)
    assert query.partition("=")[0] in message


def test_a_position_is_found_by_symbol_and_by_asset_id(client: httpx.Client, market: Market) -> None:
    order = place(client).json()
    market.accept(order["id"])
    market.fill(order["id"], "10", "150")
    asset_id = client.get("/v2/assets/AAPL").json()["id"]
    assert client.get(f"/v2/positions/{asset_id}").json()["symbol"] == "AAPL"
    status, _, message = error(client.get("/v2/positions/MSFT"))
    assert status == 404
    assert "MSFT" in message
    assert error(client.get("/v2/positions/NOPE"))[0] == 404


def test_a_position_that_was_sold_is_gone_and_its_gain_is_cash(client: httpx.Client, market: Market) -> None:
    for side, price in (("buy", "150"), ("sell", "152.50")):
        order = place(client, side=side).json()
        market.accept(order["id"])
        market.fill(order["id"], "10", price)
    assert client.get("/v2/positions").json() == []
    assert client.get("/v2/account").json()["cash"] == "100025"


def test_what_open_sells_hold_is_not_available(client: httpx.Client, market: Market) -> None:
    order = place(client).json()
    market.accept(order["id"])
    market.fill(order["id"], "10", "150")
    place(client, side="sell", qty=4, type="limit", limit_price="151")
    position = client.get("/v2/positions/AAPL").json()
    assert (position["qty"], position["qty_available"]) == ("10", "6")


def test_assets_say_where_their_prices_come_from(client: httpx.Client) -> None:
    assets = client.get("/v2/assets").json()
    assert [(asset["symbol"], asset["name"]) for asset in assets] == [
        ("AAPL", "Apple Inc."),
        ("MSFT", "MSFT"),
    ]
    assert all(asset["attributes"] == ["source: prices of a test"] for asset in assets)
    assert client.get("/v2/assets?asset_class=crypto").json() == []
    assert error(client.get("/v2/assets/NOPE"))[0] == 404


def test_latest_prices_are_the_live_ones(client: httpx.Client, market: Market) -> None:
    market.quote("AAPL", "151.10", "151.12")
    quotes = client.get("/v2/stocks/quotes/latest?symbols=AAPL,MSFT").json()["quotes"]
    assert (quotes["AAPL"]["bp"], quotes["AAPL"]["ap"], quotes["MSFT"]["bp"]) == (151.1, 151.12, 399.9)
    assert client.get("/v2/stocks/trades/latest?symbols=AAPL").json() == {"trades": {}}
    market.trade("AAPL", "151.11")
    assert client.get("/v2/stocks/trades/latest?symbols=AAPL").json()["trades"]["AAPL"]["p"] == 151.11
    assert error(client.get("/v2/stocks/quotes/latest?symbols=NOPE"))[0] == 422


def test_the_clock_says_that_the_market_is_simulated_and_open(client: httpx.Client) -> None:
    clock = client.get("/v2/clock").json()
    assert clock["is_open"] is True
    assert "simulated" in clock["source"]
