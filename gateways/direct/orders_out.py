"""The log's PENDING_NEW as the NewOrderSingle that `fix/order_router.py` sends to the venue, compiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from core.ids import cl_ord_id
from core.records import OrdType, TimeInForce
from fix.codec import Field
from fix.line.give import Writer, give, line_template
from fix.wire.template import Kind, Template, write_int
from fix.wire.tokens import Array
from gateways.direct.names import Names, name_length
from shared_mem.jit import jit, whole

_GTC, _GTD = int(TimeInForce.GTC), int(TimeInForce.GTD)
# "TW0000-" and nineteen digits.
_NAME_ROOM: Final = 32


class OrdersOut(NamedTuple):
    """The template, the ClOrdID being written, and the template's places by what goes there."""

    template: Template
    values: Array
    name: Array  # uint8 (_NAME_ROOM,)
    prefix: int  # bytes of `name` that are the same for all orders of the shard
    account: int
    cl_ord_id: int
    qty: int
    price: int
    side: int
    symbol: int
    tif: int
    time: int


def make_orders_out(shard: int, order_fields: Sequence[Field] = ()) -> OrdersOut:
    """order_fields: what the venue wants in each new order besides (`fix.order_bodies.OrderBodies`)."""
    built = line_template(
        "D",
        [
            (1, Kind.TEXT),
            (11, Kind.TEXT),
            (21, "1"),
            (38, Kind.E8),
            (40, chr(OrdType.LIMIT)),
            (44, Kind.E8),
            (54, Kind.CHAR),
            (55, Kind.TEXT),
            (59, Kind.CHAR),
            (60, Kind.TIME_MS),
            *order_fields,
        ],
    )
    name = np.zeros(_NAME_ROOM, np.uint8)
    prefix = cl_ord_id(shard, 0)[:-1].encode()
    name[: len(prefix)] = np.frombuffer(prefix, np.uint8)
    slots = [built.slots[tag] for tag in (1, 11, 38, 44, 54, 55, 59, 60)]
    return OrdersOut(built.template, built.values, name, len(prefix), *slots)


@jit
def put_text(values: Array, slot: int, address: int, length: int) -> None:
    values[slot], values[slot + 1] = address, length


@whole
def give_order(
    names: Names,
    line: Any,
    writer: Writer,
    out: OrdersOut,
    event: Any,
    time_ns: int,
    now_ns: int,
    steady_ns: int,
    cursor: int,
) -> bool:
    """Send the order of this event, an accepted one, so that its account and instrument have rows. As `give`."""
    values = out.values
    account = names.account_names[event.account - 1]
    put_text(values, out.account, account.ctypes.data, name_length(account))
    base = out.name.ctypes.data
    end = write_int(base + out.prefix, int(np.int64(event.order_id)))  # 7 + 19 <= _NAME_ROOM
    put_text(values, out.cl_ord_id, base, end - base)
    values[out.qty] = event.qty_e8
    values[out.price] = event.route_price_e8
    values[out.side] = int(event.side)
    symbol = names.instrument_names[event.instrument - 1]
    put_text(values, out.symbol, symbol.ctypes.data, name_length(symbol))
    values[out.tif] = _GTC if event.tif == _GTD else int(event.tif)
    values[out.time] = time_ns
    return give(line, writer, out.template, values, now_ns, steady_ns, 0, cursor)
