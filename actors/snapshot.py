"""A snapshot: all actor state at one sequence number, as named blobs, and the way back.

Always holds: it holds the rows in use and the registers, nothing live (quotes) and no index: those are built again
from the rows. Its hash is over exactly what it holds, and is checked before it is used.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from actors.executions import chain_executions
from actors.tables import (
    R_ACCOUNTS,
    R_CASH,
    R_COLD,
    R_EPOCH,
    R_EXECUTIONS,
    R_GROUPS,
    R_INSTRUMENTS,
    R_ORDERS,
    R_POSITION,
    R_POSITIONS,
    R_REPLACEMENTS,
    R_SEQ,
    Array,
    State,
    index_put,
    order_hash,
    pair_hash,
    text_hash,
)
from core import records
from shared_mem.atomics import crc32c
from shared_mem.jit import jit

# Changes with any row's layout or with what apply does; a snapshot of another version is refused.
SNAPSHOT_VERSION: Final = records.LAYOUT_VERSION

# Two CRC-32C from different starts make the hash's 64 bits.
_SECOND_START: Final = 0x5A5A5A5A

_COUNTED: Final = {
    "accounts": R_ACCOUNTS,
    "account_names": R_ACCOUNTS,
    "positions": R_POSITIONS,
    "instruments": R_INSTRUMENTS,
    "instrument_names": R_INSTRUMENTS,
    "orders": R_ORDERS,
    "order_texts": R_ORDERS,
    "cold": R_COLD,
    "groups": R_GROUPS,
    "group_names": R_GROUPS,
    "cash": R_CASH,
    "replacements": R_REPLACEMENTS,
    "replacement_texts": R_REPLACEMENTS,
}
# Small tables, kept whole.
_WHOLE: Final = ("tick_tables", "tick_bands", "lot_tables")


class Snapshot(msgspec.Struct, frozen=True):
    """State after the record `seq`; the log goes on at `log_position`."""

    epoch: int
    seq: int
    log_position: int
    state_hash: str
    version: int
    blobs: dict[str, bytes]


class SnapshotError(ValueError):
    """A snapshot that can't be used. The text says why; an older one, or the log from its beginning, can."""


def rows_in_use(state: State) -> dict[str, Array]:
    """The parts of the state that count, by name, without a copy."""
    parts: dict[str, Array] = {"registers": state.registers}
    for name, register in _COUNTED.items():
        parts[name] = getattr(state, name)[: int(state.registers[register])]
    for name in _WHOLE:
        parts[name] = getattr(state, name)
    parts["executions"] = _executions_in_use(state)
    return parts


def _executions_in_use(state: State) -> Array:
    """A ring: its register counts on."""
    count: int = min(int(state.registers[R_EXECUTIONS]), len(state.executions))
    return state.executions[:count]


def state_hash(state: State) -> str:
    """16 hexadecimal digits: equal for equal states, whatever process they are in."""
    low, high = 0, _SECOND_START
    for part in rows_in_use(state).values():
        length = part.nbytes
        low = crc32c(part.ctypes.data, length, low)
        high = crc32c(part.ctypes.data, length, high)
    return f"{high & 0xFFFFFFFF:08x}{low & 0xFFFFFFFF:08x}"


def take(state: State) -> Snapshot:
    """Of a state that nobody writes meanwhile."""
    registers = state.registers
    return Snapshot(
        epoch=int(registers[R_EPOCH]),
        seq=int(registers[R_SEQ]),
        log_position=int(registers[R_POSITION]),
        state_hash=state_hash(state),
        version=SNAPSHOT_VERSION,
        blobs={name: zlib.compress(part.tobytes(), 1) for name, part in rows_in_use(state).items()},
    )


def write_file(path: Path, snapshot: Snapshot) -> None:
    """Store it whole or not at all, on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(msgspec.msgpack.encode(snapshot))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def read_file(path: Path) -> Snapshot | None:
    """What `write_file` stored; None when there is none. Raises SnapshotError."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Snapshot)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"{path} is no snapshot: {error}") from None


def restore(snapshot: Snapshot, state: State) -> None:
    """Fill an empty state. Raises SnapshotError, and then the state must not be used."""
    if snapshot.version != SNAPSHOT_VERSION:
        raise SnapshotError(
            f"the snapshot has version {snapshot.version}, this program {SNAPSHOT_VERSION}; "
            "start the program that wrote it, or recover from the log's beginning"
        )
    blobs = snapshot.blobs
    _fill(state.registers, blobs, "registers")
    for name, register in _COUNTED.items():
        rows = getattr(state, name)
        count = int(state.registers[register])
        if not 0 <= count <= len(rows):
            raise SnapshotError(f"the snapshot has {count} rows of {name}; the table holds {len(rows)}")
        _fill(rows[:count], blobs, name)
    for name in _WHOLE:
        _fill(getattr(state, name), blobs, name)
    _fill(_executions_in_use(state), blobs, "executions")
    found = state_hash(state)
    if found != snapshot.state_hash:
        raise SnapshotError(f"the snapshot's hash is {found}, it says {snapshot.state_hash}: it is damaged")
    build_indexes(state)


def _fill(target: Array, blobs: dict[str, bytes], name: str) -> None:
    try:
        raw = zlib.decompress(blobs[name])
    except (KeyError, zlib.error) as error:
        raise SnapshotError(f"the snapshot's part {name} is missing or damaged: {error!r}") from None
    if len(raw) != target.nbytes:
        raise SnapshotError(f"the snapshot's part {name} has {len(raw)} bytes, {target.nbytes} are expected")
    target[...] = np.frombuffer(raw, target.dtype).reshape(target.shape)


@jit
def build_indexes(state: State) -> None:
    """All indexes from the rows."""
    state.account_index[:] = 0
    state.instrument_index[:] = 0
    state.position_index[:] = 0
    state.order_index[:] = 0
    state.client_index[:] = 0
    state.group_index[:] = 0
    state.cash_index[:] = 0
    state.execution_heads[:] = 0
    for row in range(state.registers[R_ACCOUNTS]):
        length = int(state.accounts[row].text_length)
        index_put(state.account_index, text_hash(state.account_names[row], length, 0), row)
    for row in range(state.registers[R_INSTRUMENTS]):
        length = int(state.instruments[row].text_length)
        index_put(state.instrument_index, text_hash(state.instrument_names[row], length, 0), row)
    for row in range(state.registers[R_POSITIONS]):
        position = state.positions[row]
        if position.account > 0:  # else a free row
            index_put(state.position_index, pair_hash(int(position.account), int(position.instrument)), row)
    for row in range(state.registers[R_ORDERS]):
        index_put(state.order_index, order_hash(int(state.orders[row].order_id)), row)
        index_put(state.client_index, int(state.orders[row].client_hash), row)
    for row in range(state.registers[R_GROUPS]):
        length = int(state.groups[row].text_length)
        index_put(state.group_index, text_hash(state.group_names[row], length, 0), row)
    for row in range(state.registers[R_CASH]):
        index_put(
            state.cash_index, pair_hash(int(state.cash[row].account), int(state.cash[row].currency)), row
        )
    for row in range(state.registers[R_REPLACEMENTS]):
        hashed = int(state.replacements[row].client_hash)
        index_put(state.client_index, hashed, len(state.orders) + row)
    chain_executions(state)
