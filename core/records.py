"""The records: every command, event and tick, each declared once, as a fixed layout.

A *command* is what someone asks; it sits in a ring's slot (COMMAND_BYTES) and is journaled as it was applied.
An *event* is what happened because of one command; it exists only in the log.
A *tick* is a quote or trade in the broadcast ring.

Always holds here: a layout is declared once, and nobody else adds numbers to pointers. Integers carry their
scale in the name (`core/units.py`). Codes are FIX's own where FIX has one (Side 54, OrdType 40, TimeInForce 59,
OrdStatus 39, ExecType 150), stored as the ASCII character.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np

# Of the tables in memory and in snapshots, and of the layouts below: it changes with any of them.
LAYOUT_VERSION: Final = 4
# Of the commands and events in a log: it changes when one that is there already is laid out otherwise or means
# something else, so that an older log can't be replayed any more. A new kind does not change it.
RECORDS_VERSION: Final = 1

# A ring slot: 128 bytes of fields and 128 of text (Alpaca allows a client_order_id of 128 characters).
COMMAND_BYTES: Final = 256
FIELDS_BYTES: Final = 128
TEXT_BYTES_MAX: Final = 128


class CommandKind(IntEnum):
    """What someone asks. Stable numbers: they stand in the log."""

    NEW_ORDER = 1
    CANCEL = 2
    VENUE_REPORT = 3
    OPEN_ACCOUNT = 4
    DEPOSIT = 5
    DEFINE_INSTRUMENT = 6
    SET_ACCOUNT_STATE = 7
    SET_INSTRUMENT_STATE = 8
    PASSIVATE = 30
    BREAK = 9
    SETTLE_DAY = 20
    DEFINE_GROUP = 21
    SET_GROUP_STATE = 22
    MOVE_ACCOUNT = 23
    SET_REFERENCE_PRICE = 24
    DEFINE_TICK_TABLE = 25
    DEFINE_LOT_TABLE = 26
    REPLACE = 11
    DAY_END = 12
    EXPIRE = 13
    ASK_STATUS = 14
    ASK_VENUE = 31
    VENUE_STATUS = 32
    FATE_UNKNOWN = 33
    RESOLVE = 34
    QUARANTINE = 35
    RETRY = 36
    PASSED_OVER = 37


class EventKind(IntEnum):
    """What happened. Stable numbers, apart from the commands': they stand in the log beside them."""

    ORDER = 101
    CASH = 102
    ACCOUNT = 103
    INSTRUMENT = 104
    BREAK = 105
    GROUP = 110
    SETTLEMENT = 111
    INSTRUMENT_TABLE = 112
    QUARANTINE = 123


class Source(IntEnum):
    """Who put the command in its ring: one producer for each lane."""

    GATEWAY = 1
    VENUE = 2
    ADMIN = 3
    FIX_CLIENT = 4
    BINARY_CLIENT = 5
    RECONCILER = 9
    TIMER = 8


class Fate(IntEnum):
    """What is known of an open order's standing at its venue.

    SURE: its reports say it. ASKED: the venue has been asked, and owes the answer. UNKNOWN: the venue does not know
    the order, does not answer, or tells what can't be booked; what it holds stays held until a report or a person
    says more. RECONCILED stands in the event of a fill only: it was found by the venue's total, and its own report
    never came. OVERTAKEN: asked, and its owner has made a request since, which the answer does not settle."""

    SURE = 0
    ASKED = 1
    UNKNOWN = 2
    RECONCILED = 3
    OVERTAKEN = 4


class Side(IntEnum):
    BUY = ord("1")
    SELL = ord("2")


class OrdType(IntEnum):
    MARKET = ord("1")
    LIMIT = ord("2")


class TimeInForce(IntEnum):
    DAY = ord("0")
    GTC = ord("1")
    IOC = ord("3")
    GTD = ord("6")


class OrdStatus(IntEnum):
    """FIX OrdStatus (39)."""

    NEW = ord("0")
    PARTIALLY_FILLED = ord("1")
    FILLED = ord("2")
    CANCELED = ord("4")
    PENDING_CANCEL = ord("6")
    REJECTED = ord("8")
    PENDING_NEW = ord("A")
    EXPIRED = ord("C")
    PENDING_REPLACE = ord("E")


class ExecType(IntEnum):
    """FIX ExecType (150). CANCEL_REJECT and REPLACE_REJECT stand for the message OrderCancelReject (35=9), which
    has none, with CxlRejResponseTo (434) 1 and 2."""

    NEW = ord("0")
    CANCELED = ord("4")
    REPLACED = ord("5")
    PENDING_CANCEL = ord("6")
    REJECTED = ord("8")
    CANCEL_REJECT = ord("9")
    PENDING_NEW = ord("A")
    EXPIRED = ord("C")
    RESTATED = ord("D")
    PENDING_REPLACE = ord("E")
    TRADE = ord("F")
    TRADE_CORRECT = ord("G")
    TRADE_CANCEL = ord("H")
    ORDER_STATUS = ord("I")
    REPLACE_REJECT = ord("r")


