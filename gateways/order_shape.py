"""Orders and their updates in Alpaca's words, as alpaca-py 0.44 parses them: numbers are decimal text, ids are
UUIDs, times are RFC 3339.

Must not do: I/O, or ask for the time.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from core import ids, units
from core.events import Event
from core.records import ExecType, Fate, OrdStatus, OrdType, TimeInForce
from gateways.order_request import SIDES, TIFS, TYPES
from gateways.times import time_text

SIDE_WORDS: Final = {int(code): word for word, code in SIDES.items()}
TYPE_WORDS: Final = {int(code): word for word, code in TYPES.items()}
# Alpaca has no word for good till date; of those it has, gtc is nearest to an order of a FIX client that has one.
TIF_WORDS: Final = {int(code): word for word, code in TIFS.items()} | {int(TimeInForce.GTD): "gtc"}

# FIX OrdStatus (39) in Alpaca's words.
STATUS_WORDS: Final = {
    int(OrdStatus.PENDING_NEW): "pending_new",
    int(OrdStatus.NEW): "new",
    int(OrdStatus.PARTIALLY_FILLED): "partially_filled",
    int(OrdStatus.FILLED): "filled",
    int(OrdStatus.PENDING_CANCEL): "pending_cancel",
    int(OrdStatus.PENDING_REPLACE): "pending_replace",
    int(OrdStatus.CANCELED): "canceled",
    int(OrdStatus.EXPIRED): "expired",
    int(OrdStatus.REJECTED): "rejected",
}
OPEN_STATUSES: Final = frozenset(
    int(status)
    for status in (
        OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_CANCEL,
        OrdStatus.PENDING_REPLACE,
    )
)  # fmt: skip

# What is known of an open order at its venue, where that is less than its status says.
FATE_WORDS: Final = {
    int(Fate.ASKED): "asked",
    int(Fate.OVERTAKEN): "asked",
    int(Fate.UNKNOWN): "unknown",
}

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
    int(ExecType.PENDING_REPLACE): "pending_replace",
    int(ExecType.REPLACED): "replaced",
    int(ExecType.REPLACE_REJECT): "order_replace_rejected",
    int(ExecType.TRADE_CANCEL): "restated",
    int(ExecType.TRADE_CORRECT): "restated",
    int(ExecType.RESTATED): "restated",
    int(ExecType.ORDER_STATUS): "restated",
}


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
    # Ours: "asked" while the venue owes an answer, "unknown" when nobody knows how the order stands there; `status` is
    # then the last that was known, and what the order holds stays held.
    fate: str | None = None


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


class OrderTimes(msgspec.Struct, frozen=True):
    """Wall clock, ns since 1970; 0 for what has not happened."""

    created_ns: int
    updated_ns: int
    filled_ns: int = 0
    canceled_ns: int = 0


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
    fate: int = Fate.SURE,
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
        fate=FATE_WORDS.get(fate),
    )


def update_word(event: Event) -> str:
    if event.exec_type == ExecType.TRADE:
        return "fill" if event.ord_status == OrdStatus.FILLED else "partial_fill"
    return UPDATE_WORDS[event.exec_type]


def trade_update(
    shard: int, event: Event, order: Order, previous_sequence: int, reason: str | None
) -> TradeUpdate:
    """What happened to the order, for its owner's stream. restated: a fill was taken back or corrected, and `qty` and
    `price` are those of the fill that is no more, or of the corrected one."""
    traded = event.exec_type in (ExecType.TRADE, ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
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
