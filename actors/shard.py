"""The shard: one thread, compiled, that takes commands from its rings, applies them and writes the log.

Always holds:
- It is the only writer of its state and of its log. A command's records are published together, then its slot in
  the ring is given back; a command that was published is never taken again, also by a successor (`lane_seq`).
- Cancels and venue reports come before orders, and are taken when orders no longer are: see ROOM.
- It never waits for a reader, and does nothing but its loop: no allocation, no interpreter, no GIL.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from actors.ahead import Ahead
from actors.amended import Watch, settle
from actors.apply import journal_and_apply
from actors.emit import (
    P_BASE,
    P_EPOCH,
    P_POSITION,
    P_SEGMENT,
    P_SEQ,
    P_TIME,
    Command,
    Out,
    command_slot,
    make_pen,
)
from actors.face import Account, Face, Group, Instrument
from actors.instrument import instrument_row, on_tick
from actors.prefetch import look_ahead
from actors.recovery import Begun, Offer, begin, is_not_cut_short
from actors.replay import Replica
from actors.report import is_new_report
from actors.snapshot import state_hash
from actors.state_file import create_state, publish_state
from actors.tables import LANES_MAX, R_COMMANDS, R_EPOCH, R_LANES, R_TIME, Array, Capacity, State, copy_words
from actors.view import StateView
from core.logged import LOGGED_BYTES
from core.records import (
    COMMAND_BYTES,
    FIELDS_BYTES,
    FLAG_LOG_FULL,
    FLAG_STANDBY_AWAY,
    LANE_SHIFT,
    RECORDS_VERSION,
    TEXT_BYTES_MAX,
    TICK,
    TICK_BYTES,
    CommandKind,
)
from shared_mem import broadcast, log, ring
from shared_mem.atomics import (
    CLOCK_REALTIME,
    clock_ns,
    copy_bytes,
    load_acquire,
    poll_readable,
    read_fd,
)
from shared_mem.bell import DRAIN_BYTES, PARKED, Bell, clear_flag, park_flag
from shared_mem.broadcast import Broadcast
from shared_mem.flusher import Flusher
from shared_mem.idle import Idle, idle_step
from shared_mem.jit import jit
from shared_mem.log import Reader, store_word
from shared_mem.log_folder import claim, readable
from shared_mem.log_reader import LogReader
from shared_mem.log_view import LogView
from shared_mem.log_writer import LogWriter
from shared_mem.ring import Ring

_log: Final = logging.getLogger("tradewind.shard")


class Lane(IntEnum):
    """A shard's rings. The numbers stand in the log; SERVED says in which order they are served."""

    CANCELS_GATEWAY = 1
    CANCELS_FIX_DOOR = 2
    REPORTS_VENUE = 3
    ADMIN = 4
    BREAKS = 5
    ORDERS_GATEWAY = 6
    ORDERS_FIX_DOOR = 7
    CANCELS_BINARY_DOOR = 8
    ORDERS_BINARY_DOOR = 9


LANE_FILES: Final = {
    Lane.CANCELS_GATEWAY: "cancels.gateway",
    Lane.CANCELS_FIX_DOOR: "cancels.fix_door",
    Lane.REPORTS_VENUE: "reports.venue",
    Lane.ADMIN: "admin",
    Lane.BREAKS: "breaks",
    Lane.ORDERS_GATEWAY: "orders.gateway",
    Lane.ORDERS_FIX_DOOR: "orders.fix_door",
    Lane.CANCELS_BINARY_DOOR: "cancels.binary_door",
    Lane.ORDERS_BINARY_DOOR: "orders.binary_door",
}
_ORDERS: Final = (Lane.ORDERS_GATEWAY, Lane.ORDERS_FIX_DOOR, Lane.ORDERS_BINARY_DOOR)
_CANCELS: Final = (Lane.CANCELS_GATEWAY, Lane.CANCELS_FIX_DOOR, Lane.CANCELS_BINARY_DOOR)
SERVED: Final = np.array([*_CANCELS, Lane.REPORTS_VENUE, Lane.ADMIN, Lane.BREAKS, *_ORDERS], np.int64)
FIRST_ORDER_PLACE: Final = len(SERVED) - len(_ORDERS)
assert sorted(SERVED) == list(range(1, len(Lane) + 1))
assert len(Lane) < LANES_MAX  # the register of lane 0 is that of what came by none
BELL_FILE: Final = "bell.shard"
TICKS_FILE: Final = "ticks"

