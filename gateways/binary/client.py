"""An asyncio client of the binary protocol, which connects again and goes on where it was.

    async with BinaryClient("127.0.0.1", 8706, key_id, secret) as client:
        client.order("AAPL", Side.BUY, 10, "150.00")
        async for heard in client: ...

Always holds: each event is handed on once, also over connections that are lost; what was asked and not answered is
asked again. Who wants that over a death of its own process stores `client.next_seq` with what it has put away.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Self

from core.records import Side, TimeInForce
from gateways.binary.conversation import Amount, Conversation, LoggedOut, LoginRefused
from gateways.binary.framing import FrameError
from gateways.binary.layout import HEARTBEAT_MS, HEARTBEATS_MISSED_MAX
from gateways.binary.messages import LoginAccepted, OrderEvent, Refused

# Heard and not yet taken by the application; then the socket is not read, and the door waits.
HEARD_MAX: Final = 10_000
CONNECT_S: Final = 5.0
# Between two attempts: soon after the first, and never more often than a door can bear from a thousand clients.
AGAIN_S_MIN: Final = 0.05
AGAIN_S_MAX: Final = 1.0
_READ_BYTES: Final = 64 << 10


class BinaryClient:
    """`next_seq`: the first event that this client has not had; 1: all that the log has, 0: only what comes."""

    def __init__(
        self,
        host: str,
        port: int,
        key_id: str,
        secret: str,
        *,
        next_seq: int = 0,
        heartbeat_ms: int = HEARTBEAT_MS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place = host, port
        self._tls = tls
        self._talk = Conversation(key_id, secret, time.time_ns(), next_seq, heartbeat_ms)
        self._heard: asyncio.Queue[tuple[OrderEvent | Refused | None, int]] = asyncio.Queue(HEARD_MAX)
        self._next_seq = next_seq
        self._writer: asyncio.StreamWriter | None = None
        self._logged_in = asyncio.Event()
        self._failure: BaseException | None = None
        self._running: asyncio.Task[None] | None = None
        self.login: LoginAccepted | None = None

    @property
    def next_seq(self) -> int:
        """Behind the last event that the application has taken: what to store, and to begin with in the next life."""
        return self._next_seq

    @property
    def unanswered(self) -> list[int]:
        return self._talk.unanswered

    async def __aenter__(self) -> Self:
        """Logs in. Raises LoginRefused; waits while the door is not there."""
        self._running = asyncio.create_task(self._run())
        waiting = asyncio.create_task(self._logged_in.wait())
        await asyncio.wait((waiting, self._running), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self._running
        return self

    async def __aexit__(self, *_: object) -> None:
        """Says Logout: that the session ends in order."""
        self._send(self._talk.goodbye())
        if self._writer is not None:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_S):
                    await self._writer.drain()
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await self._running
        self._hang_up()

    # --- requests: each returns its request_id at once; its answer is heard -----------------------------

    def order(
        self,
        symbol: str,
        side: Side,
        qty: Amount,
        price: Amount | None = None,
        tif: TimeInForce = TimeInForce.DAY,
        token: str = "",
        expire_time_ns: int = 0,
    ) -> int:
        """As Conversation.order."""
        return self._asked(self._talk.order(symbol, side, qty, price, tif, token, expire_time_ns))

    def cancel(self, *, order_id: int = 0, token: str = "") -> int:
        """As Conversation.cancel."""
        return self._asked(self._talk.cancel(order_id=order_id, token=token))

    def replace(self, **terms: Any) -> int:
        """As Conversation.replace."""
        return self._asked(self._talk.replace(**terms))

    def _asked(self, request: tuple[int, bytes]) -> int:
        request_id, raw = request
        if self._talk.is_logged_in:
            self._send(raw)
        return request_id  # else it goes with the next Login

    def _send(self, raw: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(raw)

    # --- what was heard ---------------------------------------------------------------------------------

    async def hear(self) -> OrderEvent | Refused:
        """The next. Raises LoginRefused, LoggedOut, FrameError where the client can't go on by itself."""
        while True:
            heard, next_seq = await self._heard.get()
            if next_seq:
                self._next_seq = max(self._next_seq, next_seq)
            if heard is not None:
                return heard
            if self._failure is not None:
                self._heard.put_nowait((None, 0))  # for whoever asks again
                raise self._failure

    async def __aiter__(self) -> AsyncIterator[OrderEvent | Refused]:
        while True:
            yield await self.hear()

    # --- the connection ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        again_s = AGAIN_S_MIN
        while True:
            try:
                await self._connection()
            except (LoginRefused, FrameError) as error:
                return await self._fail(error)
            except LoggedOut as error:
                if error.is_final:
                    return await self._fail(error)
            except (OSError, EOFError, TimeoutError):
                pass  # the door is away; it may come back
            finally:
                self._hang_up()
            if self._logged_in.is_set():
                again_s = AGAIN_S_MIN
                self._logged_in.clear()
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, AGAIN_S_MAX)

    async def _fail(self, error: BaseException) -> None:
        self._failure = error
        await self._heard.put((None, 0))
        if not self._logged_in.is_set() and self.login is None:
            raise error

    async def _connection(self) -> None:
        async with asyncio.timeout(CONNECT_S):
            reader, self._writer = await asyncio.open_connection(*self._place, ssl=self._tls)
        self._send(self._talk.hello())
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                async with asyncio.timeout(HEARTBEATS_MISSED_MAX * self._talk.heartbeat_ms / 1000):
                    data = await reader.read(_READ_BYTES)
                if not data:
                    raise EOFError
                heard, answer = self._talk.receive(data)
                self._send(answer)
                for each in heard:
                    await self._hand_on(each)
                if not heard:
                    await self._heard.put((None, self._talk.next_seq))
        finally:
            beating.cancel()

    async def _hand_on(self, heard: LoginAccepted | OrderEvent | Refused) -> None:
        if isinstance(heard, LoginAccepted):
            self.login = heard
            self._logged_in.set()
            await self._heard.put((None, heard.next_seq))
        else:
            await self._heard.put((heard, heard.seq + 1 if isinstance(heard, OrderEvent) else 0))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._talk.heartbeat_ms / 1000)
            self._send(self._talk.heartbeat())

    def _hang_up(self) -> None:
        self._talk.is_logged_in = False
        if self._writer is not None:
            self._writer.close()
            self._writer = None
