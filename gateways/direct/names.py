"""The few of the shard's tables that messages are read and written with: who is called what."""

from __future__ import annotations

from typing import NamedTuple

from actors.rows import NAME_BYTES
from actors.tables import State
from fix.wire.tokens import Array
from shared_mem.jit import jit


class Names(NamedTuple):
    """As in State, by number - 1. A compiled call passes these four, and not all of the state."""

    registers: Array
    account_names: Array
    instrument_names: Array
    instrument_index: Array


def names_of(state: State) -> Names:
    return Names(state.registers, state.account_names, state.instrument_names, state.instrument_index)


@jit
def name_length(name: Array) -> int:
    """Of a name that zeros fill up to NAME_BYTES."""
    for i in range(NAME_BYTES):
        if name[i] == 0:
            return i
    return NAME_BYTES
