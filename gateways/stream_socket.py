"""A WebSocket as both streams use it: whole messages in, whole messages out, and a clock on everything.

Always holds here: the number of streams is bounded, for the gateway and for each account; a client has to say
who it is in time; one that does not read is cut off, and costs nobody else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

# Both kinds together. Each costs a socket, two tasks and its bounded queue: some 200 KiB at worst.
STREAMS_MAX: Final = 1000
# One account's: a few programs and a few tabs of the page.
STREAMS_PER_ACCOUNT_MAX: Final = 20

# From the connection to a known key. Alpaca allows ten seconds.
AUTHENTICATE_S: Final = 10.0

# One message has to be taken by the client's kernel within this, or the client counts as gone.
SEND_STALL_S: Final = 5.0

# Close code "policy violation" (RFC 6455, 7.4.1): what a client did, or did not do, ends the stream.
POLICY_VIOLATION: Final = 1008


class SlowClientError(Exception):
    """The client does not take what it asked for as fast as it comes."""


class TooManyStreamsError(Exception):
    """The text says which bound."""


class Streams:
    """How many are open, and whose."""

    def __init__(self) -> None:
        self._connected = 0
        self._by_account: Counter[int] = Counter()

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        if self._connected >= STREAMS_MAX:
            raise TooManyStreamsError(f"connection limit exceeded: {STREAMS_MAX} streams are open")
        self._connected += 1
        try:
            yield
        finally:
            self._connected -= 1

    @contextlib.contextmanager
    def of_account(self, account: int) -> Iterator[None]:
        if self._by_account[account] >= STREAMS_PER_ACCOUNT_MAX:
            raise TooManyStreamsError(
                f"connection limit exceeded: the account has {STREAMS_PER_ACCOUNT_MAX} streams; close one"
            )
        self._by_account[account] += 1
        try:
            yield
        finally:
            self._by_account[account] -= 1
            if not self._by_account[account]:
                del self._by_account[account]


class StreamSocket:
    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        """The next whole message, whatever number of frames it came in. Raises WebSocketDisconnect at the
        end."""
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect(detail="the client left")
        text, data = message.get("text"), message.get("bytes")
        return text.encode() if text is not None else bytes(data or b"")

    async def send(self, message: bytes) -> None:
        """As one binary frame. Raises SlowClientError when the client has not taken it in time."""
        try:
            async with asyncio.timeout(SEND_STALL_S):
                await self._socket.send_data(message, mode="binary")
        except TimeoutError:
            raise SlowClientError(f"nothing was read for {SEND_STALL_S:g} s") from None

    async def close(self, reason: str, last_words: bytes | None = None) -> None:
        """Say why, if the client still listens, and end the stream."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
            async with asyncio.timeout(1.0):
                if last_words is not None:
                    await self._socket.send_data(last_words, mode="binary")
                await self._socket.close(code=POLICY_VIOLATION, reason=reason)
