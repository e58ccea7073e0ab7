"""The durable store of one FIX session: its sequence numbers, what it sent, and its application's own bytes.

One append is one record: the expected inbound number, the messages sent and the application's state go in
together or not at all. So "took message n and answered with m1..mk, having read the log up to p" is one fact,
and a kill -9 at any instruction leaves it whole or absent.

Always holds here:
- What `append` returned from is in the file (with `sync`, on the disk) before any byte of it leaves.
- A sequence number that was appended is never given out again, over any restart. So with `sync` an opened store is
  first made durable as it is found.
- A record that is cut short or damaged at the end of the newest segment is a torn tail and is truncated when
  the store is opened. Damage with a whole record behind it, or in an older segment, is corruption:
  StoreCorrupt.
- In memory is where the messages of the newest segment begin (4 bytes each), no contents: a store that grows all day
  takes no more memory in the evening. A resend out of an older segment reads that one through.
- The next appends have room on the disk (`fix/disk_room.py`). Where that can't be renewed the store says so
  (`is_short`) while half of it is left: for cancels and for what the peer says, not for new orders. A full disk begins
  no new segment; the present one goes on.

The bound: segments of SEGMENT_BYTES_MAX, the newest SEGMENTS_MAX are kept (about 1 GiB, some four million
messages); a resend that reaches further back is gap filled. A reset of the numbers drops them all.

Must not do: know what a message says, or the time.

Layout of a segment `<index>.fix`: records, little-endian: magic u4, CRC-32 of the rest u4, length of the body
u4, then the body: next_in u8, next_out u8 (before the messages of this record), generation u4, count u4,
length of the state u4 (NO_STATE: unchanged), the state, then per message admin u1, length u4, bytes. The
first record of a segment has the state and no messages, so that a segment needs none of those before it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fix.disk_room import FULL, reserve
from fix.session import Sent, Stored

SEGMENT_BYTES_MAX: Final = 16 * 1024 * 1024  # scanned whole when the store is opened: 0.2 s
SEGMENTS_MAX: Final = 64
# The application keeps a cursor and some ids here. More would be a second database.
STATE_BYTES_MAX: Final = 64 * 1024
# Room ahead, for a session that is one of many: a thousand cancels or reports in the half that is left to them.
RESERVED_BYTES: Final = 1024 * 1024
# One append: what an application may answer to one message, and a batch of executions.
APPEND_BYTES_MAX: Final = 8 * 1024 * 1024

MAGIC: Final = 0x54574653  # "SFWT"
HEAD: Final = struct.Struct("<III")
BODY: Final = struct.Struct("<QQIII")
MESSAGE: Final = struct.Struct("<BI")
NO_STATE: Final = 0xFFFF_FFFF


class StoreError(Exception):
    """The store can't be used. The process must end: what it would send next could not be remembered."""


class StoreCorrupt(StoreError):
    """Damage that is not a torn tail. Names the file and the byte."""


class _Record(NamedTuple):
    end: int
    next_in: int
    next_out: int
    generation: int
    state: bytes | None
    messages: list[tuple[bool, int]]  # admin, offset in the file


def _read_record(data: bytes, at: int) -> _Record | None:
    """The record at `at`, or None when no whole, undamaged one is there."""
    if len(data) - at < HEAD.size:
        return None
    magic, crc, length = HEAD.unpack_from(data, at)
    begin, end = at + HEAD.size, at + HEAD.size + length
    if magic != MAGIC or length < BODY.size or end > len(data):
        return None
    if zlib.crc32(memoryview(data)[at + 8 : end]) != crc:
        return None
    next_in, next_out, generation, count, state_length = BODY.unpack_from(data, begin)
    at = begin + BODY.size
    state = None
    if state_length != NO_STATE:
        state = data[at : at + state_length]
        at += state_length
    messages = []
    for _ in range(count):
        admin, size = MESSAGE.unpack_from(data, at)
        at += MESSAGE.size
        messages.append((bool(admin), at))
        at += size
    assert at == end, "the checksum is right, so the lengths are"
    return _Record(end, next_in, next_out, generation, state, messages)


