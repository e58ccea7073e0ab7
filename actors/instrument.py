"""The instrument actor: its parameters, its session, its static prices, and the live quote.

Always holds: parameters, session and static prices change by journaled commands only; a tick changes nothing but the
quote, which is no part of the replayed state. An instrument's number and currency are for ever.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.emit import Command, Out, emit, new_instrument_event, set_text
from actors.price_tables import lot_table_is_defined, tick_table_is_defined
from actors.rows import LOT_TABLES_MAX, NAME_BYTES, TICK_TABLES_MAX
from actors.tables import (
    R_INSTRUMENTS,
    Array,
    State,
    begin_write,
    end_write,
    find_name,
    put_name,
)
from core import currencies
from core.records import SETTLE_DAYS_MAX, EventKind, TickKind
from core.rejects import Reject
from core.units import PRICE_E8_MAX, QTY_E8_MAX
from shared_mem.jit import jit

COLLAR_BPS_MAX: Final = 10_000

_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_UNKNOWN: Final = int(Reject.INSTRUMENT_UNKNOWN)
_TABLE_FULL: Final = int(Reject.INSTRUMENT_TABLE_FULL)
_CURRENCY_UNKNOWN: Final = int(Reject.CURRENCY_UNKNOWN)
_CURRENCY_FIXED: Final = int(Reject.CURRENCY_FIXED)
_DAYS_UNKNOWN: Final = int(Reject.SETTLE_DAYS_UNKNOWN)
_TABLE_UNKNOWN: Final = int(Reject.TABLE_UNKNOWN)
_QUOTE: Final = int(TickKind.QUOTE)


@jit
def instrument_row(state: State, instrument: int) -> int:
    """Instruments are numbered from 1 in the order of their definition: the row of one, or -1."""
    return instrument - 1 if 1 <= instrument <= state.registers[R_INSTRUMENTS] else -1


@jit
def _show(state: State, out: Out, row: int, event: Any) -> None:
    instrument = state.instruments[row]
    event.instrument = row + 1
    event.state = instrument.state
    event.price_e8 = instrument.tick_e8
    event.qty_e8 = instrument.lot_e8
    event.currency = instrument.currency
    event.settle_days = instrument.settle_days
    event.tick_table = instrument.tick_table
    event.lot_table = instrument.lot_table
    event.band_bps = instrument.band_bps
    event.previous_close_e8 = instrument.previous_close_e8
    event.reference_e8 = instrument.reference_e8
    event.max_exposure_qty_e8 = instrument.max_exposure_qty_e8
    set_text(out, state.instrument_names[row], int(instrument.text_length))


@jit
def _why_not(state: State, row: int, asked: Any) -> tuple[int, int, int]:
    """What stands against defining it so."""
    if row >= 0 and state.instruments[row].currency != asked.currency:
        return _CURRENCY_FIXED, int(state.instruments[row].currency), int(asked.currency)
    if not currencies.is_currency(asked.currency):
        return _CURRENCY_UNKNOWN, currencies.LAST, int(asked.currency)
    if asked.settle_days > SETTLE_DAYS_MAX:
        return _DAYS_UNKNOWN, SETTLE_DAYS_MAX, int(asked.settle_days)
    if asked.tick_table != 0 and not tick_table_is_defined(state, int(asked.tick_table)):
        return _TABLE_UNKNOWN, TICK_TABLES_MAX, int(asked.tick_table)
    if asked.lot_table != 0 and not lot_table_is_defined(state, int(asked.lot_table)):
        return _TABLE_UNKNOWN, LOT_TABLES_MAX, int(asked.lot_table)
    if row < 0 and state.registers[R_INSTRUMENTS] >= len(state.instruments):
        return _TABLE_FULL, len(state.instruments), int(state.registers[R_INSTRUMENTS])
    return 0, 0, 0


@jit
def define(state: State, out: Out, command: Command) -> None:
    """A new instrument, or new parameters for the one that has this symbol."""
    asked = command.instrument[0]
    length = min(int(asked.text_length), NAME_BYTES)
    row = find_name(state.instrument_index, state.instrument_names, command.text, length)
    event = new_instrument_event(out, _INSTRUMENT, command)
    code, limit, value = _why_not(state, row, asked)
    if code:
        reject(event, code, limit, value)
        set_text(out, command.text, length)
        emit(out)
        return
    if row < 0:
        row = int(state.registers[R_INSTRUMENTS])
        put_name(state.instrument_index, state.instrument_names, row, command.text, length)
    instrument = state.instruments[row]
    begin_write(instrument)
    instrument.instrument = row + 1
    instrument.text_length = length
    instrument.currency = asked.currency
    instrument.settle_days = asked.settle_days
    instrument.tick_e8 = max(asked.tick_e8, 1)
    instrument.lot_e8 = max(asked.lot_e8, 1)
    instrument.tick_table = asked.tick_table
    instrument.lot_table = asked.lot_table
    instrument.max_order_qty_e8 = min(asked.max_order_qty_e8, QTY_E8_MAX)
    instrument.max_exposure_qty_e8 = max(asked.max_exposure_qty_e8, 0)
    instrument.collar_bps = min(asked.collar_bps, COLLAR_BPS_MAX)
    instrument.band_bps = min(asked.band_bps, COLLAR_BPS_MAX)
    instrument.quote_age_ms_max = asked.quote_age_ms_max
    end_write(instrument)
    state.registers[R_INSTRUMENTS] = max(state.registers[R_INSTRUMENTS], row + 1)  # as for accounts
    _show(state, out, row, event)
    emit(out)


@jit
def set_state(state: State, out: Out, command: Command) -> None:
    """Its session, or a halt."""
    asked = command.state[0]
    event = new_instrument_event(out, _INSTRUMENT, command)
    row = instrument_row(state, int(asked.instrument))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.instrument))
    else:
        instrument = state.instruments[row]
        begin_write(instrument)
        instrument.state = np.uint8(asked.state)
        end_write(instrument)
        _show(state, out, row, event)
    emit(out)


@jit
def set_reference_price(state: State, out: Out, command: Command) -> None:
    """The static prices: the previous close, and the reference price that stands before it. 0: none."""
    asked = command.reference[0]
    event = new_instrument_event(out, _INSTRUMENT, command)
    row = instrument_row(state, int(asked.instrument))
    if row < 0:
        reject(event, _UNKNOWN, 0, int(asked.instrument))
    else:
        instrument = state.instruments[row]
        begin_write(instrument)
        instrument.previous_close_e8 = min(max(asked.previous_close_e8, 0), PRICE_E8_MAX)
        instrument.reference_e8 = min(max(asked.reference_e8, 0), PRICE_E8_MAX)
        instrument.static_e8 = (
            instrument.reference_e8 if instrument.reference_e8 > 0 else instrument.previous_close_e8
        )
        end_write(instrument)
        _show(state, out, row, event)
    emit(out)


@jit
def on_tick(state: State, ticks: Array) -> None:
    """Take the one tick in `ticks` (records.TICK) as the instrument's live quote or last trade."""
    tick = ticks[0]
    row = instrument_row(state, int(tick.instrument))
    if row < 0:
        return
    quote = state.quotes[row]
    begin_write(quote)
    quote.instrument = tick.instrument
    quote.ticks += 1
    if tick.kind == _QUOTE:
        quote.bid_e8 = tick.bid_e8
        quote.ask_e8 = tick.ask_e8
        quote.bid_size_e8 = tick.bid_size_e8
        quote.ask_size_e8 = tick.ask_size_e8
        quote.quote_time_ns = tick.published_ns
    else:
        quote.last_e8 = tick.px_e8
        quote.last_size_e8 = tick.size_e8
        quote.trade_time_ns = tick.published_ns
    end_write(quote)
