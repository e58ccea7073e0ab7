"""What an event of the log says, as text and numbers: what its message must say, and what rows it leaves.

Pure. Numbers with places are canonical decimal text; words are those of docs/events.md. Names (an account's number, a
symbol) are not here: an event has the small integers, and `services/audit/facts.py` knows whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from core import ids
from core.currencies import CURRENCIES
from core.events import Event, break_value, reject_message
from core.records import NO_LIMIT, CommandKind, EventKind
from core.rejects import Reject

Value: TypeAlias = str | int | bool | None
Said: TypeAlias = dict[str, Value]

# Named only by who judges: a column about which this event says nothing that has to stand there.
NOT_JUDGED: Final = "(not judged)"

_PLACES_E8: Final = 8
_PLACES_E6: Final = 6

# FIX's own characters (Side 54, OrdType 40, TimeInForce 59, OrdStatus 39, ExecType 150), and the feed's words.
_SIDE: Final = {"1": "buy", "2": "sell"}
_ORD_TYPE: Final = {"1": "market", "2": "limit"}
_TIF: Final = {"0": "day", "1": "gtc", "3": "ioc", "6": "gtd"}
_ORD_STATUS: Final = {
    "0": "new", "1": "partially_filled", "2": "filled", "4": "canceled", "6": "pending_cancel", "8": "rejected",
    "A": "pending_new", "C": "expired", "E": "pending_replace",
}  # fmt: skip
_EXEC_TYPE: Final = {
    "0": "new", "4": "canceled", "5": "replaced", "6": "pending_cancel", "8": "rejected", "9": "cancel_reject",
    "A": "pending_new", "C": "expired", "D": "restated", "E": "pending_replace", "F": "trade", "G": "trade_correct",
    "H": "trade_cancel", "I": "order_status", "r": "replace_reject",
}  # fmt: skip
_OPEN: Final = frozenset("01A6E")
_ACCOUNT_STATE: Final = ("active", "reducing", "halted")
_SESSION: Final = ("open", "halted", "pre_open", "auction", "closed")
_LEVEL: Final = ("0", "firm", "desk", "advisor", "household")
_BREAK: Final = (
    "0", "missing_here", "missing_at_venue", "unknown_order", "order", "quantity", "price", "side", "symbol",
)  # fmt: skip

# A reject that says: no such order. Its numbers are nobody's.
_OF_NO_ORDER: Final = (Reject.ORDER_UNKNOWN, Reject.DUPLICATE_CLIENT_ORDER_ID, Reject.COMMAND_QUARANTINED)
_REFUSED: Final = "report_refused"
_CARRY_A_REJECT: Final = ("rejected", "cancel_reject", "replace_reject")
_FILLS: Final = ("trade", "trade_correct")
_UNDOES: Final = ("trade_cancel", "trade_correct")


def canonical(number: Decimal) -> str:
    """The one way to write a number: '10', '10.25', '-0.5'."""
    return format(number.normalize(), "f") if number else "0"


def _text(fixed: int, places: int) -> str:
    return canonical(Decimal(fixed).scaleb(-places))


def _e8(fixed: int) -> str:
    return _text(fixed, _PLACES_E8)


def _e6(fixed: int) -> str:
    return _text(fixed, _PLACES_E6)


def _limit(fixed: int, places: int) -> str | None:
    return None if fixed == NO_LIMIT else _text(fixed, places)


def _char(words: dict[str, str], code: int) -> str:
    return words.get(chr(code), str(code))


def _char_or_none(words: dict[str, str], code: int) -> str | None:
    return _char(words, code) if code else None


def _nth(words: tuple[str, ...], code: int) -> str:
    return words[code] if code < len(words) else str(code)


def _currency(number: int) -> str:
    found = CURRENCIES.get(number)
    return found.code if found else str(number)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")


def exec_type_of(event: Event) -> str:
    """What happened to the order; but a report that the order's state refused is told as that."""
    told = _char(_EXEC_TYPE, event.exec_type)
    if event.reject_code == Reject.REPORT_UNEXPECTED or (event.reject_code and told not in _CARRY_A_REJECT):
        return _REFUSED
    return told


