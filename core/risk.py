"""The pre-trade checks: what an order must pass before anything is reserved for it or sent.

CHECKS is the policy, in the order in which it is applied; each check is one small function below it. A check
gets plain numbers and answers (code, limit, value): PASS, or the reject's code with the limit it broke and the
value that broke it, in the unit that `core/rejects.py` gives for the code. A check never changes anything and
never reads a clock: the quote and its age come with the command.

To add one: write the function, give it a code and a text in `core/rejects.py`, put a line into CHECKS and a
call into `actors/new_order.py`; `tests/core/test_risk.py` wants its two edges.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core import money
from core.records import AccountState, InstrumentState, OrdType, Side, TimeInForce
from core.rejects import Reject
from shared_mem.jit import jit

PASS: Final = (0, 0, 0)

_ACTIVE: Final = int(AccountState.ACTIVE)
_REDUCING: Final = int(AccountState.REDUCING)
_OPEN: Final = int(InstrumentState.OPEN)
_PRE_OPEN: Final = int(InstrumentState.PRE_OPEN)
_AUCTION: Final = int(InstrumentState.AUCTION)
_CLOSED: Final = int(InstrumentState.CLOSED)
_BUY: Final = int(Side.BUY)
_LIMIT: Final = int(OrdType.LIMIT)
_IOC: Final = int(TimeInForce.IOC)

_ACCOUNT_NOT_ACTIVE: Final = int(Reject.ACCOUNT_NOT_ACTIVE)
_ACCOUNT_REDUCING: Final = int(Reject.ACCOUNT_REDUCING)
_INSTRUMENT_HALTED: Final = int(Reject.INSTRUMENT_HALTED)
_PRICE_OFF_TICK: Final = int(Reject.PRICE_OFF_TICK)
_QTY_OFF_LOT: Final = int(Reject.QTY_OFF_LOT)
_QTY_OVER_MAX: Final = int(Reject.QTY_OVER_MAX)
_NOTIONAL_OVER_MAX: Final = int(Reject.NOTIONAL_OVER_MAX)
_QTY_NOT_POSITIVE: Final = int(Reject.QTY_NOT_POSITIVE)
_PRICE_NOT_POSITIVE: Final = int(Reject.PRICE_NOT_POSITIVE)
_NO_FRESH_QUOTE: Final = int(Reject.NO_FRESH_QUOTE)
_PRICE_OUTSIDE_COLLAR: Final = int(Reject.PRICE_OUTSIDE_COLLAR)
_BUYING_POWER: Final = int(Reject.BUYING_POWER)
_POSITION_OVER_LIMIT: Final = int(Reject.POSITION_OVER_LIMIT)
_POSITION_NOT_HELD: Final = int(Reject.POSITION_NOT_HELD)
_SESSION_CLOSED: Final = int(Reject.SESSION_CLOSED)
_NOT_IN_THIS_SESSION: Final = int(Reject.NOT_IN_THIS_SESSION)
_ODD_LOT: Final = int(Reject.ODD_LOT)
_NO_REFERENCE_PRICE: Final = int(Reject.NO_REFERENCE_PRICE)
_PRICE_OUTSIDE_BAND: Final = int(Reject.PRICE_OUTSIDE_BAND)
_CASH_UNSETTLED: Final = int(Reject.CASH_UNSETTLED)
_INSTRUMENT_EXPOSURE: Final = int(Reject.INSTRUMENT_EXPOSURE)
# The codes of a level: these and the level's number (records.Level).
_LEVEL_NOT_ACTIVE: Final = int(Reject.FIRM_NOT_ACTIVE) - 1
_LEVEL_REDUCING: Final = int(Reject.FIRM_REDUCING) - 1
_LEVEL_ORDER_NOTIONAL: Final = int(Reject.FIRM_ORDER_NOTIONAL) - 1
_LEVEL_OPEN_NOTIONAL: Final = int(Reject.FIRM_OPEN_NOTIONAL) - 1
_LEVEL_GROSS: Final = int(Reject.FIRM_GROSS_EXPOSURE) - 1


class Check(NamedTuple):
    name: str
    parameters: str
    rule: str
    codes: tuple[Reject, ...]


# From the one next to the account.
_LEVELS: Final = ("HOUSEHOLD", "ADVISOR", "DESK", "FIRM")

CHECKS: Final = (
    Check(
        "account state",
        "state of the account",
        "SEC 15c3-5(c)(2)(iii): only approved accounts trade; a reducing account may only sell",
        (Reject.ACCOUNT_UNKNOWN, Reject.ACCOUNT_NOT_ACTIVE, Reject.ACCOUNT_REDUCING),
    ),
    Check(
        "state above the account",
        "state of household, advisor, desk and firm",
        "SEC 15c3-5(c)(2): what is stopped at any level is stopped below it",
        (
            *(Reject[f"{level}_NOT_ACTIVE"] for level in _LEVELS),
            *(Reject[f"{level}_REDUCING"] for level in _LEVELS),
        ),
    ),
    Check(
        "instrument state",
        "session of the instrument",
        "halts, pauses and sessions of the venue; immediate orders only while it trades continuously",
        (
            Reject.INSTRUMENT_UNKNOWN,
            Reject.INSTRUMENT_HALTED,
            Reject.SESSION_CLOSED,
            Reject.NOT_IN_THIS_SESSION,
        ),
    ),
    Check(
        "tick and lot",
        "tick size or tick table, lot size, round lot and whether odd lots are taken",
        "the venue's price and quantity increments (RTS 11 for tick tables)",
        (
            Reject.QTY_NOT_POSITIVE,
            Reject.PRICE_NOT_POSITIVE,
            Reject.PRICE_OFF_TICK,
            Reject.QTY_OFF_LOT,
            Reject.ODD_LOT,
        ),
    ),
    Check(
        "maximum quantity",
        "per account and per instrument; the smaller counts",
        "RTS 6 art. 15(1)(c) maximum order volume",
        (Reject.QTY_OVER_MAX,),
    ),
    Check(
        "price collar",
        "basis points from the touch, greatest age of the quote",
        "RTS 6 art. 15(1)(a); no fresh quote means no order; a market order is bounded by the collar",
        (Reject.NO_FRESH_QUOTE, Reject.PRICE_OUTSIDE_COLLAR),
    ),
    Check(
        "price band",
        "basis points around the reference price, else the previous close",
        "RTS 7 art. 18, static price ranges; before and in an auction the band stands for the collar",
        (Reject.NO_REFERENCE_PRICE, Reject.PRICE_OUTSIDE_BAND),
    ),
    Check(
        "maximum notional",
        "per account; a market order counts at its collar",
        "RTS 6 art. 15(1)(b) maximum order value",
        (Reject.NOTIONAL_OVER_MAX, Reject.AMOUNT_OVERFLOW),
    ),
    Check(
        "position limit",
        "largest position; sales only of what is held, open sales counted",
        "positions with all open orders filled stay inside (Eurex, CME: worst case)",
        (Reject.POSITION_OVER_LIMIT, Reject.POSITION_NOT_HELD),
    ),
    Check(
        "instrument exposure",
        "largest position of all accounts together, open purchases counted",
        "SEC 15c3-5(c)(1)(i): the firm's exposure, not only a customer's",
        (Reject.INSTRUMENT_EXPOSURE,),
    ),
    Check(
        "buying power",
        "cash in the instrument's currency less what open orders reserve, and less unsettled proceeds if so set",
        "SEC 15c3-5(c)(1)(i); all sent orders count at once; Regulation T 220.8 (cash accounts)",
        (Reject.CURRENCY_NOT_HELD, Reject.BUYING_POWER, Reject.CASH_UNSETTLED),
    ),
    Check(
        "limits above the account",
        "order notional, open notional and gross exposure of household, advisor, desk and firm",
        "SEC 15c3-5(c)(1)(i): thresholds in the aggregate for each customer and the broker",
        (
            Reject.HOUSEHOLD_CURRENCY,
            *(Reject[f"{level}_ORDER_NOTIONAL"] for level in _LEVELS),
            *(Reject[f"{level}_OPEN_NOTIONAL"] for level in _LEVELS),
            *(Reject[f"{level}_GROSS_EXPOSURE"] for level in _LEVELS),
        ),
    ),
)


@jit
def account_state(state: int, side: int) -> tuple[int, int, int]:
    if state == _ACTIVE:
        return PASS
    if state == _REDUCING:
        return (_ACCOUNT_REDUCING, _ACTIVE, state) if side == _BUY else PASS
    return _ACCOUNT_NOT_ACTIVE, _ACTIVE, state


@jit
def level_state(level: int, state: int, side: int) -> tuple[int, int, int]:
    """The state of one level above the account, as `account_state`."""
    if state == _ACTIVE:
        return PASS
    if state == _REDUCING:
        return (_LEVEL_REDUCING + level, _ACTIVE, state) if side == _BUY else PASS
    return _LEVEL_NOT_ACTIVE + level, _ACTIVE, state


@jit
def instrument_state(state: int) -> tuple[int, int, int]:
    if state == _OPEN or state == _PRE_OPEN or state == _AUCTION:
        return PASS
    if state == _CLOSED:
        return _SESSION_CLOSED, _PRE_OPEN, state
    return _INSTRUMENT_HALTED, _OPEN, state


@jit
def session_accepts(state: int, ord_type: int, tif: int) -> tuple[int, int, int]:
    """Before the opening: limit orders that rest. In an auction: market orders too. Immediate ones: never outside
    of continuous trading, since nothing could fill them at once."""
    if state == _OPEN:
        return PASS
    if tif == _IOC:
        return _NOT_IN_THIS_SESSION, _OPEN, state
    if state == _PRE_OPEN and ord_type != _LIMIT:
        return _NOT_IN_THIS_SESSION, _AUCTION, state
    return PASS


@jit
def tick_and_lot(
    ord_type: int, qty_e8: int, price_e8: int, tick_e8: int, lot_e8: int
) -> tuple[int, int, int]:
    if qty_e8 <= 0:
        return _QTY_NOT_POSITIVE, 0, qty_e8
    if qty_e8 % lot_e8 != 0:
        return _QTY_OFF_LOT, lot_e8, qty_e8
    if ord_type != _LIMIT:
        return PASS
    if price_e8 <= 0:
        return _PRICE_NOT_POSITIVE, 0, price_e8
    if price_e8 % tick_e8 != 0:
        return _PRICE_OFF_TICK, tick_e8, price_e8
    return PASS


@jit
def round_lot(qty_e8: int, round_lot_e8: int, odd_lots: int) -> tuple[int, int, int]:
    return PASS if odd_lots or qty_e8 % round_lot_e8 == 0 else (_ODD_LOT, round_lot_e8, qty_e8)


@jit
def maximum_quantity(qty_e8: int, account_max_e8: int, instrument_max_e8: int) -> tuple[int, int, int]:
    limit = min(account_max_e8, instrument_max_e8)
    return PASS if qty_e8 <= limit else (_QTY_OVER_MAX, limit, qty_e8)


@jit
def quote_is_fresh(touch_e8: int, quote_age_ms: int, quote_age_ms_max: int) -> tuple[int, int, int]:
    """touch: the ask for a buyer, the bid for a seller; 0 where there is none."""
    if touch_e8 <= 0 or quote_age_ms > quote_age_ms_max:
        return _NO_FRESH_QUOTE, quote_age_ms_max, quote_age_ms
    return PASS


@jit
def price_collar(ord_type: int, side: int, price_e8: int, bound_e8: int) -> tuple[int, int, int]:
    """bound: touch and basis points. Only the side that would hurt is bounded: a bid far below just rests."""
    if ord_type != _LIMIT:
        return PASS
    outside = price_e8 > bound_e8 if side == _BUY else price_e8 < bound_e8
    return (_PRICE_OUTSIDE_COLLAR, bound_e8, price_e8) if outside else PASS


@jit
def reference_is_set(static_e8: int) -> tuple[int, int, int]:
    """static: the reference price, else the previous close; 0 where there is none."""
    return PASS if static_e8 > 0 else (_NO_REFERENCE_PRICE, 0, 0)


@jit
def price_band(price_e8: int, low_e8: int, high_e8: int) -> tuple[int, int, int]:
    """Both sides are bounded: a bid far below is as likely a slip as one far above."""
    if price_e8 > high_e8:
        return _PRICE_OUTSIDE_BAND, high_e8, price_e8
    return PASS if price_e8 >= low_e8 else (_PRICE_OUTSIDE_BAND, low_e8, price_e8)


@jit
def maximum_notional(notional_e6: int, limit_e6: int) -> tuple[int, int, int]:
    return PASS if notional_e6 <= limit_e6 else (_NOTIONAL_OVER_MAX, limit_e6, notional_e6)


@jit
def position_limit(
    side: int, qty_e8: int, position_e8: int, open_buy_e8: int, open_sell_e8: int, limit_e8: int
) -> tuple[int, int, int]:
    if side == _BUY:
        worst = position_e8 + open_buy_e8 + qty_e8
        return PASS if worst <= limit_e8 else (_POSITION_OVER_LIMIT, limit_e8, worst)
    free = position_e8 - open_sell_e8
    return PASS if qty_e8 <= free else (_POSITION_NOT_HELD, max(free, 0), qty_e8)


@jit
def instrument_exposure(
    side: int, qty_e8: int, net_e8: int, open_buy_e8: int, open_sell_e8: int, limit_e8: int
) -> tuple[int, int, int]:
    """Over all accounts. What can't be counted is over any limit."""
    open_e8 = money.add(open_buy_e8 if side == _BUY else open_sell_e8, qty_e8)
    if open_e8 == money.OVERFLOW:
        return _INSTRUMENT_EXPOSURE, limit_e8, qty_e8
    if side != _BUY:
        return PASS
    worst = money.add(net_e8, open_e8)
    if worst == money.OVERFLOW:
        return _INSTRUMENT_EXPOSURE, limit_e8, qty_e8
    return PASS if worst <= limit_e8 else (_INSTRUMENT_EXPOSURE, limit_e8, worst)


