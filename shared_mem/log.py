"""The log: journal, outbox and audit trail in one. Its newest part is a ring in shared memory, all of it is files.

    writer (the shard) -> tail, a ring in shared memory -> flusher -> segment files
                              \\_ readers follow the tail, or the files when they lag

Always holds:
- A position is an absolute byte offset. The same offset names the same byte in the tail and in the files:
  segment file number `position // segment_bytes`, and the tail's `position % tail_bytes`.
- A record is visible when WRITTEN passes it: whole, with its CRC-32C. No record crosses a segment's end.
- The writer never overtakes the flusher: `room` says how much may still be written (actors/shard.py rejects new
  orders when it shrinks). The tail outlives the writer's process; the files outlive the machine's memory.
- The first bad record after everything known to be synced is a torn tail and is cut off; a bad record before
  that is corruption, and stops the start with its place named. Every record says how far behind it the flusher
  was (`synced_lag`), so that any later good record proves the bad one had been durable.

Must not know what is in a record.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from pathlib import Path
from typing import Final

from shared_mem.atomics import (
    CLOCK_BOOTTIME,
    acquire_fence,
    clock_ns,
    copy_bytes,
    crc32c,
    crc32c_step,
    fence,
    load_acquire,
    load_i64,
    load_u16,
    load_u32,
    release_fence,
    store_i64,
    store_release,
    store_u16,
    store_u32,
)
from shared_mem.bell import ring_after_fence
from shared_mem.jit import jit
from shared_mem.segment import HEADER_BYTES, Segment

LAYOUT: Final = "log"
VERSION: Final = 3

# A segment file and the tail: 64 MiB holds the last 150,000 orders for readers without a disk read, and is
# touched page by page. Both are the same size, so that a record that fits one fits the other.
SEGMENT_BYTES: Final = 64 << 20
# Smaller ones leave a reader of the tail no room between the flusher and the writer's pen (PEN_BYTES_MAX).
SEGMENT_BYTES_MIN: Final = 256 << 10

# A record's header. length counts header and payload; the record takes the next multiple of 8.
RECORD_HEADER_BYTES: Final = 32
R_LENGTH: Final = 0  # u2
R_KIND: Final = 2  # u2
R_CRC: Final = 4  # u4, over everything after it and, as its start, length and kind
R_SEQ: Final = 8  # u8
R_TIME: Final = 16  # i8, nanoseconds since 1970
R_EPOCH: Final = 24  # u4
R_SYNCED_LAG: Final = 28  # u4, bytes between this record and the flusher when it was written
_RECORD: Final = struct.Struct("<HHIQqII")

RECORD_BYTES_MAX: Final = 1024
# Of a segment's bytes this share must be free, by `order_room`, for an order to be accepted.
ORDER_ROOM_SHARE: Final = 4
KIND_PADDING: Final = 0xFFFF
# Records that are published together are a group: records of kinds below this, then at least one of another. Of a
# group whose end was torn off, nothing counts.
KIND_CLOSING: Final = 100
# How far past WRITTEN the writer's pen may be: one group.
PEN_BYTES_MAX: Final = 4 * RECORD_BYTES_MAX
SYNCED_LAG_MAX: Final = 0xFFFFFFFF
# A sequence number is an int64. A log is not opened when what is left of them would not last for one epoch: 2**48
# at ten million records a second are eleven months. Positions are held to the same.
NUMBERS_END: Final = (1 << 63) - (1 << 48)

# The tail's control block, each writer's words on lines of their own.
SEGMENT_SIZE: Final = HEADER_BYTES  # segment_bytes = tail_bytes
SHARD: Final = HEADER_BYTES + 8
LOG_ID: Final = HEADER_BYTES + 16
START: Final = HEADER_BYTES + 24  # the first position that this tail holds
EPOCH: Final = HEADER_BYTES + 32
WRITTEN: Final = 128
WRITTEN_SEQ: Final = 136  # of the last record before SEQ_POSITION
SEQ_POSITION: Final = 144  # = WRITTEN, but for the moment of a publish
PREVIOUS_SEQ: Final = 152  # what WRITTEN_SEQ was before the last publish
SYNCED: Final = 256  # the flusher's line, to FLUSH_NS_TOTAL
DISK_END: Final = (
    264  # where the space ends that the disk has for the log: NO_END unless a reservation failed
)
FLUSHES: Final = 272
FLUSH_BYTES: Final = 280  # of the last flush
FLUSH_NS: Final = 288  # from the time in its oldest record to its fdatasync's return: the flush window
FLUSH_BYTES_MAX: Final = 296
FLUSH_NS_MAX: Final = 304
FLUSH_NS_TOTAL: Final = 312
REPLICATED: Final = 320  # the replicator's line: a standby has everything up to here on its disk
# Until when, in ns of the machine's time since boot, the standby counts as there; 0: no order waits for one.
STANDBY_UNTIL: Final = 328
DEGRADED: Final = (
    336  # not 0: the standby is away, and gate `replicated` stands where `synced` does, as configured
)
GRANTED_UNTIL: Final = 344  # as LEASE_UNTIL, by the standby's word over the link (shared_mem/lease.py)
BELLS: Final = 384  # one line a reader: its bell (shared_mem/bell.py), then where it reads and who it is
BELL_STRIDE: Final = 64
READER_POSITION: Final = 16
READER_PID: Final = 24  # 0: gone
# The owner's line. Until when, in ns of the time since boot, what the log asks for may leave; 0: no lease is kept.
LEASE_UNTIL: Final = 3072
FENCED: Final = 3080  # not 0: another host owns the shard. It stays
NO_END: Final = 1 << 62
DATA: Final = 4096


class Reader(IntEnum):
    """Who follows the log: each has its bell in the tail, so that the writer can wake it."""

    FLUSHER = 0
    FIX = 1
    GATEWAY = 2
    FIX_DOOR = 3
    PUBLISHER = 4
    SNAPSHOTS = 5
    AUDIT = 6
    DROP_COPY = 7
    VENUE_COPY = 8
    STANDBY = 9
    BINARY_DOOR = 10


READERS: Final = len(Reader)
assert BELLS + READERS * BELL_STRIDE <= LEASE_UNTIL


class Gate(IntEnum):
    """How far the log must have got before an effect may leave. The value is the bell flag that waits for it."""

    WRITTEN = 1
    SYNCED = 2
    REPLICATED = 3


class LogError(RuntimeError):
    """The log can't be opened or read as asked. The text names the place and the remedy."""