# A lane holds what a door may have sent while the shard was away for a moment: a quarter second at 16,000/s.
LANE_CAPACITY: Final = 4096
# Ticks: ten minutes of the default replay, a fraction of a second of a burst; the newest quote wins anyway.
TICKS_CAPACITY: Final = 65_536

# At most this many commands of one lane before the others are looked at, so that an order flood delays a cancel
# by some microseconds; and ticks likewise.
LANE_BATCH: Final = 32
TICK_BATCH: Final = 256

# ROOM, as shares of the tail that must be free: below the first (log.ORDER_ROOM_SHARE), orders are rejected with
# LOG_FULL; below the second they stay in their ring; below the third everything does, until the flusher has caught
# up. A disk that fills counts for orders alone (log.order_room).
ROOM_HOLD_SHARE: Final = 8
ROOM_STOP_SHARE: Final = 32

# By more than this the log's time is ahead of the clock only when that was set back: within a batch it is ahead by a
# nanosecond a command.
CLOCK_SET_NS: Final = 1_000_000

# An order and its event take at least so much of the log: by it a recovery knows how many it may meet.
ORDER_BYTES_MIN: Final = 2 * log.RECORD_HEADER_BYTES + int(LOGGED_BYTES[int(CommandKind.NEW_ORDER)])

# Words of the control block.
C_STOP: Final = 0
C_TICK_SEQUENCE: Final = 1
C_TICKS_MISSED: Final = 2
C_DROPPED_REPORTS: Final = 3
C_SCRATCH: Final = 8  # struct pollfd, struct timespec
C_DRAIN: Final = 16  # DRAIN_BYTES for the FIFO
CONTROL_WORDS: Final = C_DRAIN + DRAIN_BYTES // 8

_REPORTS: Final = int(Lane.REPORTS_VENUE)
_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_REPLACE: Final = int(CommandKind.REPLACE)
_VENUE_REPORT: Final = int(CommandKind.VENUE_REPORT)
_VENUE_STATUS: Final = int(CommandKind.VENUE_STATUS)


class Wiring(NamedTuple):
    """Addresses and descriptors of what the loop polls, as plain numbers."""

    lanes: Array  # int64: address of each lane's ring, by Lane - 1
    control: Array  # int64 (CONTROL_WORDS,)
    tick: Array  # TICK (1,), the tick being taken
    ticks: int  # address of the broadcast ring
    slot: int  # address of the command slot
    bell_flag: int
    bell_fd: int
    reader_fds: int  # address of the log readers' descriptors


@jit
def take_ticks(state: State, wiring: Wiring) -> int:
    """Bring the quotes up to date with the broadcast ring: how many ticks it took."""
    control = wiring.control
    taken = 0
    while taken < TICK_BATCH:
        sequence = control[C_TICK_SEQUENCE]
        outcome = broadcast.read(wiring.ticks, sequence, wiring.tick.ctypes.data)
        if outcome == 0:
            break
        if outcome < 0:
            oldest = max(broadcast.oldest_sequence(wiring.ticks), sequence + 1)
            control[C_TICKS_MISSED] += oldest - sequence
            control[C_TICK_SEQUENCE] = oldest
            continue
        control[C_TICK_SEQUENCE] = sequence + 1
        on_tick(state, wiring.tick)
        taken += 1
    return taken


