"""Ticks to clients: the broadcast is looked at a hundred times a second, and each client gets what it asked
for.

Quotes are conflated: a client that is behind gets the newest quote of each instrument and never an older one
after it. Trades are not: each is a fact, so they queue, up to a bound, and the client that reaches it is cut
off (407).
Always holds here: what waits for a client is bounded by the instruments and TRADES_MAX; a slow client costs
the others nothing; without clients nothing is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from core.records import TickKind
from gateways.quote_wire import TickMessage, decode_tick
from gateways.stream_socket import SlowClientError
from shared_mem.broadcast import BroadcastReader
from shared_mem.segment import SegmentError

# Between two looks: below what an eye or a home connection can tell, and 100 wake-ups a second.
POLL_S: Final = 0.01
# Market data may start after us.
REATTACH_S: Final = 0.5
# Ticks taken in one look before other work of the loop: some 10 ms.
TICKS_PER_POLL: Final = 4096

# Trades that wait for one client: several looks' worth, so that a client which takes what there is at each look
# never reaches it, however large the burst. Some 4 MiB.
TRADES_MAX: Final = 4 * TICKS_PER_POLL

# Alpaca's word for every symbol.
EVERYTHING: Final = "*"

log = logging.getLogger("tradewind.gateway")


class TickClient:
    """One client's subscriptions, by symbol, and what waits for it."""

    def __init__(self) -> None:
        self.quotes: set[str] = set()
        self.trades: set[str] = set()
        self._quotes: dict[str, TickMessage] = {}
        self._trades: deque[TickMessage] = deque()
        self._overflowed = False
        self._wake = asyncio.Event()

    def offer(self, symbol: str, message: TickMessage) -> None:
        wanted = self.quotes if message.is_quote else self.trades
        if symbol not in wanted and EVERYTHING not in wanted:
            return
        if message.is_quote:
            self._quotes[symbol] = message
        elif len(self._trades) < TRADES_MAX:
            self._trades.append(message)
        else:
            self._overflowed = True
        self._wake.set()

    async def take(self) -> list[TickMessage]:
        """Everything that waits, trades first; waits until there is something. Raises SlowClientError after
        an overflow: a trade was left out, so the stream can't go on."""
        await self._wake.wait()
        self._wake.clear()
        if self._overflowed:
            raise SlowClientError(f"{TRADES_MAX} trades waited; read faster, or subscribe to fewer symbols")
        messages = [*self._trades, *self._quotes.values()]
        self._trades.clear()
        self._quotes.clear()
        return messages


class TickFeed:
    """`symbol_of`: an instrument's number to its symbol; '' when it is not known (yet)."""

    def __init__(self, open_reader: Callable[[], BroadcastReader], symbol_of: Callable[[int], str]) -> None:
        self._open_reader = open_reader
        self._symbol_of = symbol_of
        self._symbols: dict[int, str] = {}  # an instrument's symbol never changes
        self._clients: set[TickClient] = set()
        self._somebody = asyncio.Event()

    def join(self, client: TickClient) -> None:
        self._clients.add(client)
        self._somebody.set()

    def leave(self, client: TickClient) -> None:
        self._clients.discard(client)
        if not self._clients:
            self._somebody.clear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._somebody.wait()
            try:
                reader = self._open_reader()
            except SegmentError as error:
                log.warning("no ticks yet: %s", error)
                await asyncio.sleep(REATTACH_S)
                continue
            while self._clients:
                self._deliver(reader)
                await asyncio.sleep(POLL_S)

    def _deliver(self, reader: BroadcastReader) -> None:
        """One look: the newest quote of each instrument, and every trade, to every client."""
        quotes: dict[int, TickMessage] = {}
        for _ in range(TICKS_PER_POLL):
            record = reader.pop()
            if record is None:
                break
            tick = decode_tick(record)
            message = TickMessage(self._symbol(tick.instrument), tick)
            if tick.kind == TickKind.QUOTE:
                quotes[tick.instrument] = message
            else:
                self._offer(message)
        for message in quotes.values():
            self._offer(message)

    def _offer(self, message: TickMessage) -> None:
        if not message.symbol:
            return
        for client in self._clients:
            client.offer(message.symbol, message)

    def _symbol(self, instrument: int) -> str:
        symbol = self._symbols.get(instrument) or self._symbol_of(instrument)
        self._symbols[instrument] = symbol
        return symbol
