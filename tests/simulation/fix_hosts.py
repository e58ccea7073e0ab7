"""The two processes that speak FIX: the desk's router and the venue. Sessions, stores, router and exchange are the
real ones; their event loops are the simulation's steps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from actors.fates import open_orders
from actors.shard import LANE_FILES, Lane
from actors.view import StateView
from core.units import price_e8, qty_e8
from fix.acceptor import only
from fix.auth import Secrets
from fix.codec import Framer
from fix.dictionary import load
from fix.durable import DurableSession
from fix.inquiry import Inquiry
from fix.order_bodies import OrderBodies
from fix.order_router import OrderRouter, cursor_of, expect_from, follow_lost_store
from fix.profiles import files
from fix.session import SessionConfig
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.orders import Instrument
from fix.simulator.temper import Temper
from fix.simulator.trades import NoSuchTrade
from fix.simulator.venue import Venue
from fix.store import Store
from fix.timestamps import NS_PER_S
from fix.venue import session_config
from shared_mem.log import CursorInvalid, Reader, Tail
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentError
from tests.simulation.hosts import Host, Machine
from tests.simulation.shard_host import log_dir
from tests.simulation.wire import End, Network
from tests.simulation.world import MS, Broken, S

DESK: Final = "TRADEWIND"
VENUE: Final = "SIMULATOR"
SYMBOLS: Final = ("ACME", "BETA")
# After a connection that failed: as long as fix/initiator.py waits at first, and at most.
RETRY_NS: Final = (100 * MS, 5 * S)


@cache
def _config() -> SessionConfig:
    return session_config(files.shipped("simulator"), DESK, VENUE, Secrets())


@cache
def _bodies() -> OrderBodies:
    return OrderBodies(load("FIX.4.4"))


class RouterHost(Host):
    """app/roles/fix.py, with `connect`, `route` and `tick` as steps."""

    name: ClassVar[str] = "router"

    def __init__(self, machine: Machine, network: Network) -> None:
        super().__init__(machine)
        self._network = network
        self.venue: VenueHost
        self.begins_anew = False  # an operator has the numbers begin again at 1 (141=Y)

    @property
    def folder(self) -> Path:
        return self.machine.data / "fix" / "venue"

    def may_start(self) -> bool:
        try:
            StateView.attach(self.machine.run)
            Ring.attach(self.machine.run / LANE_FILES[Lane.REPORTS_VENUE])
        except SegmentError:
            return False
        return True

    def begin(self) -> None:
        run = self.machine.run
        view = StateView.attach(run)
        reports = Ring.attach(run / LANE_FILES[Lane.REPORTS_VENUE])
        clock, tail = self.world.clock, Tail.attach(run)
        self.inquiry = Inquiry(
            0, lambda: open_orders(view), reports.try_push, by_mass=True, epoch=lambda: view.epoch,
            clock=lambda: clock() / NS_PER_S, names=clock,
        )  # fmt: skip
        self.router = OrderRouter(
            0, reports, lambda n: _symbol(view, n), lambda n: _account(view, n), _bodies(), self.inquiry
        )
        self._store = Store(self.folder, self.machine.synced)
        self.session = DurableSession(_config(), self._store, self.router, self.world.clock)
        if follow_lost_store(self.session, view.venue_seq(), tail.written):
            self.world.saw("a session's store is lost")
        expect_from(self.session, view.venue_seq())
        self.reader = self._reader()
        self._end: End | None = None
        self._retry_ns = 0
        self._pause_ns = RETRY_NS[0]

    def _reader(self) -> LogReader:
        machine = self.machine
        where = log_dir(machine), machine.run, Reader.FIX
        try:
            return LogReader(*where, cursor_of(self.session), machine.gate)
        except CursorInvalid as error:
            if machine.synced:
                raise Broken(f"router: {error}") from error
            self.world.saw("the log lost what the router had read")
            return LogReader(*where, Tail.attach(machine.run).written, machine.gate)

    def end(self, machine: bool) -> None:
        self._network.owner_died(self, machine)
        for name in ("_store", "reader"):
            if name in self.__dict__:
                getattr(self, name).close()
        for name in ("session", "router", "inquiry", "reader", "_store", "_end"):
            self.__dict__.pop(name, None)

    # --- steps ------------------------------------------------------------------------------------------

    def route(self) -> None:
        if not self.router.may_read(self.session):
            return
        records = self.reader.read(self.world.rng.choice((1, 3, 17, 256)))
        if records:
            self.router.route(self.session, records)
            self.world.note(f"router reads {len(records)}, to {records[-1].next_position}")
        else:
            self.router.push(self.session)

    def tick(self) -> None:
        self.session.tick()
        if self._end is None and self.world.now_ns >= self._retry_ns:
            self._connect()

    def _connect(self) -> None:
        if self._network.is_parted or not self.venue.is_alive:
            self._retry_ns = self.world.now_ns + self._pause_ns
            self._pause_ns = min(2 * self._pause_ns, RETRY_NS[1])
            return
        self._end = self._network.connect(self, self.venue)
        self.venue.made(self._end.peer)
        self.world.note("router connects" + (", numbers anew" if self.begins_anew else ""))
        self.session.connected(self._end, self.begins_anew)

    # --- the connection's ---------------------------------------------------------------------------------

    def received(self, end: End, data: bytes) -> None:
        if end is self.__dict__.get("_end"):
            self.world.note(f"router hears {len(data)}")
            self.step(lambda: self._hear(data))

    def _hear(self, data: bytes) -> None:
        self.session.received(data)
        if self.session.is_logged_on:
            self._pause_ns = RETRY_NS[0]
            self.begins_anew = False

    def lost(self, end: End) -> None:
        if end is self.__dict__.get("_end"):
            self.world.note("router's line is lost")
            self._end = None
            self._retry_ns = self.world.now_ns + self._pause_ns
            self.step(self.session.disconnected)

    @property
    def is_quiet(self) -> bool:
        """Everything that the log asks for is at the venue's door, nothing is being resent, and nothing is asked."""
        read_to = self.reader.position == self.reader.end_position()
        is_on = self.session.is_logged_on and self.session.has_room and not self.session.waits
        return is_on and read_to and self.inquiry.is_done


