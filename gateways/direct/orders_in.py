"""A client's NewOrderSingle (D) as the command that `gateways/fix_door.py` makes of it, compiled.

Taken: Side 1 and 2, OrdType 1 and 2, TimeInForce 0, 1 and 3, a ClOrdID of plain ASCII, a known symbol, and Account
where it is the session's own; with HandlInst and TransactTime, which say nothing here. Anything else, and whatever the
dictionary may find fault with, is for the door: it answers, or takes it.

No index is out of bounds: tokens and numbers are those of `check`, whose rows are below `count`; a ClOrdID is copied
when it fits the command's text, a symbol when it fits the name.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from actors.rows import NAME_BYTES
from actors.tables import R_ACCOUNTS, find_name
from core.records import (
    COMMAND_BYTES,
    FIELDS_BYTES,
    NEW_ORDER,
    TEXT_BYTES_MAX,
    CommandKind,
    OrdType,
    Side,
    Source,
    TimeInForce,
)
from core.units import PRICE_E8_MAX, QTY_E8_MAX
from fix.dictionary import load
from fix.line.row import BEGIN_STRING
from fix.line.take import BODY, COUNT, Reader, message_at
from fix.wire.checks import Rules, check, numbers_table, rules_of
from fix.wire.tokens import Array
from gateways.direct.names import Names
from gateways.fix_request_ids import request_id_in
from gateways.fix_wire import NUMBER_CHARACTERS_MAX
from shared_mem.atomics import copy_bytes, load_i64, load_u8, store_i64
from shared_mem.jit import jit, whole

_ACCOUNT, _CL_ORD_ID, _HANDL_INST, _ORDER_QTY, _ORD_TYPE = 1, 11, 21, 38, 40
_PRICE, _SIDE, _SYMBOL, _TIF, _TRANSACT_TIME = 44, 54, 55, 59, 60
_KIND: Final = int(CommandKind.NEW_ORDER)
_SOURCE: Final = int(Source.FIX_CLIENT)
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_MARKET, _LIMIT = int(OrdType.MARKET), int(OrdType.LIMIT)
_DAY, _GTC, _IOC = int(TimeInForce.DAY), int(TimeInForce.GTC), int(TimeInForce.IOC)
_SPACE, _TILDE = 0x20, 0x7E

# What must have been seen.
_HAS_NAME, _HAS_SYMBOL, _HAS_SIDE, _HAS_QTY, _HAS_TYPE, _HAS_PRICE = 1, 2, 4, 8, 16, 32
_NEEDED: Final = _HAS_NAME | _HAS_SYMBOL | _HAS_SIDE | _HAS_QTY | _HAS_TYPE


class OrdersIn(NamedTuple):
    """The rules of the type, and the command being made under its layout and as bytes."""

    rules: Rules
    numbers: Array
    raw: Array  # uint8 (COMMAND_BYTES,)
    order: Array  # NEW_ORDER (1,)
    name: Array  # uint8 (NAME_BYTES,)


def make_orders_in() -> OrdersIn:
    raw = np.zeros(COMMAND_BYTES, np.uint8)
    rules = rules_of(load(BEGIN_STRING), "D")
    return OrdersIn(rules, numbers_table(), raw, raw.view(NEW_ORDER), np.zeros(NAME_BYTES, np.uint8))


@jit
def is_plain(address: int, length: int) -> bool:
    """Printable ASCII, as `str.isprintable` has it."""
    for i in range(length):
        byte = load_u8(address + i)
        if byte < _SPACE or byte > _TILDE:
            return False
    return True


@jit
def _is_named(name: Array, address: int, length: int) -> bool:
    """Whether these bytes are the name, which zeros fill up to NAME_BYTES."""
    if length > NAME_BYTES or (length < NAME_BYTES and name[length] != 0):
        return False
    for i in range(length):
        if name[i] != load_u8(address + i):
            return False
    return True


@jit
def instrument_named(names: Names, name: Array, address: int, length: int) -> int:
    """The number of the instrument with this symbol; 0: there is none."""
    if length > NAME_BYTES:
        return 0
    for i in range(NAME_BYTES):
        name[i] = load_u8(address + i) if i < length else 0
    return find_name(names.instrument_index, names.instrument_names, name, length) + 1


@jit
def _take_field(names: Names, line: Any, into: OrdersIn, tag: int, at: int, length: int, number: int) -> int:
    """What of the order the field says: a bit of _NEEDED, 0 for a field that says nothing, -1 for one that is not taken
    here."""
    order = into.order[0]
    if tag == _CL_ORD_ID:
        if length > TEXT_BYTES_MAX or not is_plain(at, length):
            return -1
        copy_bytes(into.raw.ctypes.data + FIELDS_BYTES, at, length)
        order.text_length = length
        return _HAS_NAME
    if tag == _SYMBOL:
        order.instrument = instrument_named(names, into.name, at, length)
        return _HAS_SYMBOL if order.instrument > 0 else -1
    if tag == _SIDE:
        order.side = number
        return _HAS_SIDE if number == _BUY or number == _SELL else -1
    if tag == _ORDER_QTY:
        order.qty_e8 = number
        return _HAS_QTY if 0 < number <= QTY_E8_MAX and length <= NUMBER_CHARACTERS_MAX else -1
    if tag == _ORD_TYPE:
        order.ord_type = number
        return _HAS_TYPE if number == _MARKET or number == _LIMIT else -1
    if tag == _PRICE:
        order.price_e8 = number
        return _HAS_PRICE if 0 < number <= PRICE_E8_MAX and length <= NUMBER_CHARACTERS_MAX else -1
    if tag == _TIF:
        order.tif = number
        return 0 if number == _DAY or number == _GTC or number == _IOC else -1
    if tag == _ACCOUNT:
        return 0 if _is_named(names.account_names[line.account - 1], at, length) else -1
    return 0 if tag == _HANDL_INST or tag == _TRANSACT_TIME else -1


@whole
def read_order(names: Names, line: Any, reader: Reader, into: OrdersIn) -> bool:
    """The message that `next_message` found, as a command in `into.raw`. False: it is for the door."""
    base = message_at(line)
    count = reader.found[COUNT]
    if not 0 < line.account <= names.registers[R_ACCOUNTS]:
        return False
    if not check(reader.tokens, count, base, into.rules, into.numbers):
        return False
    raw = into.raw.ctypes.data
    for offset in range(0, COMMAND_BYTES, 8):
        store_i64(raw + offset, 0)
    order = into.order[0]
    order.tif = _DAY
    seen = 0
    for i in range(reader.found[BODY], count - 1):
        token = reader.tokens[i]
        says = _take_field(
            names, line, into, int(token.tag), base + token.offset, int(token.length), into.numbers[i]
        )
        if says < 0:
            return False
        seen |= says
    if seen & _NEEDED != _NEEDED or (order.ord_type == _LIMIT and seen & _HAS_PRICE == 0):
        return False
    if order.ord_type == _MARKET:
        order.price_e8 = 0
    order.kind = _KIND
    order.source = _SOURCE
    order.account = line.account
    order.request_id = request_id_in(line.account, line.generation, line.next_in)
    return True


@jit
def has_pace(line: Any, steady_ns: int) -> bool:
    """Whether the client's throttle has room for one more: as `fix.throttle.Throttle.room` is not 0."""
    if line.messages == 0:
        return True
    from_ns = max(steady_ns, line.times_last_ns) - line.window_ns
    return load_time(line) <= from_ns


@jit
def load_time(line: Any) -> int:
    """The oldest time that the throttle keeps; times_at < messages."""
    return load_i64(line.times + 8 * line.times_at)


@jit
def count_pace(line: Any, steady_ns: int) -> None:
    """As `fix.throttle.Throttle.count` of one."""
    if line.messages == 0:
        return
    line.times_last_ns = max(steady_ns, line.times_last_ns)
    store_i64(line.times + 8 * line.times_at, line.times_last_ns)
    line.times_at = (line.times_at + 1) % line.messages
