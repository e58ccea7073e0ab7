"""The state of a shard: tables of fixed-layout rows, the indexes over them, and a few registers.

Always holds:
- The shard's thread is the only writer. A row's first field is its seqlock: odd while the row is written.
- Rows are dense and never move; an index can be built again from the rows. So a snapshot is the rows in use.
- Every table has a capacity; full is a reject code, not a fault.
- Nothing here depends on time, on memory addresses or on the order of a set: equal histories, equal bytes.

The quotes are apart: they are live, not journaled, and no part of the state hash. A decision gets the quote it
saw with its command (core/records.py, NEW_ORDER).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from actors.rows import (
    ACCOUNT,
    CASH,
    COLD,
    EXECUTION,
    GROUP,
    INSTRUMENT,
    LOT_TABLE,
    LOT_TABLES_MAX,
    NAME_BYTES,
    ORDER,
    POSITION,
    QUOTE,
    REPLACEMENT,
    TICK_BAND,
    TICK_BANDS_MAX,
    TICK_TABLE,
    TICK_TABLES_MAX,
)
from core.records import TEXT_BYTES_MAX
from shared_mem.atomics import load_i64, release_fence, store_i64
from shared_mem.jit import jit

LAYOUT: Final = "state"
VERSION: Final = 3

Array = np.ndarray[Any, np.dtype[Any]]

# Registers: int64 words.
R_SEQ: Final = 0  # the last sequence number applied
R_POSITION: Final = 1  # the log position after it
R_TIME: Final = 2
R_EPOCH: Final = 3
R_ACCOUNTS: Final = 4
R_INSTRUMENTS: Final = 5
R_POSITIONS: Final = 6
R_ORDERS: Final = 7  # rows ever used, at most the capacity
R_NEXT_ORDER: Final = 8  # the row that the next order takes, if its order has ended
R_VENUE_SEQ: Final = 9  # the last venue report applied
R_COMMANDS: Final = 10
R_FREE_POSITION: Final = 11  # the first free row below R_POSITIONS: row + 1; 0: none
R_FREE_POSITIONS: Final = 12  # how many there are
R_COLD: Final = 13  # rows of `cold` ever used
R_REPLACEMENTS: Final = 14  # rows ever used, at most the capacity
R_NEXT_REPLACEMENT: Final = 15  # the row from which one is looked for
R_LANES: Final = 16  # + lane: the name of the last record taken from that lane's ring
LANES_MAX: Final = 16
R_COLD_FREE: Final = R_LANES + LANES_MAX  # + n: the first free run of 2**n rows: row + 1; 0: none
COLD_CLASSES: Final = 15  # an account has at most 2**14 positions: as many as there are instruments
R_GROUPS: Final = R_COLD_FREE + COLD_CLASSES
R_CASH: Final = R_GROUPS + 1
R_SETTLEMENTS: Final = R_CASH + 1  # settlement days ended so far
R_SETTLE_DATE: Final = R_SETTLEMENTS + 1  # YYYYMMDD of the last of them
R_EXECUTIONS: Final = R_SETTLE_DATE + 1  # ever booked: number n stands in row n modulo the capacity
REGISTERS: Final = R_EXECUTIONS + 1


class Capacity(NamedTuple):
    """Rows of each table: powers of two. Untouched rows cost no memory."""

    accounts: int = 1 << 20
    instruments: int = 1 << 14
    positions: int = 1 << 22
    orders: int = 1 << 20
    cold: int = 1 << 22
    groups: int = 1 << 19
    cash: int = 1 << 20

    @property
    def replacements(self) -> int:
        """Names in `client_index` beside the orders' own: it is then five eighths full at the most."""
        return max(self.orders // 4, 2)

    @property
    def executions(self) -> int:
        """The newest fills that are known again and can be undone: as many as there are orders."""
        return self.orders


class State(NamedTuple):
    registers: Array
    accounts: Array
    positions: Array
    instruments: Array
    quotes: Array
    orders: Array
    account_names: Array  # uint8 (accounts, NAME_BYTES): the numbers that people know
    instrument_names: Array  # uint8 (instruments, NAME_BYTES): symbols
    cold: Array  # positions of passive accounts
    order_texts: Array  # uint8 (orders, TEXT_BYTES_MAX): the client's order ids
    replacements: Array
    replacement_texts: Array  # uint8 (replacements, TEXT_BYTES_MAX)
    executions: Array
    account_index: Array  # by number
    instrument_index: Array  # by symbol
    position_index: Array  # by (account, instrument)
    order_index: Array  # by order id
    client_index: Array  # by (account, client's order id): an order's row, or behind those a replacement's
    execution_heads: Array  # int64: the newest execution of each chain, its number + 1; 0: none
    groups: Array
    group_names: Array  # uint8 (groups, NAME_BYTES)
    group_index: Array  # by name
    cash: Array
    cash_index: Array  # by (account, currency)
    tick_tables: Array
    tick_bands: Array  # TICK_BAND (TICK_TABLES_MAX, TICK_BANDS_MAX)
    lot_tables: Array


def layout(capacity: Capacity) -> list[tuple[str, np.dtype[Any], tuple[int, ...]]]:
    """The arrays of State in memory order: name, dtype, shape. Indexes have twice the rows: half empty."""
    for name, rows in capacity._asdict().items():
        if rows < 2 or rows & (rows - 1):
            raise ValueError(f"capacity {name} = {rows} is not a power of two; take {1 << rows.bit_length()}")
    index = np.dtype("i8")
    return [
        ("registers", np.dtype("i8"), (REGISTERS,)),
        ("accounts", ACCOUNT, (capacity.accounts,)),
        ("positions", POSITION, (capacity.positions,)),
        ("instruments", INSTRUMENT, (capacity.instruments,)),
        ("quotes", QUOTE, (capacity.instruments,)),
        ("orders", ORDER, (capacity.orders,)),
        ("cold", COLD, (capacity.cold,)),
        ("account_names", np.dtype("u1"), (capacity.accounts, NAME_BYTES)),
        ("instrument_names", np.dtype("u1"), (capacity.instruments, NAME_BYTES)),
        ("order_texts", np.dtype("u1"), (capacity.orders, TEXT_BYTES_MAX)),
        ("replacements", REPLACEMENT, (capacity.replacements,)),
        ("replacement_texts", np.dtype("u1"), (capacity.replacements, TEXT_BYTES_MAX)),
        ("executions", EXECUTION, (capacity.executions,)),
        ("account_index", index, (2 * capacity.accounts,)),
        ("instrument_index", index, (2 * capacity.instruments,)),
        ("position_index", index, (2 * capacity.positions,)),
        ("order_index", index, (2 * capacity.orders,)),
        ("client_index", index, (2 * capacity.orders,)),
        ("groups", GROUP, (capacity.groups,)),
        ("group_names", np.dtype("u1"), (capacity.groups, NAME_BYTES)),
        ("group_index", index, (2 * capacity.groups,)),
        ("cash", CASH, (capacity.cash,)),
        ("cash_index", index, (2 * capacity.cash,)),
        ("tick_tables", TICK_TABLE, (TICK_TABLES_MAX,)),
        ("tick_bands", TICK_BAND, (TICK_TABLES_MAX, TICK_BANDS_MAX)),
        ("lot_tables", LOT_TABLE, (LOT_TABLES_MAX,)),
        ("execution_heads", np.dtype("i8"), (capacity.executions,)),
    ]


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def state_bytes(capacity: Capacity) -> int:
    return sum(_aligned(dtype.itemsize * int(np.prod(shape))) for _, dtype, shape in layout(capacity))


def map_state(memory: Any, capacity: Capacity, offset: int = 0) -> State:
    """The tables over a buffer of at least offset + state_bytes(capacity) bytes, as they stand there."""
    arrays = {}
    for name, dtype, shape in layout(capacity):
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(memory, dtype=dtype, count=count, offset=offset).reshape(shape)
        offset += _aligned(dtype.itemsize * count)
    return State(**arrays)


def private_state(capacity: Capacity) -> State:
    """Empty tables in this process's own memory."""
    import mmap

    return map_state(mmap.mmap(-1, state_bytes(capacity)), capacity)


@jit
def begin_write(row: Any) -> None:
    """Seqlock: readers of the row wait from here..."""
    row.version += np.uint32(1)
    release_fence()


@jit
def end_write(row: Any) -> None:
    """... to here."""
    release_fence()
    row.version += np.uint32(1)


# --- indexes: open addressing, linear probing ------------------------------------------------------------------
# An entry is the low bits of its key's hash and, below them, row + 1; 0: free. So a probe passes what is not meant, and
# an entry can be moved, without a look at the row, which would be a cache miss.

_ROW_BITS: Final = 32
_ROW: Final = (1 << _ROW_BITS) - 1
_HASH: Final = 0x7FFFFFFF  # an index has at most 2**31 places

_MIX_1: Final = -4658895280553007687  # 0xBF58476D1CE4E5B9, splitmix64 (Steele, Lea, Flood 2014)
_MIX_2: Final = -7723592293110705685  # 0x94D049BB133111EB
_HIGH_BITS: Final = 0x1FFFFFFFF


@jit
def mix(key: int) -> int:
    """A well-spread int64 of `key`, never negative."""
    key = (key ^ ((key >> 30) & 0x3FFFFFFFF)) * _MIX_1
    key = (key ^ ((key >> 27) & 0x1FFFFFFFFF)) * _MIX_2
    return (key ^ ((key >> 31) & _HIGH_BITS)) & 0x7FFFFFFFFFFFFFFF


@jit
def first_bytes(word: int, count: int) -> int:
    """A word's first `count` bytes as they stand in memory, zeros in place of the rest."""
    return word if count >= 8 else word & ((1 << 8 * count) - 1)


@jit
def copy_words(target: int, source: int, length: int) -> None:
    """`length` bytes, filled up with zeros to whole words; whole words of the source are readable."""
    for offset in range(0, length, 8):
        store_i64(target + offset, first_bytes(load_i64(source + offset), length - offset))


@jit
def bytes_hash(address: int, length: int, salt: int) -> int:
    """Of `length` bytes at an address, eight at a time; at least 7 more must be readable behind them."""
    value = mix(salt + length)
    for offset in range(0, length, 8):
        value = mix(value ^ first_bytes(load_i64(address + offset), length - offset))
    return value


@jit
def text_hash(text: Array, length: int, salt: int) -> int:
    """Of the first `length` bytes of a uint8 array, whose size is a multiple of 8; salt keeps accounts apart."""
    return bytes_hash(text.ctypes.data, length, salt)


@jit
def pair_hash(account: int, instrument: int) -> int:
    return mix(account << 32 | instrument)


# Entries of an index in a cache line.
LINE_SLOTS: Final = 8


@jit
def order_hash(order_id: int) -> int:
    """Order ids only grow, by two or more: halved, the next order's slot is mostly in the line of the last one's. The
    lines are spread: orders that followed each other would else stand in one run without a gap, and forgetting one
    (`index_remove`) walks to the end of its run."""
    half = int(np.int64(order_id)) >> 1  # from a row it is uint64, which beside an int64 would become a float
    return mix(half // LINE_SLOTS) * LINE_SLOTS | half % LINE_SLOTS


@jit
def index_entry(hashed: int, row: int) -> int:
    return (hashed & _HASH) << _ROW_BITS | (row + 1)


@jit
def entry_row(entry: int) -> int:
    return (entry & _ROW) - 1


@jit
def may_be(entry: int, hashed: int) -> bool:
    """Whether the entry can be that of a key with this hash: the row decides."""
    return entry >> _ROW_BITS == hashed & _HASH


@jit
def index_put(index: Array, hashed: int, row: int) -> None:
    """The caller has seen that the row is not in it; a good part of it is always empty."""
    mask = len(index) - 1
    at = hashed & mask
    while index[at] != 0:
        at = (at + 1) & mask
    index[at] = index_entry(hashed, row)


@jit
def index_remove(index: Array, hashed: int, row: int) -> None:
    """Take a row that is in it out, closing the gap (Knuth 6.4, algorithm R)."""
    mask = len(index) - 1
    at = hashed & mask
    while entry_row(index[at]) != row:
        at = (at + 1) & mask
    gap = at
    while True:
        at = (at + 1) & mask
        entry = index[at]
        if entry == 0:
            break
        home = entry >> _ROW_BITS & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            index[gap] = entry
            gap = at
    index[gap] = 0


@jit
def same_text(a: Array, b: Array, length: int) -> bool:
    for i in range(length):
        if a[i] != b[i]:
            return False
    return True


@jit
def find_name(index: Array, names: Array, name: Array, length: int) -> int:
    """Row of the account or instrument with this name, or -1. Names are filled up with zeros."""
    mask = len(index) - 1
    hashed = text_hash(name, length, 0)
    at = hashed & mask
    while index[at] != 0:
        if may_be(index[at], hashed):
            row = entry_row(index[at])
            found = names[row]
            if same_text(found, name, length) and (length == NAME_BYTES or found[length] == 0):
                return row
        at = (at + 1) & mask
    return -1


@jit
def put_name(index: Array, names: Array, row: int, name: Array, length: int) -> None:
    for i in range(NAME_BYTES):
        names[row, i] = name[i] if i < length else 0
    index_put(index, text_hash(name, length, 0), row)


@jit
def find_position(state: State, account: int, instrument: int) -> int:
    """Row of the account's position, or -1."""
    index = state.position_index
    mask = len(index) - 1
    hashed = pair_hash(account, instrument)
    at = hashed & mask
    while index[at] != 0:
        if may_be(index[at], hashed):
            row = entry_row(index[at])
            if state.positions[row].account == account and state.positions[row].instrument == instrument:
                return row
        at = (at + 1) & mask
    return -1


@jit
def find_cash(state: State, account: int, currency: int) -> int:
    """Row of the account's cash in another currency than its own, or -1."""
    index = state.cash_index
    mask = len(index) - 1
    hashed = pair_hash(account, currency)
    at = hashed & mask
    while index[at] != 0:
        if may_be(index[at], hashed):
            row = entry_row(index[at])
            if state.cash[row].account == account and state.cash[row].currency == currency:
                return row
        at = (at + 1) & mask
    return -1


@jit
def find_order(state: State, order_id: int) -> int:
    """Row of the order, or -1: never given out, or ended so long ago that its row was used again."""
    index = state.order_index
    mask = len(index) - 1
    hashed = order_hash(order_id)
    at = hashed & mask
    while index[at] != 0:
        if may_be(index[at], hashed) and state.orders[entry_row(index[at])].order_id == order_id:
            return entry_row(index[at])
        at = (at + 1) & mask
    return -1


@jit
def find_client_order(state: State, account: int, text: Array, length: int, hashed: int) -> int:
    """Row of the account's order that has this client order id, or has had it before a replace; or -1."""
    index = state.client_index
    mask = len(index) - 1
    at = hashed & mask
    while index[at] != 0:
        if may_be(index[at], hashed):
            row = entry_row(index[at])
            if row >= len(state.orders):
                row = _replaced_order(state, row - len(state.orders), account, text, length, hashed)
                if row >= 0:
                    return row
            else:
                order = state.orders[row]
                if order.client_hash == hashed and order.account == account and order.text_length == length:
                    if same_text(state.order_texts[row], text, length):
                        return row
        at = (at + 1) & mask
    return -1


@jit
def _replaced_order(state: State, at: int, account: int, text: Array, length: int, hashed: int) -> int:
    """Row of the order that a replacement names by this text, or -1; its order may have left its row."""
    named = state.replacements[at]
    if named.client_hash != hashed or named.account != account or named.text_length != length:
        return -1
    row = int(named.order_row)
    if np.int64(state.orders[row].order_id) != named.order_id:
        return -1
    return row if same_text(state.replacement_texts[at], text, length) else -1
