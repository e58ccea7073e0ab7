"""Who does nothing: looks through the accounts, slice by slice, and asks that the idle ones become passive.

As `actors/due.py`: it lies outside `apply`, reads without a lock and never writes state. Whether an account may become
passive is decided where the command is applied (`actors/passive.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from actors.tables import R_ACCOUNTS, Array, State
from core.commands import passivate
from shared_mem.jit import jit

# Rows of one look, 8 MiB of accounts: a million are looked through in sixteen looks.
SLICE_ROWS: Final = 1 << 16
# Commands of one look: what they give back is no hurry, and orders come between them.
FOUND_MAX: Final = 256

_NS: Final = 1_000_000_000


@jit
def idle_accounts(state: State, first: int, rows: int, before_s: int, found: Array) -> int:
    """Puts the numbers of accounts that have positions, nothing open, and did nothing since `before_s` (seconds since
    1970) into `found`; returns how many."""
    count = 0
    for row in range(first, min(first + rows, state.registers[R_ACCOUNTS])):
        if count == len(found):
            break
        account = state.accounts[row]
        has_hot_rows = account.first_position_row > 0 and account.cold_positions == 0
        if has_hot_rows and account.open_orders == 0 and account.active_s < before_s:
            found[count] = row + 1
            count += 1
    return count


class IdleAccounts:
    """`push` puts a command into a lane, and says whether there was room."""

    def __init__(
        self,
        state: State,
        push: Callable[[bytes], bool],
        *,
        idle_after_s: int,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._state = state
        self._push = push
        self._idle_after_s = idle_after_s
        self._clock = clock
        self._found = np.zeros(FOUND_MAX, np.int64)
        self._next = 0
        self._requests = clock()

    def turn(self) -> int:
        """Looks through one slice: how many commands it pushed."""
        first, self._next = self._next, self._next + SLICE_ROWS
        if self._next >= self._state.registers[R_ACCOUNTS]:
            self._next = 0
        before_s = self._clock() // _NS - self._idle_after_s
        count = int(idle_accounts(self._state, first, SLICE_ROWS, before_s, self._found))
        pushed = 0
        for number in self._found[:count].tolist():
            self._requests += 1
            if not self._push(passivate(request_id=self._requests, account=number)):
                break
            pushed += 1
        return pushed
