"""One round over the compiled lines: their messages into the shard's rings, the log's new records out to them.

    lines_in(...)                    # sockets -> rings; session messages are answered on the way
    serve_lanes(...)                 # actors/shard.py: rings -> log, published: gate `written`
    lines_out(...)                   # log -> stores -> sockets

Always holds:
- An effect leaves behind the log's gate `written`, after it stands in its session's store.
- A message is in its ring before the store says that it was taken, as at the door and the router: killed between the
  two, it comes again, and is known by its request_id or venue_seq.
- A record that is not for compiled code hands its line over with the line's cursor at that record; the line is told
  nothing behind it. So each line is told each record once, by whoever owns the row.
- Records are read from the tail of the log by the thread that has just written them: nothing can overwrite them.

Must not do: decide about risk, or make sentences.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from actors.emit import Command, Out
from actors.shard import Wiring, serve_lanes, take_ticks
from actors.tables import State, copy_words
from core.event_layouts import EVENT, EVENT_BYTES
from core.records import COMMAND_BYTES, TEXT_BYTES_MAX, EventKind, ExecType, Source
from fix.line.keep import keep
from fix.line.row import COMPILED, PYTHON, Why
from fix.line.step import Kit, make_kit, settle, step
from fix.line.take import taken, type_of
from fix.wire.tokens import Array
from gateways.direct.names import Names, names_of
from gateways.direct.orders_in import OrdersIn, count_pace, has_pace, make_orders_in, read_order
from gateways.direct.orders_out import OrdersOut, give_order, make_orders_out
from gateways.direct.reports_in import ReportsIn, make_reports_in, read_report
from gateways.direct.reports_out import ReportsOut, give_report, make_reports_out
from shared_mem import log, ring
from shared_mem.atomics import CLOCK_MONOTONIC, CLOCK_REALTIME, clock_ns, load_acquire, load_i64, load_u16
from shared_mem.jit import jit, whole

# Messages of one line before the others are looked at: as the shard takes a lane's.
LINE_BATCH: Final = 32
# So much of the log may pass before a cursor is stored though nothing concerned its line: what a restart reads again.
CURSOR_LAG_BYTES: Final = 1 << 20

# Registers: int64 words.
F_POSITION: Final = 0  # up to where the log was followed
F_CLOCK: Final = 1  # struct timespec
F_HANDED_OVER: Final = 3  # rows that went to Python, ever
F_STOP: Final = 4
F_USED: Final = 5  # rows in use, at most all
REGISTERS: Final = 6

_NEW_ORDER: Final = ord("D")
_EXECUTION_REPORT: Final = ord("8")
_NOTHING, _MESSAGE, _RECORD = int(Why.NOTHING), int(Why.MESSAGE), int(Why.RECORD)
_ORDER: Final = int(EventKind.ORDER)
_FIX_CLIENT, _TIMER, _VENUE = int(Source.FIX_CLIENT), int(Source.TIMER), int(Source.VENUE)
_EXEC_NEW, _EXEC_TRADE, _EXEC_PENDING_NEW = int(ExecType.NEW), int(ExecType.TRADE), int(ExecType.PENDING_NEW)
_EXEC_PENDING_CANCEL, _EXEC_PENDING_REPLACE = int(ExecType.PENDING_CANCEL), int(ExecType.PENDING_REPLACE)
_EXEC_ORDER_STATUS, _EXEC_REJECTED = int(ExecType.ORDER_STATUS), int(ExecType.REJECTED)

# What an event is to a line.
_SAYS_NOTHING: Final = 0
_IS_TOLD: Final = 1
_FOR_PYTHON: Final = 2


class Direct(NamedTuple):
    """All that a round works on, beside the shard's own."""

    names: Names
    lines: Array  # LINE
    registers: Array
    kit: Kit
    orders_in: OrdersIn
    reports_in: ReportsIn
    orders_out: OrdersOut
    reports_out: ReportsOut
    event: Array  # EVENT (1,): the record being told
    text: Array  # uint8 (TEXT_BYTES_MAX,): its text
    orders: int  # address of the door's ring of orders
    reports: int  # address of the ring of the venue's reports
    tail: int  # address of the log's tail


