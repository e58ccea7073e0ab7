"""A wire that spoils what a venue sends: a relay before its port, for tests of the other end.

    wire = IllWire(WireTemper(seed))
    port = await wire.listen("127.0.0.1", 0, venue_port)
    ...
    await wire.close()

What the client sends goes through as it is; so do Logon and Logout. Nothing is lost: what is garbled is found
missing by the peer and resent. Bounded: WAITING_MAX messages wait on each connection, then the venue is not
read.
"""

from __future__ import annotations

import asyncio
from typing import Final

from fix.codec import Framer
from fix.simulator.temper import Mischief, WireTemper

WAITING_MAX: Final = 1024
READ_BYTES: Final = 64 * 1024
# A message to be sent after the next one waits so long for it.
HOLD_S: Final = 0.05
_SPARED: Final = (b"\x0135=A\x01", b"\x0135=5\x01")


class IllWire:
    """One temper for all connections, in the order in which their messages come."""

    def __init__(self, temper: WireTemper) -> None:
        self._temper = temper
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int, venue_port: int) -> int:
        """Opens the port and returns its number (`port` 0: any free one). Raises OSError."""

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._connections.add(task)
            try:
                await self._relay(reader, writer, host, venue_port)
            finally:
                self._connections.discard(task)

        self._server = await asyncio.start_server(relay, host, port)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _relay(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter, host: str, venue_port: int
    ) -> None:
        try:
            venue, to_venue = await asyncio.open_connection(host, venue_port)
        except OSError:
            to_client.close()
            return
        frames: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        tasks = [
            asyncio.create_task(_pass_on(client, to_venue)),
            asyncio.create_task(_cut(venue, frames)),
            asyncio.create_task(self._spoil(frames, to_client)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            to_client.close()
            to_venue.close()

    async def _spoil(self, frames: asyncio.Queue[bytes], to_client: asyncio.StreamWriter) -> None:
        """Until the venue has closed and all it sent has left."""
        while frame := await frames.get():
            what = Mischief.NONE if any(mark in frame for mark in _SPARED) else self._temper.next()
            if what is Mischief.LATE:
                await asyncio.sleep(self._temper.delay_s())
            elif what is Mischief.TWICE:
                frame += frame
            elif what is Mischief.GARBLED:
                frame = self._temper.garble(frame)
            elif what is Mischief.OUT_OF_ORDER:
                try:
                    async with asyncio.timeout(HOLD_S):
                        following = await frames.get()
                except TimeoutError:
                    pass  # nothing came: it goes in its place
                else:
                    to_client.write(following + frame)
                    if not following:
                        return
                    continue
            to_client.write(frame)
            await to_client.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ_BYTES):
        writer.write(data)
        await writer.drain()


async def _cut(reader: asyncio.StreamReader, frames: asyncio.Queue[bytes]) -> None:
    """What the venue sends, message by message; b"" once it has closed. Ends when all has been taken."""
    framer = Framer()
    while data := await reader.read(READ_BYTES):
        framer.feed(data)
        for frame in framer:
            await frames.put(frame)
    await frames.put(b"")
    await asyncio.Event().wait()  # `_spoil` ends the connection, after the last message
