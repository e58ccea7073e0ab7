"""Pages are touched in front of the rows in use, and nothing but pages."""

from __future__ import annotations

from pathlib import Path

from actors.ahead import AHEAD_BYTES, Ahead
from actors.snapshot import state_hash
from actors.state_file import create_state
from actors.tables import R_ORDERS, Capacity

CAPACITY = Capacity(accounts=16, instruments=16, positions=16, orders=1 << 18)


def bytes_in_memory(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_the_rows_that_come_next_are_in_memory_and_the_rest_is_not(run_dir: Path) -> None:
    segment, state = create_state(run_dir, CAPACITY)
    before = bytes_in_memory(segment.path)
    hashed = state_hash(state)
    pages = Ahead(segment, state)
    pages.look()
    first = bytes_in_memory(segment.path) - before
    assert AHEAD_BYTES <= first < 3 * AHEAD_BYTES < state.orders.nbytes + state.order_texts.nbytes
    pages.look()
    assert bytes_in_memory(segment.path) - before == first, "nothing has been used since"
    state.registers[R_ORDERS] = CAPACITY.orders // 2
    pages.look()
    assert bytes_in_memory(segment.path) - before > first + state.orders.nbytes // 2 - AHEAD_BYTES
    state.registers[R_ORDERS] = CAPACITY.orders
    pages.look()
    assert bytes_in_memory(segment.path) - before >= state.orders.nbytes + state.order_texts.nbytes
    state.registers[R_ORDERS] = 0
    assert state_hash(state) == hashed


def test_a_recovery_finds_indexes_and_the_rows_of_its_orders_in_memory(run_dir: Path) -> None:
    segment, state = create_state(run_dir, CAPACITY)
    Ahead(segment, state).prepare(orders=CAPACITY.orders // 2)
    rows = (state.orders.nbytes + state.order_texts.nbytes) // 2
    assert bytes_in_memory(segment.path) >= state.order_index.nbytes + state.client_index.nbytes + rows


def test_the_thread_ends_with_its_shard(run_dir: Path) -> None:
    segment, state = create_state(run_dir, CAPACITY)
    pages = Ahead(segment, state)
    pages.start()
    pages.stop()
    assert not pages._thread.is_alive()
