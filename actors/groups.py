"""Groups above accounts: defined, halted and opened again, and accounts that move between households.

Always holds: what `actors/levels.py` says of reserved and gross, through every move: an account takes its reservations
and positions along. A group's name, level, parent and currency are for ever; its state and limits change.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import account_row, reject, show_account
from actors.emit import Command, Out, emit, new_money_event, set_text
from actors.levels import LEVELS, at_step, carry, group_row, is_household
from actors.rows import NAME_BYTES
from actors.tables import R_GROUPS, State, begin_write, end_write, find_cash, find_name, put_name
from core import currencies, money, risk
from core.records import EventKind, Level
from core.rejects import Reject
from shared_mem.jit import jit

_GROUP: Final = int(EventKind.GROUP)
_ACCOUNT: Final = int(EventKind.ACCOUNT)
_FIRM: Final = int(Level.FIRM)
_DESK: Final = int(Level.DESK)
_ADVISOR: Final = int(Level.ADVISOR)
_HOUSEHOLD: Final = int(Level.HOUSEHOLD)
_ACCOUNT_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_UNKNOWN: Final = int(Reject.GROUP_UNKNOWN)
_FIXED: Final = int(Reject.GROUP_FIXED)
_PARENT: Final = int(Reject.GROUP_PARENT)
_TABLE_FULL: Final = int(Reject.GROUP_TABLE_FULL)
_CURRENCY_UNKNOWN: Final = int(Reject.CURRENCY_UNKNOWN)
_CURRENCY_FIXED: Final = int(Reject.CURRENCY_FIXED)
_OVERFLOW: Final = int(Reject.AMOUNT_OVERFLOW)
_OPEN_NOTIONAL: Final = int(Reject.FIRM_OPEN_NOTIONAL) - 1  # and the level's number
_GROSS: Final = int(Reject.FIRM_GROSS_EXPOSURE) - 1


@jit
def _show(state: State, out: Out, row: int, event: Any) -> None:
    group = state.groups[row]
    event.group = row + 1
    event.parent = group.parent
    event.level = group.level
    event.state = group.state
    event.currency = group.currency
    event.reserved_e6 = group.reserved_e6
    event.gross_e6 = group.gross_e6
    event.max_order_notional_e6 = group.max_order_notional_e6
    event.max_open_notional_e6 = group.max_open_notional_e6
    event.max_gross_e6 = group.max_gross_e6
    set_text(out, state.group_names[row], int(group.text_length))


@jit
def _may_be_parent(state: State, parent: int, level: int, currency: int) -> bool:
    """A firm has none; every other group has one, of a higher level and of the same currency."""
    if level < _FIRM or level > _HOUSEHOLD:
        return False
    if level == _FIRM:
        return parent == 0
    row = group_row(state, parent)
    return row >= 0 and state.groups[row].level < level and state.groups[row].currency == currency


@jit
def _stand_under(state: State, row: int, parent: int) -> None:
    """Write down the groups above: the parent, and those above it."""
    group = state.groups[row]
    group.parent = parent
    if parent == 0:
        return
    above = state.groups[parent - 1]
    group.firm = parent if above.level == _FIRM else above.firm
    group.desk = parent if above.level == _DESK else above.desk
    group.advisor = parent if above.level == _ADVISOR else above.advisor


@jit
def define(state: State, out: Out, command: Command) -> None:
    """A new group, ACTIVE and with nothing below it, or new limits for the one that has this name."""
    asked = command.group[0]
    length = min(int(asked.text_length), NAME_BYTES)
    event = new_money_event(out, _GROUP, command)
    set_text(out, command.text, length)
    row = find_name(state.group_index, state.group_names, command.text, length)
    is_new = row < 0
    if is_new:
        row = int(state.registers[R_GROUPS])
        if not currencies.is_currency(asked.currency):
            reject(event, _CURRENCY_UNKNOWN, currencies.LAST, int(asked.currency))
            emit(out)
            return
        if not _may_be_parent(state, int(asked.parent), int(asked.level), int(asked.currency)):
            reject(event, _PARENT, int(asked.level), int(asked.parent))
            emit(out)
            return
        if row >= len(state.groups):
            reject(event, _TABLE_FULL, len(state.groups), row)
            emit(out)
            return
    else:
        known = state.groups[row]
        if known.currency != asked.currency:
            reject(event, _CURRENCY_FIXED, int(known.currency), int(asked.currency))
            emit(out)
            return
        if known.level != asked.level or known.parent != asked.parent:
            reject(event, _FIXED, int(known.parent), int(asked.parent))
            emit(out)
            return
    group = state.groups[row]
    begin_write(group)
    if is_new:
        put_name(state.group_index, state.group_names, row, command.text, length)
        group.text_length = length
        group.level = asked.level
        group.currency = asked.currency
        _stand_under(state, row, int(asked.parent))
    group.max_order_notional_e6 = max(asked.max_order_notional_e6, 0)
    group.max_open_notional_e6 = max(asked.max_open_notional_e6, 0)
    group.max_gross_e6 = max(asked.max_gross_e6, 0)
    end_write(group)
    state.registers[R_GROUPS] = max(
        state.registers[R_GROUPS], row + 1
    )  # readers count on whole rows below it
    _show(state, out, row, event)
    emit(out)


@jit
def set_state(state: State, out: Out, command: Command) -> None:
    """One row changes; everything below it meets the change with its next order."""
    asked = command.group_state[0]
    event = new_money_event(out, _GROUP, command)
    row = group_row(state, int(asked.group))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.group))
    else:
        group = state.groups[row]
        begin_write(group)
        group.state = np.uint8(asked.state)
        end_write(group)
        _show(state, out, row, event)
    emit(out)


@jit
def _reserved_in(state: State, row: int, currency: int) -> int:
    """What the account's open orders reserve in the currency."""
    if state.accounts[row].currency == currency:
        return int(state.accounts[row].reserved_e6)
    cash = find_cash(state, row + 1, currency)
    return 0 if cash < 0 else int(state.cash[cash].reserved_e6)


