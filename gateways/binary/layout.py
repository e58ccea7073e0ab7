"""The binary protocol's layouts: every message declared once, as a numpy dtype that received bytes can be cast to.

Always holds: little-endian, no implicit padding, every field on a multiple of its size and every message a multiple of
8 bytes long, so that a buffer that `recv` filled can be read in place. A message's length follows from its kind. Text
is ASCII, filled up with zeros. Integers carry their scale in the name (`core/units.py`); codes are FIX's own where FIX
has one. docs/binary.md's tables are made from here (`gateways/binary/docs.py`), meanings included.

Must not do: know a socket, a log, or the desk.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

MAGIC: Final = 0x5754  # "TW"
VERSION: Final = 1
HEADER_BYTES: Final = 8

TOKEN_BYTES: Final = 40  # a UUID in its usual form has 36
SYMBOL_BYTES: Final = 24  # an option's OSI symbol has 21
KEY_BYTES: Final = 64
SECRET_BYTES: Final = 128
TEXT_BYTES: Final = 128

# Of a request, the client's. Above are the door's own: of cancels that it makes when a session has dropped.
REQUEST_ID_MAX: Final = (1 << 63) - 1

FLAG_RESENT: Final = 1  # of a request: it may have been sent before

# How often each side says something at the least. Below, a busy machine's pause ends sessions; above, a dead peer's
# orders rest for minutes.
HEARTBEAT_MS_MIN: Final = 100
HEARTBEAT_MS_MAX: Final = 60_000
HEARTBEAT_MS: Final = 5000
# A peer that was silent for so many of them is gone.
HEARTBEATS_MISSED_MAX: Final = 3


class Kind(IntEnum):
    LOGIN = 1
    LOGIN_ACCEPTED = 2
    LOGIN_REJECTED = 3
    HEARTBEAT = 4
    LOGOUT = 5
    NEW_ORDER = 10
    CANCEL = 11
    REPLACE = 12
    ORDER_EVENT = 20
    REFUSED = 21


class Code(IntEnum):
    """Why the door itself refuses something. The shard's codes (core/rejects.py) are all below 1000."""

    FIELD_WRONG = 1001
    TOO_FAST = 1002
    DESK_FULL = 1003
    KEY_WRONG = 1101
    NEXT_SEQ_GONE = 1102
    NEXT_SEQ_AHEAD = 1103
    DOOR_FULL = 1104
    LOGIN_LATE = 1105
    LOGGED_OUT = 1200
    GARBAGE = 1201
    SILENT = 1202
    REPLACED = 1203
    SLOW = 1204
    GOING_DOWN = 1205


class CodeText(NamedTuple):
    message: str  # which message carries it
    meaning: str
    remedy: str


CODES: Final[dict[Code, CodeText]] = {
    Code.FIELD_WRONG: CodeText(
        "Refused, LoginRejected", "a field's value can't be taken", "the text names both"
    ),
    Code.TOO_FAST: CodeText(
        "Refused", "the key's limit of messages in a window is reached", "send it again later"
    ),
    Code.DESK_FULL: CodeText(
        "Refused", "the desk's ring of orders is full; nothing was done", "send it again"
    ),
    Code.KEY_WRONG: CodeText(
        "LoginRejected", "unknown key, wrong secret, or an account not opened", "mend the key"
    ),
    Code.NEXT_SEQ_GONE: CodeText(
        "LoginRejected, Logout",
        "the log is kept from `value` on only",
        "reconcile by REST, then log in with `value` or 0",
    ),
    Code.NEXT_SEQ_AHEAD: CodeText(
        "LoginRejected",
        "the log ends before `value`: a power cut took its end",
        "reconcile by REST, log in with 0",
    ),
    Code.DOOR_FULL: CodeText(
        "LoginRejected", "the door has `value` connections already", "close one, or wait"
    ),
    Code.LOGIN_LATE: CodeText("LoginRejected", "no Login within `value` ms", "send Login first, at once"),
    Code.LOGGED_OUT: CodeText("Logout", "as asked", "-"),
    Code.GARBAGE: CodeText(
        "Logout", "bytes that are no message, or none that may be sent now", "mend the client"
    ),
    Code.SILENT: CodeText("Logout", "nothing came for three heartbeats (`value` ms)", "send Heartbeat"),
    Code.REPLACED: CodeText("Logout", "the account logged in by another connection", "use one"),
    Code.SLOW: CodeText(
        "none: the socket is closed", "nothing was read for 10 s while there was more", "read"
    ),
    Code.GOING_DOWN: CodeText("Logout", "the door stops", "log in again when it is back"),
}
assert set(CODES) == set(Code)


