"""The wire of the FIX soak: a relay between the initiators' process and the acceptor's, which breaks connections.

    relay = Relay("127.0.0.1", port_of_the_acceptor)
    port = await relay.listen()
    relay.reset(rng)            # some connection ends in the middle of what is sent next, with an RST to both ends
    relay.half_close(rng)       # one end of some connection reads the end of the stream; what it says still arrives

Always holds here: bytes pass in order and unchanged until a connection is broken; an end that doesn't read stops
the reading of the other one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from random import Random
from typing import Final, cast

_LINGER_0: Final = struct.pack("ii", 1, 0)  # close() then sends RST and drops what has not left


class _End(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, relay: Relay) -> None:
        self.other: _End | None = None
        self.tears_at: float | None = None  # which part of the next bytes still passes, before the RST
        self._relay = relay
        self._is_muted = False
        self._early = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._relay.made(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data  # a Logon: the acceptor is being dialled
            return
        if self.tears_at is None:
            self.other.write(data)
            return
        self.other.write(data[: int(len(data) * self.tears_at)])
        self.other.reset()
        self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._relay.lost(self)
        if self.other is not None:
            self.other.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other._transport is not None:
            self.other._transport.resume_reading()

    def join(self, other: _End) -> None:
        """From now on it has another end, which gets what came before."""
        self.other = other
        other.write(self._early)
        self._early = b""
        if self._transport is None:
            other.close()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._is_muted and data:
            self._transport.write(data)

    def say_no_more(self) -> None:
        """FIN; what comes for it from now on is lost."""
        if self._transport is not None and not self._is_muted:
            self._is_muted = True
            self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            self._transport.abort()


class Relay:
    """`connections` counts those that reached the acceptor."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._ends: dict[_End, None] = {}  # those with another end, in the order in which they came
        self._dialling: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def listen(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self), self._host, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._dialling:
            task.cancel()
        for end in list(self._ends):
            end.close()

    def reset(self, rng: Random) -> bool:
        """False when nobody is connected."""
        if not self._ends:
            return False
        rng.choice(list(self._ends)).tears_at = rng.random()
        return True

    def half_close(self, rng: Random) -> bool:
        """False when nobody is connected."""
        if not self._ends:
            return False
        rng.choice(list(self._ends)).say_no_more()
        return True

    # --- what the ends tell ---------------------------------------------------------------------------

    def made(self, end: _End) -> None:
        if end.other is not None:
            return
        task = asyncio.create_task(self._dial(end))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    def lost(self, end: _End) -> None:
        self._ends.pop(end, None)

    async def _dial(self, near: _End) -> None:
        far = _End(self)
        far.other = near
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, self._host, self._port)
        except OSError:  # the acceptor's process is dead at the moment
            near.reset()
            return
        near.join(far)
        self._ends[near] = self._ends[far] = None
        self.connections += 1