class LogCorrupt(LogError):
    """Bytes that had been on disk are not what was written. position: the first known to be bad, -1 where none is."""

    def __init__(self, text: str, position: int = -1) -> None:
        super().__init__(text)
        self.position = position


class CursorInvalid(LogError):
    pass


class LogExhausted(LogError):
    pass


@jit
def put_record(
    target: int,
    kind: int,
    seq: int,
    time_ns: int,
    epoch: int,
    synced_lag: int,
    payload: int,
    length: int,
    text: int = 0,
    text_length: int = 0,
) -> int:
    """Write one record at address `target`; returns the bytes it takes. Its payload are `length` bytes at one address
    and `text_length` at another; where there is text, `length` is a multiple of 8 and whole words of text are readable.

    The checksum is taken of each word on its way: one pass over memory."""
    total = RECORD_HEADER_BYTES + length + text_length
    taken = (total + 7) & ~7
    store_u16(target + R_LENGTH, total)
    store_u16(target + R_KIND, kind)
    epoch_and_lag = (epoch & 0xFFFFFFFF) | min(synced_lag, SYNCED_LAG_MAX) << 32
    store_i64(target + R_SEQ, seq)
    store_i64(target + R_TIME, time_ns)
    store_i64(target + R_EPOCH, epoch_and_lag)
    crc = crc32c_step((total | kind << 16) ^ 0xFFFFFFFF, seq)
    crc = crc32c_step(crc32c_step(crc, time_ns), epoch_and_lag)
    at = target + RECORD_HEADER_BYTES
    for offset in range(0, length & ~7, 8):
        word = load_i64(payload + offset)
        store_i64(at + offset, word)
        crc = crc32c_step(crc, word)
    at += length & ~7
    if length & 7:
        store_i64(at, 0)
        copy_bytes(at, payload + (length & ~7), length & 7)
        crc = crc32c_step(crc, load_i64(at))
    for offset in range(0, text_length, 8):
        word = load_i64(text + offset)
        if text_length - offset < 8:
            word &= (1 << 8 * (text_length - offset)) - 1
        store_i64(at + offset, word)
        crc = crc32c_step(crc, word)
    store_u32(target + R_CRC, crc ^ 0xFFFFFFFF)
    return taken


