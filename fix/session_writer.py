"""How a session's messages are written: the header, rejects, and messages that are sent again.

Always holds here: MsgType comes first, then the rest of the header in ascending order of tags, whoever gave it,
then the fields as they are given. What is sent again differs from the first time in 43, 52 and 122 alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fix import timestamps
from fix.codec import Field, Message, encode, parse
from fix.session_checks import is_reset
from fix.session_config import SessionConfig
from fix.session_events import Stored
from fix.session_gap import Ask
from fix.tags import (
    APPLICATION_HEADER_TAGS,
    HEADER_TAGS,
    REJECT_REASON_MAX,
    REVERSE_ROUTES,
    MsgType,
    RejectReason,
    Tag,
)
from fix.violation import Violation

# Their SendingTime has no fraction of a second, and "all and after" is a number that no session gets to.
_BEFORE_4_2: Final = ("FIX.4.0", "FIX.4.1")
_NO_END_BEFORE_4_2: Final = 999_999


class Writer:
    """Writes as `config` says. Has no state."""

    def __init__(self, config: SessionConfig) -> None:
        self._begin_string = config.begin_string
        self._sender = config.sender
        self._target = config.target
        self._header_fields = config.header_fields
        self._own_tags = HEADER_TAGS | {tag for tag, _ in config.header_fields}
        self._time_digits = 0 if config.begin_string in _BEFORE_4_2 else config.time_digits
        self._last_processed = config.last_processed
        self._terse = config.terse
        self._empty_values = config.empty_values
        self._no_end = _NO_END_BEFORE_4_2 if config.begin_string in _BEFORE_4_2 else 0

    def time_text(self, now_ns: int) -> str:
        return timestamps.format_ns(now_ns, self._time_digits)

    def encode(
        self,
        msg_type: str,
        seq: int,
        fields: Iterable[tuple[int, str]],
        now_ns: int,
        next_in: int,
        orig_sending_time: str = "",
    ) -> bytes:
        """One message. `next_in` is for LastMsgSeqNumProcessed (369). Raises EncodeError."""
        body = list(fields)
        more = [*self._header_fields, *(each for each in body if each[0] in APPLICATION_HEADER_TAGS)]
        if len(more) > len(self._header_fields):
            body = [each for each in body if each[0] not in APPLICATION_HEADER_TAGS]
        if orig_sending_time:
            more += ((Tag.PossDupFlag, "Y"), (Tag.OrigSendingTime, orig_sending_time))
        if self._last_processed:
            more.append((Tag.LastMsgSeqNumProcessed, str(next_in - 1)))
        header: list[tuple[int, str]] = [
            (Tag.MsgSeqNum, str(seq)),
            (Tag.SenderCompID, self._sender),
            (Tag.SendingTime, self.time_text(now_ns)),
            (Tag.TargetCompID, self._target),
        ]
        if more:  # most messages have no more than these, which ascend
            header = sorted([*header, *more], key=_tag)
        return encode(self._begin_string, ((Tag.MsgType, msg_type), *header, *body), self._empty_values)

    def ask_fields(self, ask: Ask) -> list[Field]:
        """The fields of a ResendRequest (2)."""
        return [(Tag.BeginSeqNo, str(ask.begin)), (Tag.EndSeqNo, str(ask.end or self._no_end))]

    def reject_fields(self, message: Message, violation: Violation) -> list[Field]:
        """The fields of a Reject (3) of `message`, in ascending order, behind the way back to its sender."""
        fields: list[Field] = [
            (back, value) for there, back in REVERSE_ROUTES.items() if (value := message.get(there))
        ]
        reason_max = REJECT_REASON_MAX.get(self._begin_string, violation.reason)
        text = str(violation)
        tag = None if self._terse and _is_left_out(message, violation) else violation.tag
        if reason_max < 0 and tag is not None:
            text += f" ({tag})"  # which has no field of its own there
        fields += ((Tag.RefSeqNum, str(message.seq)), (Tag.Text, text))
        if reason_max >= 0:
            if tag is not None:
                fields.append((Tag.RefTagID, str(tag)))
            fields.append((Tag.RefMsgType, message.type))
        if violation.reason <= reason_max:
            fields.append((Tag.SessionRejectReason, str(int(violation.reason))))
        return fields

    def replay(
        self, begin: int, end: int, stored: Iterable[Stored], now_ns: int, next_in: int
    ) -> Iterator[bytes]:
        """begin..end again: what is `stored` (ascending) with PossDupFlag, the runs between as gap fills."""
        at = begin
        for message in stored:
            if message.seq > at:
                yield self._gap_fill(at, message.seq, now_ns, next_in)
            yield self._again(message, now_ns, next_in)
            at = message.seq + 1
        if at <= end:
            yield self._gap_fill(at, end + 1, now_ns, next_in)

    def _gap_fill(self, at: int, new: int, now_ns: int, next_in: int) -> bytes:
        fields = [(Tag.NewSeqNo, str(new)), (Tag.GapFillFlag, "Y")]
        return self.encode(MsgType.SequenceReset, at, fields, now_ns, next_in, self.time_text(now_ns))

    def _again(self, stored: Stored, now_ns: int, next_in: int) -> bytes:
        message = parse(stored.raw, self._empty_values)
        body = [field for field in message.fields[3:-1] if field[0] not in self._own_tags]
        return self.encode(message.type, stored.seq, body, now_ns, next_in, message.require(Tag.SendingTime))


def _is_left_out(message: Message, violation: Violation) -> bool:
    """Whether QuickFIX does not name the tag of this fault."""
    if is_reset(message):
        return violation.tag == Tag.NewSeqNo and violation.reason is RejectReason.VALUE_INCORRECT
    return violation.reason in (RejectReason.SENDING_TIME_ACCURACY, RejectReason.INVALID_MSG_TYPE)


def _tag(field: tuple[int, str]) -> int:
    return field[0]
