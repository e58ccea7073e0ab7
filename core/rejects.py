"""Reject codes: stable integers in bands, each with its text. The one table; it also makes docs/rejects.md.

Bands: 1xx who may, 2xx the order's own numbers, 3xx the market, 4xx money and limits, 5xx room, 6xx what an
administrator defines, 9xx state of an order. The last digit of 11x, 12x and 41x to 44x is the level (records.Level).
A code never changes its meaning. `http` is the status the order-entry API answers with, `code` Alpaca's eight digits;
FIX carries the text, which ends with the code, in 58, and a reason of its own list in 103.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Reject(IntEnum):
    NONE = 0
    ACCOUNT_UNKNOWN = 101
    ACCOUNT_NOT_ACTIVE = 102
    ACCOUNT_REDUCING = 103
    FIRM_NOT_ACTIVE = 111
    DESK_NOT_ACTIVE = 112
    ADVISOR_NOT_ACTIVE = 113
    HOUSEHOLD_NOT_ACTIVE = 114
    FIRM_REDUCING = 121
    DESK_REDUCING = 122
    ADVISOR_REDUCING = 123
    HOUSEHOLD_REDUCING = 124
    INSTRUMENT_UNKNOWN = 201
    INSTRUMENT_HALTED = 202
    PRICE_OFF_TICK = 203
    QTY_OFF_LOT = 204
    QTY_OVER_MAX = 205
    NOTIONAL_OVER_MAX = 206
    QTY_NOT_POSITIVE = 207
    PRICE_NOT_POSITIVE = 208
    DUPLICATE_CLIENT_ORDER_ID = 209
    SESSION_CLOSED = 221
    NOT_IN_THIS_SESSION = 222
    ODD_LOT = 223
    QTY_BELOW_FILLED = 231
    EXPIRE_TIME_PAST = 232
    NO_FRESH_QUOTE = 301
    PRICE_OUTSIDE_COLLAR = 302
    NO_REFERENCE_PRICE = 303
    PRICE_OUTSIDE_BAND = 304
    BUYING_POWER = 401
    POSITION_OVER_LIMIT = 402
    POSITION_NOT_HELD = 403
    AMOUNT_OVERFLOW = 404
    CASH_NOT_FREE = 405
    CURRENCY_NOT_HELD = 406
    CASH_UNSETTLED = 407
    WITHDRAWAL_UNSETTLED = 408
    FIRM_ORDER_NOTIONAL = 411
    DESK_ORDER_NOTIONAL = 412
    ADVISOR_ORDER_NOTIONAL = 413
    HOUSEHOLD_ORDER_NOTIONAL = 414
    FIRM_OPEN_NOTIONAL = 421
    DESK_OPEN_NOTIONAL = 422
    ADVISOR_OPEN_NOTIONAL = 423
    HOUSEHOLD_OPEN_NOTIONAL = 424
    FIRM_GROSS_EXPOSURE = 431
    DESK_GROSS_EXPOSURE = 432
    ADVISOR_GROSS_EXPOSURE = 433
    HOUSEHOLD_GROSS_EXPOSURE = 434
    HOUSEHOLD_CURRENCY = 444
    INSTRUMENT_EXPOSURE = 451
    LOG_FULL = 501
    ORDER_TABLE_FULL = 502
    POSITION_TABLE_FULL = 503
    ACCOUNT_TABLE_FULL = 504
    INSTRUMENT_TABLE_FULL = 505
    COLD_TABLE_FULL = 506
    GROUP_TABLE_FULL = 511
    CASH_TABLE_FULL = 512
    REPLACEMENT_TABLE_FULL = 521
    REPLACEMENTS_USED_UP = 522
    STANDBY_AWAY = 541
    CURRENCY_UNKNOWN = 601
    CURRENCY_FIXED = 602
    GROUP_UNKNOWN = 603
    GROUP_FIXED = 604
    GROUP_PARENT = 605
    SETTLE_DAY_NOT_LATER = 606
    SETTLE_DAYS_UNKNOWN = 607
    TABLE_UNKNOWN = 608
    TICK_TABLE_WRONG = 609
    LOT_TABLE_WRONG = 610
    ORDER_UNKNOWN = 901
    ORDER_NOT_OPEN = 902
    VENUE_REJECTED = 903
    REPORT_UNEXPECTED = 904
    COMMAND_UNKNOWN = 905
    COMMAND_QUARANTINED = 906
    ACCOUNT_NOT_IDLE = 920
    ORDER_NOT_REPLACEABLE = 921
    EXECUTION_UNKNOWN = 922
    EXECUTION_REPEATED = 923
    TIMER_NOT_DUE = 924
    VENUE_KNOWS_NOT = 931
    VENUE_SILENT = 932
    VENUE_TELLS_LESS = 933
    FATE_KNOWN = 934
    RESOLVED_TOO_MUCH = 935
    NOT_ASKED = 936


class Unit(IntEnum):
    """What `limit_value` and `observed_value` of a reject are counted in."""

    PLAIN = 0
    PRICE_E8 = 1
    QTY_E8 = 2
    MONEY_E6 = 3
    MILLISECONDS = 4
    STATE = 5  # OrdStatus
    CURRENCY = 6
    ACCOUNT_STATE = 7
    SESSION = 8


class RejectText(NamedTuple):
    check: str
    text: str  # {limit} and {value} are filled in
    unit: Unit
    http: int
    code: int


_422: Final = 42210000

_LEVELS: Final = ("FIRM", "DESK", "ADVISOR", "HOUSEHOLD")


def _of_levels(name: str, check: str, text: str, unit: Unit) -> dict[Reject, RejectText]:
    """The same code at each level."""
    return {
        Reject[f"{level}_{name}"]: RejectText(check, text.format(level=level.lower()), unit, 403, 40310000)
        for level in _LEVELS
    }


TEXTS: Final[dict[Reject, RejectText]] = {
    Reject.ACCOUNT_UNKNOWN: RejectText(
        "account state", "account is not known here", Unit.PLAIN, 404, 40410000
    ),
    Reject.ACCOUNT_NOT_ACTIVE: RejectText(
        "account state", "account state is {value}; orders need {limit}", Unit.ACCOUNT_STATE, 403, 40310000
    ),
    Reject.ACCOUNT_REDUCING: RejectText(
        "account state",
        "account may only reduce positions: state is {value}, buying needs {limit}",
        Unit.ACCOUNT_STATE,
        403,
        40310000,
    ),
    **_of_levels(
        "NOT_ACTIVE",
        "state above the account",
        "state of the account's {level} is {{value}}; orders need {{limit}}",
        Unit.ACCOUNT_STATE,
    ),
    **_of_levels(
        "REDUCING",
        "state above the account",
        "below the account's {level} positions may only be reduced: its state is {{value}}, buying needs {{limit}}",
        Unit.ACCOUNT_STATE,
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
    Reject.SESSION_CLOSED: RejectText(
        "instrument state",
        "the instrument's session is {value}; orders wait for {limit}",
        Unit.SESSION,
        422,
        _422,
    ),
    Reject.NOT_IN_THIS_SESSION: RejectText(
        "instrument state",
        "this kind of order is not taken in session {value}; it is in {limit}",
        Unit.SESSION,
        422,
        _422,
    ),
    Reject.ODD_LOT: RejectText(
        "tick and lot",
        "quantity {value} is not a multiple of the round lot {limit}, and odd lots are not taken",
        Unit.QTY_E8,
        422,
        _422,
    ),
    Reject.QTY_BELOW_FILLED: RejectText(
        "replace",
        "quantity {value} must be more than {limit}, which is filled; cancel the order instead",
        Unit.QTY_E8,
        422,
        _422,
    ),
    Reject.EXPIRE_TIME_PAST: RejectText(
        "time in force",
        "a good-till-date order needs an expire time that is to come, no other order has one",
        Unit.PLAIN,
        422,
        _422,
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
    Reject.NO_REFERENCE_PRICE: RejectText(
        "price band", "no reference price is set, and this session needs one", Unit.PLAIN, 422, _422
    ),
    Reject.PRICE_OUTSIDE_BAND: RejectText(
        "price band",
        "price {value} is outside the static band, whose bound is {limit}",
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
    Reject.CURRENCY_NOT_HELD: RejectText(
        "buying power",
        "the order needs cash in {limit}, and the account has none; its own currency is {value}",
        Unit.CURRENCY,
        403,
        40310000,
    ),
    Reject.CASH_UNSETTLED: RejectText(
        "buying power",
        "insufficient settled cash: the order needs {value}, settled and free is {limit}; "
        "the account may not buy with unsettled proceeds",
        Unit.MONEY_E6,
        403,
        40310000,
    ),
    Reject.WITHDRAWAL_UNSETTLED: RejectText(
        "buying power",
        "withdrawal of {value} is over the settled and free cash of {limit}",
        Unit.MONEY_E6,
        403,
        40310000,
    ),
    **_of_levels(
        "ORDER_NOTIONAL",
        "limits above the account",
        "notional {{value}} is over the limit of {{limit}} an order of the account's {level}",
        Unit.MONEY_E6,
    ),
    **_of_levels(
        "OPEN_NOTIONAL",
        "limits above the account",
        "open orders of the account's {level} would be {{value}}, over its limit of {{limit}}",
        Unit.MONEY_E6,
    ),
    **_of_levels(
        "GROSS_EXPOSURE",
        "limits above the account",
        "gross exposure of the account's {level} with open orders would be {{value}}, over its limit of {{limit}}",
        Unit.MONEY_E6,
    ),
    Reject.HOUSEHOLD_CURRENCY: RejectText(
        "limits above the account",
        "the account's household counts in {limit}; it has no limits for purchases in {value}",
        Unit.CURRENCY,
        403,
        40310000,
    ),
    Reject.INSTRUMENT_EXPOSURE: RejectText(
        "instrument exposure",
        "the position of all accounts with open purchases would be {value}, over the limit of {limit}",
        Unit.QTY_E8,
        403,
        40310000,
    ),
    Reject.LOG_FULL: RejectText(
        "room",
        "the log has no room: its disk is full or behind; cancels are still served",
        Unit.PLAIN,
        503,
        50310000,
    ),
    Reject.STANDBY_AWAY: RejectText(
        "room",
        "the standby is away, and without it no order is taken here; cancels are still served",
        Unit.PLAIN,
        503,
        50310000,
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
    Reject.GROUP_TABLE_FULL: RejectText(
        "room", "the group table is full ({limit} groups)", Unit.PLAIN, 503, 50310000
    ),
    Reject.CASH_TABLE_FULL: RejectText(
        "room", "the table of cash in other currencies is full ({limit} rows)", Unit.PLAIN, 503, 50310000
    ),
    Reject.REPLACEMENT_TABLE_FULL: RejectText(
        "room", "the table of replacements is full ({limit} of open orders)", Unit.PLAIN, 503, 50310000
    ),
    Reject.REPLACEMENTS_USED_UP: RejectText(
        "replace", "an order can be replaced {limit} times; cancel it and send another", Unit.PLAIN, 422, _422
    ),
    Reject.CURRENCY_UNKNOWN: RejectText(
        "definition", "currency number {value} is not known; the last is {limit}", Unit.PLAIN, 422, _422
    ),
    Reject.CURRENCY_FIXED: RejectText(
        "definition", "its currency is {limit} for ever, not {value}", Unit.CURRENCY, 422, _422
    ),
    Reject.GROUP_UNKNOWN: RejectText(
        "definition",
        "group {value} is not known, or is not of the level that is needed",
        Unit.PLAIN,
        404,
        40410000,
    ),
    Reject.GROUP_FIXED: RejectText(
        "definition",
        "it is under group {limit}, not {value}: level and parent are given once, and a household changes by a move",
        Unit.PLAIN,
        422,
        _422,
    ),
    Reject.GROUP_PARENT: RejectText(
        "definition",
        "group {value} can't be its parent: a parent is of a higher level and counts in the same currency",
        Unit.PLAIN,
        422,
        _422,
    ),
    Reject.SETTLE_DAY_NOT_LATER: RejectText(
        "definition", "settlement day {value} is not later than the last one, {limit}", Unit.PLAIN, 422, _422
    ),
    Reject.SETTLE_DAYS_UNKNOWN: RejectText(
        "definition", "{value} settlement days; the most is {limit}", Unit.PLAIN, 422, _422
    ),
    Reject.TABLE_UNKNOWN: RejectText(
        "definition",
        "tick or lot table {value} is not defined; the largest number is {limit}",
        Unit.PLAIN,
        422,
        _422,
    ),
    Reject.TICK_TABLE_WRONG: RejectText(
        "definition",
        "band {value} is wrong: bands rise, at most {limit} of them, and a bound is a multiple of both its ticks",
        Unit.PLAIN,
        422,
        _422,
    ),
    Reject.LOT_TABLE_WRONG: RejectText(
        "definition", "round lot {value} must be more than 0", Unit.QTY_E8, 422, _422
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
    Reject.COMMAND_QUARANTINED: RejectText(
        "command",
        "it made the shard die {value} times and was put aside; nothing was done, and the operator has been told",
        Unit.PLAIN,
        422,
        _422,
    ),
    Reject.ORDER_NOT_REPLACEABLE: RejectText(
        "order", "order can't be replaced: it is {value}", Unit.STATE, 422, _422
    ),
    Reject.EXECUTION_UNKNOWN: RejectText(
        "venue", "the execution that it refers to is not known here, or was undone", Unit.PLAIN, 422, _422
    ),
    Reject.EXECUTION_REPEATED: RejectText("venue", "this execution is booked already", Unit.PLAIN, 422, _422),
    Reject.TIMER_NOT_DUE: RejectText("timer", "the order has nothing that is due", Unit.PLAIN, 422, _422),
    Reject.VENUE_KNOWS_NOT: RejectText(
        "fate", "the venue does not know the order: its fate is unknown", Unit.PLAIN, 422, _422
    ),
    Reject.VENUE_SILENT: RejectText(
        "fate", "the venue does not say how the order stands: its fate is unknown", Unit.PLAIN, 422, _422
    ),
    Reject.VENUE_TELLS_LESS: RejectText(
        "fate",
        "the venue's totals can't be booked: filled here is {limit}, there {value}; the order's fate is unknown",
        Unit.QTY_E8,
        422,
        _422,
    ),
    Reject.FATE_KNOWN: RejectText(
        "fate", "only an order of unknown fate is resolved; this one is {value}", Unit.STATE, 422, _422
    ),
    Reject.RESOLVED_TOO_MUCH: RejectText(
        "fate", "quantity {value} can't have been filled: open are {limit}", Unit.QTY_E8, 422, _422
    ),
    Reject.NOT_ASKED: RejectText(
        "fate", "the venue was not asked about the order, or has answered", Unit.PLAIN, 422, _422
    ),
    Reject.ACCOUNT_NOT_IDLE: RejectText(
        "command",
        "the account has {value} open orders; only an idle one becomes passive",
        Unit.PLAIN,
        422,
        _422,
    ),
}
