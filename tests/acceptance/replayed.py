"""The log replayed in a process of its own, from its beginning and from the newest local snapshot, if there is one:
`python -m tests.acceptance.replayed DATA_DIR`.

Prints one JSON object: the last sequence number, the state's hash, and the hash of the state that the snapshot and the
log's tail give (null without a snapshot). Ends with a ReplayDiverged where a command gives other events than those that
the log has after it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from actors.replay import Replica
from actors.snapshot import Snapshot, read_file, restore, state_hash
from actors.tables import Capacity
from app.config import run_dir_of
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader


def followed(data_dir: Path, snapshot: Snapshot | None) -> Replica:
    """The state after the log's last record, begun at the snapshot or at nothing."""
    reader = LogReader(data_dir / "log", run_dir_of(data_dir), Reader.AUDIT)
    replica = Replica(Capacity(), reader.tail.segment_bytes)
    assert replica.position == 0
    if snapshot is not None:
        restore(snapshot, replica.state)
    replica.follow(reader)
    assert replica.position == reader.end_position()
    return replica


def main(data_dir: Path) -> None:
    whole = followed(data_dir, None)
    snapshot = read_file(data_dir / "snapshots" / "shard-0.snapshot")
    from_snapshot = None if snapshot is None else state_hash(followed(data_dir, snapshot).state)
    found = {"seq": whole.seq, "state_hash": state_hash(whole.state), "from_snapshot": from_snapshot}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
