"""The role `venue`: the simulated exchange, behind a FIX 4.4 acceptor, on the market that the replay plays.

Without a recording its liquidity is the current quotes (the ring of ticks), or a seeded flow of orders around
them; with one, the recorded order books, kept here from the lossless feed. It writes its FIX store under
data_dir/venue and nothing else that lasts. What it is and does: docs/simulator.md.

Who is let in: the platform, the market's operator, and other members by a CompID that says so. It listens on
the loopback only, and asks for no password.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from actors.view import StateView
from app.config import VENUE_HOST, Config
from core.records import TickKind
from fix.session import Role, SessionConfig
from fix.simulator import copies, flow, recorded
from fix.simulator.application import Simulator
from fix.simulator.control import OPERATOR
from fix.simulator.copy_faults import CopyFaults
from fix.simulator.exchange import Exchange
from fix.simulator.flow import Flow
from fix.simulator.ill_wire import IllWire
from fix.simulator.market import NoMarket, Quotes
from fix.simulator.orders import Answer, Instrument
from fix.simulator.temper import Temper, WireTemper
from fix.simulator.venue import Venue
from fix.templates import Template, Templates
from marketdata.book import Book
from marketdata.feed import FeedReader
from marketdata.instruments import definitions
from marketdata.recording import open_recording
from marketdata.records import F_LAST, Action, Message, Tick, unpack_tick
from marketdata.replay import TICKS_RING
from services.serving import run_until_terminated
from shared_mem.broadcast import BroadcastReader
from shared_mem.segment import SegmentMissing

log = logging.getLogger(__name__)

COMP_ID: Final = "SIMULATOR"
PLATFORM: Final = "TRADEWIND"
# A member of the exchange is whoever says so; each may have a drop copy of what it does.
_SESSION: Final = SessionConfig(COMP_ID, "", Role.ACCEPTOR)
_COPY: Final = f"(?:{re.escape(copies.SUFFIX)})?"
SESSIONS: Final = Templates(
    (
        Template(f"(?:{PLATFORM}|{OPERATOR}){_COPY}", _SESSION, sessions_max=4),
        Template("MEMBER-.+", _SESSION),
    )
)

LOOK_S: Final = 0.02  # how often it looks for a shard or a replay that is starting too
POLL_S: Final = 0.005  # between two looks at the ring of ticks, which rings no bell
BATCH: Final = 512  # ticks or messages taken before orders get their turn
# An event of an exchange is a few messages; the snapshot, which is one too, may be the whole book.
EVENT_MESSAGES_MAX: Final = 65_536


def main(config: Config, ready: Callable[[], None]) -> None:
    run_until_terminated(_serve(config, ready))


async def _serve(config: Config, ready: Callable[[], None]) -> None:
    instruments = {d.symbol: Instrument(d.tick_e8, d.lot_e8) for d in definitions(config.replay)}
    market = _market(config, instruments)
    exchange = Exchange(instruments, market.liquidity)
    is_ill = config.venue_temper == "ill"
    temper = Temper(config.venue_seed) if is_ill else None
    folder = config.data_dir / "venue"
    faults = CopyFaults(config.venue_copy_faults) if config.venue_copy_faults else None
    if faults is not None:
        log.warning("this venue's drop copy is wrong on purpose: %s", ", ".join(config.venue_copy_faults))
    venue = Venue(
        exchange,
        folder,
        COMP_ID,
        lambda _key, _logon: None,  # whoever has a session here: nobody is asked for a password
        sync=config.syncs,
        temper=temper,
        copy_faults=faults,
        configure=SESSIONS.config_of,
    )
    wire = IllWire(WireTemper(config.venue_seed)) if is_ill else None
    if wire is None:
        await venue.acceptor.listen(VENUE_HOST, config.ports.venue)
    else:
        log.warning("this venue is ill-tempered, by venue_temper and venue_seed=%d", config.venue_seed)
        await wire.listen(VENUE_HOST, config.ports.venue, await venue.acceptor.listen(VENUE_HOST, 0))
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
        if wire is not None:
            await wire.close()


def _market(config: Config, instruments: dict[str, Instrument]) -> QuoteMarket | RecordedMarket:
    if config.replay is not None:
        return RecordedMarket(config)
    return FlowMarket(config, instruments) if config.venue_market == "flow" else QuoteMarket(config)


class QuoteMarket:
    """Quotes and trades from the ring of ticks to the exchange."""

    liquidity: Quotes | NoMarket

    def __init__(self, config: Config) -> None:
        self._quotes = self.liquidity = Quotes()
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
            self._quotes.on_quote(*tick[:1], *tick[3:7], tick.recording_index)
            return exchange.moved(tick.symbol, now_ns)
        trade = self._quotes.trade(tick.symbol, tick.px_e8, tick.size_e8, tick.recording_index)
        answers = exchange.printed(trade, now_ns) if trade is not None else []
        return answers + exchange.traded(tick.symbol, tick.px_e8, now_ns)


class FlowMarket(QuoteMarket):
    """Orders of invented participants around the quotes; the quotes themselves can't be traded with."""

    def __init__(self, config: Config, instruments: dict[str, Instrument]) -> None:
        super().__init__(config)
        self.liquidity = NoMarket()
        self._flow = Flow(instruments, config.venue_seed, time.time_ns())

    def _take(self, tick: Tick, exchange: Exchange) -> list[Answer]:
        """A quote comes, and one participant acts."""
        if tick.kind != TickKind.QUOTE or not 0 < tick.bid_e8 < tick.ask_e8:
            return []
        answers: list[Answer] = []
        for request in self._flow.step(tick.symbol, (tick.bid_e8 + tick.ask_e8) // 2):
            answers += flow.ask(exchange, request, time.time_ns())
        return answers


class RecordedMarket:
    """The recording's messages from the feed to the books and the exchange, event by event."""

    def __init__(self, config: Config) -> None:
        assert config.replay is not None
        self._symbols = open_recording(config.replay).symbols
        self.books = {symbol: Book() for symbol in self._symbols.values()}
        self.liquidity = recorded.Recorded(dict(self.books))
        self._run_dir = config.run_dir
        self._event: list[Message] = []
        self._traded: defaultdict[str, list[int]] = defaultdict(list)  # prices, until the event is whole
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
        log.info("the recording begins, time_ns=%d", time.time_ns())
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
            self._traded[symbol].append(message.price_e8)
        if message.flags & F_LAST:
            is_market = book.top().is_market
            self.liquidity.settled(symbol, is_market=is_market)
            if is_market and symbol in self._unqueued:
                self._unqueued.discard(symbol)
                exchange.queue_anew(symbol)
            answers += exchange.moved(symbol, now_ns)
            for price_e8 in self._traded.pop(symbol, ()):
                answers += exchange.traded(symbol, price_e8, now_ns)
        return answers
