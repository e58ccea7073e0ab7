"""Messages under way to a stream: many at once, yet stored in order or not at all.

Always holds: message n expects the stream to end with message n-1 (`Nats-Expected-Last-Sequence`), so that
none is stored behind one that was not. At most WINDOW are under way. After the first trouble a pipeline is of
no use: read where the stream ends, and open another.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Final, Generic, NamedTuple, TypeVar

import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header

Mark = TypeVar("Mark")

# Enough to fill a round trip of 20 ms at 50,000 messages a second; a megabyte of them at a kilobyte each.
WINDOW: Final = 1024
# No ack within this: the server is ill, or the message is lost. Healthy acks take milliseconds.
ACK_TIMEOUT_S: Final = 5.0

_STORED: Final = ""


class PublishRefused(nats.js.errors.Error):
    """A message is not in the stream. The text has the server's reason."""


class _Flight(NamedTuple, Generic[Mark]):
    """A message under way. `ack` becomes _STORED or the reason why it is not stored."""

    ack: asyncio.Future[str]
    mark: Mark


class Pipeline(Generic[Mark]):
    """Sends to the one stream whose last message is `last_message`; each message has a mark, given back once
    it is in."""

    def __init__(self, client: Client, last_message: int) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._last_message = last_message
        self._flights: deque[_Flight[Mark]] = deque()
        self._waiting: dict[int, asyncio.Future[str]] = {}

    @property
    def last_message(self) -> int:
        """The number of the last message that was sent, or that stood there before."""
        return self._last_message

    async def open(self) -> None:
        """Listen for acks. Once, before the first `send`."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    def lost(self) -> None:
        """The connection broke: nobody will answer any more."""
        for ack in self._waiting.values():
            if not ack.done():
                ack.set_result("the connection was lost")
        self._waiting.clear()

    @property
    def under_way(self) -> int:
        return len(self._flights)

    async def send(
        self, subject: str, body: bytes, message_id: str, mark: Mark, headers: Mapping[str, str]
    ) -> None:
        """Send one message, with `headers` of its own; the caller keeps `under_way` below WINDOW by `oldest_stored`."""
        assert len(self._flights) < WINDOW, (
            f"{len(self._flights)} messages under way: call oldest_stored first"
        )
        expected = self._last_message
        ack: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._flights.append(_Flight(ack, mark))
        self._waiting[expected] = ack
        await self._client.publish(
            subject,
            body,
            reply=f"{self._inbox}.{expected}",
            headers={
                Header.MSG_ID.value: message_id,
                Header.EXPECTED_LAST_SEQUENCE.value: str(expected),
                **headers,
            },
        )
        self._last_message += 1

    async def oldest_stored(self) -> Mark:
        """Wait until the oldest message is in the stream; its mark. Raises PublishRefused or TimeoutError if
        it is not."""
        flight = self._flights[0]
        if not flight.ack.done():  # with many under way it mostly is, and a timer costs more than the rest
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await flight.ack
        reason = flight.ack.result()
        if reason != _STORED:
            raise PublishRefused(reason)
        self._flights.popleft()
        return flight.mark

    async def _on_ack(self, message: Msg) -> None:
        expected = int(message.subject.rpartition(".")[2])
        ack = self._waiting.pop(expected, None)
        if ack is not None and not ack.done():
            ack.set_result(_reason(message.data, expected + 1))


def _reason(answer: bytes, message: int) -> str:
    """_STORED if the server's answer says that `message` is the stream's, else why not."""
    if not answer:
        return "there is no such stream"
    fields = json.loads(answer)
    if "error" in fields:
        return str(fields["error"].get("description", fields["error"]))
    if fields["seq"] != message:  # a duplicate of something further back: the stream is not what we thought
        return f"stored as message {fields['seq']}, not {message}"
    return _STORED
