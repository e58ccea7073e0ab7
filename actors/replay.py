"""Applying a log again: recovery after a restart, and replicas that follow a living shard.

Always holds: a replayed command gives the very events that stand in the log after it; the first one that differs
stops the replay with its position, for then this program, or the log, is not what it was.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np

from actors.amended import NOT_YET, Watch, go_past, groups, skips_of
from actors.apply import apply
from actors.emit import (
    P_BASE,
    P_EPOCH,
    P_POSITION,
    P_RING,
    P_SEGMENT,
    P_SEQ,
    P_TIME,
    SCRATCH_BYTES,
    Command,
    Out,
    command_slot,
    logged_bytes,
    make_pen,
)
from actors.prefetch import FAR, MIDDLE, NEAR, SOON, fetch_at, is_fetched_for
from actors.read_ahead import FAR_BEHIND, read_ahead
from actors.tables import R_POSITION, R_SEQ, Array, Capacity, State, private_state
from core.records import FIELDS_BYTES, TEXT_BYTES_MAX
from shared_mem import log
from shared_mem.atomics import copy_bytes, load_i64, load_u16, load_u32, store_i64
from shared_mem.jit import jit
from shared_mem.log import LogCorrupt
from shared_mem.log_view import Source

# Words of the scout, who looks ahead: how far it is, how many commands it has seen that it fetches for, how many
# of them have had their turn, and where the last ones stand.
S_AT: Final = 0
S_SEEN: Final = 1
S_DONE: Final = 2
S_PLACES: Final = 3
PLACES: Final = 16
assert PLACES > FAR

DONE: Final = 0
DIVERGED: Final = 1
DAMAGED: Final = 2


class ReplayDiverged(LogCorrupt):
    """The same command gave other events than the log has."""


@jit
def load_command(command: Command, kind: int, payload: int, length: int, address: int) -> None:
    """Put a command's payload (fields, then text) back into its slot, whose address is given."""
    command.raw[:] = 0
    fields = min(logged_bytes(kind), length)
    copy_bytes(address, payload, fields)
    copy_bytes(address + FIELDS_BYTES, payload + fields, min(length - fields, TEXT_BYTES_MAX))


@jit
def _skip_fill(at: int, position: int, segment: int) -> int:
    """Past the zeros at a segment's end, which are too few for a record's header."""
    left = segment - ((position + at) & (segment - 1))  # a power of two
    return at + left if left < log.RECORD_HEADER_BYTES else at


@jit
def _events_after(
    data: int, at: int, length: int, position: int, segment: int, cause: int
) -> tuple[int, int, int, bool]:
    """The events that follow a command: (where they end, how many, where the first stands, seen to their end). Their
    checksums are left to `_same_events`."""
    count = 0
    look = first = at
    while True:
        look = _skip_fill(look, position, segment)
        if look + log.RECORD_HEADER_BYTES > length:
            return at, count, first, False
        total = load_u16(data + look + log.R_LENGTH)
        kind = load_u16(data + look + log.R_KIND)
        if look + total > length:
            return at, count, first, False
        if kind < log.KIND_CLOSING or total < log.RECORD_HEADER_BYTES:
            return at, count, first, True  # the next command: its own turn looks whether it is good
        if kind == log.KIND_PADDING:
            if not log.record_is_good(data + look, length - look):
                return at, count, first, True
        else:
            if load_i64(data + look + log.R_SEQ) != cause + count + 1:
                return at, count, first, True
            if count == 0:
                first = look
            count += 1
            at = look + ((total + 7) & ~7)
        look += (total + 7) & ~7


@jit
def _same_record(ours: int, theirs: int, taken: int) -> bool:
    """But for the checksum and for how far the disk lagged then."""
    if load_u32(ours) != load_u32(theirs) or load_u32(ours + log.R_EPOCH) != load_u32(theirs + log.R_EPOCH):
        return False
    for offset in range(log.R_SEQ, log.R_EPOCH, 8):
        if load_i64(ours + offset) != load_i64(theirs + offset):
            return False
    for offset in range(log.RECORD_HEADER_BYTES, taken, 8):
        if load_i64(ours + offset) != load_i64(theirs + offset):
            return False
    return True


@jit
def _same_events(pen: Array, data: int, at: int, end: int, position: int, is_checked: bool) -> bool:
    """Whether the pen has written what stands, whole, from `at` to `end` of the bytes at `data`.

    Ours are what their checksums are of: one that is the same needs no second look at their bytes. It is not the
    same when the disk moved on between two events of a command."""
    while at < end:
        at = _skip_fill(at, position, pen[P_SEGMENT])
        theirs = data + at
        taken = (load_u16(theirs + log.R_LENGTH) + 7) & ~7
        ours = pen[P_BASE] + log.DATA + ((position + at) & (pen[P_RING] - 1))
        if load_u16(theirs + log.R_KIND) != log.KIND_PADDING:
            if not _same_record(ours, theirs, taken):
                return False
            is_sealed = load_u32(ours + log.R_CRC) == load_u32(theirs + log.R_CRC) and load_u32(
                ours + log.R_SYNCED_LAG
            ) == load_u32(theirs + log.R_SYNCED_LAG)
            if not is_checked and not is_sealed and not log.record_is_good(theirs, end - at):
                return False
        at += taken
    return True


