"""What a session looks at in every message before it takes it: version, number, names and times.

A message can be at fault in two ways: a `Violation` is answered with a Reject (3), an `Ending` ends the session.
"""

from __future__ import annotations

from typing import Final

from fix import timestamps
from fix.codec import SOH, Message, ParseError
from fix.session_config import SessionConfig
from fix.tags import MsgType, RejectReason, Tag
from fix.violation import Violation

# Enough for any number that FIX counts with, and for 64 bits.
_DIGITS_MAX: Final = 18


class Ending(Exception):
    """The session ends with a Logout that says why. `wait`: it gives the peer time to answer that."""

    def __init__(self, text: str, wait: bool = False) -> None:
        super().__init__(text)
        self.wait = wait


def check_header(config: SessionConfig, message: Message, now_ns: int) -> None:
    """BeginString, MsgSeqNum, CompIDs and SendingTime (FIX 4.4 vol. 2, "Message recovery"; session test cases
    2b to 2o). Raises Ending, Violation, MissingTag."""
    if message.fields[0][1] != config.begin_string:
        raise Ending("Incorrect BeginString", wait=True)
    seq = message.get(Tag.MsgSeqNum)
    if seq is None or not _is_number(seq) or (int(seq) < 1 and not is_reset(message)):
        raise Ending(f"MsgSeqNum (34) is {seq or 'missing'}; it must be a number from 1")
    target, sender = message.require(Tag.SenderCompID), message.require(Tag.TargetCompID)
    if (sender, target) != (config.sender, config.target):
        raise Violation(RejectReason.COMP_ID_PROBLEM, fatal=True)
    sending_ns = time_of(message, Tag.SendingTime)
    if 0 < config.sending_time_skew_ns_max < abs(sending_ns - now_ns):
        raise Violation(RejectReason.SENDING_TIME_ACCURACY, Tag.SendingTime, fatal=True)


def check_orig_sending_time(message: Message) -> None:
    """A possible duplicate says when it was first sent: before it was sent now. Raises Violation, MissingTag."""
    if message.type == MsgType.SequenceReset:
        return  # vol. 2: a gap fill need not say when it was first sent, for it never was
    if time_of(message, Tag.OrigSendingTime) > time_of(message, Tag.SendingTime):
        raise Violation(RejectReason.SENDING_TIME_ACCURACY, Tag.OrigSendingTime, fatal=True)


def is_reset(message: Message) -> bool:
    """A SequenceReset in its reset mode, whose own MsgSeqNum is ignored."""
    return message.type == MsgType.SequenceReset and message.get(Tag.GapFillFlag) != "Y"


def int_of(message: Message, tag: int) -> int:
    """The number in `tag`. Raises MissingTag, Violation."""
    text = message.require(tag)
    if not _is_number(text):
        raise Violation(RejectReason.INCORRECT_DATA_FORMAT, tag)
    return int(text)


def time_of(message: Message, tag: int) -> int:
    """The time in `tag` in nanoseconds since 1970. Raises MissingTag, Violation."""
    try:
        return timestamps.parse_ns(message.require(tag))
    except timestamps.TimestampError:
        raise Violation(RejectReason.INCORRECT_DATA_FORMAT, tag) from None


def salvage(frame: bytes, error: ParseError) -> tuple[Message, Violation]:
    """Of a frame with a right checksum and a bad field: what can be read, and what is wrong with the first
    field that can't."""
    readable = []
    bad: bytes | None = None
    for part in frame[:-1].split(SOH):
        tag, _, value = part.partition(b"=")
        if not tag.isdigit() or tag.startswith(b"0") or len(tag) > _DIGITS_MAX:
            bad = tag if bad is None else bad
        elif value:
            readable.append((int(tag), value.decode("latin-1")))
    message = Message(readable, frame)
    if error.empty_value:
        return message, Violation(RejectReason.TAG_WITHOUT_VALUE, error.tag)
    if bad is None:  # a data field that is not as long as the field before it says
        return message, Violation(RejectReason.INCORRECT_DATA_FORMAT, error.tag)
    text = bad.decode("latin-1")
    tag_number = int(text) if _is_number(text.removeprefix("-")) else None
    return message, Violation(RejectReason.INVALID_TAG_NUMBER, tag_number)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
