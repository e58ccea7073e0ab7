"""Money arithmetic, compiled: exact products through 128 bits. The twin of `core/units.py`, which is its oracle.

Always holds: no float, no wrap. A result that does not fit int64 is OVERFLOW, a value no amount can have.
Arguments are non-negative unless a function says otherwise.
"""

from __future__ import annotations

from typing import Final

from core.units import INT64_MAX
from shared_mem.atomics import multiply_wide
from shared_mem.jit import jit

OVERFLOW: Final = -INT64_MAX - 1

# NOTIONAL_DIVISOR = 10**10 = 2**10 * 5**10: shift by ten, then divide by 5**10, which is short enough for
# two steps of 32 bits each.
_SHIFT: Final = 10
_ODD: Final = 5**10
_LOW: Final = (1 << _SHIFT) - 1
_WORD: Final = 0xFFFFFFFF
_HALF: Final = 10**10 // 2


@jit
def _divide_notional(high: int, low: int) -> tuple[int, int]:
    """(high, low) / 10**10 as (quotient, remainder); the quotient is OVERFLOW when it does not fit."""
    if high >= 1 << 33:  # the quotient would be 2**97 / 10**10 > 2**63
        return OVERFLOW, 0
    rest = low & _LOW
    shifted_low = ((low >> _SHIFT) & ((1 << (64 - _SHIFT)) - 1)) | (high & _LOW) << (64 - _SHIFT)
    shifted_high = high >> _SHIFT
    # The quotient fits while the dividend is below 5**10 * 2**63.
    if shifted_high > _ODD >> 1 or (shifted_high == _ODD >> 1 and shifted_low < 0):
        return OVERFLOW, 0
    step = shifted_high << 32 | ((shifted_low >> 32) & _WORD)
    top = step // _ODD
    step = (step - top * _ODD) << 32 | (shifted_low & _WORD)
    bottom = step // _ODD
    return (top << 32) + bottom, (step - bottom * _ODD) << _SHIFT | rest


@jit
def notional_e6(qty_e8: int, price_e8: int) -> int:
    """qty x price in money_e6, rounded half to even; OVERFLOW when it does not fit."""
    high, low = multiply_wide(qty_e8, price_e8)
    quotient, remainder = _divide_notional(high, low)
    if quotient != OVERFLOW and (remainder > _HALF or (remainder == _HALF and quotient & 1)):
        quotient += 1
    return quotient


@jit
def notional_up_e6(qty_e8: int, price_e8: int) -> int:
    """qty x price in money_e6, rounded up: what a reservation sets aside; OVERFLOW when it does not fit."""
    high, low = multiply_wide(qty_e8, price_e8)
    quotient, remainder = _divide_notional(high, low)
    if quotient != OVERFLOW and remainder > 0:
        quotient += 1
    return quotient


@jit
def share(amount: int, part: int, whole: int) -> int:
    """amount x part / whole, rounded half to even, for 0 <= part <= whole, whole > 0, amount >= 0: always fits.

    Long division, bit by bit: only a sale uses it, to take its share of a position's cost.
    """
    if part == whole:
        return amount
    high, low = multiply_wide(amount, part)
    quotient = 0
    remainder = high  # < whole, since amount * part < whole * 2**63
    for bit in range(63, -1, -1):
        # remainder < whole < 2**63, so the doubling needs 64 bits: compare before it is done.
        next_bit = (low >> bit) & 1
        quotient <<= 1
        if remainder >= whole - remainder or (remainder == whole - remainder - 1 and next_bit == 1):
            remainder = remainder - (whole - remainder) + next_bit
            quotient |= 1
        else:
            remainder = remainder + remainder + next_bit
    twice_is_more = remainder > whole - remainder
    if twice_is_more or (remainder == whole - remainder and quotient & 1):
        quotient += 1
    return quotient


@jit
def add(a: int, b: int) -> int:
    """a + b of any sign, or OVERFLOW."""
    total = a + b
    if (a >= 0) == (b >= 0) and (total >= 0) != (a >= 0):
        return OVERFLOW
    return total


@jit
def capped_difference(a: int, b: int) -> int:
    """a - b for any a and b >= 0; what would be below the least number is the least."""
    return a - b if a >= b - INT64_MAX else -INT64_MAX


@jit
def capped_sum(a: int, b: int) -> int:
    """a + b for a, b >= 0; what would be above the greatest number is the greatest."""
    return a + b if a <= INT64_MAX - b else INT64_MAX


@jit
def collar_up_e8(price_e8: int, bps: int) -> int:
    """price + bps/10000 of it, rounded down: the most a buyer pays. bps <= 10000."""
    return price_e8 + price_e8 // 10000 * bps + price_e8 % 10000 * bps // 10000


@jit
def collar_down_e8(price_e8: int, bps: int) -> int:
    """price - bps/10000 of it, rounded up: the least a seller takes. bps <= 10000."""
    return price_e8 - price_e8 // 10000 * bps - price_e8 % 10000 * bps // 10000
