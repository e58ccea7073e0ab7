"""The fields of one frame as a table of (tag, offset, length), compiled: nothing is copied.

Always holds: a token's value lies inside the frame and is not empty; tags are 1..2**31-1 without leading zeros;
the value of a data field (96 RawData, 355 EncodedText, …) is as long as the length field right before it says,
whatever is in it, SOH too (FIX 4.4 vol. 1, "Data fields"). A data field without its length field before it
ends at SOH as any other does.

Must not do: know which tags a message may have. That is the dictionary's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from fix.data_fields import DATA_FIELDS
from fix.wire.frame import EQUALS, SOH, ZERO, soh_bits
from shared_mem.atomics import load_i64, load_u8, trailing_zeros
from shared_mem.jit import jit

Array = np.ndarray[Any, np.dtype[Any]]

# offset: of the value, from the frame's beginning.
TOKEN: Final = np.dtype([("tag", "i4"), ("offset", "i4"), ("length", "i4")])

# A frame has at most MESSAGE_BYTES_MAX / 4 fields ("1=x" and SOH). 2,048 is beyond what a venue's longest list or
# market data message holds; a longer one is for the Python session.
TOKENS_MAX: Final = 2048
TAG_MAX: Final = 2**31 - 1
_TAG_DIGITS_MAX: Final = 10

# What `tokenise` answers instead of a count. Row 0 of the table then has the tag (0 when it can't be read), and
# the offset of the field.
BAD_TAG: Final = -1
EMPTY_VALUE: Final = -2
BAD_DATA_LENGTH: Final = -3
TOO_MANY: Final = -4
UNTERMINATED: Final = -5

_EQUALS_EVERYWHERE: Final = 0x3D3D3D3D3D3D3D3D
_LOW_BITS: Final = 0x0101010101010101
_SEVEN_BITS: Final = 0x7F7F7F7F7F7F7F7F
_ZEROS: Final = 0x3030303030303030
_HIGH_NIBBLES: Final = 0xF0F0F0F0F0F0F0F0 - 2**64
_SIXES: Final = 0x0606060606060606
_THREES: Final = 0x3333333333333333


def token_table(capacity: int = TOKENS_MAX) -> Array:
    return np.zeros(capacity, TOKEN)


def data_table(pairs: Iterable[tuple[int, int]] = DATA_FIELDS.items()) -> Array:
    """(length tag, data tag) pairs as a table by length tag, as `tokenise` wants it; 0 elsewhere."""
    known = dict(pairs)
    table = np.zeros(max(known, default=0) + 1, np.int32)
    for length_tag, data_tag in known.items():
        table[length_tag] = data_tag
    table.flags.writeable = False
    return table


@jit
def digits_value(word: int) -> int:
    """The number that eight ASCII digits are, the first in the lowest byte; -1 when one is no digit.

    All eight at once: bytes in pairs, pairs in fours, fours in eight. No product reaches bit 63.
    """
    wrong = (word & _HIGH_NIBBLES) | (((word + _SIXES) & _HIGH_NIBBLES) >> 4 & 0x0F0F0F0F0F0F0F0F)
    if wrong != _THREES:
        return -1
    pairs = ((word & 0x0F0F0F0F0F0F0F0F) * (10 * 2**8 + 1)) >> 8
    fours = ((pairs & 0x00FF00FF00FF00FF) * (100 * 2**16 + 1)) >> 16
    return ((fours & 0x0000FFFF0000FFFF) * (10_000 * 2**32 + 1)) >> 32


@jit
def _slow_tag(base: int, at: int, length: int) -> int:
    """tag << 4 | its digits, byte by byte; 0 when there is no tag and '='."""
    tag = 0
    for digits in range(min(_TAG_DIGITS_MAX + 1, length - at)):
        byte = load_u8(base + at + digits)  # at + digits < length
        if byte == EQUALS:
            return tag << 4 | digits if 0 < tag <= TAG_MAX else 0
        digit = byte - ZERO
        if digit < 0 or digit > 9 or (tag == 0 and digit == 0):
            return 0
        tag = tag * 10 + digit
    return 0


@jit
def length_value(base: int, offset: int, length: int) -> int:
    """The number of at most nine digits at `offset`, or -1. The bytes are the caller's to be there."""
    if length > 9:
        return -1
    value = 0
    for i in range(length):
        digit = load_u8(base + offset + i) - ZERO
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@jit
def _fail(tokens: Array, why: int, tag: int, offset: int) -> int:
    if tokens.size > 0:
        tokens[0].tag, tokens[0].offset, tokens[0].length = tag, offset, 0
    return why


