"""Passive accounts: who has nothing open and does nothing leaves the hot tables, and is back with its next command.

A position of an active account takes a line of its own and a place in an index; an account's twenty take 1,900 bytes. A
passive account's are packed behind each other, 32 bytes each, in a table that no order's way touches.

Always holds: nothing is lost or rounded by it; an account with an open order is active; the command that finds its
account passive activates it first, within `apply`, so that replicas do the same. The rows that an activation needs may
be taken by others meanwhile: then a new order is rejected with POSITION_TABLE_FULL and the account stays passive.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import account_row, reject, show_account
from actors.emit import Command, Out, emit, new_money_event, set_text
from actors.tables import (
    COLD_CLASSES,
    R_COLD,
    R_COLD_FREE,
    R_FREE_POSITION,
    R_FREE_POSITIONS,
    R_POSITIONS,
    State,
    begin_write,
    end_write,
    index_put,
    index_remove,
    pair_hash,
)
from core.records import EventKind
from core.rejects import Reject
from shared_mem.jit import jit

_ACCOUNT: Final = int(EventKind.ACCOUNT)
_UNKNOWN: Final = int(Reject.ACCOUNT_UNKNOWN)
_NOT_IDLE: Final = int(Reject.ACCOUNT_NOT_IDLE)
_COLD_FULL: Final = int(Reject.COLD_TABLE_FULL)


# --- rows of positions: used again once their account is passive


@jit
def free_positions(state: State) -> int:
    """How many more positions the table takes."""
    return len(state.positions) - state.registers[R_POSITIONS] + state.registers[R_FREE_POSITIONS]


@jit
def take_position_row(state: State, account: int, instrument: int) -> int:
    """A row for a new position, in front of its account's others and in the index; -1 when the table is full. The
    caller has locked the account's row."""
    registers = state.registers
    row = registers[R_FREE_POSITION] - 1
    if row >= 0:
        registers[R_FREE_POSITION] = state.positions[row].next_row
        registers[R_FREE_POSITIONS] -= 1
    elif registers[R_POSITIONS] < len(state.positions):
        row = registers[R_POSITIONS]
        registers[R_POSITIONS] = row + 1
    else:
        return -1
    owner = state.accounts[account - 1]
    position = state.positions[row]
    begin_write(position)
    position.account = account
    position.instrument = instrument
    position.next_row = owner.first_position_row
    end_write(position)
    owner.first_position_row = row + 1
    index_put(state.position_index, pair_hash(account, instrument), row)
    return row


@jit
def _free_position_row(state: State, row: int) -> None:
    position = state.positions[row]
    index_remove(state.position_index, pair_hash(int(position.account), int(position.instrument)), row)
    begin_write(position)
    position.account = 0
    position.instrument = 0
    position.next_row = state.registers[R_FREE_POSITION]
    position.qty_e8 = 0
    position.cost_e6 = 0
    position.realized_e6 = 0
    end_write(position)
    state.registers[R_FREE_POSITION] = row + 1
    state.registers[R_FREE_POSITIONS] += 1


# --- runs of cold rows: 1, 2, 4, … of them, each size with a list of its free ones


@jit
def _class_of(count: int) -> int:
    """The smallest run that holds so many."""
    size = 0
    while (1 << size) < count:
        size += 1
    return size


@jit
def _take_run(state: State, size: int) -> int:
    """First row of a free run of 2**size, or -1 when the table is full."""
    registers = state.registers
    run = registers[R_COLD_FREE + size] - 1
    if run >= 0:
        registers[R_COLD_FREE + size] = state.cold[run].instrument
        return run
    run = registers[R_COLD]
    if run + (1 << size) > len(state.cold):
        return -1
    registers[R_COLD] = run + (1 << size)
    return run


@jit
def _free_run(state: State, run: int, size: int) -> None:
    for row in range(run, run + (1 << size)):
        cold = state.cold[row]
        cold.instrument = 0
        cold.qty_e8 = 0
        cold.cost_e6 = 0
        cold.realized_e6 = 0
    state.cold[run].instrument = state.registers[R_COLD_FREE + size]
    state.registers[R_COLD_FREE + size] = run + 1


# --- the two ways


@jit
def is_passive(account: Any) -> bool:
    return account.cold_positions > 0


@jit
def find_cold(state: State, account: int, instrument: int) -> int:
    """Row in `cold` of a passive account's position, or -1."""
    owner = state.accounts[account - 1]
    run = int(owner.first_position_row) - 1
    for row in range(run, run + int(owner.cold_positions)):
        if state.cold[row].instrument == instrument:
            return row
    return -1


@jit
def activate(state: State, row: int) -> bool:
    """Bring the account's positions back, in their order; False when the table has no room for them."""
    account = state.accounts[row]
    count = int(account.cold_positions)
    if count == 0:
        return True
    if count > free_positions(state):
        return False
    run = int(account.first_position_row) - 1
    begin_write(account)  # until all are back: a reader sees the account's positions whole
    account.first_position_row = 0
    account.cold_positions = 0
    for at in range(run + count - 1, run - 1, -1):
        cold = state.cold[at]
        position = state.positions[take_position_row(state, row + 1, int(cold.instrument))]
        begin_write(position)
        position.qty_e8 = cold.qty_e8
        position.cost_e6 = cold.cost_e6
        position.realized_e6 = cold.realized_e6
        end_write(position)
    end_write(account)
    _free_run(state, run, _class_of(count))
    return True


@jit
def on_passivate(state: State, out: Out, command: Command) -> None:
    """Make an account passive. One that has no position has nothing to give back and stays as it is."""
    event = new_money_event(out, _ACCOUNT, command)
    row = account_row(state, int(command.head[0].account))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(command.head[0].account))
        emit(out)
        return
    account = state.accounts[row]
    show_account(state, row, event)
    set_text(out, state.account_names[row], int(account.text_length))
    if account.open_orders > 0:
        reject(event, _NOT_IDLE, 0, int(account.open_orders))
    elif not is_passive(account) and not _move_to_cold(state, row):
        reject(event, _COLD_FULL, len(state.cold), int(state.registers[R_COLD]))
    emit(out)


@jit
def _move_to_cold(state: State, row: int) -> bool:
    account = state.accounts[row]
    count = 0
    link = int(account.first_position_row)
    while link > 0:
        count += 1
        link = int(state.positions[link - 1].next_row)
    if count == 0:
        return True
    size = _class_of(count)
    run = _take_run(state, size) if size < COLD_CLASSES else -1
    if run < 0:
        return False
    begin_write(account)
    link = int(account.first_position_row)
    for at in range(run, run + count):
        position = state.positions[link - 1]
        cold = state.cold[at]
        cold.instrument = position.instrument
        cold.qty_e8 = position.qty_e8
        cold.cost_e6 = position.cost_e6
        cold.realized_e6 = position.realized_e6
        following = int(position.next_row)
        _free_position_row(state, link - 1)
        link = following
    account.first_position_row = run + 1
    account.cold_positions = count
    end_write(account)
    return True
