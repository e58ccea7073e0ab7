"""Short ways to ask the exchange for things, and what always holds of its answers."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.simulator.exchange import Exchange
from fix.simulator.orders import Answer, CancelReject, CancelRequest, Instrument, NewOrder, Report
from fix.simulator.words import ExecType, OrdType, TimeInForce

OWNER = "TRADEWIND"
COPY = "TRADEWIND-DC"  # its drop copy
NOW_NS = 1_700_000_000_000_000_000
SHARES = {"AAPL": Instrument(price_e8("0.01"), qty_e8(1)), "XOM": Instrument(price_e8("0.01"), qty_e8(1))}
DAY, IOC = TimeInForce.DAY, TimeInForce.IOC

_ids = count(1)


def order(
    side: Side, qty: int, price: str, tif: TimeInForce = DAY, symbol: str = "AAPL", cl: str = ""
) -> NewOrder:
    return NewOrder(OWNER, cl or f"TW000-{next(_ids)}", symbol, side, tif, qty_e8(qty), price_e8(price))


def buy(qty: int, price: str, tif: TimeInForce = DAY, symbol: str = "AAPL", cl: str = "") -> NewOrder:
    return order(Side.BUY, qty, price, tif, symbol, cl)


def sell(qty: int, price: str, tif: TimeInForce = DAY, symbol: str = "AAPL", cl: str = "") -> NewOrder:
    return order(Side.SELL, qty, price, tif, symbol, cl)


def cancel(cl_ord_id: str, orig: str) -> CancelRequest:
    return CancelRequest(OWNER, cl_ord_id, orig)


def reports(answers: Iterable[Answer]) -> list[Report]:
    return [answer for answer in answers if isinstance(answer, Report)]


def told(answers: Iterable[Answer]) -> list[tuple[object, ...]]:
    """(what, status, traded, at) of each report; for people: quantities in whole, prices as text of cents."""
    return [
        (a.exec_type.name, a.status.name, a.last_qty_e8 // 10**8, a.last_px_e8 / 10**8)
        if isinstance(a, Report)
        else ("CANCEL_REJECT", a.status.name, 0, 0.0)
        for a in answers
        if isinstance(a, Report | CancelReject)
    ]


class Auditor:
    """Reads every answer and holds the exchange to what always holds of them."""

    def __init__(self) -> None:
        self.exec_ids: set[str] = set()
        self.cum: dict[str, int] = {}
        self.ended: set[str] = set()

    def read(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            if not isinstance(answer, Report):
                continue
            assert answer.exec_id not in self.exec_ids, "an ExecID came twice"
            self.exec_ids.add(answer.exec_id)
            assert answer.order_id not in self.ended, "a report after the last"
            is_trade = answer.exec_type is ExecType.TRADE
            assert is_trade == (answer.last_qty_e8 > 0)
            cum = self.cum[answer.order_id] = self.cum.get(answer.order_id, 0) + answer.last_qty_e8
            assert cum == answer.cum_qty_e8 <= answer.qty_e8
            if answer.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED):
                assert answer.cum_qty_e8 + answer.leaves_qty_e8 == answer.qty_e8
            else:
                assert answer.leaves_qty_e8 == 0
            if answer.status not in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED):
                self.ended.add(answer.order_id)
            if is_trade and answer.price_e8 == 0:
                assert answer.ord_type in (OrdType.MARKET, OrdType.STOP)
            elif is_trade and answer.side is Side.BUY:
                assert 0 < answer.last_px_e8 <= answer.price_e8
            elif is_trade:
                assert answer.last_px_e8 >= answer.price_e8


def leaves(exchange: Exchange) -> dict[str, int]:
    return {o.cl_ord_id: o.leaves_qty_e8 for o in exchange.open_orders(OWNER)}