def average_px(cum_notional_e6: int, cum_qty_e8: int) -> str | None:
    """Money by quantity, at eight places, half to even; None without a fill."""
    if not cum_qty_e8:
        return None
    exact = Fraction(cum_notional_e6, 10**_PLACES_E6) / Fraction(cum_qty_e8, 10**_PLACES_E8)
    return _e8(round(exact * 10**_PLACES_E8))


def _reject(event: Event) -> Said:
    told = reject_message(event.reject_code, event.limit_value, event.observed_value)
    return {"reject_code": event.reject_code, "reject_message": told if event.reject_code else None}


def _order(event: Event, shard: int) -> Said:
    there_is_one = event.reject_code not in _OF_NO_ORDER
    what = exec_type_of(event)
    is_trade = what in _FILLS or what in _UNDOES
    is_open = chr(event.ord_status) in _OPEN
    undone = event.ref_seq if what in _UNDOES and 0 < event.ref_seq < ids.NUMBERS else 0
    return {
        "account_id": event.account,
        "instrument_id": event.instrument,
        "order_id": str(ids.order_uuid(shard, event.order_id)) if there_is_one else None,
        "order_number": event.order_id if there_is_one else 0,
        "client_order_id": _clean(event.text),
        "execution_id": str(ids.execution_uuid(shard, event.seq)),
        "side": _char_or_none(_SIDE, event.side),
        "ord_type": _char_or_none(_ORD_TYPE, event.ord_type),
        "tif": _char_or_none(_TIF, event.tif),
        "ord_status": _char_or_none(_ORD_STATUS, event.ord_status),
        "exec_type": what,
        "qty": _e8(event.qty_e8),
        "price": _e8(event.price_e8) if chr(event.ord_type) == "2" else None,
        "route_price": _e8(event.route_price_e8) if event.route_price_e8 else None,
        "last_qty": _e8(event.last_qty_e8) if is_trade else None,
        "last_px": _e8(event.last_px_e8) if is_trade else None,
        "cum_qty": _e8(event.cum_qty_e8),
        "leaves_qty": _e8(max(event.qty_e8 - event.cum_qty_e8, 0)) if is_open else "0",
        "avg_px": average_px(event.cum_notional_e6, event.cum_qty_e8),
        "cum_notional": _e6(event.cum_notional_e6),
        "currency": _currency(event.currency),
        "cash": _e6(event.cash_e6),
        "reserved": _e6(event.reserved_e6),
        "position_qty": _e8(event.position_qty_e8),
        "position_cost": _e6(event.position_cost_e6),
        "realized": _e6(event.realized_e6),
        "replacement": event.replacement,
        "asked_qty": _e8(event.asked_qty_e8) if event.asked_replacement else None,
        "asked_price": _e8(event.asked_price_e8) if event.asked_replacement else None,
        "execution_ref_id": str(ids.execution_uuid(shard, undone)) if undone else None,
        "execution_ref_seq": undone,
        **_reject(event),
    }


def _money(event: Event) -> Said:
    return {
        "account_id": event.account,
        "currency": _currency(event.currency),
        "cash": _e6(event.cash_e6),
        "reserved": _e6(event.reserved_e6),
        "receivable": _e6(event.receivable_e6),
        "payable": _e6(event.payable_e6),
        "settled": _e6(event.cash_e6 - event.receivable_e6 + event.payable_e6),
        **_reject(event),
    }


def _account(event: Event) -> Said:
    return {
        **_money(event),
        "state": _nth(_ACCOUNT_STATE, event.state),
        "settled_only": bool(event.settled_only),
        "household": event.group,
    }


def _instrument(event: Event) -> Said:
    return {
        "instrument_id": event.instrument,
        "state": _nth(_SESSION, event.state),
        "tick_size": _e8(event.price_e8),
        "lot_size": _e8(event.qty_e8),
        "currency": _currency(event.currency),
        "settle_days": event.settle_days,
        "tick_table": event.tick_table,
        "lot_table": event.lot_table,
        "band_bps": event.band_bps,
        "previous_close": _e8(event.previous_close_e8) if event.previous_close_e8 else None,
        "reference_price": _e8(event.reference_e8) if event.reference_e8 else None,
        "max_exposure": _limit(event.max_exposure_qty_e8, _PLACES_E8),
        **_reject(event),
    }