# A command's flags. LOG_FULL: the shard had no room in the log for one more order when it took this one; it
# stands in the command so that the decision stays a function of state and command.
FLAG_LOG_FULL: Final = 1
# The same for gate `replicated`, and no standby that is there.
FLAG_STANDBY_AWAY: Final = 2
LANE_SHIFT: Final = 8


class AccountState(IntEnum):
    """Of an account, and of each level above it: the strictest counts."""

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


class Level(IntEnum):
    """The kinds of groups above an account, from the top. A group's parent is of a smaller number."""

    FIRM = 1
    DESK = 2
    ADVISOR = 3
    HOUSEHOLD = 4


class InstrumentState(IntEnum):
    """The session of an instrument, and its halts. What is accepted in each: `core/risk.py`, session_accepts."""

    OPEN = 0
    HALTED = 1
    PRE_OPEN = 2
    AUCTION = 3
    CLOSED = 4


# Settlement days between a trade and its settlement: 0 with the trade itself, 1 for US equities since May 2024
# (SEC rule 15c6-1), 2 for EU equities and spot foreign exchange, 3 for what is slowest.
SETTLE_DAYS_MAX: Final = 3
SETTLE_DAYS_EQUITY: Final = 1

# "No limit" where a limit may be left out: no amount is above it.
NO_LIMIT: Final = 2**63 - 1


class BreakKind(IntEnum):
    """How a venue's drop copy and the log disagree about one execution (fix/reconciler.py).

    The first two: one of them tells it and the other does not. The others: both tell it, and differently.
    """

    MISSING_HERE = 1
    MISSING_AT_VENUE = 2
    UNKNOWN_ORDER = 3
    ORDER = 4
    QUANTITY = 5
    PRICE = 6
    SIDE = 7
    SYMBOL = 8


# The first 40 bytes of every command are the same. The shard fills in lane_seq, and the lane into the high byte
# of flags, when it takes the command: a restarted shard knows from the log which of its rings' records it took.
_HEAD: Final = [
    ("kind", "u2"),
    ("source", "u2"),
    ("text_length", "u2"),
    ("flags", "u2"),
    ("account", "u4"),
    ("instrument", "u4"),
    ("request_id", "u8"),
    ("order_id", "u8"),
    ("lane_seq", "u8"),
]


def _command(fields: list[tuple[str, str]]) -> np.dtype[np.void]:
    """The head, `fields` (each aligned to its size) and at FIELDS_BYTES the text."""
    layout = np.dtype([*_HEAD, *fields], align=True)
    assert layout.itemsize <= FIELDS_BYTES, f"{layout.itemsize} bytes of fields; a command has {FIELDS_BYTES}"
    names = layout.names or ()
    placed: Any = layout.fields or {}
    return np.dtype(
        {
            "names": [*names, "text"],
            "formats": [*(layout[name] for name in names), f"S{TEXT_BYTES_MAX}"],
            "offsets": [*(placed[name][1] for name in names), FIELDS_BYTES],
            "itemsize": COMMAND_BYTES,
        }
    )


HEAD: Final = _command([])

# text: the client's order id. bid, ask and quote_time are stamped by the shard from the instrument's live
# quote when it takes the command, so that the decision is a pure function of state and command. expire_time:
# with GTD, when it ends; else 0.
NEW_ORDER: Final = _command(
    [
        ("qty_e8", "i8"),
        ("price_e8", "i8"),
        ("side", "u1"),
        ("ord_type", "u1"),
        ("tif", "u1"),
        ("bid_e8", "i8"),
        ("ask_e8", "i8"),
        ("quote_time_ns", "i8"),
        ("expire_time_ns", "i8"),
    ]
)

# order_id names the order, text is the name it gets. qty counts what has traded already. Zero leaves a term as it
# is; side and ord_type never change and are zero.
REPLACE: Final = NEW_ORDER

# order_id names the order. No text.
CANCEL: Final = _command([])

# A venue's ExecutionReport or OrderCancelReject. venue_seq: the FIX MsgSeqNum of the session, by which a
# report that comes again is known. order_id: ours, from ClOrdID (for a cancel, OrigClOrdID). replacement: the
# number of the replace request that ClOrdID names, 0 for none. exec_hash, exec_ref_hash: `ids.exec_hash` of ExecID
# and ExecRefID, 0 for none. text: ExecID, of a bust or correction ExecRefID, of a reject the venue's Text.
VENUE_REPORT: Final = _command(
    [
        ("venue_seq", "u8"),
        ("last_qty_e8", "i8"),
        ("last_px_e8", "i8"),
        ("cum_qty_e8", "i8"),
        ("leaves_qty_e8", "i8"),
        ("transact_time_ns", "i8"),
        ("exec_hash", "i8"),
        ("exec_ref_hash", "i8"),
        ("replacement", "u2"),
        ("exec_type", "u1"),
        ("ord_status", "u1"),
    ]
)

