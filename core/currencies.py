"""Currencies: ISO 4217 as a small table of numbers for ever.

Always holds: a number never changes its meaning, since it stands in the log and in the state; new ones go to the end.
0 is no currency. Money is counted with six decimal places in every currency (`core/units.py`), which is more than
the minor unit of any of them; the minor unit is what payments are rounded to, outside of this core.
Source: ISO 4217:2015, list one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shared_mem.jit import jit


class Currency(NamedTuple):
    code: str
    numeric: int
    minor_digits: int


NO_CURRENCY: Final = 0
USD: Final = 1
EUR: Final = 2

CURRENCIES: Final[dict[int, Currency]] = {
    USD: Currency("USD", 840, 2),
    EUR: Currency("EUR", 978, 2),
    3: Currency("GBP", 826, 2),
    4: Currency("CHF", 756, 2),
    5: Currency("JPY", 392, 0),
    6: Currency("CAD", 124, 2),
    7: Currency("AUD", 36, 2),
    8: Currency("NZD", 554, 2),
    9: Currency("SEK", 752, 2),
    10: Currency("NOK", 578, 2),
    11: Currency("DKK", 208, 2),
    12: Currency("PLN", 985, 2),
    13: Currency("CZK", 203, 2),
    14: Currency("HUF", 348, 2),
    15: Currency("HKD", 344, 2),
    16: Currency("SGD", 702, 2),
    17: Currency("CNY", 156, 2),
    18: Currency("KRW", 410, 0),
    19: Currency("INR", 356, 2),
    20: Currency("ILS", 376, 2),
    21: Currency("MXN", 484, 2),
    22: Currency("BRL", 986, 2),
    23: Currency("ZAR", 710, 2),
    24: Currency("KWD", 414, 3),
}
LAST: Final = max(CURRENCIES)
assert set(CURRENCIES) == set(range(1, LAST + 1))

_NUMBERS: Final = {currency.code: number for number, currency in CURRENCIES.items()}


class CurrencyUnknown(ValueError):
    """A code that the table does not have."""


def number_of(code: str) -> int:
    """'USD' -> 1. Raises CurrencyUnknown."""
    number = _NUMBERS.get(code.upper())
    if number is None:
        raise CurrencyUnknown(f"currency {code!r} is not known; known are {', '.join(sorted(_NUMBERS))}")
    return number


def code_of(number: int) -> str:
    """1 -> 'USD'; a number that the table does not have as digits, for a follower must be able to say it."""
    found = CURRENCIES.get(number)
    return str(number) if found is None else found.code


@jit
def is_currency(number: int) -> bool:
    return 1 <= number <= LAST
