"""Writing to the log from compiled code: a command as it was applied, and the events that it caused.

`Out` is the pen: where in the log it stands and the one event being filled in. The shard's pen writes into the
log's tail; a replica's writes the same bytes into a scratch ring of its own, and the two can be compared.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from core import records
from core.event_layouts import EVENT, EVENT_BYTES, INSTRUMENT_EVENT, MONEY_EVENT, QUARANTINE_EVENT
from core.logged import COMMAND_KINDS, LOGGED_BYTES
from core.records import FIELDS_BYTES
from shared_mem import log
from shared_mem.atomics import load_acquire, load_i64
from shared_mem.jit import jit

Array = np.ndarray[Any, np.dtype[Any]]

# Registers of a pen: int64 words.
P_POSITION: Final = 0
P_SEQ: Final = 1  # of the next record
P_TIME: Final = 2
P_EPOCH: Final = 3
P_BASE: Final = 4  # address of the tail
P_RING: Final = 5  # bytes of its ring, a power of two
P_SEGMENT: Final = 6  # bytes of a segment, a power of two
P_EVENT: Final = 7  # address of the event being filled in
P_COMMAND: Final = 8  # address of the command being applied
P_TEXT: Final = 9  # address of the event's text, which stays where it is until `emit`
PEN_WORDS: Final = 16

# A replica's scratch ring: much more than one command's records, and small enough to stay in the cache.
SCRATCH_BYTES: Final = 64 << 10


class Out(NamedTuple):
    pen: Array  # int64 (PEN_WORDS,)
    event: Array  # EVENT (1,)
    money: Array  # the same event under its other layouts: MONEY_EVENT (1,)
    instrument: Array  # INSTRUMENT_EVENT (1,)
    quarantine: Array  # QUARANTINE_EVENT (1,)


class Command(NamedTuple):
    """One command's slot under each of its layouts, and as bytes."""

    raw: Array  # uint8 (COMMAND_BYTES,)
    text: Array  # uint8 (TEXT_BYTES_MAX,)
    head: Array
    order: Array
    report: Array
    account: Array
    deposit: Array
    instrument: Array
    state: Array
    difference: Array
    settle: Array
    group: Array
    group_state: Array
    move: Array
    reference: Array
    tick_table: Array
    lot_table: Array
    timer: Array
    quarantine: Array
    status: Array
    doubt: Array
    resolve: Array


def command_slot() -> Command:
    raw = np.zeros(records.COMMAND_BYTES, np.uint8)
    layouts = (
        records.HEAD,
        records.NEW_ORDER,
        records.VENUE_REPORT,
        records.OPEN_ACCOUNT,
        records.DEPOSIT,
        records.DEFINE_INSTRUMENT,
        records.SET_STATE,
        records.BREAK,
        records.SETTLE_DAY,
        records.DEFINE_GROUP,
        records.SET_GROUP_STATE,
        records.MOVE_ACCOUNT,
        records.SET_REFERENCE_PRICE,
        records.DEFINE_TICK_TABLE,
        records.DEFINE_LOT_TABLE,
        records.TIMER,
        records.QUARANTINE,
        records.VENUE_STATUS,
        records.FATE_UNKNOWN,
        records.RESOLVE,
    )
    return Command(raw, raw[FIELDS_BYTES:], *(raw.view(layout) for layout in layouts))


def make_pen(base: int, ring_bytes: int, segment_bytes: int, command: Command) -> Out:
    """base: address of a log tail (or of a scratch ring laid out like one)."""
    event = np.zeros(1, EVENT)
    pen = np.zeros(PEN_WORDS, np.int64)
    pen[P_BASE], pen[P_RING], pen[P_SEGMENT] = base, ring_bytes, segment_bytes
    pen[P_EVENT], pen[P_COMMAND] = event.ctypes.data, command.raw.ctypes.data
    layouts = (MONEY_EVENT, INSTRUMENT_EVENT, QUARANTINE_EVENT)
    return Out(pen, event, *(event.view(layout) for layout in layouts))


@jit
def write_record(out: Out, kind: int, payload: int, length: int, text: int, text_length: int) -> None:
    """Put a record into the log, unpublished."""
    pen = out.pen
    position = pen[P_POSITION]
    left = pen[P_SEGMENT] - (position & (pen[P_SEGMENT] - 1))
    if log.RECORD_HEADER_BYTES + length + text_length > left:
        log.put_padding(pen[P_BASE] + log.DATA + (position & (pen[P_RING] - 1)), left)
        position += left
    target = pen[P_BASE] + log.DATA + (position & (pen[P_RING] - 1))
    behind = position - load_acquire(pen[P_BASE] + log.SYNCED)
    taken = log.put_record(
        target, kind, pen[P_SEQ], pen[P_TIME], pen[P_EPOCH], behind, payload, length, text, text_length
    )
    pen[P_POSITION] = position + taken
    pen[P_SEQ] += 1


@jit
def logged_bytes(kind: int) -> int:
    """How many bytes of a command's fields stand in the log."""
    return int(LOGGED_BYTES[kind]) if kind < COMMAND_KINDS else FIELDS_BYTES


@jit
def journal(out: Out, command: Command) -> None:
    """Write the command as it stands in its slot."""
    kind, address = int(command.head[0].kind), out.pen[P_COMMAND]
    length = int(command.head[0].text_length)
    write_record(out, kind, address, logged_bytes(kind), address + FIELDS_BYTES, length)


@jit
def _of_layout(record: Any, kind: int, out: Out, command: Command) -> Any:
    """The cleared record under one of its other layouts."""
    out.event.view(np.uint8)[:] = 0
    head = command.head[0]
    record.kind = kind
    record.source = head.source
    record.account = head.account
    record.instrument = head.instrument
    record.request_id = head.request_id
    record.order_id = head.order_id
    record.cause_seq = out.pen[P_SEQ] - 1
    return record


@jit
def new_event(out: Out, kind: int, command: Command) -> Any:
    """The one event record, cleared, with the command's names in it. Fill in, then `emit`."""
    return _of_layout(out.event[0], kind, out, command)


@jit
def new_money_event(out: Out, kind: int, command: Command) -> Any:
    """As `new_event`, for the kinds that have MONEY_EVENT's layout."""
    return _of_layout(out.money[0], kind, out, command)


@jit
def new_instrument_event(out: Out, kind: int, command: Command) -> Any:
    """As `new_event`, for the kinds that have INSTRUMENT_EVENT's layout."""
    return _of_layout(out.instrument[0], kind, out, command)


@jit
def new_quarantine_event(out: Out, kind: int, command: Command) -> Any:
    """As `new_event`, for the kind that has QUARANTINE_EVENT's layout."""
    return _of_layout(out.quarantine[0], kind, out, command)


@jit
def set_text(out: Out, text: Array, length: int) -> None:
    """The event's text: the first `length` of an array whose size is a multiple of 8. It is read by `emit`."""
    out.event[0].text_length = length
    out.pen[P_TEXT] = text.ctypes.data


@jit
def _zeros(address: int) -> bool:
    """Whether four words are zero."""
    low = load_i64(address) | load_i64(address + 8)
    return low | load_i64(address + 16) | load_i64(address + 24) == 0


@jit
def emit(out: Out) -> None:
    """Write the event to the log, without the zeros at its end."""
    event, address = out.event[0], out.pen[P_EVENT]
    length = EVENT_BYTES
    while _zeros(address + length - 32):  # it ends: the first word has the kind
        length -= 32
    while load_i64(address + length - 8) == 0:
        length -= 8
    write_record(out, int(event.kind), address, length, out.pen[P_TEXT], int(event.text_length))
