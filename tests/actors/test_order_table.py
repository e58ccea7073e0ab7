"""The order table when it has been filled: rows are used again, and the indexes never lose or mix up an order."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.tables import (
    R_ORDERS,
    Capacity,
    State,
    find_client_order,
    find_order,
    index_put,
    index_remove,
    order_hash,
    private_state,
    text_hash,
)
from core.records import TEXT_BYTES_MAX, ExecType
from core.rejects import Reject
from core.units import qty_e8
from tests.actors.desk import Desk, order

SMALL = Capacity(accounts=8, instruments=8, positions=16, orders=16)


def as_text(text: str) -> np.ndarray:
    raw = np.zeros(TEXT_BYTES_MAX, np.uint8)
    raw[: len(text)] = np.frombuffer(text.encode(), np.uint8)
    return raw


def row_by_name(state: State, text: str) -> int:
    raw = as_text(text)
    return int(find_client_order(state, 1, raw, len(text), text_hash(raw, len(text), 1)))


def test_any_history_of_recycled_rows_finds_exactly_the_orders_that_are_there(
    tmp_path: Path, run_dir: Path
) -> None:
    desk = Desk(tmp_path / "log", run_dir, SMALL)
    desk.open_market()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    names: dict[int, str] = {}
    is_open: set[int] = set()
    for n in range(600):
        name = f"n{n}" + "x" * dice.randrange(20)
        event = desk.do(order(name, qty_e8=qty_e8(1)))
        if len(is_open) == 16:
            assert event.reject_code == Reject.ORDER_TABLE_FULL
        else:
            assert event.reject_code == 0
            names[event.order_id] = name
            is_open.add(event.order_id)
        while is_open and dice.random() < (0.9 if len(is_open) > 12 else 0.45):
            ended = dice.choice(sorted(is_open))
            desk.report(ended, dice.choice([ExecType.CANCELED, ExecType.EXPIRED, ExecType.REJECTED]))
            is_open.remove(ended)
        rows = {
            int(desk.state.orders[row]["order_id"]): row for row in range(int(desk.state.registers[R_ORDERS]))
        }
        assert is_open <= set(rows), "an open order's row is never used again"
        assert len(rows) == min(len(names), 16)
        for order_id in dice.sample(sorted(names), min(len(names), 40)):
            assert find_order(desk.state, order_id) == rows.get(order_id, -1)
            assert row_by_name(desk.state, names[order_id]) == rows.get(order_id, -1)
    assert len(names) > 100
    for order_id in is_open:
        desk.report(order_id, ExecType.CANCELED)
    assert desk.reserved() == 0
    assert desk.replica().seq > 0


def longest_run(index: np.ndarray) -> int:
    """Of slots in use without a gap."""
    empty = np.flatnonzero(np.concatenate((index, index)) == 0)
    return int(np.diff(empty).max()) - 1


def test_orders_that_followed_each_other_do_not_stand_in_one_run_of_the_index() -> None:
    """Forgetting an order walks to the end of its run: with 10,000 in a row it took longer than deciding a hundred."""
    state = private_state(Capacity(accounts=8, instruments=8, positions=16, orders=1 << 14))
    for row in range(1 << 14):
        index_put(state.order_index, order_hash(1000 + 2 * row), row)
    assert longest_run(state.order_index) < 500


def ids_at_home(home: int, count: int) -> list[int]:
    """Order ids whose place in an index of 32 is `home`: a cluster on purpose."""
    return [n for n in range(1, 5000) if order_hash(n) & 31 == home][:count]


CLUSTERED = [order_id for home in (0, 1, 30, 31) for order_id in ids_at_home(home, 12)]


@settings(max_examples=200)
@given(ops=st.lists(st.tuples(st.booleans(), st.sampled_from(CLUSTERED)), max_size=80))
def test_taking_out_of_a_cluster_loses_no_neighbour(ops: list[tuple[bool, int]]) -> None:
    """The clusters run over the index's end and into each other."""
    state = private_state(Capacity(2, 2, 2, 16))
    rows: dict[int, int] = {}
    free = list(range(16))
    nothing = as_text("")
    for put, order_id in ops:
        if put and order_id not in rows and free:
            row = rows[order_id] = free.pop()
            entry = state.orders[row]
            entry["order_id"], entry["account"], entry["client_hash"] = (
                order_id,
                order_id,
                order_hash(order_id) & 31,
            )
            index_put(state.order_index, order_hash(order_id), row)
            index_put(state.client_index, order_hash(order_id) & 31, row)
        elif not put and order_id in rows:
            row = rows.pop(order_id)
            index_remove(state.order_index, order_hash(order_id), row)
            index_remove(state.client_index, order_hash(order_id) & 31, row)
            free.append(row)
        for known in CLUSTERED:
            assert find_order(state, known) == rows.get(known, -1)
            assert find_client_order(state, known, nothing, 0, order_hash(known) & 31) == rows.get(known, -1)
        assert np.count_nonzero(state.order_index) == np.count_nonzero(state.client_index) == len(rows)
