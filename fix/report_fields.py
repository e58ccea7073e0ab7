"""The fields of a venue's report, read exactly: what the order line and the drop copy have in common.

Always holds: a number is read without rounding (but AvgPx, which venues have divided), an order is one of ours or an
error, a text is what the log has room for. What can't be read is a ReportError that names the tag; `refusal` tells
the venue.
"""

from __future__ import annotations

import logging
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Final

from core import ids, units
from core.records import TEXT_BYTES_MAX, ExecType, OrdStatus
from fix import timestamps
from fix.codec import Message
from fix.durable import Outgoing
from fix.tags import BusinessReason, MsgType, Tag

log = logging.getLogger(__name__)

# Before 4.3 what an execution does stands in ExecTransType (20), and ExecType says how far the order is. What a report
# is since: Trade Correct, Trade Cancel, Order Status (FIX 4.3 vol. 7, "Fill vs. ExecType").
_BEFORE_4_3: Final = ("FIX.4.0", "FIX.4.1", "FIX.4.2")
_BY_EXEC_TRANS_TYPE: Final = {"1": "H", "2": "G", "3": "I"}
_FILLS_BEFORE_4_3: Final = ("1", "2")  # partial fill, fill
_STATUSES: Final = {chr(status): status for status in OrdStatus}


class ReportError(ValueError):
    """A report that can't be read. `tag` is where; the text goes back to the venue."""

    def __init__(self, tag: int, text: str) -> None:
        super().__init__(text)
        self.tag = int(tag)


def order_id_of(message: Message) -> int:
    """Our order's number: on the answer to a cancel it is in OrigClOrdID, else in ClOrdID."""
    tag = Tag.OrigClOrdID if message.get(Tag.OrigClOrdID) is not None else Tag.ClOrdID
    try:
        return ids.order_id_of(message.require(tag))
    except ids.IdError as error:
        raise ReportError(tag, str(error)) from None


def exec_type_of(message: Message) -> str:
    """ExecType (150) as FIX has it since 4.3, of a report of any version. Raises MissingTag, ReportError."""
    kind = message.require(Tag.ExecType)
    if message.fields[0][1] not in _BEFORE_4_3:
        return kind
    does = message.require(Tag.ExecTransType)
    if does == "0":
        return chr(ExecType.TRADE) if kind in _FILLS_BEFORE_4_3 else kind
    if does not in _BY_EXEC_TRANS_TYPE:
        raise ReportError(Tag.ExecTransType, f"ExecTransType {does!r} is not known; known are 0 to 3")
    return _BY_EXEC_TRANS_TYPE[does]


def replacement_of(message: Message) -> int:
    """The number of the replace request that ClOrdID names; 0 where it names none of ours."""
    try:
        return ids.parse_cl_ord_id(message.get(Tag.ClOrdID) or "").replacement
    except ids.IdError:
        return 0


def status_of(message: Message) -> OrdStatus:
    status = message.require(Tag.OrdStatus)
    if status not in _STATUSES:
        raise ReportError(Tag.OrdStatus, f"OrdStatus {status!r} is not known")
    return _STATUSES[status]


def amount(message: Message, tag: Tag, required: bool) -> int:
    text = message.require(tag) if required else message.get(tag) or "0"
    try:
        return units.qty_e8(text, tag.name)  # a price has the same scale
    except units.UnitError as error:
        raise ReportError(tag, str(error)) from None


def average_of(message: Message) -> int:
    """AvgPx (6), to eight digits after the point, half to even: venues divide with floats, and send what comes out. It
    is the one number of a report that may be rounded. 0 where it is not told."""
    text = message.get(Tag.AvgPx) or "0"
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ReportError(Tag.AvgPx, f"AvgPx {text!r} is not a number") from None
    if not exact.is_finite() or not 0 <= exact <= units.PRICE_E8_MAX // units.PRICE_SCALE:
        raise ReportError(Tag.AvgPx, f"AvgPx {text!r} is no price that an order can have")
    return int((exact * units.PRICE_SCALE).to_integral_value(ROUND_HALF_EVEN))


def transact_time_of(message: Message) -> int:
    text = message.get(Tag.TransactTime)
    try:
        return timestamps.parse_ns(text) if text else 0
    except timestamps.TimestampError as error:
        raise ReportError(Tag.TransactTime, str(error)) from None


def plain_text(message: Message, tag: Tag) -> str:
    """What the log has room for: 128 ASCII characters of it."""
    return (message.get(tag) or "").encode("ascii", "replace").decode("ascii")[:TEXT_BYTES_MAX]


def refusal(message: Message, reason: BusinessReason, text: str) -> Outgoing:
    log.error("a message of the venue can't be taken: %s (%r)", text, message)
    return MsgType.BusinessMessageReject, [
        (Tag.RefSeqNum, str(message.seq)),
        (Tag.Text, text),
        (Tag.RefMsgType, message.type),
        (Tag.BusinessRejectReason, str(int(reason))),
    ]
