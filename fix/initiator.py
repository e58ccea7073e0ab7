"""The connecting side over TCP: one session, kept connected for as long as `run` runs.

    initiator = Initiator(folder, "TRADEWIND", "SIMULATOR", application, host, port)
    await initiator.run()                       # until cancelled; then: await initiator.close()

Always holds here: the target may be down, now or later; it is tried again after a pause that doubles up to
RETRY_S_MAX and begins anew only once a Logon was answered (not when TCP connects: a venue that accepts and
hangs up must not be hammered).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fix.codec import Field
from fix.connection import Clockwork, Connection
from fix.durable import Application, DurableSession
from fix.session import Role, SessionConfig
from fix.store import Store

RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5.0


class Initiator:
    """`sender` is our CompID, `target` the peer's. `folder` is the session's store.

    `session` is there from the start; messages sent before the peer is up are stored and reach it after the
    Logon.
    """

    def __init__(
        self,
        folder: Path,
        sender: str,
        target: str,
        application: Application,
        host: str,
        port: int,
        heartbeat_s: int = 30,
        logon_fields: tuple[Field, ...] = (),
        sync: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        config = SessionConfig(
            sender, target, Role.INITIATOR, heartbeat_s=heartbeat_s, logon_fields=logon_fields
        )
        self.session = DurableSession(config, Store(folder, sync), application, clock)
        self._address = (host, port)
        self._connection: Connection | None = None
        self._ended = asyncio.Event()
        self._logged_on_once = False
        self._clockwork = Clockwork(lambda: [self.session])

    async def run(self) -> None:
        """Connects, again and again; until cancelled. Raises StoreError."""
        connecting = asyncio.create_task(self._keep_connected())
        try:
            await self._clockwork.run()
        finally:
            connecting.cancel()

    def end_with(self, error: BaseException) -> None:
        """Makes `run` raise `error`: for what an application does outside its callbacks."""
        self._clockwork.end_with(error)

    async def close(self, text: str = "") -> None:
        """Logs out, gives the peer a second to answer, closes the store."""
        self.session.logout(text)
        for _ in range(20):
            if not self.session.is_logged_on:
                break
            await asyncio.sleep(0.05)
        self.session.hang_up()
        self.session.close()

    async def _keep_connected(self) -> None:
        pause_s = RETRY_S_MIN
        while True:
            if await self._connect_once():
                pause_s = RETRY_S_MIN
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)

    async def _connect_once(self) -> bool:
        """Holds one connection until it ends. True when the session was logged on."""
        loop = asyncio.get_running_loop()
        self._ended.clear()
        self._logged_on_once = False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._received, self._lost), *self._address
                )
        except (OSError, TimeoutError):
            return False
        if not connection.is_open:
            return False
        connection.session = self.session
        self._clockwork.guard(lambda: self.session.connected(connection))
        await self._ended.wait()
        return self._logged_on_once

    def _received(self, connection: Connection, data: bytes) -> None:
        self._clockwork.guard(lambda: self.session.received(data))
        self._logged_on_once = self._logged_on_once or self.session.is_logged_on

    def _lost(self, connection: Connection) -> None:
        if connection.session is not None:
            self._clockwork.guard(self.session.disconnected)
        self._ended.set()
