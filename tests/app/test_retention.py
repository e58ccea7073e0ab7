"""Retention on a desk: what the newest snapshot makes needless goes, and what is left brings the state back."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.replay import Replica
from actors.snapshot import read_file, restore
from app import config as configuration
from app.config import Config
from app.roles.snapshots import Snapshots
from app.stored_snapshots import snapshot_path
from core.units import cash_e6
from services import database
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Reader, segment_numbers, segment_path
from shared_mem.log_reader import LogReader
from tests.actors.desk import CAPACITY, SEGMENT_BYTES, Desk, deposit

# Nobody listens there.
AWAY = "postgresql://tradewind:x@127.0.0.1:1/tradewind"
TWO_HOURS_S = 7200


def config_of(folder: Path, postgres_url: str) -> Config:
    given: dict[str, str | None] = {"postgres_url": postgres_url, "log_keep_hours": "1", "shard": "77"}
    return configuration.load(given, {}, folder)


@pytest.fixture
def an_old_log(tmp_path: Path) -> Iterator[Desk]:
    """Three segments and a half, all of them two hours old."""
    config = config_of(tmp_path, AWAY)
    desk = Desk(config.log_dir, config.run_dir)
    desk.open_market()
    while desk.writer.position < 3.5 * SEGMENT_BYTES:
        desk.do(deposit(cash_e6(1)))
    desk.flusher.flush()
    desk.reader.position = desk.writer.position
    for number in segment_numbers(desk.log_dir):
        long_ago = time.time() - TWO_HOURS_S
        os.utime(segment_path(desk.log_dir, number), (long_ago, long_ago))
    yield desk
    desk.close()
    shutil.rmtree(config.run_dir)


def test_what_is_before_the_newest_snapshot_goes_and_the_rest_brings_the_state_back(
    an_old_log: Desk, tmp_path: Path, postgres_url: str
) -> None:
    asyncio.run(database.migrate(postgres_url))
    config = config_of(tmp_path, postgres_url)
    slow = CursorFile(config.cursors_dir, "slow")
    slow.save(Cursor(SEGMENT_BYTES, 1))
    snapshots = Snapshots(config)
    snapshots.step()
    assert segment_numbers(config.log_dir)[0] == 0, "no snapshot was stored yet"
    snapshots.store()
    snapshots.trim()
    assert segment_numbers(config.log_dir)[0] == 1, "the slow one needs the rest"
    slow.save(Cursor(an_old_log.writer.position, 1))
    snapshots.trim()
    assert segment_numbers(config.log_dir)[0] == 3
    an_old_log.do(deposit(cash_e6(2)))
    found = read_file(snapshot_path(config))
    assert found is not None
    replica = Replica(CAPACITY, SEGMENT_BYTES)
    restore(found, replica.state)
    replica.follow(LogReader(config.log_dir, config.run_dir, Reader.AUDIT, replica.position))
    assert replica.state.accounts[0]["cash_e6"] == an_old_log.state.accounts[0]["cash_e6"]


def test_a_snapshot_that_postgres_does_not_have_lets_nothing_go(an_old_log: Desk, tmp_path: Path) -> None:
    """Should the local file be lost, Postgres has an older one, and needs the log behind that."""
    config = config_of(tmp_path, AWAY)
    snapshots = Snapshots(config)
    snapshots.step()
    snapshots.store()
    snapshots.trim()
    assert read_file(snapshot_path(config)) is not None
    assert segment_numbers(config.log_dir)[0] == 0
