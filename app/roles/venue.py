"""The role `venue`: the simulated exchange, behind a FIX 4.4 acceptor, on the market that the replay plays.

Without a recording its liquidity is the current quotes (the ring of ticks); with one, the recorded order
books, kept here from the lossless feed. It writes its FIX store under data_dir/venue and nothing else that
lasts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from actors.view import StateView
from app.config import Config
from core.records import TickKind
from fix.acceptor import only
from fix.simulator import recorded
from fix.simulator.application import Simulator
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.orders import Answer, Instrument
from fix.simulator.venue import Venue
from marketdata.book import Book
from marketdata.feed import FeedReader
from marketdata.instruments import definitions
from marketdata.recording import open_recording
from marketdata.records import F_LAST, Action, Message, Tick, unpack_tick
from marketdata.replay import TICKS_RING
from services.serving import run_until_terminated
from shared_mem.broadcast import BroadcastReader
from shared_mem.segment import SegmentMissing

COMP_ID: Final = "SIMULATOR"
CLIENTS: Final = frozenset({"TRADEWIND"})

LOOK_S: Final = 0.02  # how often it looks for a shard or a replay that is starting too
POLL_S: Final = 0.005  # between two looks at the ring of ticks, which rings no bell
BATCH: Final = 512  # ticks or messages taken before orders get their turn
# An event of an exchange is a few messages; the snapshot, which is one too, may be the whole book.
EVENT_MESSAGES_MAX: Final = 65_536


def main(config: Config, ready: Callable[[], None]) -> None:
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    market = QuoteMarket(config) if config.replay is None else RecordedMarket(config)
    instruments = {d.symbol: Instrument(d.tick_e8, d.lot_e8) for d in definitions(config.replay)}
    exchange = Exchange(instruments, market.liquidity)
    folder = config.data_dir / "venue"
    venue = Venue(exchange, folder, COMP_ID, only(CLIENTS), sync=config.gate == "synced")
    await venue.acceptor.listen("127.0.0.1", config.ports.venue)
    ready()
    tasks = [asyncio.create_task(venue.acceptor.run()), asyncio.create_task(market.run(venue.simulator))]
    try:
        # Both are without end: the first to end has failed, and its error ends the role.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await venue.close("the venue stops")


class QuoteMarket:
    """Quotes and trades from the ring of ticks to the exchange."""

    def __init__(self, config: Config) -> None:
        self.liquidity = Quotes()
        self._run_dir = config.run_dir
        self._symbols: dict[int, str] = {}

    async def run(self, simulator: Simulator) -> None:
        reader = await self._opened()
        while True:
            for _ in range(BATCH):
                raw = reader.pop()
                if raw is None:
                    break
                tick = unpack_tick(raw, self._symbols)
                if tick is None:  # an instrument that was defined since
                    self._learn()
                elif answers := self._take(tick, simulator.exchange):
                    simulator.publish(answers)
            await asyncio.sleep(0 if reader.lag else POLL_S)

    async def _opened(self) -> BroadcastReader:
        while True:
            try:
                self._learn()
                return BroadcastReader(self._run_dir / TICKS_RING)
            except SegmentMissing:
                await asyncio.sleep(LOOK_S)

    def _learn(self) -> None:
        view = StateView.attach(self._run_dir)
        self._symbols = {found.instrument: found.symbol for found in view.instruments()}

    def _take(self, tick: Tick, exchange: Exchange) -> list[Answer]:
        now_ns = time.time_ns()
        if tick.kind == TickKind.QUOTE:
            self.liquidity.on_quote(*tick[:1], *tick[3:7], tick.recording_index)
            return exchange.moved(tick.symbol, now_ns)
        trade = self.liquidity.trade(tick.symbol, tick.px_e8, tick.size_e8, tick.recording_index)
        answers = exchange.printed(trade, now_ns) if trade is not None else []
        return answers + exchange.traded(tick.symbol, tick.px_e8, now_ns)


class RecordedMarket:
    """The recording's messages from the feed to the books and the exchange, event by event."""

    def __init__(self, config: Config) -> None:
        assert config.replay is not None
        self._symbols = open_recording(config.replay).symbols
        self.books = {symbol: Book() for symbol in self._symbols.values()}
        self.liquidity = recorded.Recorded(dict(self.books))
        self._run_dir = config.run_dir
        self._event: list[Message] = []
        self._unqueued: set[str] = set()  # our orders have no place yet in this pass's queues

    async def run(self, simulator: Simulator) -> None:
        feed = FeedReader(self._run_dir)
        rung = asyncio.Event()
        asyncio.get_running_loop().add_reader(feed.bell.fileno(), rung.set)
        while True:
            if self._drain(feed, simulator):
                await asyncio.sleep(0)
                continue
            rung.clear()
            feed.bell.park()
            if not self._drain(feed, simulator):
                await rung.wait()
            feed.bell.wake()

    def _drain(self, feed: FeedReader, simulator: Simulator) -> bool:
        """Takes a batch; False when there was nothing."""
        for taken in range(BATCH):
            message = feed.pop()
            if message is None:
                return taken > 0
            if answers := self.take(message, simulator.exchange):
                simulator.publish(answers)
        return True

    def take(self, message: Message, exchange: Exchange) -> list[Answer]:
        """One message of the feed; what it leads to once its event is whole."""
        if message.recording_index == 0:
            self._begin()
        self._event.append(message)
        if not message.flags & F_LAST and len(self._event) < EVENT_MESSAGES_MAX:
            return []
        now_ns = time.time_ns()
        answers: list[Answer] = []
        for each in self._event:
            symbol = self._symbols.get(each.instrument_id)
            if symbol is not None:
                answers += self._apply(symbol, each, exchange, now_ns)
        self._event.clear()
        return answers

    def _begin(self) -> None:
        self._event.clear()
        self._unqueued = set(self.books)
        for symbol, book in self.books.items():
            book.clear()
            self.liquidity.begin(symbol)

    def _apply(self, symbol: str, message: Message, exchange: Exchange, now_ns: int) -> list[Answer]:
        book, order_id = self.books[symbol], message.order_id
        book.apply(message)
        self.liquidity.applied(symbol, order_id, message.recording_index)
        answers: list[Answer] = []
        if message.action == Action.FILL:
            fill = self.liquidity.fill(symbol, order_id, message.price_e8, message.size)
            answers += exchange.printed(fill, now_ns) if fill is not None else []
            answers += exchange.traded(symbol, message.price_e8, now_ns)
        if message.flags & F_LAST:
            is_market = book.top().is_market
            self.liquidity.settled(symbol, is_market=is_market)
            if is_market and symbol in self._unqueued:
                self._unqueued.discard(symbol)
                exchange.queue_anew(symbol)
            answers += exchange.moved(symbol, now_ns)
        return answers