def make_direct(
    state: State, lines: Array, shard: int, orders: int, reports: int, tail: int, order_fields: Any = ()
) -> Direct:
    return Direct(
        names_of(state),
        lines,
        np.zeros(REGISTERS, np.int64),
        make_kit(),
        make_orders_in(),
        make_reports_in(),
        make_orders_out(shard, order_fields),
        make_reports_out(shard),
        np.zeros(1, EVENT),
        np.zeros(TEXT_BYTES_MAX, np.uint8),
        orders,
        reports,
        tail,
    )


@jit
def hand_over(line: Any, registers: Array, why: int, cursor: int) -> None:
    """The row is Python's from here; the log was told up to `cursor`."""
    if line.why == _NOTHING:
        line.why = why
    line.cursor = cursor
    line.owner = PYTHON
    registers[F_HANDED_OVER] += 1


@jit
def _take_message(direct: Direct, line: Any, length: int, steady_ns: int) -> bool:
    """A message of the application into its ring. False: it is for Python, and still unread."""
    reader = direct.kit.reader
    kind = type_of(line, reader)
    if line.account == 0:  # the venue
        if kind != _EXECUTION_REPORT or not read_report(line, reader, direct.reports_in):
            return False
        if not ring.try_push(direct.reports, direct.reports_in.raw.ctypes.data, COMMAND_BYTES):
            return False
    else:
        if kind != _NEW_ORDER or not has_pace(line, steady_ns):
            return False
        if not read_order(direct.names, line, reader, direct.orders_in):
            return False
        if not ring.try_push(direct.orders, direct.orders_in.raw.ctypes.data, COMMAND_BYTES):
            return False
        count_pace(line, steady_ns)
    taken(line, length, steady_ns)
    return True


@whole
def lines_in(direct: Direct, now_ns: int, steady_ns: int) -> int:
    """At most LINE_BATCH messages of each line, into the rings; how many. What was taken is stored by `lines_out`."""
    total = 0
    for number in range(direct.registers[F_USED]):
        line = direct.lines[number]
        if line.owner != COMPILED:
            continue
        for i in range(LINE_BATCH):
            length = step(line, direct.kit, now_ns, steady_ns, i == 0)
            if length == 0:
                break
            if length < 0 or not _take_message(direct, line, length, steady_ns):
                hand_over(line, direct.registers, _MESSAGE, direct.registers[F_POSITION])
                break
            total += 1
    return total


@jit
def _to_the_venue(event: Any) -> int:
    """What `fix.order_router.OrderRouter` would do with it."""
    kind = event.exec_type
    if kind == _EXEC_PENDING_NEW:
        return _IS_TOLD
    if kind == _EXEC_PENDING_CANCEL or kind == _EXEC_PENDING_REPLACE:
        return _FOR_PYTHON
    asks = event.source == _TIMER or event.source == _VENUE
    return _FOR_PYTHON if kind == _EXEC_ORDER_STATUS and asks else _SAYS_NOTHING


@jit
def _to_the_client(event: Any) -> int:
    """What `gateways.fix_door.FixDoor` would do with it, of a client with no cancel or replace under way, and no
    order in doubt."""
    kind = event.exec_type
    is_usual = kind == _EXEC_PENDING_NEW or kind == _EXEC_NEW or kind == _EXEC_TRADE
    if event.source == _FIX_CLIENT:
        if is_usual:
            return _IS_TOLD if event.reject_code == 0 else _SAYS_NOTHING
        return _FOR_PYTHON  # a doubt, too, and its end (gateways/fix_fates.py)
    # Of another door's order: told only where it does something to one of ours, which the door looks up.
    is_others = kind == _EXEC_PENDING_NEW or kind == _EXEC_NEW or kind == _EXEC_REJECTED
    return _SAYS_NOTHING if is_others or kind == _EXEC_ORDER_STATUS else _FOR_PYTHON


