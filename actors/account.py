"""The account actor: opening, cash and state.

Always holds: cash - reserved >= 0 after every accepted order and withdrawal; a fill never costs more than was
reserved for it, but for the rounding of a partial fill: half a micro-unit of money each, where tick x lot is no whole
one. Reserved is the sum of the reservations of the account's open orders.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.emit import P_TIME, Command, Out, emit, new_event, set_text
from actors.tables import NAME_BYTES, R_ACCOUNTS, State, begin_write, end_write, find_name, put_name
from core import money
from core.records import EventKind
from core.rejects import Reject
from core.units import QTY_E8_MAX
from shared_mem.jit import jit

_ACCOUNT: Final = int(EventKind.ACCOUNT)
_CASH: Final = int(EventKind.CASH)
_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_TABLE_FULL: Final = int(Reject.ACCOUNT_TABLE_FULL)
_CASH_NOT_FREE: Final = int(Reject.CASH_NOT_FREE)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)


@jit
def account_row(state: State, account: int) -> int:
    """Accounts are numbered from 1 in the order of their opening: the row of one, or -1."""
    return account - 1 if 1 <= account <= state.registers[R_ACCOUNTS] else -1


@jit
def show_account(state: State, row: int, event: Any) -> None:
    """Put the account as it now is into an event."""
    account = state.accounts[row]
    event.account = account.account
    event.state = account.state
    event.cash_e6 = account.cash_e6
    event.reserved_e6 = account.reserved_e6


@jit
def reject(event: Any, code: int, limit: int, value: int) -> None:
    event.reject_code = code
    event.limit_value = limit
    event.observed_value = value


@jit
def open_account(state: State, out: Out, command: Command) -> None:
    """A new account, or new limits for the one that has this number. It begins ACTIVE and without cash."""
    asked = command.account[0]
    length = min(int(asked.text_length), NAME_BYTES)
    row = find_name(state.account_index, state.account_names, command.text, length)
    event = new_event(out, _ACCOUNT, command)
    set_text(out, command.text, length)
    if row < 0:
        row = int(state.registers[R_ACCOUNTS])
        if row >= len(state.accounts):
            reject(event, _TABLE_FULL, len(state.accounts), row)
            emit(out)
            return
        put_name(state.account_index, state.account_names, row, command.text, length)
    account = state.accounts[row]
    begin_write(account)
    account.account = row + 1
    account.text_length = length
    account.active_ns = out.pen[P_TIME]
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
def move_cash(state: State, out: Out, command: Command) -> None:
    """Pay in or out. A withdrawal may take only cash that no open order has reserved."""
    asked = command.deposit[0]
    event = new_event(out, _CASH, command)
    row = account_row(state, int(asked.account))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.account))
        emit(out)
        return
    account = state.accounts[row]
    after = money.add(account.cash_e6, asked.amount_e6)
    free = account.cash_e6 - account.reserved_e6
    if after == money.OVERFLOW or asked.amount_e6 == money.OVERFLOW:  # its negative is no amount
        reject(event, _OVERFLOW, 0, asked.amount_e6)
    elif asked.amount_e6 < 0 and -asked.amount_e6 > free:
        reject(event, _CASH_NOT_FREE, free, -asked.amount_e6)
    else:
        begin_write(account)
        account.cash_e6 = after
        account.active_ns = out.pen[P_TIME]
        end_write(account)
    show_account(state, row, event)
    emit(out)


@jit
def set_state(state: State, out: Out, command: Command) -> None:
    asked = command.state[0]
    event = new_event(out, _ACCOUNT, command)
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
