"""A desk with the binary door: a real shard, the roles as processes, a venue to script; and what its clients hear."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from core.events import Event
from core.records import EventKind, ExecType, Side
from gateways.binary.client import BinaryClient
from gateways.binary.messages import Message, OrderEvent, Refused, decode, encode
from gateways.binary.reports import Reports
from tests.fix.desk import SECRETS, FixDesk


class BinaryDesk(FixDesk):
    """`since`: the first event that concerns the test; several share a desk, for its start takes seconds."""

    since = 1

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.start("binary_door")
        return self

    @property
    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self.config.ports.binary

    def binary(self, key: str = "KEY1", secret: str | None = None, **options: Any) -> BinaryClient:
        return BinaryClient(*self.place, key, secret or SECRETS[key][0], **options)

    def account_number(self, key: str = "KEY1") -> int:
        account = self.market.view.account_by_text(SECRETS[key][1])
        assert account is not None
        return account.account

    def told_by_the_log(self, key: str = "KEY1") -> list[OrderEvent]:
        """What a session of this key is to be told in this test, by the log alone."""
        reports, account = Reports(self.market.view), self.account_number(key)
        raws = [reports.report(e) for e in self.events(EventKind.ORDER) if e.account == account]
        found = [decode(raw) for raw in raws if raw is not None]
        return [each for each in found if isinstance(each, OrderEvent) and each.seq >= self.since]

    def orders_in_the_log(self) -> list[Event]:
        """The events by which the shard took a new order."""
        return [
            e
            for e in self.events(EventKind.ORDER)
            if e.exec_type == ExecType.PENDING_NEW and e.seq >= self.since
        ]


async def hears(client: BinaryClient, count: int) -> list[OrderEvent | Refused]:
    async with asyncio.timeout(60):
        return [await client.hear() for _ in range(count)]


async def hears_until(client: BinaryClient, seq: int) -> list[OrderEvent]:
    """Every event up to this number."""
    found: list[OrderEvent] = []
    async with asyncio.timeout(60):
        while not found or found[-1].seq < seq:
            heard = await client.hear()
            assert isinstance(heard, OrderEvent), heard
            found.append(heard)
    return found


def shown(heard: OrderEvent | Refused) -> str:
    """Token, ExecType and OrdStatus, as FIX writes them."""
    if isinstance(heard, Refused):
        return f"refused {heard.code}"
    code = f" {heard.code}" if heard.code else ""
    return f"{heard.token} {chr(heard.exec_type)}{chr(heard.ord_status) if heard.ord_status else '-'}{code}"


def buy(client: BinaryClient, token: str, **changed: Any) -> int:
    """10 AAPL at 150.00, unless it is changed."""
    terms: dict[str, Any] = {"symbol": "AAPL", "side": Side.BUY, "qty": 10, "price": "150.00", **changed}
    return client.order(token=token, **terms)


class RawClient:
    """A connection on which a test says what it likes."""

    def __init__(self, place: tuple[str, int]) -> None:
        self._place = place
        self._buffer = b""

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self._place)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def say(self, *messages: Message) -> None:
        self.writer.write(b"".join(encode(message) for message in messages))

    async def hear(self) -> Message | None:
        """The next message; None at the connection's end."""
        async with asyncio.timeout(60):
            while len(self._buffer) < 4 or len(self._buffer) < self._length():
                data = await self.reader.read(65536)
                if not data:
                    return None
                self._buffer += data
        length = self._length()
        raw, self._buffer = self._buffer[:length], self._buffer[length:]
        return decode(raw)

    def _length(self) -> int:
        return int.from_bytes(self._buffer[2:4], "little")
