"""Fixed-point units: what a price, a quantity and an amount of money are, and how they multiply.

Always holds here: money, price and quantity are int64 with the scale in the name (`price_e8`, `qty_e8`,
`cash_e6`); nothing is ever a float; text becomes a number through `decimal`, exactly or not at all.
The compiled twin of `notional_e6` is in `core/money.py`; Python's integers here are its oracle.
"""

from __future__ import annotations

from decimal import Clamped, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from typing import Final

PRICE_SCALE: Final = 10**8
QTY_SCALE: Final = 10**8
MONEY_SCALE: Final = 10**6
# price_e8 * qty_e8 is e16; money is e6.
NOTIONAL_DIVISOR: Final = 10**10

INT64_MAX: Final = 2**63 - 1

# No desk sends more in one order: ten billion units, or a price of ten billion. Leaves 9x headroom in int64.
QTY_E8_MAX: Final = 10**10 * QTY_SCALE
PRICE_E8_MAX: Final = 10**10 * PRICE_SCALE

# Scaling in the default context would round a number of more than 28 digits, silently.
_EXACT: Final = Context(prec=64, traps=[Inexact, Overflow, Clamped, InvalidOperation])


class UnitError(ValueError):
    """A number that is not an exact, finite amount of its unit. The text says which and why."""


def to_fixed(value: Decimal | int | str, scale: int, name: str) -> int:
    """Exact fixed-point integer of `value` (`scale` is 10**decimals). Raises UnitError, never rounds."""
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError, TypeError):
        raise UnitError(f"{name} {value!r} is not a number; send it as a decimal, like 10 or 10.25") from None
    if not number.is_finite():
        raise UnitError(f"{name} {value!r} is not finite; send a plain decimal number")
    if number.copy_abs() > INT64_MAX // scale:
        raise UnitError(f"{name} {value} is too large; the most is {INT64_MAX // scale}")
    try:
        return int(_EXACT.to_integral_exact(_EXACT.multiply(number, Decimal(scale))))
    except DecimalException:
        places = len(str(scale)) - 1
        raise UnitError(f"{name} {value} has more than {places} decimal places") from None


def price_e8(value: Decimal | int | str, name: str = "price") -> int:
    return to_fixed(value, PRICE_SCALE, name)


def qty_e8(value: Decimal | int | str, name: str = "qty") -> int:
    return to_fixed(value, QTY_SCALE, name)


def cash_e6(value: Decimal | int | str, name: str = "cash") -> int:
    return to_fixed(value, MONEY_SCALE, name)


def from_fixed(fixed: int, scale: int) -> str:
    """Shortest exact decimal text: 1025000000, 10**8 -> '10.25'; 1000000000, 10**8 -> '10'."""
    sign = "-" if fixed < 0 else ""
    whole, part = divmod(abs(fixed), scale)
    if part == 0:
        return f"{sign}{whole}"
    digits = str(part).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{sign}{whole}.{digits}"


def price_text(fixed_e8: int) -> str:
    return from_fixed(fixed_e8, PRICE_SCALE)


def qty_text(fixed_e8: int) -> str:
    return from_fixed(fixed_e8, QTY_SCALE)


def cash_text(fixed_e6: int) -> str:
    return from_fixed(fixed_e6, MONEY_SCALE)


def notional_e6(qty: int, price: int) -> int:
    """qty_e8 x price_e8 in money_e6, rounded half to even (the rule of ISO 4217 ledgers and `decimal`)."""
    quotient, remainder = divmod(abs(qty * price), NOTIONAL_DIVISOR)
    twice = 2 * remainder
    if twice > NOTIONAL_DIVISOR or (twice == NOTIONAL_DIVISOR and quotient & 1):
        quotient += 1
    return quotient if qty * price >= 0 else -quotient


def notional_up_e6(qty: int, price: int) -> int:
    """qty_e8 x price_e8 in money_e6, rounded up: what a reservation sets aside. Both must be >= 0."""
    return -(-(qty * price) // NOTIONAL_DIVISOR)
