"""The venue's messages as commands for the shard: what an ExecutionReport, an OrderCancelReject or a refusal means.

Always holds: a number is read without rounding; what can't be read is a ReportError, and no command. A report says what
has happened to an order (VENUE_REPORT), how it stands (VENUE_STATUS), or that the venue does not know it
(FATE_UNKNOWN): OrdStatus 8 with OrdRejReason (103) 5, which is FIX's answer to a question about an unknown order, or an
OrderCancelReject with CxlRejReason (102) 1.

Must not do: send, or keep anything.
"""

from __future__ import annotations

import logging
from typing import Final

from core.commands import fate_unknown, venue_report, venue_status
from core.records import ExecType, OrdStatus
from core.rejects import Reject
from fix.codec import Message
from fix.durable import DurableSession
from fix.report_fields import (
    ReportError,
    amount,
    average_of,
    exec_type_of,
    order_id_of,
    plain_text,
    replacement_of,
    status_of,
    transact_time_of,
)
from fix.tags import BusinessReason, CxlRejReason, MsgType, OrdRejReason, Tag

log = logging.getLogger(__name__)

# An execution type that says nothing new to the shard: the venue has our request, and we know that.
_PASSED_OVER: Final = frozenset(
    map(chr, (ExecType.PENDING_NEW, ExecType.PENDING_CANCEL, ExecType.PENDING_REPLACE))
)
_TAKEN: Final = {
    chr(kind): kind
    for kind in (
        ExecType.NEW,
        ExecType.TRADE,
        ExecType.CANCELED,
        ExecType.REJECTED,
        ExecType.EXPIRED,
        ExecType.TRADE_CORRECT,
        ExecType.TRADE_CANCEL,
    )
}
# What says how the order stands, with its terms: more than what has just happened to it.
_STANDING: Final = {chr(kind): kind for kind in (ExecType.ORDER_STATUS, ExecType.REPLACED, ExecType.RESTATED)}
_ENDS: Final = frozenset((chr(ExecType.CANCELED), chr(ExecType.EXPIRED)))
_UNDOES: Final = frozenset((ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT))
# CxlRejResponseTo (434): what an OrderCancelReject answers.
_REJECTS: Final = {"1": ExecType.CANCEL_REJECT, "2": ExecType.REPLACE_REJECT}
# What the venue may not be able to read, and then refuses by Reject (3) or BusinessMessageReject (j).
_REFUSED_BY: Final = {
    MsgType.NewOrderSingle: ExecType.REJECTED,
    MsgType.OrderCancelRequest: ExecType.CANCEL_REJECT,
    MsgType.OrderCancelReplaceRequest: ExecType.REPLACE_REJECT,
}


def commands_of(session: DurableSession, message: Message, venue_seq: int) -> list[bytes]:
    """What the shard is to be told, in this order. Raises MissingTag, ReportError."""
    if message.type == MsgType.ExecutionReport:
        # Once the numbers have begun anew, what was told before is not told again: an end's total counts too.
        return _execution(message, venue_seq, ends_by_total=session.generation > 0)
    if message.type == MsgType.OrderCancelReject:
        return _cancel_reject(message, venue_seq)
    if message.type in (MsgType.Reject, MsgType.BusinessMessageReject):
        return _rejection(session, message, venue_seq)
    raise ReportError(Tag.MsgType, f"message type {message.type!r} is not handled here")


def _execution(message: Message, venue_seq: int, ends_by_total: bool) -> list[bytes]:
    kind = exec_type_of(message)
    if kind in _PASSED_OVER:
        return []
    if (kind in _STANDING or kind == chr(ExecType.REJECTED)) and is_unknown_there(message):
        return [_unknown(order_id_of(message), message)]
    if kind in _STANDING:
        return [_standing(message, venue_seq, _STANDING[kind])]
    if kind in _ENDS and ends_by_total:
        return [_standing(message, venue_seq, ExecType.ORDER_STATUS)]
    if kind not in _TAKEN:
        known = "".join(sorted((*_TAKEN, *_STANDING)))
        raise ReportError(Tag.ExecType, f"ExecType {kind!r} is not handled; known are {known}")
    exec_type = _TAKEN[kind]
    is_trade = exec_type in (ExecType.TRADE, ExecType.TRADE_CORRECT)
    undoes = exec_type in _UNDOES
    text = Tag.Text if exec_type is ExecType.REJECTED else Tag.ExecRefID if undoes else Tag.ExecID
    report = venue_report(
        venue_seq=venue_seq,
        order_id=order_id_of(message),
        exec_type=exec_type,
        ord_status=status_of(message),
        last_qty_e8=amount(message, Tag.LastQty, required=is_trade),
        last_px_e8=amount(message, Tag.LastPx, required=is_trade),
        cum_qty_e8=amount(message, Tag.CumQty, required=True),
        leaves_qty_e8=amount(message, Tag.LeavesQty, required=True),
        transact_time_ns=transact_time_of(message),
        exec_id=message.get(Tag.ExecID) or "",
        exec_ref_id=message.require(Tag.ExecRefID) if undoes else "",
        replacement=replacement_of(message),
        text=plain_text(message, text),
    )
    return [report]


