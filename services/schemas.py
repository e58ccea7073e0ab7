"""What goes over NATS: the kinds of update, declared once, with the subjects they travel on.

Always holds here: money, prices and quantities are exact decimal text, never JSON numbers, which many readers
turn into floats. `type` names kind and version; a field may be added within a version, none is removed,
renamed or given another meaning: that would be v2, on its own subjects beside v1. `docs/events.md` is made
from this module (`services/event_docs.py`); a test holds the two together.

Each update carries the log's sequence number of its event and of the event before it (`prior_seq`): a
follower that has seen `prior_seq` has missed nothing, and one that has seen `seq` has seen the update.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

ROOT: Final = "tradewind.v1"

Kind: TypeAlias = Literal[
    "order", "cash", "account", "instrument", "break", "group", "settlement", "table", "quarantine"
]

# Where a subject's token has nothing to say: no account (instruments), or one that does not exist.
NOBODY: Final = "_"

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9-]")


def token(text: str) -> str:
    """`text` as one token of a NATS subject: other than letters, digits and '-' become _XX, in hex. 'BRK.B'
    -> 'BRK_2EB'."""
    if not text:
        return NOBODY
    return _UNSAFE.sub(lambda found: "".join(f"_{byte:02X}" for byte in found.group().encode()), text)


def subject(kind: Kind, shard: int, account: str, what: str) -> str:
    """`tradewind.v1.<kind>.<shard>.<account>.<what>`."""
    return f"{ROOT}.{kind}.{shard}.{token(account)}.{token(what)}"


def shard_subjects(shard: int) -> str:
    """The wildcard of everything that one shard says."""
    return f"{ROOT}.*.{shard}.>"


def stream_name(shard: int) -> str:
    """The JetStream stream of a shard: TRADEWIND for shard 0, then TRADEWIND-1, TRADEWIND-2, …

    A stream for each shard, because a stream is one order of messages and so is a log: the publisher holds
    the two to each other by the stream's own sequence, which a second writer would disturb.
    """
    return "TRADEWIND" if shard == 0 else f"TRADEWIND-{shard}"


def message_id(shard: int, seq: int) -> str:
    """The header Nats-Msg-Id, by which JetStream drops what it has just had."""
    return f"{shard}:{seq}"


# The header that names the owner's life in which an event came about: it grows along the log, and so along the stream.
EPOCH_HEADER: Final = "Tradewind-Epoch"

Shard: TypeAlias = Annotated[int, Meta(description="The shard whose log has the event.")]
Seq: TypeAlias = Annotated[
    int, Meta(description="The event's sequence number in that log. Grows; other records lie between.")
]
PriorSeq: TypeAlias = Annotated[
    int,
    Meta(
        description="`seq` of this shard's update before this one; 0 for the first. "
        "Not seen it: something is missing."
    ),
]
TimeNs: TypeAlias = Annotated[
    int, Meta(description="When the shard decided it: nanoseconds since 1970, UTC.")
]
Account: TypeAlias = Annotated[
    str, Meta(description="The account's number, as people know it; empty if there is none.")
]
AccountId: TypeAlias = Annotated[
    int, Meta(description="The account's number inside the shard, from 1; never given again.")
]
Symbol: TypeAlias = Annotated[str, Meta(description="The instrument's symbol; empty if there is none.")]
InstrumentId: TypeAlias = Annotated[
    int, Meta(description="The instrument's number inside the shard, from 1.")
]
RejectCode: TypeAlias = Annotated[
    int, Meta(description="0, or why what was asked did not happen (docs/rejects.md).")
]
RejectMessage: TypeAlias = Annotated[
    str | None, Meta(description="The same as a sentence; null with code 0.")
]
Currency: TypeAlias = Annotated[
    str, Meta(description="ISO 4217 code of `cash` and `reserved`; of a group, of all its money.")
]
Cash: TypeAlias = Annotated[
    str,
    Meta(description="The account's cash in `currency` after the event, by trade date. Decimal, 6 places."),
]
Limit: TypeAlias = Annotated[str | None, Meta(description="A limit in `currency`; null for none.")]
Receivable: TypeAlias = Annotated[str, Meta(description="Proceeds of sales, in `cash`, not settled yet.")]
Payable: TypeAlias = Annotated[str, Meta(description="Purchases, out of `cash`, not settled yet.")]
Settled: TypeAlias = Annotated[str, Meta(description="cash - receivable + payable.")]
Reserved: TypeAlias = Annotated[
    str, Meta(description="Cash set aside for its open orders after the event. Decimal, 6 places.")
]


class Link(msgspec.Struct, frozen=True):
    """The fields of any update that tell its place; decoding only them is quick."""

    seq: int
    prior_seq: int


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.order"):
    """One thing that happened to an order, with the order, the account's cash and its position after it.

    A refused cancel or replace is one too (`exec_type` cancel_reject, replace_reject), and so is a venue's report
    that the order's state does not allow (report_refused): the reject is then the request's or the report's, not the
    order's.
    """

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    account: Account
    account_id: AccountId
    symbol: Symbol
    instrument_id: InstrumentId
    order_id: Annotated[
        str | None,
        Meta(
            description="The order's UUID. Null if no such order exists: a cancel of an unknown one, "
            "a repeated client order id."
        ),
    ]
    order_number: Annotated[
        int, Meta(description="The same inside the shard: `seq` of the command that asked for it.")
    ]
    client_order_id: Annotated[str, Meta(description="The client's own id of the order.")]
    execution_id: Annotated[
        str, Meta(description="UUID of this happening: unique, and the same whenever it is read again.")
    ]
    side: Annotated[str | None, Meta(description="buy, sell; null if no such order exists.")]
    ord_type: Annotated[str | None, Meta(description="market, limit.")]
    tif: Annotated[str | None, Meta(description="day, gtc, ioc, gtd.")]
    ord_status: Annotated[
        str | None,
        Meta(
            description="FIX OrdStatus (39): pending_new, new, partially_filled, filled, pending_cancel, "
            "pending_replace, canceled, rejected, expired."
        ),
    ]
    exec_type: Annotated[
        str,
        Meta(
            description="FIX ExecType (150): pending_new, new, trade, pending_cancel, pending_replace, replaced, "
            "restated (the venue has changed its terms), canceled, rejected, expired, trade_cancel (a fill is taken "
            "back), trade_correct; order_status: the venue is asked for an answer, or has said that all is as known; "
            "cancel_reject, replace_reject for 35=9; "
            "report_refused for a report that changed nothing."
        ),
    ]
    qty: Annotated[str, Meta(description="Ordered quantity. Decimal, 8 places.")]
    price: Annotated[str | None, Meta(description="Limit price; null for a market order. Decimal, 8 places.")]
    route_price: Annotated[
        str | None,
        Meta(
            description="The limit that the venue is given (a market order's is the collar's bound); "
            "null if not routed."
        ),
    ]
    last_qty: Annotated[
        str | None,
        Meta(
            description="Quantity of this fill, or of the one taken back; null unless `exec_type` is trade, "
            "trade_cancel or trade_correct."
        ),
    ]
    last_px: Annotated[str | None, Meta(description="Its price; null where last_qty is.")]
    cum_qty: Annotated[str, Meta(description="Filled so far.")]
    leaves_qty: Annotated[str, Meta(description="Still open; 0 once the order is done.")]
    avg_px: Annotated[
        str | None,
        Meta(description="cum_notional / cum_qty, rounded half to even at 8 places; null without a fill."),
    ]
    cum_notional: Annotated[str, Meta(description="Money of all fills. Decimal, 6 places.")]
    reject_code: RejectCode
    reject_message: RejectMessage
    currency: Currency
    cash: Cash
    reserved: Reserved
    position_qty: Annotated[
        str, Meta(description="The account's holding of the instrument after the event. Decimal, 8 places.")
    ]
    position_cost: Annotated[str, Meta(description="What the holding cost. Decimal, 6 places.")]
    realized: Annotated[str, Meta(description="Profit realized in the instrument so far. Decimal, 6 places.")]
    replacement: Annotated[
        int, Meta(description="Number of the replace that the venue accepted last; 0 for none.")
    ] = 0
    asked_qty: Annotated[
        str | None, Meta(description="The quantity that a pending_replace asks for; else null.")
    ] = None
    asked_price: Annotated[
        str | None, Meta(description="The limit for the venue that it asks for; else null.")
    ] = None
    execution_ref_id: Annotated[
        str | None,
        Meta(
            description="`execution_id` of the fill that a trade_cancel or trade_correct undoes; else null."
        ),
    ] = None
    execution_ref_seq: Annotated[int, Meta(description="`seq` of that fill; else 0.")] = 0


class CashUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.cash"):
    """Cash paid in or out, or a payment refused."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    account: Account
    account_id: AccountId
    reject_code: RejectCode
    reject_message: RejectMessage
    currency: Currency
    cash: Cash
    reserved: Reserved
    receivable: Receivable
    payable: Payable
    settled: Settled


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.account"):
    """An account opened, given other limits, put in another state, or moved to another household."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    account: Account
    account_id: AccountId
    state: Annotated[str, Meta(description="active, reducing (may only sell what it holds), halted.")]
    reject_code: RejectCode
    reject_message: RejectMessage
    currency: Currency
    cash: Cash
    reserved: Reserved
    receivable: Receivable
    payable: Payable
    settled: Settled
    settled_only: Annotated[bool, Meta(description="Whether it may buy with settled cash only.")]
    household: Annotated[
        int, Meta(description="Its household's number (GroupUpdate's group_id); 0 for none.")
    ]


class InstrumentUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.instrument"):
    """An instrument defined, given other parameters or reference prices, or in another session."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    symbol: Symbol
    instrument_id: InstrumentId
    state: Annotated[str, Meta(description="open, halted, pre_open, auction, closed.")]
    tick_size: Annotated[str, Meta(description="Prices are multiples of it. Decimal, 8 places.")]
    lot_size: Annotated[str, Meta(description="Quantities are multiples of it. Decimal, 8 places.")]
    currency: Annotated[str, Meta(description="ISO 4217 code of what it is paid with.")]
    settle_days: Annotated[int, Meta(description="Settlement days between trade and settlement.")]
    tick_table: Annotated[int, Meta(description="Number of its tick table; 0: `tick_size` alone counts.")]
    lot_table: Annotated[int, Meta(description="Number of its lot table; 0: `lot_size` alone counts.")]
    band_bps: Annotated[int, Meta(description="Static price band, in basis points; 0 for none.")]
    previous_close: Annotated[str | None, Meta(description="Static price; null for none.")]
    reference_price: Annotated[
        str | None, Meta(description="Static price, counts before `previous_close`; null for none.")
    ]
    max_exposure: Annotated[
        str | None, Meta(description="Limit of all accounts' position together; null for none.")
    ]
    reject_code: RejectCode
    reject_message: RejectMessage


class BreakUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.break"):
    """An execution that a venue's drop copy and the log tell differently. Its account may only reduce until a person
    sets it active again.

    `ours` and `venues` are what the log and the copy say: a quantity for missing_here, missing_at_venue,
    unknown_order and quantity, a price for price, a side for side, an order's number for order.
    """

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    account: Account
    account_id: AccountId
    state: Annotated[
        str | None,
        Meta(description="The account's state after it: reducing, halted. Null if there is no account."),
    ]
    symbol: Symbol
    instrument_id: InstrumentId
    break_id: Annotated[
        str, Meta(description="UUID of this break: unique, and the same whenever it is read again.")
    ]
    kind: Annotated[
        str,
        Meta(
            description="missing_here, missing_at_venue, unknown_order, order, quantity, price, side, symbol."
        ),
    ]
    order_id: Annotated[str | None, Meta(description="The order's UUID; null if none of ours is named.")]
    exec_id: Annotated[str, Meta(description="The venue's ExecID (17).")]
    side: Annotated[str | None, Meta(description="buy, sell; null if none is told.")]
    last_qty: Annotated[str, Meta(description="Quantity of the execution. Decimal, 8 places.")]
    last_px: Annotated[str, Meta(description="Price of the execution. Decimal, 8 places.")]
    ours: Annotated[str | None, Meta(description="What the log says; null if it says nothing.")]
    venues: Annotated[str | None, Meta(description="What the venue's copy says; null if it says nothing.")]


class GroupUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.group"):
    """A level above accounts defined, given other limits, or put in another state, which counts for all below it."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    group: Annotated[str, Meta(description="The group's name.")]
    group_id: Annotated[int, Meta(description="Its number inside the shard, from 1; never given again.")]
    parent_id: Annotated[int, Meta(description="The number of the group above it; 0 for a firm.")]
    level: Annotated[str, Meta(description="firm, desk, advisor, household.")]
    state: Annotated[str, Meta(description="active, reducing, halted.")]
    reject_code: RejectCode
    reject_message: RejectMessage
    currency: Currency
    reserved: Annotated[str, Meta(description="Cash set aside for the open orders of all accounts below.")]
    gross: Annotated[str, Meta(description="What the positions of all accounts below cost, absolute values.")]
    max_order_notional: Limit
    max_open_notional: Limit
    max_gross: Limit


class SettlementUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.settlement"):
    """A settlement day has ended: in every account, what was due on it has settled."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    date: Annotated[str, Meta(description="The day as YYYYMMDD; when refused, the last that has ended.")]
    reject_code: RejectCode
    reject_message: RejectMessage


class TableUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.table"):
    """A tick table or a lot table defined."""

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    kind: Annotated[str, Meta(description="tick, lot.")]
    table: Annotated[int, Meta(description="Its number.")]
    bands: Annotated[int, Meta(description="How many bands the tick table has now; 0 for a lot table.")]
    round_lot: Annotated[str | None, Meta(description="Null for a tick table.")]
    odd_lots: Annotated[bool, Meta(description="Whether a lot table takes other quantities too.")]
    reject_code: RejectCode
    reject_message: RejectMessage


