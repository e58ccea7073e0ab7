"""A TCP or TLS connection under a session: asyncio's transport as a `Wire`, and the timers that every runner needs.

Always holds here: bytes go to the session in the order in which they came; a connection that is closed writes
nothing more and is gone within CLOSE_TIMEOUT_S, whatever the peer does; a StoreError ends the runner, never
only a connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Final, cast

from fix.durable import DurableSession

# A peer that doesn't read its Logout keeps nothing of ours open longer than this.
CLOSE_TIMEOUT_S: Final = 2.0
# Fine enough for a heartbeat of one second and its 20 %.
TICK_S: Final = 0.1
# How soon what waits for room is tried again: a ring's consumer needs microseconds.
PUSH_S: Final = 0.002


class Connection(asyncio.Protocol):
    """One connection. Its session is known from the start (initiator) or after the Logon (acceptor)."""

    def __init__(
        self,
        on_data: Callable[[Connection, bytes], None],
        on_lost: Callable[[Connection], None],
        on_made: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self.session: DurableSession | None = None
        self._on_data = on_data
        self._on_lost = on_lost
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self.is_open = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self.is_open = True
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._on_made(self)

    def data_received(self, data: bytes) -> None:
        if self.is_open:
            self._on_data(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._on_lost(self)

    # the session's side (`fix.durable.Wire`)

    def write(self, data: bytes) -> None:
        if self.is_open and self._transport is not None and data:
            self._transport.write(data)

    def close(self) -> None:
        if self.is_open and self._transport is not None:
            self.is_open = False
            self._transport.close()
            asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def abort(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def buffered(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def pause_reading(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()


class Clockwork:
    """Ticks the sessions of one runner and pushes what waits; holds the error that ends the runner."""

    def __init__(self, sessions: Callable[[], Iterable[DurableSession]]) -> None:
        self._sessions = sessions
        self._failed: asyncio.Future[None] | None = None
        self._error: BaseException | None = None

    def guard(self, call: Callable[[], None]) -> None:
        """Runs `call` from a callback of the loop. An error in it ends `run`."""
        try:
            call()
        except Exception as error:
            # The loop would log it and live on, with a message half taken. The store knows what was taken; a
            # restart goes on from there.
            self.end_with(error)

    def end_with(self, error: BaseException) -> None:
        """Makes `run` raise `error`."""
        self._error = self._error or error
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(self._error)

    async def run(self) -> None:
        """Until cancelled. Raises what a callback raised: StoreError, or a fault of the application."""
        if self._error is not None:
            raise self._error
        self._failed = asyncio.get_running_loop().create_future()
        ticking = asyncio.create_task(self._tick())
        try:
            done, _ = await asyncio.wait({self._failed, ticking}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            ticking.cancel()
            self._failed.cancel()

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        next_tick = loop.time()
        while True:
            waits = [session for session in self._sessions() if session.waits]
            if loop.time() >= next_tick:
                next_tick = loop.time() + TICK_S
                for session in list(self._sessions()):
                    session.tick()
            for session in waits:
                session.push()
            await asyncio.sleep(PUSH_S if waits else max(0.0, next_tick - loop.time()))
