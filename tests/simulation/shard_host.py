"""The process of the shard: the real one, its loop and its flusher turned by hand."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final, NoReturn

from actors.due import Timers
from actors.recovery import Offer
from actors.shard import C_DROPPED_REPORTS, Lane, Shard, serve_lanes, take_ticks
from actors.snapshot import read_file, state_hash
from actors.tables import Capacity
from shared_mem import log, ring
from shared_mem.flusher import Flusher
from shared_mem.log import PREVIOUS_SEQ, SEQ_POSITION, WRITTEN, WRITTEN_SEQ, LogCorrupt
from tests.simulation.hosts import Host, Machine
from tests.simulation.seams import Killed
from tests.simulation.world import Broken

SEGMENT_BYTES: Final = log.SEGMENT_BYTES_MIN
CAPACITY: Final = Capacity(accounts=8, instruments=8, positions=32, orders=256, groups=8, cash=8)
# The router and the venue are slow here: seconds of the simulated clock.
STALE_AFTER_S: Final = 8.0


def log_dir(machine: Machine) -> Path:
    return machine.data / "log"


def snapshot_path(machine: Machine) -> Path:
    return machine.data / "snapshots" / "shard-0.snapshot"


class ShardHost(Host):
    name: ClassVar[str] = "shard"

    def begin(self) -> None:
        self.shard = Shard(
            log_dir(self.machine), self.machine.run, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES
        )
        try:
            found = self.shard.recover(self._offers())
        except LogCorrupt as error:
            raise Broken(f"a sound log is said to be corrupt: {error}") from error
        self.flusher = Flusher(self.shard.writer, die=self._die)
        self.timers = Timers(
            self.shard.state, self._push, stale_after_s=STALE_AFTER_S, clock=self.machine.clock
        )
        self.world.note(f"shard recovered to {found.seq}, state {found.state_hash}")
        if found.snapshot_seq:
            self.world.saw("a recovery from a snapshot")

    def _offers(self) -> list[Offer]:
        path = snapshot_path(self.machine)
        snapshot = read_file(path)
        if snapshot is None:
            return []
        return [Offer(str(path), snapshot.epoch, snapshot.seq, snapshot.log_position, lambda: snapshot)]

    def _push(self, command: bytes) -> bool:
        return self.shard.lanes[Lane.ADMIN].try_push(command)

    def _die(self, message: str) -> NoReturn:
        assert self.process is not None
        self.process.is_dead = True
        self.world.note(message.split(":")[0])
        raise Killed(message)

    def end(self, machine: bool) -> None:
        for part in ("flusher", "writer"):
            owner = self if part == "flusher" else getattr(self, "shard", None)
            if hasattr(owner, part):
                getattr(owner, part).close()
        if hasattr(self, "shard") and hasattr(self.shard, "_bell"):
            self.shard._bell.close()
        for name in ("shard", "flusher", "timers"):
            self.__dict__.pop(name, None)

    # --- steps ------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """One round of the loop."""
        shard = self.shard
        take_ticks(shard.state, shard.wiring)
        taken = serve_lanes(shard.state, shard.out, shard.command, shard.wiring, self.machine.clock())
        if taken:
            self.world.note(f"shard takes {taken}, written {shard.writer.tail.written}")

    def flush(self) -> None:
        tail = self.shard.writer.tail
        behind = tail.written - tail.synced
        if behind:
            self.flusher.flush()
            self.world.note(f"shard flushes {behind}")
            if self.flusher.disk_full:
                self.world.saw("the log's disk is full")
        else:
            self.flusher._reserve_ahead()

    def look(self) -> None:
        if pushed := self.timers.turn():
            self.world.note(f"timers push {pushed}")
            self.world.saw("a timer runs out")

    def die_in_a_command(self) -> bool:
        """It dies between two stores of the publication of the last command that it takes; False when it takes none.

        Its records stand behind WRITTEN, or before it, and its slot in the ring has not been given back."""
        shard, tail = self.shard, self.shard.writer.tail
        dropped = int(shard.control[C_DROPPED_REPORTS])
        begun = tail.written
        self.turn()
        if int(shard.control[C_DROPPED_REPORTS]) != dropped or tail.written == begun:
            return False
        position, seq, lane = self._last_command(begun)
        if lane < 1:
            return False
        stage = self.world.rng.randrange(4)
        base, end, end_seq = tail.address, tail.written, tail.word(WRITTEN_SEQ)
        if stage < 3:
            self._store(base + WRITTEN, position)
            self._store(base + PREVIOUS_SEQ, seq - 1)
            self._store(base + SEQ_POSITION, end if stage > 0 else position)
            self._store(base + WRITTEN_SEQ, end_seq if stage > 1 else seq - 1)
        lane_ring = shard.lanes[Lane(lane)].address
        self._store(lane_ring + ring.HEAD, int(log.load_word(lane_ring + ring.HEAD)) - 1)
        self.world.note(f"shard dies in its last command, at store {stage}, of {end}")
        self.world.saw(f"killed in a command, at store {stage}")
        return True

    @staticmethod
    def _store(address: int, value: int) -> None:
        log.store_word(address, value)

    def _last_command(self, begun: int) -> tuple[int, int, int]:
        """(position, seq, lane) of the last command from `begun` on; lane 0 where it lies in another segment."""
        reader_bytes = self.shard.writer.tail.copy
        end = self.shard.writer.tail.written
        if begun // SEGMENT_BYTES != (end - 1) // SEGMENT_BYTES:
            return 0, 0, 0
        raw = reader_bytes(begun, end - begun)
        assert raw is not None
        at, found = 0, (0, 0, 0)
        while at < len(raw):
            total, kind = (
                int.from_bytes(raw[at : at + 2], "little"),
                int.from_bytes(raw[at + 2 : at + 4], "little"),
            )
            if kind < log.KIND_CLOSING:
                flags = int.from_bytes(raw[at + 38 : at + 40], "little")
                found = (begun + at, int.from_bytes(raw[at + 8 : at + 16], "little"), flags >> 8)
            at += (total + 7) & ~7
        return found

    # --- what is seen -------------------------------------------------------------------------------------

    @property
    def state_hash(self) -> str:
        return state_hash(self.shard.state)

    @property
    def is_quiet(self) -> bool:
        tail = self.shard.writer.tail
        return not any(len(lane) for lane in self.shard.lanes.values()) and tail.written == tail.synced