@jit
def _tell(
    direct: Direct,
    seq: int,
    time_ns: int,
    position: int,
    behind: int,
    now_ns: int,
    steady_ns: int,
) -> None:
    """The event in direct.event to whom it concerns; its record stands at `position` and ends at `behind`."""
    event = direct.event[0]
    for number in range(direct.registers[F_USED]):
        line = direct.lines[number]
        if line.owner != COMPILED or (line.account != 0 and line.account != event.account):
            continue
        what = _to_the_venue(event) if line.account == 0 else _to_the_client(event)
        if what == _SAYS_NOTHING:
            continue
        done = False
        if what == _IS_TOLD and line.account == 0:
            done = give_order(
                direct.names,
                line,
                direct.kit.writer,
                direct.orders_out,
                event,
                time_ns,
                now_ns,
                steady_ns,
                behind,
            )
        elif what == _IS_TOLD:
            text = direct.text.ctypes.data
            done = give_report(
                direct.names,
                line,
                direct.kit.writer,
                direct.reports_out,
                event,
                text,
                seq,
                time_ns,
                now_ns,
                steady_ns,
                behind,
            )
        if not done:
            hand_over(line, direct.registers, _RECORD, position)


@jit
def _load_event(direct: Direct, record: int, total: int) -> None:
    """The record at this address into direct.event and direct.text. Its fields are whole words and at most EVENT_BYTES,
    its text at most TEXT_BYTES_MAX: `actors.emit` has written it; both are cut to that all the same."""
    at = direct.event.ctypes.data
    payload = record + log.RECORD_HEADER_BYTES
    direct.event.view(np.uint8)[:] = 0
    text_length = min(load_u16(payload + 4), TEXT_BYTES_MAX)
    fields = min(total - log.RECORD_HEADER_BYTES - text_length, EVENT_BYTES)
    copy_words(at, payload, fields)
    copy_words(direct.text.ctypes.data, payload + fields, text_length)


@jit
def _settle(line: Any, kit: Kit, position: int) -> bool:
    """Store what was taken, and from time to time how far the log was told."""
    if line.state_length > 0 and position - line.kept_cursor > CURSOR_LAG_BYTES:
        return keep(line, kit.writer.record, 0, 0, 0, position)
    return settle(line, kit)


@whole
def lines_out(direct: Direct, now_ns: int, steady_ns: int) -> int:
    """Tell the lines what the log says up to gate `written`, and store what was taken; how many records."""
    registers = direct.registers
    base = direct.tail
    segment = load_i64(base + log.SEGMENT_SIZE)
    position = registers[F_POSITION]
    written = load_acquire(base + log.WRITTEN)
    records = 0
    while position < written:
        left = segment - (position & (segment - 1))
        if left < log.RECORD_HEADER_BYTES:  # zeros fill the segment
            position += left
            continue
        record = base + log.DATA + (position & (segment - 1))
        total = load_u16(record + log.R_LENGTH)
        behind = position + ((total + 7) & ~7)
        if load_u16(record + log.R_KIND) == _ORDER:
            _load_event(direct, record, total)
            seq, time_ns = load_i64(record + log.R_SEQ), load_i64(record + log.R_TIME)
            _tell(direct, seq, time_ns, position, behind, now_ns, steady_ns)
            records += 1
        position = behind
        registers[F_POSITION] = position
    registers[F_POSITION] = position
    for number in range(direct.registers[F_USED]):
        line = direct.lines[number]
        if line.owner == COMPILED and not _settle(line, direct.kit, position):
            hand_over(line, registers, _NOTHING, position)
    return records


@whole
def _serve(state: State, out: Out, command: Command, wiring: Wiring) -> int:
    take_ticks(state, wiring)
    return serve_lanes(state, out, command, wiring, 0)


@whole
def run(state: State, out: Out, command: Command, wiring: Wiring, direct: Direct) -> int:
    """Rounds without rest, until a row is Python's or F_STOP is set; the orders and reports taken."""
    registers = direct.registers
    clock = registers.ctypes.data + 8 * F_CLOCK
    before = registers[F_HANDED_OVER]
    total = 0
    while registers[F_HANDED_OVER] == before and load_acquire(registers.ctypes.data + 8 * F_STOP) == 0:
        now_ns = clock_ns(CLOCK_REALTIME, clock)
        steady_ns = clock_ns(CLOCK_MONOTONIC, clock)
        taken_now = lines_in(direct, now_ns, steady_ns)
        served = _serve(state, out, command, wiring)
        if taken_now + served > 0:
            lines_out(direct, now_ns, steady_ns)
        total += taken_now
    return total