@jit
def tokenise(base: int, length: int, tokens: Array, data_of: Array) -> int:
    """Fills `tokens` (TOKEN rows) with the fields of the frame base..base+length; their count, or what is wrong.

    data_of: see `data_table`. SOH is looked for 64 bytes at a time: `found` has a bit for each SOH at or behind
    `at` in block..block+64.
    """
    count = 0
    at = 0
    block = -64
    found = 0
    data_tag = 0
    data_length = 0
    while at < length:
        if count == tokens.size:
            return _fail(tokens, TOO_MANY, 0, at)
        tag = 0
        digits = 0
        if at + 8 <= length:
            word = load_i64(base + at)
            unlike = word ^ _EQUALS_EVERYWHERE
            # The lowest byte that is 0 here is the first '='; what the borrow does above it does not matter.
            digits = trailing_zeros((unlike - _LOW_BITS) & ~unlike & ~_SEVEN_BITS) >> 3
            if 0 < digits < 8 and (word & 0xFF) != ZERO:
                # The digits move to the upper end and zeros fill the lower: both shifts are by 8..56 bits.
                tag = digits_value((word << (64 - 8 * digits)) | (_ZEROS >> (8 * digits)))
        if tag <= 0:
            slow = _slow_tag(base, at, length)
            tag, digits = slow >> 4, slow & 15
        if tag == 0:
            return _fail(tokens, BAD_TAG, 0, at)
        value = at + digits + 1  # behind '=', which was seen inside: value <= length
        if tag == data_tag:
            # Nothing is added before it is known to be inside: data_length < 10**9, no overflow.
            end = value + data_length
            if end >= length or load_u8(base + end) != SOH:
                return _fail(tokens, BAD_DATA_LENGTH, tag, at)
            block, found = end - 63, 0  # all SOH up to `end` are passed
        else:
            while found == 0 and block + 64 < length:
                ahead = block + 64  # all before it has been looked at
                block = max(0, min(ahead, length - 64))
                found = soh_bits(base, block, length) & (-1 << (ahead - block))  # 0 <= ahead - block < 64
            end = block + trailing_zeros(found) if found != 0 else length
            found &= found - 1
            if end >= length:
                return _fail(tokens, UNTERMINATED, tag, at)
        if end <= value:
            return _fail(tokens, EMPTY_VALUE, tag, at)
        token = tokens[count]  # count < tokens.size
        token.tag, token.offset, token.length = tag, value, end - value
        count += 1
        data_tag = data_of[tag] if tag < data_of.size else 0
        if data_tag != 0:
            data_length = length_value(base, value, end - value)
            if data_length < 0:  # no number: it says nothing about the field behind it
                data_tag = 0
        at = end + 1
    return count


@jit
def find(tokens: Array, count: int, tag: int, start: int) -> int:
    """Row of the first `tag` at or behind row `start`, else of the first before it, else -1.

    Messages of one type come with their fields in one order: a reader that starts behind what it found last finds
    the next one at once. count <= tokens.size, 0 <= start.
    """
    for i in range(min(start, count), count):
        if tokens[i].tag == tag:
            return i
    for i in range(min(start, count)):
        if tokens[i].tag == tag:
            return i
    return -1
