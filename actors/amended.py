"""A log of which one command cannot be applied again: where that is, and how a replay goes past it.

A command that was applied once and kills the replay now (another version of this program, or a state that is not
what it was) stops every start. Nobody passes over it by himself, for it was acknowledged: an operator says so, and
it is written beside the log's segments, where whoever follows the log reads it. From the skipped command on, up to
where the log ended then, the events of other commands may differ from those in the log (they knew its effects);
after that they may not.

Always holds: with the same log and the same skips every replay gives the same state. `Watch` finds the command: it
says, in a file that outlives the process, what is being replayed; what was replayed at a death is gone through one
command at a time by the next life.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from actors.tables import LANES_MAX, R_COMMANDS, R_EPOCH, R_LANES, R_POSITION, R_SEQ, R_TIME
from core.records import LANE_SHIFT
from shared_mem.log import KIND_CLOSING, KIND_PADDING, RECORD_HEADER_BYTES

if TYPE_CHECKING:
    from actors.replay import Replica
    from shared_mem.log_view import Source

SKIPS_FILE: Final = "skips.json"
# A log that needs more than this is not to be saved by leaving things out.
SKIPS_MAX: Final = 100
NOT_YET: Final = -1
_HEADER: Final = struct.Struct("<HHIQqII")  # as it is laid out in shared_mem/log.py
_LANE_OF_FLAGS: Final = struct.Struct("<6xH")
_LANE_SEQ: Final = struct.Struct("<32xQ")


class TooManySkips(RuntimeError):
    pass


class Skip(msgspec.Struct, frozen=True):
    """One command of the log that is passed over. until: where the log ended at the first start without it."""

    position: int
    seq: int
    until: int = NOT_YET


def skips_of(log_dir: Path) -> list[Skip]:
    """In the log's order."""
    try:
        return msgspec.json.decode((log_dir / SKIPS_FILE).read_bytes(), type=list[Skip])
    except FileNotFoundError:
        return []


def add_skip(log_dir: Path, skip: Skip) -> None:
    """On disk when this returns. Raises TooManySkips."""
    kept = [found for found in skips_of(log_dir) if found.position != skip.position]
    if len(kept) >= SKIPS_MAX:
        raise TooManySkips(
            f"{len(kept)} commands of the log in {log_dir} are skipped already; restore it from a copy"
        )
    _write(log_dir, [*kept, skip])


def settle(log_dir: Path, end: int) -> None:
    """The log was replayed to its end with these skips: from there on everything is as it says."""
    skips = skips_of(log_dir)
    if any(skip.until == NOT_YET for skip in skips):
        _write(log_dir, [Skip(s.position, s.seq, end if s.until == NOT_YET else s.until) for s in skips])


def _write(log_dir: Path, skips: list[Skip]) -> None:
    path = log_dir / SKIPS_FILE
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(sorted(skips, key=lambda skip: skip.position)))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


class Group(NamedTuple):
    """A command's header and what it and its events take of some bytes: from `begin` to `end` in them."""

    begin: int
    end: int
    seq: int
    last_seq: int
    time_ns: int
    epoch: int


def groups(raw: bytes, start: int, segment: int, is_end: bool) -> Iterator[Group]:
    """The commands of a log's bytes, which begin at position `start` with one; the last only where the log ends."""
    at, open_one, last_seq = 0, None, 0
    while True:
        left = segment - (start + at) % segment
        if left < RECORD_HEADER_BYTES:
            at += left
        if at + RECORD_HEADER_BYTES > len(raw):
            break
        total, kind, _crc, seq, time_ns, epoch, _lag = _HEADER.unpack_from(raw, at)
        taken = (total + 7) & ~7
        if total < RECORD_HEADER_BYTES or at + taken > len(raw):
            break
        if kind < KIND_CLOSING:
            if open_one is not None:
                yield open_one._replace(end=at, last_seq=last_seq)
            open_one = Group(at, at, seq, seq, time_ns, epoch)
        if kind != KIND_PADDING:
            last_seq = seq
        at += taken
    if open_one is not None and is_end:
        yield open_one._replace(end=min(at, len(raw)), last_seq=last_seq)


def go_past(replica: Replica, reader: Source, skip: Skip) -> None:
    """From the skipped command, where the replica stands, to where the log may not differ any more."""
    segment = replica.segment_bytes
    while True:
        end = reader.end_position() if skip.until == NOT_YET else min(skip.until, reader.end_position())
        raw = reader.raw(end)
        start, used = reader.position, 0
        for group in groups(raw, start, segment, start + len(raw) >= end):
            part = raw[group.begin : group.end]
            if start + group.begin != skip.position:
                replica.apply_anyhow(part, start + group.begin)
            _stand_behind(
                replica, group, start + group.end, part if start + group.begin == skip.position else b""
            )
            used = group.end
        if used == 0:
            return
        reader.position += used


def _stand_behind(replica: Replica, group: Group, position: int, skipped: bytes) -> None:
    """The registers say what the log says, whatever the replica made of the command."""
    registers = replica.state.registers
    registers[R_SEQ], registers[R_POSITION] = group.last_seq, position
    registers[R_TIME], registers[R_EPOCH] = group.time_ns, group.epoch
    if skipped:
        payload = skipped[RECORD_HEADER_BYTES:]
        lane = _LANE_OF_FLAGS.unpack_from(payload)[0] >> LANE_SHIFT & (LANES_MAX - 1)
        registers[R_COMMANDS] += 1
        registers[R_LANES + lane] = _LANE_SEQ.unpack_from(payload)[0]


class Mark(NamedTuple):
    """What was being replayed: `length` bytes from `position` on; crashes: where it is one command,
    lives in a row that have begun it, this one too."""

    position: int
    length: int
    is_one: int
    crashes: int


_MARK: Final = struct.Struct("<qqqq")


class Watch:
    """Says in a file what is being replayed, and knows what the last life died in. Not for two processes at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        raw = os.pread(self._fd, _MARK.size, 0)
        self.died_in = Mark(*_MARK.unpack(raw)) if len(raw) == _MARK.size else None

    @property
    def crashes(self) -> int:
        """Lives in a row that ended in the one command at `died_in.position`."""
        return self.died_in.crashes if self.died_in is not None and self.died_in.is_one else 0

    def is_suspect(self, position: int, length: int) -> bool:
        """Whether the last life died somewhere in these bytes."""
        died = self.died_in
        return (
            died is not None and died.position < position + length and position < died.position + died.length
        )

    def chunk(self, position: int, length: int) -> None:
        self._write(Mark(position, length, 0, 0))

    def one(self, position: int, length: int) -> None:
        again = self.died_in is not None and self.died_in.is_one and self.died_in.position == position
        self._write(Mark(position, length, 1, 1 + (self.crashes if again else 0)))

    def done(self) -> None:
        """Nothing of it killed anybody."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)

    def _write(self, mark: Mark) -> None:
        os.pwrite(self._fd, _MARK.pack(*mark), 0)
