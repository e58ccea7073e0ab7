"""Commands from Python: each function returns the bytes of one ring slot, and `decode` reads them back.

The layouts are `core/records.py`; this module only turns keyword arguments into them. Nothing here checks a
rule of trade: that is the shard's work. `text` is cut nowhere: more than TEXT_BYTES_MAX is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from core import currencies, ids, records
from core.logged import LOGGED_BYTES
from core.packing import Packer
from core.records import (
    COMMAND_LAYOUTS,
    NO_LIMIT,
    SETTLE_DAYS_EQUITY,
    TEXT_BYTES_MAX,
    BreakKind,
    CommandKind,
    Source,
)


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
    expire_time_ns: int = 0,
) -> bytes:
    """A new order. price_e8 is 0 for a market order. side, ord_type, tif: records.Side, OrdType, TimeInForce.
    expire_time_ns: ns since 1970 at which a GTD order ends."""
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
            "expire_time_ns": expire_time_ns,
        },
    )


def replace(
    *,
    source: Source,
    request_id: int,
    account: int,
    instrument: int,
    order_id: int,
    client_order_id: str,
    qty_e8: int = 0,
    price_e8: int = 0,
    tif: int = 0,
    expire_time_ns: int = 0,
) -> bytes:
    """Other terms for an order that is open; 0 leaves one as it is. qty_e8 counts what has traded already.
    instrument is the order's; client_order_id is the name that it gets with them."""
    return _encode(
        CommandKind.REPLACE,
        client_order_id,
        {
            "source": source,
            "request_id": request_id,
            "account": account,
            "instrument": instrument,
            "order_id": order_id,
            "qty_e8": qty_e8,
            "price_e8": price_e8,
            "tif": tif,
            "expire_time_ns": expire_time_ns,
        },
    )


def timer(kind: CommandKind, *, account: int, order_id: int, due_ns: int) -> bytes:
    """DAY_END, EXPIRE or ASK_STATUS of one order; due_ns as in records.TIMER."""
    return _encode(
        kind, "", {"source": Source.TIMER, "account": account, "order_id": order_id, "due_ns": due_ns}
    )


def ask_venue(*, account: int, order_id: int) -> bytes:
    """How does the venue say that this order stands? Journaled, so that its question follows the order itself."""
    values = {"source": Source.VENUE, "account": account, "order_id": order_id}
    return _encode(CommandKind.ASK_VENUE, "", values)


def venue_status(
    *,
    venue_seq: int,
    order_id: int,
    exec_type: int,
    ord_status: int,
    cum_qty_e8: int,
    avg_px_e8: int,
    last_qty_e8: int = 0,
    last_px_e8: int = 0,
    qty_e8: int = 0,
    price_e8: int = 0,
    transact_time_ns: int = 0,
    replacement: int = 0,
    text: str = "",
) -> bytes:
    """How an order stands by its venue: see records.VENUE_STATUS. text: what the venue said."""
    return _encode(
        CommandKind.VENUE_STATUS,
        text,
        {
            "source": Source.VENUE,
            "venue_seq": venue_seq,
            "order_id": order_id,
            "exec_type": exec_type,
            "ord_status": ord_status,
            "cum_qty_e8": cum_qty_e8,
            "avg_px_e8": avg_px_e8,
            "last_qty_e8": last_qty_e8,
            "last_px_e8": last_px_e8,
            "qty_e8": qty_e8,
            "price_e8": price_e8,
            "transact_time_ns": transact_time_ns,
            "replacement": replacement,
        },
    )


def fate_unknown(*, order_id: int, code: int, text: str = "") -> bytes:
    """Nobody knows how this order stands. code: Reject.VENUE_KNOWS_NOT or VENUE_SILENT."""
    values = {"source": Source.VENUE, "order_id": order_id, "code": code}
    return _encode(CommandKind.FATE_UNKNOWN, text, values)


