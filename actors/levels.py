"""The levels above an account, as an order meets them: household, advisor, desk, firm. The state of each counts for all
below it, and its limits for all of it together.

Always holds, at every moment and each level: reserved is the sum of what the accounts below reserve in the group's
currency, gross the sum of what their positions in that currency cost (absolute values). Both move with each
reservation and fill, by the same amounts, and with an account that moves. A household's chain is of one currency.

An order looks at no more than four rows: a group's row names all groups above it. Groups are made and changed in
`actors/groups.py`.
"""

from __future__ import annotations

from typing import Final

from actors.tables import R_GROUPS, State, begin_write, end_write
from core import money, risk
from core.records import Level, Side
from core.rejects import Reject
from shared_mem.jit import jit

LEVELS: Final = len(Level)

_HOUSEHOLD: Final = int(Level.HOUSEHOLD)
_HOUSEHOLD_CURRENCY: Final = int(Reject.HOUSEHOLD_CURRENCY)
_BUY: Final = int(Side.BUY)


@jit
def group_row(state: State, group: int) -> int:
    """Groups are numbered from 1 in the order of their definition: the row of one, or -1."""
    return group - 1 if 1 <= group <= state.registers[R_GROUPS] else -1


@jit
def is_household(state: State, group: int) -> bool:
    row = group_row(state, group)
    return row >= 0 and state.groups[row].level == _HOUSEHOLD


@jit
def at_step(state: State, household: int, step: int) -> int:
    """The number of the group `step` levels up: 0 the household itself, then advisor, desk, firm. 0: there is none."""
    group = state.groups[household - 1]
    if step == 0:
        return household
    if step == 1:
        return int(group.advisor)
    return int(group.desk) if step == 2 else int(group.firm)


@jit
def check_states(state: State, household: int, side: int) -> tuple[int, int, int]:
    """The state of each level, from the household up."""
    if household == 0:
        return risk.PASS
    for step in range(LEVELS):
        number = at_step(state, household, step)
        if number != 0:
            group = state.groups[number - 1]
            code, limit, value = risk.level_state(int(group.level), int(group.state), side)
            if code:
                return code, limit, value
    return risk.PASS


@jit
def check_limits(
    state: State, household: int, side: int, currency: int, needed_e6: int, own_e6: int
) -> tuple[int, int, int]:
    """The limits of each level, from the household up. A purchase in a currency that no limit is set in is refused; a
    sale in it passes, for it only brings a risk down. own: what an order that is to be replaced has of reserved."""
    if household == 0:
        return risk.PASS
    counted = int(state.groups[household - 1].currency)
    if counted != currency:
        return (_HOUSEHOLD_CURRENCY, counted, currency) if side == _BUY else risk.PASS
    for step in range(LEVELS):
        number = at_step(state, household, step)
        if number != 0:
            group = state.groups[number - 1]
            code, limit, value = risk.level_limits(
                int(group.level),
                side,
                needed_e6,
                group.reserved_e6 - own_e6,
                group.gross_e6,
                group.max_order_notional_e6,
                group.max_open_notional_e6,
                group.max_gross_e6,
            )
            if code:
                return code, limit, value
    return risk.PASS


@jit
def can_count(state: State, household: int, currency: int, notional_e6: int) -> bool:
    """Whether every level's gross can grow by so much."""
    if household == 0 or state.groups[household - 1].currency != currency:
        return True
    for step in range(LEVELS):
        number = at_step(state, household, step)
        if number != 0 and money.add(state.groups[number - 1].gross_e6, notional_e6) == money.OVERFLOW:
            return False
    return True


@jit
def carry(state: State, household: int, currency: int, reserved_e6: int, gross_e6: int) -> None:
    """Add to reserved and gross of each level what changed below it."""
    if household == 0 or (reserved_e6 == 0 and gross_e6 == 0):
        return
    if state.groups[household - 1].currency != currency:
        return
    for step in range(LEVELS):
        number = at_step(state, household, step)
        if number != 0:
            group = state.groups[number - 1]
            begin_write(group)
            group.reserved_e6 += reserved_e6
            group.gross_e6 += gross_e6
            end_write(group)
