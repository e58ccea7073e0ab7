"""Where a message begins and ends in received bytes, compiled: the same answers as `fix.codec.Framer`.

    taken = frame(address, length)
    taken > 0   the first `taken` bytes are one whole message: BodyLength and CheckSum are right
    taken == 0  it is not all there yet: read more
    taken < 0   garbled: drop -taken bytes and ask again

Always holds: every answer but 0 makes progress, and |taken| <= length, so a caller that drops what it was told
to never loops and never runs past the end. Every load below is of base + i with 0 <= i < length; the comments
beside the loads say why.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fix.codec import HEAD_BYTES_MAX, MESSAGE_BYTES_MAX
from shared_mem.atomics import load_i64, load_u8, match_64, trailing_zeros
from shared_mem.jit import jit

SOH: Final = 1
EQUALS: Final = ord("=")
ZERO: Final = ord("0")
_ONE: Final = ord("1")
_NINE: Final = ord("9")

BEGIN: Final = np.frombuffer(b"8=FIX", np.uint8)
MSG_TYPE: Final = np.frombuffer(b"35=", np.uint8)
TRAILER_BYTES: Final = len(b"10=000\x01")

# A word's bytes, in two halves of four 16-bit lanes each.
_LANES: Final = 0x00FF00FF00FF00FF
# A word adds at most 2 x 255 to a lane of 16 bits: after 32 words all four lanes together still fit one lane.
_LANE_BYTES: Final = 32 * 8
_SUM_LANES: Final = 0x0001000100010001


@jit
def byte_sum(base: int, length: int) -> int:
    """The sum of `length` bytes, modulo 256: CheckSum (10)."""
    total = 0
    at = 0
    while at + 8 <= length:
        lanes = 0
        stop = min(length - 7, at + _LANE_BYTES)
        while at < stop:  # at <= length - 8: the word ends at length at most
            word = load_i64(base + at)
            lanes += (word & _LANES) + ((word >> 8) & _LANES)
            at += 8
        total += (lanes * _SUM_LANES) >> 48  # the top lane has the sum of all four; its sign is cut off below
    while at < length:
        total += load_u8(base + at)
        at += 1
    return total & 255


@jit
def soh_bits(base: int, at: int, length: int) -> int:
    """Bit i is set where byte at + i is SOH, for the 64 bytes from `at`; beyond `length` no bit is.

    0 <= at, and at + 64 <= length unless at == 0 and length < 64.
    """
    if at + 64 <= length:
        return match_64(base + at, SOH)
    found = 0
    for i in range(length):
        if load_u8(base + i) == SOH:
            found |= 1 << i
    return found


@jit
def find_byte(base: int, at: int, end: int, byte: int) -> int:
    """Index of the first `byte` in at..end, or `end`. at >= 0."""
    while at + 64 <= end:  # the 64 bytes end at `end` at most
        found = match_64(base + at, byte)
        if found != 0:
            return at + trailing_zeros(found)
        at += 64
    while at < end:
        if load_u8(base + at) == byte:
            return at
        at += 1
    return end


@jit
def _begins(base: int, at: int, length: int) -> bool:
    """Whether the bytes from `at` are 8=FIX, or as much of it as there is."""
    for i in range(min(BEGIN.size, length - at)):  # at + i < length
        if load_u8(base + at + i) != BEGIN[i]:
            return False
    return True


@jit
def _drop(base: int, length: int, claimed: int) -> int:
    """Minus the bytes up to the next place where a message may begin: 8=FIX behind SOH, or at `claimed`, the
    end that the garbled message's own BodyLength says, unless that is 1: it says none. length > 0."""
    at = 0
    while True:
        soh = find_byte(base, at, length, SOH)
        if soh == length:
            break
        at = soh + 1
        if _begins(base, at, length):  # nothing is left behind SOH, or a part of 8=FIX: keep that
            break
    else_at = at if at > 0 and _begins(base, at, length) else length
    if 1 < claimed < else_at and claimed + BEGIN.size <= length and _begins(base, claimed, length):
        return -claimed
    return -else_at


# What `_measure` answers for a message that is garbled and does not say where it ends.
_GARBLED: Final = -1


@jit
def _measure(base: int, length: int) -> int:
    """Length of the message at `base`, which begins with 8=FIX; 0 for not yet; for a garbled one minus the
    length that it claims, or _GARBLED."""
    found = soh_bits(base, 0, length)
    soh = trailing_zeros(found)
    length_end = trailing_zeros(found & (found - 1))
    if length_end >= HEAD_BYTES_MAX:  # no BodyLength so far
        return 0 if length < HEAD_BYTES_MAX else _GARBLED
    # Here soh < length_end < HEAD_BYTES_MAX, and both are SOH that was read: under `length`.
    digits = soh + 3
    if length_end <= digits or load_u8(base + soh + 1) != _NINE or load_u8(base + soh + 2) != EQUALS:
        return _GARBLED
    body_length = 0
    for at in range(digits, length_end):
        digit = load_u8(base + at) - ZERO
        if digit < 0 or digit > 9:
            return _GARBLED
        body_length = body_length * 10 + digit
        if body_length > MESSAGE_BYTES_MAX:  # before it can overflow
            return _GARBLED
    body = length_end + 1
    for i in range(min(MSG_TYPE.size, length - body)):  # body + i < length
        if load_u8(base + body + i) != MSG_TYPE[i]:
            return _GARBLED
    body_end = body + body_length
    end = body_end + TRAILER_BYTES
    if length < end:
        return 0
    # Here everything up to `end` is inside, and body_end - 1 >= length_end > 0.
    total = byte_sum(base, body_end)
    right = (
        load_u8(base + body_end - 1) == SOH
        and load_u8(base + body_end) == _ONE
        and load_u8(base + body_end + 1) == ZERO
        and load_u8(base + body_end + 2) == EQUALS
        and load_u8(base + body_end + 3) == ZERO + total // 100
        and load_u8(base + body_end + 4) == ZERO + total // 10 % 10
        and load_u8(base + body_end + 5) == ZERO + total % 10
        and load_u8(base + body_end + 6) == SOH
    )
    return end if right else -end


@jit
def frame(base: int, length: int) -> int:
    """Length of the message that stands at `base`, 0 for not yet, or minus the bytes to drop; see above."""
    if length <= 0:
        return 0
    measured = _GARBLED
    if _begins(base, 0, length):
        measured = 0 if length < BEGIN.size else _measure(base, length)
    return measured if measured >= 0 else _drop(base, length, -measured)