def resolve(
    *,
    request_id: int,
    account: int,
    order_id: int,
    exec_type: int,
    last_qty_e8: int = 0,
    last_px_e8: int = 0,
    text: str = "",
) -> bytes:
    """A person's word on an order of unknown fate: see records.RESOLVE."""
    values = {"source": Source.ADMIN, "request_id": request_id, "account": account, "order_id": order_id}
    told = {"exec_type": exec_type, "last_qty_e8": last_qty_e8, "last_px_e8": last_px_e8}
    return _encode(CommandKind.RESOLVE, text, {**values, **told})


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
    exec_id: str = "",
    exec_ref_id: str = "",
    replacement: int = 0,
    text: str = "",
) -> bytes:
    """An ExecutionReport of a venue, or its OrderCancelReject: exec_type CANCEL_REJECT, REPLACE_REJECT.
    replacement: the number of the replace request that its ClOrdID names. text: what is kept to be read of it."""
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
            "exec_hash": ids.exec_hash(exec_id),
            "exec_ref_hash": ids.exec_hash(exec_ref_id),
            "replacement": replacement,
        },
    )


def open_account(
    *,
    request_id: int,
    number: str,
    max_order_qty_e8: int,
    max_order_notional_e6: int,
    max_position_qty_e8: int,
    currency: int = currencies.USD,
    settled_only: int = 0,
    household: int = 0,
) -> bytes:
    """A new account, or new limits for the one that has this number. currency: `core/currencies.py`."""
    return _encode(
        CommandKind.OPEN_ACCOUNT,
        number,
        {
            "source": Source.ADMIN,
            "request_id": request_id,
            "max_order_qty_e8": max_order_qty_e8,
            "max_order_notional_e6": max_order_notional_e6,
            "max_position_qty_e8": max_position_qty_e8,
            "currency": currency,
            "settled_only": settled_only,
            "household": household,
        },
    )


def deposit(
    *,
    request_id: int,
    account: int,
    amount_e6: int,
    currency: int = currencies.NO_CURRENCY,
    reference: str = "",
) -> bytes:
    """Pay in, or with a negative amount out. currency: 0 for the account's own."""
    values = {
        "source": Source.ADMIN,
        "request_id": request_id,
        "account": account,
        "amount_e6": amount_e6,
        "currency": currency,
    }
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
    currency: int = currencies.USD,
    settle_days: int = SETTLE_DAYS_EQUITY,
    band_bps: int = 0,
    tick_table: int = 0,
    lot_table: int = 0,
    max_exposure_qty_e8: int = NO_LIMIT,
) -> bytes:
    """An instrument, or new parameters for the one that has this symbol: see records.DEFINE_INSTRUMENT."""
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
            "currency": currency,
            "settle_days": settle_days,
            "band_bps": band_bps,
            "tick_table": tick_table,
            "lot_table": lot_table,
            "max_exposure_qty_e8": max_exposure_qty_e8,
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


def settle_day(*, request_id: int, date: int) -> bytes:
    """The end of a settlement day. date: YYYYMMDD."""
    return _encode(
        CommandKind.SETTLE_DAY, "", {"source": Source.ADMIN, "request_id": request_id, "date": date}
    )


def define_group(
    *,
    request_id: int,
    name: str,
    level: int,
    parent: int = 0,
    currency: int = currencies.USD,
    max_order_notional_e6: int = NO_LIMIT,
    max_open_notional_e6: int = NO_LIMIT,
    max_gross_e6: int = NO_LIMIT,
) -> bytes:
    """A group above accounts, or new limits for the one that has this name. level: records.Level."""
    return _encode(
        CommandKind.DEFINE_GROUP,
        name,
        {
            "source": Source.ADMIN,
            "request_id": request_id,
            "level": level,
            "parent": parent,
            "currency": currency,
            "max_order_notional_e6": max_order_notional_e6,
            "max_open_notional_e6": max_open_notional_e6,
            "max_gross_e6": max_gross_e6,
        },
    )


def set_group_state(*, request_id: int, group: int, state: int) -> bytes:
    values = {"source": Source.ADMIN, "request_id": request_id, "group": group, "state": state}
    return _encode(CommandKind.SET_GROUP_STATE, "", values)


