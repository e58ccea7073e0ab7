"""The shard's tables as a file in shared memory: made new at each start, and given their name once they are whole.

Always holds: a reader that opens the name finds tables of one recovered shard, and is told when they are retired.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from actors.tables import LAYOUT, VERSION, Capacity, State, map_state, state_bytes
from shared_mem.segment import HEADER_BYTES, Segment, SegmentError

# Segment header, then the capacities, then the tables on a page of their own.
CAPACITIES: Final = HEADER_BYTES
RETIRED: Final = HEADER_BYTES + 192  # int64; 1 once a restarted shard has published tables of its own
OWNER: Final = RETIRED + 8  # int64; epoch of the shard that has published them
TABLES: Final = 4096


def state_path(run_dir: Path) -> Path:
    return run_dir / "state"


def create_state(run_dir: Path, capacity: Capacity) -> tuple[Segment, State]:
    """The shard's own: new and empty tables under a new name, so that no reader sees them half filled.

    Publish them with `publish_state` once they are recovered."""
    path = state_path(run_dir).with_suffix(".new")
    path.unlink(missing_ok=True)
    segment = Segment.create(path, TABLES + state_bytes(capacity), LAYOUT, VERSION)
    np.frombuffer(segment.memory, np.int64, len(capacity), CAPACITIES)[:] = capacity
    return segment, map_state(segment.memory, capacity, TABLES)


def publish_state(run_dir: Path, epoch: int = 0) -> None:
    """Give the new tables the name that readers open, and tell those who read the old ones. epoch: of their owner."""
    path = state_path(run_dir)
    new = Segment.attach(path.with_suffix(".new"), LAYOUT, VERSION)
    np.frombuffer(new.memory, np.int64, 1, OWNER)[:] = epoch
    try:
        old: Segment | None = Segment.attach(path, LAYOUT, VERSION)
    except SegmentError:
        old = None
    if old is not None:
        # First: should the shard die before the rename, readers look for the name again until a successor's is there.
        np.frombuffer(old.memory, np.int64, 1, RETIRED)[:] = 1
    path.with_suffix(".new").rename(path)
