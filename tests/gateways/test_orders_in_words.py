"""The order's body: exact numbers in, named refusals out. No I/O."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import units
from core.records import OrdType, Side, TimeInForce
from gateways.errors import ApiError
from gateways.order_request import parse_order
from gateways.order_shape import average_price_e8
from gateways.times import parse_time, time_text

A_LIMIT_ORDER = {
    "symbol": "AAPL",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "time_in_force": "day",
    "limit_price": "150.25",
}
A_MARKET_ORDER = {"symbol": "AAPL", "qty": "10", "side": "sell", "type": "market", "time_in_force": "ioc"}


def body(order: dict[str, Any], **changed: Any) -> bytes:
    return json.dumps({**order, **changed}).encode()


def body_with_qty_text(text: str) -> bytes:
    """A market order whose qty is this JSON text, digit for digit."""
    return body(A_MARKET_ORDER, qty="QTY").replace(b'"QTY"', text.encode())


def refusal(raw: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_order(raw)
    return caught.value


def test_a_limit_order_is_read() -> None:
    order = parse_order(body(A_LIMIT_ORDER, client_order_id="mine-1"))
    assert (order.symbol, order.side, order.ord_type, order.tif) == (
        "AAPL",
        Side.BUY,
        OrdType.LIMIT,
        TimeInForce.DAY,
    )
    assert (order.qty_e8, order.price_e8, order.client_order_id) == (10_0000_0000, 150_2500_0000, "mine-1")


def test_a_market_order_has_no_price() -> None:
    order = parse_order(body(A_MARKET_ORDER))
    assert (order.ord_type, order.tif, order.price_e8) == (OrdType.MARKET, TimeInForce.IOC, 0)


def test_an_order_without_a_client_order_id_gets_one_of_its_own() -> None:
    first, second = parse_order(body(A_MARKET_ORDER)), parse_order(body(A_MARKET_ORDER))
    assert first.client_order_id != second.client_order_id


@pytest.mark.parametrize(
    ("text", "qty_e8"),
    [
        ("0.1", 1000_0000),
        ('"0.1"', 1000_0000),
        ("10.0", 10_0000_0000),
        ("1e2", 100_0000_0000),
        ('" 3 "', 3_0000_0000),
        ("0.00000001", 1),
        # As binary floats these two are one number.
        ("9007199.25474099", 9007199_25474099),
        ('"9007199.25474098"', 9007199_25474098),
    ],
)
def test_a_quantity_is_exactly_what_was_sent(text: str, qty_e8: int) -> None:
    assert parse_order(body_with_qty_text(text)).qty_e8 == qty_e8


@given(st.integers(1, units.QTY_E8_MAX))
def test_every_quantity_survives_as_number_and_as_text(qty_e8: int) -> None:
    text = units.qty_text(qty_e8)
    assert parse_order(body_with_qty_text(text)).qty_e8 == qty_e8
    assert parse_order(body_with_qty_text(f'"{text}"')).qty_e8 == qty_e8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "must be more than 0"),
        ("-1", "must be more than 0"),
        ('"-0.5"', "must be more than 0"),
        ("1e400", "too large"),
        ("10000000001", "too large"),
        ("1e99999999999", "not a number"),
        ("0.000000001", "more than 8 decimal places"),
        ("1.0000000000000000000000000000000001", "more than 8 decimal places"),
        ("1e-400", "more than 8 decimal places"),
        ('"NaN"', "not a number"),
        ('"Infinity"', "not a number"),
        ('"1_0"', "not a number"),
        ('"١"', "not a number"),
        ('""', "not a number"),
        ('"ten"', "not a number"),
        ("true", "not a number"),
        ("[1]", "not a number"),
        ("null", "qty is missing"),
        ("1" * 65, "not a number"),
    ],
)
def test_a_bad_quantity_is_refused_with_its_value(text: str, said: str) -> None:
    error = refusal(body_with_qty_text(text))
    assert error.status == 422
    assert said in error.message
    assert error.message.startswith("qty")
    shown = text.strip('"').strip()[:20]
    assert shown in error.message or text == "null"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"qty": NaN}', body_with_qty_text("NaN")])
def test_what_is_not_json_is_400_and_shows_an_example(raw: bytes) -> None:
    error = refusal(raw)
    assert (error.status, error.code) == (400, 40010000)
    assert '"symbol":"AAPL"' in error.message


@pytest.mark.parametrize("raw", [b"[]", b"null", b"3", b'"buy"', b'{"symbol": 5}'])
def test_json_of_another_shape_is_422(raw: bytes) -> None:
    assert refusal(raw).status == 422


@pytest.mark.parametrize(
    ("changed", "value", "supported"),
    [
        ({"type": "stop"}, "'stop'", "'market' or 'limit'"),
        ({"type": "trailing_stop"}, "'trailing_stop'", "'market' or 'limit'"),
        ({"time_in_force": "opg"}, "'opg'", "'day' or 'gtc' or 'ioc'"),
        ({"time_in_force": "fok"}, "'fok'", "'day' or 'gtc' or 'ioc'"),
        ({"side": "short"}, "'short'", "'buy' or 'sell'"),
        ({"order_class": "bracket"}, "'bracket'", "'simple'"),
        ({"notional": 1000}, "1000", "qty"),
        ({"stop_price": 9.5}, "9.5", "market or a limit"),
        ({"trail_percent": "1"}, "1", "market or a limit"),
        ({"take_profit": {"limit_price": 1}}, "take_profit", "market or a limit"),
        ({"extended_hours": True}, "true", "leave it out"),
        ({"position_intent": "buy_to_close"}, "'buy_to_close'", "side"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    changed: dict[str, Any], value: str, supported: str
) -> None:
    error = refusal(body(A_LIMIT_ORDER, **changed))
    assert error.status == 422
    assert value in error.message
    assert supported in error.message


@pytest.mark.parametrize("name", ["symbol", "qty", "side", "type", "time_in_force", "limit_price"])
def test_a_missing_field_is_named(name: str) -> None:
    error = refusal(json.dumps({key: value for key, value in A_LIMIT_ORDER.items() if key != name}).encode())
    assert error.status == 422
    assert error.message.startswith(f"{name} is missing")


def test_a_field_nobody_knows_is_named_and_not_ignored() -> None:
    assert "limt_price" in refusal(body(A_LIMIT_ORDER, limt_price=1)).message


def test_a_market_order_with_a_limit_price_is_refused() -> None:
    assert "limit_price" in refusal(body(A_MARKET_ORDER, limit_price="150")).message


@pytest.mark.parametrize("sent", ["", "x" * 129, "caf\u00e9", "tab\there", "new\nline"])
def test_a_client_order_id_is_1_to_128_printable_ascii_characters(sent: str) -> None:
    assert "client_order_id" in refusal(body(A_LIMIT_ORDER, client_order_id=sent)).message


def test_the_longest_client_order_id_is_taken() -> None:
    assert parse_order(body(A_LIMIT_ORDER, client_order_id="x" * 128)).client_order_id == "x" * 128


@given(st.integers(0, 10**18), st.integers(1, 10**18))
def test_the_average_price_is_the_decimal_quotient_rounded_once(notional_e6: int, qty_e8: int) -> None:
    exact = Decimal(notional_e6 * 10**10) / Decimal(qty_e8) if notional_e6 < 10**12 else None
    got = average_price_e8(notional_e6, qty_e8)
    assert abs(2 * (got * qty_e8 - notional_e6 * 10**10)) <= qty_e8
    if exact is not None and exact == exact.to_integral_value():
        assert got == int(exact)


def test_a_time_keeps_its_nanoseconds() -> None:
    text = "2023-11-14T22:13:20.123456789Z"
    assert time_text(1_700_000_000_123_456_789) == text
    assert parse_time("after", text) == 1_700_000_000_123_456_789
    assert parse_time("after", "2023-11-14T23:13:20.5+01:00") == 1_700_000_000_500_000_000
