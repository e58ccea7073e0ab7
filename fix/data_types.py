"""The data types of FIX: for each, whether a text is a value of it (FIX 5.0 SP2 vol. 1, "FIX data types").

Types that any text fits (STRING, CURRENCY, EXCHANGE, DATA, XID, ...) are not listed. Older versions' names of a
type stand beside the newer ones.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from typing import Final

from fix import timestamps

Fits = Callable[[str], bool]

_INT: Final = re.compile(r"-?[0-9]+")
_COUNT: Final = re.compile(r"[0-9]+")
# Either side of the point may be empty, not both; no plus sign and no exponent.
_FLOAT: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,12})?")
_LOCAL_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?")
_ZONE: Final = re.compile(r"Z|[+-](?:[01][0-9]|2[0-3])(?::[0-5][0-9])?")
_MONTH_YEAR: Final = re.compile(r"([0-9]{6})([0-9]{2}|w[1-5])?")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _is_int(text: str) -> bool:
    return _INT.fullmatch(text) is not None


def _is_count(text: str) -> bool:
    return _COUNT.fullmatch(text) is not None


def _is_float(text: str) -> bool:
    return _FLOAT.fullmatch(text) is not None


def _is_char(text: str) -> bool:
    return len(text) == 1


def _is_boolean(text: str) -> bool:
    return text in ("Y", "N")


def _is_utc_timestamp(text: str) -> bool:
    try:
        timestamps.parse_ns(text)
    except timestamps.TimestampError:
        return False
    return True


def _is_time(text: str) -> bool:
    return _TIME.fullmatch(text) is not None


def _is_local_time(text: str) -> bool:
    return _LOCAL_TIME.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    if len(text) != 8 or not _is_count(text):
        return False
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    return year >= 1 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _is_month_year(text: str) -> bool:
    match = _MONTH_YEAR.fullmatch(text)
    if match is None or not 1 <= int(match[1][4:]) <= 12:
        return False
    return match[2] is None or match[2].startswith("w") or _is_date(text)


def _is_day_of_month(text: str) -> bool:
    return len(text) <= 2 and _is_count(text) and 1 <= int(text) <= 31


def _is_zoned_time(text: str) -> bool:
    zone = re.search(r"[Z+-]", text)
    if zone is None:
        return False
    whole = text[: zone.start()]
    return _ZONE.fullmatch(text, zone.start()) is not None and (_is_local_time(whole) or _is_time(whole))


def _is_zoned_timestamp(text: str) -> bool:
    date, _, rest = text.partition("-")
    return _is_date(date) and _is_zoned_time(rest)


def _is_country(text: str) -> bool:
    return _COUNTRY.fullmatch(text) is not None


FITS: Final[dict[str, Fits]] = {
    "INT": _is_int,
    "SEQNUM": _is_count,
    "LENGTH": _is_count,
    "NUMINGROUP": _is_count,
    "TAGNUM": _is_count,
    "DAYOFMONTH": _is_day_of_month,
    "FLOAT": _is_float,
    "QTY": _is_float,
    "QUANTITY": _is_float,
    "PRICE": _is_float,
    "PRICEOFFSET": _is_float,
    "AMT": _is_float,
    "PERCENTAGE": _is_float,
    "CHAR": _is_char,
    "BOOLEAN": _is_boolean,
    "UTCTIMESTAMP": _is_utc_timestamp,
    "TIME": _is_utc_timestamp,
    "UTCTIMEONLY": _is_time,
    "UTCDATE": _is_date,
    "UTCDATEONLY": _is_date,
    "DATE": _is_date,
    "LOCALMKTDATE": _is_date,
    "LOCALMKTTIME": _is_local_time,
    "MONTHYEAR": _is_month_year,
    "TZTIMEONLY": _is_zoned_time,
    "TZTIMESTAMP": _is_zoned_timestamp,
    "COUNTRY": _is_country,
}
# In FIX 4.0 and 4.1 a CHAR is a text of any length.
FITS_BEFORE_4_2: Final[dict[str, Fits]] = {name: fits for name, fits in FITS.items() if name != "CHAR"}

# Values of these are lists, with a space between: each word of one must be among the field's values.
LISTS: Final = frozenset(("MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"))
