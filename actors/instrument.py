"""The instrument actor: its parameters, its state, and the live quote.

Always holds: parameters and state change by journaled commands only; a tick changes nothing but the quote, which
is no part of the replayed state.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import reject
from actors.emit import Command, Out, emit, new_event, set_text
from actors.tables import NAME_BYTES, R_INSTRUMENTS, Array, State, begin_write, end_write, find_name, put_name
from core.records import EventKind, TickKind
from core.rejects import Reject
from core.units import QTY_E8_MAX
from shared_mem.jit import jit

COLLAR_BPS_MAX: Final = 10_000

_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_UNKNOWN: Final = int(Reject.INSTRUMENT_UNKNOWN)
_TABLE_FULL: Final = int(Reject.INSTRUMENT_TABLE_FULL)
_QUOTE: Final = int(TickKind.QUOTE)


@jit
def instrument_row(state: State, instrument: int) -> int:
    """Instruments are numbered from 1 in the order of their definition: the row of one, or -1."""
    return instrument - 1 if 1 <= instrument <= state.registers[R_INSTRUMENTS] else -1


@jit
def _show(state: State, out: Out, row: int, event: Any) -> None:
    event.instrument = row + 1
    event.state = state.instruments[row].state
    event.price_e8 = state.instruments[row].tick_e8
    event.qty_e8 = state.instruments[row].lot_e8
    set_text(out, state.instrument_names[row], int(state.instruments[row].text_length))


@jit
def define(state: State, out: Out, command: Command) -> None:
    """A new instrument, or new parameters for the one that has this symbol."""
    asked = command.instrument[0]
    length = min(int(asked.text_length), NAME_BYTES)
    row = find_name(state.instrument_index, state.instrument_names, command.text, length)
    event = new_event(out, _INSTRUMENT, command)
    if row < 0:
        row = int(state.registers[R_INSTRUMENTS])
        if row >= len(state.instruments):
            reject(event, _TABLE_FULL, len(state.instruments), row)
            set_text(out, command.text, length)
            emit(out)
            return
        put_name(state.instrument_index, state.instrument_names, row, command.text, length)
    instrument = state.instruments[row]
    begin_write(instrument)
    instrument.instrument = row + 1
    instrument.text_length = length
    instrument.tick_e8 = max(asked.tick_e8, 1)
    instrument.lot_e8 = max(asked.lot_e8, 1)
    instrument.max_order_qty_e8 = min(asked.max_order_qty_e8, QTY_E8_MAX)
    instrument.collar_bps = min(asked.collar_bps, COLLAR_BPS_MAX)
    instrument.quote_age_ms_max = asked.quote_age_ms_max
    end_write(instrument)
    state.registers[R_INSTRUMENTS] = max(state.registers[R_INSTRUMENTS], row + 1)  # as for accounts
    _show(state, out, row, event)
    emit(out)


@jit
def set_state(state: State, out: Out, command: Command) -> None:
    asked = command.state[0]
    event = new_event(out, _INSTRUMENT, command)
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