@jit
def stamp_quote(state: State, command: Command, now_ns: int, log_ns: int) -> None:
    """Put the live quote into the order: what the decision sees, and what the log keeps. When the clock was set back,
    the log's time is ahead of it: a quote published by the clock as it is now keeps its age in the log's time."""
    order = command.order[0]
    row = instrument_row(state, int(order.instrument))
    order.bid_e8 = 0
    order.ask_e8 = 0
    order.quote_time_ns = 0
    if row >= 0:
        quote = state.quotes[row]
        order.bid_e8 = quote.bid_e8
        order.ask_e8 = quote.ask_e8
        order.quote_time_ns = quote.quote_time_ns
        if log_ns - now_ns > CLOCK_SET_NS and 0 < quote.quote_time_ns <= now_ns:
            order.quote_time_ns += log_ns - now_ns


@jit
def take_command(
    state: State, out: Out, command: Command, wiring: Wiring, lane: int, room: int, closed: int, now_ns: int
) -> bool:
    """Take the oldest command of a lane, if there is one. room: bytes free in the log; closed: the flag with which an
    order is refused all the same, or 0; now_ns: wall clock."""
    pen = out.pen
    source = wiring.lanes[lane - 1]
    record = ring.front(source)
    if record == 0:
        return False
    copy_bytes(wiring.slot, record, FIELDS_BYTES)
    head = command.head[0]
    head.text_length = min(head.text_length, TEXT_BYTES_MAX)  # a producer is not trusted with this memory
    copy_words(wiring.slot + FIELDS_BYTES, record + FIELDS_BYTES, int(head.text_length))
    if (head.kind == _VENUE_REPORT or head.kind == _VENUE_STATUS) and not is_new_report(state, command):
        wiring.control[C_DROPPED_REPORTS] += 1
        ring.release_front(source)
        return True
    flags = lane << LANE_SHIFT
    if head.kind == _NEW_ORDER or head.kind == _REPLACE:
        stamp_quote(state, command, now_ns, pen[P_TIME] + 1)
        if room < pen[P_SEGMENT] // log.ORDER_ROOM_SHARE:
            flags |= FLAG_LOG_FULL
        flags |= closed
    head.flags = flags
    head.lane_seq = ring.front_name(source)
    pen[P_TIME] = max(now_ns, pen[P_TIME] + 1)
    journal_and_apply(state, out, command)
    log.publish(pen[P_BASE], pen[P_POSITION], pen[P_SEQ] - 1)
    ring.release_front(source)
    return True


@jit
def serve_lanes(state: State, out: Out, command: Command, wiring: Wiring, now_ns: int) -> int:
    """One round over all lanes: how many commands it took. now_ns: the time, 0 for the wall clock's.

    The clock is read once for the batch of a lane: a batch takes some microseconds, and the call a tenth of an order's
    time. Within it each command is a nanosecond later than the one before."""
    pen = out.pen
    size = pen[P_SEGMENT]
    scratch = wiring.control.ctypes.data + 8 * C_SCRATCH
    taken = 0
    for place in range(len(SERVED)):
        lane = SERVED[place]
        if ring.front(wiring.lanes[lane - 1]) == 0:
            continue
        now = now_ns if now_ns != 0 else clock_ns(CLOCK_REALTIME, scratch)
        closed = 0
        if place >= FIRST_ORDER_PLACE and log.standby_is_away(pen[P_BASE], scratch):
            closed = FLAG_STANDBY_AWAY
        for _ in range(LANE_BATCH):
            room = log.room(pen[P_BASE], pen[P_POSITION])
            if room < size // ROOM_STOP_SHARE:
                break
            if place >= FIRST_ORDER_PLACE:
                room = log.order_room(pen[P_BASE], pen[P_POSITION])
                if room < size // ROOM_HOLD_SHARE:
                    break
            if place >= FIRST_ORDER_PLACE or lane == _REPORTS:
                look_ahead(state, wiring.lanes[lane - 1])
            if not take_command(state, out, command, wiring, lane, room, closed, now):
                break
            taken += 1
    if taken > 0:
        log.ring_bells(pen[P_BASE], wiring.reader_fds, 1)
    return taken


