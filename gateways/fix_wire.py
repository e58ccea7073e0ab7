"""The client FIX door's messages: what a client asks, read and checked for form, and what it is answered.

Always holds here: what leaves `read_order` fits a command exactly (decimals without rounding, known codes,
ASCII); everything else is a Refusal that names the tag, the value and the remedy. Reports say what the event
says and compute nothing but AvgPx. OrdRejReason carries FIX's own values, for a validating client refuses
others; our code stands in the Text.
Must not do: decide about risk, or look anything up.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from actors.view import OrderView
from core import events, ids, units
from core.events import Event
from core.records import TEXT_BYTES_MAX, ExecType, Level, OrdStatus, OrdType, Side, TimeInForce
from core.rejects import Reject
from fix import timestamps
from fix.codec import Message
from fix.durable import Outgoing
from fix.tags import BusinessReason, CxlRejReason, MsgType, OrdRejReason, Tag
from gateways.order_figures import average_price_e8, leaves_qty_e8

# What ClOrdID (11) is when a message is answered that has none.
NO_ID: Final = "NONE"

# An int64 has 19 digits and a point; leading and trailing zeros are allowed.
NUMBER_CHARACTERS_MAX: Final = 64
# FIX 4.4 vol. 1, "float": digits and a point, no exponent.
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")

_SIDES: Final = {chr(side): side for side in Side}
_ORD_TYPES: Final = {chr(kind): kind for kind in OrdType}
_TIFS: Final = {chr(tif): tif for tif in TimeInForce}

_ORD_REJ_REASON: Final = {
    Reject.ACCOUNT_UNKNOWN: OrdRejReason.UNKNOWN_ACCOUNT,
    Reject.INSTRUMENT_UNKNOWN: OrdRejReason.UNKNOWN_SYMBOL,
    Reject.INSTRUMENT_HALTED: OrdRejReason.EXCHANGE_CLOSED,
    Reject.SESSION_CLOSED: OrdRejReason.EXCHANGE_CLOSED,
    Reject.NOT_IN_THIS_SESSION: OrdRejReason.EXCHANGE_CLOSED,
    Reject.ODD_LOT: OrdRejReason.INCORRECT_QUANTITY,
    Reject.QTY_OFF_LOT: OrdRejReason.INCORRECT_QUANTITY,
    Reject.QTY_NOT_POSITIVE: OrdRejReason.INCORRECT_QUANTITY,
    Reject.QTY_OVER_MAX: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.NOTIONAL_OVER_MAX: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.BUYING_POWER: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.POSITION_OVER_LIMIT: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.POSITION_NOT_HELD: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.CASH_UNSETTLED: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    Reject.INSTRUMENT_EXPOSURE: OrdRejReason.ORDER_EXCEEDS_LIMIT,
    **{
        Reject[f"{level.name}_{limit}"]: OrdRejReason.ORDER_EXCEEDS_LIMIT
        for level in Level
        for limit in ("ORDER_NOTIONAL", "OPEN_NOTIONAL", "GROSS_EXPOSURE")
    },
    Reject.DUPLICATE_CLIENT_ORDER_ID: OrdRejReason.DUPLICATE_ORDER,
}
_CXL_REJ_REASON: Final = {
    Reject.ORDER_UNKNOWN: CxlRejReason.UNKNOWN_ORDER,
    Reject.ORDER_NOT_OPEN: CxlRejReason.TOO_LATE_TO_CANCEL,
    Reject.ORDER_NOT_REPLACEABLE: CxlRejReason.TOO_LATE_TO_CANCEL,
    Reject.DUPLICATE_CLIENT_ORDER_ID: CxlRejReason.DUPLICATE_CL_ORD_ID,
}
_PENDING: Final = (OrdStatus.PENDING_CANCEL, OrdStatus.PENDING_REPLACE)


class Refusal(ValueError):
    """A request that goes no further. `reason` is the OrdRejReason (103) of its answer."""

    def __init__(self, text: str, reason: OrdRejReason) -> None:
        super().__init__(text)
        self.reason = reason


class OrderFields(NamedTuple):
    """A NewOrderSingle whose form is right. price_e8 is 0 for a market order."""

    client_order_id: str
    symbol: str
    side: Side
    ord_type: OrdType
    tif: TimeInForce
    qty_e8: int
    price_e8: int
    expire_time_ns: int = 0


def read_order(message: Message) -> OrderFields:
    """Raises MissingTag, or Refusal for a value that can't be taken."""
    client_order_id = message.require(Tag.ClOrdID)
    if len(client_order_id) > TEXT_BYTES_MAX or not _is_plain(client_order_id):
        raise Refusal(
            f"ClOrdID (11) {client_order_id[:40]!r}: use at most {TEXT_BYTES_MAX} ASCII characters",
            OrdRejReason.OTHER,
        )
    symbol = message.require(Tag.Symbol)
    side = message.require(Tag.Side)
    if side not in _SIDES:
        raise _unsupported(Tag.Side, side, "1 (buy) or 2 (sell)")
    ord_type = message.require(Tag.OrdType)
    if ord_type not in _ORD_TYPES:
        raise _unsupported(Tag.OrdType, ord_type, "1 (market) or 2 (limit)")
    tif = message.get(Tag.TimeInForce) or chr(TimeInForce.DAY)
    if tif not in _TIFS:
        remedy = "0 (day), 1 (good till cancel), 3 (immediate or cancel) or 6 (good till date)"
        raise _unsupported(Tag.TimeInForce, tif, remedy)
    qty_e8 = _positive(message, Tag.OrderQty, units.QTY_E8_MAX)
    price_e8 = _positive(message, Tag.Price, units.PRICE_E8_MAX) if ord_type == chr(OrdType.LIMIT) else 0
    return OrderFields(
        client_order_id,
        symbol,
        _SIDES[side],
        _ORD_TYPES[ord_type],
        _TIFS[tif],
        qty_e8,
        price_e8,
        _expire_time_ns(message, tif),
    )