class VenueHost(Host):
    """app/roles/venue.py, on quotes that the simulation makes up."""

    name: ClassVar[str] = "venue"

    def __init__(self, machine: Machine, network: Network, ill_seed: int | None) -> None:
        super().__init__(machine)
        self._network = network
        self._ill_seed = ill_seed
        self._quotes: dict[str, tuple[int, int, int]] = {}

    @property
    def folder(self) -> Path:
        return self.machine.data / "venue"

    def begin(self) -> None:
        tick, lot = price_e8("0.01"), qty_e8(1)
        self.liquidity = Quotes()
        self.exchange = Exchange({s: Instrument(tick, lot) for s in SYMBOLS}, self.liquidity)
        temper = Temper(self._ill_seed + self.world.steps) if self._ill_seed is not None else None
        self.venue = Venue(
            self.exchange, self.folder, VENUE, only({DESK}), sync=True, clock=self.world.clock, temper=temper,
            session_clock=self.world.clock,
        )  # fmt: skip
        for symbol, (bid, ask, index) in self._quotes.items():
            self.liquidity.on_quote(symbol, bid, ask, qty_e8(0), qty_e8(0), index)

    def end(self, machine: bool) -> None:
        self._network.owner_died(self, machine)
        if "venue" in self.__dict__:
            for session in self.venue.acceptor.sessions():
                session.close()
            self.venue._outbox.close()
        for name in ("venue", "exchange", "liquidity"):
            self.__dict__.pop(name, None)

    # --- steps ------------------------------------------------------------------------------------------

    def tick(self) -> None:
        for session in self.venue.acceptor.sessions():
            session.tick()

    def quote(self, symbol: str, bid_e8: int, ask_e8: int, size_e8: int, index: int) -> None:
        self._quotes[symbol] = (bid_e8, ask_e8, index)
        self.liquidity.on_quote(symbol, bid_e8, ask_e8, size_e8, size_e8, index)
        if answers := self.exchange.moved(symbol, self.world.now_ns):
            self.world.note(f"venue tells {len(answers)} by a quote")
            self.venue.simulator.publish(answers)

    def bust(self) -> None:
        """Takes back one of the newest trades, or corrects it."""
        known = list(self.exchange.trades._by_exec_id)[-20:]
        if not known:
            return
        exec_id, now = self.world.rng.choice(known), self.world.now_ns
        trade = self.exchange.trades._by_exec_id[exec_id]
        try:
            if self.world.chance(0.5) or trade.qty_e8 < 2 * qty_e8(1):
                answers = self.exchange.trades.bust(exec_id, now, "by the venue")
            else:
                answers = self.exchange.trades.correct(
                    exec_id, trade.qty_e8 - qty_e8(1), trade.px_e8, now, "by the venue"
                )
        except NoSuchTrade:
            return
        self.world.note(f"venue undoes {exec_id}")
        self.world.saw(f"a trade is {answers[0].exec_type.name.lower().replace('trade_', '')}ed")
        self.venue.simulator.publish(answers)

    # --- the connection's ---------------------------------------------------------------------------------

    def made(self, end: End) -> None:
        self.venue.acceptor._unknown[self._as_connection(end)] = Framer()

    def received(self, end: End, data: bytes) -> None:
        self.world.note(f"venue hears {len(data)}")
        self.step(lambda: self._pass(lambda a: a._received(self._as_connection(end), data)))

    def lost(self, end: End) -> None:
        self.world.note("venue's line is lost")
        self.step(lambda: self._pass(lambda a: a._lost(self._as_connection(end))))

    def _pass(self, what: Any) -> None:
        """Through the real acceptor, whose clockwork keeps an error for its loop."""
        acceptor = self.venue.acceptor
        what(acceptor)
        if acceptor._clockwork._error is not None:
            raise acceptor._clockwork._error

    @staticmethod
    def _as_connection(end: End) -> Any:
        """An End has what the acceptor uses of a Connection."""
        return end

    @property
    def session(self) -> DurableSession | None:
        return self.venue.acceptor.session(DESK)


def _symbol(view: StateView, number: int) -> str:
    instrument = view.instrument(number)
    assert instrument is not None
    return instrument.symbol


def _account(view: StateView, number: int) -> str:
    account = view.account(number)
    assert account is not None
    return account.text
