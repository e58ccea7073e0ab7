"""The venue's ExecutionReport (8) as the command that `fix/venue_reports.py` makes of it, compiled.

Taken: New (150=0) and Trade (150=F) of an order that ClOrdID names as we name a new order, with numbers that need no
rounding and an ExecID of plain ASCII. Everything else is for `fix/order_router.py`: an answer to a question, a cancel's
or a replace's report, an end, a bust.

No index is out of bounds: as in `orders_in`; an ExecID is copied when it fits the command's text.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from core.records import (
    COMMAND_BYTES,
    FIELDS_BYTES,
    TEXT_BYTES_MAX,
    VENUE_REPORT,
    CommandKind,
    ExecType,
    OrdStatus,
    Source,
)
from fix.dictionary import load
from fix.line.row import BEGIN_STRING
from fix.line.take import BODY, COUNT, Reader, message_at
from fix.order_router import SEQ_BITS
from fix.wire.checks import IN_BODY, Rules, check, numbers_table, rules_of
from fix.wire.tokens import Array
from gateways.direct.exec_hash import exec_hash, hash_words
from gateways.direct.orders_in import is_plain
from shared_mem.atomics import copy_bytes, load_u8, store_i64
from shared_mem.jit import jit, whole

_CL_ORD_ID, _CUM_QTY, _EXEC_ID, _LAST_PX, _LAST_QTY, _ORD_STATUS = 11, 14, 17, 31, 32, 39
_ORIG_CL_ORD_ID, _TRANSACT_TIME, _EXEC_TYPE, _LEAVES_QTY, _MASS_STATUS_REQ_ID = 41, 60, 150, 151, 584
_KIND: Final = int(CommandKind.VENUE_REPORT)
_SOURCE: Final = int(Source.VENUE)
_NEW, _TRADE = int(ExecType.NEW), int(ExecType.TRADE)
_STATUSES: Final = np.array([int(status) in set(map(int, OrdStatus)) for status in range(256)])

_HAS_ORDER, _HAS_CUM, _HAS_LEAVES, _HAS_STATUS, _HAS_EXEC_TYPE, _HAS_QTY, _HAS_PX = 1, 2, 4, 8, 16, 32, 64
_NEEDED: Final = _HAS_ORDER | _HAS_CUM | _HAS_LEAVES | _HAS_STATUS | _HAS_EXEC_TYPE
_OF_A_TRADE: Final = _HAS_QTY | _HAS_PX

_ZERO, _NINE, _DASH = ord("0"), ord("9"), ord("-")
# "TW", three or four digits of a shard, "-", an order's number.
_SHARD_AT: Final = 2
_NUMBER_DIGITS_MAX: Final = 18


class ReportsIn(NamedTuple):
    rules: Rules
    numbers: Array
    raw: Array  # uint8 (COMMAND_BYTES,)
    report: Array  # VENUE_REPORT (1,)
    words: Array


def make_reports_in() -> ReportsIn:
    raw = np.zeros(COMMAND_BYTES, np.uint8)
    rules = rules_of(load(BEGIN_STRING), "8")
    return ReportsIn(rules, numbers_table(), raw, raw.view(VENUE_REPORT), hash_words())


@jit
def _digits_from(address: int, at: int, length: int) -> int:
    """How many digits stand from `at` on, before `length`."""
    count = 0
    while at + count < length and _ZERO <= load_u8(address + at + count) <= _NINE:
        count += 1
    return count


@jit
def order_named(address: int, length: int) -> int:
    """The order that a ClOrdID names as `core.ids.cl_ord_id` does; -1 for any other text, a replace's too."""
    if length <= _SHARD_AT or load_u8(address) != ord("T") or load_u8(address + 1) != ord("W"):
        return -1
    shard = _digits_from(address, _SHARD_AT, length)
    dash = _SHARD_AT + shard
    if shard < 3 or shard > 4 or dash >= length or load_u8(address + dash) != _DASH:
        return -1
    digits = _digits_from(address, dash + 1, length)
    if digits == 0 or digits > _NUMBER_DIGITS_MAX or dash + 1 + digits != length:
        return -1
    if digits > 1 and load_u8(address + dash + 1) == _ZERO:
        return -1
    number = 0
    for i in range(digits):
        number = number * 10 + load_u8(address + dash + 1 + i) - _ZERO
    return number


@jit
def _take_field(into: ReportsIn, tag: int, at: int, length: int, number: int) -> int:
    """As in `orders_in`: a bit, 0, or -1."""
    report = into.report[0]
    if tag == _CL_ORD_ID:
        order_id = order_named(at, length)
        report.order_id = max(order_id, 0)
        return _HAS_ORDER if order_id >= 0 else -1
    if tag == _EXEC_ID:
        if length > TEXT_BYTES_MAX or not is_plain(at, length):
            return -1
        copy_bytes(into.raw.ctypes.data + FIELDS_BYTES, at, length)
        report.text_length = length
        return 0
    if tag == _CUM_QTY:
        report.cum_qty_e8 = number
        return _HAS_CUM if number >= 0 else -1
    if tag == _LEAVES_QTY:
        report.leaves_qty_e8 = number
        return _HAS_LEAVES if number >= 0 else -1
    if tag == _LAST_QTY:
        report.last_qty_e8 = number
        return _HAS_QTY if number >= 0 else -1
    if tag == _LAST_PX:
        report.last_px_e8 = number
        return _HAS_PX if number >= 0 else -1
    if tag == _ORD_STATUS:
        report.ord_status = number
        return _HAS_STATUS if 0 <= number < 256 and _STATUSES[number] else -1
    if tag == _EXEC_TYPE:
        report.exec_type = number
        return _HAS_EXEC_TYPE if number == _NEW or number == _TRADE else -1
    if tag == _TRANSACT_TIME:
        report.transact_time_ns = number
        return 0
    return -1 if tag == _ORIG_CL_ORD_ID or tag == _MASS_STATUS_REQ_ID else 0


@whole
def read_report(line: Any, reader: Reader, into: ReportsIn) -> bool:
    """The message that `next_message` found, as a command in `into.raw`. False: it is for the router."""
    base = message_at(line)
    count = reader.found[COUNT]
    if not check(reader.tokens, count, base, into.rules, into.numbers):
        return False
    raw = into.raw.ctypes.data
    for offset in range(0, COMMAND_BYTES, 8):
        store_i64(raw + offset, 0)
    seen = 0
    for i in range(reader.found[BODY], count - 1):
        token = reader.tokens[i]
        # `check` has found a rule for each tag.
        if into.rules.rules[into.rules.rule_of[token.tag]].place != IN_BODY:
            return False
        says = _take_field(into, int(token.tag), base + token.offset, int(token.length), into.numbers[i])
        if says < 0:
            return False
        seen |= says
    report = into.report[0]
    needed = _NEEDED | _OF_A_TRADE if report.exec_type == _TRADE else _NEEDED
    if seen & needed != needed:
        return False
    report.kind = _KIND
    report.source = _SOURCE
    report.venue_seq = line.generation << SEQ_BITS | line.next_in
    report.exec_hash = exec_hash(raw + FIELDS_BYTES, int(report.text_length), into.words)
    return True
