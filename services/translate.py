"""An event of the log as the update that followers read: integers become decimal text, codes become words.

Pure: event, shard, names and the event before it in, update out. It must take whatever the log holds: an
event that it could not say would stop the feed for good, so an unknown code becomes its number as text, and
an event about an account or an order that does not exist (a reject says so) is said without them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from core import currencies, ids, units
from core.events import Event, break_value, reject_message
from core.records import (
    NO_LIMIT,
    AccountState,
    BreakKind,
    CommandKind,
    EventKind,
    ExecType,
    InstrumentState,
    Level,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from services.schemas import (
    AccountUpdate,
    BreakUpdate,
    CashUpdate,
    GroupUpdate,
    InstrumentUpdate,
    OrderUpdate,
    QuarantineUpdate,
    SettlementUpdate,
    TableUpdate,
    Update,
)

EVENT_KINDS: Final = frozenset(map(int, EventKind))

# cum_notional_e6 / cum_qty_e8 is e-2; a price is e8.
_AVERAGE_FACTOR: Final = 10**10

_WORKING: Final = frozenset(
    {
        OrdStatus.PENDING_NEW,
        OrdStatus.NEW,
        OrdStatus.PARTIALLY_FILLED,
        OrdStatus.PENDING_CANCEL,
        OrdStatus.PENDING_REPLACE,
    }
)
# The answer to a command about an order that there is not (again): nothing may be stored under its number.
_NO_ORDER: Final = frozenset(
    {Reject.ORDER_UNKNOWN, Reject.DUPLICATE_CLIENT_ORDER_ID, Reject.COMMAND_QUARANTINED}
)


def _words(codes: type[IntEnum]) -> dict[int, str]:
    return {int(code): code.name.lower() for code in codes}


_SIDES: Final = _words(Side)
_ORD_TYPES: Final = _words(OrdType)
_TIFS: Final = _words(TimeInForce)
_STATUSES: Final = _words(OrdStatus)
_EXEC_TYPES: Final = _words(ExecType)
_UNDOES: Final = frozenset(_EXEC_TYPES[kind] for kind in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT))
_TRADES: Final = _UNDOES | {_EXEC_TYPES[ExecType.TRADE]}
_MAY_CARRY_A_REJECT: Final = frozenset({ExecType.REJECTED, ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT})
REPORT_REFUSED: Final = "report_refused"
_ACCOUNT_STATES: Final = _words(AccountState)
_BREAKS: Final = _words(BreakKind)
_INSTRUMENT_STATES: Final = _words(InstrumentState)
_LEVELS: Final = _words(Level)
_COMMANDS: Final = _words(CommandKind)


def average_px_e8(cum_notional_e6: int, cum_qty_e8: int) -> int | None:
    """Average price of the fills, e8, rounded half to even; None without a fill."""
    if cum_qty_e8 == 0:
        return None
    quotient, remainder = divmod(cum_notional_e6 * _AVERAGE_FACTOR, cum_qty_e8)
    if 2 * remainder > cum_qty_e8 or (2 * remainder == cum_qty_e8 and quotient & 1):
        quotient += 1
    return quotient


def to_update(event: Event, *, shard: int, prior_seq: int, account: str, symbol: str) -> Update:
    """The update that says `event`. `account` and `symbol` are its names, empty where there are none."""
    match event.kind:
        case EventKind.ORDER:
            return _order(event, shard, prior_seq, account, symbol)
        case EventKind.CASH:
            return _cash(event, shard, prior_seq, account)
        case EventKind.ACCOUNT:
            return _account(event, shard, prior_seq, account)
        case EventKind.INSTRUMENT:
            return _instrument(event, shard, prior_seq, symbol)
        case EventKind.GROUP:
            return _group(event, shard, prior_seq)
        case EventKind.SETTLEMENT:
            return SettlementUpdate(
                shard=shard,
                seq=event.seq,
                prior_seq=prior_seq,
                time_ns=event.time_ns,
                date=str(event.date),
                reject_code=event.reject_code,
                reject_message=_message(event),
            )
        case EventKind.INSTRUMENT_TABLE:
            return _table(event, shard, prior_seq)
        case EventKind.BREAK:
            return _break(event, shard, prior_seq, account, symbol)
        case EventKind.QUARANTINE:
            return _quarantine(event, shard, prior_seq, account)
    raise ValueError(f"kind {event.kind} of seq {event.seq} is no event; ask EVENT_KINDS before")


def _settled_text(event: Event) -> str:
    return units.cash_text(event.cash_e6 - event.receivable_e6 + event.payable_e6)


def _cash(event: Event, shard: int, prior_seq: int, account: str) -> CashUpdate:
    return CashUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        account=account,
        account_id=event.account,
        reject_code=event.reject_code,
        reject_message=_message(event),
        currency=currencies.code_of(event.currency),
        cash=units.cash_text(event.cash_e6),
        reserved=units.cash_text(event.reserved_e6),
        receivable=units.cash_text(event.receivable_e6),
        payable=units.cash_text(event.payable_e6),
        settled=_settled_text(event),
    )


def _account(event: Event, shard: int, prior_seq: int, account: str) -> AccountUpdate:
    return AccountUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        account=account,
        account_id=event.account,
        state=_word(_ACCOUNT_STATES, event.state),
        reject_code=event.reject_code,
        reject_message=_message(event),
        currency=currencies.code_of(event.currency),
        cash=units.cash_text(event.cash_e6),
        reserved=units.cash_text(event.reserved_e6),
        receivable=units.cash_text(event.receivable_e6),
        payable=units.cash_text(event.payable_e6),
        settled=_settled_text(event),
        settled_only=event.settled_only != 0,
        household=event.group,
    )


def _instrument(event: Event, shard: int, prior_seq: int, symbol: str) -> InstrumentUpdate:
    return InstrumentUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        symbol=symbol,
        instrument_id=event.instrument,
        state=_word(_INSTRUMENT_STATES, event.state),
        tick_size=units.price_text(event.price_e8),
        lot_size=units.qty_text(event.qty_e8),
        currency=currencies.code_of(event.currency),
        settle_days=event.settle_days,
        tick_table=event.tick_table,
        lot_table=event.lot_table,
        band_bps=event.band_bps,
        previous_close=units.price_text(event.previous_close_e8) if event.previous_close_e8 else None,
        reference_price=units.price_text(event.reference_e8) if event.reference_e8 else None,
        max_exposure=_limit(event.max_exposure_qty_e8, units.QTY_SCALE),
        reject_code=event.reject_code,
        reject_message=_message(event),
    )


def _limit(value: int, scale: int) -> str | None:
    return None if value == NO_LIMIT else units.from_fixed(value, scale)


def _group(event: Event, shard: int, prior_seq: int) -> GroupUpdate:
    return GroupUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        group=_clean(event.text),
        group_id=event.group,
        parent_id=event.parent,
        level=_word(_LEVELS, event.level),
        state=_word(_ACCOUNT_STATES, event.state),
        reject_code=event.reject_code,
        reject_message=_message(event),
        currency=currencies.code_of(event.currency),
        reserved=units.cash_text(event.reserved_e6),
        gross=units.cash_text(event.gross_e6),
        max_order_notional=_limit(event.max_order_notional_e6, units.MONEY_SCALE),
        max_open_notional=_limit(event.max_open_notional_e6, units.MONEY_SCALE),
        max_gross=_limit(event.max_gross_e6, units.MONEY_SCALE),
    )


def _table(event: Event, shard: int, prior_seq: int) -> TableUpdate:
    ticks = event.tick_table > 0
    return TableUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        kind="tick" if ticks else "lot",
        table=event.tick_table or event.lot_table,
        bands=event.bands,
        round_lot=None if ticks else units.qty_text(event.qty_e8),
        odd_lots=event.odd_lots != 0,
        reject_code=event.reject_code,
        reject_message=_message(event),
    )


def _order(event: Event, shard: int, prior_seq: int, account: str, symbol: str) -> OrderUpdate:
    exists = event.reject_code not in _NO_ORDER
    average = average_px_e8(event.cum_notional_e6, event.cum_qty_e8)
    exec_type = _exec_type(event)
    trade, undoes, asks = exec_type in _TRADES, exec_type in _UNDOES, event.asked_replacement != 0
    names_one = undoes and 0 < event.ref_seq < ids.NUMBERS
    leaves = max(event.qty_e8 - event.cum_qty_e8, 0) if event.ord_status in _WORKING else 0
    return OrderUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        account=account,
        account_id=event.account,
        symbol=symbol,
        instrument_id=event.instrument,
        order_id=str(ids.order_uuid(shard, event.order_id)) if exists else None,
        order_number=event.order_id if exists else 0,
        client_order_id=_clean(event.text),
        execution_id=str(ids.execution_uuid(shard, event.seq)),
        side=_word_or_none(_SIDES, event.side),
        ord_type=_word_or_none(_ORD_TYPES, event.ord_type),
        tif=_word_or_none(_TIFS, event.tif),
        ord_status=_word_or_none(_STATUSES, event.ord_status),
        exec_type=exec_type,
        qty=units.qty_text(event.qty_e8),
        price=units.price_text(event.price_e8) if event.ord_type == OrdType.LIMIT else None,
        route_price=units.price_text(event.route_price_e8) if event.route_price_e8 else None,
        last_qty=units.qty_text(event.last_qty_e8) if trade else None,
        last_px=units.price_text(event.last_px_e8) if trade else None,
        cum_qty=units.qty_text(event.cum_qty_e8),
        leaves_qty=units.qty_text(leaves),
        avg_px=None if average is None else units.price_text(average),
        cum_notional=units.cash_text(event.cum_notional_e6),
        reject_code=event.reject_code,
        reject_message=_message(event),
        currency=currencies.code_of(event.currency),
        cash=units.cash_text(event.cash_e6),
        reserved=units.cash_text(event.reserved_e6),
        position_qty=units.qty_text(event.position_qty_e8),
        position_cost=units.cash_text(event.position_cost_e6),
        realized=units.cash_text(event.realized_e6),
        replacement=event.replacement,
        asked_qty=units.qty_text(event.asked_qty_e8) if asks else None,
        asked_price=units.price_text(event.asked_price_e8) if asks else None,
        execution_ref_id=str(ids.execution_uuid(shard, event.ref_seq)) if names_one else None,
        execution_ref_seq=event.ref_seq if names_one else 0,
    )


def _break(event: Event, shard: int, prior_seq: int, account: str, symbol: str) -> BreakUpdate:
    """A break may name an order that never was: what the venue says is not ours to check."""
    return BreakUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        account=account,
        account_id=event.account,
        state=_word(_ACCOUNT_STATES, event.state) if event.account else None,
        symbol=symbol,
        instrument_id=event.instrument,
        break_id=str(ids.execution_uuid(shard, event.seq)),
        kind=_word(_BREAKS, event.break_kind),
        order_id=str(ids.order_uuid(shard, event.order_id)) if 0 < event.order_id < ids.NUMBERS else None,
        exec_id=_clean(event.text),
        side=_word_or_none(_SIDES, event.side),
        last_qty=units.qty_text(event.last_qty_e8),
        last_px=units.price_text(event.last_px_e8),
        ours=break_value(event.break_kind, event.limit_value),
        venues=break_value(event.break_kind, event.observed_value),
    )


def _quarantine(event: Event, shard: int, prior_seq: int, account: str) -> QuarantineUpdate:
    """It may name an order that never was, as a break may."""
    return QuarantineUpdate(
        shard=shard,
        seq=event.seq,
        prior_seq=prior_seq,
        time_ns=event.time_ns,
        account=account,
        account_id=event.account,
        state=_word(_ACCOUNT_STATES, event.state) if event.state and event.account else None,
        kind=_word(_COMMANDS, event.original_kind),
        crashes=event.crashes,
        lane=event.lane,
        order_id=str(ids.order_uuid(shard, event.order_id)) if 0 < event.order_id < ids.NUMBERS else None,
        text=_clean(event.text),
        reject_code=event.reject_code,
        reject_message=_message(event),
    )


def _exec_type(event: Event) -> str:
    """The event's ExecType; but a report that was refused is told by its reject, whatever it wanted to
    say."""
    refused = event.reject_code != 0 and event.exec_type not in _MAY_CARRY_A_REJECT
    if refused or event.reject_code == Reject.REPORT_UNEXPECTED:
        return REPORT_REFUSED
    return _word(_EXEC_TYPES, event.exec_type)


def _message(event: Event) -> str | None:
    if event.reject_code == 0:
        return None
    try:
        return reject_message(event.reject_code, event.limit_value, event.observed_value)
    except ValueError:  # a code of a newer shard than this program
        return f"rejected (code {event.reject_code})"


def _word(words: dict[int, str], code: int) -> str:
    return words.get(code, str(code))


def _word_or_none(words: dict[int, str], code: int) -> str | None:
    return _word(words, code) if code else None


def _clean(text: str) -> str:
    """NUL is ASCII, but no text in Postgres may hold it."""
    return text.replace("\0", "�")
