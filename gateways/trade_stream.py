"""`/stream`: what happens to an account's orders, as it happens. Alpaca's protocol, with gaps made visible.

The client says who it is (`authenticate`), then what it wants (`listen`, trade_updates); JSON, in binary
frames as Alpaca's paper service sends it. Alpaca's own stream can lose a fill while a client reconnects, and
the client can't know. Here every update carries `sequence`, its event's number in the log, and
`previous_sequence`, that of the account's update before it; `listening` says the last one so far. A client
that sees another `previous_sequence` than its last `sequence` has missed something, and asks GET /v2/orders.

Always holds here: an account's updates go to that account's streams and to no other; in the log's order;
after the gate. A client's queue is bounded, and when it is full the client is cut off (407): an update is
never left out.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect

from core.events import Event
from core.records import ExecType, Fate
from core.rejects import Reject
from gateways.desk import Desk, reject_reason
from gateways.errors import reject_message_of
from gateways.identity import Identity
from gateways.order_shape import trade_update
from gateways.stream_socket import (
    AUTHENTICATE_S,
    SlowClientError,
    Streams,
    StreamSocket,
    TooManyStreamsError,
)

# Updates that wait for one client: a second of a very fast account, about 1 MiB.
QUEUE_MAX: Final = 1024

TRADE_UPDATES: Final = "trade_updates"

# Rejects of a command that made no order: there is nothing to send an update about.
_NO_ORDER: Final = frozenset(
    {
        Reject.DUPLICATE_CLIENT_ORDER_ID,
        Reject.ACCOUNT_UNKNOWN,
        Reject.INSTRUMENT_UNKNOWN,
        Reject.ORDER_UNKNOWN,
    }
)


# Why nobody knows how an order stands at its venue.
DOUBTS: Final = frozenset({Reject.VENUE_KNOWS_NOT, Reject.VENUE_SILENT, Reject.VENUE_TELLS_LESS})

# What says no to its owner, in a reject of its own.
_REFUSALS: Final = frozenset({ExecType.REJECTED, ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT})


class _Data(msgspec.Struct):
    key_id: str = ""
    secret_key: str = ""
    streams: list[str] = []


class _Request(msgspec.Struct):
    """What a client may send: Alpaca's two forms of saying who it is, and `listen`."""

    action: str
    data: _Data = msgspec.field(default_factory=_Data)
    key: str = ""
    secret: str = ""


_REQUEST: Final = msgspec.json.Decoder(_Request)


class _Client:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MAX)
        self.overflowed = False

    def offer(self, message: bytes) -> None:
        if self.overflowed:
            return
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed = True


class TradeUpdates:
    """Who listens to which account. Fed by the log (`gateways/log_feed.py`)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._clients: dict[int, set[_Client]] = {}
        self._last: dict[int, int] = {}  # sequence of an account's last update; while somebody listens

    def wants(self, _source: int, _request_id: int, account: int) -> bool:
        return account in self._clients

    def deliver(self, event: Event) -> None:
        clients = self._clients.get(event.account)
        if not clients or not _is_update(event):
            return
        order = self._desk.show_event(event)
        refused = event.exec_type in (ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT)
        reason = reject_message_of(event) if refused else _why(event) or reject_reason(event)
        update = trade_update(self._desk.shard, event, order, self._last.get(event.account, 0), reason)
        self._last[event.account] = event.seq
        message = msgspec.json.encode({"stream": TRADE_UPDATES, "data": update})
        for client in clients:
            client.offer(message)

    def join(self, account: int, client: _Client) -> int:
        """From now on `client` gets the account's updates. Returns the sequence of the last one before."""
        self._clients.setdefault(account, set()).add(client)
        return self._last.get(account, 0)

    def leave(self, account: int, client: _Client) -> None:
        clients = self._clients.get(account, set())
        clients.discard(client)
        if not clients:
            self._clients.pop(account, None)
            self._last.pop(account, None)


def _is_update(event: Event) -> bool:
    """Whether the owner's order changed, or was refused to, or nobody knows any more how it stands. A venue's report
    that was not believed (its event has a reject code and the report's own exec_type) changed nothing."""
    if event.reject_code in DOUBTS and event.state == Fate.UNKNOWN:
        return True
    if event.reject_code in _NO_ORDER or event.exec_type == ExecType.ORDER_STATUS:
        return False
    return event.reject_code == Reject.NONE or event.exec_type in _REFUSALS


