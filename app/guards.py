"""The guard of a process's FIX wires: nothing leaves without the lease or, at gate `replicated`, the standby."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.config import Config
from fix.durable import DurableSession, Wire
from fix.guarded_wire import Guard, GuardedWire, Place
from services.standby.replicator import ask_to_ship, wake_fd
from shared_mem.log import DEGRADED, Tail
from shared_mem.shipped import Shipped

# What no store reaches: the standby is away, and by the configuration nothing waits for it.
_ALL: Final = (1 << 62, 0)


class Guards:
    """One for a process. `folder_of` names a session's store; `end_with`, to be set, ends the process by an error."""

    end_with: Callable[[BaseException], None]

    def __init__(self, config: Config, folder_of: Callable[[DurableSession], Path]) -> None:
        self._config = config
        self._folder_of = folder_of
        self._tail = Tail.attach(config.run_dir)
        self._fd = wake_fd(config.run_dir)

    def wire(self, session: DurableSession, wire: Wire) -> Wire:
        """The wire that this session writes to instead."""
        config = self._config
        if config.standby_key is None:
            return wire
        shipped: Callable[[], Place] | None = None
        if config.gate == "replicated":
            word = Shipped(config.run_dir, str(self._folder_of(session).relative_to(config.data_dir)))

            def shipped() -> Place:
                return _ALL if self._tail.word(DEGRADED) else word.get()

        guard = Guard(
            self._tail,
            lambda: session.place,
            shipped,
            lambda: ask_to_ship(self._fd),
            lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
        )
        return GuardedWire(wire, guard, self.end_with)
