"""Tick tables and lot tables: small tables that instruments refer to by number.

Always holds: a defined tick table has at least one band; its bands rise, and a bound between two is a multiple of both
their ticks, so that rounding a price to the tick inside a bound never leaves the band's grid. A table that is defined
anew counts at once for all instruments that refer to it: for a change that needs several commands take a fresh number.
"""

from __future__ import annotations

from typing import Any, Final

from actors.account import reject
from actors.emit import Command, Out, emit, new_instrument_event
from actors.rows import LOT_TABLES_MAX, TICK_BANDS_MAX, TICK_TABLES_MAX
from actors.tables import State, begin_write, end_write
from core.records import TICK_BANDS_A_COMMAND, EventKind
from core.rejects import Reject
from shared_mem.jit import jit

_TABLE: Final = int(EventKind.INSTRUMENT_TABLE)
_TABLE_UNKNOWN: Final = int(Reject.TABLE_UNKNOWN)
_TICK_TABLE_WRONG: Final = int(Reject.TICK_TABLE_WRONG)
_LOT_TABLE_WRONG: Final = int(Reject.LOT_TABLE_WRONG)

assert TICK_BANDS_A_COMMAND == 4, "_band names four bands"


@jit
def tick_table_is_defined(state: State, table: int) -> bool:
    return 1 <= table <= TICK_TABLES_MAX and state.tick_tables[table - 1].bands > 0


@jit
def lot_table_is_defined(state: State, table: int) -> bool:
    return 1 <= table <= LOT_TABLES_MAX and state.lot_tables[table - 1].round_lot_e8 > 0


@jit
def _band(asked: Any, number: int) -> tuple[int, int]:
    """(from, tick) of one of the command's bands."""
    if number == 0:
        return asked.from_1_e8, asked.tick_1_e8
    if number == 1:
        return asked.from_2_e8, asked.tick_2_e8
    if number == 2:
        return asked.from_3_e8, asked.tick_3_e8
    return asked.from_4_e8, asked.tick_4_e8


@jit
def _first_wrong(state: State, table: int, asked: Any) -> int:
    """Number of the first band (from 1) that does not fit behind the one before it; 0: all do."""
    first, count = int(asked.first_band), int(asked.bands)
    if count < 1 or count > TICK_BANDS_A_COMMAND or first > state.tick_tables[table - 1].bands:
        return first + 1
    if first + count > TICK_BANDS_MAX:
        return TICK_BANDS_MAX + 1
    for n in range(count):
        start, tick = _band(asked, n)
        if start < 0 or tick < 1 or start % tick != 0:
            return first + n + 1
        if first + n > 0:
            if n > 0:
                before, before_tick = _band(asked, n - 1)
            else:
                last = state.tick_bands[table - 1, first - 1]
                before, before_tick = last.from_e8, last.tick_e8
            if start <= before or start % before_tick != 0:
                return first + n + 1
    return 0


@jit
def define_tick_table(state: State, out: Out, command: Command) -> None:
    """Bands of a tick table, from `first_band` on; what stood behind them is gone."""
    asked = command.tick_table[0]
    table = int(asked.table)
    event = new_instrument_event(out, _TABLE, command)
    event.tick_table = asked.table
    if table < 1 or table > TICK_TABLES_MAX:
        reject(event, _TABLE_UNKNOWN, TICK_TABLES_MAX, table)
        emit(out)
        return
    row = state.tick_tables[table - 1]
    wrong = _first_wrong(state, table, asked)
    if wrong:
        reject(event, _TICK_TABLE_WRONG, TICK_BANDS_MAX, wrong)
    else:
        begin_write(row)
        for n in range(int(asked.bands)):
            start, tick = _band(asked, n)
            band = state.tick_bands[table - 1, int(asked.first_band) + n]
            band.from_e8 = start
            band.tick_e8 = tick
        row.bands = int(asked.first_band) + int(asked.bands)
        end_write(row)
    event.bands = row.bands
    emit(out)


@jit
def define_lot_table(state: State, out: Out, command: Command) -> None:
    """A round lot, and whether quantities that are no multiple of it are taken."""
    asked = command.lot_table[0]
    table = int(asked.table)
    event = new_instrument_event(out, _TABLE, command)
    event.lot_table = asked.table
    event.odd_lots = 1 if asked.odd_lots else 0
    event.qty_e8 = asked.round_lot_e8
    if table < 1 or table > LOT_TABLES_MAX:
        reject(event, _TABLE_UNKNOWN, LOT_TABLES_MAX, table)
    elif asked.round_lot_e8 < 1:
        reject(event, _LOT_TABLE_WRONG, 1, asked.round_lot_e8)
    else:
        row = state.lot_tables[table - 1]
        begin_write(row)
        row.round_lot_e8 = asked.round_lot_e8
        row.odd_lots = 1 if asked.odd_lots else 0
        end_write(row)
    emit(out)
