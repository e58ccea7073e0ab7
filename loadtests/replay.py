"""Commands a second replayed from the log, beside the orders a second that wrote it, in the same run.

Measured: a shard decides orders over accounts drawn at random, with a real flusher; then a replica follows the log
(`Replica.follow`), as recovery does: reading tail and segment files, checking each record's CRC-32C, applying each
command, comparing its events with the log's. Rounds of both alternate; afterwards both states must be equal.
The column `limit` is orders_per_s of the same rounds, in the shard's own code. The files come from the page cache.
"""

from __future__ import annotations

import mmap
import tempfile
import time
from pathlib import Path
from typing import Final

from actors.replay import Replica
from actors.shard import Lane
from actors.snapshot import state_hash
from actors.tables import map_state, state_bytes
from loadtests.decision import SCRATCH_DIR, SOME
from loadtests.desk import Desk, capacity_for, draw, orders_feed
from loadtests.measure import Row, progress, row
from shared_mem import log
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader

ACCOUNTS: Final = SOME
ROUNDS: Final = 5
ORDERS: Final = 200_000


def bench() -> list[Row]:
    total = (ROUNDS + 1) * ORDERS
    replayed: list[float] = []
    decided: list[float] = []
    SCRATCH_DIR.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        tempfile.TemporaryDirectory(dir=SCRATCH_DIR, prefix="log.") as disk,
    ):
        capacity = capacity_for(ACCOUNTS, total)
        desk = Desk(Path(folder), capacity, log_dir=Path(disk), flushing=True)
        try:
            progress(f"a desk of {ACCOUNTS:,} accounts, and its replica")
            desk.open_market(ACCOUNTS)
            # Its pages touched before, as a recovery does it (actors/ahead.py).
            memory = mmap.mmap(
                -1, state_bytes(capacity), flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
            )
            replica = Replica(capacity, log.SEGMENT_BYTES, map_state(memory, capacity))
            reader = LogReader(desk.log_dir, desk.run_dir, Reader.AUDIT)
            replica.follow(reader)
            orders = orders_feed(*draw(ACCOUNTS, total, seed=1), seed=2)
            for number in range(ROUNDS + 1):
                progress(f"orders and their replay, round {number + 1} of {ROUNDS + 1}")
                spent, _ = desk.serve(Lane.ORDERS_GATEWAY, orders, number * ORDERS, ORDERS)
                begin = time.perf_counter_ns()
                replica.follow(reader)
                took = time.perf_counter_ns() - begin
                if number:
                    decided.append(ORDERS * 1e9 / spent)
                    replayed.append(ORDERS * 1e9 / took)
            reader.close()
            assert state_hash(replica.state) == state_hash(desk.state), "the replica differs from the shard"
        finally:
            desk.close()
    note = f"limit: orders_per_s of the same run, {ACCOUNTS:,} accounts; warm page cache"
    return [row("replay_per_s", "1/s", replayed, limit=decided, note=note)]