@jit
def _has_work(wiring: Wiring) -> bool:
    for lane in range(len(wiring.lanes)):
        if ring.front(wiring.lanes[lane]) != 0:
            return True
    return False


@jit
def park(wiring: Wiring, milliseconds: int) -> bool:
    """Sleep on the bell, at most so long; True when something is to be done."""
    park_flag(wiring.bell_flag, PARKED)
    control = wiring.control.ctypes.data
    rung = _has_work(wiring) or poll_readable(control + 8 * C_SCRATCH, wiring.bell_fd, milliseconds) == 1
    clear_flag(wiring.bell_flag)
    if rung:
        read_fd(wiring.bell_fd, control + 8 * C_DRAIN, DRAIN_BYTES)
    return rung


@jit
def run(state: State, out: Out, command: Command, wiring: Wiring, idle: Idle) -> int:
    """The loop: until C_STOP is set and every lane is empty. Returns the commands it took."""
    stop = wiring.control.ctypes.data + 8 * C_STOP
    total = 0
    quiet = 0
    while take_ticks(state, wiring) > 0:
        continue  # what a predecessor's readers saw: the first order meets the newest quote
    while True:
        stopping = load_acquire(stop)  # before the lanes are looked at: what was pushed before it is served
        ticks = take_ticks(state, wiring)
        taken = serve_lanes(state, out, command, wiring, 0)
        total += taken
        if taken + ticks > 0:
            quiet = 0
            continue
        if stopping != 0:
            return total
        quiet += 1
        if idle_step(idle, quiet) and park(wiring, idle.park_ms):
            quiet = 0


class Recovered(NamedTuple):
    """What `Shard.recover` found."""

    snapshot_seq: int  # 0: none was used
    seq: int
    commands_replayed: int
    state_hash: str


