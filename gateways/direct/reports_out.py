"""The log's events about a client's order as the ExecutionReports of `gateways/fix_wire.py`, compiled.

Written: Pending New, New and Trade. A reject's English, an end, a replace and what answers a cancel are the door's.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from core.ids import execution_uuid, order_uuid
from core.records import ExecType, OrdType
from core.units import NOTIONAL_DIVISOR
from fix.line.give import Writer, give, line_template
from fix.wire.template import ABSENT, Kind, Template
from fix.wire.tokens import Array
from gateways.direct.names import Names, name_length
from gateways.direct.orders_out import put_text
from gateways.order_figures import ENDED
from shared_mem.atomics import store_u8
from shared_mem.jit import jit, whole

_LIMIT: Final = int(OrdType.LIMIT)
_TRADE: Final = int(ExecType.TRADE)
_ENDED: Final = np.array([status in set(map(int, ENDED)) for status in range(256)])
_DIGITS: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_PLACES: Final = 10
assert NOTIONAL_DIVISOR == 10**_PLACES
# Ten times as much still fits an int64.
_CUM_QTY_MAX: Final = 9 * 10**17
_QUOTIENT_MAX: Final = 9 * 10**17
# The variant of RFC 9562, above 62 bits of number.
_VARIANT: Final = -(1 << 63)
_LOW_AT: Final = 19
UUID_CHARACTERS: Final = 36


class ReportsOut(NamedTuple):
    """The template, both UUIDs as text, of which the last 17 characters change, and the template's places."""

    template: Template
    values: Array
    order: Array  # uint8 (UUID_CHARACTERS,)
    execution: Array
    order_id: int
    cl_ord_id: int
    exec_id: int
    exec_type: int
    status: int
    account: int
    symbol: int
    side: int
    qty: int
    ord_type: int
    price: int
    tif: int
    last_qty: int
    last_px: int
    leaves: int
    cum: int
    average: int
    time: int


def make_reports_out(shard: int) -> ReportsOut:
    built = line_template(
        "8",
        [
            (37, Kind.TEXT),
            (11, Kind.TEXT),
            (17, Kind.TEXT),
            (150, Kind.CHAR),
            (39, Kind.CHAR),
            (1, Kind.TEXT),
            (55, Kind.TEXT),
            (54, Kind.CHAR),
            (38, Kind.E8),
            (40, Kind.CHAR),
            (44, Kind.E8),
            (59, Kind.CHAR),
            (32, Kind.E8),
            (31, Kind.E8),
            (151, Kind.E8),
            (14, Kind.E8),
            (6, Kind.E8),
            (60, Kind.TIME_MS),
        ],
    )
    tags = (37, 11, 17, 150, 39, 1, 55, 54, 38, 40, 44, 59, 32, 31, 151, 14, 6, 60)
    order, execution = (
        np.frombuffer(str(uuid).encode(), np.uint8).copy()
        for uuid in (order_uuid(shard, 0), execution_uuid(shard, 0))
    )
    return ReportsOut(built.template, built.values, order, execution, *(built.slots[tag] for tag in tags))


@jit
def _put_number(text: Array, number: int) -> None:
    """The low 64 bits of a UUID of ours: four hexadecimal digits, a dash, twelve. _LOW_AT + 17 == UUID_CHARACTERS."""
    bits = number | _VARIANT
    at = text.ctypes.data + _LOW_AT
    for i in range(16):
        place = i if i < 4 else i + 1
        store_u8(at + place, int(_DIGITS[(bits >> (60 - 4 * i)) & 15]))


@jit
def average_e8(notional_e6: int, cum_qty_e8: int) -> int:
    """notional / quantity to eight places, half up; -1 where it needs more than 64 bits on its way."""
    if cum_qty_e8 <= 0 or cum_qty_e8 > _CUM_QTY_MAX or notional_e6 < 0:
        return 0 if cum_qty_e8 == 0 else -1
    quotient = notional_e6 // cum_qty_e8
    rest = notional_e6 - quotient * cum_qty_e8
    for _ in range(_PLACES):
        if quotient > _QUOTIENT_MAX // 10:
            return -1
        rest *= 10
        digit = rest // cum_qty_e8
        quotient = quotient * 10 + digit
        rest -= digit * cum_qty_e8
    return quotient + 1 if 2 * rest >= cum_qty_e8 else quotient


@whole
def give_report(
    names: Names,
    line: Any,
    writer: Writer,
    out: ReportsOut,
    event: Any,
    text: int,
    seq: int,
    time_ns: int,
    now_ns: int,
    steady_ns: int,
    cursor: int,
) -> bool:
    """Tell the client of this event: Pending New, New or Trade of an order, whose account and instrument have rows.
    text: address of the client's order id. As `give`; False also for an average that is not for here."""
    average = average_e8(event.cum_notional_e6, event.cum_qty_e8)
    if average < 0:
        return False
    values = out.values
    _put_number(out.order, int(np.int64(event.order_id)))
    _put_number(out.execution, seq)
    put_text(values, out.order_id, out.order.ctypes.data, UUID_CHARACTERS)
    put_text(values, out.cl_ord_id, text, int(event.text_length))
    put_text(values, out.exec_id, out.execution.ctypes.data, UUID_CHARACTERS)
    values[out.exec_type] = int(event.exec_type)
    values[out.status] = int(event.ord_status)
    account = names.account_names[event.account - 1]
    put_text(values, out.account, account.ctypes.data, name_length(account))
    symbol = names.instrument_names[event.instrument - 1]
    put_text(values, out.symbol, symbol.ctypes.data, name_length(symbol))
    values[out.side] = int(event.side)
    values[out.qty] = event.qty_e8
    values[out.ord_type] = int(event.ord_type)
    values[out.price] = event.price_e8 if event.ord_type == _LIMIT else ABSENT
    values[out.tif] = int(event.tif)
    is_trade = event.exec_type == _TRADE
    values[out.last_qty] = event.last_qty_e8 if is_trade else ABSENT
    values[out.last_px] = event.last_px_e8 if is_trade else ABSENT
    values[out.leaves] = 0 if _ENDED[event.ord_status] else max(event.qty_e8 - event.cum_qty_e8, 0)
    values[out.cum] = event.cum_qty_e8
    values[out.average] = average
    values[out.time] = time_ns
    return give(line, writer, out.template, values, now_ns, steady_ns, 0, cursor)
