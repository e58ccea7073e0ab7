"""What members and the operator ask for, read out of their FIX 4.4 messages.

Members: NewOrderSingle (D), OrderCancelRequest (F), OrderCancelReplaceRequest (G), OrderMassCancelRequest (q),
OrderStatusRequest (H), OrderMassStatusRequest (AF), SecurityStatusRequest (e). The operator: SecurityStatus (f) sets
the phase of an instrument, TradeCaptureReport (AE) with TradeReportTransType (487) 1 busts the trade of an ExecID,
with 2 corrects it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.records import Side
from core.units import UnitError, price_e8, qty_e8
from fix.codec import Message
from fix.simulator.orders import (
    CancelRequest,
    MassCancelRequest,
    MassQuestion,
    NewOrder,
    OrderQuestion,
    ReplaceRequest,
)
from fix.simulator.words import LIMITED, STOPS, OrdType, Phase, TimeInForce
from fix.tags import OrdRejReason, Tag

# FIX sets no length; this is twice what any venue in use allows, and bounds what is kept of each id.
CL_ORD_ID_CHARS_MAX: Final = 64

_ORD_TYPES: Final = {chr(t): t for t in OrdType}
_TIFS: Final = {chr(t): t for t in TimeInForce}
# Resume (3) is asked for; what is reported then is 17, ready to trade.
_PHASES: Final = {"3": Phase.CONTINUOUS} | {str(int(p)): p for p in Phase}


class Refused(ValueError):
    """A message that no ExecutionReport can answer: its Text (58) for a BusinessMessageReject."""


class Objection(ValueError):
    """An order that can be read but not taken: OrdRejReason (103) and Text (58) for its ExecutionReport."""

    def __init__(self, request: NewOrder, reason: OrdRejReason, text: str) -> None:
        super().__init__(text)
        self.request = request
        self.reason = reason


class PhaseRequest(NamedTuple):
    request_id: str
    symbol: str
    phase: Phase


class TradeRequest(NamedTuple):
    """A bust (`qty_e8` 0) or a correction."""

    request_id: str
    exec_id: str
    symbol: str
    qty_e8: int
    px_e8: int


def new_order_of(message: Message, owner: str) -> NewOrder:
    """Reads a NewOrderSingle (D). Raises MissingTag, Refused, or Objection."""
    side = message.require(Tag.Side)
    if side not in ("1", "2"):
        raise Refused(f"Side (54) {side!r} is not traded here; send 1 (buy) or 2 (sell)")
    cl_ord_id = _id_of(message, Tag.ClOrdID)
    symbol = message.require(Tag.Symbol)
    bare = NewOrder(owner, cl_ord_id, symbol, Side(ord(side)), TimeInForce.DAY, 0, 0)
    ord_type = message.require(Tag.OrdType)
    if ord_type not in _ORD_TYPES:
        text = f"OrdType (40) {ord_type!r} is not taken here; send 1 (market), 2 (limit), 3 (stop) or 4 (stop limit)"
        raise Objection(bare, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    bare = bare._replace(ord_type=_ORD_TYPES[ord_type])
    tif = message.get(Tag.TimeInForce) or chr(TimeInForce.DAY)
    if tif not in _TIFS:
        text = f"TimeInForce (59) {tif!r} is not taken here; send 0 (day), 1 (GTC), 3 (IOC) or 4 (FOK)"
        raise Objection(bare, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    bare = bare._replace(tif=_TIFS[tif])
    try:
        bare = bare._replace(qty_e8=qty_e8(message.require(Tag.OrderQty), "OrderQty (38)"))
    except UnitError as error:
        raise Objection(bare, OrdRejReason.INCORRECT_QUANTITY, str(error)) from None
    try:
        return bare._replace(
            price_e8=_price(message, Tag.Price, bare.ord_type in LIMITED),
            stop_px_e8=_price(message, Tag.StopPx, bare.ord_type in STOPS),
        )
    except UnitError as error:
        raise Objection(bare, OrdRejReason.OTHER, str(error)) from None


def cancel_of(message: Message, owner: str) -> CancelRequest:
    """Reads an OrderCancelRequest (F). Raises MissingTag or Refused."""
    return CancelRequest(owner, _id_of(message, Tag.ClOrdID), _id_of(message, Tag.OrigClOrdID))


def replace_of(message: Message, owner: str) -> ReplaceRequest:
    """Reads an OrderCancelReplaceRequest (G). Raises MissingTag, Refused, or Objection."""
    orig = _id_of(message, Tag.OrigClOrdID)
    return ReplaceRequest(new_order_of(message, owner), orig)


def mass_cancel_of(message: Message, owner: str) -> MassCancelRequest:
    """Reads an OrderMassCancelRequest (q). Raises MissingTag or Refused."""
    kind = message.require(Tag.MassCancelRequestType)
    if kind not in ("1", "7"):
        raise Refused(
            f"MassCancelRequestType (530) {kind!r} is not taken here; send 1 (a security) or 7 (all orders)"
        )
    symbol = message.require(Tag.Symbol) if kind == "1" else ""
    return MassCancelRequest(owner, _id_of(message, Tag.ClOrdID), symbol)


def order_question_of(message: Message, owner: str) -> OrderQuestion:
    """Reads an OrderStatusRequest (H). Raises MissingTag or Refused."""
    side = message.require(Tag.Side)
    if side not in ("1", "2"):
        raise Refused(f"Side (54) {side!r} is not traded here; send 1 (buy) or 2 (sell)")
    return OrderQuestion(owner, _id_of(message, Tag.ClOrdID), message.require(Tag.Symbol), Side(ord(side)))


def mass_question_of(message: Message, owner: str) -> MassQuestion:
    """Reads an OrderMassStatusRequest (AF). Raises MissingTag or Refused."""
    kind = message.require(Tag.MassStatusReqType)
    if kind not in ("1", "7"):
        raise Refused(
            f"MassStatusReqType (585) {kind!r} is not taken here; send 1 (a security) or 7 (all orders)"
        )
    symbol = message.require(Tag.Symbol) if kind == "1" else ""
    return MassQuestion(owner, _id_of(message, Tag.MassStatusReqID), symbol)


def phase_of(message: Message) -> PhaseRequest:
    """Reads an operator's SecurityStatus (f). Raises MissingTag or Refused."""
    status = message.require(Tag.SecurityTradingStatus)
    if status not in _PHASES:
        known = ", ".join(sorted(_PHASES, key=int))
        raise Refused(f"SecurityTradingStatus (326) {status!r} can't be set here; send one of {known}")
    request_id = message.get(Tag.SecurityStatusReqID) or message.require(Tag.MsgSeqNum)
    return PhaseRequest(request_id, message.require(Tag.Symbol), _PHASES[status])


