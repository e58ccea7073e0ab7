"""The rows of a shard's tables: each layout once, on as few cache lines as it can be.

Always holds: a row's first field is its seqlock, odd while the row is written. Integers carry their scale in the name.
A hot row begins on a line of its own, and none shares a line with another. A change here is a change of
`core.records.LAYOUT_VERSION`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

LINE: Final = 64


def _row(fields: list[tuple[str, str]], lines: int) -> np.dtype[np.void]:
    """A layout filled up to whole cache lines: a hot row is on as few as can be, and none is another row's."""
    layout = np.dtype(fields, align=True)
    assert layout.itemsize <= lines * LINE, f"{layout.itemsize} bytes do not fit {lines} lines"
    names = layout.names or ()
    placed: Any = layout.fields or {}
    parts: Any = {
        "names": names,
        "formats": [placed[name][0] for name in names],
        "offsets": [placed[name][1] for name in names],
        "itemsize": lines * LINE,
    }
    return np.dtype(parts, align=True)


# What a balance is: the base currency's stands in its account's row, another's in CASH. Field by field in
# `actors/balances.py`.
_BALANCE: Final = [
    ("cash_e6", "i8"),
    ("reserved_e6", "i8"),
    ("receive_1_e6", "i8"),
    ("receive_2_e6", "i8"),
    ("receive_3_e6", "i8"),
    ("pay_1_e6", "i8"),
    ("pay_2_e6", "i8"),
    ("pay_3_e6", "i8"),
]

# The number of an account is its row + 1. Two cache lines.
ACCOUNT: Final = _row(
    [
        ("version", "u4"),
        ("state", "u1"),
        ("text_length", "u1"),
        ("currency", "u1"),
        ("settled_only", "u1"),
        ("open_orders", "u4"),
        ("first_position_row", "u4"),  # row + 1; 0: none. Of a passive account in `cold`
        ("last_order_row", "u4"),  # row + 1; 0: none
        ("household", "u4"),  # a group's number; 0: none
        ("active_s", "u4"),  # when a command last changed it: seconds since 1970
        ("cold_positions", "u2"),  # how many it has in `cold`; 0: the account is active
        ("settlements", "u2"),  # the balance's buckets are counted from this settlement day
        ("last_order_id", "u8"),
        ("max_order_qty_e8", "i8"),
        ("max_order_notional_e6", "i8"),
        ("max_position_qty_e8", "i8"),
        *_BALANCE,
    ],
    lines=2,
)

# Cash in another currency than the account's own.
CASH: Final = _row(
    [
        ("version", "u4"),
        ("account", "u4"),
        ("settlements", "u2"),
        ("currency", "u1"),
        *_BALANCE,
    ],
    lines=2,
)

# A group above accounts: firm, desk, advisor or household. Its number is its row + 1. The groups above it are all
# here, so that an order's way up is no chain of loads. One cache line.
GROUP: Final = _row(
    [
        ("version", "u4"),
        ("level", "u1"),
        ("state", "u1"),
        ("text_length", "u1"),
        ("currency", "u1"),
        ("parent", "u4"),
        ("firm", "u4"),  # numbers; 0: none
        ("desk", "u4"),
        ("advisor", "u4"),
        ("reserved_e6", "i8"),
        ("gross_e6", "i8"),
        ("max_order_notional_e6", "i8"),
        ("max_open_notional_e6", "i8"),
        ("max_gross_e6", "i8"),
    ],
    lines=1,
)

POSITION: Final = np.dtype(
    [
        ("version", "u4"),
        ("account", "u4"),
        ("instrument", "u4"),
        ("next_row", "u4"),  # the account's next position: row + 1; 0: none
        ("qty_e8", "i8"),
        ("cost_e6", "i8"),
        ("realized_e6", "i8"),
        ("open_buy_e8", "i8"),
        ("open_sell_e8", "i8"),
        ("_reserved", "i8"),
    ],
    align=True,
)

# A passive account's position: nothing of it is open. A free run's first row has in `instrument` the next one: row + 1.
COLD: Final = np.dtype(
    [("instrument", "u4"), ("qty_e8", "i8"), ("cost_e6", "i8"), ("realized_e6", "i8")], align=True
)