def _break(event: Event, shard: int) -> Said:
    named = 0 < event.order_id < ids.NUMBERS
    return {
        "account_id": event.account,
        "state": _nth(_ACCOUNT_STATE, event.state) if event.account else None,
        "instrument_id": event.instrument,
        "break_id": str(ids.execution_uuid(shard, event.seq)),
        "kind": _nth(_BREAK, event.break_kind),
        "order_id": str(ids.order_uuid(shard, event.order_id)) if named else None,
        "exec_id": _clean(event.text),
        "side": _char_or_none(_SIDE, event.side),
        "last_qty": _e8(event.last_qty_e8),
        "last_px": _e8(event.last_px_e8),
        "ours": break_value(event.break_kind, event.limit_value),
        "venues": break_value(event.break_kind, event.observed_value),
    }


def _group(event: Event) -> Said:
    return {
        "group": _clean(event.text),
        "group_id": event.group,
        "parent_id": event.parent,
        "level": _nth(_LEVEL, event.level),
        "state": _nth(_ACCOUNT_STATE, event.state),
        "currency": _currency(event.currency),
        "reserved": _e6(event.reserved_e6),
        "gross": _e6(event.gross_e6),
        "max_order_notional": _limit(event.max_order_notional_e6, _PLACES_E6),
        "max_open_notional": _limit(event.max_open_notional_e6, _PLACES_E6),
        "max_gross": _limit(event.max_gross_e6, _PLACES_E6),
        **_reject(event),
    }


def _settlement(event: Event) -> Said:
    return {"date": str(event.date), **_reject(event)}


def _table(event: Event) -> Said:
    is_tick = event.tick_table > 0
    return {
        "kind": "tick" if is_tick else "lot",
        "table": event.tick_table or event.lot_table,
        "bands": event.bands,
        "round_lot": None if is_tick else _e8(event.qty_e8),
        "odd_lots": bool(event.odd_lots),
        **_reject(event),
    }


def _quarantine(event: Event, shard: int) -> Said:
    known = {int(kind): kind.name.lower() for kind in CommandKind}
    named = 0 < event.order_id < ids.NUMBERS
    return {
        "account_id": event.account,
        "state": _nth(_ACCOUNT_STATE, event.state) if event.state and event.account else None,
        "kind": known.get(event.original_kind, str(event.original_kind)),
        "crashes": event.crashes,
        "lane": event.lane,
        "order_id": str(ids.order_uuid(shard, event.order_id)) if named else None,
        "text": _clean(event.text),
        **_reject(event),
    }


# Kind of event -> the message's kind, and what it says.
_SAYS: Final[dict[int, tuple[str, Callable[[Event, int], Said]]]] = {
    EventKind.ORDER: ("order", _order),
    EventKind.CASH: ("cash", lambda event, _shard: _money(event)),
    EventKind.ACCOUNT: ("account", lambda event, _shard: _account(event)),
    EventKind.INSTRUMENT: ("instrument", lambda event, _shard: _instrument(event)),
    EventKind.BREAK: ("break", _break),
    EventKind.GROUP: ("group", lambda event, _shard: _group(event)),
    EventKind.SETTLEMENT: ("settlement", lambda event, _shard: _settlement(event)),
    EventKind.INSTRUMENT_TABLE: ("table", lambda event, _shard: _table(event)),
    EventKind.QUARANTINE: ("quarantine", _quarantine),
}


def said_by(event: Event, shard: int) -> tuple[str, Said]:
    """The kind of an event's message, and what it must say beside its place. ("", {}) of a kind without a rule here."""
    kind, says = _SAYS.get(event.kind, ("", None))
    return kind, says(event, shard) if says else {}


class Fact(NamedTuple):
    """Columns of one row that an event leaves. Of one part the newest counts, or with `first` the oldest; a row's
    columns are its parts' in the order of PARTS."""

    table: str
    key: tuple[int, int | str]
    part: str
    values: Said
    first: bool = False


# A later part's columns stand before an earlier one's.
PARTS: Final = ("first", "last", "reject", "household", "undone")