def trade_of(message: Message) -> TradeRequest:
    """Reads an operator's TradeCaptureReport (AE). Raises MissingTag or Refused."""
    kind = message.require(Tag.TradeReportTransType)
    if kind not in ("1", "2"):
        raise Refused(f"TradeReportTransType (487) {kind!r} is not taken; send 1 (bust) or 2 (correct)")
    request_id = _id_of(message, Tag.TradeReportID)
    exec_id = message.require(Tag.ExecID)
    symbol = message.require(Tag.Symbol)
    if kind == "1":
        return TradeRequest(request_id, exec_id, symbol, 0, 0)
    try:
        qty = qty_e8(message.require(Tag.LastQty), "LastQty (32)")
        return TradeRequest(
            request_id, exec_id, symbol, qty, price_e8(message.require(Tag.LastPx), "LastPx (31)")
        )
    except UnitError as error:
        raise Refused(str(error)) from None


def _price(message: Message, tag: Tag, is_required: bool) -> int:
    text = message.require(tag) if is_required else message.get(tag)
    return price_e8(text, f"{tag.name} ({int(tag)})") if text else 0


def _id_of(message: Message, tag: int) -> str:
    text = message.require(tag)
    if len(text) > CL_ORD_ID_CHARS_MAX:
        raise Refused(f"tag {int(tag)} has {len(text)} characters; the most is {CL_ORD_ID_CHARS_MAX}")
    return text
