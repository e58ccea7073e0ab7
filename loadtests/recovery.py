"""Recovery: ten million commands replayed, and a million accounts back from a snapshot and the log's tail.

Measured, by a shard as it is shipped (its own tables, checks, and comparison of every event):
- `recover_replay`: `Replica.follow` over COMMANDS commands, half of them orders and half the fills that end them, into
  tables whose pages were touched before; `recover_after_kill`: all of `Shard.recover` with the log's tail in memory;
  `recover_after_reboot`: with the tail gone, so that the files' end is looked for first.
- `snapshot_stored`, `snapshot_loaded`: MANY accounts with a position each, taken and written, and read and restored.
- `recover_accounts`: the file read, restored, its place in the log checked, and TAIL commands replayed.
The files come from the page cache. Excluded: the process's start (`tradewind bench back` has it) and Postgres.
"""

from __future__ import annotations

import mmap
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from actors.emit import P_SEQ
from actors.recovery import Offer
from actors.replay import Replica
from actors.shard import Lane, Recovered, Shard
from actors.snapshot import Snapshot, SnapshotError, read_file, restore, state_hash, take, write_file
from actors.tables import Capacity, map_state, private_state, state_bytes
from app.roles.snapshots import SNAPSHOT_COMMANDS
from core import commands
from core.records import HEAD, VENUE_REPORT, ExecType, OrdStatus
from loadtests.decision import SCRATCH_DIR
from loadtests.desk import (
    ASK_E8,
    INSTRUMENTS,
    Desk,
    Feed,
    draw,
    feed,
    groups_over,
    offset_of,
    orders_feed,
    power_of_two,
    tables,
)
from loadtests.measure import Row, progress, row
from shared_mem import log
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader

ROUNDS: Final = 3
COMMANDS: Final = 10_000_000
ACCOUNTS: Final = 100_000
MANY: Final = 1_000_000
# What stands behind the newest snapshot at the most, when Postgres and the disk keep up.
TAIL: Final = SNAPSHOT_COMMANDS
# Orders that are open at a time, at the most: their fills follow.
BATCH: Final = 100_000
# Instruments that one account trades, so that a position is traded again.
OWN_INSTRUMENTS: Final = 20
QTY_E8: Final = 10**8


