"""A balance: one account's cash in one currency, what open orders reserve of it, and what has not settled yet.

The base currency's balance stands in the account's row, another's in a row of CASH; both have the same fields, and
each function here takes either.

    cash        trade date: moves with each fill and payment, at once
    reserved    by open purchases
    receivable  proceeds of sales that settle in 1, 2 or 3 settlement days: receive_1 .. receive_3
    payable     purchases that settle then: pay_1 .. pay_3
    settled   = cash - receivable + payable          what a custodian's statement shows today
    unsettled = receivable - payable

Always holds: settled + unsettled = cash. Every bucket is >= 0. A payment, and a trade that settles with itself
(settle_days 0), has settled at once; a purchase can be paid with settled money only once, so what may be withdrawn is
cash - reserved - receivable = settled - payable - reserved.

The end of a settlement day moves every bucket of every account one day nearer, and touches none of them: the register
R_SETTLEMENTS counts those ends, a balance keeps the count at which its buckets were last brought up to date
(`settlements`), and whoever reads or books takes the difference into account. So a million accounts settle in one step.
"""

from __future__ import annotations

from typing import Any

from actors.tables import R_SETTLEMENTS, State, begin_write, end_write
from core import money
from core.records import SETTLE_DAYS_MAX
from shared_mem.jit import jit

assert SETTLE_DAYS_MAX == 3, "a balance has three buckets on each side"


@jit
def days_behind(state: State, balance: Any) -> int:
    """Settlement days that have ended since the buckets were brought up to date."""
    return int(state.registers[R_SETTLEMENTS]) - int(balance.settlements)


@jit
def _still_open(behind: int, first: int, second: int, third: int) -> int:
    """Of buckets that settle in one, two and three days from a day that is `behind` days ago: what is still open."""
    if behind <= 0:
        return first + second + third
    if behind == 1:
        return second + third
    return third if behind == 2 else 0


@jit
def receivable_e6(state: State, balance: Any) -> int:
    return _still_open(
        days_behind(state, balance), balance.receive_1_e6, balance.receive_2_e6, balance.receive_3_e6
    )


@jit
def payable_e6(state: State, balance: Any) -> int:
    return _still_open(days_behind(state, balance), balance.pay_1_e6, balance.pay_2_e6, balance.pay_3_e6)


@jit
def free_e6(balance: Any) -> int:
    """Cash that no open order has reserved."""
    return money.capped_difference(balance.cash_e6, balance.reserved_e6)


@jit
def withdrawable_e6(state: State, balance: Any) -> int:
    """Settled, and spoken for by neither an open order nor a purchase that is still to be paid."""
    return money.capped_difference(free_e6(balance), receivable_e6(state, balance))


@jit
def _settle(state: State, balance: Any) -> None:
    """Bring the buckets up to date. The caller writes the row."""
    for _ in range(min(days_behind(state, balance), SETTLE_DAYS_MAX)):
        balance.receive_1_e6 = balance.receive_2_e6
        balance.receive_2_e6 = balance.receive_3_e6
        balance.receive_3_e6 = 0
        balance.pay_1_e6 = balance.pay_2_e6
        balance.pay_2_e6 = balance.pay_3_e6
        balance.pay_3_e6 = 0
    balance.settlements = state.registers[R_SETTLEMENTS]


@jit
def can_book(state: State, balance: Any, amount_e6: int) -> bool:
    """Whether cash, and the sums of the buckets, can count the amount: < 0 for a purchase."""
    if money.add(balance.cash_e6, amount_e6) == money.OVERFLOW:
        return False
    if amount_e6 >= 0:
        return money.add(receivable_e6(state, balance), amount_e6) != money.OVERFLOW
    return money.add(payable_e6(state, balance), -amount_e6) != money.OVERFLOW


@jit
def book(state: State, balance: Any, amount_e6: int, settle_days: int) -> None:
    """Money of a trade: into cash at once, and into the bucket that settles in so many settlement days."""
    begin_write(balance)
    _settle(state, balance)
    balance.cash_e6 += amount_e6
    received = max(amount_e6, 0)
    paid = max(-amount_e6, 0)
    if settle_days == 1:
        balance.receive_1_e6 += received
        balance.pay_1_e6 += paid
    elif settle_days == 2:
        balance.receive_2_e6 += received
        balance.pay_2_e6 += paid
    elif settle_days == 3:
        balance.receive_3_e6 += received
        balance.pay_3_e6 += paid
    end_write(balance)


@jit
def can_unbook(balance: Any, amount_e6: int) -> bool:
    """Whether cash can count the amount of a trade being taken back."""
    return money.add(balance.cash_e6, -amount_e6) != money.OVERFLOW


@jit
def unbook(state: State, balance: Any, amount_e6: int, due: int) -> None:
    """Take a trade's money back, out of cash and of the bucket that it is in by now; `due`: it has settled when so many
    settlement days have ended, and then it is in none."""
    begin_write(balance)
    _settle(state, balance)
    balance.cash_e6 -= amount_e6
    received = max(amount_e6, 0)
    paid = max(-amount_e6, 0)
    left = due - state.registers[R_SETTLEMENTS]
    if left == 1:
        balance.receive_1_e6 -= received
        balance.pay_1_e6 -= paid
    elif left == 2:
        balance.receive_2_e6 -= received
        balance.pay_2_e6 -= paid
    elif left == 3:
        balance.receive_3_e6 -= received
        balance.pay_3_e6 -= paid
    end_write(balance)
