"""Trades that can still be undone: found by the ExecID of either side, busted or corrected on both.

A bust takes the quantity back: an order that is still open has it to trade again (FIX 4.4 vol. 4, app. D 24);
one that is over stays over, and a filled one is then canceled with what it has. A correction changes the
price, or the quantity downwards; it keeps every limit.

Always holds: a trade between members is undone for both or for neither. Bounded: the newest TRADES_MAX reports
of trades; older ones stand.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from core.records import OrdStatus
from core.units import price_text, qty_text
from fix.simulator.orders import Order, Report
from fix.simulator.reporting import Reporter
from fix.simulator.words import ExecType

# A day of a busy desk, some 30 MB with their orders.
TRADES_MAX: Final = 100_000


class NoSuchTrade(ValueError):
    """A trade that can't be undone; the text says why."""


class Trade(NamedTuple):
    """One side of a trade, as last reported."""

    order: Order
    qty_e8: int
    px_e8: int
    contra_exec_id: str


class Trades:
    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._by_exec_id: OrderedDict[str, Trade] = OrderedDict()

    def remember(self, order: Order, report: Report) -> None:
        """A trade or correction, as it was reported; a bust or correction undoes the one it names."""
        if report.exec_ref_id:
            self._by_exec_id.pop(report.exec_ref_id, None)
        if report.exec_type is ExecType.TRADE_CANCEL:
            return
        trade = Trade(order, report.last_qty_e8, report.last_px_e8, report.contra_exec_id)
        self._by_exec_id[report.exec_id] = trade
        if len(self._by_exec_id) > TRADES_MAX:
            self._by_exec_id.popitem(last=False)

    def symbol(self, exec_id: str) -> str | None:
        trade = self._by_exec_id.get(exec_id)
        return trade.order.symbol if trade is not None else None

    def bust(self, exec_id: str, now_ns: int, text: str) -> list[Report]:
        """Undoes a trade. Raises NoSuchTrade."""
        return [self._undo(ref, trade, 0, 0, now_ns, text) for ref, trade in self._sides(exec_id)]

    def correct(self, exec_id: str, qty_e8: int, px_e8: int, now_ns: int, text: str) -> list[Report]:
        """Makes a trade one of this quantity and price. Raises NoSuchTrade."""
        sides = self._sides(exec_id)
        for _, trade in sides:
            if not 0 < qty_e8 <= trade.qty_e8:
                known = qty_text(trade.qty_e8)
                raise NoSuchTrade(f"the trade was of {known}; correct it to that or less, more than 0")
            if not px_e8 > 0 or not trade.order.keeps_limit(px_e8):
                limit = price_text(trade.order.limit_e8)
                raise NoSuchTrade(f"{price_text(px_e8)} is not within an order's limit, {limit}")
        reports = [self._undo(ref, trade, qty_e8, px_e8, now_ns, text) for ref, trade in sides]
        if len(reports) == 2:
            one, other = reports
            reports = [
                one._replace(contra_exec_id=other.exec_id), other._replace(contra_exec_id=one.exec_id)
            ]  # fmt: skip
        for (_, trade), report in zip(sides, reports, strict=True):
            self.remember(trade.order, report)
        return reports

    def _sides(self, exec_id: str) -> list[tuple[str, Trade]]:
        trade = self._by_exec_id.get(exec_id)
        if trade is None:
            raise NoSuchTrade(f"trade {exec_id} is not known here, was undone, or is too old")
        sides = [(exec_id, trade)]
        if trade.contra_exec_id:
            contra = self._by_exec_id.get(trade.contra_exec_id)
            if contra is None:
                raise NoSuchTrade(f"the other side of trade {exec_id}, {trade.contra_exec_id}, is too old")
            sides.append((trade.contra_exec_id, contra))
        return sides

    def _undo(self, ref: str, trade: Trade, qty_e8: int, px_e8: int, now_ns: int, text: str) -> Report:
        """Replaces one side of a trade by one of `qty_e8` at `px_e8`; 0: by nothing."""
        order = trade.order
        order.trade(trade.px_e8, -trade.qty_e8)
        order.trade(px_e8, qty_e8)
        if order.is_open:
            order.status = OrdStatus.PARTIALLY_FILLED if order.cum_qty_e8 else OrdStatus.NEW
        elif order.status is OrdStatus.FILLED and order.leaves_qty_e8:
            order.status = OrdStatus.CANCELED
        kind = ExecType.TRADE_CORRECT if qty_e8 else ExecType.TRADE_CANCEL
        report = self._reporter.report(order, kind, now_ns, text=text)._replace(
            last_qty_e8=qty_e8,
            last_px_e8=px_e8,
            exec_ref_id=ref,
            was_qty_e8=trade.qty_e8,
            was_px_e8=trade.px_e8,
        )
        if not qty_e8:
            self.remember(order, report)
        return report