class Trading:
    """A desk on which orders come and are filled, each once."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._orders = 0

    def go_on(self, orders: int, accounts: int) -> None:
        """So many orders, and a fill that ends each."""
        while orders > 0:
            count = min(orders, BATCH)
            first = self._orders
            self._orders += count
            drawn, random = draw(accounts, count, seed=first)
            instruments = (drawn * 13 + random % OWN_INSTRUMENTS) % INSTRUMENTS + 1
            next_seq = int(self.desk.shard.out.pen[P_SEQ])
            self.desk.serve(
                Lane.ORDERS_GATEWAY, orders_feed(drawn, instruments, seed=1, first=first, qty_e8=QTY_E8)
            )
            # An order is named by its command's number, and its event takes the next.
            self.desk.serve(Lane.REPORTS_VENUE, _fills(next_seq + 2 * np.arange(count), first))
            orders -= count
        open_orders = int(self.desk.state.accounts["open_orders"].sum())
        assert open_orders == 0, f"{open_orders} orders were not filled"

    def flushed(self) -> None:
        tail = self.desk.shard.writer.tail
        while tail.synced != tail.written:
            time.sleep(0.001)


def _fills(order_ids: np.ndarray, first: int) -> Feed:
    template = commands.venue_report(
        venue_seq=0, order_id=0, exec_type=ExecType.TRADE, ord_status=OrdStatus.FILLED, last_qty_e8=QTY_E8,
        last_px_e8=ASK_E8, cum_qty_e8=QTY_E8,
    )  # fmt: skip
    numbers = first + 1 + np.arange(len(order_ids))
    words = {
        offset_of(HEAD, "order_id"): order_ids,
        offset_of(VENUE_REPORT, "venue_seq"): numbers,
        offset_of(VENUE_REPORT, "exec_hash"): numbers * 0x9E3779B97F4A7C1 | 1,
    }
    return feed(template, words)


@contextmanager
def _trading(capacity: Capacity, accounts: int) -> Iterator[Trading]:
    """A desk whose log is on disk and whose flusher runs."""
    SCRATCH_DIR.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        tempfile.TemporaryDirectory(dir=SCRATCH_DIR, prefix="log.") as disk,
    ):
        desk = Desk(Path(folder), capacity, log_dir=Path(disk), flushing=True)
        try:
            desk.open_market(accounts)
            yield Trading(desk)
        finally:
            desk.close()


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _recovered(desk: Desk, offers: Callable[[], list[Offer]] = list) -> float:
    """Seconds of a whole recovery to the state that the desk has."""
    shard = Shard(desk.log_dir, desk.run_dir, capacity=desk.capacity)
    found: list[Recovered] = []
    spent = _timed(lambda: found.append(shard.recover(offers())))
    assert found[0].state_hash == state_hash(desk.state), "the recovered state differs"
    shard.writer.close()
    shard._bell.close()
    return spent


def _replayed(desk: Desk) -> float:
    """Seconds of the replay alone, into tables whose pages are there."""
    memory = mmap.mmap(
        -1, state_bytes(desk.capacity), flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    )
    replica = Replica(desk.capacity, log.SEGMENT_BYTES, map_state(memory, desk.capacity))
    reader = LogReader(desk.log_dir, desk.run_dir, Reader.AUDIT)
    spent = _timed(lambda: replica.follow(reader))
    reader.close()
    assert state_hash(replica.state) == state_hash(desk.state), "the replica differs from the shard"
    return spent


def commands_replayed() -> list[Row]:
    """Recovery from the log's beginning."""
    capacity = tables(
        accounts=power_of_two(ACCOUNTS),
        groups=power_of_two(sum(groups_over(ACCOUNTS).values())),
        instruments=power_of_two(INSTRUMENTS),
        positions=power_of_two(ACCOUNTS * OWN_INSTRUMENTS),
        orders=power_of_two(4 * BATCH),
    )
    with _trading(capacity, ACCOUNTS) as trading:
        progress(f"{COMMANDS:,} commands of {ACCOUNTS:,} accounts are written")
        trading.go_on(COMMANDS // 2, ACCOUNTS)
        trading.flushed()
        desk = trading.desk
        size = desk.shard.writer.position
        alone, killed, rebooted = [], [], []
        for number in range(ROUNDS):
            progress(f"replayed, and recovered after a kill, round {number + 1} of {ROUNDS}")
            alone.append(_replayed(desk))
            killed.append(_recovered(desk))
        for number in range(ROUNDS):
            progress(f"recovered after a reboot, round {number + 1} of {ROUNDS}")
            log.tail_path(desk.run_dir).unlink()
            rebooted.append(_recovered(desk))
    note = f"{COMMANDS:,} commands and the desk's opening; {size >> 20:,} MiB of log, warm page cache"
    return [
        row("recover_replay", "s", alone, note=note),
        row("recover_replay_per_s", "1/s", [COMMANDS / spent for spent in alone], note=note),
        row("recover_after_kill", "s", killed, note="the whole recovery, tail in memory"),
        row("recover_after_reboot", "s", rebooted, note="the whole recovery, from the files alone"),
    ]


def accounts_restored() -> list[Row]:
    """Recovery from a snapshot of many accounts, and what came after it."""
    capacity = tables(
        accounts=power_of_two(MANY),
        groups=power_of_two(sum(groups_over(MANY).values())),
        instruments=power_of_two(INSTRUMENTS),
        positions=power_of_two(2 * MANY),
        orders=power_of_two(4 * BATCH),
    )
    stored, loaded, recovered = [], [], []
    with _trading(capacity, MANY) as trading:
        desk = trading.desk
        progress(f"{MANY:,} accounts trade")
        trading.go_on(MANY, MANY)
        path = desk.log_dir / "a.snapshot"
        for number in range(ROUNDS):
            progress(f"stored, {TAIL:,} commands, recovered: round {number + 1} of {ROUNDS}")
            stored.append(_timed(lambda: write_file(path, take(desk.state))))
            trading.go_on(TAIL // 2, MANY)
            trading.flushed()
            state = private_state(capacity)
            loaded.append(_timed(lambda state=state: restore(_read(path), state)))  # type: ignore[misc]
            del state
            recovered.append(_recovered(desk, lambda: [_offer(path)]))
        size = path.stat().st_size
    note = f"{MANY:,} accounts in households; {size >> 20:,} MiB, compressed"
    return [
        row("snapshot_stored", "s", stored, note=note),
        row("snapshot_loaded", "s", loaded, note=note),
        row(
            "recover_accounts",
            "s",
            recovered,
            note=f"the same, its place checked, {TAIL:,} commands behind it",
        ),
    ]


def _read(path: Path) -> Snapshot:
    found = read_file(path)
    if found is None:
        raise SnapshotError(f"{path} is gone")
    return found


def _offer(path: Path) -> Offer:
    found = _read(path)
    return Offer(str(path), found.epoch, found.seq, found.log_position, lambda: found)