# The venue's answer to a question how an order stands (ExecutionReport with 150=I), or new terms that it tells itself
# (150=5, 150=D). venue_seq as in VENUE_REPORT, and in its place. cum, avg_px: all that was traded. last_qty, last_px:
# its last trade, 0 where it is not told. qty, price: the order's terms, 0 where they are not told; replacement: which
# link of the chain they are of. exec_type, ord_status: as told.
VENUE_STATUS: Final = _command(
    [
        ("venue_seq", "u8"),
        ("cum_qty_e8", "i8"),
        ("avg_px_e8", "i8"),
        ("last_qty_e8", "i8"),
        ("last_px_e8", "i8"),
        ("qty_e8", "i8"),
        ("price_e8", "i8"),
        ("transact_time_ns", "i8"),
        ("replacement", "u2"),
        ("exec_type", "u1"),
        ("ord_status", "u1"),
    ]
)
assert VENUE_REPORT.fields is not None
assert VENUE_STATUS.fields is not None
assert VENUE_STATUS.fields["venue_seq"] == VENUE_REPORT.fields["venue_seq"], "one view reads both"

# order_id names the order. code: why (core/rejects.py). text: what the venue said.
FATE_UNKNOWN: Final = _command([("code", "u2")])

# A person says what became of an order of unknown fate. exec_type: CANCELED, or TRADE with quantity and price of what
# was filled. text: where that is known from.
RESOLVE: Final = _command([("last_qty_e8", "i8"), ("last_px_e8", "i8"), ("exec_type", "u1")])

# A timer that has run out for the order of order_id. due: for DAY_END the end of the day that it was placed on, for
# EXPIRE its own time, for ASK_STATUS the time before which the venue should have answered.
TIMER: Final = _command([("due_ns", "i8")])

# text: the account's number, as people know it. All limits are per order but the position limit. currency: the base
# currency, for ever. settled_only: 1 when purchases may not use unsettled proceeds. household: a group's number, 0 for
# none; it counts at the opening only, after that MOVE_ACCOUNT moves.
OPEN_ACCOUNT: Final = _command(
    [
        ("max_order_qty_e8", "i8"),
        ("max_order_notional_e6", "i8"),
        ("max_position_qty_e8", "i8"),
        ("household", "u4"),
        ("currency", "u1"),
        ("settled_only", "u1"),
    ]
)

# amount_e6 > 0 pays in, < 0 pays out. currency: 0 for the account's own. text: a reference.
DEPOSIT: Final = _command([("amount_e6", "i8"), ("currency", "u1")])

# text: the symbol. Defining it again changes its parameters; number and currency stay. band_bps: the static price
# band around the reference price, 0 for none. tick_table, lot_table: 0 for none, then tick_e8 and lot_e8 alone
# count. max_exposure_qty_e8: of all accounts together, NO_LIMIT for none.
DEFINE_INSTRUMENT: Final = _command(
    [
        ("tick_e8", "i8"),
        ("lot_e8", "i8"),
        ("max_order_qty_e8", "i8"),
        ("collar_bps", "u4"),
        ("quote_age_ms_max", "u4"),
        ("max_exposure_qty_e8", "i8"),
        ("band_bps", "u4"),
        ("tick_table", "u2"),
        ("lot_table", "u2"),
        ("currency", "u1"),
        ("settle_days", "u1"),
    ]
)

# state: AccountState or InstrumentState.
SET_STATE: Final = _command([("state", "u1")])

# A disagreement with the venue's drop copy. order_id 0, account 0: not known to whoever found it. ours, venues: what
# the log and the copy say, in the unit of the kind: a quantity, a price, a side, an order; 0 where one says nothing.
# text: ExecID.
BREAK: Final = _command(
    [
        ("last_qty_e8", "i8"),
        ("last_px_e8", "i8"),
        ("ours", "i8"),
        ("venues", "i8"),
        ("transact_time_ns", "i8"),
        ("break_kind", "u1"),
        ("side", "u1"),
    ]
)

# The end of a settlement day: what was due on it has settled. date: YYYYMMDD, later than the last one's; days on which
# nothing settles (weekends, holidays) have none.
SETTLE_DAY: Final = _command([("date", "u4")])

# text: the name, one for each group. Defining it again changes its limits; level, parent and currency stay. All limits
# are money in the group's currency, NO_LIMIT for none.
DEFINE_GROUP: Final = _command(
    [
        ("max_order_notional_e6", "i8"),
        ("max_open_notional_e6", "i8"),
        ("max_gross_e6", "i8"),
        ("parent", "u4"),
        ("level", "u1"),
        ("currency", "u1"),
    ]
)