@jit
def buying_power(side: int, needed_e6: int, cash_e6: int, reserved_e6: int) -> tuple[int, int, int]:
    if side != _BUY:
        return PASS
    free = money.capped_difference(cash_e6, reserved_e6)
    return PASS if needed_e6 <= free else (_BUYING_POWER, free, needed_e6)


@jit
def settled_cash(side: int, needed_e6: int, free_e6: int, receivable_e6: int) -> tuple[int, int, int]:
    """For an account that may buy with settled money only. free: cash less reservations."""
    if side != _BUY:
        return PASS
    settled = money.capped_difference(free_e6, receivable_e6)
    return PASS if needed_e6 <= settled else (_CASH_UNSETTLED, settled, needed_e6)


@jit
def level_limits(
    level: int,
    side: int,
    needed_e6: int,
    reserved_e6: int,
    gross_e6: int,
    order_limit_e6: int,
    open_limit_e6: int,
    gross_limit_e6: int,
) -> tuple[int, int, int]:
    """One level's limits. gross: what the positions below it cost; a sale only brings open and gross down."""
    if needed_e6 > order_limit_e6:
        return _LEVEL_ORDER_NOTIONAL + level, order_limit_e6, needed_e6
    if side != _BUY:
        return PASS
    if needed_e6 > open_limit_e6 - reserved_e6:
        return _LEVEL_OPEN_NOTIONAL + level, open_limit_e6, money.capped_sum(reserved_e6, needed_e6)
    used = money.capped_sum(gross_e6, reserved_e6)
    if needed_e6 > gross_limit_e6 - used:
        return _LEVEL_GROSS + level, gross_limit_e6, money.capped_sum(used, needed_e6)
    return PASS
