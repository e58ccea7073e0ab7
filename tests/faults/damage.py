"""A log with a known history, ways to damage it, and what must come of each: the oracle, in plain Python.

Damage is done to a copy of the files in memory; nothing here knows how the recovery finds it. The rule: what stands
behind the first damaged record is given up, back to the end of a whole group, unless a record that is whole proves
that the damaged one had been on disk. Then the start halts.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from actors.shard import Shard
from core.records import ExecType
from core.units import qty_e8
from shared_mem import log
from shared_mem.log import segment_path
from tests.actors.desk import CAPACITY, SEGMENT_BYTES, Desk

SECTOR_BYTES: Final = 512
_RECORD: Final = struct.Struct("<HHIQqII")
HALTS: Final = -1


class Entry(NamedTuple):
    """One record as it was written."""

    begin: int
    end: int
    synced: int  # where the flusher stood then: `begin` less its synced_lag
    closes: bool  # a group ends with it


class Story:
    """A desk's history in the log's first segment; `hashes`: of the state, by the position of each group's end."""

    def __init__(self, log_dir: Path, run_dir: Path, seed: int) -> None:
        self.log_dir, self.run_dir = log_dir, run_dir
        self.desk = Desk(log_dir, run_dir)
        self.hashes = {0: self.desk.hash()}
        self._dice = random.Random(seed)
        for step in (self.desk.open_market, *[self.command] * 30):
            step()
            self.noted()
        self.flush()

    @property
    def end(self) -> int:
        return self.desk.writer.position

    def noted(self) -> None:
        self.hashes[self.end] = self.desk.hash()

    def flush(self) -> None:
        self.desk.flusher.flush()
        self.whole = self.file().read_bytes()
        self.entries = list(entries(self.whole))

    def command(self) -> None:
        """One of those that a day is made of."""
        dice, desk = self._dice, self.desk
        placed = desk.buy(dice.randrange(1, 20)) if dice.random() < 0.6 else desk.sell(dice.randrange(1, 9))
        self.noted()
        if placed.reject_code == 0 and dice.random() < 0.7:
            desk.report(placed.order_id, ExecType.TRADE, qty_e8(1), placed.route_price_e8)
            self.noted()
        if dice.random() < 0.5:
            desk.cancel(placed.order_id)

    def batch(self, groups: int) -> int:
        """So many more commands, and one flush for all of them; the position where they begin."""
        begin, before = self.end, len(self.hashes)
        while len(self.hashes) < before + groups:
            self.command()
            self.noted()
        self.flush()
        return begin

    def close(self) -> None:
        self.desk.close()

    # -- files ----------------------------------------------------------------------------------------------------

    def file(self, number: int = 0) -> Path:
        return segment_path(self.log_dir, number)

    def put(self, damaged: bytes) -> None:
        self.file().write_bytes(damaged)

    def recover(self) -> tuple[int, str]:
        """(position, state hash) of a whole shard that recovers from the files alone. Raises LogError."""
        log.tail_path(self.run_dir).unlink(missing_ok=True)
        shard = Shard(self.log_dir, self.run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
        found = shard.recover()
        shard.writer.close()
        shard._bell.close()
        return shard.writer.position, found.state_hash

    # -- the oracle ------------------------------------------------------------------------------------------------

    def first_bad(self, damaged: bytes) -> Entry | None:
        """The record that has the first byte that is not what was written; None when all of them are whole."""
        differs = np.frombuffer(self.whole, np.uint8) != np.frombuffer(damaged, np.uint8)
        first = int(np.argmax(differs)) if differs.any() else self.end
        return next((entry for entry in self.entries if entry.begin <= first < entry.end), None)

    def must_come_to(self, damaged: bytes) -> int:
        """The position where the log must end after this damage, or HALTS."""
        bad = self.first_bad(damaged)
        if bad is None:
            return self.end
        for entry in self.entries:
            is_whole = self.whole[entry.begin : entry.end] == damaged[entry.begin : entry.end]
            if is_whole and entry.synced > bad.begin:
                return HALTS
        return max(entry.end for entry in self.entries if entry.closes and entry.end <= bad.begin)


def entries(raw: bytes) -> list[Entry]:
    """Every record of a segment that is not padding."""
    found, at = [], 0
    while True:
        total, kind, _crc, _seq, _time, _epoch, lag = _RECORD.unpack_from(raw, at)
        if total == 0 or kind == log.KIND_PADDING:
            return found
        end = at + (total + 7) // 8 * 8
        found.append(Entry(at, end, at - lag, kind >= log.KIND_CLOSING))
        at = end


def flipped(raw: bytes, bit: int) -> bytes:
    """One bit, counted from the first byte's lowest on."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def replaced(raw: bytes, at: int, piece: bytes) -> bytes:
    return raw[:at] + piece + raw[at + len(piece) :]
