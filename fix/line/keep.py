"""The store's append, compiled: the same record as `fix/store.py` writes, by one `write` into the same file.

Why a `write` and not a store into a mapped page: both put the record into the page cache, which outlives kill -9; the
mapped page costs a fault of some microseconds for every 4 KiB (docs/design.md), which one order in fifteen would pay,
and the call costs each the same, less than one microsecond. Why not the log alone: the numbers that a peer has seen
are a session's own, and the log does not know them. With gate `synced` or `replicated` a row stays with Python.

Always holds: a record is whole or torn at the file's end, for the file is open for appending; a failed append is never
followed by another.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from fix.line.crc32 import crc32
from fix.line.row import STATE_BYTES, Why
from fix.store import BODY, HEAD, MAGIC, MESSAGE, NO_STATE
from fix.wire.tokens import Array
from shared_mem.atomics import copy_bytes, store_i64, store_u8, store_u32, write_fd
from shared_mem.jit import jit

# Of one message: more than any that a template writes here.
MESSAGE_ROOM: Final = 2048
_BODY: Final = HEAD.size
_STATE: Final = HEAD.size + BODY.size
RECORD_ROOM: Final = _STATE + STATE_BYTES + MESSAGE.size + MESSAGE_ROOM
_HEAD_BYTES: Final = HEAD.size
_MESSAGE_HEAD: Final = MESSAGE.size
_MAGIC: Final = MAGIC
_NO_STATE: Final = NO_STATE
_STORE: Final = int(Why.STORE)
_SEGMENT: Final = int(Why.SEGMENT)


def record_buffer() -> Array:
    return np.zeros(RECORD_ROOM, np.uint8)


@jit
def _put_cursor(line: Any, cursor: int) -> None:
    """The cursor into the state: cursor_at + 8 <= state_length, as `Table.set_state` has seen."""
    at = line.state + line.cursor_at
    if line.cursor_is_big == 0:
        store_i64(at, cursor)
        return
    for i in range(8):
        store_u8(at + i, (cursor >> (56 - 8 * i)) & 0xFF)


@jit
def keep(line: Any, record: Array, message: int, length: int, admin: int, cursor: int) -> bool:
    """Append in one record: next_in, one message of ours (length > 0) or none, and the state with `cursor` (below 0: as
    it was). length <= MESSAGE_ROOM, and an admin message's bytes are left out. False, and `why`: nothing may leave."""
    if line.store_size >= line.store_limit:
        line.why = _SEGMENT
        return False
    base = record.ctypes.data
    state_length = line.state_length if cursor >= 0 else 0
    at = base + _STATE
    if state_length > 0:  # <= STATE_BYTES
        _put_cursor(line, cursor)
        copy_bytes(at, line.state, state_length)
        at += state_length
    count = 0
    if length > 0:
        count = 1
        size = 0 if admin != 0 else length
        store_u8(at, admin)
        store_u32(at + 1, size)
        at += _MESSAGE_HEAD
        copy_bytes(at, message, size)
        at += size
    store_i64(base + _BODY, line.next_in)
    store_i64(base + _BODY + 8, line.next_out)
    store_u32(base + _BODY + 16, line.generation)
    store_u32(base + _BODY + 20, count)
    store_u32(base + _BODY + 24, state_length if state_length > 0 else _NO_STATE)
    total = at - base  # <= RECORD_ROOM, by the bounds above
    store_u32(base, _MAGIC)
    store_u32(base + 8, total - _HEAD_BYTES)
    store_u32(base + 4, crc32(base + 8, total - 8))
    if write_fd(line.store_fd, base, total) != total:
        line.why = _STORE
        return False
    line.store_size += total
    line.next_out += count
    line.kept_in = line.next_in
    if state_length > 0:
        line.kept_cursor = cursor
    return True
