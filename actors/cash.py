"""Cash of an account: payments in and out, in any currency, and the end of a settlement day.

Always holds: a withdrawal takes only what is settled and free (`actors/balances.py`). A balance in another currency
than the account's own is there from its first payment on: nothing converts money.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import NS_PER_S, account_row, reject, show_account, show_cash
from actors.balances import book, free_e6, payable_e6, receivable_e6, withdrawable_e6
from actors.emit import P_TIME, Command, Out, emit, new_money_event
from actors.tables import (
    R_CASH,
    R_SETTLE_DATE,
    R_SETTLEMENTS,
    State,
    begin_write,
    end_write,
    find_cash,
    index_put,
    pair_hash,
)
from core import currencies, money
from core.records import EventKind
from core.rejects import Reject
from shared_mem.jit import jit

_CASH: Final = int(EventKind.CASH)
_SETTLEMENT: Final = int(EventKind.SETTLEMENT)
_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_CURRENCY_UNKNOWN: Final = int(Reject.CURRENCY_UNKNOWN)
_CASH_TABLE_FULL: Final = int(Reject.CASH_TABLE_FULL)
_CASH_NOT_FREE: Final = int(Reject.CASH_NOT_FREE)
_UNSETTLED: Final = int(Reject.WITHDRAWAL_UNSETTLED)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)
_NOT_LATER: Final = int(Reject.SETTLE_DAY_NOT_LATER)

_LAST_DATE: Final = 99991231
# What a balance's `settlements` counts to: 260 years of settlement days.
_SETTLEMENTS_MAX: Final = 2**16 - 1


@jit
def cash_row(state: State, account: int, currency: int) -> int:
    """Row of the account's cash in another currency, made when there is none; -1 when the table is full."""
    row = find_cash(state, account, currency)
    if row >= 0:
        return row
    row = int(state.registers[R_CASH])
    if row >= len(state.cash):
        return -1
    state.registers[R_CASH] = row + 1
    cash = state.cash[row]
    begin_write(cash)
    cash.account = account
    cash.currency = currency
    cash.settlements = state.registers[R_SETTLEMENTS]
    end_write(cash)
    index_put(state.cash_index, pair_hash(account, currency), row)
    return row


@jit
def _pay(state: State, balance: Any, amount_e6: int) -> tuple[int, int, int]:
    """Move the payment, or say why not."""
    if amount_e6 == money.OVERFLOW or money.add(balance.cash_e6, amount_e6) == money.OVERFLOW:
        return _OVERFLOW, 0, amount_e6  # the least number's negative is no amount
    if amount_e6 < 0:
        free = free_e6(balance)
        if -amount_e6 > free:
            return _CASH_NOT_FREE, free, -amount_e6
        settled = withdrawable_e6(state, balance)
        if -amount_e6 > settled:
            return _UNSETTLED, settled, -amount_e6
    book(state, balance, amount_e6, 0)
    return 0, 0, 0


@jit
def _show(state: State, row: int, link: int, event: Any) -> None:
    show_account(state, row, event)
    if link != 0:
        cash = state.cash[link - 1]
        show_cash(state, row, link, event)
        event.receivable_e6 = receivable_e6(state, cash)
        event.payable_e6 = payable_e6(state, cash)


@jit
def move_cash(state: State, out: Out, command: Command) -> None:
    """Pay in or out, in the account's currency or another. A payment settles at once."""
    asked = command.deposit[0]
    event = new_money_event(out, _CASH, command)
    row = account_row(state, int(asked.account))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.account))
        emit(out)
        return
    account = state.accounts[row]
    amount = int(asked.amount_e6)
    begin_write(account)
    account.active_s = out.pen[P_TIME] // NS_PER_S
    end_write(account)
    if asked.currency == currencies.NO_CURRENCY or asked.currency == account.currency:
        code, limit, value = _pay(state, account, amount)
        _show(state, row, 0, event)
        reject(event, code, limit, value)
        emit(out)
        return
    if not currencies.is_currency(asked.currency):
        show_account(state, row, event)
        reject(event, _CURRENCY_UNKNOWN, currencies.LAST, int(asked.currency))
        emit(out)
        return
    at = find_cash(state, row + 1, int(asked.currency))
    if at < 0 and amount > 0:
        at = cash_row(state, row + 1, int(asked.currency))
        if at < 0:
            show_account(state, row, event)
            reject(event, _CASH_TABLE_FULL, len(state.cash), 0)
            emit(out)
            return
    if at < 0:
        show_account(state, row, event)
        event.currency = asked.currency
        event.cash_e6 = event.reserved_e6 = event.receivable_e6 = event.payable_e6 = 0
        if amount == money.OVERFLOW:
            reject(event, _OVERFLOW, 0, amount)
        elif amount < 0:
            reject(event, _CASH_NOT_FREE, 0, -amount)
    else:
        code, limit, value = _pay(state, state.cash[at], amount)
        _show(state, row, at + 1, event)
        reject(event, code, limit, value)
    emit(out)


@jit
def settle_day(state: State, out: Out, command: Command) -> None:
    """The end of a settlement day: what was due on it has settled, in every balance, by one register."""
    asked = command.settle[0]
    registers = state.registers
    event = new_money_event(out, _SETTLEMENT, command)
    date = int(asked.date)
    at_end = date > _LAST_DATE or registers[R_SETTLEMENTS] >= _SETTLEMENTS_MAX
    if at_end or date <= registers[R_SETTLE_DATE]:
        reject(event, _NOT_LATER, int(registers[R_SETTLE_DATE]), date)
    else:
        registers[R_SETTLE_DATE] = date
        registers[R_SETTLEMENTS] += 1
    event.date = registers[R_SETTLE_DATE]
    emit(out)
