"""Encoding by a template, compiled: what never changes in a message type is bytes that are there already.

    order = build("FIX.4.4", "D", [(34, Kind.INT), (49, "TRADEWIND"), (52, Kind.TIME_MS), (56, "SIMULATOR"), ...])
    values[order.slots[34]] = 7 ...
    start, length = encode(order.template, values, out, room)          # the message is out+start .. +length

A template is a list of steps: some literal bytes, the next field's number among them, then one value. BodyLength
(9) goes right before the body when that is written, so a message begins somewhere in the first HEAD_ROOM bytes.

Always holds: a message is written whole or not at all, its BodyLength and CheckSum right; nothing is written
outside out..out+room. A text with SOH in it, an empty one, or too little room is an answer, not a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from fix.wire.frame import EQUALS, SOH, TRAILER_BYTES, ZERO, byte_sum, find_byte
from fix.wire.tokens import Array
from fix.wire.values import BAD
from shared_mem.atomics import load_i64, load_u8, store_i64, store_u8, store_u16
from shared_mem.jit import jit

# As a value: this field is left out.
ABSENT: Final = BAD

# What `encode` answers instead of a length.
NO_ROOM: Final = -1
BAD_VALUE: Final = -2

# "8=FIXT.1.1|9=99999|" is 19 bytes; a BeginString of 16 characters still fits.
HEAD_ROOM: Final = 32
_HEAD_LITERAL_MAX: Final = HEAD_ROOM - 6
# Literals and texts are copied in words of eight bytes: up to seven more are written than there are, over what is
# written next. With this much room left behind a field they stay inside.
SLACK: Final = 8
_BODY_LENGTH_MAX: Final = 99_999

# The two digits of 0..99 as they stand in memory.
_PAIRS: Final = np.frombuffer(b"".join(b"%02d" % i for i in range(100)), np.dtype("<u2"))
_POINT: Final = ord(".")
_MINUS: Final = ord("-")
_COLON: Final = ord(":")
_YES: Final = ord("Y")
_NO: Final = ord("N")
_NS_PER_S: Final = 1_000_000_000
_E8: Final = 100_000_000
_SECOND_CHARACTERS: Final = 17


class Kind(IntEnum):
    """What a step writes behind its literal. TEXT and DATA take two values: address and length."""

    NOTHING = 0
    INT = 1  # an int64, in decimal
    E8 = 2  # an int64 of 10**-8, in the shortest decimal form
    CHAR = 3  # one byte
    BOOL = 4  # 0: N, else Y
    TIME_S = 5  # ns since 1970, cut to its precision
    TIME_MS = 6
    TIME_US = 7
    TIME_NS = 8
    TEXT = 9  # bytes without SOH
    DATA = 10  # any bytes; the field before it must say how many


# The most that a value takes, TEXT and DATA apart.
_WIDTH_MAX: Final = 32

# literal: where in Template.literals; slot: where in the values.
STEP: Final = np.dtype([("kind", "i4"), ("literal", "i4"), ("literal_length", "i4"), ("slot", "i4")])


class Template(NamedTuple):
    """steps[0] is "8=…|9=". `second` remembers the last second that was written as text: its number, then 24
    bytes of text. It is the writer's own, so a template has one writer."""

    steps: Array
    literals: Array
    second: Array


class Built(NamedTuple):
    """slots: tag -> where its value goes; values: an array of the right size, all ABSENT."""

    template: Template
    slots: dict[int, int]
    values: Array


class TemplateError(ValueError):
    """A template that can't be: the text names the field."""