@jit
def _why(data: int, at: int, end: int, length: int, position: int, segment: int) -> int:
    """Why the records from `at` on, the one at `end` too, are not what was expected: one is damaged, or none is."""
    while at <= end:
        at = _skip_fill(at, position, segment)
        if at + log.RECORD_HEADER_BYTES > length:
            break
        if not log.record_is_good(data + at, length - at):
            return DAMAGED
        at += (load_u16(data + at + log.R_LENGTH) + 7) & ~7
    return DIVERGED


@jit
def _fetch(state: State, scout: Array, stage: int, number: int) -> None:
    """For the scout's command `number`, if it has been seen."""
    if number < scout[S_SEEN]:
        payload = scout[S_PLACES + (number & (PLACES - 1))]
        header = payload - log.RECORD_HEADER_BYTES
        fields = logged_bytes(load_u16(header + log.R_KIND))
        text_length = load_u16(header + log.R_LENGTH) - log.RECORD_HEADER_BYTES - fields
        fetch_at(state, stage, payload, payload + fields, text_length, number - scout[S_DONE])


@jit
def _scout(state: State, scout: Array, data: int, length: int, position: int, segment: int) -> None:
    """Go on until FAR commands are in front of the one whose turn it is, and fetch what they need."""
    while scout[S_SEEN] - scout[S_DONE] <= FAR:
        at = _skip_fill(scout[S_AT], position, segment)
        if at + log.RECORD_HEADER_BYTES + 8 > length:
            return
        total, kind = load_u16(data + at + log.R_LENGTH), load_u16(data + at + log.R_KIND)
        following = at + ((total + 7) & ~7)
        if total < log.RECORD_HEADER_BYTES or following + 8 > length:
            return  # not whole, or no record: whoever's turn it is will say so
        scout[S_AT] = following
        if is_fetched_for(kind) and total >= log.RECORD_HEADER_BYTES + logged_bytes(kind):
            scout[S_PLACES + (scout[S_SEEN] & (PLACES - 1))] = data + at + log.RECORD_HEADER_BYTES
            scout[S_SEEN] += 1
            _fetch(state, scout, FAR, scout[S_SEEN] - 1)
    _fetch(state, scout, MIDDLE, scout[S_DONE] + MIDDLE)
    _fetch(state, scout, NEAR, scout[S_DONE] + NEAR)
    _fetch(state, scout, SOON, scout[S_DONE] + SOON)


@jit
def replay(
    state: State,
    out: Out,
    command: Command,
    scout: Array,
    slot: int,
    data: int,
    length: int,
    position: int,
    is_end: bool,
    is_checked: bool,
) -> tuple[int, int]:
    """Apply the records of `length` bytes at address `data`, which begin at log position `position`.

    Returns (bytes used, outcome). is_end: the log ends with these bytes; otherwise the last command is left for
    the next call, since its events may not all be there. is_checked: every record's checksum has been compared.
    """
    pen = out.pen
    segment = pen[P_SEGMENT]
    scout[:] = 0
    at = _skip_fill(0, position, segment)
    while at + log.RECORD_HEADER_BYTES <= length:
        if not is_checked and not log.record_is_good(data + at, length - at):
            more = load_u16(data + at + log.R_LENGTH) > length - at and not is_end
            return at, DONE if more else DAMAGED
        total = load_u16(data + at + log.R_LENGTH)
        taken = (total + 7) & ~7
        kind = load_u16(data + at + log.R_KIND)
        if kind == log.KIND_PADDING:
            at = _skip_fill(at + taken, position, segment)
            continue
        if kind >= log.KIND_CLOSING:
            return at, DIVERGED  # an event without its command
        seq = load_i64(data + at + log.R_SEQ)
        end, count, first, whole = _events_after(data, at + taken, length, position, segment, seq)
        if not whole and not is_end:
            return at, DONE
        if is_fetched_for(kind):
            _scout(state, scout, data, length, position, segment)
            scout[S_DONE] += 1
        pen[P_SEQ] = seq + 1
        pen[P_TIME] = load_i64(data + at + log.R_TIME)
        pen[P_EPOCH] = load_u32(data + at + log.R_EPOCH)
        pen[P_POSITION] = position + at + taken
        # The disk lags for us as it did for the log's writer, so that the checksums are the same.
        if count > 0:
            lag = load_u32(data + first + log.R_SYNCED_LAG)
            store_i64(pen[P_BASE] + log.SYNCED, position + first - lag)
        load_command(
            command, kind, data + at + log.RECORD_HEADER_BYTES, total - log.RECORD_HEADER_BYTES, slot
        )
        apply(state, out, command)
        is_same = pen[P_SEQ] == seq + 1 + count and pen[P_POSITION] == position + end
        if not is_same or not _same_events(pen, data, at + taken, end, position, is_checked):
            return at, _why(data, at + taken, end, length, position, segment)
        at = _skip_fill(end, position, segment)
    return min(at, length), DONE


