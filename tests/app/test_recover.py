"""`tradewind recover --dry-run` says what a start then does, changes nothing, and its ways out lead out."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from actors.amended import Skip, add_skip
from actors.shard import Recovered, Shard
from actors.tables import Capacity
from app import config as configuration
from app.cli import main
from app.config import Config
from app.lock import acquire
from app.recover import Findings, examine, lines
from app.roles.snapshots import Snapshots
from app.stored_snapshots import all_offers, offers, snapshot_path
from services import database
from shared_mem import log
from shared_mem.log import LogCorrupt
from tests.actors.desk import SEGMENT_BYTES, Desk, deposit
from tests.actors.test_replay import trade_a_while
from tests.shared_mem.desk import flip

Shown = pytest.CaptureFixture[str]

# Nobody listens there.
AWAY = "postgresql://tradewind:x@127.0.0.1:1/tradewind"
SHARD = "78"


def config_of(folder: Path, postgres_url: str = AWAY) -> Config:
    return configuration.load({"postgres_url": postgres_url, "shard": SHARD}, {}, folder)


@pytest.fixture
def a_desk(tmp_path: Path) -> Iterator[Desk]:
    """Two segments and a half of history, all of it on disk."""
    config = config_of(tmp_path)
    desk = Desk(config.log_dir, config.run_dir, Capacity())
    desk.open_market()
    while desk.writer.position < 2.5 * SEGMENT_BYTES:
        desk.do(deposit(1, reference="x" * 100))
    trade_a_while(desk, 20)
    desk.flusher.flush()
    yield desk
    desk.close()
    shutil.rmtree(config.run_dir)


def store_snapshot(config: Config, desk: Desk) -> int:
    """As the role does it; its seq."""
    desk.flusher.flush()
    snapshots = Snapshots(config)
    snapshots.step()
    snapshots.store()
    snapshots._reader.close()
    return snapshots.replica.seq


def traces(config: Config) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file of the desk, in its folder and in memory."""
    found = [p for folder in (config.data_dir, config.run_dir) for p in folder.rglob("*") if p.is_file()]
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in found if p.name != "status.json"}


def looked_at(config: Config) -> Findings:
    before = traces(config)
    findings = examine(config)
    assert traces(config) == before
    return findings


def started(config: Config) -> Recovered:
    shard = Shard(config.log_dir, config.run_dir, capacity=Capacity(), segment_bytes=SEGMENT_BYTES)
    found = shard.recover(offers(config))
    shard.writer.close()
    shard._bell.close()
    return found


def lose_memory(config: Config) -> None:
    log.tail_path(config.run_dir).unlink()


