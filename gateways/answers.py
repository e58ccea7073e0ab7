"""Who waits for what: a request's number, and the future that the shard's event for it completes.

Always holds here: at most WAITING_MAX wait; a request has one answer, the first event that carries its number
(later events of the order carry it too, and find nobody). Request numbers go up over restarts, so that an
answer to an earlier gateway's request is never taken for one of ours.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final

from core.events import Event
from core.records import Source
from gateways.errors import OUTCOME_UNKNOWN, TOO_MANY, ApiError

# One uvicorn process takes some 8,000 orders a second; half a second of them waiting means that the shard
# is not answering, and that more waiting would only add memory.
WAITING_MAX: Final = 4096

# A shard answers in microseconds and comes back from kill -9 within 2 s.
ANSWER_TIMEOUT_S: Final = 5.0


class Answers:
    """`first_request_id`: time_ns() of this process's start."""

    def __init__(self, first_request_id: int) -> None:
        self._numbers = count(first_request_id)
        self._waiting: dict[int, asyncio.Future[Event]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self) -> tuple[int, asyncio.Future[Event]]:
        """A new request's number and its answer to come. Raises ApiError (429) when too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            raise ApiError(
                TOO_MANY, f"{WAITING_MAX} requests wait for an answer already; nothing was sent: try again",
                retry_after_s=1,
            )  # fmt: skip
        request_id = next(self._numbers)
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        return request_id, future

    def forget(self, request_id: int) -> None:
        self._waiting.pop(request_id, None)

    async def wait(self, request_id: int, future: asyncio.Future[Event], unknown: str) -> Event:
        """The event. Raises ApiError (503) with the text `unknown` when none comes in ANSWER_TIMEOUT_S."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise ApiError(OUTCOME_UNKNOWN, unknown) from None
        finally:
            self.forget(request_id)

    def wants(self, source: int, request_id: int, _account: int) -> bool:
        return source == Source.GATEWAY and request_id in self._waiting

    def deliver(self, event: Event) -> None:
        future = self._waiting.get(event.request_id)
        if event.source == Source.GATEWAY and future is not None and not future.done():
            future.set_result(event)
