"""The whole simulator in one piece: the exchange as its stores remember it, behind a FIX acceptor.

venue = Venue(exchange, folder, "SIMULATOR", only({"TRADEWIND"}))
await venue.acceptor.listen("127.0.0.1", port)
await venue.acceptor.run()                  # until cancelled; then: await venue.close()

venue.simulator.publish(exchange.moved("AAPL", now_ns))     # what the market does
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fix.acceptor import Acceptor, Admit, Configure
from fix.durable import DurableSession
from fix.simulator.application import Simulator
from fix.simulator.copies import DropCopies, is_copy
from fix.simulator.copy_faults import CopyFaults
from fix.simulator.exchange import Exchange
from fix.simulator.outbox import Outbox
from fix.simulator.recovery import restore
from fix.simulator.temper import Temper


class Venue:
    """`exchange` is new; `folder` has the sessions' stores and the outbox, and may be empty. `clock` is the market's,
    `session_clock` that of the sessions, whose members have clocks of their own. Raises StoreError."""

    def __init__(
        self,
        exchange: Exchange,
        folder: Path,
        comp_id: str,
        admit: Admit,
        sync: bool = False,
        clock: Callable[[], int] = time.time_ns,
        temper: Temper | None = None,
        copy_faults: CopyFaults | None = None,
        configure: Configure | None = None,
        session_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.exchange = exchange
        untold = restore(exchange, folder)
        self._outbox = Outbox(folder, sync)
        copies = DropCopies(self._session, self._fail, copy_faults)
        self.simulator = Simulator(exchange, self._session, clock, self._outbox, self._fail, copies, temper)
        self.acceptor = Acceptor(folder, comp_id, self.simulator, admit, sync, session_clock, configure)
        self.simulator.tell(untold)
        for session in self.acceptor.sessions():
            if is_copy(session.key.target):
                copies.take_up(session)
        while copies.copy():
            pass  # what a former life told its members, and did not copy

    async def close(self, text: str = "") -> None:
        """Logs every session out and closes the stores."""
        await self.acceptor.close(text)
        self._outbox.close()

    def _session(self, comp_id: str) -> DurableSession | None:
        return self.acceptor.session(comp_id)

    def _fail(self, error: BaseException) -> None:
        self.acceptor.end_with(error)
