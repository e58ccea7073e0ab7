"""Several members at one exchange, with nothing outside: short ways to ask, and a naive exchange beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator.exchange import Exchange
from fix.simulator.market import NoMarket
from fix.simulator.orders import (
    Answer,
    CancelReject,
    CancelRequest,
    Instrument,
    MassCancelRequest,
    NewOrder,
    ReplaceRequest,
    Report,
)
from fix.simulator.words import ExecType, OrdType, TimeInForce
from tests.simulator.desk import NOW_NS, Auditor

LISTED = {symbol: Instrument(price_e8(1), qty_e8(1)) for symbol in ("AAPL", "XOM")}
DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


class Members:
    """The exchange, audited. Prices and quantities are whole numbers; names tell who: "anna-1" is anna's."""

    def __init__(self) -> None:
        self.exchange = Exchange(LISTED, NoMarket())
        self.auditor = Auditor()
        self.answers: list[Answer] = []

    def order(
        self,
        name: str,
        side: Side,
        qty: int,
        price: int = 0,
        tif: TimeInForce = DAY,
        *,
        stop: int = 0,
        symbol: str = "AAPL",
    ) -> list[Answer]:
        return self.keep(
            self.exchange.new_order(new_order(name, side, qty, price, tif, stop, symbol), NOW_NS)
        )

    def buy(self, name: str, qty: int, price: int = 0, tif: TimeInForce = DAY, **more: Any) -> list[Answer]:
        return self.order(name, Side.BUY, qty, price, tif, **more)

    def sell(self, name: str, qty: int, price: int = 0, tif: TimeInForce = DAY, **more: Any) -> list[Answer]:
        return self.order(name, Side.SELL, qty, price, tif, **more)

    def cancel(self, name: str, orig: str) -> list[Answer]:
        return self.keep(self.exchange.cancel(CancelRequest(owner_of(name), name, orig), NOW_NS))

    def replace(
        self, name: str, orig: str, side: Side, qty: int, price: int, tif: TimeInForce = DAY, stop: int = 0
    ) -> list[Answer]:
        wanted = new_order(name, side, qty, price, tif, stop)
        return self.keep(self.exchange.replace(ReplaceRequest(wanted, orig), NOW_NS))

    def mass_cancel(self, name: str, symbol: str = "") -> list[Answer]:
        return self.keep(self.exchange.mass_cancel(MassCancelRequest(owner_of(name), name, symbol), NOW_NS))

    def keep(self, answers: list[Answer]) -> list[Answer]:
        self.auditor.read(answers)
        self.answers += answers
        return answers

    def queue(self, side: Side, symbol: str = "AAPL") -> list[tuple[str, int]]:
        """(name, what is left) in the order in which they trade."""
        book = self.exchange.floor.books[symbol]
        return [(o.cl_ord_id, o.leaves_qty_e8 // 10**8) for o in book.resting(side)]


def owner_of(name: str) -> str:
    return name.partition("-")[0]


def new_order(
    name: str, side: Side, qty: int, price: int, tif: TimeInForce, stop: int = 0, symbol: str = "AAPL"
) -> NewOrder:
    kinds = {
        (False, False): OrdType.MARKET,
        (True, False): OrdType.LIMIT,
        (False, True): OrdType.STOP,
        (True, True): OrdType.STOP_LIMIT,
    }
    kind = kinds[price > 0, stop > 0]
    return NewOrder(
        owner_of(name), name, symbol, side, tif, qty_e8(qty), price_e8(price), kind, price_e8(stop)
    )


def trades(answers: list[Answer]) -> list[tuple[str, int, int]]:
    """(name, quantity, price) of each trade reported, in the order of the reports."""
    return [
        (a.cl_ord_id, a.last_qty_e8 // 10**8, a.last_px_e8 // 10**8)
        for a in answers
        if isinstance(a, Report) and a.exec_type is ExecType.TRADE
    ]


def last_of(answers: list[Answer], name: str) -> tuple[str, OrdStatus]:
    """(what, status) of the last report of an order."""
    mine = [a for a in answers if isinstance(a, Report) and name in (a.cl_ord_id, a.orig_cl_ord_id)]
    return mine[-1].exec_type.name, mine[-1].status


def reject_of(answers: list[Answer]) -> CancelReject:
    (reject,) = answers
    assert isinstance(reject, CancelReject)
    return reject


class NaiveTrade(NamedTuple):
    incoming: str
    standing: str
    qty: int
    price: int


@dataclass
class NaiveOrder:
    name: str
    side: Side
    qty: int  # left
    price: int | None
    stop: int
    tif: TimeInForce
    since: int
    total: int = field(default=0)

    def reaches(self, price: int) -> bool:
        if self.price is None:
            return True
        return price <= self.price if self.side is Side.BUY else price >= self.price


class NaiveExchange:
    """The rules of continuous trading again, as plainly as they can be said: one list of orders, looked
    through from end to end each time."""

    def __init__(self) -> None:
        self.orders: list[NaiveOrder] = []
        self.stops: list[NaiveOrder] = []
        self.trades: list[NaiveTrade] = []
        self.last = 0
        self.clock = 0

    def new(self, name: str, side: Side, qty: int, price: int, tif: TimeInForce, stop: int) -> None:
        self.clock += 1
        order = NaiveOrder(name, side, qty, price or None, stop, tif, self.clock, qty)
        if stop:
            self.stops.append(order)
        else:
            self._trade(order)
        self._trigger()

    def cancel(self, name: str) -> None:
        self.orders = [o for o in self.orders if o.name != name]
        self.stops = [o for o in self.stops if o.name != name]

    def replace(self, name: str, orig: str, qty: int, price: int) -> bool:
        """False when the order is not in the list or has traded as much."""
        order = next((o for o in self.orders if o.name == orig), None)
        if order is None or qty <= order.total - order.qty:
            return False
        keeps = price == order.price and qty <= order.total
        order.qty += qty - order.total
        order.total, order.price, order.name = qty, price, name
        if not keeps:
            self.clock += 1
            order.since = self.clock
            self.orders.remove(order)
            self._trade(order)
            self._trigger()
        return True

    def queue(self, side: Side) -> list[tuple[str, int]]:
        sign = -1 if side is Side.BUY else 1
        mine = [o for o in self.orders if o.side is side]
        return [(o.name, o.qty) for o in sorted(mine, key=lambda o: (sign * (o.price or 0), o.since))]

    def _against(self, order: NaiveOrder) -> list[NaiveOrder]:
        sign = 1 if order.side is Side.BUY else -1
        others = [
            o
            for o in self.orders
            if o.side is not order.side
            and owner_of(o.name) != owner_of(order.name)
            and order.reaches(o.price or 0)
        ]
        return sorted(others, key=lambda o: (sign * (o.price or 0), o.since))

    def _trade(self, order: NaiveOrder) -> None:
        against = self._against(order)
        if order.tif is FOK and sum(o.qty for o in against) < order.qty:
            return
        for other in against:
            qty = min(order.qty, other.qty)
            if qty == 0:
                break
            order.qty -= qty
            other.qty -= qty
            self.last = other.price or 0
            self.trades.append(NaiveTrade(order.name, other.name, qty, self.last))
        self.orders = [o for o in self.orders if o.qty]
        if order.qty and order.price is not None and order.tif in (DAY, GTC):
            self.orders.append(order)

    def _trigger(self) -> None:
        while self.last:
            up = [o for o in self.stops if o.side is Side.BUY and self.last >= o.stop]
            down = [o for o in self.stops if o.side is Side.SELL and self.last <= o.stop]
            if up:
                order = min(up, key=lambda o: (o.stop, o.since))
            elif down:
                order = min(down, key=lambda o: (-o.stop, o.since))
            else:
                return
            self.stops.remove(order)
            self.clock += 1
            order.since = self.clock
            self._trade(order)