def check_same(wanted: OrderFields, order: OrderView, symbol: str) -> None:
    """Raises Refusal where a replace names another symbol, side or type than its order has."""
    for tag, new, old in (
        (Tag.Symbol, wanted.symbol, symbol),
        (Tag.Side, chr(wanted.side), chr(order.side)),
        (Tag.OrdType, chr(wanted.ord_type), chr(order.ord_type)),
    ):
        if new != old:
            text = f"{tag.name} ({int(tag)}) is {old[:40]!r} and can't be replaced; cancel the order, send another"
            raise Refusal(text, OrdRejReason.OTHER)


def _expire_time_ns(message: Message, tif: str) -> int:
    if tif != chr(TimeInForce.GTD):
        return 0
    try:
        return timestamps.parse_ns(message.require(Tag.ExpireTime))
    except timestamps.TimestampError as error:
        raise Refusal(f"ExpireTime (126): {error}", OrdRejReason.OTHER) from None


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _unsupported(tag: Tag, value: str, remedy: str) -> Refusal:
    text = f"{tag.name} ({int(tag)}) {value[:40]!r} is not supported; send {remedy}"
    return Refusal(text, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC)


def _positive(message: Message, tag: Tag, most_e8: int) -> int:
    text = message.require(tag)
    name = f"{tag.name} ({int(tag)})"
    if len(text) > NUMBER_CHARACTERS_MAX:
        raise Refusal(f"{name} has {len(text)} characters; send a number", OrdRejReason.INCORRECT_QUANTITY)
    try:
        value = units.qty_e8(text, name)  # a price has the same scale
    except units.UnitError as error:
        raise Refusal(str(error), OrdRejReason.INCORRECT_QUANTITY) from None
    if _NUMBER.fullmatch(text) is None:
        remedy = "send it in plain digits, like 10 or 10.25"
        raise Refusal(f"{name} {text!r} is no number of FIX; {remedy}", OrdRejReason.INCORRECT_QUANTITY)
    if not 0 < value <= most_e8:
        raise Refusal(
            f"{name} {text} must be more than 0 and at most {units.qty_text(most_e8)}",
            OrdRejReason.INCORRECT_QUANTITY,
        )
    return value


