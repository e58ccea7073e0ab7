"""The role `replicator`: the door for this shard's standby (services/standby). Only where `standby_key` is given."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from app import ownership
from app.config import Config
from app.stored_snapshots import snapshot_path
from services.standby.messages import read_key
from services.standby.owner_link import Places
from services.standby.replicator import Replicator, listen
from services.standby.standing import Standing, Terms
from shared_mem import lease


def main(config: Config, ready: Callable[[], None]) -> None:
    """Until SIGTERM. Raises LinkKeyError, OSError (the port); LeaseOver once the shard was handed over."""
    assert config.standby_key is not None, "the role runs where there is a key"
    terms = Terms(
        shard=config.shard,
        key=read_key(config.standby_key),
        lease_ms=config.lease_ms,
        away_ms=config.standby_away_ms,
        is_awaited=config.gate == "replicated",
        degrades=config.when_standby_away == "degrade",
    )
    standing = Standing(terms, config.run_dir, config.cursors_dir)
    places = Places(config.data_dir, config.log_dir, config.run_dir, snapshot_path(config))
    stop, asked = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: os.write(asked, b"!"))
    with listen(config.host, config.ports.standby) as listener:
        kept = ownership.Lease(config)
        kept.write_to(standing.tail)
        ready()
        Replicator(standing, places, listener, stop).run()
        kept.stop()
    lease.require(standing.tail)
