"""The role `portfolio`: NATS -> Postgres; and from the log what NATS has not any more."""

from __future__ import annotations

import logging
from collections.abc import Callable

from actors.snapshot import SnapshotError, restore
from actors.tables import Capacity, State, private_state
from app.backlog import backlog_of
from app.config import Config
from app.roles.shard import newest_snapshot
from services.backlog import Hold
from services.follower import Follower
from services.portfolio import NAME, Portfolio
from services.serving import run_until_terminated
from shared_mem.cursors import CursorFile

_log = logging.getLogger("tradewind.portfolio")


def newest_state(config: Config) -> State | None:
    """Of the newest snapshot that there is; None where none can be used."""
    snapshot = newest_snapshot(config)
    if snapshot is None:
        return None
    state = private_state(Capacity())
    try:
        restore(snapshot, state)
    except SnapshotError as error:
        _log.error("the newest snapshot can't be used: %s", error)
        return None
    return state


def main(config: Config, ready: Callable[[], None]) -> None:
    backlog = backlog_of(config)
    follower = Follower(
        nats_url=config.nats_url,
        shard=config.shard,
        effect=Portfolio(config.postgres_url, config.shard, lambda: newest_state(config)),
        on_serving=ready,
        backlog=backlog,
        hold=Hold(backlog, CursorFile(config.cursors_dir, NAME)),
    )
    run_until_terminated(follower.run())
