"""Where a desk's snapshots are kept: the local file of the newest, and the last few in Postgres.

Always holds: a place that is away or damaged costs a line in the log, never the start; what can be offered by the other
is. Nothing here decides which snapshot is used (actors/recovery.py).
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final, NamedTuple

from actors.recovery import Offer
from actors.snapshot import Snapshot, SnapshotError, read_file
from app.config import Config
from services import database
from services.snapshot_store import SnapshotBroken, SnapshotStore, Stored

_log: Final = logging.getLogger("tradewind.snapshots")


class Offers(NamedTuple):
    """What can be begun from, and a line for each place that could not be asked or is damaged."""

    offers: list[Offer]
    troubles: list[str]


def snapshot_path(config: Config) -> Path:
    """The local copy of the newest snapshot."""
    return config.data_dir / "snapshots" / f"shard-{config.shard}.snapshot"


def all_offers(config: Config) -> Offers:
    """Of both places. Postgres is asked for its list only; blobs are read when they are wanted."""
    found = Offers([], [])
    path = snapshot_path(config)
    try:
        if (local := read_file(path)) is not None:
            where = f"the local file {path}"
            found.offers.append(Offer(where, local.epoch, local.seq, local.log_position, lambda: local))
    except (SnapshotError, OSError) as error:
        found.troubles.append(f"the local snapshot is refused: {error}")
    try:
        stored = asyncio.run(SnapshotStore(config.postgres_url).stored(config.shard))
    except database.POSTGRES_TROUBLE as error:
        found.troubles.append(
            f"Postgres is away ({error!r}): its snapshots can't be asked for; the local one and the log are used"
        )
        return found
    found.offers.extend(_offer(config, one) for one in stored)
    return found


def offers(config: Config) -> list[Offer]:
    """As `all_offers`, with what is in the way said in the log."""
    found = all_offers(config)
    for line in found.troubles:
        _log.warning("%s", line)
    return found.offers


def _offer(config: Config, stored: Stored) -> Offer:
    def load() -> Snapshot:
        try:
            blobs = asyncio.run(SnapshotStore(config.postgres_url).blobs(stored))
        except (SnapshotBroken, *database.POSTGRES_TROUBLE) as error:
            raise SnapshotError(f"it can't be read: {error!r}") from None
        return Snapshot(
            stored.epoch, stored.seq, stored.log_position, stored.state_hash, stored.layout_version, blobs
        )

    where = f"Postgres (snapshot_id {stored.snapshot_id})"
    return Offer(where, stored.epoch, stored.seq, stored.log_position, load)