class Field(NamedTuple):
    name: str
    format: str
    meaning: str


HEADER_FIELDS: Final = (
    Field("magic", "<u2", "0x5754, the letters TW"),
    Field("length", "<u2", "of the whole message, these 8 bytes too"),
    Field("kind", "<u2", "which message"),
    Field("version", "<u2", "1"),
)
_REQUEST_ID: Final = Field(
    "request_id", "<u8", "the client's own number for it, 1 to 2^63-1; its answer has it too"
)
_TOKEN: Final = f"S{TOKEN_BYTES}"
_TEXT: Final = Field("text", f"S{TEXT_BYTES}", "the same in words: the value and the remedy")
_VALUE: Final = Field("value", "<i8", "the number that the code speaks of; 0: none")

FIELDS: Final[dict[Kind, tuple[Field, ...]]] = {
    Kind.LOGIN: (
        Field("key_id", f"S{KEY_BYTES}", "of an API key in credentials.json"),
        Field("secret", f"S{SECRET_BYTES}", "its secret"),
        Field("next_seq", "<u8", "first seq that the client has not had; 1: all that the log has, 0: only what comes"),
        Field("heartbeat_ms", "<u4", f"{HEARTBEAT_MS_MIN} to {HEARTBEAT_MS_MAX}; for both sides"),
        Field("reserved", "<u4", "0"),
    ),
    Kind.LOGIN_ACCEPTED: (
        Field("next_seq", "<u8", "events follow from here on"),
        Field("last_seq", "<u8", "of the log now: events up to here happened before this Login"),
        Field("account", f"S{KEY_BYTES // 2}", "the account's number"),
        Field("shard", "<u4", "the shard's number"),
        Field("heartbeat_ms", "<u4", "as asked"),
        Field("messages", "<u4", "requests taken within window_ms; more new orders and replaces are refused"),
        Field("window_ms", "<u4", "see messages"),
        Field("cancel_on", "u1", "when open orders of this door are canceled: 0 never, 1 drop, 2 drop or Logout"),
        Field("reserved", "S3", "0"),
        Field("grace_ms", "<u4", "how long after it"),
    ),
    Kind.LOGIN_REJECTED: (
        Field("code", "<u2", "see the codes"), Field("reserved", "S6", "0"), _VALUE, _TEXT,
    ),
    Kind.HEARTBEAT: (
        Field("seq", "<u8", "the door's: every event of the account up to here has been sent. A client's: 0"),
    ),
    Kind.LOGOUT: (
        Field("code", "<u2", "see the codes; a client sends 1200"), Field("reserved", "S6", "0"), _VALUE, _TEXT,
    ),
    Kind.NEW_ORDER: (
        _REQUEST_ID,
        Field("token", _TOKEN, "the client's name for the order, unique in its account; no space at its ends"),
        Field("symbol", f"S{SYMBOL_BYTES}", "of the instrument"),
        Field("side", "u1", "FIX Side (54): '1' buy, '2' sell"),
        Field("ord_type", "u1", "FIX OrdType (40): '1' market, '2' limit"),
        Field("tif", "u1", "FIX TimeInForce (59): '0' day, '1' GTC, '3' IOC, '6' GTD"),
        Field("flags", "u1", "1: may have been sent before (resent); else 0"),
        Field("reserved", "<u4", "0"),
        Field("qty_e8", "<i8", "quantity × 10^8"),
        Field("price_e8", "<i8", "limit price × 10^8; 0 for a market order"),
        Field("expire_time_ns", "<i8", "ns since 1970 at which a good-till-date order ends; else 0"),
    ),
    Kind.CANCEL: (
        _REQUEST_ID,
        Field("order_id", "<u8", "the desk's number of the order; 0: the token names it"),
        Field("token", _TOKEN, "the order's, where order_id is 0; else empty"),
        Field("flags", "u1", "as in NewOrder"),
        Field("reserved", "S7", "0"),
    ),
    Kind.REPLACE: (
        _REQUEST_ID,
        Field("order_id", "<u8", "the desk's number of the order; 0: orig_token names it"),
        Field("orig_token", _TOKEN, "the order's name until now, where order_id is 0; else empty"),
        Field("token", _TOKEN, "its name from then on, as new as a new order's"),
        Field("tif", "u1", "as in NewOrder; 0: as it is"),
        Field("flags", "u1", "as in NewOrder"),
        Field("reserved", "S6", "0"),
        Field("qty_e8", "<i8", "quantity × 10^8, with what has traded; 0: as it is"),
        Field("price_e8", "<i8", "limit price × 10^8; 0: as it is"),
        Field("expire_time_ns", "<i8", "0: as it is"),
    ),
    Kind.ORDER_EVENT: (
        Field("seq", "<u8", "of the event in the log: rises, with gaps. The cursor: log in with seq + 1"),
        Field("time_ns", "<i8", "ns since 1970, of the event"),
        Field("request_id", "<u8", "of the request that it answers; of a venue's report, the new order's"),
        Field("order_id", "<u8", "the desk's number of the order; of a duplicate (209), of that with the token"),
        Field("token", _TOKEN, "the order's name now; of a request that was rejected, the one that it asked for"),
        Field("symbol", f"S{SYMBOL_BYTES}", "of the instrument; empty where there is none"),
        Field("exec_type", "u1", "FIX ExecType (150); '9': a cancel was rejected, 'r': a replace was, 'I': see Fates"),
        Field("ord_status", "u1", "FIX OrdStatus (39)"),
        Field("side", "u1", "as in NewOrder"),
        Field("ord_type", "u1", "as in NewOrder"),
        Field("tif", "u1", "as in NewOrder"),
        Field("source", "u1", "door of the order or request: 1 REST, 4 FIX, 5 this; 3 operator, 8 timer"),
        Field("code", "<u2", "why it was rejected (docs/rejects.md); 0: it was not"),
        Field("qty_e8", "<i8", "quantity × 10^8"),
        Field("price_e8", "<i8", "limit price × 10^8"),
        Field("cum_qty_e8", "<i8", "filled so far"),
        Field("leaves_qty_e8", "<i8", "still open; 0 when it has ended"),
        Field("last_qty_e8", "<i8", "of this fill"),
        Field("last_px_e8", "<i8", "of this fill"),
        Field("avg_px_e8", "<i8", "of all fills, to 8 places, half up"),
        Field("asked_qty_e8", "<i8", "of a pending replace: what is asked for"),
        Field("asked_price_e8", "<i8", "of a pending replace: what is asked for"),
        Field("ref_seq", "<u8", "of a bust or correction: the fill's seq"),
        Field("limit_value", "<i8", "of a reject: the limit, in the code's unit"),
        Field("observed_value", "<i8", "of a reject: what was over it"),
    ),
    Kind.REFUSED: (
        _REQUEST_ID,
        Field("code", "<u2", "see the codes; nothing was done"),
        Field("refused_kind", "<u2", "the request's"),
        Field("reserved", "<u4", "0"),
        _VALUE,
        _TEXT,
    ),
}  # fmt: skip
assert set(FIELDS) == set(Kind)

