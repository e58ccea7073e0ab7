"""The pre-trade checks: what an order must pass before anything is reserved for it or sent.

CHECKS is the policy, in the order in which it is applied; each check is one small function below it. A check
gets plain numbers and answers (code, limit, value): PASS, or the reject's code with the limit it broke and the
value that broke it, in the unit that `core/rejects.py` gives for the code. A check never changes anything and
never reads a clock: the quote and its age come with the command.

To add one: write the function, give it a code and a text in `core/rejects.py`, put a line into CHECKS and a
call into `actors/decide.py`; `tests/core/test_risk.py` wants its two edges.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from core.records import AccountState, InstrumentState, OrdType, Side
from core.rejects import Reject
from shared_mem.jit import jit

PASS: Final = (0, 0, 0)

_ACTIVE: Final = int(AccountState.ACTIVE)
_REDUCING: Final = int(AccountState.REDUCING)
_OPEN: Final = int(InstrumentState.OPEN)
_BUY: Final = int(Side.BUY)
_LIMIT: Final = int(OrdType.LIMIT)

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


class Check(NamedTuple):
    name: str
    parameters: str
    rule: str
    codes: tuple[Reject, ...]


CHECKS: Final = (
    Check(
        "account state",
        "state of the account",
        "SEC 15c3-5(c)(2)(iii): only approved accounts trade; a reducing account may only sell",
        (Reject.ACCOUNT_UNKNOWN, Reject.ACCOUNT_NOT_ACTIVE, Reject.ACCOUNT_REDUCING),
    ),
    Check(
        "instrument state",
        "state of the instrument",
        "halts and pauses of the venue",
        (Reject.INSTRUMENT_UNKNOWN, Reject.INSTRUMENT_HALTED),
    ),
    Check(
        "tick and lot",
        "tick size, lot size",
        "the venue's price and quantity increments",
        (Reject.QTY_NOT_POSITIVE, Reject.PRICE_NOT_POSITIVE, Reject.PRICE_OFF_TICK, Reject.QTY_OFF_LOT),
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
        "buying power",
        "cash less what open orders reserve",
        "SEC 15c3-5(c)(1)(i); all sent orders count at once",
        (Reject.BUYING_POWER,),
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
def instrument_state(state: int) -> tuple[int, int, int]:
    return PASS if state == _OPEN else (_INSTRUMENT_HALTED, _OPEN, state)


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
def buying_power(side: int, needed_e6: int, cash_e6: int, reserved_e6: int) -> tuple[int, int, int]:
    if side != _BUY:
        return PASS
    free = cash_e6 - reserved_e6
    return PASS if needed_e6 <= free else (_BUYING_POWER, free, needed_e6)
