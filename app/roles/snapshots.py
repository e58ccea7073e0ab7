"""The role `snapshots`: a replica that follows the log, proves each step, and stores snapshots.

Always holds: it applies only what is synced (at gate `replicated`, what a standby has), so that no snapshot is ever
ahead of the log on disk; it never stops the shard. A replica that diverges ends with its place named: the shard's state
is then not what its log says. Postgres away: the local file still gets its snapshot. What lies before the newest
snapshot that both of them have, and before what anyone else needs, is let go of the log (shared_mem/retention.py).
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable
from typing import Final

import msgspec

from actors.marks import MarkedReplica
from actors.recovery import begin
from actors.replay import Replica
from actors.snapshot import Snapshot, take, write_file
from actors.tables import R_COMMANDS, Capacity, private_state
from app.config import Config
from app.stored_snapshots import offers, snapshot_path
from services import database
from services.snapshot_store import SnapshotStore, StaleEpoch
from services.standby.owner_link import MARKS_FILE
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import Gate, Reader, Tail
from shared_mem.log_reader import LogReader
from shared_mem.log_view import LogView
from shared_mem.retention import SNAPSHOTS_CURSOR, holders, trim

_log = logging.getLogger("tradewind.snapshots")

# A snapshot after so many commands bounds the replay at a start to about a tenth of a second; and after so
# long when there were any at all, so that a quiet day's log can be let go.
SNAPSHOT_COMMANDS: Final = 50_000
SNAPSHOT_S: Final = 60.0
# How often the log's files are looked over: a segment takes longer than this to be written.
TRIM_S: Final = 30.0
# How often it looks when nothing wakes it.
POLL_S: Final = 0.25


class _Stop(Exception):
    pass


def _raise_stop(number: int, frame: object) -> None:
    raise _Stop


async def _store(config: Config, snapshot: Snapshot, owner_epoch: int) -> None:
    await SnapshotStore(config.postgres_url).save(
        shard=config.shard,
        epoch=snapshot.epoch,
        seq=snapshot.seq,
        log_position=snapshot.log_position,
        state_hash=snapshot.state_hash,
        layout_version=snapshot.version,
        blobs=snapshot.blobs,
        owner_epoch=owner_epoch,
    )


class Snapshots:
    """The replica, and when it was last stored."""

    def __init__(self, config: Config) -> None:
        self._config = config
        tail = Tail.attach(config.run_dir)
        view = LogView(config.log_dir, tail.segment_bytes, tail.synced, tail)
        begun = begin(offers(config), lambda: private_state(Capacity()), view)
        for line in begun.refused:
            _log.error("%s", line)
        self.replica = Replica(Capacity(), tail.segment_bytes, begun.state)
        gate = Gate.REPLICATED if config.gate == "replicated" else Gate.SYNCED
        self._reader = LogReader(
            config.log_dir, config.run_dir, Reader.SNAPSHOTS, self.replica.position, gate
        )
        segment_bytes = self._reader.tail.segment_bytes
        self._marked = MarkedReplica(self.replica, segment_bytes)
        self._marks_told = 0
        self._stored = self._commands()
        self._stored_at = time.monotonic()
        self._cursor = CursorFile(config.cursors_dir, SNAPSHOTS_CURSOR)
        self._trimmed_at = -math.inf

    def _commands(self) -> int:
        return int(self.replica.state.registers[R_COMMANDS])

    def step(self) -> None:
        """Follow; store when it is time."""
        self._marked.follow(self._reader)
        self._tell_marks()
        new = self._commands() - self._stored
        if new >= SNAPSHOT_COMMANDS or (new and time.monotonic() - self._stored_at >= SNAPSHOT_S):
            self.store()
        if time.monotonic() - self._trimmed_at >= TRIM_S:
            self._trimmed_at = time.monotonic()
            self.trim()

    def _tell_marks(self) -> None:
        """For the standby, which takes its own at the same places (actors/marks.py)."""
        marks = list(self._marked.marks)
        if marks and marks[-1].seq != self._marks_told:
            path = self._config.run_dir / MARKS_FILE
            fresh = path.with_suffix(".new")
            fresh.write_bytes(msgspec.json.encode(marks))
            fresh.replace(path)
            self._marks_told = marks[-1].seq

    def trim(self) -> None:
        """Let go of the segments that nobody needs and that are old enough."""
        config, tail = self._config, self._reader.tail
        gone = trim(
            config.log_dir,
            tail.segment_bytes,
            holders(tail, config.cursors_dir),
            config.log_keep_hours * 3600.0,
            time.time(),
        )
        for path in gone:
            _log.info("%s is past every reader and older than %d hours: removed", path, config.log_keep_hours)

    def store(self) -> None:
        """Store the state as it is, locally and in Postgres, unless it is stored already."""
        if self._commands() == self._stored:
            return
        snapshot = take(self.replica.state)
        write_file(snapshot_path(self._config), snapshot)
        try:
            asyncio.run(_store(self._config, snapshot, self._reader.tail.epoch))
        except StaleEpoch:
            raise
        except database.POSTGRES_TROUBLE as error:
            _log.warning(
                "Postgres is away (%s): the snapshot at seq %d is in the local file", error, snapshot.seq
            )
        else:
            self._cursor.save(Cursor(snapshot.log_position, snapshot.seq), sync=True)
        self._stored, self._stored_at = self._commands(), time.monotonic()
        _log.info("snapshot at seq %d, state %s", snapshot.seq, snapshot.state_hash)


def main(config: Config, ready: Callable[[], None]) -> None:
    snapshots = Snapshots(config)
    snapshots.step()
    ready()
    signal.signal(signal.SIGTERM, _raise_stop)
    signal.signal(signal.SIGINT, _raise_stop)
    try:
        while True:
            time.sleep(POLL_S)  # cheaper than a wake-up for each sync of the log
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            snapshots.step()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    except _Stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        snapshots.step()
        snapshots.store()