# The first line is what an order needs; the second what it changes, and what is seldom read.
INSTRUMENT: Final = _row(
    [
        ("version", "u4"),
        ("instrument", "u4"),
        ("state", "u1"),
        ("text_length", "u1"),
        ("currency", "u1"),
        ("settle_days", "u1"),
        ("collar_bps", "u4"),
        ("quote_age_ms_max", "u4"),
        ("band_bps", "u4"),
        ("tick_table", "u2"),  # numbers; 0: none
        ("lot_table", "u2"),
        ("tick_e8", "i8"),
        ("lot_e8", "i8"),
        ("max_order_qty_e8", "i8"),
        ("static_e8", "i8"),  # the reference price, else the previous close; 0: none
        ("max_exposure_qty_e8", "i8"),  # of all accounts together
        ("long_e8", "i8"),  # of the accounts that hold it
        ("short_e8", "i8"),  # of those that owe it, positive
        ("open_buy_e8", "i8"),
        ("open_sell_e8", "i8"),
        ("previous_close_e8", "i8"),
        ("reference_e8", "i8"),
    ],
    lines=2,
)

# Tick tables: how many of a table's TICK_BANDS are in use. The number of a table is its row + 1.
TICK_TABLE: Final = np.dtype([("version", "u4"), ("bands", "u4")], align=True)
TICK_BAND: Final = np.dtype([("from_e8", "i8"), ("tick_e8", "i8")], align=True)
LOT_TABLE: Final = np.dtype(
    [("version", "u4"), ("odd_lots", "u1"), ("round_lot_e8", "i8")], align=True
)  # round_lot_e8 0: not defined
# RTS 11 has six columns of liquidity, each with up to 19 ranges of price; other markets have one table for each kind.
TICK_TABLES_MAX: Final = 64
TICK_BANDS_MAX: Final = 20
LOT_TABLES_MAX: Final = 64

# Account numbers and symbols: FIX venues use up to 20 characters, OCC option symbols 21.
NAME_BYTES: Final = 32

QUOTE: Final = _row(
    [
        ("version", "u4"),
        ("instrument", "u4"),
        ("bid_e8", "i8"),
        ("ask_e8", "i8"),
        ("bid_size_e8", "i8"),
        ("ask_size_e8", "i8"),
        ("last_e8", "i8"),
        ("last_size_e8", "i8"),
        ("quote_time_ns", "i8"),
        ("trade_time_ns", "i8"),
        ("ticks", "i8"),
    ],
    lines=2,
)

ORDER: Final = np.dtype(
    [
        ("version", "u4"),
        ("account", "u4"),
        ("instrument", "u4"),
        ("position_row", "u4"),
        ("order_id", "u8"),
        ("request_id", "u8"),
        ("previous_order_id", "u8"),  # of the same account
        ("previous_row", "u4"),  # row + 1; 0: none
        ("replacement", "u4"),  # row + 1 in `replacements` of the one that the venue accepted last; 0: none
        ("replacing", "u4"),  # the same of the one that is pending
        ("replacements", "u2"),  # how many were asked for: the last one's number
        ("reject_code", "u2"),
        ("source", "u1"),
        ("text_length", "u1"),
        ("side", "u1"),
        ("ord_type", "u1"),
        ("tif", "u1"),
        ("status", "u1"),
        ("cancel_pending", "u1"),
        ("fate", "u1"),  # records.Fate
        ("client_hash", "i8"),
        ("qty_e8", "i8"),
        ("price_e8", "i8"),
        ("route_price_e8", "i8"),
        ("cum_qty_e8", "i8"),
        ("cum_notional_e6", "i8"),
        ("reserved_e6", "i8"),
        ("expire_time_ns", "i8"),
        ("created_ns", "i8"),
        ("updated_ns", "i8"),
        ("ended_ns", "i8"),  # 0: it is open
        # All that the venue has told to be filled, once a fill was booked by that total alone; else 0.
        ("told_qty_e8", "i8"),
    ],
    align=True,
)

# What an order shall become, and the name that its owner gives it with that. A ring: the oldest row that no open
# order is under or waits for is used again.
REPLACEMENT: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("order_row", "u4"),
        ("account", "u4"),
        ("number", "u2"),  # among the order's requests, from 1
        ("text_length", "u1"),
        ("tif", "u1"),
        ("client_hash", "i8"),
        ("qty_e8", "i8"),
        ("price_e8", "i8"),
        ("route_price_e8", "i8"),
        ("expire_time_ns", "i8"),
    ],
    align=True,
)

# A fill as it was booked, so that its ExecID is known again, and a bust can take back exactly what it moved. A ring:
# the newest ones stand. Undone: qty 0.
EXECUTION: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("exec_hash", "i8"),
        ("seq", "i8"),  # of the event that told it
        ("back", "u4"),  # how many executions before it the next older of its chain stands; 0: none
        ("due", "u4"),  # it has settled when so many settlement days have ended
        ("qty_e8", "i8"),
        ("px_e8", "i8"),
        ("cost_e6", "i8"),  # what it added to the position's cost
        ("realized_e6", "i8"),
    ],
    align=True,
)