@jit
def record_is_good(at: int, room: int) -> bool:
    """Whether a whole record with the right checksum stands at address `at`, within `room` bytes."""
    if room < RECORD_HEADER_BYTES:
        return False
    total = load_u16(at + R_LENGTH)
    taken = (total + 7) & ~7
    if total < RECORD_HEADER_BYTES or taken > room:
        return False
    start = total | load_u16(at + R_KIND) << 16
    return load_u32(at + R_CRC) == crc32c(at + R_SEQ, taken - R_SEQ, start)


@jit
def put_padding(target: int, room: int) -> None:
    """Fill the rest of a segment: a record of its own when there is room for a header, else zeros."""
    if room < RECORD_HEADER_BYTES:
        for offset in range(0, room, 8):
            store_i64(target + offset, 0)
        return
    store_u16(target + R_LENGTH, room)
    store_u16(target + R_KIND, KIND_PADDING)
    for offset in range(R_SEQ, room, 8):
        store_i64(target + offset, 0)
    store_u32(target + R_CRC, crc32c(target + R_SEQ, room - R_SEQ, room | KIND_PADDING << 16))


@jit
def publish(base: int, position: int, seq: int) -> None:
    """Make everything before `position` visible: the gate `written`. WRITTEN decides: a writer that dies before
    it is stored leaves in PREVIOUS_SEQ what belongs to the old one (`Tail.written_seq`)."""
    store_release(base + PREVIOUS_SEQ, load_i64(base + WRITTEN_SEQ))
    store_release(base + SEQ_POSITION, position)
    store_release(base + WRITTEN_SEQ, seq)
    store_release(base + WRITTEN, position)
    release_fence()  # before the next record overwrites what a slow reader may be copying (docs/memory-order.md)


@jit
def room(base: int, position: int) -> int:
    """Bytes that may be written at `position` before the flusher would be overtaken."""
    return load_i64(base + SEGMENT_SIZE) - (position - load_acquire(base + SYNCED))


