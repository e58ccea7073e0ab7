"""Logs and snapshots of every format that was ever released: they come to the state that they came to then, or are
refused by their version.

How one is made, and when: docs/adding.md.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from actors.recovery import Offer
from actors.shard import Recovered, Shard
from actors.snapshot import Snapshot, SnapshotError, read_file
from actors.tables import R_COMMANDS, Capacity
from core.records import LAYOUT_VERSION, RECORDS_VERSION, CommandKind
from shared_mem import log
from shared_mem.log import Reader
from shared_mem.log_folder import VersionUnreadable
from shared_mem.log_reader import LogReader, Record
from tests.actors.golden.make import EXPECTED_FILE, FOLDER, LOG_FILE, SNAPSHOT_FILE, events_hash, make

GOLDENS = sorted(path.parent for path in FOLDER.glob(f"v*/{EXPECTED_FILE}"))
NEWEST = FOLDER / f"v{LAYOUT_VERSION}"


class Golden:
    """One of them, put back as a desk's folder."""

    def __init__(self, folder: Path, log_dir: Path, run_dir: Path) -> None:
        self.log_dir, self.run_dir = log_dir, run_dir
        self.expected: dict[str, Any] = json.loads((folder / EXPECTED_FILE).read_text())
        self.snapshot_path = folder / SNAPSHOT_FILE
        raw, size = lzma.decompress((folder / LOG_FILE).read_bytes()), self.expected["segment_bytes"]
        log_dir.mkdir()
        for number in range(-(-len(raw) // size)):
            log.segment_path(log_dir, number).write_bytes(raw[number * size :][:size].ljust(size, b"\0"))
        versions = f"log {self.expected['log_version']}\nrecords {self.expected['records_version']}\n"
        (log_dir / "log.format").write_text(versions)

    @property
    def log_is_readable(self) -> bool:
        found = (self.expected["log_version"], self.expected["records_version"])
        return found == (log.VERSION, RECORDS_VERSION)

    @property
    def snapshot_is_readable(self) -> bool:
        return bool(self.expected["layout_version"] == LAYOUT_VERSION)

    def recover(self, *snapshots: Snapshot) -> tuple[Recovered, int]:
        """What a shard of this program finds, and how many commands its state has seen."""
        capacity = Capacity(**self.expected["capacity"])
        shard = Shard(
            self.log_dir, self.run_dir, capacity=capacity, segment_bytes=self.expected["segment_bytes"]
        )
        found = shard.recover([offer(snapshot) for snapshot in snapshots])
        shard.writer.close()
        shard._bell.close()
        return found, int(shard.state.registers[R_COMMANDS])

    def records(self) -> list[Record]:
        reader = LogReader(self.log_dir, self.run_dir, Reader.AUDIT)
        found: list[Record] = []
        while more := reader.read(4096):
            found += more
        reader.close()
        return found


def offer(snapshot: Snapshot) -> Offer:
    return Offer("golden", snapshot.epoch, snapshot.seq, snapshot.log_position, lambda: snapshot)


@pytest.fixture(params=GOLDENS, ids=lambda folder: folder.name)
def golden(request: pytest.FixtureRequest, run_dir: Path) -> Golden:
    return Golden(request.param, run_dir / "golden", run_dir)


def test_its_log_comes_to_the_state_that_it_came_to_or_is_refused_by_its_version(golden: Golden) -> None:
    expected = golden.expected
    if not golden.log_is_readable:
        with pytest.raises(
            VersionUnreadable, match=r"is written in version \d+ of .* and this program reads"
        ):
            golden.recover()
        return
    found, commands = golden.recover()  # each event is compared with the log's on the way
    assert (found.seq, commands) == (expected["last_seq"], expected["commands"])
    records = golden.records()
    assert records[-1].next_position == expected["end_position"]
    assert events_hash(records) == expected["events_sha256"]
    if golden.snapshot_is_readable:  # else rows are laid out otherwise by now
        assert found.state_hash == expected["state_hash"]


def test_its_snapshot_and_the_rest_of_its_log_come_to_the_same_or_it_is_refused(golden: Golden) -> None:
    if not golden.snapshot_is_readable:
        version = golden.expected["layout_version"]
        with pytest.raises(
            SnapshotError, match=rf"has version {version}, this program {LAYOUT_VERSION}: an older"
        ):
            read_file(golden.snapshot_path)
        return
    snapshot = read_file(golden.snapshot_path)
    assert snapshot is not None
    found, commands = golden.recover(snapshot)
    assert found.snapshot_seq == golden.expected["snapshot_seq"] > 0
    assert (found.state_hash, commands) == (golden.expected["state_hash"], golden.expected["commands"])


def test_the_newest_golden_is_of_this_format_and_has_every_kind_of_command() -> None:
    told = json.loads((NEWEST / EXPECTED_FILE).read_text())
    assert (told["log_version"], told["records_version"]) == (log.VERSION, RECORDS_VERSION)
    missing = [kind.name for kind in CommandKind if kind not in told["command_kinds"]]
    assert missing == [], "make it anew: python -m tests.actors.golden.make"


def test_a_golden_follows_from_its_seed_alone(tmp_path: Path, run_dir: Path) -> None:
    for name in ("first", "second"):
        make(tmp_path / name, run_dir / name)
    for file in (LOG_FILE, SNAPSHOT_FILE, EXPECTED_FILE):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