# --- answers ---------------------------------------------------------------------------------------------


def business_reject(message: Message, reason: BusinessReason, text: str) -> Outgoing:
    """35=j: the message was read and can't be handled."""
    client_order_id = message.get(Tag.ClOrdID)
    return MsgType.BusinessMessageReject, [
        (Tag.RefSeqNum, str(message.seq)),
        (Tag.Text, text),
        (Tag.RefMsgType, message.type),
        *([(Tag.BusinessRejectRefID, client_order_id)] if client_order_id else []),
        (Tag.BusinessRejectReason, str(int(reason))),
    ]


def order_refused(message: Message, exec_id: str, reason: OrdRejReason, text: str, now_ns: int) -> Outgoing:
    """An ExecutionReport for an order that never reached the shard: it echoes what the client sent."""
    echoed = (Tag.Account, Tag.OrderQty, Tag.OrdType, Tag.Price)
    echo = [(tag, value) for tag in echoed if (value := message.get(tag)) is not None]
    return MsgType.ExecutionReport, [
        (Tag.OrderID, NO_ID),
        (Tag.ClOrdID, message.get(Tag.ClOrdID) or NO_ID),
        (Tag.ExecID, exec_id),
        (Tag.ExecType, chr(ExecType.REJECTED)),
        (Tag.OrdStatus, chr(OrdStatus.REJECTED)),
        (Tag.OrdRejReason, str(int(reason))),
        *echo,
        (Tag.Symbol, message.get(Tag.Symbol) or NO_ID),
        (Tag.Side, message.get(Tag.Side) or chr(Side.BUY)),
        (Tag.LeavesQty, "0"),
        (Tag.CumQty, "0"),
        (Tag.AvgPx, "0"),
        (Tag.TransactTime, timestamps.format_ns(now_ns)),
        (Tag.Text, text),
    ]


def cancel_refused(
    message: Message, text: str, now_ns: int, reason: CxlRejReason = CxlRejReason.UNKNOWN_ORDER
) -> Outgoing:
    """An OrderCancelReject for a cancel or replace that never reached the shard: its order is not known, unless
    `reason` is another."""
    return MsgType.OrderCancelReject, [
        (Tag.OrderID, NO_ID),
        (Tag.ClOrdID, message.get(Tag.ClOrdID) or NO_ID),
        (Tag.OrigClOrdID, message.get(Tag.OrigClOrdID) or NO_ID),
        (Tag.OrdStatus, chr(OrdStatus.REJECTED)),
        (Tag.CxlRejResponseTo, "2" if message.type == MsgType.OrderCancelReplaceRequest else "1"),
        (Tag.CxlRejReason, str(int(reason))),
        (Tag.TransactTime, timestamps.format_ns(now_ns)),
        (Tag.Text, text),
    ]


