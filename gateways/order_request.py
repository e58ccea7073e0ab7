"""An order's request: the body of POST /v2/orders, and of PATCH, from Alpaca's words to the core's numbers.

Always holds here: the digits that were sent are the digits that count. A number may come as a JSON number or as
a string; its text becomes a decimal and then a fixed-point integer, and is never a binary float on the way. What
is not understood is refused by name, never ignored: a stop price that nobody watches is worse than an error.
Must not do: I/O, or ask for the time.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeVar
from uuid import uuid4

import msgspec

from core import units
from core.records import TEXT_BYTES_MAX, OrdType, Side, TimeInForce
from gateways.errors import BAD_REQUEST, UNPROCESSABLE, ApiError

# The longest number with a use: ten digits, a point, eight decimals. Three times that is already a mistake.
NUMBER_TEXT_MAX: Final = 64

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
TYPES: Final = {"market": OrdType.MARKET, "limit": OrdType.LIMIT}
TIFS: Final = {"day": TimeInForce.DAY, "gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC}

_NULL: Final = msgspec.Raw(b"null")

T = TypeVar("T")

Number = Annotated[msgspec.Raw, msgspec.Meta(description="A decimal, as a JSON number or as a string.")]


class OrderBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST /v2/orders. Fields of Alpaca's that this desk does not support are here to be refused by name."""

    symbol: str | None = None
    qty: Number = _NULL
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Number = _NULL
    client_order_id: str | None = None
    order_class: str | None = None
    extended_hours: bool | None = None
    notional: Number = _NULL
    stop_price: Number = _NULL
    trail_price: Number = _NULL
    trail_percent: Number = _NULL
    take_profit: msgspec.Raw = _NULL
    stop_loss: msgspec.Raw = _NULL
    legs: msgspec.Raw = _NULL
    position_intent: str | None = None


class ReplaceBody(msgspec.Struct, forbid_unknown_fields=True):
    """PATCH /v2/orders/{id}. What is left out stays as it is."""

    qty: Number = _NULL
    time_in_force: str | None = None
    limit_price: Number = _NULL
    client_order_id: str | None = None
    stop_price: Number = _NULL
    trail: Number = _NULL


class ReplaceRequest(msgspec.Struct, frozen=True):
    """Other terms for an order, well formed; 0 for what stays."""

    qty_e8: int
    price_e8: int
    tif: int
    client_order_id: str


class OrderRequest(msgspec.Struct, frozen=True):
    """An order that is well formed: every number positive and exact, every code one of the core's."""

    symbol: str
    side: Side
    ord_type: OrdType
    tif: TimeInForce
    qty_e8: int
    price_e8: int  # 0 for a market order
    client_order_id: str


