"""The fields of a venue's report, read exactly: what the order line and the drop copy have in common.

Always holds: a number is read without rounding, an order is one of ours or an error, a text is what the log has room
for. What can't be read is a ReportError that names the tag; `refusal` tells the venue.
"""

from __future__ import annotations

import logging
from typing import Final

from core import ids, units
from core.records import TEXT_BYTES_MAX, OrdStatus
from fix import timestamps
from fix.codec import Message
from fix.durable import Outgoing
from fix.tags import BusinessReason, MsgType, Tag

log = logging.getLogger(__name__)

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
