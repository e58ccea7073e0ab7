"""Events for readers in Python: the log's EVENT record as a typed struct, and its reject as a sentence."""

from __future__ import annotations

from typing import Final

import msgspec

from core import units
from core.packing import Packer
from core.records import EVENT, EVENT_BYTES, AccountState, BreakKind, OrdStatus, Side
from core.rejects import TEXTS, Reject, Unit


class Event(msgspec.Struct, frozen=True):
    """One event: fields of records.EVENT, and from the log's header its own sequence number and time.

    Quantities and prices are e8, money is e6. `text` is the client's order id for orders, the account's number
    for accounts, the symbol for instruments, the ExecID for breaks. A break has the log's word in limit_value and the
    venue's in observed_value.
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
    side: int
    ord_type: int
    tif: int
    ord_status: int
    exec_type: int
    state: int
    break_kind: int
    qty_e8: int
    price_e8: int
    route_price_e8: int
    last_qty_e8: int
    last_px_e8: int
    cum_qty_e8: int
    cum_notional_e6: int
    limit_value: int
    observed_value: int
    cash_e6: int
    reserved_e6: int
    position_qty_e8: int
    position_cost_e6: int
    realized_e6: int
    text: str


_PACKER: Final = Packer(EVENT)
_TEXT_LENGTH: Final = 4  # where EVENT has it
assert EVENT.fields is not None
assert EVENT.fields["text_length"][1] == _TEXT_LENGTH


def decode(seq: int, time_ns: int, payload: bytes) -> Event:
    """The event in a log record's payload: its fields without the zeros at their end, then its text."""
    fields = len(payload) - int.from_bytes(payload[_TEXT_LENGTH : _TEXT_LENGTH + 2], "little")
    values = _PACKER.unpack(payload[:fields].ljust(EVENT_BYTES, b"\0"))
    del values["text_length"]
    text = payload[fields:].decode("ascii")
    return Event(seq=seq, time_ns=time_ns, text=text, **values)


_STATUS_WORDS: Final = {int(s): s.name.lower() for s in OrdStatus}
_SIDE_WORDS: Final = {int(s): s.name.lower() for s in Side}
_ACCOUNT_WORDS: Final = {int(s): s.name for s in AccountState}
_TEXT_OF_CODE: Final = {int(code): (code, text) for code, text in TEXTS.items()}


def _value_text(value: int, unit: Unit, code: Reject) -> str:
    if unit is Unit.PRICE_E8:
        return units.price_text(value)
    if unit is Unit.QTY_E8:
        return units.qty_text(value)
    if unit is Unit.MONEY_E6:
        return units.cash_text(value)
    if unit is Unit.STATE and code in (Reject.ACCOUNT_NOT_ACTIVE, Reject.ACCOUNT_REDUCING):
        return _ACCOUNT_WORDS.get(value, str(value))
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
    reject, known = _TEXT_OF_CODE[code]
    limit = _value_text(limit_value, known.unit, reject)
    value = _value_text(observed_value, known.unit, reject)
    return f"{known.check}: {known.text.format(limit=limit, value=value)} (code {code})"
