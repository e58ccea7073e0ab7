"""A copy of another host's log: the same bytes at the same positions, in a tail and segment files of its own.

Always holds:
- A record is taken only when it is whole, its CRC-32C is right, and it follows the one before it. What is wrong stops
  the copy with its position named; nothing of it is kept.
- Whole groups are published, as their writer did: whoever reads this tail, or opens it as the next owner, finds no
  command without its events.
- What `synced` says is on this host's disk.

Must not know what is in a record, or where the bytes come from.
"""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from shared_mem import log
from shared_mem.atomics import copy_bytes, load_i64, load_u16, load_u32, store_i64
from shared_mem.flusher import FLUSH_POLL_S, Flusher
from shared_mem.jit import jit
from shared_mem.log import LogCorrupt, LogError, segment_numbers, segment_path
from shared_mem.log_folder import ID_FILE, claim, write_durably
from shared_mem.log_writer import LogWriter

# Of a segment, what is taken at most before it is flushed: the tail holds one segment, and its flusher must keep up.
TAKE_SHARE: Final = 4
# A new owner's numbers begin so far behind the last that it has seen: twelve hours of 100,000 a second that the former
# owner wrote while its standby was away. Two thousand million take-overs are room for.
NUMBERS_SKIPPED: Final = 1 << 32
# By the checksum of so many of its last bytes a copy is known to be one of this log.
PROOF_BYTES: Final = 64 << 10

_TAKEN: Final = 0
_DAMAGED: Final = 1
_OUT_OF_ORDER: Final = 2


@jit
def take_records(
    base: int, data: int, length: int, position: int, seq: int, epoch: int, is_whole: bool
) -> tuple[int, int, int, int]:
    """Copy the records of `length` bytes at address `data` into the tail at `base`, where they begin at `position`, and
    publish them group by group. seq: the next one expected, 0 takes any; is_whole: the bytes end with a group.

    Returns (bytes published, next seq, last epoch, outcome). What is left is to come again, with more behind it."""
    segment = load_i64(base + log.SEGMENT_SIZE)
    at = 0
    published = 0
    closed_seq = seq
    closed_epoch = epoch
    closing = -1  # where the last record ended, when a group may end there
    while at < length:
        offset = (position + at) % segment
        left = segment - offset
        if left < log.RECORD_HEADER_BYTES:
            if length - at < left:
                break
            for word in range(0, left, 8):
                if load_i64(data + at + word) != 0:
                    return published, closed_seq, closed_epoch, _DAMAGED
                store_i64(base + log.DATA + offset + word, 0)
            at += left
            continue
        if length - at < log.RECORD_HEADER_BYTES:
            break
        total = load_u16(data + at + log.R_LENGTH)
        kind = load_u16(data + at + log.R_KIND)
        taken = (total + 7) & ~7
        is_padding = kind == log.KIND_PADDING
        is_sized = taken == left if is_padding else taken <= min(left, log.RECORD_BYTES_MAX)
        if total < log.RECORD_HEADER_BYTES or not is_sized:
            return published, closed_seq, closed_epoch, _DAMAGED
        if taken > length - at:
            break
        if not log.record_is_good(data + at, length - at):
            return published, closed_seq, closed_epoch, _DAMAGED
        if not is_padding:
            found = load_i64(data + at + log.R_SEQ)
            found_epoch = load_u32(data + at + log.R_EPOCH)
            follows = found == seq or (found > seq and found_epoch > epoch)
            if (seq != 0 and not follows) or found_epoch < epoch:
                return published, closed_seq, closed_epoch, _OUT_OF_ORDER
            if kind < log.KIND_CLOSING and closing > published:
                # The next group begins: what stands before it is whole.
                published, closed_seq, closed_epoch = closing, seq, epoch
                log.publish(base, position + published, closed_seq - 1)
            seq = found + 1
            epoch = found_epoch
        copy_bytes(base + log.DATA + offset, data + at, taken)
        at += taken
        if not is_padding:
            closing = at if kind >= log.KIND_CLOSING else -1
    if is_whole and closing > published and closing == at:
        published, closed_seq, closed_epoch = closing, seq, epoch
        log.publish(base, position + published, closed_seq - 1)
    return published, closed_seq, closed_epoch, _TAKEN


