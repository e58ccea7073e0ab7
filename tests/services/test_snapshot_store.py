"""What is saved is what is read, whole, newest first; what was damaged is not taken for whole."""

from __future__ import annotations

import asyncio
import os
from typing import NamedTuple

import asyncpg
import pytest

from services import database, snapshot_store
from services.snapshot_store import KEPT, SnapshotBroken, SnapshotStore, StaleEpoch
from tests.services.test_portfolio import fetch


class Saved(NamedTuple):
    shard: int
    epoch: int
    seq: int
    log_position: int
    state_hash: str
    layout_version: int
    blobs: dict[str, bytes]


async def newest_whole(store: SnapshotStore, shard: int) -> Saved | None:
    """The newest that is whole."""
    for stored in await store.stored(shard):
        try:
            blobs = await store.blobs(stored)
        except SnapshotBroken:
            continue
        return Saved(*stored[1:-1], blobs=blobs)
    return None


@pytest.fixture
async def a_store(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> SnapshotStore:
    """A store whose chunks are small, so that a blob of a test has several."""
    monkeypatch.setattr(snapshot_store, "CHUNK_BYTES_MAX", 1000)
    await database.migrate(postgres_url)
    return SnapshotStore(postgres_url)


async def save(
    store: SnapshotStore, seq: int, epoch: int = 1, shard: int = 0, owner_epoch: int | None = None
) -> Saved:
    blobs = {"accounts": os.urandom(2500), "orders": os.urandom(1000), "positions": b"", "names": b"TW000001"}
    snapshot = Saved(shard, epoch, seq, seq * 100, f"hash-{seq}", 7, blobs)
    await store.save(**snapshot._asdict(), owner_epoch=epoch if owner_epoch is None else owner_epoch)
    return snapshot


async def damage(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    assert not (await connection.execute(sql)).endswith(" 0")
    await connection.close()


async def test_the_newest_snapshot_comes_back_as_it_was_saved(a_store: SnapshotStore) -> None:
    assert await newest_whole(a_store, 0) is None
    await save(a_store, 10)
    newest = await save(a_store, 20)
    await save(a_store, 99, shard=1)
    assert await newest_whole(a_store, 0) == newest


async def test_a_database_without_tables_has_no_snapshot(postgres_url: str) -> None:
    assert await SnapshotStore(postgres_url).stored(0) == []


async def test_the_last_three_are_kept_and_their_chunks_only(
    a_store: SnapshotStore, postgres_url: str
) -> None:
    for seq in range(10, 70, 10):
        await save(a_store, seq)
    other = await save(a_store, 1, shard=1)
    kept = await fetch(postgres_url, "SELECT seq FROM snapshots WHERE shard = 0 ORDER BY seq")
    assert [row["seq"] for row in kept] == [40, 50, 60]
    [chunks] = await fetch(postgres_url, "SELECT count(DISTINCT snapshot_id) AS n FROM snapshot_chunks")
    assert chunks["n"] == KEPT + 1
    assert await newest_whole(a_store, 1) == other


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE snapshot_chunks SET data = set_byte(data, 7, get_byte(data, 7) # 1) WHERE blob = 'names'",
        "UPDATE snapshot_chunks SET data = substr(data, 1, 999) WHERE blob = 'orders'",
        "DELETE FROM snapshot_chunks WHERE blob = 'accounts' AND chunk = 2",
        "DELETE FROM snapshot_chunks WHERE blob = 'positions'",
        "DELETE FROM snapshot_chunks",
    ],
    ids=["a flipped bit", "a short chunk", "a missing chunk", "a missing blob", "nothing left"],
)
async def test_a_broken_snapshot_is_passed_over_for_the_one_before(
    a_store: SnapshotStore, postgres_url: str, sql: str
) -> None:
    whole = await save(a_store, 10)
    await save(a_store, 20)
    where = " AND" if "WHERE" in sql else " WHERE"
    await damage(postgres_url, f"{sql}{where} snapshot_id = (SELECT max(snapshot_id) FROM snapshots)")
    assert await newest_whole(a_store, 0) == whole


async def test_a_snapshot_saved_again_replaces_itself(a_store: SnapshotStore, postgres_url: str) -> None:
    await save(a_store, 10)
    again = await save(a_store, 10)
    assert await newest_whole(a_store, 0) == again
    assert len(await fetch(postgres_url, "SELECT * FROM snapshots")) == 1


async def test_a_newer_epoch_comes_before_a_higher_sequence_number(a_store: SnapshotStore) -> None:
    """A log that lost its tail in a power cut goes on with numbers that an older snapshot has passed."""
    await save(a_store, 100, epoch=1)
    after = await save(a_store, 90, epoch=2)
    assert await newest_whole(a_store, 0) == after


async def test_every_claim_is_an_epoch_of_its_own(a_store: SnapshotStore) -> None:
    epochs = await asyncio.gather(*(a_store.claim_epoch(0, f"owner-{n}") for n in range(10)))
    assert sorted(epochs) == list(range(1, 11))
    assert await a_store.claim_epoch(1, "owner") == 1


async def test_an_owner_that_was_replaced_saves_nothing(a_store: SnapshotStore) -> None:
    old = await a_store.claim_epoch(0, "old")
    kept = await save(a_store, 10, epoch=old)
    await a_store.claim_epoch(0, "new")
    with pytest.raises(StaleEpoch, match="has been replaced"):
        await save(a_store, 20, epoch=old)
    assert await newest_whole(a_store, 0) == kept


async def test_a_new_owner_that_has_written_nothing_yet_may_save_its_predecessors_state(
    a_store: SnapshotStore,
) -> None:
    old = await a_store.claim_epoch(0, "old")
    new = await a_store.claim_epoch(0, "new")
    kept = await save(a_store, 10, epoch=old, owner_epoch=new)
    assert await newest_whole(a_store, 0) == kept


async def test_a_save_that_is_cut_off_leaves_nothing(a_store: SnapshotStore, postgres_url: str) -> None:
    before = await save(a_store, 10)

    class Cut(dict[str, bytes]):
        def items(self) -> object:  # type: ignore[override]
            yield "accounts", b"x" * 5000
            raise ConnectionResetError("cut off")

    with pytest.raises(ConnectionResetError):
        await a_store.save(
            shard=0,
            epoch=1,
            seq=20,
            log_position=0,
            state_hash="",
            layout_version=7,
            blobs=Cut(a=b""),
            owner_epoch=1,
        )
    assert await newest_whole(a_store, 0) == before
    assert len(await fetch(postgres_url, "SELECT * FROM snapshots")) == 1
