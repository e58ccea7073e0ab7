"""The events' layouts: orders', money's and instruments'.

Always holds: all are of one size and begin alike, so that one buffer serves them, and a reader knows from the kind
which one it has. The log leaves out the words of zeros at the end.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from core.records import EventKind

# The orders' layout, and every kind's that is not named in EVENT_LAYOUTS. An order's new state, with the account's cash
# (in the order's currency) and position after it, so that a follower stores what it reads and computes nothing.
# The client's order id follows as text. The log leaves out the words of zeros at the end, so what is seldom set
# stands last. replacement: the number of the replace that the venue accepted last, 0 for none. In a PENDING_REPLACE the
# terms are those that still hold, and what is asked for follows: the request's number, the price as the venue gets it.
# ref_seq: the event that told the trade which a TRADE_CANCEL or TRADE_CORRECT undoes. state: Fate.UNKNOWN while that
# is so; Fate.RECONCILED for a fill that was found by the venue's total.
EVENT: Final = np.dtype(
    [
        ("kind", "u2"),
        ("source", "u2"),
        ("text_length", "u2"),
        ("reject_code", "u2"),
        ("account", "u4"),
        ("instrument", "u4"),
        ("request_id", "u8"),
        ("order_id", "u8"),
        ("cause_seq", "u8"),
        ("side", "u1"),
        ("ord_type", "u1"),
        ("tif", "u1"),
        ("ord_status", "u1"),
        ("exec_type", "u1"),
        ("state", "u1"),
        ("break_kind", "u1"),
        ("currency", "u1"),
        ("qty_e8", "i8"),
        ("price_e8", "i8"),
        ("route_price_e8", "i8"),
        ("cash_e6", "i8"),
        ("reserved_e6", "i8"),
        ("position_qty_e8", "i8"),
        ("position_cost_e6", "i8"),
        ("realized_e6", "i8"),
        ("cum_qty_e8", "i8"),
        ("cum_notional_e6", "i8"),
        ("last_qty_e8", "i8"),
        ("last_px_e8", "i8"),
        ("limit_value", "i8"),
        ("observed_value", "i8"),
        ("replacement", "u2"),
        ("asked_replacement", "u2"),
        ("asked_tif", "u1"),
        ("asked_qty_e8", "i8"),
        ("asked_price_e8", "i8"),
        ("ref_seq", "i8"),
    ],
    align=True,
)
EVENT_BYTES: Final = EVENT.itemsize
assert EVENT_BYTES % 8 == 0

_EVENT_HEAD: Final = [
    ("kind", "u2"),
    ("source", "u2"),
    ("text_length", "u2"),
    ("reject_code", "u2"),
    ("account", "u4"),
    ("instrument", "u4"),
    ("request_id", "u8"),
    ("order_id", "u8"),
    ("cause_seq", "u8"),
    ("limit_value", "i8"),
    ("observed_value", "i8"),
]


def _event(fields: list[tuple[str, str]]) -> np.dtype[np.void]:
    """The head, `fields`, and room up to EVENT_BYTES."""
    layout = np.dtype([*_EVENT_HEAD, *fields], align=True)
    assert layout.itemsize <= EVENT_BYTES, f"{layout.itemsize} bytes of fields; an event has {EVENT_BYTES}"
    names = layout.names or ()
    placed: Any = layout.fields or {}
    return np.dtype(
        {
            "names": list(names),
            "formats": [layout[name] for name in names],
            "offsets": [placed[name][1] for name in names],
            "itemsize": EVENT_BYTES,
        }
    )


# CASH, ACCOUNT, GROUP and SETTLEMENT: money of one account in one currency, or of a group (then gross_e6 and its limits
# too), after the event. group: the account's household, or the group itself. settled = cash - receivable + payable.
MONEY_EVENT: Final = _event(
    [
        ("cash_e6", "i8"),
        ("reserved_e6", "i8"),
        ("receivable_e6", "i8"),
        ("payable_e6", "i8"),
        ("gross_e6", "i8"),
        ("max_order_notional_e6", "i8"),
        ("max_open_notional_e6", "i8"),
        ("max_gross_e6", "i8"),
        ("group", "u4"),
        ("parent", "u4"),
        ("date", "u4"),
        ("level", "u1"),
        ("state", "u1"),
        ("currency", "u1"),
        ("settled_only", "u1"),
    ]
)

# INSTRUMENT and INSTRUMENT_TABLE. price_e8: the tick, qty_e8: the lot or round lot. tick_table, lot_table: the
# instrument's, or the one that was defined; bands: how many that tick table has.
INSTRUMENT_EVENT: Final = _event(
    [
        ("price_e8", "i8"),
        ("qty_e8", "i8"),
        ("previous_close_e8", "i8"),
        ("reference_e8", "i8"),
        ("max_exposure_qty_e8", "i8"),
        ("band_bps", "u4"),
        ("tick_table", "u2"),
        ("lot_table", "u2"),
        ("bands", "u2"),
        ("state", "u1"),
        ("currency", "u1"),
        ("settle_days", "u1"),
        ("odd_lots", "u1"),
    ]
)

# QUARANTINE: of a command other than an order, cancel or replace, whose senders get their reject in the orders' layout.
# place: the name of its record in its lane's ring. state: the account's after it, where it has one.
QUARANTINE_EVENT: Final = _event(
    [("place", "u8"), ("original_kind", "u2"), ("crashes", "u2"), ("lane", "u1"), ("state", "u1")]
)

# Every other kind's layout is EVENT.
EVENT_LAYOUTS: Final = {
    EventKind.CASH: MONEY_EVENT,
    EventKind.ACCOUNT: MONEY_EVENT,
    EventKind.GROUP: MONEY_EVENT,
    EventKind.SETTLEMENT: MONEY_EVENT,
    EventKind.INSTRUMENT: INSTRUMENT_EVENT,
    EventKind.INSTRUMENT_TABLE: INSTRUMENT_EVENT,
    EventKind.QUARANTINE: QUARANTINE_EVENT,
}
