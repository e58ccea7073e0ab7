"""An instrument over all accounts: what they hold and owe of it, and what their open orders would add.

Always holds: long is the sum of the positions above 0, short of those below (as a positive number), open_buy and
open_sell of the positions' open quantities. Net is long - short, gross long + short.
"""

from __future__ import annotations

from typing import Final

from actors.tables import State, begin_write, end_write
from core import money, risk
from core.records import Side
from shared_mem.jit import jit

_BUY: Final = int(Side.BUY)


@jit
def check_exposure(state: State, instrument_at: int, side: int, qty_e8: int) -> tuple[int, int, int]:
    """The limit of all accounts together (core/risk.py, instrument_exposure)."""
    exposure = state.instruments[instrument_at]
    return risk.instrument_exposure(
        side,
        qty_e8,
        exposure.long_e8 - exposure.short_e8,
        exposure.open_buy_e8,
        exposure.open_sell_e8,
        exposure.max_exposure_qty_e8,
    )


@jit
def can_count(state: State, instrument_at: int, qty_e8: int) -> bool:
    """Whether a fill of so much fits the sums, whichever way it goes."""
    exposure = state.instruments[instrument_at]
    gross = money.add(exposure.long_e8, exposure.short_e8)
    return gross != money.OVERFLOW and money.add(gross, qty_e8) != money.OVERFLOW


@jit
def carry_open(state: State, instrument_at: int, side: int, change_e8: int) -> None:
    """An open order's quantity came, grew, shrank or went."""
    if change_e8 == 0:
        return
    exposure = state.instruments[instrument_at]
    begin_write(exposure)
    if side == _BUY:
        exposure.open_buy_e8 += change_e8
    else:
        exposure.open_sell_e8 += change_e8
    end_write(exposure)


@jit
def carry_position(state: State, instrument_at: int, before_e8: int, after_e8: int) -> None:
    """An account's position went from `before` to `after`."""
    exposure = state.instruments[instrument_at]
    begin_write(exposure)
    exposure.long_e8 += max(after_e8, 0) - max(before_e8, 0)
    exposure.short_e8 += max(-after_e8, 0) - max(-before_e8, 0)
    end_write(exposure)
