"""A shard killed with SIGKILL again and again under load: each command that was pushed is applied exactly once."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

from actors.replay import Replica
from actors.shard import Lane, Shard
from actors.snapshot import state_hash
from actors.tables import Capacity
from core import commands
from core.records import CommandKind, ExecType, OrdStatus, Source
from shared_mem.log import KIND_CLOSING, Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from tests.actors.desk import SEGMENT_BYTES, ShardDesk, account, deposit, instrument, order

KILLS = 24
CAPACITY = Capacity(accounts=8, instruments=8, positions=16, orders=1024)
_FORK = multiprocessing.get_context("fork")


def _shard(log_dir: Path, run_dir: Path) -> None:
    shard = Shard(log_dir, run_dir, capacity=CAPACITY, segment_bytes=SEGMENT_BYTES)
    shard.recover()
    shard.start()
    signal.pause()


class Doors:
    """The producers: they outlive the shard, and remember what they pushed into which lane, in order."""

    def __init__(self, rings: dict[Lane, Ring], dice: random.Random) -> None:
        self._rings, self._dice = rings, dice
        self.pushed: dict[Lane, list[int]] = defaultdict(list)
        self.deposited = 0
        self._next = 1

    def push(self, lane: Lane, raw: bytes, name: int) -> bool:
        if not self._rings[lane].try_push(raw):
            return False
        self.pushed[lane].append(name)
        return True

    def one(self) -> None:
        n, dice = self._next, self._dice
        kind = dice.randrange(4)
        if kind == 0:
            amount = 1 << dice.randrange(40)
            if self.push(Lane.ADMIN, deposit(amount, account=1, request_id=n), n):
                self.deposited += amount
        elif kind == 1:
            self.push(Lane.ORDERS_GATEWAY, order(f"c{n}", account=2, request_id=n), n)
        elif kind == 2:
            self.push(
                Lane.CANCELS_GATEWAY,
                commands.cancel(
                    source=Source.GATEWAY, request_id=n, account=2, order_id=dice.randrange(1, 2 * n)
                ),
                n,
            )
        else:
            raw = commands.venue_report(
                venue_seq=n,
                order_id=dice.randrange(1, 2 * n),
                exec_type=dice.choice([ExecType.TRADE, ExecType.CANCELED]),
                ord_status=OrdStatus.NEW,
                last_qty_e8=10**6,
                last_px_e8=10**10,
            )
            self.push(Lane.REPORTS_VENUE, raw, n)
        self._next += 1


def test_every_command_is_applied_exactly_once_over_many_kills(tmp_path: Path, run_dir: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    dice = random.Random(seed)
    log_dir = tmp_path / "log"
    first = ShardDesk(log_dir, run_dir, CAPACITY)
    for raw in (instrument(), account(), account("TW000002"), deposit(10**12, account=2)):
        first.push(Lane.ADMIN, raw)
    first.turn_until_quiet()
    opening = first.shard.writer.next_seq - 1
    doors = Doors(first.shard.lanes, dice)
    for _ in range(KILLS):
        child = _FORK.Process(target=_shard, args=(log_dir, run_dir), daemon=True)
        child.start()
        assert child.pid is not None
        until = time.monotonic() + dice.random() * 0.25
        while time.monotonic() < until:
            for _ in range(dice.randrange(1, 40)):
                doors.one()
            time.sleep(0)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    last = ShardDesk(log_dir, run_dir, CAPACITY)
    last.turn_until_quiet()

    reader = LogReader(log_dir, run_dir, Reader.SNAPSHOTS)
    applied: dict[int, list[int]] = defaultdict(list)
    seqs: list[int] = []
    while records := reader.read(4096):
        for record in records:
            seqs.append(record.seq)
            if record.kind < KIND_CLOSING and record.seq > opening:
                command = commands.decode(record.payload)
                is_report = record.kind == CommandKind.VENUE_REPORT
                applied[command["flags"] >> 8].append(command["venue_seq" if is_report else "request_id"])
    assert applied == {int(lane): numbers for lane, numbers in doors.pushed.items()}
    assert sum(map(len, doors.pushed.values())) > 1000
    assert seqs == list(range(1, len(seqs) + 1))
    assert last.shard.state.accounts[0]["cash_e6"] == doors.deposited
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    replica.follow(LogReader(log_dir, run_dir, Reader.AUDIT))
    assert state_hash(replica.state) == state_hash(last.shard.state)
