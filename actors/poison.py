"""What a dead shard had in its hand, and how that command is put aside.

A command is written to the log's tail, applied, and only then published. So a shard that dies while it applies one
leaves it behind the log's end: a whole record, with the number that comes next and the epoch of the dead. Its
successor would take the same command from the same ring first of all, and die of it. `in_hand` reads that record;
nothing is paid for it while orders flow. `put_aside` turns the command, in its slot, into a QUARANTINE
(`actors/quarantine.py`), which is then taken, journaled and answered in its turn like any other.

Always holds: a command that was published is never put aside: it was acknowledged, and its slot is given back.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from core import commands
from core.records import COMMAND_BYTES, LANE_SHIFT, ORIGINAL_KIND
from shared_mem import log, ring
from shared_mem.atomics import load_u16, load_u32
from shared_mem.jit import jit
from shared_mem.log import KIND_CLOSING, KIND_PADDING, RECORD_HEADER_BYTES, Tail, load_word, store_word
from shared_mem.ring import Ring


class InHand(NamedTuple):
    """A command that its shard died of. place: the name of its record in its lane's ring."""

    lane: int
    place: int
    kind: int
    seq: int


@jit
def _length(at: int, room: int, seq: int, epoch: int) -> int:
    """Of the payload of a command's whole record at an address, with this number and epoch; -1: there is none."""
    if not log.record_is_good(at, room) or load_u16(at + log.R_KIND) >= KIND_CLOSING:
        return -1
    if load_word(at + log.R_SEQ) != seq or load_u32(at + log.R_EPOCH) != epoch:
        return -1
    return load_u16(at + log.R_LENGTH) - RECORD_HEADER_BYTES


def in_hand(tail: Tail) -> InHand | None:
    """Of a tail whose writer is dead, before its successor opens it. None: it died of something else."""
    position, size = tail.written, tail.segment_bytes
    left = size - position % size
    at = tail.address + log.DATA + position % size
    if left < RECORD_HEADER_BYTES or load_kind(at) == KIND_PADDING:  # the pen went on in the next segment
        at, left = tail.address + log.DATA, size
    seq = tail.written_seq + 1
    length = int(_length(at, left, seq, tail.epoch))
    if length < 0:
        return None
    try:
        found = commands.decode(ctypes.string_at(at + RECORD_HEADER_BYTES, length))
    except commands.CommandError:
        return None  # of a kind without a layout: no behaviour was in it to die of
    return InHand(found["flags"] >> LANE_SHIFT, found["lane_seq"], found["kind"], seq)


@jit
def load_kind(at: int) -> int:
    return load_u16(at + log.R_KIND)


def oldest(lane: Ring, place: int) -> bytes | None:
    """The oldest command of a lane as its sender sent it; None unless it has this place."""
    slot = ring.front(lane.address)
    if slot == 0 or ring.front_name(lane.address) != place:
        return None
    return ctypes.string_at(slot, COMMAND_BYTES)


def put_aside(lane: Ring, crashes: int) -> None:
    """Turn the oldest command of a lane into a QUARANTINE, before the shard's loop runs.

    By two stores of a word, the kind last: whenever this process is killed, the slot holds the one or the other."""
    slot = ring.front(lane.address)
    assert slot != 0, "put_aside() of an empty lane"
    made = commands.quarantine(ctypes.string_at(slot, COMMAND_BYTES), crashes)
    for at in (ORIGINAL_KIND, 0):
        store_word(slot + at, int.from_bytes(made[at : at + 8], "little", signed=True))
