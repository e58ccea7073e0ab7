"""Looking ahead: while one command is applied, the rows of those behind it are on their way from memory.

An order touches a dozen rows and index slots at random places; with a million accounts each is a cache and a TLB
miss. The commands that wait in the ring, or stand in the log that is replayed, say which rows they will need. A row
that is named in another is asked for some places later, when that one has come: a venue's report has its order's slot
in the index, there its order, there its account and position, there its household. An order that comes alone has
nobody in front to fetch for it: then it is done right before its turn, so that its misses at least go side by side.

Always holds: it reads the ring and writes nothing; what it fetches may turn out not to be needed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from actors.emit import Array
from actors.executions import bucket_of
from actors.tables import R_NEXT_ORDER, R_SEQ, State, bytes_hash, entry_row, order_hash, pair_hash
from core.records import FIELDS_BYTES, HEAD, TEXT_BYTES_MAX, VENUE_REPORT, CommandKind
from shared_mem import ring
from shared_mem.atomics import load_i64, load_u16, load_u32, prefetch
from shared_mem.jit import jit

# Far enough that a line has come from memory (some 300 ns) when its order is decided, near enough that it is
# still in the first cache.
FAR: Final = 8
# What is named in those rows: an order's position, once its index slot has come; a report's order.
MIDDLE: Final = 6
NEAR: Final = 4
SOON: Final = 2
LINE: Final = 64


def _offset(layout: np.dtype[np.void], name: str) -> int:
    assert layout.fields is not None
    return int(layout.fields[name][1])


_KIND: Final = _offset(HEAD, "kind")
_TEXT_LENGTH: Final = _offset(HEAD, "text_length")
_ACCOUNT: Final = _offset(HEAD, "account")
_INSTRUMENT: Final = _offset(HEAD, "instrument")
_ORDER_ID: Final = _offset(HEAD, "order_id")
_EXEC_HASH: Final = _offset(VENUE_REPORT, "exec_hash")

_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_VENUE_REPORT: Final = int(CommandKind.VENUE_REPORT)


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
def _fetch_evicted(state: State, distance: int) -> None:
    """What goes with the ended order whose row the order `distance` places behind will take: its own names."""
    row = (state.registers[R_NEXT_ORDER] + distance) & (len(state.orders) - 1)
    old = state.orders[row]
    if old.order_id != 0:
        prefetch(_row(state.client_index, old.client_hash & (len(state.client_index) - 1)))
        prefetch(
            _row(state.order_index, order_hash(int(np.int64(old.order_id))) & (len(state.order_index) - 1))
        )


@jit
def _order_slot(state: State, fields: int) -> int:
    return order_hash(load_i64(fields + _ORDER_ID)) & (len(state.order_index) - 1)


@jit
def _execution_bucket(state: State, fields: int) -> int:
    return bucket_of(state, load_i64(fields + _ORDER_ID), load_i64(fields + _EXEC_HASH))


@jit
def _fetch_report_far(state: State, fields: int) -> None:
    prefetch(_row(state.order_index, _order_slot(state, fields)))
    prefetch(_row(state.execution_heads, _execution_bucket(state, fields)))


@jit
def _fetch_report_middle(state: State, fields: int) -> None:
    """The order, and the newest execution of its bucket."""
    entry = state.order_index[_order_slot(state, fields)]
    if entry != 0:
        _fetch(state.orders, entry_row(entry))
    link = state.execution_heads[_execution_bucket(state, fields)]
    if link > 0:
        prefetch(_row(state.executions, (link - 1) & (len(state.executions) - 1)))


@jit
def _fetch_report_near(state: State, fields: int) -> None:
    entry = state.order_index[_order_slot(state, fields)]
    if entry != 0:
        order = state.orders[entry_row(entry)]
        if order.account != 0:
            _fetch(state.accounts, int(order.account) - 1)
            _fetch(state.instruments, int(order.instrument) - 1)
            _fetch(state.positions, int(order.position_row))


@jit
def _fetch_report_soon(state: State, fields: int) -> None:
    entry = state.order_index[_order_slot(state, fields)]
    if entry != 0:
        account = int(state.orders[entry_row(entry)].account)
        if account != 0 and state.accounts[account - 1].household > 0:
            prefetch(_row(state.groups, int(state.accounts[account - 1].household) - 1))


@jit
def is_fetched_for(kind: int) -> bool:
    """Whether `fetch_at` knows what commands of this kind will need."""
    return kind == _NEW_ORDER or kind == _VENUE_REPORT


@jit
def fetch_at(state: State, stage: int, fields: int, text: int, text_length: int, distance: int) -> None:
    """Fetch what is known at this stage (FAR, MIDDLE, NEAR, SOON) of the command at address `fields`, which stands
    `distance` places behind the one whose turn it is."""
    if load_u16(fields + _KIND) == _NEW_ORDER:
        if stage == FAR:
            fetch_far(state, fields, text, text_length, distance)
        elif stage == NEAR:
            fetch_near(state, fields)
            _fetch_evicted(state, distance)
    elif stage == FAR:
        _fetch_report_far(state, fields)
    elif stage == MIDDLE:
        _fetch_report_middle(state, fields)
    elif stage == NEAR:
        _fetch_report_near(state, fields)
    else:
        _fetch_report_soon(state, fields)


@jit
def _fetch_in_ring(state: State, lane: int, stage: int, distance: int) -> None:
    fields = ring.at(lane, distance)
    if is_fetched_for(load_u16(fields + _KIND)):
        fetch_at(state, stage, fields, fields + FIELDS_BYTES, load_u16(fields + _TEXT_LENGTH), distance)


@jit
def look_ahead(state: State, lane: int) -> None:
    """Fetch for the commands some places behind the oldest of a lane; where there are few, for the oldest."""
    count = ring.waiting(lane)
    if count > FAR:
        _fetch_in_ring(state, lane, FAR, FAR)
        _fetch_in_ring(state, lane, MIDDLE, MIDDLE)
        _fetch_in_ring(state, lane, NEAR, NEAR)
        _fetch_in_ring(state, lane, SOON, SOON)
    elif count > 0:
        _fetch_in_ring(state, lane, FAR, 0)
        _fetch_in_ring(state, lane, NEAR, 0)
