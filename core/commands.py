"""Commands from Python: each function returns the bytes of one ring slot, and `decode` reads them back.

The layouts are `core/records.py`; this module only turns keyword arguments into them. Nothing here checks a
rule of trade: that is the shard's work. `text` is cut nowhere: more than TEXT_BYTES_MAX is an error.
"""

from __future__ import annotations

from typing import Any, Final

from core import records
from core.packing import Packer
from core.records import COMMAND_LAYOUTS, TEXT_BYTES_MAX, BreakKind, CommandKind, Source


class CommandError(ValueError):
    """A command that has no place in its layout: the text is too long or not ASCII."""


_PACKERS: Final = {kind: Packer(layout) for kind, layout in COMMAND_LAYOUTS.items()}


def _encode(kind: CommandKind, text: str, values: dict[str, int]) -> bytes:
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise CommandError(f"text {text!r} is not ASCII; use letters, digits and punctuation") from None
    if len(raw) > TEXT_BYTES_MAX:
        raise CommandError(f"text of {len(raw)} characters; the most is {TEXT_BYTES_MAX}")
    return _PACKERS[kind].pack({**values, "kind": int(kind), "text": raw, "text_length": len(raw)})


def new_order(
    *,
    source: Source,
    request_id: int,
    account: int,
    instrument: int,
    side: int,
    ord_type: int,
    tif: int,
    qty_e8: int,
    price_e8: int,
    client_order_id: str,
) -> bytes:
    """A new order. price_e8 is 0 for a market order. side, ord_type, tif: records.Side, OrdType, TimeInForce."""
    return _encode(
        CommandKind.NEW_ORDER,
        client_order_id,
        {
            "source": source,
            "request_id": request_id,
            "account": account,
            "instrument": instrument,
            "side": side,
            "ord_type": ord_type,
            "tif": tif,
            "qty_e8": qty_e8,
            "price_e8": price_e8,
        },
    )


def cancel(*, source: Source, request_id: int, account: int, order_id: int) -> bytes:
    values = {"source": source, "request_id": request_id, "account": account, "order_id": order_id}
    return _encode(CommandKind.CANCEL, "", values)


def venue_report(
    *,
    venue_seq: int,
    order_id: int,
    exec_type: int,
    ord_status: int,
    last_qty_e8: int = 0,
    last_px_e8: int = 0,
    cum_qty_e8: int = 0,
    leaves_qty_e8: int = 0,
    transact_time_ns: int = 0,
    text: str = "",
) -> bytes:
    """An ExecutionReport (or OrderCancelReject: exec_type CANCEL_REJECT) of a venue. text: ExecID or Text."""
    return _encode(
        CommandKind.VENUE_REPORT,
        text,
        {
            "source": Source.VENUE,
            "venue_seq": venue_seq,
            "order_id": order_id,
            "exec_type": exec_type,
            "ord_status": ord_status,
            "last_qty_e8": last_qty_e8,
            "last_px_e8": last_px_e8,
            "cum_qty_e8": cum_qty_e8,
            "leaves_qty_e8": leaves_qty_e8,
            "transact_time_ns": transact_time_ns,
        },
    )


def open_account(
    *,
    request_id: int,
    number: str,
    max_order_qty_e8: int,
    max_order_notional_e6: int,
    max_position_qty_e8: int,
) -> bytes:
    return _encode(
        CommandKind.OPEN_ACCOUNT,
        number,
        {
            "source": Source.ADMIN,
            "request_id": request_id,
            "max_order_qty_e8": max_order_qty_e8,
            "max_order_notional_e6": max_order_notional_e6,
            "max_position_qty_e8": max_position_qty_e8,
        },
    )


def deposit(*, request_id: int, account: int, amount_e6: int, reference: str = "") -> bytes:
    values = {"source": Source.ADMIN, "request_id": request_id, "account": account, "amount_e6": amount_e6}
    return _encode(CommandKind.DEPOSIT, reference, values)


def define_instrument(
    *,
    request_id: int,
    symbol: str,
    tick_e8: int,
    lot_e8: int,
    max_order_qty_e8: int,
    collar_bps: int,
    quote_age_ms_max: int,
) -> bytes:
    return _encode(
        CommandKind.DEFINE_INSTRUMENT,
        symbol,
        {
            "source": Source.ADMIN,
            "request_id": request_id,
            "tick_e8": tick_e8,
            "lot_e8": lot_e8,
            "max_order_qty_e8": max_order_qty_e8,
            "collar_bps": collar_bps,
            "quote_age_ms_max": quote_age_ms_max,
        },
    )


def set_account_state(*, request_id: int, account: int, state: int) -> bytes:
    values = {"source": Source.ADMIN, "request_id": request_id, "account": account, "state": state}
    return _encode(CommandKind.SET_ACCOUNT_STATE, "", values)


def set_instrument_state(*, request_id: int, instrument: int, state: int) -> bytes:
    values = {"source": Source.ADMIN, "request_id": request_id, "instrument": instrument, "state": state}
    return _encode(CommandKind.SET_INSTRUMENT_STATE, "", values)


def break_found(
    *,
    break_kind: BreakKind,
    account: int,
    instrument: int,
    order_id: int,
    exec_id: str,
    side: int,
    last_qty_e8: int,
    last_px_e8: int,
    ours: int,
    venues: int,
    transact_time_ns: int,
) -> bytes:
    """An execution that the venue's drop copy and the log tell differently. 0: not known (account, instrument,
    order), or not told (ours, venues)."""
    return _encode(
        CommandKind.BREAK,
        exec_id,
        {
            "source": Source.RECONCILER,
            "account": account,
            "instrument": instrument,
            "order_id": order_id,
            "break_kind": break_kind,
            "side": side,
            "last_qty_e8": last_qty_e8,
            "last_px_e8": last_px_e8,
            "ours": ours,
            "venues": venues,
            "transact_time_ns": transact_time_ns,
        },
    )


def passivate(*, request_id: int, account: int) -> bytes:
    """Move an idle account's positions out of the hot tables (actors/passive.py)."""
    values = {"source": Source.ADMIN, "request_id": request_id, "account": account}
    return _encode(CommandKind.PASSIVATE, "", values)


def decode(raw: bytes) -> dict[str, Any]:
    """The fields of one command by name; `text` as str. raw: a ring's slot, or a record's payload, where the text
    follows the fields at once. Raises CommandError for an unknown kind."""
    kind = int.from_bytes(raw[:2], "little")
    if kind not in COMMAND_LAYOUTS:
        raise CommandError(f"command kind {kind} is unknown; known are {sorted(map(int, COMMAND_LAYOUTS))}")
    if len(raw) < records.COMMAND_BYTES:
        fields = int(records.LOGGED_BYTES[kind])
        raw = (raw[:fields].ljust(records.FIELDS_BYTES, b"\0") + raw[fields:]).ljust(
            records.COMMAND_BYTES, b"\0"
        )
    values = _PACKERS[CommandKind(kind)].unpack(raw)
    values["text"] = values["text"][: values["text_length"]].decode("ascii")
    return values