def build(begin_string: str, msg_type: str, fields: Sequence[tuple[int, str | Kind]]) -> Built:
    """The template of a message type. A field is a fixed text, or the Kind of what comes with each message.

    A fixed text is always written; a field whose value is ABSENT is not. Raises TemplateError.
    """
    steps: list[tuple[int, int, int, int]] = []
    literals = bytearray()
    slots: dict[int, int] = {}
    taken = 0

    def step(kind: Kind, literal: bytes, slot: int) -> None:
        steps.append((kind, len(literals), len(literal), slot))
        literals.extend(literal)

    head = f"8={begin_string}\x019=".encode("ascii")
    if len(head) > _HEAD_LITERAL_MAX:
        raise TemplateError(f"BeginString {begin_string!r} is longer than {_HEAD_LITERAL_MAX - 5} characters")
    step(Kind.NOTHING, head, 0)
    fixed = b""
    for tag, value in [(35, msg_type), *fields]:
        if not isinstance(value, Kind):
            if not value or "\x01" in value:
                raise TemplateError(f"tag {tag}: the fixed value {value!r} is empty or contains SOH")
            fixed += f"{int(tag)}={value}\x01".encode("latin-1")
            continue
        if tag in slots or value is Kind.NOTHING:
            raise TemplateError(f"tag {tag} comes twice, or as {value!r}")
        if fixed:
            step(Kind.NOTHING, fixed, 0)
            fixed = b""
        step(value, f"{int(tag)}=".encode("ascii"), taken)
        slots[tag] = taken
        taken += 2 if value in (Kind.TEXT, Kind.DATA) else 1
    if fixed:
        step(Kind.NOTHING, fixed, 0)
    room = np.zeros(len(literals) + SLACK, np.uint8)
    room[: len(literals)] = np.frombuffer(bytes(literals), np.uint8)
    template = Template(np.array(steps, STEP), room, np.full(4, -1, np.int64))
    return Built(template, slots, np.full(max(taken, 1), ABSENT, np.int64))


@jit
def _copy_words(target: int, source: int, length: int) -> None:
    """Copies `length` bytes and up to seven more; both sides must have them."""
    for at in range(0, length, 8):
        store_i64(target + at, load_i64(source + at))


@jit
def _copy_text(target: int, source: int, length: int) -> None:
    """Copies `length` bytes and no more: a text's end may be the end of its memory."""
    whole = length & ~7
    for at in range(0, whole, 8):
        store_i64(target + at, load_i64(source + at))
    for at in range(whole, length):
        store_u8(target + at, load_u8(source + at))


@jit
def _digits_of(value: int) -> int:
    """How many decimal digits `value` >= 0 has: 1..19."""
    digits = 1
    while value >= 10:
        value //= 10
        digits += 1
    return digits


@jit
def write_digits(at: int, value: int, digits: int) -> int:
    """The last `digits` of `value` >= 0, zeros before; the address behind them."""
    left = digits
    while left >= 2:
        hundredth = value // 100
        left -= 2
        store_u16(at + left, _PAIRS[value - hundredth * 100])  # 0..99
        value = hundredth
    if left == 1:
        store_u8(at, ZERO + value % 10)
    return at + digits


@jit
def write_int(at: int, value: int) -> int:
    """`value` > -2**63 in decimal, at most 20 bytes; the address behind it."""
    if value < 0:
        store_u8(at, _MINUS)
        at += 1
        value = -value
    return write_digits(at, value, _digits_of(value))


@jit
def write_e8(at: int, value: int) -> int:
    """`value` > -2**63 times 10**-8 in its shortest form, at most 21 bytes; the address behind it."""
    if value < 0:
        store_u8(at, _MINUS)
        at += 1
        value = -value
    whole = value // _E8
    places = value - whole * _E8
    at = write_digits(at, whole, _digits_of(whole))
    if places == 0:
        return at
    store_u8(at, _POINT)
    digits = 8
    while places % 10 == 0:
        places //= 10
        digits -= 1
    return write_digits(at + 1, places, digits)