def test_it_says_what_a_start_then_does(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    at = store_snapshot(config, a_desk)
    trade_a_while(a_desk, 5, 2)
    a_desk.flusher.flush()
    for in_memory in (True, False):
        if not in_memory:
            lose_memory(config)
        found = looked_at(config)
        assert found.log is not None
        assert (found.halts, found.running, found.log.in_memory) == ("", False, in_memory)
        assert (found.log.first_position, found.log.end_position) == (0, a_desk.writer.position)
        assert [(one.seq, one.refused) for one in found.snapshots] == [(at, "")]
        assert "Postgres is away" in found.troubles[0]
        assert found.begins_at_seq == at
    then = started(config)
    assert (found.commands, found.seq, found.state_hash) == (
        then.commands_replayed, then.seq, then.state_hash,
    )  # fmt: skip
    assert found.commands > 0


def test_a_torn_tail_is_counted_and_left(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    lose_memory(config)
    end = a_desk.writer.position
    last = log.segment_path(config.log_dir, 2)
    with last.open("r+b") as file:
        file.seek((end - 20) % SEGMENT_BYTES)
        file.write(b"\xff" * 50)
    found = looked_at(config)
    assert found.log is not None
    assert found.log.torn_records == 1
    assert found.log.torn_bytes == end + 30 - found.log.end_position
    assert f"{found.log.torn_bytes} bytes behind the end would be cut off" in "\n".join(lines(found))
    assert started(config).state_hash == found.state_hash


def test_damage_is_told_with_its_place_and_each_way_out_leads_out(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    store_snapshot(config, a_desk)
    trade_a_while(a_desk, 5, 2)
    a_desk.flusher.flush()
    lose_memory(config)
    bad = log.segment_path(config.log_dir, 0)
    whole = bad.read_bytes()
    flip(bad, 40)
    found = looked_at(config)
    assert f"{bad} is damaged at offset 0 (position 0)" in found.halts
    with pytest.raises(LogCorrupt):
        started(config)
    assert len(found.ways_out) == 2
    assert "put 0000000000.log back as it was" in found.ways_out[0]
    bad.write_bytes(whole)
    assert looked_at(config).halts == ""
    flip(bad, 40)
    assert f"move 0000000000.log out of {config.log_dir}" in found.ways_out[1]
    bad.unlink()
    assert looked_at(config).halts == ""
    assert started(config).state_hash == a_desk.hash()


def test_without_a_snapshot_behind_it_damage_has_one_way_out(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    lose_memory(config)
    flip(log.segment_path(config.log_dir, 1), 40)
    assert len(looked_at(config).ways_out) == 1


def test_damage_under_a_living_tail_is_found_where_the_replay_meets_it(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    flip(log.segment_path(config.log_dir, 0), 40)
    found = looked_at(config)
    assert "the record in 0000000000.log at offset 0 (position 0) is damaged" in found.halts
    assert len(found.ways_out) == 1


def test_what_an_operator_left_out_is_left_out_here_too(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    begin, seq = a_desk.writer.position, a_desk.writer.next_seq
    a_desk.do(deposit(7))
    a_desk.flusher.flush()
    lose_memory(config)
    with_it = looked_at(config).state_hash
    add_skip(config.log_dir, Skip(begin, seq))
    found = looked_at(config)
    assert (found.halts, found.state_hash != with_it) == ("", True)
    assert started(config).state_hash == found.state_hash


def test_beside_a_running_desk_it_looks_and_leaves_no_trace(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    held = acquire(config)
    a_desk.buy()  # in memory alone
    found = looked_at(config)
    assert (found.running, found.halts, found.state_hash) == (True, "", a_desk.hash())
    os.close(held)


def test_the_command_says_it_to_people_and_to_programs(a_desk: Desk, tmp_path: Path, capsys: Shown) -> None:
    where = ("--data-dir", str(config_of(tmp_path).data_dir), "--postgres-url", AWAY, "--shard", SHARD)
    assert main(["recover", "--dry-run", *where]) == 0
    assert f"state {a_desk.hash()}" in capsys.readouterr().out
    assert main(["recover", "--dry-run", "--json", *where]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state_hash"], told["begins_from"]) == (a_desk.hash(), "the log's beginning")
    assert main(["recover", *where]) == 1
    assert "a start recovers by itself" in capsys.readouterr().err
    lose_memory(config_of(tmp_path))
    flip(log.segment_path(a_desk.log_dir, 0), 40)
    assert main(["recover", "--dry-run", *where]) == 1
    assert "A START WOULD HALT" in capsys.readouterr().out
    assert main(["recover", "--dry-run", "--data-dir", str(tmp_path / "none"), "--postgres-url", AWAY]) == 1
    assert "no log in" in capsys.readouterr().err


def test_a_shard_that_can_not_recover_ends_with_one_line_for_a_person(a_desk: Desk, tmp_path: Path) -> None:
    config = config_of(tmp_path / "copy")  # the log's writer is this process
    shutil.copytree(a_desk.log_dir, config.log_dir)
    bad = log.segment_path(config.log_dir, 0)
    flip(bad, 40)
    where = ("--data-dir", str(config.data_dir), "--postgres-url", AWAY, "--shard", SHARD)
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "run", "shard", *where], capture_output=True, text=True, check=False
    )
    shutil.rmtree(config.run_dir)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"no recovery: {bad} is damaged at offset 0 (position 0): ")
    assert last.endswith("`tradewind recover --dry-run` looks without changing anything")
    assert "Traceback" not in ended.stderr


async def spoil(url: str, seq: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE snapshot_chunks SET data = set_byte(data, 9, get_byte(data, 9) # 1) WHERE blob = 'accounts' AND "
        "snapshot_id IN (SELECT snapshot_id FROM snapshots WHERE shard = $1 AND seq = $2)",
        int(SHARD),
        seq,
    )
    await connection.close()


def test_the_next_best_place_is_begun_from_when_one_is_damaged(
    a_desk: Desk, tmp_path: Path, postgres_url: str
) -> None:
    """The local file, then Postgres, then an older one there, then the log from its beginning: to one and the
    same state."""
    asyncio.run(database.migrate(postgres_url))
    config = config_of(tmp_path, postgres_url)
    seqs = []
    for seed in (2, 3):
        trade_a_while(a_desk, 5, seed)
        seqs.append(store_snapshot(config, a_desk))
    trade_a_while(a_desk, 5, 4)
    a_desk.flusher.flush()

    def begins(at: int, where: str) -> None:
        found = looked_at(config)
        assert (found.begins_at_seq, found.state_hash) == (at, a_desk.hash())
        assert where in found.begins_from
        lose_memory(config)
        assert started(config)[::3] == (at, a_desk.hash())

    begins(seqs[1], "the local file")
    flip(snapshot_path(config), 200)
    assert "is damaged: its checksum" in all_offers(config).troubles[0]
    begins(seqs[1], "Postgres")
    asyncio.run(spoil(postgres_url, seqs[1]))
    begins(seqs[0], "Postgres")
    asyncio.run(spoil(postgres_url, seqs[0]))
    begins(0, "the log's beginning")
    assert len([one for one in looked_at(config).snapshots if "checksum" in one.refused]) == 2
