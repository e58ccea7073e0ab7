"""A snapshot: all actor state at one sequence number, as named blobs, and the way back.

Always holds: it holds the rows in use and the registers, nothing live (quotes) and no index: those are built again
from the rows. Its hash is over exactly what it holds, and is checked before it is used; what it says of itself stands
in the registers too, and is compared. A file has a checksum over all of it: no bit is believed unseen.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
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
    REGISTERS,
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
from shared_mem.log_folder import write_durably

# Changes with any row's layout or with what apply does; a snapshot of another version is refused.
SNAPSHOT_VERSION: Final = records.LAYOUT_VERSION

# A file: magic, version, CRC-32 of the body (which begins with the version), the body's length, the body.
_FILE: Final = struct.Struct("<8sIIQ")
_MAGIC: Final = b"TWSNAP\r\n"  # a transfer that takes it for text breaks it where everybody sees

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
    return _hash(rows_in_use(state).values())


def _hash(parts: Iterable[Array]) -> str:
    low, high = 0, _SECOND_START
    for part in parts:
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
    body = msgspec.msgpack.encode(snapshot)
    head = _FILE.pack(_MAGIC, snapshot.version, _checksum(snapshot.version, body), len(body))
    write_durably(path, head + body)


def _checksum(version: int, body: bytes | memoryview) -> int:
    return zlib.crc32(body, version)


def read_file(path: Path) -> Snapshot | None:
    """What `write_file` stored; None when there is none. Raises SnapshotError."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(raw) < _FILE.size or raw[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError(f"{path} is no snapshot")
    _, version, checksum, length = _FILE.unpack_from(raw)
    body = memoryview(raw)[_FILE.size :]
    if length != len(body) or checksum != _checksum(version, body):
        raise SnapshotError(f"{path} is damaged: its checksum is not that of its {len(body)} bytes")
    _check_version(version)
    try:
        return msgspec.msgpack.decode(body, type=Snapshot)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"{path} is no snapshot: {error}") from None


def _check_version(version: int) -> None:
    if version != SNAPSHOT_VERSION:
        age = "a newer" if version > SNAPSHOT_VERSION else "an older"
        raise SnapshotError(
            f"the snapshot has version {version}, this program {SNAPSHOT_VERSION}: {age} program wrote it; "
            "start that one, or recover from the log's beginning"
        )


def check(snapshot: Snapshot) -> Array:
    """As `restore`, without a state to put it in: the registers of one that is whole. Raises SnapshotError."""
    _check_version(snapshot.version)
    names = ("registers", *_COUNTED, *_WHOLE, "executions")
    parts = {name: np.frombuffer(_unpacked(snapshot.blobs, name), np.uint8) for name in names}
    for name, part in parts.items():
        if part.nbytes % 8 or (name == "registers" and part.nbytes != 8 * REGISTERS):
            raise SnapshotError(f"the snapshot's part {name} has {part.nbytes} bytes: it is damaged")
    _check_hash(snapshot, _hash(parts.values()))
    registers = parts["registers"].view(np.int64)
    _check_names(snapshot, registers)
    return registers


def _check_hash(snapshot: Snapshot, found: str) -> None:
    if found != snapshot.state_hash:
        raise SnapshotError(f"the snapshot's hash is {found}, it says {snapshot.state_hash}: it is damaged")


def _check_names(snapshot: Snapshot, registers: Array) -> None:
    says = (snapshot.epoch, snapshot.seq, snapshot.log_position)
    found = tuple(int(registers[register]) for register in (R_EPOCH, R_SEQ, R_POSITION))
    if says != found:
        raise SnapshotError(
            f"the snapshot says (epoch, seq, position) {says}, its state {found}: it is damaged"
        )


def restore(snapshot: Snapshot, state: State) -> None:
    """Fill an empty state. Raises SnapshotError, and then the state must not be used."""
    _check_version(snapshot.version)
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
    _check_hash(snapshot, state_hash(state))
    _check_names(snapshot, state.registers)
    build_indexes(state)


def _unpacked(blobs: Mapping[str, bytes], name: str) -> bytes:
    try:
        return zlib.decompress(blobs[name])
    except (KeyError, zlib.error) as error:
        raise SnapshotError(f"the snapshot's part {name} is missing or damaged: {error!r}") from None


def _fill(target: Array, blobs: Mapping[str, bytes], name: str) -> None:
    raw = _unpacked(blobs, name)
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
