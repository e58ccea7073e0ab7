"""Looking ahead: while one order is decided, the rows of the orders behind it are on their way from memory.

An order touches a dozen rows and index slots at random places; with a million accounts each is a cache and a TLB
miss. The commands that wait in the ring say which rows they will need. An order that comes alone has nobody in front
to fetch for it: then it is done right before its turn, so that its misses at least go side by side.

Always holds: it reads the ring and writes nothing; what it fetches may turn out not to be needed.
"""

from __future__ import annotations

from typing import Final

from actors.emit import Array
from actors.tables import R_NEXT_ORDER, R_SEQ, State, bytes_hash, entry_row, order_hash, pair_hash
from core.records import FIELDS_BYTES, HEAD, TEXT_BYTES_MAX
from shared_mem import ring
from shared_mem.atomics import load_u16, load_u32, prefetch
from shared_mem.jit import jit

# Far enough that a line has come from memory (some 300 ns) when its order is decided, near enough that it is
# still in the first cache.
FAR: Final = 8
# The position's row is known only once its index slot has come.
NEAR: Final = 4
LINE: Final = 64

_fields = HEAD.fields
assert _fields is not None
_TEXT_LENGTH: Final = int(_fields["text_length"][1])
_ACCOUNT: Final = int(_fields["account"][1])
_INSTRUMENT: Final = int(_fields["instrument"][1])


@jit
def _row(table: Array, row: int) -> int:
    return table.ctypes.data + row * table.itemsize


@jit
def _fetch(table: Array, row: int) -> None:
    """A whole row, line by line."""
    address = _row(table, row)
    for offset in range(0, table.itemsize, LINE):
        prefetch(address + offset)


@jit
def fetch_far(state: State, fields: int, text: int, text_length: int, distance: int) -> None:
    """What the order `distance` places behind needs. fields, text: addresses; whole words of the text are readable."""
    account, instrument = load_u32(fields + _ACCOUNT), load_u32(fields + _INSTRUMENT)
    if 1 <= account <= len(state.accounts) and 1 <= instrument <= len(state.instruments):
        _fetch(state.accounts, account - 1)
        _fetch(state.instruments, instrument - 1)
        _fetch(state.quotes, instrument - 1)
        slot = pair_hash(account, instrument) & (len(state.position_index) - 1)
        prefetch(_row(state.position_index, slot))
    # The rows of new orders follow each other, and nearly so do their numbers.
    row = (state.registers[R_NEXT_ORDER] + distance) & (len(state.orders) - 1)
    _fetch(state.orders, row)
    prefetch(state.order_texts.ctypes.data + row * TEXT_BYTES_MAX)
    soon = order_hash(state.registers[R_SEQ] + 1 + 2 * distance)
    prefetch(_row(state.order_index, soon & (len(state.order_index) - 1)))
    client = bytes_hash(text, min(text_length, TEXT_BYTES_MAX), account)
    prefetch(_row(state.client_index, client & (len(state.client_index) - 1)))


@jit
def fetch_near(state: State, fields: int) -> None:
    """An order's position and household, whose rows are named in what `fetch_far` has asked for."""
    account, instrument = load_u32(fields + _ACCOUNT), load_u32(fields + _INSTRUMENT)
    if 1 <= account <= len(state.accounts) and state.accounts[account - 1].household > 0:
        prefetch(_row(state.groups, int(state.accounts[account - 1].household) - 1))
    entry = state.position_index[pair_hash(account, instrument) & (len(state.position_index) - 1)]
    if entry != 0:
        prefetch(_row(state.positions, entry_row(entry)))


@jit
def order_ahead(state: State, lane: int) -> None:
    """Fetch for the orders FAR and NEAR places behind the oldest of a lane; where there are fewer, for the oldest."""
    count = ring.waiting(lane)
    if count == 0:
        return
    is_deep = count > FAR
    distance = FAR if is_deep else 0
    far = ring.at(lane, distance)
    fetch_far(state, far, far + FIELDS_BYTES, load_u16(far + _TEXT_LENGTH), distance)
    fetch_near(state, ring.at(lane, NEAR if is_deep else 0))