class Shard:
    """One shard in this process: recover, start, stop."""

    def __init__(
        self,
        log_dir: Path,
        run_dir: Path,
        number: int = 0,
        *,
        capacity: Capacity | None = None,
        segment_bytes: int = log.SEGMENT_BYTES,
        idle: Idle | None = None,
    ) -> None:
        self.run_dir = run_dir
        self._log_dir = log_dir
        self._number = number
        self._capacity = capacity or Capacity()
        self._segment_bytes = segment_bytes
        self._idle = idle or Idle()
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread: threading.Thread | None = None

    def recover(
        self,
        offers: Sequence[Offer] = (),
        *,
        epoch: int = 0,
        first_seq: int = 1,
        taken_over: int = 0,
        progress: Callable[[int, int], None] | None = None,
        watch: Watch | None = None,
    ) -> Recovered:
        """Bring the state back: the newest snapshot that can be used, then the log's tail. Raises LogError or
        SegmentError; then nothing was published, and of the log at most a torn tail was cut. epoch: this owner's, where
        somebody gives them out; it is never lower than the log's. first_seq: of a new log's records. taken_over: the
        epoch in which this host took the log over from another, if it did: what an earlier owner had beyond the log's
        end was given up then. watch: is told what is being replayed."""
        self._open_log(offers, epoch, first_seq, taken_over)
        begun = self._begin(offers)
        replica = Replica(self._capacity, self._segment_bytes, self.state)
        self._ahead = Ahead(self._segment, self.state)
        self._ahead.prepare((self.writer.position - replica.position) // ORDER_BYTES_MIN)
        before = int(self.state.registers[R_COMMANDS])
        reader = LogReader(self._log_dir, self.run_dir, Reader.AUDIT, replica.position)
        replica.follow(reader, progress, watch)
        reader.close()
        if replica.position != self.writer.position:
            raise log.LogCorrupt(
                f"the log ends at position {self.writer.position}, and can be replayed to {replica.position} only: "
                "restore the log from a copy or a standby",
                replica.position,
            )
        self.writer.go_on_after(replica.seq, int(self.state.registers[R_EPOCH]))
        settle(self._log_dir, replica.position)
        self._wire()
        publish_state(self.run_dir, self.writer.tail.epoch)
        return Recovered(
            begun.offer.seq if begun.offer else 0,
            replica.seq,
            int(self.state.registers[R_COMMANDS]) - before,
            state_hash(self.state),
        )

    def _open_log(self, offers: Sequence[Offer], epoch: int, first_seq: int, taken_over: int) -> None:
        def witness(end: int, last_epoch: int) -> None:
            is_not_cut_short(offers, self._log_dir, end, max(last_epoch, taken_over), self._segment_bytes)

        readable(self._log_dir, "records", RECORDS_VERSION)
        self.writer = LogWriter.open(
            self._log_dir,
            self.run_dir,
            self._number,
            epoch=epoch,
            first_seq=first_seq,
            segment_bytes=self._segment_bytes,
            witness=witness,
        )
        claim(self._log_dir, "records", RECORDS_VERSION)

    def _begin(self, offers: Sequence[Offer]) -> Begun:
        def fresh() -> State:
            self._segment, state = create_state(self.run_dir, self._capacity)
            self._segment.advise_huge()
            return state

        view = LogView(self._log_dir, self._segment_bytes, self.writer.position, self.writer.tail)
        begun = begin(offers, fresh, view)
        for line in begun.refused:
            _log.error("%s", line)
        self.state = begun.state
        return begun

    def _wire(self) -> None:
        self._bell = Bell.create(self.run_dir / BELL_FILE)
        self.lanes = {
            lane: Ring.create(self.run_dir / file, COMMAND_BYTES, LANE_CAPACITY, bell=self._bell)
            for lane, file in LANE_FILES.items()
        }
        for lane, lane_ring in self.lanes.items():
            ring.skip_through(lane_ring.address, int(self.state.registers[R_LANES + lane]))
        self._ticks = Broadcast.create(self.run_dir / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY)
        self.control = np.zeros(CONTROL_WORDS, np.int64)
        self.control[C_TICK_SEQUENCE] = broadcast.oldest_sequence(self._ticks.address)
        self.command = command_slot()
        tail = self.writer.tail
        self.out = make_pen(tail.address, tail.segment_bytes, tail.segment_bytes, self.command)
        pen = self.out.pen
        pen[P_POSITION], pen[P_SEQ], pen[P_EPOCH] = self.writer.position, self.writer.next_seq, tail.epoch
        pen[P_TIME] = self.state.registers[R_TIME]
        self._tick_buffer = np.zeros(TICK_BYTES, np.uint8)
        self.wiring = Wiring(
            np.array([self.lanes[lane].address for lane in Lane], np.int64),
            self.control,
            self._tick_buffer[: TICK.itemsize].view(TICK),
            self._ticks.address,
            int(self.command.raw.ctypes.data),
            self._bell.flag,
            self._bell.fileno(),
            int(self.writer.bell_fds.ctypes.data),
        )

    @property
    def face(self) -> Face:
        """Its actors, to look at; of a shard that is recovered."""
        return Face(StateView.attach(self.run_dir))

    def account(self, number: int) -> Account | None:
        """The account as it is now: money, levels, limits. None: there is none."""
        return self.face.account(number)

    def instrument(self, number: int) -> Instrument | None:
        return self.face.instrument(number)

    def group(self, number: int) -> Group | None:
        return self.face.group(number)

    def start(self) -> None:
        """Begin to take commands, in a thread of its own; the flusher in another."""
        self._ahead.start()
        self.flusher = Flusher(self.writer)
        self.flusher.start()
        self._thread = threading.Thread(target=self._run, name="shard", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        run(self.state, self.out, self.command, self.wiring, self._idle)

    def stop(self) -> None:
        """Serve what is in the rings, flush, and end."""
        assert self._thread is not None, "stop() before start()"
        store_word(self.control.ctypes.data + 8 * C_STOP, 1)
        self._bell.ring()
        self._thread.join()
        self._ahead.stop()
        self.flusher.stop()
        self.writer.close()
        self._bell.close()
