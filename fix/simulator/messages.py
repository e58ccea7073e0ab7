"""The exchange's answers as FIX 4.4 messages, both ways.

Always holds: what `outgoing` writes, `answer_of` reads back, field for field: the store of sent answers is
the exchange's own memory. User-defined tags say what FIX 4.4 has no field for: where in the recording a
report was made and which recorded order a fill was with, so that anyone with the file can check it; the
other side of a trade between members; and what a bust or correction undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from core.records import OrdStatus, Side
from core.units import PRICE_SCALE, price_text, qty_text
from fix import timestamps
from fix.codec import Message
from fix.durable import Outgoing
from fix.simulator.orders import (
    Answer,
    CancelReject,
    MassCancelReport,
    Report,
    Standing,
    StatusReport,
    TradeAck,
)
from fix.simulator.words import ExecType, OrdType, Phase, TimeInForce
from fix.tags import MsgType, OrdRejReason, Tag

RECORDING_INDEX: Final = 20001
RECORDED_ORDER_ID: Final = 20002
CONTRA_EXEC_ID: Final = 20003
WAS_QTY: Final = 20004
WAS_PX: Final = 20005

# CxlRejResponseTo (434): what was asked by an OrderCancelRequest, or an OrderCancelReplaceRequest.
_RESPONSE_TO: Final = {False: "1", True: "2"}
# ExecRestatementReason (378) of a stop order that is triggered: the standard's list has none for it.
_OTHER_RESTATEMENT: Final = "99"
# MassCancelResponse (531).
_MASS_CANCEL_REJECTED: Final = "0"

# ExecType (150) of a report that tells how an order stands. FIX 4.4 has its ExecID as 0, its OrderID as NONE where the
# order is not known, and its symbol as [N/A] where there is none.
_STATUS: Final = "I"
_NO_EXEC_ID: Final = "0"
_NO_ORDER: Final = "NONE"
_NO_SYMBOL: Final = "[N/A]"
_NO_SIDE: Final = "7"

_Fields = list[tuple[int, str]]
_Read = Mapping[int, str]


def outgoing(answer: Answer) -> Outgoing:
    """The message to be sent."""
    match answer:
        case Report():
            return MsgType.ExecutionReport, _execution_report(answer)
        case CancelReject():
            return MsgType.OrderCancelReject, _cancel_reject(answer)
        case MassCancelReport():
            return MsgType.OrderMassCancelReport, _mass_cancel_report(answer)
        case StatusReport():
            return MsgType.SecurityStatus, _status(answer)
        case Standing():
            return MsgType.ExecutionReport, _standing(answer)
        case TradeAck():
            return MsgType.TradeCaptureReportAck, _trade_ack(answer)


def answer_of(message: Message, owner: str) -> Answer | None:
    """Reads back a message of ours as it was sent; None when it is no answer, or tells nothing but how an order
    stands. Raises KeyError for one that is not ours. A restart reads tens of thousands, so the fields are looked
    up by hash and not in order."""
    reader = _READERS.get(message.type)
    fields = dict(message.fields)
    if reader is None or fields.get(Tag.ExecType) == _STATUS:
        return None
    return reader(fields, owner)


def _execution_report(report: Report) -> _Fields:
    is_undone = report.exec_type in (ExecType.TRADE_CORRECT, ExecType.TRADE_CANCEL)
    fields: _Fields = [(Tag.OrderID, report.order_id), (Tag.ClOrdID, report.cl_ord_id)]
    if report.orig_cl_ord_id:
        fields.append((Tag.OrigClOrdID, report.orig_cl_ord_id))
    fields.append((Tag.ExecID, report.exec_id))
    if is_undone:
        fields.append((Tag.ExecRefID, report.exec_ref_id))
    fields += [
        (Tag.ExecType, chr(report.exec_type)),
        (Tag.OrdStatus, chr(report.status)),
        (Tag.Symbol, report.symbol),
        (Tag.Side, chr(report.side)),
        (Tag.OrderQty, qty_text(report.qty_e8)),
        (Tag.OrdType, chr(report.ord_type)),
    ]
    if report.price_e8 or report.ord_type is OrdType.LIMIT:
        fields.append((Tag.Price, price_text(report.price_e8)))
    if report.stop_px_e8:
        fields.append((Tag.StopPx, price_text(report.stop_px_e8)))
    fields.append((Tag.TimeInForce, chr(report.tif)))
    if report.last_qty_e8:
        fields += [(Tag.LastQty, qty_text(report.last_qty_e8)), (Tag.LastPx, price_text(report.last_px_e8))]
    fields += [
        (Tag.LeavesQty, qty_text(report.leaves_qty_e8)),
        (Tag.CumQty, qty_text(report.cum_qty_e8)),
        (Tag.AvgPx, price_text(report.avg_px_e8)),
    ]
    if report.exec_type is ExecType.REJECTED:
        fields.append((Tag.OrdRejReason, str(int(report.reject_reason))))
    if report.exec_type is ExecType.RESTATED:
        fields.append((Tag.ExecRestatementReason, _OTHER_RESTATEMENT))
    if report.text:
        fields.append((Tag.Text, report.text))
    fields += [
        (Tag.TransactTime, timestamps.format_ns(report.time_ns)),
        (RECORDING_INDEX, str(report.recording_index)),
    ]
    if report.recorded_order_id:
        fields.append((RECORDED_ORDER_ID, str(report.recorded_order_id)))
    if report.contra_exec_id:
        fields.append((CONTRA_EXEC_ID, report.contra_exec_id))
    if is_undone:
        fields += [(WAS_QTY, qty_text(report.was_qty_e8)), (WAS_PX, price_text(report.was_px_e8))]
    return fields


def _standing(told: Standing) -> _Fields:
    order = told.order
    fields: _Fields = [(Tag.OrderID, order.order_id if order is not None else _NO_ORDER)]
    if name := order.cl_ord_id if order is not None else told.cl_ord_id:
        fields.append((Tag.ClOrdID, name))
    if told.request_id:
        fields.append((Tag.MassStatusReqID, told.request_id))
        fields.append((Tag.TotNumReports, str(told.total)))
        fields.append((Tag.LastRptRequested, "Y" if told.is_last else "N"))
    fields += [(Tag.ExecID, _NO_EXEC_ID), (Tag.ExecType, _STATUS)]
    if order is None:
        what = (
            "none of your orders is open" if told.request_id else f"order {told.cl_ord_id} is not known here"
        )
        return [
            *fields,
            (Tag.OrdStatus, chr(OrdStatus.REJECTED)),
            (Tag.OrdRejReason, str(int(OrdRejReason.UNKNOWN_ORDER))),
            (Tag.Symbol, told.symbol or _NO_SYMBOL),
            (Tag.Side, chr(told.side) if told.symbol else _NO_SIDE),
            (Tag.LeavesQty, "0"),
            (Tag.CumQty, "0"),
            (Tag.AvgPx, "0"),
            (Tag.Text, what),
            (Tag.TransactTime, timestamps.format_ns(told.time_ns)),
        ]
    fields += [
        (Tag.OrdStatus, chr(order.status)),
        (Tag.Symbol, order.symbol),
        (Tag.Side, chr(order.side)),
        (Tag.OrderQty, qty_text(order.qty_e8)),
        (Tag.OrdType, chr(order.ord_type)),
    ]
    if order.price_e8 or order.ord_type is OrdType.LIMIT:
        fields.append((Tag.Price, price_text(order.price_e8)))
    if order.stop_px_e8:
        fields.append((Tag.StopPx, price_text(order.stop_px_e8)))
    fields.append((Tag.TimeInForce, chr(order.tif)))
    if order.last_qty_e8:
        fields += [(Tag.LastQty, qty_text(order.last_qty_e8)), (Tag.LastPx, price_text(order.last_px_e8))]
    return [
        *fields,
        (Tag.LeavesQty, qty_text(order.leaves_qty_e8 if order.is_open else 0)),
        (Tag.CumQty, qty_text(order.cum_qty_e8)),
        (Tag.AvgPx, price_text(order.avg_px_e8)),
        (Tag.TransactTime, timestamps.format_ns(told.time_ns)),
    ]


def _report_of(fields: _Read, owner: str) -> Report:
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
        price_e8=_e8(fields.get(Tag.Price, "0")),
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
        ord_type=OrdType(ord(fields[Tag.OrdType])),
        stop_px_e8=_e8(fields.get(Tag.StopPx, "0")),
        contra_exec_id=fields.get(CONTRA_EXEC_ID, ""),
        exec_ref_id=fields.get(Tag.ExecRefID, ""),
        was_qty_e8=_e8(fields.get(WAS_QTY, "0")),
        was_px_e8=_e8(fields.get(WAS_PX, "0")),
    )


def _cancel_reject(reject: CancelReject) -> _Fields:
    return [
        (Tag.OrderID, reject.order_id),
        (Tag.ClOrdID, reject.cl_ord_id),
        (Tag.OrigClOrdID, reject.orig_cl_ord_id),
        (Tag.OrdStatus, chr(reject.status)),
        (Tag.CxlRejResponseTo, _RESPONSE_TO[reject.is_replace]),
        (Tag.CxlRejReason, str(int(reject.reason))),
        (Tag.Text, reject.text),
        (Tag.TransactTime, timestamps.format_ns(reject.time_ns)),
    ]


def _cancel_reject_of(fields: _Read, owner: str) -> CancelReject:
    return CancelReject(
        owner=owner,
        order_id=fields[Tag.OrderID],
        cl_ord_id=fields[Tag.ClOrdID],
        orig_cl_ord_id=fields[Tag.OrigClOrdID],
        status=OrdStatus(ord(fields[Tag.OrdStatus])),
        reason=int(fields[Tag.CxlRejReason]),
        text=fields[Tag.Text],
        time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
        is_replace=fields[Tag.CxlRejResponseTo] == _RESPONSE_TO[True],
    )


def _mass_cancel_report(report: MassCancelReport) -> _Fields:
    kind = "1" if report.symbol else "7"
    fields: _Fields = [
        (Tag.ClOrdID, report.cl_ord_id),
        (Tag.OrderID, report.order_id),
        (Tag.MassCancelRequestType, kind),
        (Tag.MassCancelResponse, kind if report.reason < 0 else _MASS_CANCEL_REJECTED),
    ]
    if report.reason >= 0:
        fields.append((Tag.MassCancelRejectReason, str(report.reason)))
    fields.append((Tag.TotalAffectedOrders, str(report.affected)))
    if report.symbol:
        fields.append((Tag.Symbol, report.symbol))
    fields.append((Tag.TransactTime, timestamps.format_ns(report.time_ns)))
    if report.text:
        fields.append((Tag.Text, report.text))
    return fields


def _mass_cancel_report_of(fields: _Read, owner: str) -> MassCancelReport:
    return MassCancelReport(
        owner=owner,
        order_id=fields[Tag.OrderID],
        cl_ord_id=fields[Tag.ClOrdID],
        symbol=fields.get(Tag.Symbol, ""),
        affected=int(fields[Tag.TotalAffectedOrders]),
        reason=int(fields.get(Tag.MassCancelRejectReason, "-1")),
        text=fields.get(Tag.Text, ""),
        time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
    )


def _status(report: StatusReport) -> _Fields:
    fields: _Fields = [
        (Tag.SecurityStatusReqID, report.request_id),
        (Tag.Symbol, report.symbol),
        (Tag.SecurityTradingStatus, str(int(report.phase))),
    ]
    if report.last_px_e8:
        fields.append((Tag.LastPx, price_text(report.last_px_e8)))
    fields.append((Tag.TransactTime, timestamps.format_ns(report.time_ns)))
    if report.text:
        fields.append((Tag.Text, report.text))
    return fields


def _status_of(fields: _Read, owner: str) -> StatusReport:
    return StatusReport(
        owner=owner,
        request_id=fields[Tag.SecurityStatusReqID],
        symbol=fields[Tag.Symbol],
        phase=Phase(int(fields[Tag.SecurityTradingStatus])),
        last_px_e8=_e8(fields.get(Tag.LastPx, "0")),
        text=fields.get(Tag.Text, ""),
        time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
    )


def _trade_ack(ack: TradeAck) -> _Fields:
    """TrdRptStatus (939) 0: done, 1: refused, with TradeReportRejectReason (751) 99, other."""
    fields: _Fields = [
        (Tag.TradeReportID, ack.request_id),
        (Tag.ExecType, chr(ack.exec_type)),
        (Tag.ExecID, ack.exec_id),
        (Tag.TrdRptStatus, "1" if ack.text else "0"),
        (Tag.Symbol, ack.symbol),
        (Tag.TransactTime, timestamps.format_ns(ack.time_ns)),
    ]
    if ack.text:
        fields += [(Tag.TradeReportRejectReason, "99"), (Tag.Text, ack.text)]
    return fields


def _trade_ack_of(fields: _Read, owner: str) -> TradeAck:
    return TradeAck(
        owner=owner,
        request_id=fields[Tag.TradeReportID],
        exec_type=ExecType(ord(fields[Tag.ExecType])),
        exec_id=fields[Tag.ExecID],
        symbol=fields[Tag.Symbol],
        text=fields.get(Tag.Text, ""),
        time_ns=timestamps.parse_ns(fields[Tag.TransactTime]),
    )


_READERS: Final[dict[str, Callable[[_Read, str], Answer]]] = {
    MsgType.ExecutionReport: _report_of,
    MsgType.OrderCancelReject: _cancel_reject_of,
    MsgType.OrderMassCancelReport: _mass_cancel_report_of,
    MsgType.SecurityStatus: _status_of,
    MsgType.TradeCaptureReportAck: _trade_ack_of,
}


def _e8(text: str) -> int:
    """What `price_text` or `qty_text` wrote, exactly. Text of others goes through `core.units`."""
    whole, _, part = text.partition(".")
    value = int(whole) * PRICE_SCALE
    return value if not part else value + int(part.ljust(8, "0")) * (-1 if whole.startswith("-") else 1)