_BODY: Final = msgspec.json.Decoder(OrderBody)
_REPLACE_BODY: Final = msgspec.json.Decoder(ReplaceBody)
# What may stay in the book: an order can't become one that must trade at once.
_RESTING: Final = {word: tif for word, tif in TIFS.items() if tif is not TimeInForce.IOC}
_UNSUPPORTED: Final = ("stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "legs")


def parse_order(body: bytes) -> OrderRequest:
    """The order in a request's body. Raises ApiError: 400 for what is not JSON, 422 for what can't be an
    order."""
    example = '{"symbol":"AAPL","qty":"10","side":"buy","type":"market","time_in_force":"day"}'
    sent = _decoded(_BODY, body, example)
    _refuse_unsupported(sent)
    if not sent.symbol:
        raise ApiError(UNPROCESSABLE, "symbol is missing; send one that GET /v2/assets lists")
    ord_type = TYPES[_choice("type", sent.type, TYPES)]
    return OrderRequest(
        symbol=sent.symbol,
        side=SIDES[_choice("side", sent.side, SIDES)],
        ord_type=ord_type,
        tif=TIFS[_choice("time_in_force", sent.time_in_force, TIFS)],
        qty_e8=_positive("qty", sent.qty, units.QTY_SCALE, units.QTY_E8_MAX),
        price_e8=_limit_price(ord_type, sent.limit_price),
        client_order_id=_client_order_id(sent.client_order_id),
    )


def parse_replace(body: bytes, ord_type: int) -> ReplaceRequest:
    """The change in a PATCH's body, of an order of this type. Raises ApiError as parse_order does."""
    sent = _decoded(_REPLACE_BODY, body, '{"qty":"5","limit_price":"149.50"}')
    for name in ("stop_price", "trail"):
        if getattr(sent, name) != _NULL:
            text = _text(getattr(sent, name))
            raise ApiError(UNPROCESSABLE, f"{name} {text} is not supported; orders here have no stop")
    if sent.qty == _NULL and sent.limit_price == _NULL and sent.time_in_force is None:
        raise ApiError(UNPROCESSABLE, "nothing to replace; send qty, limit_price or time_in_force")
    tif = 0
    if sent.time_in_force is not None:
        tif = _RESTING[_choice("time_in_force", sent.time_in_force, _RESTING)]
    given = sent.limit_price != _NULL
    return ReplaceRequest(
        qty_e8=0 if sent.qty == _NULL else _positive("qty", sent.qty, units.QTY_SCALE, units.QTY_E8_MAX),
        price_e8=_limit_price(OrdType(ord_type), sent.limit_price) if given else 0,
        tif=tif,
        client_order_id=_client_order_id(sent.client_order_id),
    )


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, example: str) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(UNPROCESSABLE, f"the order's fields are not as expected: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: thousands of "["
        raise ApiError(
            BAD_REQUEST, f"the request body is not JSON: {error}; send an object like {example}"
        ) from None


def _refuse_unsupported(sent: OrderBody) -> None:
    if sent.notional != _NULL:
        text = _text(sent.notional)
        raise ApiError(UNPROCESSABLE, f"notional {text} is not supported; send qty, the number of shares")
    for name in _UNSUPPORTED:
        if getattr(sent, name) != _NULL:
            text = _text(getattr(sent, name))
            raise ApiError(UNPROCESSABLE, f"{name} {text} is not supported; send a market or a limit order")
    if sent.order_class not in (None, "", "simple"):
        raise ApiError(
            UNPROCESSABLE, f"order_class '{sent.order_class[:40]}' is not supported; supported is 'simple'"
        )
    if sent.extended_hours:
        raise ApiError(
            UNPROCESSABLE, "extended_hours true is not supported; leave it out: this market never closes"
        )
    if sent.position_intent is not None:
        intent = sent.position_intent[:40]
        raise ApiError(UNPROCESSABLE, f"position_intent '{intent}' is not supported; side alone decides")


def _choice(name: str, value: str | None, supported: dict[str, Any]) -> str:
    words = " or ".join(f"'{word}'" for word in supported)
    if value is None:
        raise ApiError(UNPROCESSABLE, f"{name} is missing; send {words}")
    if value not in supported:
        raise ApiError(UNPROCESSABLE, f"{name} '{value[:40]}' is not supported; supported is {words}")
    return value


def _text(raw: msgspec.Raw) -> str:
    """The JSON text of a field as an error names it: cut, and never echoed at length."""
    text = bytes(raw).decode(errors="replace").strip()
    return text if len(text) <= NUMBER_TEXT_MAX else text[:NUMBER_TEXT_MAX] + "…"


def _positive(name: str, raw: msgspec.Raw, scale: int, most: int) -> int:
    if raw == _NULL:
        raise ApiError(UNPROCESSABLE, f"{name} is missing; send a number more than 0")
    text = bytes(raw).decode(errors="replace").strip()
    if text.startswith('"'):
        text = text[1:-1].strip()
    if len(text) > NUMBER_TEXT_MAX or _NUMBER.fullmatch(text) is None:
        raise ApiError(
            UNPROCESSABLE, f"{name} {_text(raw)} is not a number; send a decimal, like 10 or 10.25"
        )
    try:
        fixed = units.to_fixed(text, scale, name)
    except units.UnitError as error:
        raise ApiError(UNPROCESSABLE, str(error)) from None
    if fixed <= 0:
        raise ApiError(UNPROCESSABLE, f"{name} {text} must be more than 0")
    if fixed > most:
        raise ApiError(UNPROCESSABLE, f"{name} {text} is too large; the most is {most // scale}")
    return fixed


def _limit_price(ord_type: OrdType, raw: msgspec.Raw) -> int:
    if ord_type is OrdType.LIMIT:
        return _positive("limit_price", raw, units.PRICE_SCALE, units.PRICE_E8_MAX)
    if raw != _NULL:
        raise ApiError(
            UNPROCESSABLE,
            f"limit_price {_text(raw)} does not go with type 'market'; leave it out, or send 'limit'",
        )
    return 0


def _client_order_id(sent: str | None) -> str:
    if sent is None:
        return str(uuid4())
    if not 0 < len(sent) <= TEXT_BYTES_MAX:
        raise ApiError(
            UNPROCESSABLE,
            f"client_order_id has {len(sent)} characters; send 1 to {TEXT_BYTES_MAX}, or leave it out",
        )
    if not (sent.isascii() and sent.isprintable()):
        raise ApiError(
            UNPROCESSABLE,
            f"client_order_id {sent[:40]!r} holds more than printable ASCII; send letters and digits",
        )
    return sent
