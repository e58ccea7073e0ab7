"""Orders between Alpaca's words and the core's numbers.

Alpaca's shapes are those that alpaca-py 0.44 sends and parses: numbers may come as JSON numbers or as
strings, and leave as strings; ids are UUIDs; times are RFC 3339.
Always holds here: the digits that were sent are the digits that count. A number's JSON text becomes a decimal
and then a fixed-point integer; it is never a binary float on the way. What is not understood is refused by
name, never ignored: a stop price that nobody watches would be worse than an error.
Must not do: I/O, or ask for the time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Protocol
from uuid import uuid4

import msgspec

from core import ids, units
from core.events import Event
from core.records import TEXT_BYTES_MAX, ExecType, OrdStatus, OrdType, Side, TimeInForce
from gateways.errors import BAD_REQUEST, UNPROCESSABLE, ApiError

# The longest number with a use: ten digits, a point, eight decimals. Three times that is already a mistake.
NUMBER_TEXT_MAX: Final = 64

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
TYPES: Final = {"market": OrdType.MARKET, "limit": OrdType.LIMIT}
TIFS: Final = {"day": TimeInForce.DAY, "ioc": TimeInForce.IOC}

SIDE_WORDS: Final = {int(code): word for word, code in SIDES.items()}
TYPE_WORDS: Final = {int(code): word for word, code in TYPES.items()}
TIF_WORDS: Final = {int(code): word for word, code in TIFS.items()}

# FIX OrdStatus (39) in Alpaca's words.
STATUS_WORDS: Final = {
    int(OrdStatus.PENDING_NEW): "pending_new",
    int(OrdStatus.NEW): "new",
    int(OrdStatus.PARTIALLY_FILLED): "partially_filled",
    int(OrdStatus.FILLED): "filled",
    int(OrdStatus.PENDING_CANCEL): "pending_cancel",
    int(OrdStatus.CANCELED): "canceled",
    int(OrdStatus.EXPIRED): "expired",
    int(OrdStatus.REJECTED): "rejected",
}
OPEN_STATUSES: Final = frozenset(
    int(status)
    for status in (
        OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_CANCEL,
    )
)  # fmt: skip

# FIX ExecType (150) as the `event` of a trade update; a trade is `fill` or `partial_fill` by the order's
# status.
UPDATE_WORDS: Final = {
    int(ExecType.PENDING_NEW): "pending_new",
    int(ExecType.NEW): "new",
    int(ExecType.PENDING_CANCEL): "pending_cancel",
    int(ExecType.CANCELED): "canceled",
    int(ExecType.EXPIRED): "expired",
    int(ExecType.REJECTED): "rejected",
    int(ExecType.CANCEL_REJECT): "order_cancel_rejected",
}

_NULL: Final = msgspec.Raw(b"null")

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
_UNSUPPORTED: Final = ("stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss", "legs")


def parse_order(body: bytes) -> OrderRequest:
    """The order in a request's body. Raises ApiError: 400 for what is not JSON, 422 for what can't be an
    order."""
    try:
        sent = _BODY.decode(body)
    except msgspec.ValidationError as error:
        raise ApiError(UNPROCESSABLE, f"the order's fields are not as expected: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        example = '{"symbol":"AAPL","qty":"10","side":"buy","type":"market","time_in_force":"day"}'
        raise ApiError(
            BAD_REQUEST, f"the request body is not JSON: {error}; send an object like {example}"
        ) from None
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


# --- outwards ---------------------------------------------------------------------------------------------


class Order(msgspec.Struct, frozen=True):
    """An order as Alpaca shows it. Numbers are decimal text; times are RFC 3339 with nanoseconds."""

    id: str
    client_order_id: str
    created_at: str
    updated_at: str
    submitted_at: str
    asset_id: str
    symbol: str
    qty: str
    filled_qty: str
    filled_avg_price: str | None
    type: str
    order_type: str
    side: str
    time_in_force: str
    limit_price: str | None
    status: str
    filled_at: str | None = None
    expired_at: str | None = None
    canceled_at: str | None = None
    failed_at: str | None = None
    replaced_at: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    asset_class: str = "us_equity"
    order_class: str = "simple"
    notional: str | None = None
    stop_price: str | None = None
    extended_hours: bool = False
    legs: list[str] | None = None
    trail_percent: str | None = None
    trail_price: str | None = None
    hwm: str | None = None
    reject_reason: str | None = None  # ours: which check said no, with its limit and the value


class TradeUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """`data` of a trade_updates message. The three last fields are ours: see gateways/trade_stream.py."""

    event: str
    execution_id: str
    order: Order
    timestamp: str
    sequence: int
    previous_sequence: int
    position_qty: str | None = None
    price: str | None = None
    qty: str | None = None
    reason: str | None = None


class OrderState(Protocol):
    """What an order and an event of one have in common: enough to show it. Scales as in core/records.py."""

    @property
    def order_id(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def side(self) -> int: ...
    @property
    def ord_type(self) -> int: ...
    @property
    def tif(self) -> int: ...
    @property
    def ord_status(self) -> int: ...
    @property
    def qty_e8(self) -> int: ...
    @property
    def price_e8(self) -> int: ...
    @property
    def cum_qty_e8(self) -> int: ...
    @property
    def cum_notional_e6(self) -> int: ...
    @property
    def reject_code(self) -> int: ...
    @property
    def limit_value(self) -> int: ...
    @property
    def observed_value(self) -> int: ...


class OrderTimes(msgspec.Struct, frozen=True):
    """Wall clock, ns since 1970; 0 for what has not happened."""

    created_ns: int
    updated_ns: int
    filled_ns: int = 0
    canceled_ns: int = 0


def time_text(ns: int) -> str:
    """RFC 3339 in UTC, nanoseconds kept."""
    seconds, part = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{part:09d}Z"


def parse_time(name: str, text: str) -> int:
    """ns since 1970 of an RFC 3339 time, nanoseconds kept. Raises ApiError (422)."""
    parts = _TIME.fullmatch(text)
    try:
        whole = datetime.fromisoformat(parts[1] + parts[3]) if parts is not None else None
    except ValueError:  # the 30th of February
        whole = None
    if parts is None or whole is None:
        raise ApiError(UNPROCESSABLE, f"{name} '{text[:40]}' is no time; send one like 2026-01-31T09:30:00Z")
    return int(whole.timestamp()) * 1_000_000_000 + int((parts[2] or "").ljust(9, "0"))


def _time_or_none(ns: int) -> str | None:
    return time_text(ns) if ns else None


def average_price_e8(notional_e6: int, qty_e8: int) -> int:
    """notional / qty at the scale of a price, rounded half to even. qty must be more than 0."""
    scaled = notional_e6 * units.NOTIONAL_DIVISOR
    quotient, remainder = divmod(scaled, qty_e8)
    if 2 * remainder > qty_e8 or (2 * remainder == qty_e8 and quotient & 1):
        quotient += 1
    return quotient


def order_shape(
    shard: int,
    symbol: str,
    client_order_id: str,
    state: OrderState,
    times: OrderTimes,
    reason: str | None = None,
) -> Order:
    """The order as its owner sees it."""
    word = TYPE_WORDS[state.ord_type]
    status = STATUS_WORDS[state.ord_status]
    ended = _time_or_none(times.canceled_ns or times.updated_ns)
    filled_price = average_price_e8(state.cum_notional_e6, state.cum_qty_e8) if state.cum_qty_e8 else None
    return Order(
        id=str(ids.order_uuid(shard, state.order_id)),
        client_order_id=client_order_id,
        created_at=time_text(times.created_ns),
        updated_at=time_text(times.updated_ns),
        submitted_at=time_text(times.created_ns),
        filled_at=_time_or_none(times.filled_ns),
        expired_at=ended if status == "expired" else None,
        canceled_at=ended if status == "canceled" else None,
        failed_at=ended if status == "rejected" else None,
        asset_id=str(ids.instrument_uuid(shard, state.instrument)),
        symbol=symbol,
        qty=units.qty_text(state.qty_e8),
        filled_qty=units.qty_text(state.cum_qty_e8),
        filled_avg_price=None if filled_price is None else units.price_text(filled_price),
        type=word,
        order_type=word,
        side=SIDE_WORDS[state.side],
        time_in_force=TIF_WORDS[state.tif],
        limit_price=units.price_text(state.price_e8) if state.ord_type == OrdType.LIMIT else None,
        status=status,
        reject_reason=reason,
    )


def update_word(event: Event) -> str:
    if event.exec_type == ExecType.TRADE:
        return "fill" if event.ord_status == OrdStatus.FILLED else "partial_fill"
    return UPDATE_WORDS[event.exec_type]


def trade_update(
    shard: int, event: Event, order: Order, previous_sequence: int, reason: str | None
) -> TradeUpdate:
    """What happened to the order, for its owner's stream."""
    traded = event.exec_type == ExecType.TRADE
    return TradeUpdate(
        event=update_word(event),
        execution_id=str(ids.execution_uuid(shard, event.seq)),
        order=order,
        timestamp=time_text(event.time_ns),
        sequence=event.seq,
        previous_sequence=previous_sequence,
        position_qty=units.qty_text(event.position_qty_e8) if traded else None,
        price=units.price_text(event.last_px_e8) if traded else None,
        qty=units.qty_text(event.last_qty_e8) if traded else None,
        reason=reason,
    )
