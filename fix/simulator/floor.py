"""The floor: orders meet here, and what comes of it is reported. Pure; time comes in.

In continuous trading an order trades as it comes (`fix/simulator/matching.py`); what rests is tried again
whenever the market outside has changed. Else orders are collected, and trade at one price when that phase
ends (`fix/simulator/auction.py`). A trade at a stop order's price makes it an order like any other, which
may trade at once and so reach the next.

Always holds: no trade is at a worse price than a limit, or of more than both sides had; the reports of a
trade between members follow each other, the incoming order's first; an order in a queue is open.
"""

from __future__ import annotations

from typing import Final

from core.records import Side
from core.units import price_text
from fix.simulator.auction import clearing, pairs
from fix.simulator.book import Book
from fix.simulator.market import Liquidity, Print, is_within
from fix.simulator.matching import Deal, can_fill, deals, outside
from fix.simulator.orders import Answer, Instrument, Order, Report
from fix.simulator.registry import Registry
from fix.simulator.reporting import Reporter
from fix.simulator.trades import Trades
from fix.simulator.words import ExecType, OrdType, Phase, TimeInForce

# Trades of one order at one moment: their reports go into the store in one append, which is bounded. What the
# order still has then is canceled.
DEALS_MAX: Final = 8_192


class Floor:
    def __init__(
        self,
        instruments: dict[str, Instrument],
        liquidity: Liquidity,
        registry: Registry,
        reporter: Reporter,
        trades: Trades,
    ) -> None:
        self._instruments = instruments
        self._liquidity = liquidity
        self._registry = registry
        self._reporter = reporter
        self._trades = trades
        self.books = {symbol: Book(symbol) for symbol in instruments}

    # --- an order -------------------------------------------------------------------------------------

    def enter(self, order: Order, now_ns: int) -> list[Answer]:
        """An open order comes, or comes again with another limit: it trades, rests or waits."""
        book = self.books[order.symbol]
        if order.waits or book.phase is not Phase.CONTINUOUS:
            book.put(order)
            return self.trigger(book, now_ns)
        answers = self._match(order, book, now_ns)
        return answers + self.trigger(book, now_ns)

    def leave(self, order: Order) -> None:
        """An order is over: it leaves the open ones, and its queue if it is in one."""
        self._registry.close(order)
        self.books[order.symbol].discard(order)

    def end(self, order: Order, how: ExecType, now_ns: int, *, cl_ord_id: str = "", text: str = "") -> Answer:
        """CANCELED or EXPIRED."""
        report = self._reporter.end(order, how, now_ns, cl_ord_id=cl_ord_id, text=text)
        self.leave(order)
        return report

    # --- the market outside ---------------------------------------------------------------------------

    def moved(self, symbol: str, now_ns: int, *, fresh: bool = True) -> list[Answer]:
        """The market outside shows something new: resting orders that meet it now trade."""
        book = self.books[symbol]
        if book.phase is not Phase.CONTINUOUS or not self._liquidity.is_market(symbol):
            return []
        answers: list[Answer] = []
        for side in Side:
            while (order := book.resting(side).first()) is not None and self._liquidity.crosses(
                symbol, side, order.limit_e8
            ):
                for deal in outside(order, self._liquidity, order.limit_e8, fresh=fresh):
                    answers += self._deal(order, book, deal, now_ns)
                if order.is_open:
                    break  # it took all there was within its limit, and the others' limits are no better
        self._liquidity.looked(symbol)
        return answers + self.trigger(book, now_ns)

    def printed(self, trade: Print, now_ns: int) -> list[Answer]:
        """A trade in the market, which orders resting at its price or better may claim. It triggers no stop
        order: it may stand inside an event of the market."""
        book = self.books[trade.symbol]
        if book.phase is not Phase.CONTINUOUS:
            return []
        reached = []
        for order in book.resting(trade.side):
            if not is_within(trade.side, trade.price_e8, order.limit_e8):
                break
            reached.append(order)
        answers: list[Answer] = []
        for order in reached:
            fill = trade.claim(order.limit_e8, order.place, order.leaves_qty_e8)
            if fill is not None:
                answers += self._deal(order, book, Deal(fill.price_e8, fill.qty_e8, None, fill), now_ns)
        return answers

    # --- phases ---------------------------------------------------------------------------------------

    def set_phase(self, book: Book, phase: Phase, now_ns: int) -> list[Answer]:
        """What was collected uncrosses when it may trade or the day ends; at its end day orders expire."""
        answers: list[Answer] = []
        if book.phase is not Phase.CONTINUOUS and phase in (Phase.CONTINUOUS, Phase.CLOSED):
            answers += self._uncross(book, now_ns)
        book.phase = phase
        if phase is Phase.CLOSED:
            day = [order for order in book.orders() if order.tif is TimeInForce.DAY]
            answers += [self.end(order, ExecType.EXPIRED, now_ns, text="the day is over") for order in day]
        elif phase is Phase.CONTINUOUS:
            answers += self.moved(book.symbol, now_ns, fresh=False)
            answers += self.trigger(book, now_ns)
        return answers

    def _uncross(self, book: Book, now_ns: int) -> list[Answer]:
        answers: list[Answer] = []
        found = clearing(book, self._instruments[book.symbol].tick_e8)
        if found is not None:
            for buyer, seller, qty_e8 in pairs(book, found):
                answers += self._deal(buyer, book, Deal(found.price_e8, qty_e8, seller, None), now_ns)
        without_limit = [order for order in book.orders() if order.must_trade_now and not order.waits]
        text = "the auction had no more"
        return answers + [self.end(o, ExecType.CANCELED, now_ns, text=text) for o in without_limit]

    # --- inside ---------------------------------------------------------------------------------------

    def _match(self, order: Order, book: Book, now_ns: int) -> list[Answer]:
        """An order that is in no queue trades; what it has left then rests or is canceled."""
        answers: list[Answer] = []
        if order.tif is TimeInForce.FOK and not can_fill(order, book, self._liquidity):
            text = "fill or kill: the market has not so much at the limit"
            return [self.end(order, ExecType.CANCELED, now_ns, text=text)]
        for done, deal in enumerate(deals(order, book, self._liquidity), 1):
            answers += self._deal(order, book, deal, now_ns)
            if done >= DEALS_MAX and order.is_open and deal.contra is not None:
                text = f"{DEALS_MAX} trades at once; send the rest again"
                return [*answers, self.end(order, ExecType.CANCELED, now_ns, text=text)]
        if not order.is_open:
            return answers
        if order.must_trade_now:
            at = "at the limit" if order.ord_type is OrdType.LIMIT else "left"
            text = f"immediate or cancel: the market had no more {at}"
            return [*answers, self.end(order, ExecType.CANCELED, now_ns, text=text)]
        book.put(order)
        return answers

    def _deal(self, order: Order, book: Book, deal: Deal, now_ns: int) -> list[Answer]:
        """Does one trade, and reports it to each side."""
        mine = self._reporter.fill(order, deal.price_e8, deal.qty_e8, now_ns, deal.fill)
        book.last_e8 = deal.price_e8
        if deal.contra is None:
            self._keep(order, mine)
            return [mine]
        theirs = self._reporter.fill(deal.contra, deal.price_e8, deal.qty_e8, now_ns)
        mine = mine._replace(contra_exec_id=theirs.exec_id)
        theirs = theirs._replace(contra_exec_id=mine.exec_id)
        self._keep(order, mine)
        self._keep(deal.contra, theirs)
        return [mine, theirs]

    def _keep(self, order: Order, report: Report) -> None:
        self._trades.remember(order, report)
        if not order.is_open:
            self.leave(order)

    def trigger(self, book: Book, now_ns: int) -> list[Answer]:
        """Stop orders whose price the last trade has reached become orders like any other, one by one."""
        answers: list[Answer] = []
        while book.phase is Phase.CONTINUOUS and (order := book.next_reached()) is not None:
            book.discard(order)
            order.is_triggered = True
            text = f"triggered: the last price is {price_text(book.last_e8)}"
            report = self._reporter.report(order, ExecType.RESTATED, now_ns, text=text)
            order.arrival = report.number
            order.place = report.recording_index
            answers += [report, *self._match(order, book, now_ns)]
        return answers