FROM_CLIENT: Final = frozenset(
    (Kind.LOGIN, Kind.HEARTBEAT, Kind.LOGOUT, Kind.NEW_ORDER, Kind.CANCEL, Kind.REPLACE)
)
FROM_DOOR: Final = frozenset(
    (Kind.LOGIN_ACCEPTED, Kind.LOGIN_REJECTED, Kind.HEARTBEAT, Kind.LOGOUT, Kind.ORDER_EVENT, Kind.REFUSED)
)


def _layout(kind: Kind) -> np.dtype[np.void]:
    fields = [*HEADER_FIELDS, *FIELDS[kind]]
    made = np.dtype([(field.name, field.format) for field in fields])
    placed: Any = made.fields or {}
    for field in fields:
        format_, offset = placed[field.name][:2]
        size = format_.itemsize if format_.kind in "iu" else 1
        assert offset % size == 0, f"{kind.name}.{field.name} stands at {offset}"
    assert made.itemsize % 8 == 0, f"{kind.name} has {made.itemsize} bytes"
    return made


HEADER: Final = np.dtype([(field.name, field.format) for field in HEADER_FIELDS])
assert HEADER.itemsize == HEADER_BYTES

LAYOUTS: Final[dict[Kind, np.dtype[np.void]]] = {kind: _layout(kind) for kind in Kind}
LENGTHS: Final[dict[int, int]] = {int(kind): layout.itemsize for kind, layout in LAYOUTS.items()}
MESSAGE_BYTES_MAX: Final = max(LENGTHS.values())
