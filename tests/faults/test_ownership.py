"""Who owns a shard: claims, leases and take-overs by one row in a real Postgres."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services import database
from services.cursor_table import Overtaken
from services.follower import Place
from services.portfolio import Portfolio
from services.snapshot_store import SnapshotStore, StaleEpoch
from services.standby import ownership
from services.standby.ownership import Connection, LeaseKeeper, NotOwner, Owner
from shared_mem import lease, log
from shared_mem.lease import LeaseOver
from shared_mem.log import Gate, Reader
from shared_mem.log_reader import LogReader
from shared_mem.log_writer import LogWriter

SHARD = 3
LONG_MS = 3_600_000


@pytest.fixture
async def row(postgres_url: str) -> AsyncIterator[Connection]:
    """A connection to a database in which nobody owns the shard."""
    await database.migrate(postgres_url)
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("DELETE FROM shard_owner WHERE shard = $1", SHARD)
    yield connection
    await connection.close()


async def owner_of(row: Connection) -> Owner:
    found = await ownership.read(row, SHARD)
    assert found is not None
    return found


async def test_an_owner_claims_again_and_nobody_else_does(row: Connection) -> None:
    assert await ownership.claim(row, SHARD, "one", LONG_MS) == 1
    assert await ownership.claim(row, SHARD, "one", LONG_MS) == 2
    with pytest.raises(NotOwner, match="shard 3 is owned by one, at epoch 2; other must not act"):
        await ownership.claim(row, SHARD, "other", LONG_MS)


async def test_a_lease_that_ran_out_is_still_nobody_elses_to_claim(row: Connection) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    await asyncio.sleep(0.01)
    assert (await owner_of(row)).left_ms == 0
    with pytest.raises(NotOwner):
        await ownership.claim(row, SHARD, "other", LONG_MS)


async def test_a_take_over_ends_renewals_and_says_how_long_to_wait(row: Connection) -> None:
    await ownership.claim(row, SHARD, "one", LONG_MS)
    seen = await owner_of(row)
    epoch, wait_ms = await ownership.take_over(row, SHARD, "standby", seen, 7, 0, LONG_MS)
    assert epoch == 8, "above the row and above every record of the log"
    assert LONG_MS < wait_ms <= LONG_MS + LONG_MS // ownership.DRIFT_SHARE
    with pytest.raises(NotOwner, match="owned by standby, at epoch 8"):
        await ownership.renew(row, SHARD, "one", 1, LONG_MS)
    await ownership.renew(row, SHARD, "standby", epoch, LONG_MS)


async def test_after_a_lease_that_ran_out_there_is_nothing_to_wait_for(row: Connection) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    await asyncio.sleep(0.01)
    _, wait_ms = await ownership.take_over(row, SHARD, "standby", await owner_of(row), 1, 0, LONG_MS)
    assert wait_ms == 0


async def test_of_two_standbys_one_wins(row: Connection, postgres_url: str) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    seen = await owner_of(row)

    async def try_to(name: str) -> str:
        connection = await asyncpg.connect(postgres_url)
        try:
            await ownership.take_over(connection, SHARD, name, seen, 1, 0, LONG_MS)
        except NotOwner:
            return ""
        finally:
            await connection.close()
        return name

    won = [name for name in await asyncio.gather(*(try_to(f"standby-{n}") for n in range(8))) if name]
    assert won == [(await owner_of(row)).name]


async def test_an_owner_that_restarted_meanwhile_is_not_taken_over(row: Connection) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    seen = await owner_of(row)
    await ownership.claim(row, SHARD, "one", LONG_MS)
    with pytest.raises(NotOwner):
        await ownership.take_over(row, SHARD, "standby", seen, 1, 0, LONG_MS)


async def test_the_former_owners_snapshots_are_refused_and_those_of_a_lost_time_go(
    row: Connection, postgres_url: str
) -> None:
    store = SnapshotStore(postgres_url)
    await ownership.claim(row, SHARD, "one", 1)

    async def save(position: int, owner_epoch: int) -> None:
        await store.save(
            shard=SHARD, epoch=1, seq=position, log_position=position, state_hash="-", layout_version=1,
            blobs={}, owner_epoch=owner_epoch,
        )  # fmt: skip

    await save(100, 1)
    await save(200, 1)
    epoch, _ = await ownership.take_over(row, SHARD, "standby", await owner_of(row), 1, 150, LONG_MS)
    assert [one.log_position for one in await store.stored(SHARD)] == [100]
    with pytest.raises(StaleEpoch):
        await save(300, epoch - 1)


async def test_the_former_owners_portfolio_writes_nothing(row: Connection, postgres_url: str) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    former = Portfolio(postgres_url, SHARD, epoch=lambda: 1)
    place = await former.place()
    await former.apply([], place, Place(5, 1))
    epoch, _ = await ownership.take_over(row, SHARD, "standby", await owner_of(row), 1, 0, LONG_MS)
    with pytest.raises(Overtaken, match="has an owner at epoch 2; what one at 1 would write is not taken"):
        await former.apply([], Place(5, 1), Place(9, 2))
    new = Portfolio(postgres_url, SHARD, epoch=lambda: epoch)
    assert await new.place() == Place(5, 1)
    await new.apply([], Place(5, 1), Place(9, 2))
    await former.close()
    await new.close()


async def test_a_stack_without_a_key_does_not_take_a_shard_that_has_an_owner(
    row: Connection, postgres_url: str
) -> None:
    await ownership.claim(row, SHARD, "one", 1)
    with pytest.raises(StaleEpoch):
        await SnapshotStore(postgres_url).claim_epoch(SHARD, "a stack whose key was forgotten")


async def test_a_keeper_renews_and_tells_when_the_shard_is_anothers(
    row: Connection, postgres_url: str
) -> None:
    epoch = await ownership.claim(row, SHARD, "one", 400)
    renewed, lost = threading.Semaphore(0), threading.Event()
    keeper = LeaseKeeper(
        postgres_url, SHARD, "one", lambda: epoch + 5, 400, lease.boot_ns,
        lambda _asked: renewed.release(), lambda _error: lost.set(),
    )  # fmt: skip
    keeper.start()
    assert await asyncio.to_thread(renewed.acquire, timeout=60)
    assert (await owner_of(row)).epoch == epoch + 5, "the row is never behind the log"
    await ownership.take_over(row, SHARD, "standby", await owner_of(row), 1, 0, LONG_MS)
    assert await asyncio.to_thread(lost.wait, 60)
    keeper.stop()


async def test_an_owner_by_an_operators_word_puts_off_who_stands_in_the_row(
    row: Connection, postgres_url: str
) -> None:
    await ownership.claim(row, SHARD, "former", LONG_MS)
    renewed = threading.Event()
    keeper = LeaseKeeper(
        postgres_url, SHARD, "standby", lambda: 9, 400, lease.boot_ns,
        lambda _asked: renewed.set(), lambda error: pytest.fail(str(error)), is_vouched=True,
    )  # fmt: skip
    keeper.start()
    assert await asyncio.to_thread(renewed.wait, 60)
    keeper.stop()
    found = await owner_of(row)
    assert (found.name, found.epoch) == ("standby", 9), "what this owner's followers write is not refused"


def test_nothing_is_read_for_an_effect_once_the_lease_is_over(tmp_path: Path, run_dir: Path) -> None:
    writer = LogWriter.open(tmp_path / "log", run_dir, 0, segment_bytes=log.SEGMENT_BYTES_MIN)
    tail = writer.tail
    door = LogReader(tmp_path / "log", run_dir, Reader.GATEWAY, 0, Gate.WRITTEN)
    audit = LogReader(tmp_path / "log", run_dir, Reader.AUDIT)
    assert door.read() == []
    lease.extend(tail, log.LEASE_UNTIL, lease.boot_ns() + 10**12)
    assert door.read() == []
    tail.set_word(log.LEASE_UNTIL, 1)
    with pytest.raises(LeaseOver, match="another host may own it"):
        door.read()
    assert audit.read() == []
    lease.extend(tail, log.GRANTED_UNTIL, lease.boot_ns() + 10**12)
    assert door.read() == [], "the standby's word is as good"
    lease.fence(tail)
    with pytest.raises(LeaseOver):
        door.read()
    writer.close()