_ORDER_COLUMNS: Final = (
    "order_id", "client_order_id", "account_id", "instrument_id", "side", "ord_type", "tif", "ord_status", "qty",
    "price", "route_price", "cum_qty", "leaves_qty", "avg_px", "cum_notional",
)  # fmt: skip
_EXECUTION_COLUMNS: Final = (
    "execution_id", "order_number", "account_id", "instrument_id", "side", "last_qty", "last_px", "cum_qty",
    "leaves_qty",
)  # fmt: skip
_INSTRUMENT_COLUMNS: Final = (
    "state", "tick_size", "lot_size", "currency", "previous_close", "reference_price",
)  # fmt: skip
_GROUP_COLUMNS: Final = (
    "level", "parent_id", "state", "currency", "max_order_notional", "max_open_notional", "max_gross",
)  # fmt: skip


def facts_of(event: Event, shard: int) -> Iterator[Fact]:
    """What the projection's tables must hold because of the event."""
    _, said = said_by(event, shard)
    stamp: Said = {"seq": event.seq, "updated_ns": event.time_ns}
    nobody = event.reject_code == Reject.ACCOUNT_UNKNOWN or not event.account
    match event.kind:
        # Whose account is not known has no money either, so its reject names no currency.
        case EventKind.ORDER if not nobody and event.currency and event.reject_code not in _OF_NO_ORDER:
            yield from _facts_of_order(event, said, stamp)
            yield _cash(event, said, stamp)
        case EventKind.CASH if not nobody:
            yield _cash(event, said, stamp)
        case EventKind.ACCOUNT if not event.reject_code:
            key = (event.account, 0)
            yield Fact("accounts", key, "last", {"state": said["state"], **stamp})
            yield Fact("accounts", key, "household", {"household_id": event.group})
            yield _cash(event, said, stamp)
        case EventKind.BREAK | EventKind.QUARANTINE if event.account and said["state"] is not None:
            yield Fact("accounts", (event.account, 0), "last", {"state": said["state"], **stamp})
        case EventKind.INSTRUMENT if not event.reject_code:
            columns = {name: said[name] for name in _INSTRUMENT_COLUMNS}
            yield Fact("instruments", (event.instrument, 0), "last", {**columns, **stamp})
        case EventKind.GROUP if not event.reject_code:
            columns = {name: said[name] for name in _GROUP_COLUMNS}
            yield Fact("groups", (event.group, 0), "last", {"name": said["group"], **columns, **stamp})


def mail_of(event: Event, shard: int) -> Fact | None:
    """The mail that the event must have caused, by the event's number; None: none."""
    is_fill = event.kind == EventKind.ORDER and exec_type_of(event) == "trade"
    if not is_fill and event.kind != EventKind.BREAK:
        return None
    return Fact(
        "notifications_sent",
        (event.seq, 0),
        "last",
        {"execution_id": str(ids.execution_uuid(shard, event.seq))},
    )


def _cash(event: Event, said: Said, stamp: Said) -> Fact:
    columns = {"cash": said["cash"], "reserved": said["reserved"]}
    return Fact("cash", (event.account, str(said["currency"])), "last", {**columns, **stamp})


def _facts_of_order(event: Event, said: Said, stamp: Said) -> Iterator[Fact]:
    key, what = (event.order_id, 0), said["exec_type"]
    yield Fact("orders", key, "first", {"created_ns": event.time_ns}, first=True)
    yield Fact("orders", key, "last", {**{name: said[name] for name in _ORDER_COLUMNS}, **stamp})
    if what == "rejected":
        columns = {name: said[name] for name in ("reject_code", "reject_message")}
        yield Fact("orders", key, "reject", columns)
    if what not in _FILLS and what not in _UNDOES:
        return
    if undone := event.ref_seq if said["execution_ref_seq"] else 0:
        # It stands with quantity 0; what else its row says of the trade that was is not judged.
        left = dict.fromkeys(("last_px", "cum_qty", "leaves_qty", "time_ns"), NOT_JUDGED)
        yield Fact("executions", (undone, 0), "undone", {"last_qty": "0", **left})
    if what in _FILLS:
        columns = {name: said[name] for name in _EXECUTION_COLUMNS}
        yield Fact("executions", (event.seq, 0), "last", {**columns, "time_ns": event.time_ns})
    held: Said = {"qty": said["position_qty"], "cost": said["position_cost"], "realized": said["realized"]}
    yield Fact("positions", (event.account, event.instrument), "last", {**held, **stamp})
