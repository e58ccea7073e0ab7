"""tag=value: where a message begins and ends in a stream of bytes, what its fields are, and how it is
written.

Always holds here: what `encode` writes, `Framer` and `parse` read back, field for field and byte for byte. A
frame that leaves `Framer` has BeginString first, then BodyLength, both right, and a right CheckSum (FIX 4.4
vol. 2, "Message format"). Anything else is garbled and is dropped up to the next place where a message may
begin, so one bad message never costs the good one behind it. Text is latin-1: every byte stands for itself.

Must not do: know a session, a clock or a socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import adler32

from fix.data_fields import DATA_FIELDS
from fix.tags import Tag

SOH: Final = b"\x01"

# Order messages take some 200 bytes. 64 KiB leaves room for the longest News or list that a venue sends, and
# bounds what a peer can make us hold.
MESSAGE_BYTES_MAX: Final = 64 * 1024

# "8=FIXT.1.1|9=65536|" and some room: with no BodyLength within so many bytes it is not a message.
HEAD_BYTES_MAX: Final = 40
_TRAILER_BYTES: Final = len(b"10=000\x01")
_BEGIN: Final = b"8=FIX"

TAG_MAX: Final = 2**31 - 1
_TAG_DIGITS_MAX: Final = len(str(TAG_MAX))
_LENGTH_DIGITS_MAX: Final = 9  # more than any message has
# Password 554, NewPassword 925, their encrypted forms 1402 and 1404, and RawData 96, in which venues take signatures
# and passwords: never shown in a log.
SECRET_TAGS: Final = frozenset((96, 554, 925, 1402, 1404))
HIDDEN: Final = "***"

Field = tuple[int, str]


class ParseError(ValueError):
    """A frame whose fields can't be read. `tag` and `reason` are what a Reject (3) reports of it."""

    def __init__(self, text: str, tag: int, empty_value: bool = False) -> None:
        super().__init__(text)
        self.tag = tag
        self.empty_value = empty_value


class MissingTag(ValueError):
    """A message without a tag that its reader needs."""

    def __init__(self, tag: int, msg_type: str) -> None:
        super().__init__(f"tag {tag} is missing in a message of type {msg_type!r}; send it")
        self.tag = int(tag)


class EncodeError(ValueError):
    """A field that has no form in tag=value: an empty value, or one with SOH in it that is no data field."""


class Message:
    """One message: its type, and its fields in the order in which they came, header and trailer too.

    `raw` is the whole frame. A tag that comes more than once (a group) is read first; `fields` has them all.
    """

    __slots__ = ("fields", "raw", "type")

    def __init__(self, fields: list[Field], raw: bytes = b"") -> None:
        self.fields = fields
        self.raw = raw
        self.type = self.get(Tag.MsgType) or ""

    def get(self, tag: int) -> str | None:
        for number, value in self.fields:
            if number == tag:
                return value
        return None

    def require(self, tag: int) -> str:
        """The value of `tag`. Raises MissingTag."""
        value = self.get(tag)
        if value is None:
            raise MissingTag(tag, self.type)
        return value

    @property
    def seq(self) -> int:
        """MsgSeqNum (34). Raises MissingTag, or ValueError when it is not a number."""
        return int(self.require(Tag.MsgSeqNum))

    @property
    def poss_dup(self) -> bool:
        return self.get(Tag.PossDupFlag) == "Y"

    def __repr__(self) -> str:
        """For logs: on one line, and what is secret is not in it."""
        shown = (f"{tag}={HIDDEN if tag in SECRET_TAGS else value}" for tag, value in self.fields)
        return printable("|".join(shown))


def printable(text: str) -> str:
    """`text` with '.' for each character that would break a line of a log, or that a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "." for c in text)


def check_sum(data: bytes | memoryview) -> int:
    """CheckSum (10): the sum of all bytes, modulo 256.

    Adler-32 is taken for its low half, which is one more than the sum while that is under 65,521: so it is for 256
    bytes. It adds them in C; `sum` makes an object of each.
    """
    total = 0
    for at in range(0, len(data), 256):
        total += (adler32(data[at : at + 256]) & 0xFFFF) - 1
    return total & 255


def parse(frame: bytes, empty_values: bool = False) -> Message:
    """The message in one frame. Raises ParseError for a field without a tag number, or (unless `empty_values`)
    without a value, and for a data field that is not as long as the field before it says."""
    fields: list[Field] = []
    data_tag = length = 0
    parts = iter(frame[:-1].decode("latin-1").split("\x01"))
    for part in parts:
        number, equals, value = part.partition("=")
        tag = _TAGS.get(number) or _rare_tag(number, part)
        if tag == data_tag and equals:
            value = _whole_data(tag, value, length, parts)
        if not value and not (empty_values and equals):
            raise ParseError(f"tag {tag} has no value", tag, empty_value=bool(equals))
        fields.append((tag, value))
        if tag in DATA_FIELDS and value.isascii() and value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX:
            data_tag, length = DATA_FIELDS[tag], int(value)
        else:
            data_tag = 0
    return Message(fields, frame)


# Looked up, a tag's number costs a third of reading it.
_TAGS: Final = {str(tag): tag for tag in range(1, 10_000)}


def _rare_tag(number: str, part: str) -> int:
    good = number.isascii() and number.isdigit() and len(number) <= _TAG_DIGITS_MAX
    if not good or number.startswith("0") or int(number) > TAG_MAX:
        tag = int(number) if good and int(number) <= TAG_MAX else 0
        # Only its beginning is told: what stands behind may be a part of a password.
        raise ParseError(f"{part[:10]!r} does not begin with a tag number and '='", tag)
    return int(number)


def _whole_data(tag: int, value: str, length: int, parts: Iterator[str]) -> str:
    """A data field's value, put together again where it was split at the SOH in it."""
    while len(value) < length and (more := next(parts, None)) is not None:
        value = f"{value}\x01{more}"
    if len(value) != length:
        raise ParseError(f"tag {tag} is not the {length} bytes long that the field before it says", tag)
    return value