@jit
def _gross_in(state: State, row: int, currency: int) -> int:
    """What the account's positions in the currency cost; OVERFLOW when the sum does not fit. As many steps as it has
    positions, active or passive."""
    account = state.accounts[row]
    total = 0
    link = int(account.first_position_row)
    if account.cold_positions > 0:
        for at in range(link - 1, link - 1 + int(account.cold_positions)):
            if state.instruments[state.cold[at].instrument - 1].currency == currency:
                total = money.add(total, abs(state.cold[at].cost_e6))
                if total == money.OVERFLOW:
                    return total
        return total
    while link != 0:
        position = state.positions[link - 1]
        if state.instruments[position.instrument - 1].currency == currency:
            total = money.add(total, abs(position.cost_e6))
            if total == money.OVERFLOW:
                return total
        link = int(position.next_row)
    return total


@jit
def _has_room(state: State, household: int, reserved_e6: int, gross_e6: int) -> tuple[int, int, int]:
    """Whether each level of a household has room for an account's open orders and positions."""
    for step in range(LEVELS):
        number = at_step(state, household, step)
        if number != 0:
            group = state.groups[number - 1]
            both = money.add(reserved_e6, gross_e6)
            used = money.capped_sum(group.gross_e6, group.reserved_e6)
            if (
                gross_e6 == money.OVERFLOW
                or both == money.OVERFLOW
                or money.add(used, both) == money.OVERFLOW
            ):
                return _OVERFLOW, 0, 0
            if reserved_e6 > group.max_open_notional_e6 - group.reserved_e6:
                value = money.capped_sum(reserved_e6, group.reserved_e6)
                return _OPEN_NOTIONAL + int(group.level), int(group.max_open_notional_e6), value
            if both > group.max_gross_e6 - used:
                value = money.capped_sum(both, used)
                return _GROSS + int(group.level), int(group.max_gross_e6), value
    return risk.PASS


@jit
def _move(state: State, row: int, before: int, after: int) -> tuple[int, int, int]:
    """Out of the old chain and into the new one, whole or not at all: the two may share levels."""
    reserved_before = gross_before = 0
    if before != 0:
        counted = int(state.groups[before - 1].currency)
        reserved_before, gross_before = _reserved_in(state, row, counted), _gross_in(state, row, counted)
        carry(state, before, counted, -reserved_before, -gross_before)
    if after == 0:
        return risk.PASS
    currency = int(state.groups[after - 1].currency)
    reserved, gross = _reserved_in(state, row, currency), _gross_in(state, row, currency)
    code, limit, value = _has_room(state, after, reserved, gross)
    if code == 0:
        carry(state, after, currency, reserved, gross)
    elif before != 0:
        carry(state, before, int(state.groups[before - 1].currency), reserved_before, gross_before)
    return code, limit, value


@jit
def move_account(state: State, out: Out, command: Command) -> None:
    """Into another household, or with 0 out of any. The new chain must have room for what the account has open and
    holds."""
    asked = command.move[0]
    household = int(asked.household)
    event = new_money_event(out, _ACCOUNT, command)
    row = account_row(state, int(asked.account))
    if row < 0:
        reject(event, _ACCOUNT_UNKNOWN, 0, int(asked.account))
        emit(out)
        return
    account = state.accounts[row]
    if household != 0 and not is_household(state, household):
        reject(event, _UNKNOWN, 0, household)
    elif household != account.household:
        code, limit, value = _move(state, row, int(account.household), household)
        if code:
            reject(event, code, limit, value)
        else:
            begin_write(account)
            account.household = household
            end_write(account)
    show_account(state, row, event)
    set_text(out, state.account_names[row], int(account.text_length))
    emit(out)