def _write_record(
    next_in: int, next_out: int, generation: int, state: bytes | None, messages: Sequence[Sent]
) -> bytes:
    parts = [
        BODY.pack(next_in, next_out, generation, len(messages), NO_STATE if state is None else len(state))
    ]
    if state is not None:
        parts.append(state)
    for sent in messages:
        raw = b"" if sent.admin else sent.raw  # an admin message is never sent again; its number is enough
        parts += (MESSAGE.pack(sent.admin, len(raw)), raw)
    body = b"".join(parts)
    length = len(body).to_bytes(4, "little")
    return HEAD.pack(MAGIC, zlib.crc32(body, zlib.crc32(length)), len(body)) + body


def whole_bytes(data: bytes) -> int:
    """How many of these bytes, which begin with a record, are whole and undamaged records."""
    at = 0
    while (record := _read_record(data, at)) is not None:
        at = record.end
    return at


class _Segment:
    """One file. `offsets[i]` is where message first_seq + i begins, 0 for an admin message; none unless `scanned`."""

    def __init__(self, path: Path, first_seq: int) -> None:
        self.path = path
        self.first_seq = first_seq
        self.offsets = array("I")
        self.scanned = False

    def add(self, admin: bool, offset: int) -> None:
        self.offsets.append(0 if admin else offset)

    def forget(self) -> None:
        """Where its messages begin: `_scan` finds it again. A new array, for a resend may be reading from the old."""
        self.offsets = array("I")
        self.scanned = False