@jit
def _write_second(at: int, second: int) -> None:
    """YYYYMMDD-HH:MM:SS of `second` >= 0 since 1970, up to the year 9999."""
    days = second // 86_400
    of_day = second - days * 86_400
    # The year begins in March here, so that the leap day is its last (see values.days_since_1970).
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 3 if march_month < 10 else march_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    write_digits(at, year, 4)
    write_digits(at + 4, month, 2)
    write_digits(at + 6, day, 2)
    store_u8(at + 8, _MINUS)
    write_digits(at + 9, of_day // 3600, 2)
    store_u8(at + 11, _COLON)
    write_digits(at + 12, of_day // 60 % 60, 2)
    store_u8(at + 14, _COLON)
    write_digits(at + 15, of_day % 60, 2)


@jit
def write_time(at: int, ns: int, digits: int, remembered: Array) -> int:
    """UTCTimestamp of `ns` >= 0, cut to `digits` (0, 3, 6 or 9) of fraction; the address behind it. Writes up to
    24 bytes, whatever `digits`."""
    second = ns // _NS_PER_S
    text = remembered.ctypes.data + 8
    if remembered[0] != second:
        _write_second(text, second)
        remembered[0] = second
    _copy_words(at, text, _SECOND_CHARACTERS)
    at += _SECOND_CHARACTERS
    if digits == 0:
        return at
    store_u8(at, _POINT)
    fraction = ns - second * _NS_PER_S
    for _ in range(3 - digits // 3):
        fraction //= 1_000
    return write_digits(at + 1, fraction, digits)


@jit
def _write_value(at: int, kind: int, value: int, remembered: Array) -> int:
    """The address behind what was written: at most _WIDTH_MAX bytes; 0 when `value` has no such form."""
    if kind == Kind.INT:
        return write_int(at, value)
    if kind == Kind.E8:
        return write_e8(at, value)
    if kind == Kind.CHAR:
        if value <= SOH or value > 255:
            return 0
        store_u8(at, value)
        return at + 1
    if kind == Kind.BOOL:
        store_u8(at, _YES if value != 0 else _NO)
        return at + 1
    if value < 0:
        return 0
    return write_time(at, value, 3 * (kind - Kind.TIME_S), remembered)


@jit
def encode(template: Template, values: Array, out: int, room: int) -> tuple[int, int]:
    """(start, length) of the message in out..out+room, or (the step that failed, NO_ROOM or BAD_VALUE).

    values: what `build` gave, filled in.
    """
    steps = template.steps
    literals = template.literals.ctypes.data
    limit = out + room
    body = out + HEAD_ROOM
    at = body
    for i in range(1, steps.size):
        step = steps[i]
        kind = step.kind
        value = 0 if kind == Kind.NOTHING else values[step.slot]
        if value == ABSENT:
            continue
        bytes_of_text = 0
        if kind == Kind.TEXT or kind == Kind.DATA:
            bytes_of_text = values[step.slot + 1]
            if bytes_of_text <= 0 or bytes_of_text > room:
                return i, BAD_VALUE if bytes_of_text <= 0 else NO_ROOM
        # All that this step writes, and the trailer behind it, ends at `limit` at most.
        if at + step.literal_length + bytes_of_text + _WIDTH_MAX + SLACK + TRAILER_BYTES > limit:
            return i, NO_ROOM
        _copy_words(at, literals + step.literal, step.literal_length)  # literals end with SLACK
        at += step.literal_length
        if kind == Kind.NOTHING:
            continue
        if bytes_of_text > 0:
            if kind == Kind.TEXT and find_byte(value, 0, bytes_of_text, SOH) != bytes_of_text:
                return i, BAD_VALUE
            _copy_text(at, value, bytes_of_text)
            at += bytes_of_text
        else:
            at = _write_value(at, kind, value, template.second)
            if at == 0:
                return i, BAD_VALUE
        store_u8(at, SOH)
        at += 1
    return _close(template, out, body, at)


@jit
def _close(template: Template, out: int, body: int, end: int) -> tuple[int, int]:
    """Head before the body and trailer behind it; `encode` has seen that there is room for the trailer."""
    body_length = end - body
    if body_length <= 0 or body_length > _BODY_LENGTH_MAX:
        return 0, NO_ROOM
    # literal + 5 digits + SOH <= HEAD_ROOM: `build` has seen to it.
    digits = _digits_of(body_length)
    literal_length = template.steps[0].literal_length
    begin = body - 1 - digits - literal_length
    _copy_text(begin, template.literals.ctypes.data, literal_length)
    write_digits(body - 1 - digits, body_length, digits)
    store_u8(body - 1, SOH)
    total = byte_sum(begin, end - begin)
    store_u8(end, ZERO + 1)
    store_u8(end + 1, ZERO)
    store_u8(end + 2, EQUALS)
    write_digits(end + 3, total, 3)
    store_u8(end + 6, SOH)
    return begin - out, end + TRAILER_BYTES - begin
