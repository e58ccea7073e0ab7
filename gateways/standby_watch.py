"""What a door says to an order that the shard would refuse, and whose refusal could not leave: the standby is away.

At gate `replicated` a refusal stands in the log behind what the standby has not got, like everything else. So that
nobody waits for it in vain, the door answers by itself; what it lets through in the same moment the shard refuses.
"""

from __future__ import annotations

from pathlib import Path

from core.events import reject_message
from core.rejects import Reject
from shared_mem import log
from shared_mem.lease import boot_ns
from shared_mem.log import Tail


class StandbyWatch:
    """Of the shard with this run folder, once it is there."""

    def __init__(self, run_dir: Path) -> None:
        self._tail = Tail.attach(run_dir)

    def refusal(self) -> str:
        """Why no order is taken now; "" when they are."""
        until = self._tail.word(log.STANDBY_UNTIL)
        if until and boot_ns() > until:
            return reject_message(Reject.STANDBY_AWAY, 0, 0)
        return ""
