"""Reject codes: stable integers in bands, each with its text. The one table; it also makes docs/rejects.md.

Bands: 1xx who may, 2xx the order's own numbers, 3xx the market, 4xx money and limits, 5xx room, 9xx state of an
order. A code never changes its meaning. `http` is the status the order-entry API answers with, `code` Alpaca's
eight digits; FIX carries the text, which ends with the code, in 58, and a reason of its own list in 103.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Reject(IntEnum):
    NONE = 0
    ACCOUNT_UNKNOWN = 101
    ACCOUNT_NOT_ACTIVE = 102
    ACCOUNT_REDUCING = 103
    INSTRUMENT_UNKNOWN = 201
    INSTRUMENT_HALTED = 202
    PRICE_OFF_TICK = 203
    QTY_OFF_LOT = 204
    QTY_OVER_MAX = 205
    NOTIONAL_OVER_MAX = 206
    QTY_NOT_POSITIVE = 207
    PRICE_NOT_POSITIVE = 208
    DUPLICATE_CLIENT_ORDER_ID = 209
    NO_FRESH_QUOTE = 301
    PRICE_OUTSIDE_COLLAR = 302
    BUYING_POWER = 401
    POSITION_OVER_LIMIT = 402
    POSITION_NOT_HELD = 403
    AMOUNT_OVERFLOW = 404
    CASH_NOT_FREE = 405
    LOG_FULL = 501
    ORDER_TABLE_FULL = 502
    POSITION_TABLE_FULL = 503
    ACCOUNT_TABLE_FULL = 504
    INSTRUMENT_TABLE_FULL = 505
    COLD_TABLE_FULL = 506
    ORDER_UNKNOWN = 901
    ORDER_NOT_OPEN = 902
    VENUE_REJECTED = 903
    REPORT_UNEXPECTED = 904
    COMMAND_UNKNOWN = 905
    ACCOUNT_NOT_IDLE = 920


class Unit(IntEnum):
    """What `limit_value` and `observed_value` of a reject are counted in."""

    PLAIN = 0
    PRICE_E8 = 1
    QTY_E8 = 2
    MONEY_E6 = 3
    MILLISECONDS = 4
    STATE = 5


class RejectText(NamedTuple):
    check: str
    text: str  # {limit} and {value} are filled in
    unit: Unit
    http: int
    code: int


_422: Final = 42210000

TEXTS: Final[dict[Reject, RejectText]] = {
    Reject.ACCOUNT_UNKNOWN: RejectText(
        "account state", "account is not known here", Unit.PLAIN, 404, 40410000
    ),
    Reject.ACCOUNT_NOT_ACTIVE: RejectText(
        "account state", "account state is {value}; orders need {limit}", Unit.STATE, 403, 40310000
    ),
    Reject.ACCOUNT_REDUCING: RejectText(
        "account state",
        "account may only reduce positions: state is {value}, buying needs {limit}",
        Unit.STATE,
        403,
        40310000,
    ),
    Reject.INSTRUMENT_UNKNOWN: RejectText(
        "instrument state", "instrument is not known here", Unit.PLAIN, 422, _422
    ),
    Reject.INSTRUMENT_HALTED: RejectText(
        "instrument state", "trading in the instrument is halted", Unit.PLAIN, 422, _422
    ),
    Reject.PRICE_OFF_TICK: RejectText(
        "tick and lot",
        "limit price {value} is not a multiple of the tick size {limit}",
        Unit.PRICE_E8,
        422,
        _422,
    ),
    Reject.QTY_OFF_LOT: RejectText(
        "tick and lot", "quantity {value} is not a multiple of the lot size {limit}", Unit.QTY_E8, 422, _422
    ),
    Reject.QTY_OVER_MAX: RejectText(
        "maximum quantity", "quantity {value} is over the limit of {limit} an order", Unit.QTY_E8, 422, _422
    ),
    Reject.NOTIONAL_OVER_MAX: RejectText(
        "maximum notional", "notional {value} is over the limit of {limit} an order", Unit.MONEY_E6, 422, _422
    ),
    Reject.QTY_NOT_POSITIVE: RejectText(
        "tick and lot", "quantity {value} must be more than 0", Unit.QTY_E8, 422, _422
    ),
    Reject.PRICE_NOT_POSITIVE: RejectText(
        "tick and lot", "limit price {value} must be more than 0", Unit.PRICE_E8, 422, _422
    ),
    Reject.DUPLICATE_CLIENT_ORDER_ID: RejectText(
        "client order id", "client_order_id must be unique", Unit.PLAIN, 422, 40010001
    ),
    Reject.NO_FRESH_QUOTE: RejectText(
        "price collar",
        "no fresh quote: the last is {value} ms old, the most is {limit} ms",
        Unit.MILLISECONDS,
        422,
        _422,
    ),
    Reject.PRICE_OUTSIDE_COLLAR: RejectText(
        "price collar",
        "limit price {value} is outside the collar, whose bound is {limit}",
        Unit.PRICE_E8,
        422,
        _422,
    ),
    Reject.BUYING_POWER: RejectText(
        "buying power",
        "insufficient buying power: the order needs {value}, available is {limit}",
        Unit.MONEY_E6,
        403,
        40310000,
    ),
    Reject.POSITION_OVER_LIMIT: RejectText(
        "position limit",
        "position with open orders would be {value}, over the limit of {limit}",
        Unit.QTY_E8,
        422,
        _422,
    ),
    Reject.POSITION_NOT_HELD: RejectText(
        "position limit",
        "insufficient qty available: the order sells {value}, free to sell is {limit}",
        Unit.QTY_E8,
        403,
        40310000,
    ),
    Reject.AMOUNT_OVERFLOW: RejectText(
        "maximum notional", "the amount is too large to be counted exactly", Unit.PLAIN, 422, _422
    ),
    Reject.CASH_NOT_FREE: RejectText(
        "buying power", "withdrawal of {value} is over the free cash of {limit}", Unit.MONEY_E6, 403, 40310000
    ),
    Reject.LOG_FULL: RejectText(
        "room", "the log is full; new orders wait until it is flushed", Unit.PLAIN, 503, 50310000
    ),
    Reject.ORDER_TABLE_FULL: RejectText(
        "room", "the order table is full ({limit} orders)", Unit.PLAIN, 503, 50310000
    ),
    Reject.POSITION_TABLE_FULL: RejectText(
        "room", "the position table is full ({limit} positions)", Unit.PLAIN, 503, 50310000
    ),
    Reject.ACCOUNT_TABLE_FULL: RejectText(
        "room", "the account table is full ({limit} accounts)", Unit.PLAIN, 503, 50310000
    ),
    Reject.INSTRUMENT_TABLE_FULL: RejectText(
        "room", "the instrument table is full ({limit} instruments)", Unit.PLAIN, 503, 50310000
    ),
    Reject.COLD_TABLE_FULL: RejectText(
        "room", "the table of passive accounts is full ({limit} rows)", Unit.PLAIN, 503, 50310000
    ),
    Reject.ORDER_UNKNOWN: RejectText("order", "order is not known here", Unit.PLAIN, 404, 40410000),
    Reject.ORDER_NOT_OPEN: RejectText(
        "order", "order is not cancelable: it is already {value}", Unit.STATE, 422, _422
    ),
    Reject.VENUE_REJECTED: RejectText("venue", "the venue rejected it", Unit.PLAIN, 422, _422),
    Reject.REPORT_UNEXPECTED: RejectText(
        "venue", "a report that the order's state does not allow", Unit.PLAIN, 422, _422
    ),
    Reject.COMMAND_UNKNOWN: RejectText(
        "command", "its kind, side, order type or time in force is unknown", Unit.PLAIN, 422, _422
    ),
    Reject.ACCOUNT_NOT_IDLE: RejectText(
        "command",
        "the account has {value} open orders; only an idle one becomes passive",
        Unit.PLAIN,
        422,
        _422,
    ),
}