def move_account(*, request_id: int, account: int, household: int) -> bytes:
    """Put the account into a household, or with 0 out of any."""
    values = {"source": Source.ADMIN, "request_id": request_id, "account": account, "household": household}
    return _encode(CommandKind.MOVE_ACCOUNT, "", values)


def set_reference_price(
    *, request_id: int, instrument: int, previous_close_e8: int = 0, reference_e8: int = 0
) -> bytes:
    """The static prices that the band stands on; 0 for none."""
    values = {
        "source": Source.ADMIN,
        "request_id": request_id,
        "instrument": instrument,
        "previous_close_e8": previous_close_e8,
        "reference_e8": reference_e8,
    }
    return _encode(CommandKind.SET_REFERENCE_PRICE, "", values)


def define_tick_table(*, request_id: int, table: int, bands: Sequence[tuple[int, int]]) -> list[bytes]:
    """A tick table: (from price_e8, tick_e8) rising. As many commands as it takes; apply all of them in their order."""
    size = records.TICK_BANDS_A_COMMAND
    made = []
    for first in range(0, max(len(bands), 1), size):
        part = bands[first : first + size]
        values = {
            "source": Source.ADMIN,
            "request_id": request_id,
            "table": table,
            "first_band": first,
            "bands": len(part),
        }
        for n, (from_e8, tick_e8) in enumerate(part, 1):
            values[f"from_{n}_e8"], values[f"tick_{n}_e8"] = from_e8, tick_e8
        made.append(_encode(CommandKind.DEFINE_TICK_TABLE, "", values))
    return made


def define_lot_table(*, request_id: int, table: int, round_lot_e8: int, odd_lots: int) -> bytes:
    values = {
        "source": Source.ADMIN,
        "request_id": request_id,
        "table": table,
        "round_lot_e8": round_lot_e8,
        "odd_lots": odd_lots,
    }
    return _encode(CommandKind.DEFINE_LOT_TABLE, "", values)


def quarantine(command: bytes, crashes: int) -> bytes:
    """A command put aside, in its own slot's bytes; crashes: how often its shard died of it."""
    at = records.ORIGINAL_KIND
    kind, times = (
        int(CommandKind.QUARANTINE).to_bytes(2, "little"),
        min(crashes, 0xFFFF).to_bytes(2, "little"),
    )
    return kind + command[2:at] + command[:2] + times + bytes(4) + command[at + 8 :]


def retry(report: bytes) -> bytes:
    """A venue's report out of its quarantine; `report`: its slot, as the venue's session sent it."""
    at = records.ORIGINAL_KIND
    return int(CommandKind.RETRY).to_bytes(2, "little") + report[2:at] + report[:2] + report[at + 2 :]


def passed_over(*, account: int, seq: int, kind: int, crashes: int) -> bytes:
    """Of the log's command `seq`, of this account (0: of none): replays leave it out."""
    values = {
        "source": Source.ADMIN, "account": account, "word_0": seq, "original_kind": kind,
        "crashes": min(crashes, 0xFFFF),
    }  # fmt: skip
    return _encode(CommandKind.PASSED_OVER, "", values)


def decode(raw: bytes) -> dict[str, Any]:
    """The fields of one command by name; `text` as str. raw: a ring's slot, or a record's payload, where the text
    follows the fields at once. Raises CommandError for an unknown kind."""
    kind = int.from_bytes(raw[:2], "little")
    if kind not in COMMAND_LAYOUTS:
        raise CommandError(f"command kind {kind} is unknown; known are {sorted(map(int, COMMAND_LAYOUTS))}")
    if len(raw) < records.COMMAND_BYTES:
        fields = int(LOGGED_BYTES[kind])
        raw = (raw[:fields].ljust(records.FIELDS_BYTES, b"\0") + raw[fields:]).ljust(
            records.COMMAND_BYTES, b"\0"
        )
    values = _PACKERS[CommandKind(kind)].unpack(raw)
    values["text"] = values["text"][: values["text_length"]].decode("ascii")
    return values
