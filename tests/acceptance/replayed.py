"""The log replayed from its beginning in a process of its own: `python -m tests.acceptance.replayed DATA_DIR`.

Prints one JSON object: the last sequence number and the state's hash. Ends with a ReplayDiverged where a command
gives other events than those that the log has after it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from actors.replay import Replica
from actors.snapshot import state_hash
from actors.tables import Capacity
from app.config import run_dir_of
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader


def main(data_dir: Path) -> None:
    reader = LogReader(data_dir / "log", run_dir_of(data_dir), Reader.AUDIT)
    replica = Replica(Capacity(), reader.tail.segment_bytes)
    assert replica.position == 0
    replica.follow(reader)
    assert replica.position == reader.end_position()
    print(json.dumps({"seq": replica.seq, "state_hash": state_hash(replica.state)}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
