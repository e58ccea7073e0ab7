"""A process of an owner looks by itself whether the owner's lease is over, and ends then.

What leaves by the log is refused at the log (shared_mem/lease.py). This is for the rest: a door that would go on to
show the state of a desk that is another host's now, and a stack whose supervisor stands still.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

from app.config import Config
from shared_mem import lease
from shared_mem.log import Tail
from shared_mem.segment import SegmentError

LOOK_S: Final = 0.2
# The shard and the replicator renew the lease, and know first; a replicator that hands over has to ship the rest after
# nothing may leave any more. The others are no part of what a lease is about: a market, its data, a mailbox, a standby.
WATCHING: Final = frozenset(
    (
        "fix",
        "venue-copy",
        "gateway",
        "fix-door",
        "binary-door",
        "drop-copy",
        "publisher",
        "portfolio",
        "notifications",
        "snapshots",
    )
)


def start(config: Config) -> None:
    """In a thread of its own, for as long as the process lives."""
    threading.Thread(target=_watch, args=(config,), name="lease-watch", daemon=True).start()


def _watch(config: Config) -> None:
    tail: Tail | None = None
    while True:
        time.sleep(LOOK_S)
        try:
            tail = tail or Tail.attach(config.run_dir)
        except SegmentError:
            continue  # the shard is only starting
        if not lease.is_held(tail):
            sys.stderr.write("the lease on this shard is over: another host may own it\n")
            sys.stderr.flush()
            os._exit(lease.EXIT_LEASE_OVER)