class QuarantineUpdate(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=f"{ROOT}.quarantine"):
    """A command other than an order, cancel or replace that made the shard die again and again, and was put aside: an
    operator decides (`tradewind quarantine`). Of those three the order's update says it, with reject code 906. Lane 0:
    a command of the log that an operator has left out of every replay.

    Where something may be missing in an account's books it may only reduce until a person sets it active again.
    """

    shard: Shard
    seq: Seq
    prior_seq: PriorSeq
    time_ns: TimeNs
    account: Account
    account_id: AccountId
    state: Annotated[
        str | None, Meta(description="The account's state after it, where its books may lack something.")
    ]
    kind: Annotated[str, Meta(description="What was asked: venue_report, deposit, break, …")]
    crashes: Annotated[int, Meta(description="How often the shard died of it.")]
    lane: Annotated[int, Meta(description="The lane that it came in.")]
    order_id: Annotated[str | None, Meta(description="UUID of the order that it names; null for none.")]
    text: Annotated[str, Meta(description="Its text: of a venue's report the ExecID.")]
    reject_code: RejectCode
    reject_message: RejectMessage


Update: TypeAlias = (
    OrderUpdate
    | CashUpdate
    | AccountUpdate
    | InstrumentUpdate
    | BreakUpdate
    | GroupUpdate
    | SettlementUpdate
    | TableUpdate
    | QuarantineUpdate
)

UPDATES: Final[tuple[type[Update], ...]] = (
    OrderUpdate,
    CashUpdate,
    AccountUpdate,
    InstrumentUpdate,
    BreakUpdate,
    GroupUpdate,
    SettlementUpdate,
    TableUpdate,
    QuarantineUpdate,
)


def subject_of(update: Update) -> str:
    """The subject that an update travels on. `what` is exec_type, paid or rejected, the state, the symbol, the
    break's kind, the date, the table, or the command's kind; a group's name stands where an account's does."""
    match update:
        case OrderUpdate():
            return subject("order", update.shard, update.account, update.exec_type)
        case CashUpdate():
            return subject("cash", update.shard, update.account, "rejected" if update.reject_code else "paid")
        case AccountUpdate():
            return subject(
                "account", update.shard, update.account, "rejected" if update.reject_code else update.state
            )
        case InstrumentUpdate():
            return subject("instrument", update.shard, "", update.symbol)
        case BreakUpdate():
            return subject("break", update.shard, update.account, update.kind)
        case GroupUpdate():
            what = "rejected" if update.reject_code else update.state
            return subject("group", update.shard, update.group, what)
        case SettlementUpdate():
            return subject("settlement", update.shard, "", update.date)
        case TableUpdate():
            return subject("table", update.shard, "", f"{update.kind}-{update.table}")
        case QuarantineUpdate():
            return subject("quarantine", update.shard, update.account, update.kind)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Update)
_LINK_DECODER: Final = msgspec.json.Decoder(Link)


def encode(update: Update) -> bytes:
    """The update as JSON."""
    return _ENCODER.encode(update)


def decode(raw: bytes) -> Update:
    """The update in a message's body. Raises msgspec.ValidationError for anything else."""
    update: Update = _DECODER.decode(raw)
    return update


def decode_link(raw: bytes) -> Link:
    """Only the place of the update in a message's body."""
    return _LINK_DECODER.decode(raw)
