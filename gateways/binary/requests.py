"""What a client of the binary door asks, checked for form.

Always holds: what passes here fits a command exactly; everything else is a Refusal that names the field, the value
and the remedy. Must not do: decide about risk, or look anything up.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from core import units
from core.records import OrdType, Side, TimeInForce
from core.rejects import Reject
from gateways.binary.layout import (
    FLAG_RESENT,
    HEARTBEAT_MS_MAX,
    HEARTBEAT_MS_MIN,
    REQUEST_ID_MAX,
    Code,
)
from gateways.binary.messages import Cancel, Login, NewOrder, Refused, Replace, Request

_INT64_MAX: Final = (1 << 63) - 1


class Refusal(ValueError):
    """A request that goes no further: nothing was done. `code`: of the door, or of core/rejects.py."""

    def __init__(self, code: Code | Reject, text: str, value: int = 0) -> None:
        super().__init__(text)
        self.code = code
        self.value = value


def refused(request: Request, why: Refusal) -> Refused:
    return Refused(
        request.request_id, int(why.code), int(request.KIND), value=_clamped(why.value), text=str(why)
    )


def check_login(login: Login) -> None:
    """Raises Refusal."""
    _plain("key_id", login.key_id)
    _plain("secret", login.secret, shown=False)
    if not HEARTBEAT_MS_MIN <= login.heartbeat_ms <= HEARTBEAT_MS_MAX:
        raise _wrong("heartbeat_ms", login.heartbeat_ms, f"send {HEARTBEAT_MS_MIN} to {HEARTBEAT_MS_MAX}")
    if login.next_seq > _INT64_MAX:
        raise _wrong("next_seq", login.next_seq, "send 0, 1 or the number after the last seq")
    _zero("reserved", login.reserved)


def check_new_order(order: NewOrder) -> None:
    """Raises Refusal."""
    _head(order)
    _plain("token", order.token)
    _plain("symbol", order.symbol)
    _one_of("side", order.side, Side)
    _one_of("ord_type", order.ord_type, OrdType)
    _one_of("tif", order.tif, TimeInForce)
    if not 0 < order.qty_e8 <= units.QTY_E8_MAX:
        raise _wrong("qty_e8", order.qty_e8, f"send more than 0 and at most {units.QTY_E8_MAX}")
    if order.ord_type == OrdType.LIMIT and not 0 < order.price_e8 <= units.PRICE_E8_MAX:
        raise _wrong("price_e8", order.price_e8, f"send more than 0 and at most {units.PRICE_E8_MAX}")
    if order.ord_type == OrdType.MARKET and order.price_e8 != 0:
        raise _wrong("price_e8", order.price_e8, "a market order has none: send 0")
    _expire_time(order.expire_time_ns)


def check_cancel(cancel: Cancel) -> None:
    """Raises Refusal."""
    _head(cancel)
    _names_one("token", cancel.order_id, cancel.token)


def check_replace(replace: Replace) -> None:
    """Raises Refusal."""
    _head(replace)
    _names_one("orig_token", replace.order_id, replace.orig_token)
    _plain("token", replace.token)
    if replace.tif:
        _one_of("tif", replace.tif, TimeInForce)
    if not 0 <= replace.qty_e8 <= units.QTY_E8_MAX:
        raise _wrong("qty_e8", replace.qty_e8, f"send 0 (as it is) to {units.QTY_E8_MAX}")
    if not 0 <= replace.price_e8 <= units.PRICE_E8_MAX:
        raise _wrong("price_e8", replace.price_e8, f"send 0 (as it is) to {units.PRICE_E8_MAX}")
    _expire_time(replace.expire_time_ns)


def _head(request: Request) -> None:
    if not 0 < request.request_id <= REQUEST_ID_MAX:
        raise _wrong("request_id", request.request_id, "send 1 to 2^63-1, each number once")
    if request.flags & ~FLAG_RESENT:
        raise _wrong(
            "flags", request.flags, f"send 0, or {FLAG_RESENT} for one that may have been sent before"
        )
    _zero("reserved", request.reserved)


def _zero(name: str, value: int | str) -> None:
    if value:
        raise _wrong(name, value, "send zeros, which later versions may give a meaning")


def _names_one(name: str, order_id: int, token: str) -> None:
    """An order is named by its number, or by its token."""
    if order_id > _INT64_MAX:
        raise _wrong("order_id", order_id, f"send the number that the order's events have, or 0 and {name}")
    if order_id and token:
        raise _wrong(name, token, "order_id names the order already: leave one of them out")
    if not order_id:
        _plain(name, token)


def _expire_time(value: int) -> None:
    if value < 0:
        raise _wrong("expire_time_ns", value, "send ns since 1970, or 0")


def _plain(name: str, text: str, shown: bool = True) -> None:
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        found = text if shown else f"of {len(text)} characters"
        raise _wrong(name, found, "send printable ASCII, without spaces at its ends, filled up with zeros")


def _one_of(name: str, value: int, known: type[IntEnum]) -> None:
    if value not in known.__members__.values():
        what = ", ".join(f"{chr(code)!r} ({code.name.lower()})" for code in known)
        shown = f"{chr(value)!r} ({value})" if chr(value).isprintable() else str(value)
        raise Refusal(Code.FIELD_WRONG, f"{name} {shown} is unknown; send {what}", value)


def _wrong(name: str, value: int | str, remedy: str) -> Refusal:
    shown = repr(value[:40]) if isinstance(value, str) else str(value)
    return Refusal(Code.FIELD_WRONG, f"{name} {shown}: {remedy}", value if isinstance(value, int) else 0)


def _clamped(value: int) -> int:
    return max(-_INT64_MAX - 1, min(value, _INT64_MAX))
