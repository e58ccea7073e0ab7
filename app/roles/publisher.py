"""The role `publisher`: the shard's log -> NATS."""

from __future__ import annotations

from collections.abc import Callable

from app.config import Config
from services.cursor_file import CursorFile
from services.names import Names
from services.publisher import Publisher
from services.serving import run_until_terminated
from services.shard_tables import ShardTables
from shared_mem.log import Gate, LogReader, Reader


def main(config: Config, ready: Callable[[], None]) -> None:
    gate = Gate[config.gate.upper()]
    publisher = Publisher(
        nats_url=config.nats_url,
        shard=config.shard,
        open_log=lambda position: LogReader(config.log_dir, config.run_dir, Reader.PUBLISHER, position, gate),
        names=Names(ShardTables(config.run_dir)),
        cursor_file=CursorFile(config.data_dir / "cursors" / "publisher"),
        on_serving=ready,
    )
    run_until_terminated(publisher.run())
