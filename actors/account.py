"""The account actor: opening and state. Its money is `actors/cash.py`'s, the levels above it `actors/levels.py`'s.

Always holds: an account's number is its row + 1, its base currency is for ever. Free cash (cash - reserved) is not
below 0 after any accepted order or withdrawal; a fill never costs more than was reserved for it, but for the rounding
of a partial fill: half a micro-unit of money each, where tick x lot is no whole one. Reserved is the sum of the
reservations of the account's open orders in that currency.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.balances import payable_e6, receivable_e6
from actors.emit import P_TIME, Command, Out, emit, new_money_event, set_text
from actors.levels import is_household
from actors.rows import NAME_BYTES
from actors.tables import (
    R_ACCOUNTS,
    R_SETTLEMENTS,
    State,
    begin_write,
    end_write,
    find_name,
    put_name,
)
from core import currencies
from core.records import EventKind
from core.rejects import Reject
from core.units import QTY_E8_MAX
from shared_mem.jit import jit

NS_PER_S: Final = 1_000_000_000

_ACCOUNT: Final = int(EventKind.ACCOUNT)
_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_TABLE_FULL: Final = int(Reject.ACCOUNT_TABLE_FULL)
_CURRENCY_UNKNOWN: Final = int(Reject.CURRENCY_UNKNOWN)
_CURRENCY_FIXED: Final = int(Reject.CURRENCY_FIXED)
_GROUP_UNKNOWN: Final = int(Reject.GROUP_UNKNOWN)
_GROUP_FIXED: Final = int(Reject.GROUP_FIXED)


@jit
def account_row(state: State, account: int) -> int:
    """Accounts are numbered from 1 in the order of their opening: the row of one, or -1."""
    return account - 1 if 1 <= account <= state.registers[R_ACCOUNTS] else -1


@jit
def show_cash(state: State, row: int, cash_link: int, event: Any) -> None:
    """Put one of the account's balances into any event. cash_link: row + 1 in CASH; 0: the account's own."""
    event.account = row + 1
    if cash_link == 0:
        account = state.accounts[row]
        event.currency = account.currency
        event.cash_e6 = account.cash_e6
        event.reserved_e6 = account.reserved_e6
    else:
        cash = state.cash[cash_link - 1]
        event.currency = cash.currency
        event.cash_e6 = cash.cash_e6
        event.reserved_e6 = cash.reserved_e6


@jit
def show_account(state: State, row: int, event: Any) -> None:
    """Put the account as it now is, with its own currency's balance, into a money event."""
    account = state.accounts[row]
    show_cash(state, row, 0, event)
    event.receivable_e6 = receivable_e6(state, account)
    event.payable_e6 = payable_e6(state, account)
    event.state = account.state
    event.settled_only = account.settled_only
    event.group = account.household


@jit
def reject(event: Any, code: int, limit: int, value: int) -> None:
    event.reject_code = code
    event.limit_value = limit
    event.observed_value = value


@jit
def _why_not(state: State, row: int, asked: Any) -> tuple[int, int, int]:
    """What stands against the opening, or against changing the account in the row."""
    if row >= 0:
        known = state.accounts[row]
        if known.currency != asked.currency:
            return _CURRENCY_FIXED, int(known.currency), int(asked.currency)
        if asked.household != 0 and known.household != asked.household:
            return _GROUP_FIXED, int(known.household), int(asked.household)
        return 0, 0, 0
    if not currencies.is_currency(asked.currency):
        return _CURRENCY_UNKNOWN, currencies.LAST, int(asked.currency)
    if asked.household != 0 and not is_household(state, int(asked.household)):
        return _GROUP_UNKNOWN, 0, int(asked.household)
    if state.registers[R_ACCOUNTS] >= len(state.accounts):
        return _TABLE_FULL, len(state.accounts), int(state.registers[R_ACCOUNTS])
    return 0, 0, 0


@jit
def open_account(state: State, out: Out, command: Command) -> None:
    """A new account, or new limits for the one that has this number. It begins ACTIVE and without cash."""
    asked = command.account[0]
    length = min(int(asked.text_length), NAME_BYTES)
    row = find_name(state.account_index, state.account_names, command.text, length)
    event = new_money_event(out, _ACCOUNT, command)
    set_text(out, command.text, length)
    code, limit, value = _why_not(state, row, asked)
    if code:
        reject(event, code, limit, value)
        emit(out)
        return
    is_new = row < 0
    if is_new:
        row = int(state.registers[R_ACCOUNTS])
        put_name(state.account_index, state.account_names, row, command.text, length)
    account = state.accounts[row]
    begin_write(account)
    if is_new:
        account.text_length = length
        account.currency = asked.currency
        account.household = asked.household
        account.settlements = state.registers[R_SETTLEMENTS]
    account.settled_only = np.uint8(1 if asked.settled_only else 0)
    account.active_s = out.pen[P_TIME] // NS_PER_S
    account.max_order_qty_e8 = min(asked.max_order_qty_e8, QTY_E8_MAX)
    account.max_order_notional_e6 = asked.max_order_notional_e6
    account.max_position_qty_e8 = min(asked.max_position_qty_e8, QTY_E8_MAX)
    end_write(account)
    state.registers[R_ACCOUNTS] = max(
        state.registers[R_ACCOUNTS], row + 1
    )  # readers count on whole rows below it
    show_account(state, row, event)
    emit(out)


@jit
def set_state(state: State, out: Out, command: Command) -> None:
    asked = command.state[0]
    event = new_money_event(out, _ACCOUNT, command)
    row = account_row(state, int(asked.account))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.account))
    else:
        account = state.accounts[row]
        begin_write(account)
        account.state = np.uint8(asked.state)
        end_write(account)
        show_account(state, row, event)
        set_text(out, state.account_names[row], int(account.text_length))
    emit(out)
