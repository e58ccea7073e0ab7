"""The binary protocol's messages as Python values, and to and from bytes.

Always holds: `encode` raises EncodeError for what has no place in the layout, and cuts nothing off but `text`, which
is for people. `decode` takes a whole message whose header is right (`gateways/binary/framing.py` sees to that) and
never raises: text that is no ASCII comes out as it is, for whoever checks the field to name it.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Final

import msgspec

from gateways.binary.layout import (
    FIELDS,
    HEADER_FIELDS,
    HEARTBEAT_MS,
    LAYOUTS,
    LENGTHS,
    MAGIC,
    TEXT_BYTES,
    VERSION,
    Code,
    Field,
    Kind,
)


class EncodeError(ValueError):
    """A value that has no place in its field. The text names both, and the most that there is room for."""


class Message(msgspec.Struct, frozen=True):
    """Fields are the layout's, in its order; text as str."""

    KIND: ClassVar[Kind]


class Login(Message, frozen=True):
    KIND = Kind.LOGIN
    key_id: str
    secret: str
    next_seq: int = 0
    heartbeat_ms: int = HEARTBEAT_MS
    reserved: int = 0


class LoginAccepted(Message, frozen=True):
    KIND = Kind.LOGIN_ACCEPTED
    next_seq: int
    last_seq: int
    account: str
    shard: int
    heartbeat_ms: int
    messages: int
    window_ms: int
    cancel_on: int
    reserved: str = ""
    grace_ms: int = 0


class LoginRejected(Message, frozen=True):
    KIND = Kind.LOGIN_REJECTED
    code: int
    reserved: str = ""
    value: int = 0
    text: str = ""


class Heartbeat(Message, frozen=True):
    KIND = Kind.HEARTBEAT
    seq: int = 0


class Logout(Message, frozen=True):
    KIND = Kind.LOGOUT
    code: int = int(Code.LOGGED_OUT)
    reserved: str = ""
    value: int = 0
    text: str = ""


class NewOrder(Message, frozen=True):
    KIND = Kind.NEW_ORDER
    request_id: int
    token: str
    symbol: str
    side: int
    ord_type: int
    tif: int
    flags: int = 0
    reserved: int = 0
    qty_e8: int = 0
    price_e8: int = 0
    expire_time_ns: int = 0


class Cancel(Message, frozen=True):
    KIND = Kind.CANCEL
    request_id: int
    order_id: int = 0
    token: str = ""
    flags: int = 0
    reserved: str = ""


class Replace(Message, frozen=True):
    KIND = Kind.REPLACE
    request_id: int
    order_id: int = 0
    orig_token: str = ""
    token: str = ""
    tif: int = 0
    flags: int = 0
    reserved: str = ""
    qty_e8: int = 0
    price_e8: int = 0
    expire_time_ns: int = 0


class OrderEvent(Message, frozen=True):
    KIND = Kind.ORDER_EVENT
    seq: int
    time_ns: int
    request_id: int
    order_id: int
    token: str
    symbol: str
    exec_type: int
    ord_status: int
    side: int
    ord_type: int
    tif: int
    source: int
    code: int
    qty_e8: int
    price_e8: int
    cum_qty_e8: int
    leaves_qty_e8: int
    last_qty_e8: int
    last_px_e8: int
    avg_px_e8: int
    asked_qty_e8: int
    asked_price_e8: int
    ref_seq: int
    limit_value: int
    observed_value: int


class Refused(Message, frozen=True):
    KIND = Kind.REFUSED
    request_id: int
    code: int
    refused_kind: int
    reserved: int = 0
    value: int = 0
    text: str = ""


Request = NewOrder | Cancel | Replace

_CODES: Final = {"<u2": "H", "<u4": "I", "<u8": "Q", "<i8": "q", "u1": "B"}


def _code_of(field: Field) -> str:
    return f"{field.format[1:]}s" if field.format.startswith("S") else _CODES[field.format]


class _Form:
    """How one kind's messages are packed."""

    def __init__(self, made: type[Message]) -> None:
        self.made = made
        self.fields = FIELDS[made.KIND]
        assert tuple(field.name for field in self.fields) == made.__struct_fields__, made.__name__
        codes = [_code_of(field) for field in (*HEADER_FIELDS, *self.fields)]
        self.struct = struct.Struct(
            "<" + "".join(codes)
        )  # nothing of it needs padding: `layout.py` holds that
        assert self.struct.size == LAYOUTS[made.KIND].itemsize
        self.head = (MAGIC, self.struct.size, int(made.KIND), VERSION)
        # The room of each text; 0 for a number. A text for people is cut to its room.
        self.rooms = [int(f.format[1:]) if f.format.startswith("S") else 0 for f in self.fields]
        self.texts = [n for n, room in enumerate(self.rooms) if room]


_FORMS: Final = {
    int(made.KIND): _Form(made)
    for made in (
        Login, LoginAccepted, LoginRejected, Heartbeat, Logout, NewOrder, Cancel, Replace, OrderEvent, Refused,
    )
}  # fmt: skip
assert set(_FORMS) == set(LENGTHS)


def encode(message: Message) -> bytes:
    """Raises EncodeError."""
    form = _FORMS[int(message.KIND)]
    values: list[Any] = list(msgspec.structs.astuple(message))
    for n in form.texts:
        values[n] = _raw(form.fields[n].name, values[n], form.rooms[n])
    try:
        return form.struct.pack(*form.head, *values)
    except struct.error:
        raise EncodeError(_which_does_not_fit(form, values)) from None


def _raw(name: str, text: str, room: int) -> bytes:
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        if name != "text":
            raise EncodeError(
                f"{name} {text[:40]!r} is not ASCII; use letters, digits and punctuation"
            ) from None
        raw = text.encode("ascii", "backslashreplace")
    if len(raw) <= room:
        return raw
    if name == "text":
        return raw[:TEXT_BYTES]
    raise EncodeError(f"{name} {text[:40]!r} has {len(raw)} characters; the most is {room}")


def _which_does_not_fit(form: _Form, values: list[Any]) -> str:
    for field, value in zip(form.fields, values, strict=True):
        try:
            struct.pack("<" + _code_of(field), value)
        except struct.error:
            return (
                f"{field.name} {value!r} does not fit its {field.format.lstrip('<')} of {form.made.__name__}"
            )
    raise AssertionError("one of them does not fit")


def decode(raw: bytes) -> Message:
    """Of one whole message, as framing gave it."""
    form = _FORMS[int.from_bytes(raw[4:6], "little")]
    values = list(form.struct.unpack(raw)[len(HEADER_FIELDS) :])
    for n in form.texts:
        values[n] = values[n].rstrip(b"\0").decode("latin-1")
    return form.made(*values)
