"""The two streams, frame by frame: who may listen, what is said, and what happens to a client that
misbehaves."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

from core.records import OrdStatus
from core.rejects import Reject
from gateways import quote_stream, stream_socket, tick_feed, trade_stream
from tests.gateways.conftest import SOURCE, Gateway, Market, eventually

LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


def hear(stream: ClientConnection) -> Any:
    return json.loads(stream.recv(timeout=5))


def say(stream: ClientConnection, message: dict[str, Any]) -> Any:
    """Send it, and return the answer."""
    stream.send(json.dumps(message))
    return hear(stream)


@contextmanager
def lazy_subscriber(gateway: Gateway, key: dict[str, str]) -> Iterator[socket.socket]:
    """Subscribed to all trades, and reading nothing: the library would read ahead by itself."""
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", gateway.port))
        protocol = ClientProtocol(parse_uri(gateway.data_stream))
        protocol.send_request(protocol.connect())
        while protocol.state is not State.OPEN:
            narrow.sendall(b"".join(protocol.data_to_send()))
            protocol.receive_data(narrow.recv(4096))
        for message in ({"action": "auth", **key}, {"action": "subscribe", "trades": ["*"]}):
            protocol.send_text(json.dumps(message).encode())
        narrow.sendall(b"".join(protocol.data_to_send()))
        yield narrow


def bytes_until_end(unread: socket.socket) -> int:
    unread.settimeout(10)
    total = 0
    while data := unread.recv(1 << 20):
        total += len(data)
    return total


def is_quiet(stream: ClientConnection) -> bool:
    try:
        stream.recv(timeout=0.2)
    except TimeoutError:
        return True
    return False


def place(client: httpx.Client, **changed: Any) -> httpx.Response:
    order = {
        "symbol": "AAPL",
        "qty": "10",
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        **changed,
    }
    return client.post("/v2/orders", json=order)


@pytest.fixture
def key(gateway: Gateway) -> dict[str, str]:
    return {"key": gateway.key_id, "secret": gateway.secret_key}


@contextmanager
def listening(gateway: Gateway, key_id: str, secret: str) -> Iterator[ClientConnection]:
    with connect(gateway.trading_stream) as stream:
        data = {"key_id": key_id, "secret_key": secret}
        said = say(stream, {"action": "authenticate", "data": data})
        assert said["data"]["status"] == "authorized"
        assert say(stream, LISTEN)["data"]["streams"] == ["trade_updates"]
        yield stream


@contextmanager
def subscribed(gateway: Gateway, key: dict[str, str], **wanted: list[str]) -> Iterator[ClientConnection]:
    with connect(gateway.data_stream) as stream:
        hear(stream)
        assert say(stream, {"action": "auth", **key})[0]["msg"] == "authenticated"
        assert say(stream, {"action": "subscribe", **wanted})[0]["T"] == "subscription"
        yield stream


# --- /stream ----------------------------------------------------------------------------------------------


def test_the_first_word_says_where_prices_come_from_and_frames_are_binary(gateway: Gateway) -> None:
    with connect(gateway.trading_stream) as stream:
        data = {"key_id": gateway.key_id, "secret_key": gateway.secret_key}
        stream.send(json.dumps({"action": "authenticate", "data": data}))
        frame = stream.recv(timeout=5)
    assert isinstance(frame, bytes)
    assert json.loads(frame) == {
        "stream": "authorization",
        "data": {"action": "authenticate", "status": "authorized", "source": SOURCE},
    }


def test_the_short_form_of_authentication_is_taken_too(gateway: Gateway, key: dict[str, str]) -> None:
    with connect(gateway.trading_stream) as stream:
        assert say(stream, {"action": "auth", **key})["data"]["status"] == "authorized"


@pytest.mark.parametrize(
    "first",
    [{"action": "authenticate", "data": {"key_id": "x", "secret_key": "y"}}, {"action": "auth"}, LISTEN],
)
def test_without_a_known_key_the_stream_ends(gateway: Gateway, first: dict[str, Any]) -> None:
    with connect(gateway.trading_stream) as stream:
        assert say(stream, first)["data"]["status"] == "unauthorized"
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=5)


def test_who_does_not_say_who_it_is_in_time_is_let_go(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_stream, "AUTHENTICATE_S", 0.1)
    monkeypatch.setattr(quote_stream, "AUTHENTICATE_S", 0.1)
    with connect(gateway.trading_stream) as trades, connect(gateway.data_stream) as quotes:
        assert hear(trades)["data"]["code"] == 404
        assert hear(quotes)[0]["msg"] == "connected"
        assert hear(quotes)[0]["code"] == 404


def test_what_is_not_json_ends_the_stream_with_its_reason(gateway: Gateway) -> None:
    with connect(gateway.trading_stream) as stream:
        stream.send("{")
        assert hear(stream)["data"]["code"] == 400
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=5)


def test_updates_are_chained_by_sequence(gateway: Gateway, client: httpx.Client, market: Market) -> None:
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        order = place(client).json()
        market.accept(order["id"])
        market.fill(order["id"], "10", "150")
        updates = [hear(stream)["data"] for _ in range(3)]
        again = say(stream, LISTEN)["data"]
    assert [update["event"] for update in updates] == ["pending_new", "new", "fill"]
    sequences = [update["sequence"] for update in updates]
    assert sequences == sorted(set(sequences))
    assert [update["previous_sequence"] for update in updates] == [0, *sequences[:-1]]
    assert again["sequence"] == sequences[-1]
    fill = updates[-1]
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("150", "10", "10")
    assert fill["order"]["client_order_id"] == order["client_order_id"]


def test_a_doubt_and_what_ends_it_are_shown_and_heard(
    gateway: Gateway, client: httpx.Client, market: Market
) -> None:
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        order = place(client).json()
        assert order["fate"] is None
        market.accept(order["id"])
        market.doubt(order["id"], Reject.VENUE_KNOWS_NOT)
        shown = client.get(f"/v2/orders/{order['id']}").json()
        market.standing(order["id"], OrdStatus.PARTIALLY_FILLED, "4", "150")
        doubt, found = [hear(stream)["data"] for _ in range(4)][2:]
    assert (shown["status"], shown["fate"]) == ("new", "unknown")
    assert (doubt["event"], doubt["order"]["fate"]) == ("restated", "unknown")
    assert "does not know the order" in doubt["reason"]
    assert (found["event"], found["qty"], found["order"]["fate"]) == ("partial_fill", "4", None)
    assert "its own report never came" in found["reason"]
    assert client.get(f"/v2/orders/{order['id']}").json()["fate"] is None


def test_an_account_hears_of_its_own_orders_only(
    gateway: Gateway, client: httpx.Client, somebody_else: httpx.Client
) -> None:
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        place(somebody_else)
        mine = place(client).json()
        assert hear(stream)["data"]["order"]["id"] == mine["id"]
        assert is_quiet(stream)


def test_a_reject_is_heard_with_its_reason_and_a_duplicate_is_not(
    gateway: Gateway, client: httpx.Client
) -> None:
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        assert place(client, qty="5000").status_code == 403
        update = hear(stream)["data"]
        assert (update["event"], update["order"]["status"]) == ("rejected", "rejected")
        assert "insufficient buying power" in update["reason"]
        assert update["order"]["reject_reason"] == update["reason"]
        place(client, client_order_id="same")
        assert hear(stream)["data"]["event"] == "pending_new"
        assert place(client, client_order_id="same").status_code == 422
        assert is_quiet(stream)


def test_a_cancel_that_comes_too_late_is_heard(
    gateway: Gateway, client: httpx.Client, market: Market
) -> None:
    order = place(client).json()
    market.accept(order["id"])
    market.fill(order["id"], "10", "150")
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        assert client.delete(f"/v2/orders/{order['id']}").status_code == 422
        update = hear(stream)["data"]
    assert (update["event"], update["order"]["status"]) == ("order_cancel_rejected", "filled")
    assert "already filled" in update["reason"]


def test_an_action_nobody_knows_is_answered_and_the_stream_goes_on(
    gateway: Gateway, client: httpx.Client
) -> None:
    with listening(gateway, gateway.key_id, gateway.secret_key) as stream:
        assert "dance" in say(stream, {"action": "dance"})["data"]["message"]
        place(client)
        assert hear(stream)["data"]["event"] == "pending_new"


def test_an_accounts_streams_are_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_socket, "STREAMS_PER_ACCOUNT_MAX", 1)
    with listening(gateway, gateway.key_id, gateway.secret_key), connect(gateway.trading_stream) as second:
        data = {"key_id": gateway.key_id, "secret_key": gateway.secret_key}
        say(second, {"action": "authenticate", "data": data})
        assert hear(second)["data"]["code"] == 406

    # The place is free again once the first has gone.
    def has_room() -> bool:
        with connect(gateway.trading_stream) as third:
            say(third, {"action": "authenticate", "data": data})
            return "streams" in say(third, LISTEN)["data"]

    eventually(has_room)


# --- /v2/iex ----------------------------------------------------------------------------------------------


def test_the_data_stream_speaks_first_and_says_its_source(gateway: Gateway) -> None:
    with connect(gateway.data_stream) as stream:
        assert hear(stream) == [{"T": "success", "msg": "connected", "source": SOURCE}]


def test_a_subscription_in_fragments_is_one_message(gateway: Gateway, key: dict[str, str]) -> None:
    with connect(gateway.data_stream) as stream:
        hear(stream)
        say(stream, {"action": "auth", **key})
        stream.send(iter(['{"action":"sub', 'scribe","quotes":["AA', 'PL"]}', ""]))
        assert hear(stream)[0]["quotes"] == ["AAPL"]


def test_quotes_and_trades_of_what_was_asked_for(
    gateway: Gateway, key: dict[str, str], market: Market
) -> None:
    with subscribed(gateway, key, quotes=["AAPL"], trades=["MSFT"]) as stream:

        def heard_of_both() -> dict[str, Any]:
            market.quote("MSFT", "401.00", "401.10")
            market.trade("AAPL", "150.05")
            market.quote("AAPL", "150.10", "150.12")
            market.trade("MSFT", "401.05")
            for message in hear(stream):
                heard[message["T"]] = message
            return heard if len(heard) == 2 else {}

        heard: dict[str, Any] = {}
        eventually(heard_of_both)
    assert (heard["q"]["S"], heard["q"]["bp"], heard["q"]["ap"]) == ("AAPL", 150.1, 150.12)
    assert (heard["t"]["S"], heard["t"]["p"], heard["t"]["s"]) == ("MSFT", 401.05, 100.0)


def test_unsubscribed_symbols_fall_silent(gateway: Gateway, key: dict[str, str], market: Market) -> None:
    with subscribed(gateway, key, quotes=["*"]) as stream:
        answer = say(stream, {"action": "unsubscribe", "quotes": ["*"]})
        assert answer[0]["quotes"] == []
        market.quote("AAPL", "150.20", "150.22")
        assert is_quiet(stream)


def test_what_the_data_stream_does_not_serve_is_named(gateway: Gateway, key: dict[str, str]) -> None:
    with subscribed(gateway, key, quotes=["AAPL"]) as stream:
        refusal = say(stream, {"action": "subscribe", "bars": ["AAPL"]})[0]
        assert (refusal["T"], refusal["code"]) == ("error", 400)
        assert "bars" in refusal["msg"]
        many = [f"S{n}" for n in range(2001)]
        assert say(stream, {"action": "subscribe", "quotes": many})[0]["code"] == 405


def test_a_wrong_key_is_402(gateway: Gateway) -> None:
    with connect(gateway.data_stream) as stream:
        hear(stream)
        assert say(stream, {"action": "auth", "key": "x", "secret": "y"})[0]["code"] == 402


def test_msgpack_is_spoken_to_who_asks_for_it(gateway: Gateway, key: dict[str, str]) -> None:
    headers = {"Content-Type": "application/msgpack"}
    with connect(gateway.data_stream, additional_headers=headers) as stream:
        assert msgspec.msgpack.decode(stream.recv(timeout=5, decode=False))[0]["msg"] == "connected"
        stream.send(msgspec.msgpack.encode({"action": "auth", **key}))
        assert msgspec.msgpack.decode(stream.recv(timeout=5, decode=False))[0]["msg"] == "authenticated"


def test_a_client_that_stops_reading_is_cut_off_and_the_others_are_not(
    gateway: Gateway, key: dict[str, str], market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "SEND_STALL_S", 0.3)
    monkeypatch.setattr(tick_feed, "TICKS_PER_POLL", 512)
    monkeypatch.setattr(tick_feed, "TRADES_MAX", 1024)
    with lazy_subscriber(gateway, key) as lazy, subscribed(gateway, key, quotes=["AAPL"]) as lively:
        for _ in range(40):
            market.flood_of_trades("MSFT", "401.00", 2000)
        market.quote("AAPL", "150.30", "150.32")
        assert hear(lively)[0]["bp"] == 150.3
        # A trade takes more than a hundred bytes: the end came long before all were sent.
        assert 0 < bytes_until_end(lazy) < 80_000 * 100
        market.quote("AAPL", "150.40", "150.42")
        assert hear(lively)[-1]["bp"] == 150.4
