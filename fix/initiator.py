"""The connecting side over TCP or TLS: one session, kept connected for as long as `run` runs.

    line = Line((Host("fix1.venue", 9000), Host("fix2.venue", 9000)))
    initiator = Initiator(folder, SessionConfig("DESK", "VENUE", Role.INITIATOR), application, line)
    await initiator.run()                       # until cancelled; then: await initiator.close()

Always holds here:
- The venue may be down, now or later. Its hosts are tried in their order: the next one whenever a connection
  ends without a Logon of the venue (a host that takes connections and says nothing is as good as down), the
  first one again only after a Logon was answered (QuickFIX/J #402, #1260).
- After each round of hosts the pause doubles up to RETRY_S_MAX, shortened by chance, so that desks that lost
  the same venue don't come back in the same instant. It begins anew once a Logon was answered.
- Outside the line's hours nothing is connected, and at their end the session logs out.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fix.connection import Clockwork, Connection
from fix.durable import Application, DurableSession, Wire
from fix.profiles.profile import Host, ThrottleRule
from fix.schedule import Hours, Schedule
from fix.session import SessionConfig
from fix.store import Store
from fix.throttle import Throttle
from fix.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S

log = logging.getLogger(__name__)

RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
CONNECT_TIMEOUT_S: Final = 5.0
# How often the hours are looked at: a clock may be set, and a machine sleeps.
HOURS_S: Final = 0.2
# Of disk, ahead of what the store has: the one session carries every order of the desk. In the half that new orders
# leave go a thousand cancels that pass a thousand waiting orders, or ten thousand that pass none, with their answers.
RESERVED_BYTES: Final = 8 * 1024 * 1024
# Beside the store: when the session of the schedule began whose numbers the store has.
_NUMBERED_FILE: Final = "numbered-since"


@dataclass(frozen=True)
class Line:
    """How one venue is reached, and when. `hosts` in the order of preference. `reset_each_session`: the first
    Logon of each session of the schedule begins the numbers anew (141=Y)."""

    hosts: tuple[Host, ...]
    tls: ssl.SSLContext | None = None
    schedule: Schedule | None = None
    reset_each_session: bool = False
    throttle: ThrottleRule | None = None

    def __post_init__(self) -> None:
        if not self.hosts:
            raise ValueError("a line needs a host; name one, like venue.example:9000")


class Initiator:
    """`folder` is the session's store. `chance` gives numbers from 0 to 1, as random.random does. `guard` may put a
    wire of its own before each connection's (`fix/guarded_wire.py`).

    `session` is there from the start; messages sent before the peer is up are stored and reach it after the
    Logon.
    """

    def __init__(
        self,
        folder: Path,
        config: SessionConfig,
        application: Application,
        line: Line,
        sync: bool = False,
        clock: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
        guard: Callable[[DurableSession, Wire], Wire] = lambda _session, wire: wire,
    ) -> None:
        rule = line.throttle
        throttle = Throttle(rule.messages, rule.window_ms * 1_000_000) if rule is not None else None
        store = Store(folder, sync, RESERVED_BYTES)
        self.session = DurableSession(config, store, application, clock, throttle)
        self._numbered = folder / _NUMBERED_FILE
        self._line = line
        self._clock = clock
        self._chance = chance
        self._guard = guard
        self._host = 0  # which of the line's hosts is next
        self._hours: Hours | None = None
        self._ended = asyncio.Event()
        self._logged_on_once = False
        self._clockwork = Clockwork(lambda: [self.session])

    async def run(self) -> None:
        """Connects, again and again; until cancelled. Raises StoreError."""
        connecting = asyncio.create_task(self._keep_connected())
        connecting.add_done_callback(self._stopped)
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

    def _stopped(self, connecting: asyncio.Task[None]) -> None:
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            self._clockwork.end_with(error)  # or it would look connected for ever

    # --- one connection after another -----------------------------------------------------------------

    async def _keep_connected(self) -> None:
        pause_s = RETRY_S_MIN
        while True:
            await self._until_it_may_connect()
            if await self._connect_once(self._line.hosts[self._host]):
                self._host = 0
                pause_s = RETRY_S_MIN
                await asyncio.sleep(pause_s)
                continue
            self._host = (self._host + 1) % len(self._line.hosts)
            await asyncio.sleep(pause_s * (1 - self._chance() / 2) if self._host == 0 else RETRY_S_MIN)
            if self._host == 0:
                pause_s = min(2 * pause_s, RETRY_S_MAX)

    async def _until_it_may_connect(self) -> None:
        """Within the line's hours, and with room for an order where the throttle has made us log out."""
        rule, schedule = self._line.throttle, self._line.schedule
        while True:
            self._hours = schedule.hours(self._clock()) if schedule is not None else None
            is_open = schedule is None or self._hours is not None
            if is_open and (rule is None or rule.breach != "logout" or self.session.room_for_orders() > 0):
                return
            await asyncio.sleep(HOURS_S)

    async def _connect_once(self, host: Host) -> bool:
        """Holds one connection until it ends. True when the session was logged on."""
        self._ended.clear()
        self._logged_on_once = False
        connection = await self._connected(host)
        if connection is None or not connection.is_open:
            return False
        connection.session = self.session
        self._clockwork.guard(lambda: self._introduce(connection))
        while not self._ended.is_set():
            self._look_at_the_hours()
            try:
                async with asyncio.timeout(HOURS_S if self._hours is not None else None):
                    await self._ended.wait()
            except TimeoutError:
                continue
        return self._logged_on_once

    async def _connected(self, host: Host) -> Connection | None:
        tls = self._line.tls
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._received, self._lost),
                    host.host,
                    host.port,
                    ssl=tls,
                    server_hostname=(host.server_name or host.host) if tls else None,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if tls else None,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S if tls else None,
                )
        except ssl.SSLError as error:
            # Not a venue that is down: a wrong name, an unknown authority, a certificate that it wants of us.
            log.warning("%s:%d: no TLS: %s", host.host, host.port, error)
            return None
        except (OSError, TimeoutError):
            return None
        return connection

    def _introduce(self, connection: Connection) -> None:
        """The Logon, with both numbers at 1 again where the line says so."""
        is_new = (
            self._hours is not None
            and self._line.reset_each_session
            and self._numbered_since() != self._hours.start_ns
        )
        if is_new and self.session.next_out == self.session.next_in == 1:
            self._note_hours()
            is_new = False  # the numbers have not been used
        self.session.connected(self._guard(self.session, connection), reset=is_new)
        if is_new:
            self._note_hours()  # after the reset: a kill -9 in between resets once more, never once too little

    def _numbered_since(self) -> int | None:
        try:
            return int(self._numbered.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _note_hours(self) -> None:
        assert self._hours is not None, "the numbers begin with a session of the schedule"
        new = self._numbered.with_suffix(".new")
        new.write_text(str(self._hours.start_ns))
        new.replace(self._numbered)

    def _look_at_the_hours(self) -> None:
        if self._hours is not None and not self._hours.has(self._clock()) and self.session.is_logged_on:
            self._clockwork.guard(lambda: self.session.logout("the session's hours are over"))

    def _received(self, connection: Connection, data: bytes) -> None:
        self._clockwork.guard(lambda: self.session.received(data))
        self._logged_on_once = self._logged_on_once or self.session.is_logged_on

    def _lost(self, connection: Connection) -> None:
        if connection.session is not None:
            self._clockwork.guard(self.session.disconnected)
        self._ended.set()
