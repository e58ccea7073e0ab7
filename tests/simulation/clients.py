"""Who trades: clients, an administrator and the market, behind a gateway that may die.

What a client remembers is never lost: what it sent, and what it was told at the gate. A command without an answer is
asked again under the same client order id, as a client does after a 503.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from actors.shard import LANE_FILES, TICKS_CAPACITY, TICKS_FILE, Lane
from core import commands, events
from core.events import Event
from core.records import (
    TICK,
    TICK_BYTES,
    AccountState,
    EventKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    Source,
    TickKind,
    TimeInForce,
)
from core.rejects import Reject
from core.units import cash_e6, price_e8, qty_e8
from shared_mem.broadcast import Broadcast
from shared_mem.log import KIND_CLOSING, Reader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentError
from tests.simulation.auditor import Auditor
from tests.simulation.fix_hosts import SYMBOLS, VenueHost
from tests.simulation.followers import LogHost
from tests.simulation.hosts import Machine
from tests.simulation.world import S, World

ACCOUNTS: Final = 3
OPENING_CASH: Final = 400_000
POSITION_MAX_E8: Final = qty_e8(3000)
_TICK_E8: Final = price_e8("0.01")
_ENDED: Final = (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED)
# A client asks again after so long without an answer.
PATIENCE_NS: Final = 2 * S


@dataclass
class Sent:
    """An order that waits for its answer."""

    name: str
    raw_terms: dict[str, int]
    at_ns: int


@dataclass
class Known:
    """An order as its client knows it."""

    account: int
    instrument: int
    status: int


@dataclass
class Memory:
    """What the clients remember, whatever dies."""

    requests: int = 0
    waiting: dict[str, Sent] = field(default_factory=dict)
    orders: dict[int, Known] = field(default_factory=dict)

    def request(self) -> int:
        self.requests += 1
        return self.requests


class Gateway(LogHost):
    """Rings in, the log's answers out."""

    name: ClassVar[str] = "gateway"
    reader_name = Reader.GATEWAY

    def __init__(self, machine: Machine, auditor: Auditor) -> None:
        super().__init__(machine)
        self.gate = machine.gate
        self._auditor = auditor
        self.memory = Memory()

    def may_start(self) -> bool:
        try:
            self._ring(Lane.ADMIN)
        except SegmentError:
            return False
        return super().may_start()

    def begin(self) -> None:
        """Reads the log again: what is open is what it says, not what a client remembers."""
        self.memory.orders.clear()
        self.open_at(0)

    def _ring(self, lane: Lane) -> Ring:
        return Ring.attach(self.machine.run / LANE_FILES[lane])

    def push(self, lane: Lane, command: bytes) -> bool:
        return self._ring(lane).try_push(command)

    # --- what clients do --------------------------------------------------------------------------------

    def order(self, market: Market) -> None:
        rng = self.world.rng
        instrument = rng.randrange(len(SYMBOLS)) + 1
        bid, ask = market.quotes[SYMBOLS[instrument - 1]]
        side = rng.choice((Side.BUY, Side.BUY, Side.SELL))
        ticks = rng.randrange(-30, 8)
        price = ask + ticks * _TICK_E8 if side is Side.BUY else bid - ticks * _TICK_E8
        ord_type = OrdType.MARKET if rng.random() < 0.15 else OrdType.LIMIT
        tif = rng.choice((TimeInForce.DAY,) * 6 + (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD))
        terms = {
            "account": rng.randrange(ACCOUNTS) + 1, "instrument": instrument, "side": side, "ord_type": ord_type,
            "tif": tif, "qty_e8": qty_e8(rng.choice((1, 5, 10, 40, 100, 700))),
            "price_e8": price if ord_type is OrdType.LIMIT else 0,
            "expire_time_ns": self.world.now_ns + rng.randrange(1, 20) * S if tif is TimeInForce.GTD else 0,
        }  # fmt: skip
        self._send(Sent(f"c{self.memory.request()}", {k: int(v) for k, v in terms.items()}, 0))

    def ask_again(self) -> None:
        waiting = [s for s in self.memory.waiting.values() if s.at_ns + PATIENCE_NS <= self.world.now_ns]
        if waiting:
            self.world.saw("a client asks again")
            self._send(self.world.rng.choice(waiting))

    def _send(self, sent: Sent) -> None:
        command = commands.new_order(
            source=Source.GATEWAY, request_id=self.memory.request(), client_order_id=sent.name, **sent.raw_terms
        )  # fmt: skip
        if self.push(Lane.ORDERS_GATEWAY, command):
            self._auditor.sent_order(sent.name, sent.raw_terms)
            sent.at_ns = self.world.now_ns
            self.memory.waiting[sent.name] = sent
            self.world.note(f"client sends {sent.name}")

    def _some_order(self, only_open: bool) -> tuple[int, Known] | None:
        found = [(n, k) for n, k in self.memory.orders.items() if not only_open or k.status not in _ENDED]
        return self.world.rng.choice(found) if found else None

    def cancel(self) -> None:
        if (found := self._some_order(self.world.chance(0.9))) is not None:
            self._cancel(*found)

    def _cancel(self, order_id: int, known: Known) -> None:
        request = self.memory.request()
        command = commands.cancel(
            source=Source.GATEWAY, request_id=request, account=known.account, order_id=order_id
        )
        if self.push(Lane.CANCELS_GATEWAY, command):
            self.world.note(f"client cancels {order_id}")

    def cancel_all(self) -> int:
        """Asks for the cancel of everything that is open; how many."""
        found = [(n, k) for n, k in self.memory.orders.items() if k.status not in _ENDED]
        for order_id, known in found:
            self._cancel(order_id, known)
        return len(found)

    def replace(self, market: Market) -> None:
        if (found := self._some_order(True)) is None:
            return
        order_id, known = found
        rng = self.world.rng
        bid, ask = market.quotes[SYMBOLS[known.instrument - 1]]
        request = self.memory.request()
        command = commands.replace(
            source=Source.GATEWAY, request_id=request, account=known.account, instrument=known.instrument,
            order_id=order_id, client_order_id=f"r{request}", qty_e8=rng.choice((0, 0, qty_e8(rng.randrange(1, 300)))),
            price_e8=rng.choice((0, bid, ask, bid - 5 * _TICK_E8)),
        )  # fmt: skip
        if self.push(Lane.ORDERS_GATEWAY, command):
            self.world.note(f"client replaces {order_id}")

    # --- what the administrator does ----------------------------------------------------------------------

    def open_market(self) -> None:
        for symbol in SYMBOLS:
            self._admin(
                commands.define_instrument(
                    request_id=self.memory.request(), symbol=symbol, tick_e8=_TICK_E8, lot_e8=qty_e8(1),
                    max_order_qty_e8=qty_e8(5000), collar_bps=500, quote_age_ms_max=10**9,
                )
            )  # fmt: skip
        for number in range(1, ACCOUNTS + 1):
            self._admin(
                commands.open_account(
                    request_id=self.memory.request(), number=f"TW{number:06d}", max_order_qty_e8=qty_e8(1000),
                    max_order_notional_e6=cash_e6(200_000), max_position_qty_e8=POSITION_MAX_E8,
                )
            )  # fmt: skip
            self._deposit(number, OPENING_CASH)

    def _admin(self, command: bytes) -> bool:
        return self.push(Lane.ADMIN, command)

    def deposit(self) -> None:
        self._deposit(self.world.rng.randrange(ACCOUNTS) + 1, self.world.rng.choice((1000, 50_000, -500)))

    def _deposit(self, account: int, amount: int) -> None:
        request = self.memory.request()
        reference = f"d{request}"
        command = commands.deposit(
            request_id=request, account=account, amount_e6=cash_e6(amount), reference=reference
        )
        if self._admin(command):
            self._auditor.sent_deposit(reference, account, amount)
            self.world.note(f"admin deposits {amount} to {account}")

    def account_state(self) -> None:
        state = self.world.rng.choice((AccountState.ACTIVE, AccountState.ACTIVE, AccountState.REDUCING))
        account = self.world.rng.randrange(ACCOUNTS) + 1
        request = self.memory.request()
        if self._admin(commands.set_account_state(request_id=request, account=account, state=state)):
            self.world.note(f"admin makes account {account} {state.name}")

    # --- answers --------------------------------------------------------------------------------------------

    def answers(self) -> None:
        for record in self.reader.read(self.world.rng.choice((1, 16, 256))):
            if record.kind >= KIND_CLOSING:
                self._answer(events.decode(record.seq, record.time_ns, record.payload))

    def _answer(self, event: Event) -> None:
        if event.kind == EventKind.CASH and not event.reject_code:
            self._auditor.told_deposit(event.seq)
        if event.kind != EventKind.ORDER or event.source != Source.GATEWAY:
            return
        if event.exec_type == ExecType.PENDING_NEW:
            self.memory.waiting.pop(event.text, None)
            self._auditor.told_accepted(event.text, event.order_id)
        elif event.exec_type == ExecType.REJECTED and event.reject_code != Reject.VENUE_REJECTED:
            self.memory.waiting.pop(event.text, None)
        if event.order_id and event.reject_code in (0, Reject.VENUE_REJECTED):
            self.memory.orders[event.order_id] = Known(event.account, event.instrument, event.ord_status)