def _why(event: Event) -> str | None:
    """What an update says beside what happened."""
    if event.state == Fate.RECONCILED:
        return "the venue's total has this fill; its own report never came"
    if event.exec_type == ExecType.RESTATED:
        return "the venue has changed the order"
    if event.reject_code in DOUBTS:
        return reject_message_of(event)
    if event.exec_type == ExecType.TRADE_CANCEL:
        return "the venue has taken back a fill"
    return "the venue has corrected a fill" if event.exec_type == ExecType.TRADE_CORRECT else None


def _message(stream: str, **data: Any) -> bytes:
    return msgspec.json.encode({"stream": stream, "data": data})


def _error(code: int, text: str) -> bytes:
    return _message("error", code=code, message=text)


@websocket("/stream")
async def trade_stream(
    socket: WebSocket[Any, Any, Any],
    desk: NamedDependency[Desk],
    identity: NamedDependency[Identity],
    streams: NamedDependency[Streams],
    updates: NamedDependency[TradeUpdates],
) -> None:
    """Alpaca's trading stream: authenticate, listen, then trade_updates."""
    await socket.accept()
    stream = StreamSocket(socket)
    try:
        with streams.connected():
            account = await _authenticate(stream, identity, desk.source)
            with streams.of_account(account):
                await _serve(stream, account, updates)
    except WebSocketDisconnect:
        return
    except TooManyStreamsError as error:
        await stream.close("connection limit exceeded", _error(406, str(error)))
    except SlowClientError as error:
        await stream.close("slow client", _error(407, f"slow client: {error}"))
    except TimeoutError:
        await stream.close("auth timeout", _error(404, f"auth timeout: no key within {AUTHENTICATE_S:g} s"))
    except (msgspec.MsgspecError, RecursionError) as error:  # the second: thousands of "["
        await stream.close("invalid syntax", _error(400, f"invalid syntax: {error}"))
    except PermissionError as error:
        refusal = _message("authorization", action="authenticate", status="unauthorized", message=str(error))
        await stream.close("unauthorized", refusal)


async def _authenticate(stream: StreamSocket, identity: Identity, source: str) -> int:
    """The account. Raises PermissionError for a wrong key, TimeoutError when none comes."""
    async with asyncio.timeout(AUTHENTICATE_S):
        request = _REQUEST.decode(await stream.receive())
    if request.action not in ("authenticate", "auth"):
        raise PermissionError(f"action '{request.action[:40]}' before authenticate; send your key first")
    key_id, secret = request.data.key_id or request.key, request.data.secret_key or request.secret
    account = identity.account(key_id, secret)
    if account is None:
        raise PermissionError(f"key '{key_id[:40]}' with this secret is not known")
    await stream.send(_message("authorization", action="authenticate", status="authorized", source=source))
    return account


async def _serve(stream: StreamSocket, account: int, updates: TradeUpdates) -> None:
    client = _Client()
    sender: asyncio.Task[None] | None = None
    receiver = asyncio.create_task(stream.receive())
    try:
        while True:
            # The client left, or spoke; or sending to it failed.
            waited = {receiver} if sender is None else {receiver, sender}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if sender is not None and sender.done():
                sender.result()
            request = _REQUEST.decode(receiver.result())
            receiver = asyncio.create_task(stream.receive())
            if request.action != "listen":
                await stream.send(_error(400, f"action '{request.action[:40]}' is not known; send 'listen'"))
                continue
            heard = [name for name in request.data.streams if name == TRADE_UPDATES]
            last = updates.join(account, client) if heard else 0
            await stream.send(_message("listening", streams=heard, sequence=last))
            if heard and sender is None:
                sender = asyncio.create_task(_send(stream, client))
            elif not heard:
                updates.leave(account, client)
    finally:
        updates.leave(account, client)
        for task in (receiver, sender):
            if task is not None:
                task.cancel()


async def _send(stream: StreamSocket, client: _Client) -> None:
    while True:
        message = await client.queue.get()
        await stream.send(message)
        if client.overflowed and client.queue.empty():
            raise SlowClientError(
                f"{QUEUE_MAX} updates waited; reconnect, and ask GET /v2/orders for what you missed"
            )
