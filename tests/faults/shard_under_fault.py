"""A real shard in a process of its own, one of whose system calls is its last or fails; and who judges what is left.

The judge is never killed. It pushes orders into the shard's rings one after another, each only when the one before is
on disk, and writes down what was acknowledged: told by an event behind the gate `synced`. The log begins shortly before
a segment's end, so that a run meets the end of one file and the beginning of the next; the shard's process also keeps a
replica that takes snapshots and moves a cursor, as the role `snapshots` does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from actors.recovery import Offer
from actors.replay import Replica
from actors.shard import LANE_FILES, TICKS_CAPACITY, TICKS_FILE, Lane, Shard
from actors.snapshot import read_file, restore, state_hash, take, write_file
from actors.tables import Capacity
from core import commands, events
from core.records import TICK, TICK_BYTES, CommandKind, EventKind, ExecType, TickKind
from shared_mem.bell import Bell
from shared_mem.broadcast import Broadcast
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Gate, Reader, segment_path
from shared_mem.log_reader import LogReader
from shared_mem.log_recovery import find_end
from shared_mem.ring import Ring
from tests.actors.desk import (
    ASK_E8,
    BID_E8,
    SEGMENT_BYTES,
    ShardDesk,
    account,
    deposit,
    instrument,
    order,
)
from tests.faults.strace import injected

CAPACITY = Capacity(accounts=8, instruments=8, positions=16, orders=1024, groups=8, cash=8)
# Of one run: each is a write and a sync of the log at least.
ORDERS = 40
# The log's room before the segment's end: half of a run's orders.
BEFORE_THE_END = 12_000
SNAPSHOT_EVERY = 10
# Nothing is measured by it: so that a run whose shard hangs ends.
PATIENCE_S = 60.0

_FORK = multiprocessing.get_context("fork")


class Place(NamedTuple):
    """One run's folders."""

    log_dir: Path
    run_dir: Path

    @property
    def snapshot(self) -> Path:
        return self.log_dir.parent / "snapshots" / "shard.snapshot"

    @property
    def segments(self) -> tuple[Path, ...]:
        """The log's files that a run writes."""
        return segment_path(self.log_dir, 0), segment_path(self.log_dir, 1)

    @property
    def cursors(self) -> Path:
        return self.log_dir.parent / "cursors"


def template(place: Place) -> int:
    """A log whose next records stand shortly before its first segment's end; its last sequence number."""
    desk = ShardDesk(place.log_dir, place.run_dir, CAPACITY)
    for raw in (instrument(quote_age_ms_max=10**9), account(), deposit(10**12)):
        desk.push(Lane.ADMIN, raw)
    number = 0
    while desk.shard.writer.position < SEGMENT_BYTES - BEFORE_THE_END:
        number += 1
        desk.push(Lane.ADMIN, deposit(1, request_id=10**6 + number))
        desk.turn_until_quiet()
    desk.flusher.flush()
    desk.flusher.close()
    desk.shard.writer.close()
    return int(desk.shard.writer.next_seq) - 1


def offers_of(place: Place) -> list[Offer]:
    snapshot = read_file(place.snapshot)
    if snapshot is None:
        return []
    where = str(place.snapshot)
    return [Offer(where, snapshot.epoch, snapshot.seq, snapshot.log_position, lambda: snapshot)]


