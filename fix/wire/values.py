"""What a field's bytes say, compiled: numbers, times, characters, straight from the frame.

Always holds: exact or BAD, never rounded, never wrapped. The bytes address..address+length are the caller's to be
there (a token's value always is), and no other is read: every index below is under `length`.
"""

from __future__ import annotations

from typing import Final

from fix.wire.frame import ZERO
from fix.wire.tokens import digits_value
from shared_mem.atomics import load_i64, load_u8
from shared_mem.jit import jit

# What no field can say: one below the least number that is read.
BAD: Final = -(2**63)

_MINUS: Final = ord("-")
_PLUS: Final = ord("+")
_POINT: Final = ord(".")
# In HH:MM:SS as a word: where the colons are, that they are there, and what makes zeros of them.
_COLONS_MASK: Final = 0x0000FF0000FF0000
_COLONS: Final = 0x00003A00003A0000
_COLONS_TO_ZEROS: Final = 0x00000A00000A0000
_YES: Final = ord("Y")
_NO: Final = ord("N")

# Nineteen digits may not fit in int64, eighteen do.
_DIGITS_MAX: Final = 18
E8_PLACES: Final = 8
# |number| < 10**10 times 10**8 is the last power of ten that int64 holds.
_WHOLE_DIGITS_MAX: Final = 10

_NS_PER_S: Final = 1_000_000_000
_SECOND_CHARACTERS: Final = len("YYYYMMDD-HH:MM:SS")
# 2**63 ns since 1970 end in April 2262.
_YEAR_MIN: Final = 1970
_YEAR_MAX: Final = 2261


@jit
def read_int(address: int, length: int) -> int:
    """FIX int: an optional '-' and at most 18 digits that count; BAD otherwise."""
    at = 1 if length > 0 and load_u8(address) == _MINUS else 0
    negative = at == 1
    if at == length or length <= 0:
        return BAD
    value = 0
    counting = 0
    while at < length:
        digit = load_u8(address + at) - ZERO
        if digit < 0 or digit > 9:
            return BAD
        if value > 0 or digit > 0:
            counting += 1
            if counting > _DIGITS_MAX:
                return BAD
        value = value * 10 + digit
        at += 1
    return -value if negative else value


@jit
def read_e8(address: int, length: int) -> int:
    """A price or a quantity as an integer of 10**-8: sign, digits, point, digits, as `core.units` reads it.

    BAD for more than eight places that are not 0, for ten billion or more, and for what is no number.
    """
    if length <= 0:
        return BAD
    first = load_u8(address)
    at = 1 if first == _MINUS or first == _PLUS else 0
    value = 0
    whole = 0
    seen = 0
    places = -1  # before the point
    while at < length:
        byte = load_u8(address + at)
        at += 1
        if byte == _POINT and places < 0:
            places = 0
            continue
        digit = byte - ZERO
        if digit < 0 or digit > 9:
            return BAD
        seen += 1
        if places < 0:
            if value > 0 or digit > 0:
                whole += 1
            if whole > _WHOLE_DIGITS_MAX:
                return BAD
        elif places == E8_PLACES:
            if digit != 0:
                return BAD
            continue
        else:
            places += 1
        value = value * 10 + digit
    if seen == 0:
        return BAD
    for _ in range(E8_PLACES - max(places, 0)):
        value *= 10
    return -value if first == _MINUS else value


@jit
def read_char(address: int, length: int) -> int:
    """The byte of a char field; BAD when it is not one byte."""
    return load_u8(address) if length == 1 else BAD


@jit
def read_bool(address: int, length: int) -> int:
    """1 for Y, 0 for N, else BAD."""
    byte = load_u8(address) if length == 1 else 0
    if byte == _YES:
        return 1
    return 0 if byte == _NO else BAD


@jit
def days_since_1970(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar, for year >= 1970. The year begins in March here, so that
    the leap day is its last."""
    march_year = year - 1 if month <= 2 else year
    march_month = month + 9 if month <= 2 else month - 3
    era = march_year // 400
    of_era = march_year - era * 400
    day_of_year = (153 * march_month + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + day_of_year - 719_468


@jit
def days_of_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@jit
def read_utc_ns(address: int, length: int) -> int:
    """UTCTimestamp with 0, 3, 6 or 9 digits of fraction as ns since 1970, to 2261; BAD otherwise.

    As `fix.timestamps.parse_ns`: a leap second (":60") is the last of its minute and one more.
    """
    fraction_digits = length - _SECOND_CHARACTERS - 1
    if fraction_digits != -1 and fraction_digits != 3 and fraction_digits != 6 and fraction_digits != 9:
        return BAD
    # All 17 characters are there: eight of the date, '-', eight of the time.
    date = digits_value(load_i64(address))
    clock = load_i64(address + 9)
    if date < 0 or load_u8(address + 8) != _MINUS or (clock & _COLONS_MASK) != _COLONS:
        return BAD
    time = digits_value(clock ^ _COLONS_TO_ZEROS)  # HH0MM0SS
    year, month, day = date // 10_000, date // 100 % 100, date % 100
    hour, minute, second = time // 1_000_000, time // 1_000 % 100, time % 100
    if year < _YEAR_MIN or year > _YEAR_MAX or month < 1 or month > 12 or day < 1:
        return BAD
    if day > days_of_month(year, month) or time < 0 or hour > 23 or minute > 59 or second > 60:
        return BAD
    fraction_ns = 0
    if fraction_digits > 0:
        if load_u8(address + _SECOND_CHARACTERS) != _POINT:
            return BAD
        for i in range(fraction_digits):  # the last is at length - 1
            digit = load_u8(address + _SECOND_CHARACTERS + 1 + i) - ZERO
            if digit < 0 or digit > 9:
                return BAD
            fraction_ns = fraction_ns * 10 + digit
        for _ in range(3 - fraction_digits // 3):
            fraction_ns *= 1_000
    seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * _NS_PER_S + fraction_ns
