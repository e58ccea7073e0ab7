"""Bytes of memory that an account takes with POSITIONS positions and OPEN_ORDERS open orders.

Computed from the tables' layouts, indexes with them; and measured: a desk on which each account has bought as many
instruments, all filled but the last few, and what its state's file then takes of shared memory. Names, the clients'
order ids and the table's empty rows are in both; instruments are a few, so that they don't count; the log's tail
(64 MiB, whatever the number of accounts) and what other processes map are left out.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from actors.shard import Lane
from actors.state_file import state_path
from actors.tables import R_SEQ, Capacity, state_bytes
from core import commands
from core.records import HEAD, VENUE_REPORT, ExecType, OrdStatus
from loadtests.desk import ASK_E8, Desk, Feed, feed, offset_of, orders_feed, power_of_two, tables
from loadtests.measure import Row, progress, row

POSITIONS: Final = 20
OPEN_ORDERS: Final = 5
# As many accounts as fill the tables of orders and of positions (2**18 and 2**20 rows): no row is empty.
ACCOUNTS: Final = (1 << 18) // OPEN_ORDERS
INSTRUMENTS: Final = 32
GIB: Final = 1 << 30
BUDGET: Final = 8 * GIB


def _row_bytes() -> tuple[int, ...]:
    """What one more account, position, order and position of a passive account take, by the layouts: their rows and
    their places in the indexes."""
    base = Capacity(**dict.fromkeys(Capacity._fields, 1 << 16))
    at_base = state_bytes(base)

    def one_more(name: str) -> int:
        return (state_bytes(base._replace(**{name: 1 << 17})) - at_base) >> 16

    return tuple(one_more(name) for name in ("accounts", "positions", "orders", "cold"))


def computed() -> int:
    account, position, order, _ = _row_bytes()
    return account + POSITIONS * position + OPEN_ORDERS * order


def _capacity(accounts: int) -> Capacity:
    rows = {
        "accounts": accounts,
        "instruments": INSTRUMENTS,
        "positions": POSITIONS * accounts,
        "orders": OPEN_ORDERS * accounts,
    }
    return tables(**{name: power_of_two(count) for name, count in rows.items()})


def tables_bytes(accounts: int) -> int:
    """The tables of so many accounts, each as large as it must be: powers of two."""
    return state_bytes(_capacity(accounts))


def most_accounts(budget: int) -> int:
    """How many accounts' tables fit into `budget` bytes."""
    low, high = 1, budget
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tables_bytes(middle) <= budget else (low, middle)
    return low


def _fills(order_ids: np.ndarray, accounts: np.ndarray, first_venue_seq: int) -> Feed:
    """A venue's report for each order, that it is filled by one share."""
    template = commands.venue_report(
        venue_seq=0, order_id=0, exec_type=ExecType.TRADE, ord_status=OrdStatus.FILLED, last_qty_e8=10**8,
        last_px_e8=ASK_E8,
    )  # fmt: skip
    words = {
        offset_of(HEAD, "account"): accounts,
        offset_of(HEAD, "order_id"): order_ids,
        offset_of(VENUE_REPORT, "venue_seq"): first_venue_seq + np.arange(len(order_ids)),
    }
    return feed(template, words)


def measured() -> float:
    """Bytes an account, from the blocks that the state's file takes."""
    everyone = np.arange(1, ACCOUNTS + 1)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        desk = Desk(Path(folder), _capacity(ACCOUNTS))
        try:
            desk.open_market(ACCOUNTS, INSTRUMENTS, in_households=False)
            for number in range(POSITIONS):
                instruments = np.full(ACCOUNTS, number + 1)
                first = desk.register(R_SEQ) + 1
                asked = orders_feed(everyone, instruments, seed=number, first=number * ACCOUNTS, qty_e8=10**8)
                desk.serve(Lane.ORDERS_GATEWAY, asked)
                if number < POSITIONS - OPEN_ORDERS:
                    # An order's id is its command's sequence number; its event has the next one.
                    ids = first + 2 * np.arange(ACCOUNTS)
                    desk.serve(Lane.REPORTS_VENUE, _fills(ids, everyone, 1 + number * ACCOUNTS))
            accounts = desk.state.accounts[:ACCOUNTS]
            assert (accounts["open_orders"] == OPEN_ORDERS).all(), (
                "an account has other orders than it should"
            )
            held = desk.state.positions["qty_e8"] == 10**8
            assert int(held.sum()) == ACCOUNTS * (POSITIONS - OPEN_ORDERS), "a fill was not booked"
            return os.stat(state_path(desk.run_dir)).st_blocks * 512 / ACCOUNTS
        finally:
            desk.close()


def bench() -> list[Row]:
    progress(f"{ACCOUNTS:,} accounts with {POSITIONS} positions and {OPEN_ORDERS} open orders each")
    account, position, order, cold = _row_bytes()
    each = computed()
    note = f"{account} + {POSITIONS} x {position} + {OPEN_ORDERS} x {order}, by the layouts"
    return [
        row("bytes_per_account", "B", [float(each)], note=note),
        row("bytes_per_account_measured", "B", [measured()],
            note=f"shared memory of a desk of {ACCOUNTS:,} accounts, its tables full"),
        row("bytes_per_passive_account", "B", [float(account + POSITIONS * cold)],
            note=f"nothing open: {account} + {POSITIONS} x {cold}, by the layouts"),
        row("accounts_in_8_gib", "", [float(BUDGET // each)], note="by bytes_per_account"),
        row("accounts_in_8_gib_tables", "", [float(most_accounts(BUDGET))],
            note="with tables that are powers of two, every row of them in memory"),
    ]  # fmt: skip
