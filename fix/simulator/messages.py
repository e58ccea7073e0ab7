"""The exchange's requests and reports as FIX 4.4 messages, both ways.

Always holds: what `outgoing` writes, `report_of` reads back, field for field: the store of sent reports is
the exchange's own memory. User-defined tags 20001 and 20002 say where in the recording a report was made and
which recorded order a fill was with, so that anyone with the file can check it.
"""

from __future__ import annotations

from typing import Final

from core.records import ExecType, OrdStatus, OrdType, Side, TimeInForce
from core.units import PRICE_SCALE, UnitError, price_e8, price_text, qty_e8, qty_text
from fix import timestamps
from fix.codec import Message
from fix.durable import Outgoing
from fix.simulator.orders import Answer, CancelReject, CancelRequest, NewOrder, Report
from fix.tags import MsgType, OrdRejReason, Tag

RECORDING_INDEX: Final = 20001
RECORDED_ORDER_ID: Final = 20002

# FIX sets no length; this is twice what any venue in use allows, and bounds what is kept of each id.
CL_ORD_ID_CHARS_MAX: Final = 64
# A cancel is asked for by an OrderCancelRequest (FIX 4.4, CxlRejResponseTo 434).
TO_CANCEL_REQUEST: Final = "1"


class Refused(ValueError):
    """A message that no ExecutionReport can answer: its Text (58) for a BusinessMessageReject."""


class Objection(ValueError):
    """An order that can be read but not taken: OrdRejReason (103) and Text (58) for its ExecutionReport."""

    def __init__(self, request: NewOrder, reason: OrdRejReason, text: str) -> None:
        super().__init__(text)
        self.request = request
        self.reason = reason