# state: AccountState, for everything below the group.
SET_GROUP_STATE: Final = _command([("group", "u4"), ("state", "u1")])

# To another household, 0 for none, with everything that it has open.
MOVE_ACCOUNT: Final = _command([("household", "u4")])

# The day's static prices, 0 for none. reference_e8 (an auction's price) stands before previous_close_e8.
SET_REFERENCE_PRICE: Final = _command([("previous_close_e8", "i8"), ("reference_e8", "i8")])

# Bands of a tick table from number `first_band` (0: the table anew) on: from each price on, its tick.
TICK_BANDS_A_COMMAND: Final = 4
DEFINE_TICK_TABLE: Final = _command(
    [
        ("table", "u2"),
        ("first_band", "u1"),
        ("bands", "u1"),
        *((f"{name}_{n}_e8", "i8") for n in range(1, TICK_BANDS_A_COMMAND + 1) for name in ("from", "tick")),
    ]
)

# odd_lots: 1 when quantities that are no multiple of the round lot are taken too.
DEFINE_LOT_TABLE: Final = _command([("round_lot_e8", "i8"), ("table", "u2"), ("odd_lots", "u1")])

# QUARANTINE: a command that made the shard die `crashes` times, put aside: its own bytes under this kind, the fields
# behind the head as words. RETRY: one of a venue's reports, applied after all. PASSED_OVER: the log's command of
# number word_0 is not applied any more (actors/amended.py).
_WORDS: Final = [(f"word_{n}", "i8") for n in range(10)]
QUARANTINE: Final = _command([*_WORDS, ("original_kind", "u2"), ("crashes", "u2")])
# Where `original_kind` stands, behind what any other command has (a test holds it).
assert QUARANTINE.fields is not None
ORIGINAL_KIND: Final = int(QUARANTINE.fields["original_kind"][1])

COMMAND_LAYOUTS: Final = {
    CommandKind.NEW_ORDER: NEW_ORDER,
    CommandKind.CANCEL: CANCEL,
    CommandKind.VENUE_REPORT: VENUE_REPORT,
    CommandKind.OPEN_ACCOUNT: OPEN_ACCOUNT,
    CommandKind.DEPOSIT: DEPOSIT,
    CommandKind.DEFINE_INSTRUMENT: DEFINE_INSTRUMENT,
    CommandKind.SET_ACCOUNT_STATE: SET_STATE,
    CommandKind.SET_INSTRUMENT_STATE: SET_STATE,
    CommandKind.PASSIVATE: HEAD,
    CommandKind.BREAK: BREAK,
    CommandKind.SETTLE_DAY: SETTLE_DAY,
    CommandKind.DEFINE_GROUP: DEFINE_GROUP,
    CommandKind.SET_GROUP_STATE: SET_GROUP_STATE,
    CommandKind.MOVE_ACCOUNT: MOVE_ACCOUNT,
    CommandKind.SET_REFERENCE_PRICE: SET_REFERENCE_PRICE,
    CommandKind.DEFINE_TICK_TABLE: DEFINE_TICK_TABLE,
    CommandKind.DEFINE_LOT_TABLE: DEFINE_LOT_TABLE,
    CommandKind.REPLACE: REPLACE,
    CommandKind.DAY_END: TIMER,
    CommandKind.EXPIRE: TIMER,
    CommandKind.ASK_STATUS: TIMER,
    CommandKind.QUARANTINE: QUARANTINE,
    CommandKind.RETRY: QUARANTINE,
    CommandKind.PASSED_OVER: QUARANTINE,
    CommandKind.ASK_VENUE: HEAD,
    CommandKind.VENUE_STATUS: VENUE_STATUS,
    CommandKind.FATE_UNKNOWN: FATE_UNKNOWN,
    CommandKind.RESOLVE: RESOLVE,
}


class TickKind(IntEnum):
    QUOTE = 1
    TRADE = 2


# published_ns: wall clock at publication, from which staleness is told. time_ns: the recording's own time.
# QUOTE uses bid/ask and sizes; TRADE uses px_e8/size_e8 and leaves the quote's fields as last known.
TICK: Final = np.dtype(
    [
        ("instrument", "u4"),
        ("kind", "u1"),
        ("time_ns", "i8"),
        ("published_ns", "i8"),
        ("bid_e8", "i8"),
        ("ask_e8", "i8"),
        ("bid_size_e8", "i8"),
        ("ask_size_e8", "i8"),
        ("px_e8", "i8"),
        ("size_e8", "i8"),
        ("recording_index", "u8"),
    ],
    align=True,
)
TICK_BYTES: Final = 128  # slot: two cache lines
assert TICK.itemsize <= TICK_BYTES
