"""The standby's copy of its owner: log, replica, snapshot and files, brought forward by what the link brings.

Always holds: what is acknowledged is on this host's disk, and its records were whole and in order. What the replica
computes is what the owner's log says, event by event, and its hashes at the marks are the owner's. A difference raises
`Diverged`, names the place, and is final: this host's copy must not be made the owner.
"""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path
from typing import Final

from actors.marks import Mark, MarkedReplica
from actors.replay import ReplayDiverged, Replica
from actors.snapshot import Snapshot, read_file, restore, state_hash, take, write_file
from actors.tables import R_COMMANDS, Capacity, State
from services.standby.messages import Marks
from shared_mem import log
from shared_mem.cursors import Cursor, CursorFile
from shared_mem.log import LogCorrupt, Reader, segment_numbers, segment_path, tail_path
from shared_mem.log_copy import End, LogCopy, adopt, end_of
from shared_mem.log_reader import LogReader
from shared_mem.retention import SNAPSHOTS_CURSOR, holders, trim

_log: Final = logging.getLogger("tradewind.standby")

# As the owner's role `snapshots`: what bounds the replay when this host takes over.
SNAPSHOT_COMMANDS: Final = 50_000
SNAPSHOT_S: Final = 60.0
TRIM_S: Final = 30.0


class Diverged(RuntimeError):
    """This copy is not what the owner has. Its data folder must be given up; a new standby begins with an empty one."""