class End(NamedTuple):
    """Where a log ends, and the checksum by which it is known: CRC-32 of its last `proven` bytes."""

    position: int
    proven: int
    crc: int


def end_of(log_dir: Path, segment_bytes: int, position: int) -> End:
    """The proof for a log that is on disk up to `position`, as far back as it is kept. Raises LogError."""
    numbers = segment_numbers(log_dir)
    first = numbers[0] * segment_bytes if numbers else position
    begin = max(first, position - PROOF_BYTES)
    crc = 0
    at = begin
    while at < position:
        number, offset = divmod(at, segment_bytes)
        length = min(position - at, segment_bytes - offset)
        try:
            with segment_path(log_dir, number).open("rb") as file:
                file.seek(offset)
                piece = file.read(length)
        except FileNotFoundError:
            raise LogError(
                f"{segment_path(log_dir, number)} is gone: the log is not kept so far back"
            ) from None
        if len(piece) < length:
            raise LogError(f"{segment_path(log_dir, number)} ends before position {position}")
        crc = zlib.crc32(piece, crc)
        at += length
    return End(position, position - begin, crc)


def adopt(log_dir: Path, log_id: int, first_position: int, segment_bytes: int) -> None:
    """Make an empty folder the beginning of a copy: of the log `log_id`, from the segment of `first_position` on."""
    log_dir.mkdir(parents=True, exist_ok=True)
    claim(
        log_dir, log.LAYOUT, log.VERSION
    )  # before there is a segment, which without it would count as an old one
    if first_position:
        with segment_path(log_dir, first_position // segment_bytes).open("wb") as file:
            file.truncate(segment_bytes)
    write_durably(log_dir / ID_FILE, f"{log_id}\n".encode())


class LogCopy:
    """The copy, open for the one process that writes it. Raises LogCorrupt where its own files are damaged."""

    def __init__(self, log_dir: Path, run_dir: Path, shard: int, segment_bytes: int) -> None:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.writer = LogWriter.open(log_dir, run_dir, shard, segment_bytes=segment_bytes)
        self.tail = self.writer.tail
        self._flusher = Flusher(self.writer)
        self._flusher.flush()
        # A start from files alone leaves out numbers that a lost tail may have held. Here none were given out.
        self._next_seq = 0
        self._epoch = 0

    @property
    def position(self) -> int:
        """Where the next bytes belong."""
        return self.tail.written

    @property
    def chunk_bytes(self) -> int:
        """How much `take` takes at once."""
        return self.tail.segment_bytes // TAKE_SHARE

    def take(self, raw: bytes, is_whole: bool) -> int:
        """Take the bytes that follow `position`; how many of them are whole groups and were published. Raises
        LogCorrupt for a record that is damaged or does not follow."""
        assert len(raw) <= self.chunk_bytes, "a chunk is smaller than what the flusher may be behind"
        data = np.frombuffer(raw, np.uint8)
        start = self.position
        used, seq, epoch, outcome = take_records(
            self.tail.address, data.ctypes.data, len(raw), start, self._next_seq, self._epoch, is_whole
        )
        if used:
            self._next_seq, self._epoch = int(seq), int(epoch)
            self.tail.set_word(log.EPOCH, max(self.tail.epoch, self._epoch))
        if outcome != _TAKEN:
            what = "is damaged" if outcome == _DAMAGED else "does not follow the one before it"
            raise LogCorrupt(
                f"a record of what came for position {start} to {start + len(raw)} {what}: good up to "
                f"{start + int(used)}; nothing behind that was kept"
            )
        return int(used)

    def flush(self) -> None:
        """Bring what was taken to this disk; waits while it is full."""
        while self.tail.synced < self.tail.written:
            if self._flusher.flush() == 0:
                time.sleep(FLUSH_POLL_S)

    def skip_numbers(self) -> None:
        """Before this copy becomes the log: what its owner may have given out since the last record that came is never
        numbered again."""
        tail = self.tail
        tail.set_word(log.WRITTEN_SEQ, tail.written_seq + NUMBERS_SKIPPED)
        tail.set_word(log.SEQ_POSITION, tail.written)

    def close(self) -> None:
        self._flusher.close()
        self.writer.close()
