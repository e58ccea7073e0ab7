"""A break: the venue's drop copy and the log tell an execution differently. What it does to the account.

Always holds: no money, position or order is changed by a break, for nobody knows yet who is right; it is recorded, and
the account may only reduce its positions until a person sets it ACTIVE again. An account that is HALTED stays so. The
account is the order's, where the order is in the table; else the one that the reconciler names; else none (0).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.account import account_row, show_cash
from actors.emit import Command, Out, emit, new_event, set_text
from actors.tables import State, begin_write, end_write, find_order
from core.records import AccountState, EventKind
from shared_mem.jit import jit

_BREAK: Final = int(EventKind.BREAK)
_ACTIVE: Final = int(AccountState.ACTIVE)
_REDUCING: Final = int(AccountState.REDUCING)


@jit
def on_break(state: State, out: Out, command: Command) -> None:
    told = command.difference[0]
    event = new_event(out, _BREAK, command)
    event.break_kind = told.break_kind
    event.side = told.side
    event.last_qty_e8 = told.last_qty_e8
    event.last_px_e8 = told.last_px_e8
    event.limit_value = told.ours
    event.observed_value = told.venues
    set_text(out, command.text, int(told.text_length))
    account = int(told.account)
    row = find_order(state, int(told.order_id))
    if row >= 0:
        account = int(state.orders[row].account)
        event.instrument = state.orders[row].instrument
    at = account_row(state, account)
    if at < 0:
        event.account = 0
        emit(out)
        return
    owner = state.accounts[at]
    if owner.state == _ACTIVE:
        begin_write(owner)
        owner.state = np.uint8(_REDUCING)
        end_write(owner)
    show_cash(state, at, 0, event)
    event.state = owner.state
    emit(out)
