"""The role `portfolio`: NATS -> Postgres; and from the log what NATS has not any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from actors.recovery import NothingToBeginFrom, begin
from actors.tables import Capacity, State, private_state
from app.backlog import backlog_of
from app.config import Config
from app.ownership import epoch_of
from app.stored_snapshots import offers
from services.backlog import Hold
from services.follower import Follower
from services.portfolio import NAME, Portfolio
from services.serving import run_until_terminated
from shared_mem.cursors import CursorFile
from shared_mem.log import Tail
from shared_mem.log_view import LogView

_log = logging.getLogger("tradewind.portfolio")


def newest_state(config: Config) -> State | None:
    """Of the newest snapshot that can be used; None where there is none."""
    tail = Tail.attach(config.run_dir)
    view = LogView(config.log_dir, tail.segment_bytes, tail.synced, tail)
    try:
        begun = begin(offers(config), lambda: private_state(Capacity()), view)
    except NothingToBeginFrom as error:
        _log.error("%s", error)
        return None
    for line in begun.refused:
        _log.error("%s", line)
    return None if begun.offer is None else begun.state


def main(config: Config, ready: Callable[[], None]) -> None:
    backlog = backlog_of(config)
    follower = Follower(
        nats_url=config.nats_url,
        shard=config.shard,
        effect=Portfolio(
            config.postgres_url, config.shard, lambda: newest_state(config), lambda: epoch_of(config)
        ),
        on_serving=ready,
        backlog=backlog,
        hold=Hold(backlog, CursorFile(config.cursors_dir, NAME)),
    )
    run_until_terminated(follower.run())