def encode(begin_string: str, fields: Iterable[tuple[int, str]], empty_values: bool = False) -> bytes:
    """The frame of `fields`, which begin with MsgType (35): 8 and 9 are put before them, 10 after.

    Raises EncodeError for an empty value (unless `empty_values`), for one with SOH in it that is no data field behind
    its length field, and for a data field of another length; never sends half a message.
    """
    parts = []
    data_tag, length = 0, ""
    for tag, value in fields:
        if tag == data_tag:
            if str(len(value)) != length:
                raise EncodeError(
                    f"tag {int(tag)}: value of {len(value)} bytes; the field before says {length!r}"
                )
        elif "\x01" in value:
            shown = HIDDEN if tag in SECRET_TAGS else repr(value)
            raise EncodeError(f"tag {int(tag)}: value {shown} contains SOH")
        if not value and not empty_values:
            raise EncodeError(f"tag {int(tag)}: value is empty; leave the field out")
        parts.append(f"{int(tag)}={value}\x01")
        data_tag, length = DATA_FIELDS.get(tag, 0), value
    try:
        body = "".join(parts).encode("latin-1")
    except UnicodeEncodeError as error:
        raise EncodeError(
            f"{error.object[error.start]!r} has no latin-1 byte; FIX text is one byte a letter"
        ) from None
    head = f"8={begin_string}\x019={len(body)}\x01".encode("ascii") + body
    return head + f"10={check_sum(head):03d}\x01".encode("ascii")


class Framer:
    """Cuts a stream into frames. Feed it what the socket gave; iterate for the frames that are whole.

    Never holds more than MESSAGE_BYTES_MAX and one read. `garbled` counts what was dropped, in messages or
    runs of bytes that were none.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbled = 0

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def __iter__(self) -> Iterator[bytes]:
        while (frame := self.next_frame()) is not None:
            yield frame

    def next_frame(self) -> bytes | None:
        """The next whole frame, or None until more bytes are fed."""
        while self._at_begin():
            end = self._end_of_frame()
            if end is None:
                return None
            if end > 0:
                frame = bytes(self._buffer[:end])
                del self._buffer[:end]
                return frame
            self.garbled += 1
            self._skip(-end)
        return None

    def rest(self) -> bytes:
        """What was fed and not given out, for another Framer to go on with."""
        return bytes(self._buffer)

    def emptied(self) -> Framer:
        """A new one that has counted as much."""
        new = Framer()
        new.garbled = self.garbled
        return new

    def _at_begin(self) -> bool:
        """Whether the buffer begins as a message does, after dropping what does not."""
        if self._buffer and not _BEGIN.startswith(self._buffer[: len(_BEGIN)]):
            self.garbled += 1
            self._skip(0)
        return len(self._buffer) >= len(_BEGIN)

    def _skip(self, end: int) -> None:
        """Drops all up to the next possible beginning: 8=FIX after SOH, or at `end`, where BodyLength says."""
        at = self._buffer.find(SOH + _BEGIN) + 1
        if end > 0 and self._buffer.startswith(_BEGIN, end) and (at == 0 or end < at):
            at = end
        if at > 0:
            del self._buffer[:at]
            return
        # A beginning may be cut by the end of the read: keep as much of the tail as may be one.
        cut = SOH + _BEGIN
        for kept in range(min(len(cut) - 1, len(self._buffer)), 0, -1):
            if self._buffer.endswith(cut[:kept]):
                del self._buffer[: len(self._buffer) - kept + 1]
                return
        self._buffer.clear()

    def _end_of_frame(self) -> int | None:
        """Length of the frame at the buffer's start; None when it is not all there yet; negative when it is
        garbled: minus the length that it claims, or -1."""
        buffer = self._buffer
        soh = buffer.find(SOH, 0, HEAD_BYTES_MAX)
        length_end = buffer.find(SOH, soh + 1, HEAD_BYTES_MAX) if soh >= 0 else -1
        if length_end < 0:
            return None if len(buffer) < HEAD_BYTES_MAX else -1
        digits = bytes(buffer[soh + 3 : length_end])
        if buffer[soh + 1 : soh + 3] != b"9=" or not digits.isdigit() or int(digits) > MESSAGE_BYTES_MAX:
            return -1
        body_end = length_end + 1 + int(digits)
        end = body_end + _TRAILER_BYTES
        if buffer[length_end + 1 : length_end + 4] != b"35="[: max(0, len(buffer) - length_end - 1)]:
            return -1
        if len(buffer) < end:
            return None
        trailer = b"10=%03d\x01" % check_sum(memoryview(buffer)[:body_end])
        if buffer[body_end - 1] != SOH[0] or buffer[body_end:end] != trailer:
            return -end
        return end