class CopyOfOwner:
    """On the folders of a standby; no log until it has adopted one. keep_hours: age below which segments stay."""

    def __init__(
        self,
        data_dir: Path,
        log_dir: Path,
        run_dir: Path,
        cursors_dir: Path,
        snapshot: Path,
        shard: int,
        keep_hours: float,
        capacity: Capacity | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._log_dir = log_dir
        self._run_dir = run_dir
        self._cursors_dir = cursors_dir
        self.snapshot_path = snapshot
        self._shard = shard
        self._keep_s = keep_hours * 3600.0
        self._capacity = capacity or Capacity()
        self._log: LogCopy | None = None
        self._left = b""  # came, and is not a whole group yet
        self._unapplied = b""
        self._applied = 0  # position up to which the replica is
        self._theirs: dict[int, Mark] = {}
        self._stored_commands = 0
        self._stored_s = self._trimmed_s = -math.inf
        self.marks_compared = 0

    # -- opening ---------------------------------------------------------------------------------------------

    @property
    def log_id(self) -> int:
        """0: there is no copy yet."""
        return self._log.tail.log_id if self._log is not None else 0

    @property
    def segment_bytes(self) -> int:
        return self._log.tail.segment_bytes if self._log is not None else 0

    @property
    def synced(self) -> int:
        return self._log.tail.synced if self._log is not None else 0

    @property
    def seq(self) -> int:
        return self._marked.replica.seq if self._log is not None else 0

    @property
    def state(self) -> State:
        return self._marked.replica.state

    def hash(self) -> str:
        """Of the replica's state."""
        return state_hash(self.state)

    @property
    def epoch(self) -> int:
        return self._log.tail.epoch if self._log is not None else 0

    @property
    def is_applied(self) -> bool:
        """Whether the replica is where the copy is."""
        return not self._unapplied

    def end(self) -> End:
        if self._log is None:
            return End(0, 0, 0)
        return end_of(self._log_dir, self.segment_bytes, self.synced)

    def open(self) -> None:
        """Go on with the copy that is here, if there is one. Raises LogError, SnapshotError, Diverged."""
        if not (self._log_dir / "log.id").exists():
            return
        sizes = {segment_path(self._log_dir, n).stat().st_size for n in segment_numbers(self._log_dir)}
        if len(sizes) != 1:
            return  # adopted, and nothing came before this process was killed
        self._begin(sizes.pop())

    def adopt(self, log_id: int, segment_bytes: int, start: int) -> None:
        """Begin anew at `start`, for a log of that name. What was copied before is given up."""
        self.close()
        for number in segment_numbers(self._log_dir):
            segment_path(self._log_dir, number).unlink()
        for path in (tail_path(self._run_dir), self._log_dir / "log.id"):
            path.unlink(missing_ok=True)
        if start == 0:
            self.snapshot_path.unlink(missing_ok=True)
        adopt(self._log_dir, log_id, start, segment_bytes)
        self._begin(segment_bytes)

    def _begin(self, segment_bytes: int) -> None:
        self._log = LogCopy(self._log_dir, self._run_dir, self._shard, segment_bytes)
        replica = Replica(self._capacity, segment_bytes)
        snapshot = read_file(self.snapshot_path)
        if snapshot is not None:
            restore(snapshot, replica.state)
        self._marked = MarkedReplica(replica, segment_bytes)
        self._left = self._unapplied = b""
        self._applied = replica.position
        self._theirs.clear()
        self._stored_commands = self._commands()
        self._stored_s = time.monotonic()
        self._cursor = CursorFile(self._cursors_dir, SNAPSHOTS_CURSOR)
        if snapshot is not None:
            self._cursor.save(Cursor(snapshot.log_position, snapshot.seq), sync=True)
        if replica.position < self._log.position:
            reader = LogReader(self._log_dir, self._run_dir, Reader.AUDIT, replica.position)
            try:
                self._marked.follow(reader)
            except ReplayDiverged as error:
                raise Diverged(str(error)) from None
            self._applied = reader.position
            reader.close()

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    # -- following -------------------------------------------------------------------------------------------

    def take(self, position: int, raw: bytes, is_whole: bool) -> None:
        """Bytes of the log, into this one's tail. Raises Diverged."""
        assert self._log is not None, "adopt() comes before the log"
        expected = self._log.position + len(self._left)
        if position != expected:
            raise Diverged(f"bytes of position {position} came where {expected} is due")
        raw = self._left + raw
        start = self._log.position
        try:
            used = self._log.take(raw, is_whole)
        except LogCorrupt as error:
            raise Diverged(str(error)) from None
        self._left = raw[used:]
        if start + used > self._applied:
            self._unapplied += (
                raw[max(0, self._applied - start) : used] if not self._unapplied else raw[:used]
            )
        if self._log.tail.written - self._log.tail.synced >= self._log.chunk_bytes:
            self.sync()

    def sync(self) -> None:
        """What was taken is on this disk when this returns."""
        if self._log is not None:
            self._log.flush()

    def apply(self) -> None:
        """Bring the replica up to what was taken. Raises Diverged."""
        if not self._unapplied:
            return
        try:
            used = self._marked.advance(self._unapplied, self._applied, True)
        except ReplayDiverged as error:
            raise Diverged(str(error)) from None
        self._applied += used
        self._unapplied = self._unapplied[used:]
        self._compare()

    def marks_came(self, marks: Marks) -> None:
        """The owner's. Raises Diverged."""
        for mark in marks.marks:
            self._theirs[mark.seq] = mark
        self._compare()

    def _compare(self) -> None:
        for ours in self._marked.marks:
            theirs = self._theirs.pop(ours.seq, None)
            if theirs is None:
                continue
            self.marks_compared += 1
            if theirs.state_hash != ours.state_hash:
                raise Diverged(
                    f"the state after record {ours.seq}, at position {ours.position} of the log, has hash "
                    f"{ours.state_hash} here and {theirs.state_hash} at the owner: one of the two computes or "
                    "remembers wrongly"
                )
        for seq in [seq for seq in self._theirs if seq < self._marked.replica.seq]:
            del self._theirs[seq]  # of before this replica began, or no mark of ours

    def _commands(self) -> int:
        return int(self._marked.replica.state.registers[R_COMMANDS])

    def keep(self) -> None:
        """A snapshot when it is time, and the log let go that is behind it and old."""
        if self._log is None:
            return
        now_s = time.monotonic()
        new = self._commands() - self._stored_commands
        if new >= SNAPSHOT_COMMANDS or (new and now_s - self._stored_s >= SNAPSHOT_S):
            self.store()
        if now_s - self._trimmed_s >= TRIM_S:
            self._trimmed_s = now_s
            held_by = holders(self._log.tail, self._cursors_dir)
            trim(self._log_dir, self.segment_bytes, held_by, self._keep_s, time.time())

    def store(self) -> Snapshot:
        """The replica as it is, as this host's newest snapshot."""
        snapshot = take(self._marked.replica.state)
        write_file(self.snapshot_path, snapshot)
        self._cursor.save(Cursor(snapshot.log_position, snapshot.seq), sync=True)
        self._stored_commands, self._stored_s = self._commands(), time.monotonic()
        return snapshot

    # -- becoming the owner ----------------------------------------------------------------------------------

    def settle(self) -> Snapshot:
        """The last step of a standby: everything taken is synced, applied and in a snapshot; numbers that the former
        owner may have given out are left out; followers' cursors that are ahead of this log go. Raises Diverged."""
        assert self._log is not None, "a standby without a copy can't take over"
        self.sync()
        self.apply()
        self._left = b""
        snapshot = self.store()
        self._log.skip_numbers()
        # What is here so far two hosts had: nothing of it waits for this one's own standby.
        self._log.tail.set_word(log.REPLICATED, self._log.tail.synced)
        for path in sorted(self._cursors_dir.iterdir()):
            file = CursorFile(self._cursors_dir, path.name)
            ahead = file.load().position > self._log.position
            file.close()
            if ahead:
                _log.warning(
                    "%s is ahead of this log: what it stands for was lost with the former owner", path
                )
                os.unlink(path)
        self.close()
        return snapshot
