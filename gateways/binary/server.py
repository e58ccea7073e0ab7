"""The binary door's port: sockets for its sessions, and the turns of the loop in which they are looked after.

Always holds: connections are bounded, those that have not logged in too; a connection that was closed is gone after
CLOSE_S, whether its client reads or not.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from fix.tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S
from gateways.binary.door import BinaryDoor
from gateways.binary.layout import Code
from gateways.binary.requests import Refusal
from gateways.binary.session import Session

# A thousand clients and some that come back before their old connection is seen to be dead.
CONNECTIONS_MAX: Final = 1100
# How soon a request that has to wait is tried again, and a session that had no room gets more.
RETRY_S: Final = 0.005
# How often clocks are looked at: some times in the shortest heartbeat.
TICK_S: Final = 0.025
# What was written last has left by then, or never does.
CLOSE_S: Final = 5.0
# How long the end of the process waits for its Logouts to be taken.
GOODBYE_S: Final = 1.0


class _Connection(asyncio.Protocol):
    """One socket, as the Wire of its session."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self.session: Session | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.session = Session(self._server.door, self, time.monotonic_ns())
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.session is not None:
            try:
                self.session.received(data, time.monotonic_ns())
            except Exception as error:
                # Whatever it is, a request may be half done, and the log says which: the next life reads it there.
                self._server.end_with(error)

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.closed(self)
        if self.session is not None:
            self.session.lost()

    # --- the wire ---------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def unsent(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def pause(self) -> None:
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_S, self._transport.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Server:
    """`end_with` is told what ends the process."""

    def __init__(self, door: BinaryDoor, end_with: Callable[[BaseException], None]) -> None:
        self.door = door
        self.end_with = end_with
        self._connections: set[_Connection] = set()
        self._empty = asyncio.Event()  # no connection is left, of those that there were
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Raises OSError: the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self),
            host,
            port,
            ssl=tls,
            reuse_address=True,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if tls else None,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S if tls else None,
        )

    async def run(self) -> None:
        """Looks after the sessions, for ever. Raises LogError, OSError."""
        next_tick_ns = 0
        while True:
            self.door.retry()
            more = self.door.pump()
            now_ns = time.monotonic_ns()
            if now_ns >= next_tick_ns:
                next_tick_ns = now_ns + int(TICK_S * 1e9)
                for connection in list(self._connections):
                    if connection.session is not None:
                        connection.session.tick(now_ns, self.door.told_up_to(connection.session))
                self.door.tick()
            await asyncio.sleep(0 if more else RETRY_S if self.door.has_waiting else TICK_S)

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)
        if len(self._connections) > CONNECTIONS_MAX and connection.session is not None:
            text = f"{CONNECTIONS_MAX} connections are open; close one, or wait"
            connection.session.refuse(Refusal(Code.DOOR_FULL, text, CONNECTIONS_MAX))

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def close(self) -> None:
        """Says Logout to everyone. Open orders of sessions stay armed: whoever is not back in the door's next life in
        time has them cancelled."""
        if self._server is not None:
            self._server.close()
        self._empty.clear()
        for connection in list(self._connections):
            if connection.session is not None:
                connection.session.end(Code.GOING_DOWN, "the desk goes down; log in again when it is back")
        if self._connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._empty.wait()
