"""Compiling the hot path before the first order, in steps that a progress bar can show.

Always holds: after `steps` have run, nothing compiles while orders flow; a second start only loads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from actors import account, cash, groups, instrument, price_tables
from actors.apply import apply, journal_and_apply
from actors.breaks import on_break
from actors.cancel import on_cancel
from actors.due import due_orders, found_rows
from actors.emit import SCRATCH_BYTES, command_slot, journal, make_pen
from actors.marks import MarkedReplica
from actors.new_order import on_new_order
from actors.quarantine import on_passed_over, on_quarantine, on_retry
from actors.replace import on_replace
from actors.replay import Replica
from actors.report import on_report
from actors.resolve import on_resolve
from actors.shard import TICKS_CAPACITY, TICKS_FILE, Lane, Shard
from actors.snapshot import state_hash, take
from actors.status import on_ask, on_fate_unknown, on_status
from actors.tables import Capacity, private_state
from actors.timers import on_timer
from actors.view import StateView
from core import commands
from core.records import TICK_BYTES, Source
from shared_mem import log
from shared_mem.broadcast import Broadcast, BroadcastReader
from shared_mem.log import Reader
from shared_mem.log_copy import LogCopy
from shared_mem.log_reader import LogReader
from shared_mem.log_recovery import proof_of_sync, proven_sync
from shared_mem.ring import Ring


class Step(NamedTuple):
    """`expected_s`: seconds on a 2.6 GHz core, from which a progress bar tells how long it will be."""

    label: str
    expected_s: float
    run: Callable[[], object]


class _Bench:
    """A small shard in a temporary folder, on which every compiled function is called once."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None)
        root = Path(self._folder.name)
        self.log_dir, self.run_dir = root / "log", root / "run"
        self.capacity = Capacity(16, 16, 16, 16, 16, 16)
        self.segment_bytes = log.SEGMENT_BYTES_MIN

    def rings(self) -> None:
        self.run_dir.mkdir()
        ticks = Broadcast.create(self.run_dir / "warm.ticks", TICK_BYTES, 16)
        reader = BroadcastReader(self.run_dir / "warm.ticks")
        ticks.publish(bytes(TICK_BYTES))
        reader.pop()
        ring = Ring.create(self.run_dir / "warm.ring", 8, 2)
        ring.try_push(b"")
        ring.pop()

    def pen(self) -> None:
        self.state = private_state(self.capacity)
        self.command = command_slot()
        self._scratch = np.zeros(log.DATA + SCRATCH_BYTES, np.uint8)
        base = self._scratch.ctypes.data
        self.out = make_pen(base, SCRATCH_BYTES, self.segment_bytes, self.command)
        journal(self.out, self.command)

    def behaviour(self, behave: Callable[..., object]) -> Callable[[], object]:
        return lambda: behave(self.state, self.out, self.command)

    def timers(self) -> None:
        on_timer(self.state, self.out, self.command)
        due_orders(self.state, 0, 0, 0, 0, 0, found_rows())

    def quarantine(self) -> None:
        on_quarantine(self.state, self.out, self.command)
        on_retry(self.state, self.out, self.command)
        on_passed_over(self.state, self.out, self.command)

    def answers(self) -> None:
        for behave in (on_ask, on_fate_unknown, on_status, on_resolve):
            behave(self.state, self.out, self.command)

    def recovery(self) -> None:
        self.shard = Shard(
            self.log_dir, self.run_dir, capacity=self.capacity, segment_bytes=self.segment_bytes
        )
        self.shard.recover()

    def loop(self) -> None:
        self.shard.start()
        admin = self.shard.lanes[Lane.ADMIN]
        admin.try_push(commands.deposit(request_id=1, account=1, amount_e6=1))
        admin.try_push(commands.cancel(source=Source.ADMIN, request_id=2, account=1, order_id=1))
        Broadcast.create(self.run_dir / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY).publish(bytes(TICK_BYTES))
        self.shard.stop()

    def view(self) -> None:
        view = StateView.attach(self.run_dir)
        view.account(1)
        view.account_by_text("-")
        view.group_by_name("-")
        view.order(1)
        view.order_by_client_id(1, "-")
        view.position(1, 1)
        view.instrument_by_symbol("-")

    def replica(self) -> None:
        replica = Replica(self.capacity, self.segment_bytes)
        reader = LogReader(self.log_dir, self.run_dir, Reader.AUDIT)
        copy = LogCopy(
            self.log_dir.with_name("copy"), self.run_dir.with_name("copied"), 0, self.segment_bytes
        )
        copy.take(reader.raw(reader.end_position()), is_whole=True)
        copy.close()
        MarkedReplica(replica, self.segment_bytes).follow(reader)
        reader.read()
        reader.park()
        reader.wake()
        reader.close()
        assert state_hash(replica.state) == state_hash(self.shard.state)
        take(replica.state)
        data = np.zeros(64, np.uint8)
        proof_of_sync(data.ctypes.data, 64, 0, 0)
        proven_sync(data.ctypes.data, 0, 0)
        log.last_record(data.ctypes.data, 0)
        self._folder.cleanup()


def steps() -> list[Step]:
    """To be run in their order; each compiles or loads what its label says."""
    bench = _Bench()
    return [
        Step("rings and broadcast", 0.5, bench.rings),
        Step("the log's pen", 0.7, bench.pen),
        Step("account", 2.2, bench.behaviour(account.open_account)),
        Step("cash", 0.9, bench.behaviour(cash.move_cash)),
        Step("levels above accounts", 2.0, bench.behaviour(groups.define)),
        Step("moves between households", 2.0, bench.behaviour(groups.move_account)),
        Step("instrument", 1.2, bench.behaviour(instrument.define)),
        Step("tick tables", 0.9, bench.behaviour(price_tables.define_tick_table)),
        Step("new order and its risk checks", 9.6, bench.behaviour(on_new_order)),
        Step("cancel", 0.8, bench.behaviour(on_cancel)),
        Step("breaks", 0.5, bench.behaviour(on_break)),
        Step("venue report", 4.0, bench.behaviour(on_report)),
        Step("the venue's answers", 6.0, bench.answers),
        Step("replace", 9.6, bench.behaviour(on_replace)),
        Step("timers", 2.0, bench.timers),
        Step("quarantine", 1.0, bench.quarantine),
        Step("apply", 4.1, bench.behaviour(apply)),
        Step("journal", 3.1, bench.behaviour(journal_and_apply)),
        Step("recovery", 0.3, bench.recovery),
        Step("the shard's loop", 14.0, bench.loop),
        Step("state view", 1.1, bench.view),
        Step("replica and snapshots", 4.1, bench.replica),
    ]
