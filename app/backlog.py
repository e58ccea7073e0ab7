"""The log as followers of the stream fall back on it: services/backlog.py, wired to a stack."""

from __future__ import annotations

from app.config import Config
from services.backlog import Backlog
from services.names import Names
from services.shard_tables import ShardTables
from shared_mem.log import Gate, Reader, Tail
from shared_mem.log_reader import LogReader


def backlog_of(config: Config) -> Backlog:
    """What the publisher follows too (app/roles/publisher.py)."""
    gate = Gate.REPLICATED if config.gate == "replicated" else Gate.SYNCED
    return Backlog(
        shard=config.shard,
        log_dir=config.log_dir,
        segment_bytes=lambda: Tail.attach(config.run_dir).segment_bytes,
        open_log=lambda position: LogReader(config.log_dir, config.run_dir, Reader.AUDIT, position, gate),
        names=lambda: Names(ShardTables(config.run_dir)),
    )