@jit
def order_room(base: int, position: int) -> int:
    """As `room`, for what can be refused: it shrinks, at half the pace, with what the disk has left, so that cancels
    and reports find the rest. With nothing left on the disk it is just too little to accept an order."""
    left = room(base, position)
    on_disk = load_acquire(base + DISK_END) - position
    if on_disk <= 0:
        return min(left, load_i64(base + SEGMENT_SIZE) // ORDER_ROOM_SHARE - 1)
    return min(left, on_disk // 2)


@jit
def standby_is_away(base: int, scratch: int) -> bool:
    """Whether orders wait for a standby that has not been heard of for too long. scratch: address of 16 bytes."""
    until = load_acquire(base + STANDBY_UNTIL)
    return until != 0 and clock_ns(CLOCK_BOOTTIME, scratch) > until


@jit
def ring_bells(base: int, fds: int, gate: int) -> None:
    """Wake every reader that waits for `gate`. fds: address of READERS int64 descriptors."""
    fence()
    for reader in range(READERS):
        ring_after_fence(base + BELLS + reader * BELL_STRIDE, load_i64(fds + 8 * reader), gate)


@jit
def scan(data: int, length: int, seq: int, epoch: int) -> tuple[int, int, int, int, int]:
    """Walk good records from address `data`: (bytes walked, next seq, last epoch, bytes up to the end of the last
    whole group, next seq there); the last two are -1 when no group ends here.

    It stops at the first record that is bad or out of sequence. `seq` is the first one expected; 0 takes any.
    """
    at = 0
    closed = closed_seq = -1
    while at + RECORD_HEADER_BYTES <= length and record_is_good(data + at, length - at):
        total = load_u16(data + at + R_LENGTH)
        kind = load_u16(data + at + R_KIND)
        if kind != KIND_PADDING:
            found = load_i64(data + at + R_SEQ)
            found_epoch = load_u32(data + at + R_EPOCH)
            follows = found == seq or (found > seq and found_epoch > epoch)
            if (seq != 0 and not follows) or found_epoch < epoch:
                break
            seq = found + 1
            epoch = found_epoch
        at += (total + 7) & ~7
        if KIND_CLOSING <= kind != KIND_PADDING:
            closed, closed_seq = at, seq
    return at, seq, epoch, closed, closed_seq


@jit
def last_record(data: int, length: int) -> int:
    """Of the records from address `data` on, the offset of the one that ends at `length`; -1 where none ends there, or
    it is bad. The others are stepped over by their lengths alone."""
    at = 0
    last = -1
    while at + RECORD_HEADER_BYTES <= length:
        total = load_u16(data + at + R_LENGTH)
        if total < RECORD_HEADER_BYTES:
            return -1
        last = at
        at += (total + 7) & ~7
    return last if at == length and last >= 0 and record_is_good(data + last, length - last) else -1


def place_of(position: int, segment_bytes: int) -> str:
    """A position in words: the file, and where in it."""
    number, offset = divmod(position, segment_bytes)
    return f"{segment_path(Path(), number)} at offset {offset} (position {position})"


def segment_path(log_dir: Path, number: int) -> Path:
    return log_dir / f"{number:010d}.log"


def segment_numbers(log_dir: Path) -> list[int]:
    """Of the segment files that are kept, oldest first."""
    return sorted(int(path.stem) for path in log_dir.glob("*.log"))


def tail_path(run_dir: Path) -> Path:
    return run_dir / "log.tail"


class Tail:
    """The mapped tail, and its few words by name."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.address = segment.address
        self.segment_bytes = self.word(SEGMENT_SIZE)
        self.shard = self.word(SHARD)

    @classmethod
    def attach(cls, run_dir: Path) -> Tail:
        return cls(Segment.attach(tail_path(run_dir), LAYOUT, VERSION))

    def word(self, offset: int) -> int:
        """One of the words that are named above."""
        return int(load_word(self.address + offset))

    def set_word(self, offset: int, value: int) -> None:
        store_word(self.address + offset, value)

    @property
    def log_id(self) -> int:
        return self.word(LOG_ID)

    @property
    def start(self) -> int:
        return self.word(START)

    @property
    def epoch(self) -> int:
        return self.word(EPOCH)

    @property
    def written(self) -> int:
        return self.word(WRITTEN)

    @property
    def written_seq(self) -> int:
        """Of the last record before `written`. The writer's own, or a dead writer's: not while one publishes."""
        return self.word(WRITTEN_SEQ if self.word(SEQ_POSITION) == self.written else PREVIOUS_SEQ)

    @property
    def synced(self) -> int:
        return self.word(SYNCED)

    def reached(self, gate: Gate) -> int:
        """The position up to which effects may leave at this gate."""
        if gate is Gate.REPLICATED and not self.word(DEGRADED):
            return self.word(REPLICATED)
        return self.written if gate is Gate.WRITTEN else self.synced

    def copy(self, position: int, length: int) -> bytes | None:
        """Bytes from the ring, not across a segment's end; None when the writer may have overwritten them."""
        if position < self.start:
            return None
        offset = DATA + position % self.segment_bytes
        raw = bytes(self.segment.view[offset : offset + length])
        written = int(load_word_after(self.address + WRITTEN))
        return raw if written + PEN_BYTES_MAX - position <= self.segment_bytes else None


@jit
def load_word_after(address: int) -> int:
    """As `load_word`, and not before what was read so far: an acquire orders only what comes behind it."""
    acquire_fence()
    return load_acquire(address)


@jit
def load_word(address: int) -> int:
    return load_acquire(address)


@jit
def store_word(address: int, value: int) -> int:
    store_release(address, value)
    return value