class Replica:
    """A state of its own, brought forward by the log's records."""

    def __init__(self, capacity: Capacity, segment_bytes: int, state: State | None = None) -> None:
        self.state = state if state is not None else private_state(capacity)
        self.segment_bytes = segment_bytes
        self._scratch = mmap.mmap(-1, log.DATA + SCRATCH_BYTES + log.RECORD_BYTES_MAX)
        base = np.frombuffer(self._scratch, np.uint8).ctypes.data
        self._command = command_slot()
        self._scout = np.zeros(S_PLACES + PLACES, np.int64)
        self._out = make_pen(base, SCRATCH_BYTES, segment_bytes, self._command)

    @property
    def seq(self) -> int:
        return int(self.state.registers[R_SEQ])

    @property
    def position(self) -> int:
        return int(self.state.registers[R_POSITION])

    def advance(self, raw: bytes, position: int, is_end: bool, checked: int = 0) -> int:
        """Apply the whole commands in `raw`, which begins at `position`. Returns the bytes used. checked: apply only
        so many bytes, which are good records and end with a whole command (`actors/read_ahead.py`).

        Raises ReplayDiverged, or LogCorrupt for a record whose checksum is wrong."""
        data = np.frombuffer(raw, np.uint8)
        slot = self._command.raw.ctypes.data
        used, outcome = replay(
            self.state,
            self._out,
            self._command,
            self._scout,
            slot,
            data.ctypes.data,
            checked or len(raw),
            position,
            is_end or checked > 0,
            checked > 0,
        )
        if outcome == DIVERGED:
            raise ReplayDiverged(
                f"the command in {self._place(position + used)} gives other events than the log has: the log was "
                "written by another version of this program, or is not whole. Start the version that wrote it, or "
                "restore the log from a copy or a standby",
                position + used,
            )
        if outcome == DAMAGED:
            raise LogCorrupt(
                f"the record in {self._place(position + used)} is damaged; restore the file from a copy or a standby",
                position + used,
            )
        return int(used)

    def _place(self, position: int) -> str:
        return log.place_of(position, self.segment_bytes)

    def apply_anyhow(self, raw: bytes, position: int) -> None:
        """Apply one command with its events, whether it gives these events or others (actors/amended.py)."""
        with suppress(ReplayDiverged):
            self.advance(raw, position, True)

    def follow(
        self,
        reader: Source,
        progress: Callable[[int, int], None] | None = None,
        watch: Watch | None = None,
    ) -> int:
        """Apply everything that the reader's gate lets through, but for what an operator has skipped; returns the last
        seq. progress(position, end). watch: is told what is being replayed."""
        if self.pass_skips(reader, progress, watch):
            self._follow(reader, log.NO_END, progress, watch)
        return self.seq

    def pass_skips(
        self,
        reader: Source,
        progress: Callable[[int, int], None] | None = None,
        watch: Watch | None = None,
    ) -> bool:
        """Go on to where nothing more is skipped, which is mostly where it stands; False: the gate is not there yet."""
        reader.position = max(self.position, reader.position)
        for skip in skips_of(reader.log_dir):
            self._follow(reader, skip.position, progress, watch)
            if self.position < skip.position:
                return False
            if self.position < skip.until or skip.until == NOT_YET:
                go_past(self, reader, skip)
        return True

    def _follow(
        self,
        reader: Source,
        bound: int,
        progress: Callable[[int, int], None] | None,
        watch: Watch | None,
    ) -> None:
        while True:
            end = min(reader.end_position(), bound)
            if end - reader.position >= FAR_BEHIND:
                self._follow_far(reader, end, progress, watch)
            raw, start = reader.raw(end), reader.position
            if not raw:
                return
            is_end = start + len(raw) >= end
            if watch is not None and watch.is_suspect(start, len(raw)):
                used = self._one_by_one(raw, start, is_end, watch)
            else:
                if watch is not None:
                    watch.chunk(start, len(raw))
                used = self.advance(raw, start, is_end)
            if used == 0:
                return
            reader.position += used
            if progress is not None:
                progress(reader.position, end)

    def _follow_far(
        self,
        reader: Source,
        end: int,
        progress: Callable[[int, int], None] | None,
        watch: Watch | None,
    ) -> None:
        """As far as good records go, and to what the last life died in: that is looked at more closely."""
        for piece in read_ahead(reader, end, self.segment_bytes):
            if watch is not None:
                if watch.is_suspect(piece.position, piece.whole):
                    return
                watch.chunk(piece.position, piece.whole)
            self.advance(piece.raw, piece.position, True, piece.whole)
            reader.position = piece.position + piece.whole
            if progress is not None:
                progress(reader.position, end)

    def _one_by_one(self, raw: bytes, start: int, is_end: bool, watch: Watch) -> int:
        used = 0
        for group in groups(raw, start, self.segment_bytes, is_end):
            watch.one(start + group.begin, group.end - group.begin)
            self.advance(raw[group.begin : group.end], start + group.begin, True)
            used = group.end
        return used