def _serve(place: Place, go: int, ready: int) -> None:
    """The shard's process: recovers, serves, follows itself with a replica that stores snapshots; until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.read(go, 1)
    shard = Shard(place.log_dir, place.run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    snapshot = read_file(place.snapshot)
    shard.recover(offers_of(place))
    shard.start()
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    if snapshot is not None:
        restore(snapshot, replica.state)
    reader = LogReader(place.log_dir, place.run_dir, Reader.SNAPSHOTS, replica.position, Gate.SYNCED)
    cursor = CursorFile(place.cursors, "snapshots")
    stored = replica.follow(reader)
    os.write(ready, b"!")
    while True:
        replica.follow(reader)
        if replica.seq - stored >= 2 * SNAPSHOT_EVERY:
            taken = take(replica.state)
            write_file(place.snapshot, taken)
            cursor.save(Cursor(taken.log_position, taken.seq), sync=True)
            stored = replica.seq
        time.sleep(0.001)


class Run:
    """One run under one fault, and its judgement."""

    def __init__(self, place: Place, opening_seq: int) -> None:
        self.place = place
        self._opening_seq = opening_seq
        self.pushed: list[int] = []
        self.acknowledged: dict[int, int] = {}  # request id -> order id
        self.exit_code: int | None = None

    def go(self, fault: str | None, paths: Sequence[Path] = ()) -> None:
        """Until ORDERS were acknowledged or the shard is gone. paths: the fault is of calls about these files alone."""
        go_read, go_write = os.pipe()
        ready_read, ready_write = os.pipe()
        child = _FORK.Process(target=_serve, args=(self.place, go_read, ready_write), daemon=True)
        child.start()
        assert child.pid is not None
        os.close(go_read)
        os.close(ready_write)
        with injected(child.pid, fault, paths) if fault else nullcontext():
            os.write(go_write, b"!")
            if os.read(ready_read, 1) == b"!":
                self._trade(child)
            if child.is_alive() and self.is_complete:
                os.kill(child.pid, signal.SIGKILL)  # the end of an ordinary run is a crash too
            child.join(PATIENCE_S)
        assert child.exitcode is not None, "the shard neither served nor ended"
        self.exit_code = child.exitcode
        os.close(go_write)
        os.close(ready_read)

    def _trade(self, child: BaseProcess) -> None:
        place = self.place
        bell = Bell.attach(place.run_dir / "bell.shard")
        lane = Ring.attach(place.run_dir / LANE_FILES[Lane.ORDERS_GATEWAY], bell=bell)
        reader = LogReader(place.log_dir, place.run_dir, Reader.GATEWAY, 0, Gate.SYNCED)
        quote(place.run_dir)
        while not self.is_complete and child.is_alive():
            number = len(self.pushed) + 1
            assert lane.try_push(order(f"c{number}", request_id=number))
            self.pushed.append(number)
            while number not in self.acknowledged and child.is_alive():
                self._read(reader)
        self._read(reader)
        reader.close()
        bell.close()

    def _read(self, reader: LogReader) -> None:
        for event in told(reader):
            if event.kind == EventKind.ORDER and event.seq > self._opening_seq:
                assert event.exec_type in (ExecType.PENDING_NEW, ExecType.REJECTED)
                self.acknowledged[event.request_id] = event.cause_seq

    @property
    def is_complete(self) -> bool:
        """Whether every order was acknowledged: then the fault never came."""
        return len(self.acknowledged) >= ORDERS

    def judge(self) -> None:
        """Twice: as after a power cut, when what was in memory is gone, and as after the death of one process."""
        data = self.place.log_dir.parent
        cut = data.with_name(f"{data.name}-cut")
        shutil.copytree(data, cut)
        lost = Place(cut / "log", self.place.run_dir.with_name(f"{self.place.run_dir.name}-cut"))
        lost.run_dir.mkdir()
        try:
            self._judged(lost, memory_survives=False)
            self._judged(self.place, memory_survives=True)
        finally:
            shutil.rmtree(lost.run_dir)
            shutil.rmtree(cut)

    def _judged(self, place: Place, *, memory_survives: bool) -> None:
        """In a process of its own, for it maps much; what it says goes to stderr."""
        judge = _FORK.Process(target=self.hold_to_account, args=(place, memory_survives))
        judge.start()
        judge.join(PATIENCE_S)
        assert judge.exitcode == 0, f"judged {'with' if memory_survives else 'without'} memory: see above"

    def hold_to_account(self, place: Place, memory_survives: bool) -> None:
        """Recover, and hold what is there against what was written down. Without memory, what was not acknowledged may
        be gone."""
        snapshot = read_file(place.snapshot)
        desk = ShardDesk(place.log_dir, place.run_dir, CAPACITY)
        desk.turn_until_quiet()
        desk.flusher.flush()
        find_end(place.log_dir, SEGMENT_BYTES)
        found = [
            (command["request_id"], seq)
            for seq, command in commands_of(place)
            if command["kind"] == CommandKind.NEW_ORDER
        ]
        numbers = [request for request, _ in found]
        assert len(numbers) == len(set(numbers)), "an order is there twice"
        assert set(numbers) <= set(self.pushed), "an order is there that nobody sent"
        for acknowledged in self.acknowledged.items():
            assert acknowledged in found, f"order {acknowledged} was acknowledged and is not there"
        if memory_survives:
            assert set(numbers) == set(self.pushed), "an order in a ring was lost"
        living = state_hash(desk.shard.state)
        whole = Replica(CAPACITY, SEGMENT_BYTES)
        whole.follow(LogReader(place.log_dir, place.run_dir, Reader.AUDIT))
        assert state_hash(whole.state) == living
        if snapshot is not None:
            tail = Replica(CAPACITY, SEGMENT_BYTES)
            restore(snapshot, tail.state)
            tail.follow(LogReader(place.log_dir, place.run_dir, Reader.AUDIT, tail.position))
            assert state_hash(tail.state) == living
        cursor = CursorFile(place.cursors, "snapshots").load()
        assert snapshot is not None or cursor.seq == 0, "a cursor stands for a snapshot that is not there"
        assert snapshot is None or cursor.seq <= snapshot.seq


def quote(run_dir: Path) -> None:
    """One quote, for what the orders are limited to."""
    tick = np.zeros(1, TICK)
    tick["instrument"], tick["kind"] = 1, TickKind.QUOTE
    tick["bid_e8"], tick["ask_e8"], tick["published_ns"] = BID_E8, ASK_E8, time.time_ns()
    ticks = Broadcast.create(run_dir / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY)
    ticks.publish(tick.tobytes().ljust(TICK_BYTES, b"\0"))


def told(reader: LogReader) -> Iterator[events.Event]:
    while records := reader.read(4096):
        for record in records:
            if record.kind in set(EventKind):
                yield events.decode(record.seq, record.time_ns, record.payload)


def commands_of(place: Place) -> Iterator[tuple[int, dict[str, int]]]:
    reader = LogReader(place.log_dir, place.run_dir, Reader.AUDIT)
    try:
        while records := reader.read(4096):
            for record in records:
                if record.kind in set(CommandKind):
                    yield record.seq, commands.decode(record.payload)
    finally:
        reader.close()
