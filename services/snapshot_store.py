"""Snapshots of a shard's state in Postgres, and the row that says who owns a shard.

What always holds: a snapshot is whole or not there (one transaction), and what `blobs` returns has its
lengths and checksums right. The newest KEPT are kept, so that a broken one can be passed over for the one before it. An
owner whose epoch has been overtaken writes none.

Must not know what is in a blob.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

import asyncpg

from services import database

# Postgres takes a gigabyte in one value, but sender, server and log (WAL) hold it in memory whole.
CHUNK_BYTES_MAX: Final = 16 * 1024**2
# One to use, one should it be broken, and one for the operator who must look further back.
KEPT: Final = 3
# A snapshot of a million accounts is gigabytes: minutes at a disk's speed, and not the ten seconds of other
# commands.
SAVE_TIMEOUT_S: Final = 600.0

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class StaleEpoch(RuntimeError):
    """The shard has a newer owner. Stop writing, and let it go on."""

    def __init__(self, shard: int, owner_epoch: int, newest_epoch: int) -> None:
        super().__init__(
            f"shard {shard} has an owner at epoch {newest_epoch}; a snapshot for the one at {owner_epoch} is not "
            "taken. This process has been replaced: it must end."
        )


class SnapshotBroken(RuntimeError):
    """A stored snapshot is not what was saved. The text names the place."""


class Stored(NamedTuple):
    """State after all records up to `seq`; replay goes on at byte `log_position` of the log. Its blobs are apart."""

    snapshot_id: int
    shard: int
    epoch: int
    seq: int
    log_position: int
    state_hash: str
    layout_version: int
    blob_count: int


class SnapshotStore:
    """All methods open a connection of their own: they are rare. They raise `database.POSTGRES_TROUBLE`."""

    def __init__(self, postgres_url: str) -> None:
        self._url = postgres_url

    async def save(
        self,
        *,
        shard: int,
        epoch: int,
        seq: int,
        log_position: int,
        state_hash: str,
        layout_version: int,
        blobs: Mapping[str, bytes],
        owner_epoch: int,
    ) -> None:
        """Store a snapshot, and let go of old ones. Saved again, it replaces itself.

        epoch: of the last record in the state. owner_epoch: of the owner whose log the writer follows, which is
        higher while a new owner has not written yet. Raises StaleEpoch if the shard has a newer one.
        """
        connection = await database.connect_migrated(self._url)
        try:
            async with connection.transaction():
                newest_epoch = await connection.fetchval(
                    "SELECT epoch FROM shard_owner WHERE shard = $1 FOR SHARE", shard
                )
                if newest_epoch is not None and newest_epoch > owner_epoch:
                    raise StaleEpoch(shard, owner_epoch, newest_epoch)
                await connection.execute(
                    "DELETE FROM snapshots WHERE shard = $1 AND epoch = $2 AND seq = $3", shard, epoch, seq
                )
                snapshot_id = await connection.fetchval(
                    "INSERT INTO snapshots "
                    "(shard, epoch, seq, log_position, state_hash, layout_version, blob_count) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING snapshot_id",
                    shard,
                    epoch,
                    seq,
                    log_position,
                    state_hash,
                    layout_version,
                    len(blobs),
                )
                await connection.copy_records_to_table(
                    "snapshot_chunks", records=_chunks(snapshot_id, blobs), timeout=SAVE_TIMEOUT_S
                )
                await connection.execute(
                    "DELETE FROM snapshots WHERE shard = $1 AND snapshot_id NOT IN "
                    "(SELECT snapshot_id FROM snapshots WHERE shard = $1 "
                    "ORDER BY epoch DESC, seq DESC LIMIT $2)",
                    shard,
                    KEPT,
                    timeout=SAVE_TIMEOUT_S,
                )
        finally:
            await connection.close()

    async def stored(self, shard: int) -> list[Stored]:
        """What there is, newest first; nothing in a database that is new or was wiped."""
        connection = await database.connect(self._url)
        try:
            if await connection.fetchval("SELECT to_regclass('snapshots')") is None:
                return []
            rows = await connection.fetch(
                f"SELECT {', '.join(Stored._fields)} FROM snapshots WHERE shard = $1 ORDER BY epoch DESC, seq DESC",
                shard,
            )
            return [Stored(*row) for row in rows]
        finally:
            await connection.close()

    async def blobs(self, stored: Stored) -> dict[str, bytes]:
        """Of one snapshot, with lengths and checksums right. Raises SnapshotBroken."""
        connection = await database.connect(self._url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _read_blobs(connection, stored.snapshot_id, stored.blob_count)
        finally:
            await connection.close()

    async def claim_epoch(self, shard: int, owner: str) -> int:
        """Become the shard's owner: its new epoch, from 1, one more than the last. On disk when this
        returns. Raises StaleEpoch for a shard with a standby, which is claimed by name (services/standby)."""
        connection = await database.connect_migrated(self._url)
        try:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = on")
                epoch: int | None = await connection.fetchval(
                    "INSERT INTO shard_owner (shard, epoch, owner) VALUES ($1, 1, $2) ON CONFLICT (shard) "
                    "DO UPDATE SET epoch = shard_owner.epoch + 1, owner = excluded.owner "
                    "WHERE shard_owner.lease_ms IS NULL RETURNING epoch",
                    shard,
                    owner,
                )
                if epoch is None:
                    newest: int = await connection.fetchval(
                        "SELECT epoch FROM shard_owner WHERE shard = $1", shard
                    )
                    raise StaleEpoch(shard, 0, newest)
            return epoch
        finally:
            await connection.close()


def _chunks(snapshot_id: int, blobs: Mapping[str, bytes]) -> Iterator[tuple[int, str, int, int, int, bytes]]:
    """Rows of snapshot_chunks. An empty blob has one empty chunk."""
    for name, blob in blobs.items():
        view = memoryview(blob)
        for index, start in enumerate(range(0, max(len(blob), 1), CHUNK_BYTES_MAX)):
            data = bytes(view[start : start + CHUNK_BYTES_MAX])
            yield snapshot_id, name, index, len(blob), zlib.crc32(data), data


async def _read_blobs(connection: Connection, snapshot_id: int, blob_count: int) -> dict[str, bytes]:
    """A snapshot's blobs, checked. Raises SnapshotBroken."""
    parts: dict[str, bytearray] = {}
    lengths: dict[str, int] = {}
    cursor = connection.cursor(
        "SELECT blob, chunk, blob_bytes, crc32, data FROM snapshot_chunks WHERE snapshot_id = $1 "
        "ORDER BY blob, chunk",
        snapshot_id,
        prefetch=2,  # chunks held in memory beside the blobs
        timeout=SAVE_TIMEOUT_S,
    )
    async for name, chunk, blob_bytes, crc, data in cursor:
        if zlib.crc32(data) != crc:
            raise SnapshotBroken(
                f"blob {name!r}, chunk {chunk}: checksum {zlib.crc32(data):#x}, should be {crc:#x}"
            )
        parts.setdefault(name, bytearray()).extend(data)
        lengths[name] = blob_bytes
    for name, blob_bytes in lengths.items():
        if len(parts[name]) != blob_bytes:
            raise SnapshotBroken(f"blob {name!r} has {len(parts[name])} bytes, should have {blob_bytes}")
    if len(parts) != blob_count:
        raise SnapshotBroken(f"{len(parts)} blobs, should be {blob_count}")
    return {name: bytes(part) for name, part in parts.items()}
