"""What must never reach the shard: each is refused with a status, a code and a sentence, and nothing is
sequenced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from core import commands
from core.records import Source
from gateways import answers
from gateways.orders import BODY_BYTES_MAX
from tests.gateways.conftest import Gateway, Market, RunningShard, eventually

AN_ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


@pytest.fixture
def nothing_sequenced(market: Market, gateway: Gateway) -> Iterator[None]:
    before = market.view.seq
    yield
    assert market.view.seq == before
    assert len(gateway.desk.answers) == 0


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["code"] // 100_000 == answer.status_code
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["message"]


def order_with_qty(text: str) -> bytes:
    return json.dumps({**AN_ORDER, "qty": "QTY"}).encode().replace(b'"QTY"', text.encode())


@pytest.mark.usefixtures("nothing_sequenced")
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (order_with_qty("NaN"), 400, "not JSON"),
        (order_with_qty('"NaN"'), 422, "NaN"),
        (order_with_qty("-5"), 422, "-5"),
        (order_with_qty("0"), 422, "0"),
        (order_with_qty("1e400"), 422, "1e400"),
        (order_with_qty("1e99"), 422, "1e99"),
        (order_with_qty("0.000000001"), 422, "0.000000001"),
        (json.dumps({**AN_ORDER, "symbol": "NOPE"}).encode(), 422, "NOPE"),
        (json.dumps({**AN_ORDER, "symbol": "\u00c4"}).encode(), 422, "\u00c4"),
        (json.dumps({**AN_ORDER, "symbol": "A" * 200}).encode(), 422, "AAAA"),
        (json.dumps({**AN_ORDER, "type": "stop"}).encode(), 422, "stop"),
        (json.dumps({**AN_ORDER, "time_in_force": "opg"}).encode(), 422, "opg"),
        (json.dumps({**AN_ORDER, "notional": 100}).encode(), 422, "notional"),
        (json.dumps({**AN_ORDER, "client_order_id": "x" * 129}).encode(), 422, "129"),
    ],
)
def test_a_bad_order_is_refused_by_name(client: httpx.Client, body: bytes, status: int, named: str) -> None:
    got, message = refused(client.post("/v2/orders", content=body))
    assert got == status
    assert named in message


@pytest.mark.usefixtures("nothing_sequenced")
def test_a_body_over_the_limit_is_413(client: httpx.Client) -> None:
    body = json.dumps({**AN_ORDER, "client_order_id": "x" * BODY_BYTES_MAX}).encode()
    assert refused(client.post("/v2/orders", content=body))[0] == 413

    def in_chunks() -> Iterator[bytes]:
        yield body  # without a Content-Length

    assert refused(client.post("/v2/orders", content=in_chunks()))[0] == 413


@pytest.mark.usefixtures("nothing_sequenced")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"APCA-API-KEY-ID": "nobody"},
        {"APCA-API-KEY-ID": "nobody", "APCA-API-SECRET-KEY": "nothing"},
        {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="},
        {"Authorization": "Bearer token"},
    ],
)
def test_a_wrong_key_is_401_whatever_was_asked(gateway: Gateway, headers: dict[str, str]) -> None:
    def asked(method: str, path: str, **more: Any) -> None:
        answer = httpx.request(method, gateway.rest + path, headers=headers, **more)
        assert answer.status_code == 401
        assert answer.json()["code"] == 40110000

    asked("POST", "/v2/orders", json=AN_ORDER)
    asked("POST", "/v2/orders", content=b"{")
    asked("DELETE", "/v2/orders")
    asked("GET", "/v2/account")
    asked("GET", "/v2/assets")


@pytest.mark.usefixtures("nothing_sequenced")
def test_a_wrong_secret_for_a_known_key_is_401_and_is_not_echoed(gateway: Gateway) -> None:
    headers = {"APCA-API-KEY-ID": gateway.key_id, "APCA-API-SECRET-KEY": "hunter2"}
    answer = httpx.get(gateway.rest + "/v2/account", headers=headers)
    assert answer.status_code == 401
    assert gateway.key_id in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.usefixtures("nothing_sequenced")
def test_a_path_or_method_that_is_not_served_says_so(client: httpx.Client) -> None:
    assert refused(client.get("/v2/watchlists"))[0] == 404
    assert refused(client.patch("/v2/orders"))[0] == 405
    assert refused(client.get("/v2/orders:by_client_order_id"))[0] == 400


def test_a_full_lane_is_503_with_a_time_to_come_back(
    client: httpx.Client, gateway: Gateway, shard: RunningShard, market: Market
) -> None:
    shard.stop()
    lane = gateway.desk._orders
    filler = commands.new_order(
        source=Source.GATEWAY, request_id=1, account=0, instrument=0, side=0, ord_type=0, tif=0, qty_e8=0,
        price_e8=0, client_order_id="filler",
    )  # fmt: skip
    while lane.try_push(filler):
        pass
    answer = client.post("/v2/orders", json=AN_ORDER)
    assert refused(answer)[0] == 503
    assert answer.headers["retry-after"] == "1"
    assert "nothing was sent" in answer.json()["message"]
    assert len(gateway.desk.answers) == 0


def test_a_shard_that_does_not_answer_leaves_the_outcome_unknown_and_says_how_to_ask(
    client: httpx.Client, shard: RunningShard, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "ANSWER_TIMEOUT_S", 0.2)
    shard.stop()
    order = {**AN_ORDER, "client_order_id": "did it arrive"}
    answer = client.post("/v2/orders", json=order)
    assert (answer.status_code, answer.json()["code"]) == (503, 50310001)
    assert "outcome unknown" in answer.json()["message"]
    assert "client_order_id=did it arrive" in answer.json()["message"]
    shard.start()
    query = {"client_order_id": "did it arrive"}
    eventually(lambda: client.get("/v2/orders:by_client_order_id", params=query).status_code == 200)
    # Sending it again is safe: the shard knows it.
    assert client.post("/v2/orders", json=order).json()["code"] == 40010001


def test_too_many_waiting_is_429_before_anything_is_sent(
    client: httpx.Client, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "WAITING_MAX", 0)
    before = market.view.seq
    answer = client.post("/v2/orders", json=AN_ORDER)
    assert refused(answer)[0] == 429
    assert "nothing was sent" in answer.json()["message"]
    assert market.view.seq == before