class Store:
    """One session's store, in `folder`, which is made when missing. One process at a time has it open.

    `next_in`, `next_out`, `state` and `generation` are as of the last append. `generation` counts the resets.
    `sync`: each append ends with fdatasync (gate "synced"). `reserved_bytes`: of disk, ahead of what is written. Raises
    StoreCorrupt, StoreError.
    """

    def __init__(self, folder: Path, sync: bool = False, reserved_bytes: int = RESERVED_BYTES) -> None:
        self.folder = folder
        self.next_in = 1
        self.next_out = 1
        self.generation = 0
        self.state = b""
        self._sync = sync
        self._reserved_bytes = reserved_bytes
        self._reserved_to = 0  # the newest segment has room up to this byte
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StoreError(f"{folder} is open in another process; end that one first") from None
        paths = sorted(folder.glob("*.fix"))
        self._segments = [_Segment(path, 0) for path in paths]
        self._fd = -1
        self._size = 0
        self._failed = False
        while self._segments and not self._open_newest():
            self._segments.pop().path.unlink()  # torn before its first record was whole
        if self._segments:
            self._take_in_older()
        else:
            self._new_segment(index=1)

    def append(self, next_in: int, messages: Sequence[Sent], state: bytes | None = None) -> None:
        """Remembers, in one record: the expected inbound number, `messages` (whose numbers go on from
        `next_out`), and the application's `state` (None: unchanged). Returns when it is in the file."""
        if state is not None and len(state) > STATE_BYTES_MAX:
            raise StoreError(f"state of {len(state)} bytes; the most is {STATE_BYTES_MAX}")
        if self._failed:
            raise StoreError(f"{self.folder}: an earlier append failed; open the store anew")
        assert all(sent.seq == self.next_out + i for i, sent in enumerate(messages)), (
            "numbers go up one by one"
        )
        if not self.is_short and self._size >= SEGMENT_BYTES_MAX:
            self._rotate()
        record = _write_record(next_in, self.next_out, self.generation, state, messages)
        if len(record) > APPEND_BYTES_MAX:
            raise StoreError(
                f"an append of {len(record)} bytes; the most is {APPEND_BYTES_MAX}, send fewer at once"
            )
        self._write(record)
        at = self._size - len(record) + HEAD.size + BODY.size + (len(state) if state is not None else 0)
        segment = self._segments[-1]
        for sent in messages if segment.scanned else ():
            size = 0 if sent.admin else len(sent.raw)
            segment.add(sent.admin, at + MESSAGE.size)
            at += MESSAGE.size + size
        self.next_in = next_in
        self.next_out += len(messages)
        if state is not None:
            self.state = state

    @property
    def is_short(self) -> bool:
        """Whether the disk is so full that only what must be should be appended. Asks the disk again where it was."""
        if self._reserved_to - self._size >= self._reserved_bytes // 2:
            return False
        try:
            has_room = reserve(self._fd, self._size, self._reserved_bytes)
        except OSError as error:
            raise StoreError(f"{self._segments[-1].path}: {error}") from error
        if has_room:
            self._reserved_to = self._size + self._reserved_bytes
        return not has_room

    @property
    def place(self) -> tuple[int, int]:
        """The newest segment's number, and its bytes: where the last append ended."""
        return self._index(), self._size

    def lend(self) -> tuple[int, int, int] | None:
        """The newest segment's descriptor, its bytes, and how many it may have, for compiled code to append to; None
        where that has to sync, or the disk is full. Until `take_back` nothing may be appended here."""
        if self._sync or self._failed or self.is_short:
            return None
        whole = SEGMENT_BYTES_MAX + self._reserved_bytes
        if self._reserved_to < whole and reserve(self._fd, self._size, max(whole - self._size, 0)):
            self._reserved_to = whole  # compiled code does not ask for more on its way
        return self._fd, self._size, min(SEGMENT_BYTES_MAX, self._reserved_to - self._reserved_bytes // 2)

    def take_back(self, next_in: int, next_out: int, size: int, state: bytes) -> None:
        """What was appended meanwhile: all of it whole records of this numbering."""
        if next_out != self.next_out:
            self._segments[-1].forget()  # where they begin is looked up when somebody asks for one
        self.next_in, self.next_out, self._size, self.state = next_in, next_out, size, state

    def skip(self, count: int) -> None:
        """Leaves out `count` outbound numbers, which somebody else may have used: they are gap filled. Durable when it
        returns."""
        self.next_out += count
        self._new_segment(self._index() + 1)

    def reset(self, generation: int = 0) -> None:
        """Begins again at 1 and 1; keeps the state; forgets every message. Durable when it returns. generation: at
        least this one."""
        self.next_in = self.next_out = 1
        self.generation = max(self.generation + 1, generation)
        self._new_segment(self._index() + 1)
        for segment in list(self._segments[:-1]):  # the bound may have dropped the oldest by now
            segment.path.unlink()
            self._segments.remove(segment)

    def read(self, begin: int, end: int) -> Iterator[Stored]:
        """The application messages with numbers begin..end that are still kept, ascending. Raises
        StoreCorrupt."""
        segments = list(self._segments)
        ends = [segment.first_seq for segment in segments[1:]] + [self.next_out]
        for segment, next_first in zip(segments, ends, strict=True):
            if next_first <= begin or segment.first_seq > end:
                continue
            if segment not in self._segments:
                continue  # dropped by the bound while this resend was under way
            if not segment.scanned:
                self._scan(segment)
            try:
                yield from _read_segment(segment, begin, end)
            finally:
                if segment is not self._segments[-1]:
                    segment.forget()

    def close(self) -> None:
        self._close_segment()
        os.close(self._lock)

    # --- segments -------------------------------------------------------------------------------------

    def _index(self) -> int:
        return int(self._segments[-1].path.stem)

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _made(self, index: int) -> tuple[Path, int]:
        path = self.folder / f"{index:08d}.fix"
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def _rotate(self) -> None:
        """A new segment, unless the disk has no room for one: then this one goes on."""
        try:
            path, fd = self._made(self._index() + 1)
            has_room = reserve(fd, 0, self._reserved_bytes)
            if not has_room:
                os.close(fd)
                path.unlink()
        except OSError as error:
            if error.errno in FULL:
                return
            raise StoreError(f"{self.folder}: {error}") from error
        if has_room:
            self._begin(path, fd, self._reserved_bytes)

    def _new_segment(self, index: int) -> None:
        path, fd = self._made(index)
        # A disk without room for it may still have some for the first record.
        has_room = reserve(fd, 0, self._reserved_bytes)
        self._begin(path, fd, self._reserved_bytes if has_room else 0)

    def _begin(self, path: Path, fd: int, reserved_to: int) -> None:
        if self._reserved_to > self._size:
            try:
                os.ftruncate(self._fd, self._size)  # gives back what was reserved behind it
            except OSError as error:
                raise StoreError(f"{self._segments[-1].path}: {error}") from error
        self._close_segment()
        self._fd, self._size, self._reserved_to = fd, 0, reserved_to
        if self._segments:
            self._segments[-1].forget()
        segment = _Segment(path, self.next_out)
        segment.scanned = True
        self._segments.append(segment)
        self._write(_write_record(self.next_in, self.next_out, self.generation, self.state, ()))
        if self._sync:
            _sync_folder(self.folder)
        while len(self._segments) > SEGMENTS_MAX:
            self._segments.pop(0).path.unlink()

    def _write(self, record: bytes) -> None:
        path = self._segments[-1].path
        # After a failed write or fsync nobody knows what the disk has, and a record behind half of one would be
        # corruption: nothing more is written until the store is opened again.
        self._failed = True
        try:
            written = os.write(self._fd, record)
            if written != len(record):
                raise StoreError(f"{path}: wrote {written} of {len(record)} bytes; the disk is full")
            if self._sync:
                os.fdatasync(self._fd)
        except OSError as error:
            raise StoreError(f"{path}: {error}") from error
        self._failed = False
        self._size += len(record)

    def _open_newest(self) -> bool:
        """Scans the newest segment and truncates its torn tail. False when it has no whole record."""
        segment = self._segments[-1]
        data = segment.path.read_bytes()
        at = 0
        while (record := _read_record(data, at)) is not None:
            if at == 0:
                segment.first_seq = record.next_out
            for message in record.messages:
                segment.add(*message)
            self.next_in, self.generation = record.next_in, record.generation
            self.next_out = record.next_out + len(record.messages)
            if record.state is not None:
                self.state = record.state
            at = record.end
        _halt_if_whole_record_behind(segment.path, data, at)
        if at == 0:
            return False
        segment.scanned = True
        self._fd = os.open(segment.path, os.O_RDWR | os.O_APPEND)
        os.ftruncate(self._fd, at)
        self._size = at
        if self._sync:
            _make_durable(segment.path, data[:at])
        return True

    def _take_in_older(self) -> None:
        for segment in list(self._segments[:-1]):
            with segment.path.open("rb") as file:
                record = _read_record(file.read(HEAD.size + BODY.size + STATE_BYTES_MAX), 0)
            if record is None:
                raise StoreCorrupt(f"{segment.path}: damaged at byte 0; restore it, or move it away")
            segment.first_seq = record.next_out
            if record.generation != self.generation:  # left by a reset that was killed
                segment.path.unlink()
                self._segments.remove(segment)

    def _scan(self, segment: _Segment) -> None:
        data = segment.path.read_bytes()
        at = 0
        while at < len(data):
            record = _read_record(data, at)
            if record is None:
                raise StoreCorrupt(f"{segment.path}: damaged at byte {at}; restore it, or move it away")
            for message in record.messages:
                segment.add(*message)
            at = record.end
        segment.scanned = True


def _read_segment(segment: _Segment, begin: int, end: int) -> Iterator[Stored]:
    first, offsets = segment.first_seq, segment.offsets
    with segment.path.open("rb") as file:
        for seq in range(max(begin, first), min(end + 1, first + len(offsets))):
            if offset := offsets[seq - first]:
                file.seek(offset - MESSAGE.size)
                _, size = MESSAGE.unpack(file.read(MESSAGE.size))
                yield Stored(seq, file.read(size))


def sent_messages(folder: Path) -> Iterator[Stored]:
    """What a session has sent and its store still has, oldest first, of the numbering that is used now. Reads only,
    also while the session runs; what it appends meanwhile may be missing."""
    kept: list[Stored] = []
    generation = -1
    for path in sorted(folder.glob("*.fix")):
        data, at = path.read_bytes(), 0
        while (record := _read_record(data, at)) is not None:
            if record.generation != generation:
                kept, generation = [], record.generation
            for number, (is_admin, offset) in enumerate(record.messages, record.next_out):
                if not is_admin:
                    (size,) = struct.unpack_from("<I", data, offset - 4)
                    kept.append(Stored(number, data[offset : offset + size]))
            at = record.end
    yield from kept


def _halt_if_whole_record_behind(path: Path, data: bytes, at: int) -> None:
    """A torn tail has nothing behind it: one writer appends, and stops at the first write that fails."""
    behind = at
    magic = MAGIC.to_bytes(4, "little")
    while (behind := data.find(magic, behind + 1)) >= 0:
        if _read_record(data, behind) is not None:
            raise StoreCorrupt(
                f"{path}: damaged at byte {at}, with a whole record behind it at byte {behind}; "
                "restore the file, or move the folder away and reset the numbers with the peer"
            )


def _make_durable(path: Path, data: bytes) -> None:
    """The file shows these bytes, and the disk may lack some: a former owner was killed before its fdatasync, or that
    failed, and then no later one brings what it dropped (Rebello et al., ATC 2020). So they are written once more.

    Raises OSError."""
    fd = os.open(path, os.O_RDWR)
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], done)
        os.fdatasync(fd)
    finally:
        os.close(fd)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
