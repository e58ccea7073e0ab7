"""Events for readers in Python: the log's EVENT record as a typed struct, and its reject as a sentence."""

from __future__ import annotations

from typing import Final

import msgspec

from core import currencies, units
from core.event_layouts import EVENT, EVENT_BYTES, EVENT_LAYOUTS
from core.packing import Packer
from core.records import AccountState, BreakKind, InstrumentState, OrdStatus, Side
from core.rejects import TEXTS, Unit


class Event(msgspec.Struct, frozen=True):
    """One event: the fields of its layout (EVENT_LAYOUTS; the others are 0), and from the log's header its own
    sequence number and time.

    Quantities and prices are e8, money is e6. `text` is the client's order id for orders, the account's number
    for accounts, the symbol for instruments, the name for groups, the ExecID for breaks. A break has the log's word in
    limit_value and the venue's in observed_value.
    """

    seq: int
    time_ns: int
    kind: int
    source: int
    reject_code: int
    account: int
    instrument: int
    request_id: int
    order_id: int
    cause_seq: int
    text: str
    limit_value: int = 0
    observed_value: int = 0
    # an order's
    side: int = 0
    ord_type: int = 0
    tif: int = 0
    ord_status: int = 0
    exec_type: int = 0
    state: int = 0
    break_kind: int = 0
    currency: int = 0
    qty_e8: int = 0
    price_e8: int = 0
    route_price_e8: int = 0
    last_qty_e8: int = 0
    last_px_e8: int = 0
    cum_qty_e8: int = 0
    cum_notional_e6: int = 0
    cash_e6: int = 0
    reserved_e6: int = 0
    position_qty_e8: int = 0
    position_cost_e6: int = 0
    realized_e6: int = 0
    replacement: int = 0
    asked_replacement: int = 0
    asked_tif: int = 0
    asked_qty_e8: int = 0
    asked_price_e8: int = 0
    ref_seq: int = 0
    # money's
    receivable_e6: int = 0
    payable_e6: int = 0
    gross_e6: int = 0
    max_order_notional_e6: int = 0
    max_open_notional_e6: int = 0
    max_gross_e6: int = 0
    group: int = 0
    parent: int = 0
    date: int = 0
    level: int = 0
    settled_only: int = 0
    # an instrument's
    previous_close_e8: int = 0
    reference_e8: int = 0
    max_exposure_qty_e8: int = 0
    band_bps: int = 0
    tick_table: int = 0
    lot_table: int = 0
    bands: int = 0
    settle_days: int = 0
    odd_lots: int = 0
    # a quarantined command's
    place: int = 0
    original_kind: int = 0
    crashes: int = 0
    lane: int = 0


_PACKER: Final = Packer(EVENT)
_PACKERS: Final = {int(kind): Packer(layout) for kind, layout in EVENT_LAYOUTS.items()}
_TEXT_LENGTH: Final = 4  # where every layout has it
assert EVENT.fields is not None
assert EVENT.fields["text_length"][1] == _TEXT_LENGTH


def decode(seq: int, time_ns: int, payload: bytes) -> Event:
    """The event in a log record's payload: its fields without the zeros at their end, then its text."""
    fields = len(payload) - int.from_bytes(payload[_TEXT_LENGTH : _TEXT_LENGTH + 2], "little")
    values = _PACKERS.get(int.from_bytes(payload[:2], "little"), _PACKER).unpack(
        payload[:fields].ljust(EVENT_BYTES, b"\0")
    )
    del values["text_length"]
    text = payload[fields:].decode("ascii")
    return Event(seq=seq, time_ns=time_ns, text=text, **values)


_STATUS_WORDS: Final = {int(s): s.name.lower() for s in OrdStatus}
_SIDE_WORDS: Final = {int(s): s.name.lower() for s in Side}
_ACCOUNT_WORDS: Final = {int(s): s.name for s in AccountState}
_SESSION_WORDS: Final = {int(s): s.name for s in InstrumentState}
_TEXT_OF_CODE: Final = {int(code): text for code, text in TEXTS.items()}


def value_text(value: int, unit: Unit) -> str:
    """A figure in the words or the unit that people use."""
    if unit is Unit.PRICE_E8:
        return units.price_text(value)
    if unit is Unit.QTY_E8:
        return units.qty_text(value)
    if unit is Unit.MONEY_E6:
        return units.cash_text(value)
    if unit is Unit.CURRENCY:
        return currencies.code_of(value)
    if unit is Unit.ACCOUNT_STATE:
        return _ACCOUNT_WORDS.get(value, str(value))
    if unit is Unit.SESSION:
        return _SESSION_WORDS.get(value, str(value))
    if unit is Unit.STATE:
        return _STATUS_WORDS.get(value, str(value))
    return str(value)


def break_value(kind: int, value: int) -> str | None:
    """What one side of a break says, in the unit of its kind; None where it says nothing."""
    if value == 0:
        return None
    if kind == BreakKind.SIDE:
        return _SIDE_WORDS.get(value, str(value))
    if kind in (BreakKind.ORDER, BreakKind.SYMBOL):
        return str(value)
    return units.price_text(value) if kind == BreakKind.PRICE else units.qty_text(value)


def reject_message(code: int, limit_value: int, observed_value: int) -> str:
    """'buying power: insufficient buying power: the order needs 1000, available is 20 (code 401)'."""
    if code not in _TEXT_OF_CODE:
        return f"rejected (code {code})"
    known = _TEXT_OF_CODE[code]
    limit = value_text(limit_value, known.unit)
    value = value_text(observed_value, known.unit)
    return f"{known.check}: {known.text.format(limit=limit, value=value)} (code {code})"