def new_order_of(message: Message, owner: str) -> NewOrder:
    """Reads a NewOrderSingle (D). Raises MissingTag, Refused, or Objection."""
    side = message.require(Tag.Side)
    if side not in ("1", "2"):
        raise Refused(f"Side (54) {side!r} is not traded here; send 1 (buy) or 2 (sell)")
    cl_ord_id = _id_of(message, Tag.ClOrdID)
    symbol = message.require(Tag.Symbol)
    bare = NewOrder(owner, cl_ord_id, symbol, Side(ord(side)), TimeInForce.DAY, 0, 0)
    ord_type = message.require(Tag.OrdType)
    if ord_type != chr(OrdType.LIMIT):
        text = f"OrdType (40) {ord_type!r} is not taken here; send 2 (limit)"
        raise Objection(bare, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    tif = message.get(Tag.TimeInForce) or chr(TimeInForce.DAY)
    if tif not in ("0", "3"):
        text = f"TimeInForce (59) {tif!r} is not taken here; send 0 (day) or 3 (immediate or cancel)"
        raise Objection(bare, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, text)
    try:
        bare = bare._replace(qty_e8=qty_e8(message.require(Tag.OrderQty), "OrderQty (38)"))
    except UnitError as error:
        raise Objection(bare, OrdRejReason.INCORRECT_QUANTITY, str(error)) from None
    try:
        return bare._replace(
            tif=TimeInForce(ord(tif)), price_e8=price_e8(message.require(Tag.Price), "Price (44)")
        )
    except UnitError as error:
        raise Objection(bare, OrdRejReason.OTHER, str(error)) from None


def cancel_of(message: Message, owner: str) -> CancelRequest:
    """Reads an OrderCancelRequest (F). Raises MissingTag or Refused."""
    return CancelRequest(owner, _id_of(message, Tag.ClOrdID), _id_of(message, Tag.OrigClOrdID))


def _id_of(message: Message, tag: int) -> str:
    text = message.require(tag)
    if len(text) > CL_ORD_ID_CHARS_MAX:
        raise Refused(f"tag {int(tag)} has {len(text)} characters; the most is {CL_ORD_ID_CHARS_MAX}")
    return text


def outgoing(answer: Answer) -> Outgoing:
    """The ExecutionReport (8) or OrderCancelReject (9) to be sent."""
    return _cancel_reject(answer) if isinstance(answer, CancelReject) else _execution_report(answer)


def _execution_report(report: Report) -> Outgoing:
    fields = [(Tag.OrderID, report.order_id), (Tag.ClOrdID, report.cl_ord_id)]
    if report.orig_cl_ord_id:
        fields.append((Tag.OrigClOrdID, report.orig_cl_ord_id))
    fields += [
        (Tag.ExecID, report.exec_id),
        (Tag.ExecType, chr(report.exec_type)),
        (Tag.OrdStatus, chr(report.status)),
        (Tag.Symbol, report.symbol),
        (Tag.Side, chr(report.side)),
        (Tag.OrderQty, qty_text(report.qty_e8)),
        (Tag.OrdType, chr(OrdType.LIMIT)),
        (Tag.Price, price_text(report.price_e8)),
        (Tag.TimeInForce, chr(report.tif)),
    ]
    if report.exec_type is ExecType.TRADE:
        fields += [(Tag.LastQty, qty_text(report.last_qty_e8)), (Tag.LastPx, price_text(report.last_px_e8))]
    fields += [
        (Tag.LeavesQty, qty_text(report.leaves_qty_e8)),
        (Tag.CumQty, qty_text(report.cum_qty_e8)),
        (Tag.AvgPx, price_text(report.avg_px_e8)),
    ]
    if report.exec_type is ExecType.REJECTED:
        fields.append((Tag.OrdRejReason, str(int(report.reject_reason))))
    if report.text:
        fields.append((Tag.Text, report.text))
    extra = [(int(tag), value) for tag, value in fields]
    extra += [(int(Tag.TransactTime), timestamps.format_ns(report.time_ns))]
    extra += [(RECORDING_INDEX, str(report.recording_index))]
    if report.recorded_order_id:
        extra.append((RECORDED_ORDER_ID, str(report.recorded_order_id)))
    return (MsgType.ExecutionReport, extra)


def _cancel_reject(reject: CancelReject) -> Outgoing:
    return (
        MsgType.OrderCancelReject,
        [
            (Tag.OrderID, reject.order_id),
            (Tag.ClOrdID, reject.cl_ord_id),
            (Tag.OrigClOrdID, reject.orig_cl_ord_id),
            (Tag.OrdStatus, chr(reject.status)),
            (Tag.CxlRejResponseTo, TO_CANCEL_REQUEST),
            (Tag.CxlRejReason, str(int(reject.reason))),
            (Tag.Text, reject.text),
            (Tag.TransactTime, timestamps.format_ns(reject.time_ns)),
        ],
    )


def report_of(message: Message, owner: str) -> Answer | None:
    """Reads back a message of ours as it was sent; None when it is neither of the two. Raises KeyError for
    one that is not ours. A restart reads tens of thousands, so the fields are looked up by hash and not in
    order."""
    if message.type not in (MsgType.ExecutionReport, MsgType.OrderCancelReject):
        return None
    fields = dict(message.fields)
    if message.type == MsgType.OrderCancelReject:
        return CancelReject(
            owner=owner,
            order_id=fields[Tag.OrderID],
            cl_ord_id=fields[Tag.ClOrdID],
            orig_cl_ord_id=fields[Tag.OrigClOrdID],
            status=OrdStatus(ord(fields[Tag.OrdStatus])),
            reason=int(fields[Tag.CxlRejReason]),
            text=fields[Tag.Text],
            time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
        )
    return Report(
        owner=owner,
        order_id=fields[Tag.OrderID],
        exec_id=fields[Tag.ExecID],
        cl_ord_id=fields[Tag.ClOrdID],
        orig_cl_ord_id=fields.get(Tag.OrigClOrdID, ""),
        exec_type=ExecType(ord(fields[Tag.ExecType])),
        status=OrdStatus(ord(fields[Tag.OrdStatus])),
        symbol=fields[Tag.Symbol],
        side=Side(ord(fields[Tag.Side])),
        tif=TimeInForce(ord(fields[Tag.TimeInForce])),
        qty_e8=_e8(fields[Tag.OrderQty]),
        price_e8=_e8(fields[Tag.Price]),
        last_qty_e8=_e8(fields.get(Tag.LastQty, "0")),
        last_px_e8=_e8(fields.get(Tag.LastPx, "0")),
        cum_qty_e8=_e8(fields[Tag.CumQty]),
        leaves_qty_e8=_e8(fields[Tag.LeavesQty]),
        avg_px_e8=_e8(fields[Tag.AvgPx]),
        recording_index=int(fields[RECORDING_INDEX]),
        recorded_order_id=int(fields.get(RECORDED_ORDER_ID, "0")),
        reject_reason=int(fields.get(Tag.OrdRejReason, "0")),
        text=fields.get(Tag.Text, ""),
        time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
    )


def _e8(text: str) -> int:
    """What `price_text` or `qty_text` wrote, exactly. Text of others goes through `core.units`."""
    whole, _, part = text.partition(".")
    value = int(whole) * PRICE_SCALE
    return value if not part else value + int(part.ljust(8, "0")) * (-1 if whole.startswith("-") else 1)
