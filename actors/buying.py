"""The money side of an order: whether the account can pay, what it reserves, what a fill pays.

Always holds: an order in an instrument of another currency than the account's is paid with cash of that currency; there
is no conversion. A reservation and a fill move the balance and every level above the account by the same amount, in
one step.
"""

from __future__ import annotations

from typing import Any, Final

from actors.balances import book, can_book, can_unbook, free_e6, receivable_e6, unbook
from actors.levels import can_count, carry
from actors.tables import R_INSTRUMENTS, R_SETTLEMENTS, State, begin_write, end_write, find_cash
from core import risk
from core.rejects import Reject
from shared_mem.jit import jit

_CURRENCY_NOT_HELD: Final = int(Reject.CURRENCY_NOT_HELD)


@jit
def paying_cash(state: State, account: int, instrument: int) -> int:
    """The balance that pays for the instrument: row + 1 in CASH; 0: the account's own, also while there is no cash in
    its currency. The account is known; an unknown instrument is paid for by none."""
    if instrument < 1 or instrument > state.registers[R_INSTRUMENTS]:
        return 0
    currency = int(state.instruments[instrument - 1].currency)
    if currency == state.accounts[account - 1].currency:
        return 0
    return find_cash(state, account, currency) + 1


@jit
def _check_balance(
    state: State, balance: Any, settled_only: int, side: int, needed_e6: int
) -> tuple[int, int, int]:
    code, limit, value = risk.buying_power(side, needed_e6, balance.cash_e6, balance.reserved_e6)
    if code == 0 and settled_only:
        code, limit, value = risk.settled_cash(
            side, needed_e6, free_e6(balance), receivable_e6(state, balance)
        )
    return code, limit, value


@jit
def check_money(state: State, account: int, currency: int, side: int, needed_e6: int) -> tuple[int, int, int]:
    """Whether the account can pay `needed` of the instrument's currency."""
    owner = state.accounts[account - 1]
    if owner.currency == currency:
        return _check_balance(state, owner, owner.settled_only, side, needed_e6)
    row = find_cash(state, account, currency)
    if row < 0:
        return _CURRENCY_NOT_HELD, currency, int(owner.currency)
    return _check_balance(state, state.cash[row], owner.settled_only, side, needed_e6)


@jit
def carry_reservation(state: State, order: Any, change_e6: int) -> None:
    """What the order reserves grew or shrank: in its balance, and at each level above."""
    if change_e6 == 0:
        return
    account = state.accounts[order.account - 1]
    link = paying_cash(state, int(order.account), int(order.instrument))
    if link == 0:
        begin_write(account)
        account.reserved_e6 += change_e6
        end_write(account)
    else:
        cash = state.cash[link - 1]
        begin_write(cash)
        cash.reserved_e6 += change_e6
        end_write(cash)
    if account.household != 0:
        currency = int(state.instruments[order.instrument - 1].currency)
        carry(state, int(account.household), currency, change_e6, 0)


@jit
def can_pay(state: State, order: Any, amount_e6: int) -> bool:
    """Whether a fill's money (< 0: paid) can be counted by the balance and by every level above."""
    account = state.accounts[order.account - 1]
    link = paying_cash(state, int(order.account), int(order.instrument))
    fits = (
        can_book(state, account, amount_e6) if link == 0 else can_book(state, state.cash[link - 1], amount_e6)
    )
    currency = int(state.instruments[order.instrument - 1].currency)
    return fits and can_count(state, int(account.household), currency, abs(amount_e6))


@jit
def pay(state: State, order: Any, amount_e6: int, gross_change_e6: int) -> None:
    """Book a fill's money, and at each level above what the position's cost grew by."""
    account = state.accounts[order.account - 1]
    instrument = state.instruments[order.instrument - 1]
    link = paying_cash(state, int(order.account), int(order.instrument))
    if link == 0:
        book(state, account, amount_e6, int(instrument.settle_days))
    else:
        book(state, state.cash[link - 1], amount_e6, int(instrument.settle_days))
    carry(state, int(account.household), int(instrument.currency), 0, gross_change_e6)


@jit
def settles_at(state: State, order: Any) -> int:
    """How many settlement days have ended when a fill of now has settled."""
    settle_days = int(state.instruments[order.instrument - 1].settle_days)
    return int(state.registers[R_SETTLEMENTS]) + settle_days


@jit
def can_take_back(state: State, order: Any, amount_e6: int, cost_e6: int) -> bool:
    """Whether the balance can count a fill's money being taken back, and every level a cost that changes by so much."""
    account = state.accounts[order.account - 1]
    link = paying_cash(state, int(order.account), int(order.instrument))
    fits = can_unbook(account, amount_e6) if link == 0 else can_unbook(state.cash[link - 1], amount_e6)
    currency = int(state.instruments[order.instrument - 1].currency)
    return fits and can_count(state, int(account.household), currency, abs(cost_e6))


@jit
def take_back(state: State, order: Any, amount_e6: int, due: int, gross_change_e6: int) -> None:
    """What `pay` booked for a fill, the other way; `due` as `settles_at` told then."""
    account = state.accounts[order.account - 1]
    link = paying_cash(state, int(order.account), int(order.instrument))
    if link == 0:
        unbook(state, account, amount_e6, due)
    else:
        unbook(state, state.cash[link - 1], amount_e6, due)
    currency = int(state.instruments[order.instrument - 1].currency)
    carry(state, int(account.household), currency, 0, gross_change_e6)
