"""Writing to the log from compiled code: a command as it was applied, and the events that it caused.

`Out` is the pen: where in the log it stands and the one event being filled in. The shard's pen writes into the
log's tail; a replica's writes the same bytes into a scratch ring of its own, and the two can be compared.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from core import records
from core.records import EVENT, EVENT_BYTES, FIELDS_BYTES, TEXT_BYTES_MAX
from shared_mem import log
from shared_mem.atomics import crc32c, load_acquire
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
P_EVENTS: Final = 9  # events written since `P_CRC` was reset
P_CRC: Final = 10  # over those events' payloads
PEN_WORDS: Final = 16

# A replica's scratch ring: much more than one command's records.
SCRATCH_BYTES: Final = 1 << 20


class Out(NamedTuple):
    pen: Array  # int64 (PEN_WORDS,)
    event: Array  # EVENT (1,)
    event_text: Array  # uint8 (TEXT_BYTES_MAX,), right behind the event


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
    )
    return Command(raw, raw[FIELDS_BYTES:], *(raw.view(layout) for layout in layouts))


def make_pen(base: int, ring_bytes: int, segment_bytes: int, command: Command) -> Out:
    """base: address of a log tail (or of a scratch ring laid out like one)."""
    buffer = np.zeros(EVENT_BYTES + TEXT_BYTES_MAX, np.uint8)
    pen = np.zeros(PEN_WORDS, np.int64)
    pen[P_BASE], pen[P_RING], pen[P_SEGMENT] = base, ring_bytes, segment_bytes
    pen[P_EVENT], pen[P_COMMAND] = buffer.ctypes.data, command.raw.ctypes.data
    return Out(pen, buffer[:EVENT_BYTES].view(EVENT), buffer[EVENT_BYTES:])


@jit
def write_record(out: Out, kind: int, payload: int, length: int) -> int:
    """Put a record into the log, unpublished; returns its address."""
    pen = out.pen
    position = pen[P_POSITION]
    left = pen[P_SEGMENT] - (position & (pen[P_SEGMENT] - 1))
    if log.RECORD_HEADER_BYTES + length > left:
        log.put_padding(pen[P_BASE] + log.DATA + (position & (pen[P_RING] - 1)), left)
        position += left
    target = pen[P_BASE] + log.DATA + (position & (pen[P_RING] - 1))
    behind = position - load_acquire(pen[P_BASE] + log.SYNCED)
    taken = log.put_record(target, kind, pen[P_SEQ], pen[P_TIME], pen[P_EPOCH], behind, payload, length)
    pen[P_POSITION] = position + taken
    pen[P_SEQ] += 1
    return target


@jit
def journal(out: Out, command: Command) -> None:
    """Write the command as it stands in its slot."""
    head = command.head[0]
    write_record(out, int(head.kind), out.pen[P_COMMAND], FIELDS_BYTES + int(head.text_length))


@jit
def new_event(out: Out, kind: int, command: Command) -> Any:
    """The one event record, cleared, with the command's names in it. Fill in, then `emit`."""
    out.event.view(np.uint8)[:] = 0
    event = out.event[0]
    head = command.head[0]
    event.kind = kind
    event.source = head.source
    event.account = head.account
    event.instrument = head.instrument
    event.request_id = head.request_id
    event.order_id = head.order_id
    event.cause_seq = out.pen[P_SEQ] - 1
    return event


@jit
def set_text(out: Out, text: Array, length: int) -> None:
    out.event[0].text_length = length
    for i in range(length):
        out.event_text[i] = text[i]


@jit
def emit(out: Out) -> None:
    """Write the event to the log."""
    event = out.event[0]
    length = EVENT_BYTES + int(event.text_length)
    target = write_record(out, int(event.kind), out.pen[P_EVENT], length)
    out.pen[P_CRC] = payload_crc(target, length, out.pen[P_CRC])
    out.pen[P_EVENTS] += 1


@jit
def payload_crc(record: int, length: int, start: int) -> int:
    """CRC-32C of a record's payload, filled up to 8 bytes as the log does it."""
    return crc32c(record + log.RECORD_HEADER_BYTES, (length + 7) & ~7, start)