def is_unknown_there(message: Message) -> bool:
    """An ExecutionReport that answers a question about an order which the venue does not know."""
    return message.get(Tag.OrdStatus) == chr(OrdStatus.REJECTED) and message.get(Tag.OrdRejReason) == str(
        int(OrdRejReason.UNKNOWN_ORDER)
    )


def _unknown(order_id: int, message: Message) -> bytes:
    return fate_unknown(order_id=order_id, code=Reject.VENUE_KNOWS_NOT, text=plain_text(message, Tag.Text))


def _standing(message: Message, venue_seq: int, exec_type: ExecType) -> bytes:
    """Of an answer CumQty and AvgPx count; terms that the venue tells by itself may leave the average out."""
    is_answer = exec_type is ExecType.ORDER_STATUS
    return venue_status(
        venue_seq=venue_seq,
        order_id=order_id_of(message),
        exec_type=exec_type,
        ord_status=status_of(message),
        cum_qty_e8=amount(message, Tag.CumQty, required=True),
        avg_px_e8=average_of(message) if is_answer else 0,
        last_qty_e8=amount(message, Tag.LastQty, required=False) if is_answer else 0,
        last_px_e8=amount(message, Tag.LastPx, required=False) if is_answer else 0,
        qty_e8=amount(message, Tag.OrderQty, required=False),
        price_e8=amount(message, Tag.Price, required=False),
        transact_time_ns=transact_time_of(message),
        replacement=replacement_of(message),
        text=plain_text(message, Tag.Text if is_answer else Tag.ExecID),
    )


def _cancel_reject(message: Message, venue_seq: int) -> list[bytes]:
    """Without CxlRejResponseTo (434), which some venues leave out, ClOrdID tells what it answers."""
    replacement = replacement_of(message)
    told = message.get(Tag.CxlRejResponseTo) or ("2" if replacement else "1")
    if told not in _REJECTS:
        raise ReportError(Tag.CxlRejResponseTo, f"CxlRejResponseTo {told!r} is not known")
    order_id = order_id_of(message)
    refused = venue_report(
        venue_seq=venue_seq,
        order_id=order_id,
        exec_type=_REJECTS[told],
        ord_status=status_of(message),
        transact_time_ns=transact_time_of(message),
        replacement=replacement,
        text=plain_text(message, Tag.Text),
    )
    is_unknown = message.get(Tag.CxlRejReason) == str(int(CxlRejReason.UNKNOWN_ORDER))
    return [refused, _unknown(order_id, message)] if is_unknown else [refused]


def _rejection(session: DurableSession, message: Message, venue_seq: int) -> list[bytes]:
    """The venue could not read a message of ours (3) or not handle it (j): what it asked for is refused by that."""
    ref = message.require(Tag.RefSeqNum)
    sent = session.sent(int(ref)) if ref.isdigit() else None
    log.error("the venue refuses message %s of ours: %s (%r)", ref, message.get(Tag.Text), sent)
    if sent is not None and sent.type == MsgType.OrderStatusRequest:
        knows_not = message.get(Tag.BusinessRejectReason) == str(int(BusinessReason.UNKNOWN_ID))
        code = Reject.VENUE_KNOWS_NOT if knows_not else Reject.VENUE_SILENT
        return [fate_unknown(order_id=order_id_of(sent), code=code, text=plain_text(message, Tag.Text))]
    if sent is None or sent.type not in _REFUSED_BY:
        return []
    exec_type = _REFUSED_BY[MsgType(sent.type)]
    refused = venue_report(
        venue_seq=venue_seq,
        order_id=order_id_of(sent),
        exec_type=exec_type,
        ord_status=OrdStatus.REJECTED if exec_type is ExecType.REJECTED else OrdStatus.NEW,
        replacement=replacement_of(sent),
        text=plain_text(message, Tag.Text),
    )
    return [refused]
