"""Marks: the state's hash at places of the log that every replica of it finds by itself, to be compared.

A mark is the state before the first command of each MARK_NS of the log's own time. The time stands in the records, so
two hosts that follow one log take their marks at the same record, however the bytes reach them. Where nothing happens
there is nothing to compare.

Always holds: two replicas with the same program and the same log have equal marks. A difference means that one of them
computes, or remembers, wrongly: it must stop.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec
import numpy as np

from actors.replay import Replica
from actors.snapshot import state_hash
from actors.tables import R_TIME
from shared_mem import log
from shared_mem.atomics import load_i64, load_u16
from shared_mem.jit import jit
from shared_mem.log_reader import LogReader

# A hash reads the whole state once: a tenth of a second for a million accounts.
MARK_NS: Final = 10 * 10**9
# Marks that are remembered until the other side has its own: ten minutes.
MARKS_MAX: Final = 64


class Mark(msgspec.Struct, frozen=True):
    """The state's hash when it had applied the record `seq`; the log goes on at `position`."""

    seq: int
    position: int
    state_hash: str


@jit
def first_command_from(data: int, length: int, position: int, segment: int, time_ns: int) -> int:
    """Offset of the first command of that time or later, in the bytes at address `data`; -1 when there is none."""
    at = 0
    while at + log.RECORD_HEADER_BYTES <= length:
        left = segment - (position + at) % segment
        if left < log.RECORD_HEADER_BYTES:
            at += left
            continue
        total = load_u16(data + at + log.R_LENGTH)
        if total < log.RECORD_HEADER_BYTES:
            return -1
        if (
            load_u16(data + at + log.R_KIND) < log.KIND_CLOSING
            and load_i64(data + at + log.R_TIME) >= time_ns
        ):
            return at
        at += (total + 7) & ~7
    return -1


class MarkedReplica:
    """A replica that takes its marks on the way: the newest MARKS_MAX of them are `marks`."""

    def __init__(self, replica: Replica, segment_bytes: int) -> None:
        self.replica = replica
        self.marks: deque[Mark] = deque(maxlen=MARKS_MAX)
        self._segment_bytes = segment_bytes
        self._next_ns = _next_mark_ns(int(replica.state.registers[R_TIME]))

    def advance(self, raw: bytes, position: int, is_end: bool) -> int:
        """As `Replica.advance`, with its errors."""
        done = 0
        while True:
            rest = raw[done:]
            address = np.frombuffer(rest, np.uint8).ctypes.data if rest else 0
            cut = int(
                first_command_from(address, len(rest), position + done, self._segment_bytes, self._next_ns)
            )
            if cut < 0:
                return done + (self.replica.advance(rest, position + done, is_end) if rest else 0)
            if cut > 0:
                # Up to here every command is whole: the next one begins.
                used = self.replica.advance(rest[:cut], position + done, True)
                done += used
                if used < cut:
                    return done
            self.marks.append(Mark(self.replica.seq, position + done, state_hash(self.replica.state)))
            self._next_ns = _next_mark_ns(
                int.from_bytes(rest[cut + log.R_TIME : cut + log.R_TIME + 8], "little")
            )

    def follow(self, reader: LogReader) -> int:
        """As `Replica.follow`. Where something is skipped no mark is taken."""
        if not self.replica.pass_skips(reader):
            return self.replica.seq
        while True:
            end = reader.end_position()
            raw = reader.raw(end)
            used = self.advance(raw, reader.position, reader.position + len(raw) >= end) if raw else 0
            if used == 0:
                return self.replica.seq
            reader.position += used


def _next_mark_ns(time_ns: int) -> int:
    return (time_ns // MARK_NS + 1) * MARK_NS