def execution_report(
    shard: int,
    event: Event,
    account: str,
    symbol: str,
    cancel_cl_ord_id: str | None,
    was_cl_ord_id: str | None = None,
    text: str | None = None,
) -> Outgoing:
    """The event as an ExecutionReport. `cancel_cl_ord_id`: ClOrdID of the cancel or replace that this answers, if
    any; `was_cl_ord_id`: of an order that has been replaced, the name that it had; `text`: what is said beside."""
    is_duplicate = event.reject_code == Reject.DUPLICATE_CLIENT_ORDER_ID
    ids_of_order = [(Tag.ClOrdID, cancel_cl_ord_id or event.text)]
    if cancel_cl_ord_id is not None:
        ids_of_order.append((Tag.OrigClOrdID, event.text))
    elif was_cl_ord_id is not None:
        ids_of_order.append((Tag.OrigClOrdID, was_cl_ord_id))
    price = [(Tag.Price, units.price_text(event.price_e8))] if event.ord_type == OrdType.LIMIT else []
    trade = []
    undoes = event.exec_type in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
    if undoes or event.exec_type == ExecType.TRADE:
        trade = [
            (Tag.LastQty, units.qty_text(event.last_qty_e8)),
            (Tag.LastPx, units.price_text(event.last_px_e8)),
        ]
    return MsgType.ExecutionReport, [
        # A duplicate names the order that has the id; it has none of its own.
        (Tag.OrderID, NO_ID if is_duplicate else str(ids.order_uuid(shard, event.order_id))),
        *ids_of_order,
        (Tag.ExecID, str(ids.execution_uuid(shard, event.seq))),
        *([(Tag.ExecRefID, str(ids.execution_uuid(shard, event.ref_seq)))] if undoes else []),
        (Tag.ExecType, chr(event.exec_type)),
        *([(Tag.ExecRestatementReason, "99")] if event.exec_type == ExecType.RESTATED else []),
        (Tag.OrdStatus, chr(event.ord_status)),
        *_reject_fields(event),
        (Tag.Account, account),
        (Tag.Symbol, symbol),
        (Tag.Side, chr(event.side)),
        (Tag.OrderQty, units.qty_text(event.qty_e8)),
        (Tag.OrdType, chr(event.ord_type)),
        *price,
        (Tag.TimeInForce, chr(event.tif)),
        *trade,
        (Tag.LeavesQty, units.qty_text(leaves_qty_e8(event))),
        (Tag.CumQty, units.qty_text(event.cum_qty_e8)),
        (Tag.AvgPx, units.price_text(average_price_e8(event))),
        (Tag.TransactTime, timestamps.format_ns(event.time_ns)),
        *([(Tag.Text, text)] if text is not None else []),
    ]


def cancel_reject(shard: int, event: Event, cancel_cl_ord_id: str | None, orig_cl_ord_id: str) -> Outgoing:
    """The event CANCEL_REJECT or REPLACE_REJECT as an OrderCancelReject."""
    reason = _CXL_REJ_REASON.get(Reject(event.reject_code), CxlRejReason.BROKER_OPTION)
    if event.observed_value in _PENDING and reason is CxlRejReason.TOO_LATE_TO_CANCEL:
        reason = CxlRejReason.ALREADY_PENDING
    unknown = event.reject_code == Reject.ORDER_UNKNOWN
    return MsgType.OrderCancelReject, [
        (Tag.OrderID, NO_ID if unknown else str(ids.order_uuid(shard, event.order_id))),
        (Tag.ClOrdID, cancel_cl_ord_id or orig_cl_ord_id),
        (Tag.OrigClOrdID, orig_cl_ord_id),
        (Tag.OrdStatus, chr(OrdStatus.REJECTED) if unknown else chr(event.ord_status)),
        (Tag.CxlRejResponseTo, "2" if event.exec_type == ExecType.REPLACE_REJECT else "1"),
        (Tag.CxlRejReason, str(int(reason))),
        (Tag.TransactTime, timestamps.format_ns(event.time_ns)),
        (Tag.Text, events.reject_message(event.reject_code, event.limit_value, event.observed_value)),
    ]


def _reject_fields(event: Event) -> list[tuple[int, str]]:
    if event.exec_type != ExecType.REJECTED:
        return []
    reason = _ORD_REJ_REASON.get(Reject(event.reject_code), OrdRejReason.OTHER)
    text = events.reject_message(event.reject_code, event.limit_value, event.observed_value)
    return [(Tag.OrdRejReason, str(int(reason))), (Tag.Text, text)]
