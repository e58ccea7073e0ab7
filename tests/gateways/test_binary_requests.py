"""Every field of every request, bad once: refused by name, with the value and what to send instead."""

from __future__ import annotations

import msgspec
import pytest

from core import units
from gateways.binary.layout import FIELDS, Code, Kind
from gateways.binary.messages import Cancel, Login, Message, NewOrder, Replace, decode, encode
from gateways.binary.requests import (
    Refusal,
    check_cancel,
    check_login,
    check_new_order,
    check_replace,
    refused,
)

GOOD: dict[Kind, Message] = {
    Kind.LOGIN: Login("KEY1", "secret one"),
    Kind.NEW_ORDER: NewOrder(
        1, "A", "AAPL", ord("1"), ord("2"), ord("0"), qty_e8=10**9, price_e8=150 * 10**8
    ),
    Kind.CANCEL: Cancel(2, token="A"),
    Kind.REPLACE: Replace(3, orig_token="A", token="B", qty_e8=2 * 10**9),
}
CHECKS = {
    Kind.LOGIN: check_login, Kind.NEW_ORDER: check_new_order, Kind.CANCEL: check_cancel, Kind.REPLACE: check_replace,
}  # fmt: skip
# (kind, field, value, what the refusal says)
BAD = [
    (Kind.LOGIN, "key_id", "", "key_id ''"),
    (Kind.LOGIN, "secret", "two\nlines", "secret 'of 9 characters'"),
    (Kind.LOGIN, "next_seq", 2**63, f"next_seq {2**63}"),
    (Kind.LOGIN, "heartbeat_ms", 99, "heartbeat_ms 99: send 100 to 60000"),
    (Kind.LOGIN, "reserved", 1, "reserved 1: send zeros"),
    (Kind.NEW_ORDER, "request_id", 0, "request_id 0: send 1"),
    (Kind.NEW_ORDER, "token", "a b ", "token 'a b ': send printable ASCII"),
    (Kind.NEW_ORDER, "symbol", "", "symbol '': send printable ASCII"),
    (Kind.NEW_ORDER, "side", ord("5"), "side '5' (53) is unknown; send '1' (buy), '2' (sell)"),
    (Kind.NEW_ORDER, "ord_type", 0, "ord_type 0 is unknown; send '1' (market), '2' (limit)"),
    (Kind.NEW_ORDER, "tif", ord("4"), "tif '4' (52) is unknown; send '0' (day)"),
    (Kind.NEW_ORDER, "flags", 2, "flags 2: send 0, or 1"),
    (Kind.NEW_ORDER, "reserved", 7, "reserved 7: send zeros"),
    (Kind.NEW_ORDER, "qty_e8", 0, "qty_e8 0: send more than 0"),
    (Kind.NEW_ORDER, "price_e8", -1, "price_e8 -1: send more than 0"),
    (Kind.NEW_ORDER, "expire_time_ns", -5, "expire_time_ns -5: send ns since 1970, or 0"),
    (Kind.CANCEL, "request_id", 2**63, f"request_id {2**63}: send 1"),
    (Kind.CANCEL, "order_id", 2**63, f"order_id {2**63}: send the number"),
    (Kind.CANCEL, "token", "", "token '': send printable ASCII"),
    (Kind.CANCEL, "flags", 255, "flags 255: send 0, or 1"),
    (Kind.CANCEL, "reserved", "x", "reserved 'x': send zeros"),
    (Kind.REPLACE, "request_id", 0, "request_id 0"),
    (Kind.REPLACE, "order_id", 5, "orig_token 'A': order_id names the order already"),
    (Kind.REPLACE, "orig_token", "", "orig_token ''"),
    (Kind.REPLACE, "token", "", "token ''"),
    (Kind.REPLACE, "tif", 9, "tif 9 is unknown"),
    (Kind.REPLACE, "flags", 4, "flags 4"),
    (Kind.REPLACE, "reserved", "zz", "reserved 'zz'"),
    (Kind.REPLACE, "qty_e8", -1, "qty_e8 -1: send 0 (as it is)"),
    (Kind.REPLACE, "price_e8", units.PRICE_E8_MAX + 1, f"price_e8 {units.PRICE_E8_MAX + 1}: send 0 (as it is)"),
    (Kind.REPLACE, "expire_time_ns", -1, "expire_time_ns -1"),
]  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_request_passes(kind: Kind) -> None:
    CHECKS[kind](decode(encode(GOOD[kind])))  # type: ignore[operator]  # each check is given its own kind


@pytest.mark.parametrize(("kind", "field", "value", "text"), BAD, ids=lambda x: str(x)[:24])
def test_a_bad_field_is_named_with_its_value_and_the_remedy(
    kind: Kind, field: str, value: object, text: str
) -> None:
    bad = decode(encode(msgspec.structs.replace(GOOD[kind], **{field: value})))
    with pytest.raises(Refusal) as found:
        CHECKS[kind](bad)  # type: ignore[operator]
    assert text in str(found.value)
    assert found.value.code == Code.FIELD_WRONG
    if isinstance(bad, NewOrder | Cancel | Replace):
        answer = refused(bad, found.value)
        assert decode(encode(answer)) == answer
        assert (answer.request_id, answer.refused_kind) == (bad.request_id, kind)


def test_every_field_of_every_request_is_bad_once() -> None:
    wanted = {(kind, field.name) for kind in GOOD for field in FIELDS[kind]}
    assert {(kind, field) for kind, field, _, _ in BAD} == wanted


def test_a_market_order_has_no_price() -> None:
    order = msgspec.structs.replace(GOOD[Kind.NEW_ORDER], ord_type=ord("1"))
    with pytest.raises(Refusal, match="price_e8 15000000000: a market order has none: send 0"):
        check_new_order(order)  # type: ignore[arg-type]


@pytest.mark.parametrize("raw", [b"A\0B", b"\xff\xfe", b" A", b"A\x1b[2J"])
def test_text_that_is_not_plain_is_refused(raw: bytes) -> None:
    sent = bytearray(encode(GOOD[Kind.NEW_ORDER]))
    sent[16 : 16 + 40] = raw.ljust(40, b"\0")
    with pytest.raises(Refusal, match="token"):
        check_new_order(decode(bytes(sent)))  # type: ignore[arg-type]