class Market:
    """Quotes of the symbols, to the shard's ring of ticks and to the venue."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._index = 0
        self.quotes = {symbol: (price_e8("99.99"), price_e8("100.01")) for symbol in SYMBOLS}

    def move(self, machine: Machine, venue: VenueHost, symbol: str) -> None:
        rng = self._world.rng
        bid, ask = self.quotes[symbol]
        shift = rng.randrange(-12, 13) * _TICK_E8
        middle = (bid + ask) // 2 // _TICK_E8 * _TICK_E8 + shift
        middle = min(max(middle, price_e8("97")), price_e8("103"))
        spread = rng.randrange(1, 6) * _TICK_E8
        bid, ask = middle - spread, middle + spread
        self.quotes[symbol] = bid, ask
        self._index += 1
        self._tick(machine, symbol, bid, ask)
        if venue.is_alive:
            size = qty_e8(rng.choice((3, 50, 500)))
            venue.step(lambda: venue.quote(symbol, bid, ask, size, self._index))

    def _tick(self, machine: Machine, symbol: str, bid_e8: int, ask_e8: int) -> None:
        if not (machine.run / TICKS_FILE).exists():
            return
        tick = np.zeros(1, TICK)
        tick["instrument"], tick["kind"] = SYMBOLS.index(symbol) + 1, TickKind.QUOTE
        tick["bid_e8"], tick["ask_e8"] = bid_e8, ask_e8
        tick["published_ns"] = self._world.now_ns
        Broadcast.create(machine.run / TICKS_FILE, TICK_BYTES, TICKS_CAPACITY).publish(
            tick.tobytes().ljust(TICK_BYTES, b"\0")
        )
