"""`/v2/iex`: quotes and trades, as Alpaca's market data stream sends them.

The server speaks first (`connected`, with the source of its prices); the client sends `auth` and then
`subscribe` and `unsubscribe`, for quotes and trades. msgpack when the request's Content-Type says
application/msgpack (alpaca-py does), else JSON. Errors carry Alpaca's codes: 400 syntax, 402 auth failed, 404
auth timeout, 405 too many symbols, 406 too many connections, 407 slow client.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect

from gateways.desk import Desk
from gateways.identity import Identity
from gateways.quote_wire import TickMessage
from gateways.stream_socket import (
    AUTHENTICATE_S,
    SlowClientError,
    Streams,
    StreamSocket,
    TooManyStreamsError,
)
from gateways.tick_feed import EVERYTHING, TickClient, TickFeed

# Symbols of one client for one kind: as many as any desk watches by name; for all of them there is "*".
SYMBOLS_MAX: Final = 2000


class _Request(msgspec.Struct):
    action: str
    key: str = ""
    secret: str = ""
    quotes: list[str] = []
    trades: list[str] = []
    bars: list[str] = []
    updatedBars: list[str] = []
    dailyBars: list[str] = []
    statuses: list[str] = []
    lulds: list[str] = []


_UNSUPPORTED: Final = ("bars", "updatedBars", "dailyBars", "statuses", "lulds")


class _Codec:
    """One connection's format. Every message is a list of objects, in both."""

    def __init__(self, content_type: str) -> None:
        self._is_msgpack = content_type.startswith("application/msgpack")
        self._encode = msgspec.msgpack.encode if self._is_msgpack else msgspec.json.encode
        self._decode = (
            msgspec.msgpack.Decoder(_Request) if self._is_msgpack else msgspec.json.Decoder(_Request)
        )

    def control(self, **fields: Any) -> bytes:
        return self._encode([fields])

    def error(self, code: int, text: str) -> bytes:
        return self.control(T="error", code=code, msg=text)

    def ticks(self, messages: list[TickMessage]) -> bytes:
        return self._encode([m.as_msgpack if self._is_msgpack else m.as_json for m in messages])

    def request(self, message: bytes) -> _Request:
        """Raises msgspec.MsgspecError."""
        return self._decode.decode(message)


@websocket("/v2/iex")
async def quote_stream(
    socket: WebSocket[Any, Any, Any],
    desk: NamedDependency[Desk],
    identity: NamedDependency[Identity],
    streams: NamedDependency[Streams],
    ticks: NamedDependency[TickFeed],
) -> None:
    """Alpaca's market data stream: auth, subscribe, then quotes and trades."""
    await socket.accept()
    stream, codec = StreamSocket(socket), _Codec(socket.headers.get("content-type", ""))
    client = TickClient()
    try:
        with streams.connected():
            await stream.send(codec.control(T="success", msg="connected", source=desk.source))
            account = await _authenticate(stream, codec, identity)
            with streams.of_account(account):
                ticks.join(client)
                await _serve(stream, codec, client)
    except WebSocketDisconnect:
        return
    except TooManyStreamsError as error:
        await stream.close("connection limit exceeded", codec.error(406, str(error)))
    except SlowClientError as error:
        await stream.close("slow client", codec.error(407, f"slow client: {error}"))
    except TimeoutError:
        await stream.close(
            "auth timeout", codec.error(404, f"auth timeout: no key within {AUTHENTICATE_S:g} s")
        )
    except (msgspec.MsgspecError, RecursionError) as error:  # the second: thousands of "["
        await stream.close("invalid syntax", codec.error(400, f"invalid syntax: {error}"))
    except PermissionError as error:
        await stream.close("auth failed", codec.error(402, f"auth failed: {error}"))
    finally:
        ticks.leave(client)


async def _authenticate(stream: StreamSocket, codec: _Codec, identity: Identity) -> int:
    """The account. Raises PermissionError for a wrong key, TimeoutError when none comes."""
    async with asyncio.timeout(AUTHENTICATE_S):
        request = codec.request(await stream.receive())
    if request.action != "auth":
        raise PermissionError(f"not authenticated: action '{request.action[:40]}' before 'auth'")
    account = identity.account(request.key, request.secret)
    if account is None:
        raise PermissionError(f"key '{request.key[:40]}' with this secret is not known")
    await stream.send(codec.control(T="success", msg="authenticated"))
    return account


async def _serve(stream: StreamSocket, codec: _Codec, client: TickClient) -> None:
    """Answer requests and send ticks until either ends."""
    talking = asyncio.create_task(_talk(stream, codec, client))
    sending = asyncio.create_task(_send(stream, codec, client))
    try:
        done, _ = await asyncio.wait({talking, sending}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        talking.cancel()
        sending.cancel()


async def _talk(stream: StreamSocket, codec: _Codec, client: TickClient) -> None:
    while True:
        await stream.send(_answer(codec, client, codec.request(await stream.receive())))


def _answer(codec: _Codec, client: TickClient, request: _Request) -> bytes:
    """Change the subscriptions as asked; the answer is all of them, or an error that changed none."""
    if request.action not in ("subscribe", "unsubscribe"):
        return codec.error(
            400, f"invalid syntax: action '{request.action[:40]}'; send subscribe or unsubscribe"
        )
    unsupported = [name for name in _UNSUPPORTED if getattr(request, name)]
    if unsupported:
        return codec.error(400, f"invalid syntax: {unsupported[0]} are not served; quotes and trades are")
    if request.action == "subscribe":
        quotes, trades = client.quotes | set(request.quotes), client.trades | set(request.trades)
    else:
        quotes, trades = client.quotes - set(request.quotes), client.trades - set(request.trades)
    if max(len(quotes), len(trades)) > SYMBOLS_MAX:
        return codec.error(
            405, f"symbol limit exceeded: the most is {SYMBOLS_MAX} of a kind; '{EVERYTHING}' is all"
        )
    client.quotes, client.trades = quotes, trades
    nothing: dict[str, list[str]] = {name: [] for name in _UNSUPPORTED}
    return codec.control(T="subscription", trades=sorted(trades), quotes=sorted(quotes), **nothing)


async def _send(stream: StreamSocket, codec: _Codec, client: TickClient) -> None:
    while True:
        await stream.send(codec.ticks(await client.take()))
