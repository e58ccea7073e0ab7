"""Bad input to the whole running stack: each a 4xx with a code and a sentence, and nothing in the log that should
not be there.

What is wrong in itself never becomes a command. What only the shard can judge (a tick, a limit, a quote, a repeated
id) is in the log as a rejected order: asked, refused, and without an order, a reservation or a message to the venue.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest

from actors.view import StateView
from core.events import Event
from core.records import ExecType
from core.rejects import Reject
from tests.acceptance.audit import Log
from tests.acceptance.desk import Trader, eventually, frozen
from tests.stack import Stack

pytestmark = pytest.mark.stack

SYMBOL = "PEP"
GOOD = {"symbol": SYMBOL, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


@pytest.fixture(scope="module")
def trader(stack: Stack) -> Trader:
    client = Trader(stack)
    eventually(lambda: client.has_quote(SYMBOL), "a first quote")
    return client


def post(stack: Stack, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(
        stack.rest + "/v2/orders", content=content, headers={**stack.headers, **headers}, timeout=30
    )


def assert_refused(answer: httpx.Response, status: int, named: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"code", "message"}
    assert body["code"] // 100_000 == status
    assert named in body["message"]


def with_qty(digits: str) -> bytes:
    return json.dumps({**GOOD, "qty": "QTY"}).replace('"QTY"', digits).encode()


@contextmanager
def nothing_is_asked(stack: Stack) -> Iterator[None]:
    """No order and no cancel comes into the log within the block."""
    before = StateView.attach(stack.run_dir).seq
    yield
    assert Log(stack).asked_from(before + 1) == []


@contextmanager
def only_rejects(stack: Stack, code: Reject) -> Iterator[list[Event]]:
    """Every order within the block is in the log as rejected with `code`; the list has them after the block."""
    view = StateView.attach(stack.run_dir)
    before, account = view.seq, view.account(1)
    rejected: list[Event] = []
    yield rejected
    log = Log(stack)
    asked = {record.seq for record in log.asked_from(before + 1)}
    rejected += [event for event in log.order_events if event.cause_seq in asked]
    assert len(rejected) == len(asked) > 0
    assert {(event.exec_type, event.reject_code) for event in rejected} == {(ExecType.REJECTED, code)}
    assert view.account(1) == account


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"symbol": "PEP", "qty": 1,}', 400, "not JSON"),
        (b"\xff\xfe\x00", 400, "not JSON"),
        (b"[" * 10_000, 422, "not as expected"),
        (b'{"legs": ' + b"[" * 10_000, 400, "not JSON"),
        (b"[]", 422, "not as expected"),
        (b"null", 422, "not as expected"),
        ({**GOOD, "symbol": "NOPE"}, 422, "NOPE"),
        ({**GOOD, "symbol": "pep"}, 422, "pep"),
        ({**GOOD, "symbol": "PEP\u0000"}, 422, "PEP"),
        ({**GOOD, "symbol": "X" * 5_000}, 422, "XXX"),
        ({**GOOD, "symbol": 7}, 422, "symbol"),
        ({**GOOD, "side": "short"}, 422, "short"),
        (with_qty("-1"), 422, "-1"),
        (with_qty('"-1"'), 422, "-1"),
        (with_qty("0"), 422, "0"),
        (with_qty("-0.0"), 422, "qty"),
        (with_qty("NaN"), 400, "not JSON"),
        (with_qty('"NaN"'), 422, "NaN"),
        (with_qty('"Infinity"'), 422, "Infinity"),
        (with_qty("1e999"), 422, "1e999"),
        (with_qty("9" * 300), 422, "qty"),
        (with_qty("92233720369"), 422, "92233720369"),
        (with_qty("0.000000001"), 422, "0.000000001"),
        (with_qty("true"), 422, "qty"),
        (with_qty('"\u0661"'), 422, "qty"),
        ({**GOOD, "type": "limit"}, 422, "limit_price"),
        ({**GOOD, "type": "limit", "limit_price": "-5"}, 422, "-5"),
        ({**GOOD, "limit_price": "5"}, 422, "limit_price"),
        ({**GOOD, "client_order_id": "x" * 129}, 422, "129"),
        ({**GOOD, "client_order_id": "\u00e9"}, 422, "client_order_id"),
        ({**GOOD, "client_order_id": "x" * 20_000}, 413, ""),
    ],
)
def test_what_is_no_order_is_refused_and_never_asked(
    stack: Stack, trader: Trader, body: bytes | dict[str, Any], status: int, named: str
) -> None:
    with nothing_is_asked(stack):
        assert_refused(post(stack, body), status, named)


def test_a_body_of_ten_megabytes_is_refused_and_never_asked(stack: Stack, trader: Trader) -> None:
    with nothing_is_asked(stack):
        assert_refused(post(stack, b'{"symbol": "' + b"x" * 10_000_000 + b'"}'), 413, "")


@pytest.mark.parametrize("secret", ["", "wrong"])
def test_a_wrong_key_is_refused_and_never_asked(stack: Stack, trader: Trader, secret: str) -> None:
    with nothing_is_asked(stack):
        assert_refused(post(stack, GOOD, **{"APCA-API-SECRET-KEY": secret}), 401, "")
        assert_refused(post(stack, GOOD, **{"APCA-API-KEY-ID": "nobody"}), 401, "")


def test_a_price_off_tick_is_rejected_by_name(stack: Stack, trader: Trader) -> None:
    with only_rejects(stack, Reject.PRICE_OFF_TICK) as rejected:
        answer = post(stack, {**GOOD, "type": "limit", "limit_price": "150.0001"})
        assert_refused(answer, 422, "0.01")
    assert [event.price_e8 for event in rejected] == [15_000_010_000]


def test_a_quantity_off_lot_is_rejected_by_name(stack: Stack, trader: Trader) -> None:
    with only_rejects(stack, Reject.QTY_OFF_LOT):
        assert_refused(post(stack, {**GOOD, "qty": "1.5"}), 422, "1.5")


def test_a_huge_quantity_is_rejected_with_the_limit(stack: Stack, trader: Trader) -> None:
    with only_rejects(stack, Reject.QTY_OVER_MAX):
        assert_refused(post(stack, {**GOOD, "qty": "20000"}), 422, "10000")


def test_a_repeated_client_order_id_is_refused_and_the_first_order_stands(
    stack: Stack, trader: Trader
) -> None:
    bid, _ = trader.quote(SYMBOL)
    first = trader.send("buy", SYMBOL, 1, (bid * 97 / 100).quantize(Decimal("0.01")))
    assert first is not None
    eventually(lambda: trader.order(first)["status"] == "new", "the venue's answer")
    with only_rejects(stack, Reject.DUPLICATE_CLIENT_ORDER_ID):
        answer = post(stack, {**GOOD, "client_order_id": first["client_order_id"]})
        assert 400 <= answer.status_code < 500
        assert "client_order_id" in answer.json()["message"]
    assert trader.order(first)["status"] == "new"
    trader.cancel_all()


def test_a_market_order_without_a_fresh_quote_is_rejected_by_name(stack: Stack, trader: Trader) -> None:
    with frozen(stack, "marketdata"):
        eventually(lambda: quote_is_old(stack), "the quote's old age")
        with only_rejects(stack, Reject.NO_FRESH_QUOTE):
            assert_refused(post(stack, GOOD), 422, "quote")
            assert_refused(post(stack, {**GOOD, "type": "limit", "limit_price": "150"}), 422, "quote")
    eventually(lambda: not quote_is_old(stack), "a fresh quote")


def quote_is_old(stack: Stack) -> bool:
    instrument = StateView.attach(stack.run_dir).instrument_by_symbol(SYMBOL)
    assert instrument is not None
    return time.time_ns() - instrument.quote_time_ns > instrument.quote_age_ms_max * 1_000_000
