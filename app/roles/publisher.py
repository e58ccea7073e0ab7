"""The role `publisher`: the shard's log -> NATS.

It follows what is synced, whatever gate the stack has for its orders: a power cut may take the end of a log
that is only written, and the stream would then tell of events that never were. Nobody waits for it by the
millisecond. At gate `replicated` it follows what a standby has: the stream is never ahead of the next owner's log.
"""

from __future__ import annotations

from collections.abc import Callable

from app.config import Config
from services.names import Names
from services.publisher import Publisher
from services.serving import run_until_terminated
from services.shard_tables import ShardTables
from shared_mem.cursors import CursorFile
from shared_mem.log import Gate, Reader, Tail
from shared_mem.log_reader import LogReader, first_kept


def main(config: Config, ready: Callable[[], None]) -> None:
    gate = Gate.REPLICATED if config.gate == "replicated" else Gate.SYNCED
    publisher = Publisher(
        nats_url=config.nats_url,
        shard=config.shard,
        open_log=lambda position: LogReader(config.log_dir, config.run_dir, Reader.PUBLISHER, position, gate),
        names=Names(ShardTables(config.run_dir)),
        cursor_file=CursorFile(config.cursors_dir, "publisher"),
        on_serving=ready,
        beginning=lambda: first_kept(config.log_dir, Tail.attach(config.run_dir).segment_bytes),
    )
    run_until_terminated(publisher.run())
