"""The exchange: what members ask for, answered. Pure; time comes in.

Market, limit, stop and stop-limit orders; day, good till cancel, immediate or cancel, fill or kill. What an
order meets it takes at once, from members and from the market outside; the rest of a day order rests, of an
immediate one is canceled. Unless somebody sets its phase an instrument trades without end, so a day order
rests until it is canceled.

Always holds: cum + leaves = qty for what is open; every report has an ExecID of its own, counted up, never
used again; the number of open orders is bounded; a request's id is used once.
Must not do: FIX, files, clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.records import OrdStatus, Side
from fix.simulator import checks
from fix.simulator.floor import Floor
from fix.simulator.market import Liquidity, Print
from fix.simulator.matching import keeps_place
from fix.simulator.orders import (
    Answer,
    CancelReject,
    CancelRequest,
    Instrument,
    MassCancelReport,
    MassCancelRequest,
    MassQuestion,
    NewOrder,
    Order,
    OrderQuestion,
    ReplaceRequest,
    Report,
    Standing,
    StatusReport,
)
from fix.simulator.registry import Registry
from fix.simulator.reporting import Reporter
from fix.simulator.trades import Trades
from fix.simulator.words import IMMEDIATE, ExecType, Phase
from fix.tags import CxlRejReason, OrdRejReason

UNKNOWN: Final = "NONE"  # OrderID (37) of an order that is not known, as FIX 4.4 has it for OrderCancelReject
# MassCancelRejectReason (532).
UNKNOWN_SECURITY: Final = 1
OTHER: Final = 99
# Orders that one request cancels: their reports go into the store in one append, which is bounded.
MASS_CANCEL_MAX: Final = 8_192
# The same for orders that one request asks about.
MASS_STATUS_MAX: Final = 8_192


class Exchange:
    """`instruments` by symbol; `next_number` is the first that no OrderID or ExecID has used yet."""

    def __init__(
        self, instruments: dict[str, Instrument], liquidity: Liquidity, next_number: int = 1
    ) -> None:
        self._instruments = instruments
        self._liquidity = liquidity
        self.registry = Registry(next_number)
        self._reporter = Reporter(self.registry, liquidity)
        self.trades = Trades(self._reporter)
        self.floor = Floor(instruments, liquidity, self.registry, self._reporter, self.trades)

    @property
    def next_number(self) -> int:
        return self.registry.next_number

    # --- what is asked --------------------------------------------------------------------------------

    def is_known(self, owner: str, cl_ord_id: str) -> bool:
        """Whether this id has been used by a request of this owner."""
        return self.registry.is_known(owner, cl_ord_id)

    def new_order(self, request: NewOrder, now_ns: int, first_seq: int = 0) -> list[Answer]:
        """The reports of a new order: rejected, or new and what it traded at once. `first_seq`: see Order."""
        refusal = self._objection(request)
        if refusal is not None:
            return self.reject(request, refusal.reason, refusal.text, now_ns)
        order = self._order(request)
        order.first_seq = first_seq
        self.registry.add(order)
        report = self._reporter.report(order, ExecType.NEW, now_ns)
        order.arrival, order.place = report.number, report.recording_index
        return [report, *self.floor.enter(order, now_ns)]

    def reject(self, request: NewOrder, reason: int, text: str, now_ns: int) -> list[Answer]:
        """The report of an order that is not taken. `reason`: OrdRejReason (103)."""
        self.registry.remember(request.owner, request.cl_ord_id, None)
        order = self._order(request)
        order.status = OrdStatus.REJECTED
        is_listed = request.symbol in self._instruments
        return [
            self._reporter.report(
                order, ExecType.REJECTED, now_ns, reject_reason=reason, text=text, is_listed=is_listed
            )
        ]

    def cancel(self, request: CancelRequest, now_ns: int) -> list[Answer]:
        order, refusal = self._target(request, now_ns, is_replace=False)
        if refusal is not None:
            return [refusal]
        assert order is not None
        self.registry.remember(request.owner, request.cl_ord_id, None)
        return [self.floor.end(order, ExecType.CANCELED, now_ns, cl_ord_id=request.cl_ord_id)]

    def replace(self, request: ReplaceRequest, now_ns: int) -> list[Answer]:
        """Changes an open order. At the same limit and with no more quantity it keeps its place."""
        wanted = request.order
        names = CancelRequest(wanted.owner, wanted.cl_ord_id, request.orig_cl_ord_id)
        order, refusal = self._target(names, now_ns, is_replace=True)
        if refusal is not None:
            return [refusal]
        assert order is not None
        text = self._replace_objection(order, wanted)
        self.registry.remember(wanted.owner, wanted.cl_ord_id, None if text else order)
        if text:
            return [_cancel_reject(names, order, CxlRejReason.OTHER, text, now_ns, is_replace=True)]
        book = self.floor.books[order.symbol]
        keeps = change(order, wanted, book.discard)
        report = self._reporter.report(
            order, ExecType.REPLACED, now_ns, orig_cl_ord_id=request.orig_cl_ord_id
        )
        if keeps:
            book.put(order)
            return [report]
        order.arrival, order.place = report.number, report.recording_index
        return [report, *self.floor.enter(order, now_ns)]

    def reject_replace(self, request: NewOrder, orig: str, text: str, now_ns: int) -> list[Answer]:
        """The answer to a replace that can be read but not taken."""
        names = CancelRequest(request.owner, request.cl_ord_id, orig)
        order, refusal = self._target(names, now_ns, is_replace=True)
        if refusal is None:
            self.registry.remember(request.owner, request.cl_ord_id, None)
            refusal = _cancel_reject(names, order, CxlRejReason.OTHER, text, now_ns, is_replace=True)
        return [refusal]

    def mass_cancel(self, request: MassCancelRequest, now_ns: int) -> list[Answer]:
        """Ends a member's open orders, all or those in one instrument."""
        owner, cl_ord_id, symbol = request
        order_id = self.registry.number("S")
        reason, text, found = -1, "", []
        if self.is_known(owner, cl_ord_id):
            reason, text = OTHER, f"ClOrdID {cl_ord_id} was used before; give each request its own"
        elif symbol and symbol not in self._instruments:
            reason, text = UNKNOWN_SECURITY, f"symbol {symbol} is not traded here"
        else:
            found = [o for o in self.registry.open_orders(owner) if symbol in ("", o.symbol)]
        if len(found) > MASS_CANCEL_MAX:
            text = f"{len(found) - MASS_CANCEL_MAX} more are open; ask again with another ClOrdID"
        self.registry.remember(owner, cl_ord_id, None)
        ended = [
            self.floor.end(order, ExecType.CANCELED, now_ns, cl_ord_id=cl_ord_id)
            for order in found[:MASS_CANCEL_MAX]
        ]
        report = MassCancelReport(owner, order_id, cl_ord_id, symbol, len(ended), reason, text, now_ns)
        return [report, *ended]

    def standing(self, question: OrderQuestion, now_ns: int) -> Standing:
        """How an order stands, also one that has ended and is still known."""
        order = self.registry.find(question.owner, question.cl_ord_id)
        owner, name, symbol, side = question
        return Standing(owner, name, symbol, side, order, now_ns)

    def standings(self, question: MassQuestion, now_ns: int) -> list[Standing] | None:
        """How each open order of a member stands, the oldest first; None where they are too many for one answer."""
        owner, request_id, symbol = question
        found = [o for o in self.registry.open_orders(owner) if symbol in ("", o.symbol)]
        if len(found) > MASS_STATUS_MAX:
            return None
        told = [
            Standing(owner, o.cl_ord_id, o.symbol, o.side, o, now_ns, request_id, len(found), o is found[-1])
            for o in found
        ]
        return told or [Standing(owner, "", "", Side.BUY, None, now_ns, request_id, 0, True)]

    def fill_after_cancel(self, canceled: Report, qty_e8: int, now_ns: int) -> list[Answer]:
        """A trade with the market outside that happened before a cancel and is told after it, at the order's
        limit. Nothing when the order is forgotten."""
        order = self.registry.find(canceled.owner, canceled.orig_cl_ord_id or canceled.cl_ord_id)
        if order is None or order.is_open or order.order_id != canceled.order_id:
            return []
        assert 0 < qty_e8 <= order.leaves_qty_e8
        order.trade(order.price_e8, qty_e8)
        report = self._reporter.report(order, ExecType.TRADE, now_ns)
        report = report._replace(last_qty_e8=qty_e8, last_px_e8=order.price_e8)
        self.trades.remember(order, report)
        return [report]

    def expire(self, order: Order, now_ns: int, text: str) -> Answer:
        """Ends an open order that its owner did not cancel."""
        return self.floor.end(order, ExecType.EXPIRED, now_ns, text=text)

    def open_orders(self, owner: str) -> list[Order]:
        """The oldest first."""
        return self.registry.open_orders(owner)

    def oldest(self, owner: str) -> Order | None:
        return self.registry.oldest(owner)

    # --- what the market does -------------------------------------------------------------------------

    def moved(self, symbol: str, now_ns: int) -> list[Answer]:
        """The market of an instrument shows something new: resting orders that meet it now trade."""
        return self.floor.moved(symbol, now_ns) if symbol in self._instruments else []

    def printed(self, trade: Print, now_ns: int) -> list[Answer]:
        """A trade in the market, which orders resting at its price or better may claim."""
        return self.floor.printed(trade, now_ns) if trade.symbol in self._instruments else []

    def traded(self, symbol: str, price_e8: int, now_ns: int) -> list[Answer]:
        """After a trade in the market, whoever's, once its event is whole: the last price, which stop orders
        wait for."""
        book = self.floor.books.get(symbol)
        if book is None:
            return []
        book.last_e8 = price_e8
        return self.floor.trigger(book, now_ns)

    def queue_anew(self, symbol: str) -> None:
        """The recording began again: our resting orders stand behind everything that is in the book now."""
        place = self._liquidity.place(symbol)
        for order in self.floor.books[symbol].orders():
            order.place = place

    # --- what the market's operator does --------------------------------------------------------------

    def set_phase(self, symbol: str, phase: Phase, now_ns: int) -> list[Answer]:
        """Raises KeyError for a symbol that is not traded here."""
        return self.floor.set_phase(self.floor.books[symbol], phase, now_ns)

    def status(self, owner: str, request_id: str, symbol: str, now_ns: int) -> StatusReport | None:
        """What phase an instrument is in; None when it is not traded here."""
        book = self.floor.books.get(symbol)
        if book is None:
            return None
        return StatusReport(owner, request_id, symbol, book.phase, book.last_e8, "", now_ns)

    def phase_told(self, report: StatusReport, seq: int) -> None:
        """The operator has been told a phase by this message."""
        book = self.floor.books[report.symbol]
        book.phase_seq = seq if book.phase is not Phase.CONTINUOUS else 0

    def phases(self) -> list[tuple[str, int]]:
        """(symbol, MsgSeqNum that told it) of each instrument that is not in its usual phase."""
        return [(b.symbol, b.phase_seq) for b in self.floor.books.values() if b.phase_seq]

    # --- inside ---------------------------------------------------------------------------------------

    def _order(self, request: NewOrder) -> Order:
        return Order(
            request.owner, request.cl_ord_id, self.registry.number("S"), request.symbol, request.side,
            request.tif, request.qty_e8, request.price_e8, request.ord_type, request.stop_px_e8,
        )  # fmt: skip

    def _objection(self, request: NewOrder) -> checks.Refusal | None:
        if self.is_known(request.owner, request.cl_ord_id):
            text = f"ClOrdID {request.cl_ord_id} was used before; give each order its own"
            return checks.Refusal(OrdRejReason.DUPLICATE_ORDER, text)
        wrong = checks.shape(request, self._instruments.get(request.symbol))
        if wrong is None:
            wrong = checks.phase(request, self.floor.books[request.symbol].phase)
        if wrong is None and self.registry.is_full:
            text = f"{self.registry.capacity} orders are open here; cancel some"
            return checks.Refusal(OrdRejReason.ORDER_EXCEEDS_LIMIT, text)
        return wrong

    def _replace_objection(self, order: Order, wanted: NewOrder) -> str:
        """Why an open order can't become what is wanted; "" when it can."""
        for name, old, new in (
            ("Symbol (55)", order.symbol, wanted.symbol),
            ("Side (54)", order.side.name, wanted.side.name),
            ("OrdType (40)", order.ord_type.name, wanted.ord_type.name),
        ):
            if old != new:
                return f"{name} is {old} and can't be changed; cancel the order and send another"
        if wanted.qty_e8 <= order.cum_qty_e8:
            return "OrderQty (38) is not more than what has traded; cancel the order instead"
        if wanted.tif in IMMEDIATE:
            return "TimeInForce (59) of a resting order is 0 (day) or 1 (good till cancel)"
        wrong = checks.shape(wanted, self._instruments[order.symbol])
        if wrong is None:
            wrong = checks.phase(wanted, self.floor.books[order.symbol].phase)
        return wrong.text if wrong is not None else ""

    def _target(
        self, request: CancelRequest, now_ns: int, *, is_replace: bool
    ) -> tuple[Order | None, CancelReject | None]:
        """The open order that a request is about, or why there is none."""
        name = request.orig_cl_ord_id
        if self.is_known(request.owner, request.cl_ord_id):
            text = f"ClOrdID {request.cl_ord_id} was used before; give each request its own"
            reason = CxlRejReason.DUPLICATE_CL_ORD_ID
            return None, _cancel_reject(request, None, reason, text, now_ns, is_replace=is_replace)
        order = self.registry.find(request.owner, name)
        if order is None:
            reason, text = CxlRejReason.UNKNOWN_ORDER, f"order {name} is not known here"
        elif not order.is_open:
            reason = CxlRejReason.TOO_LATE_TO_CANCEL
            text = f"order {name} is already {order.status.name.lower()}"
        else:
            return order, None
        self.registry.remember(request.owner, request.cl_ord_id, None)
        return None, _cancel_reject(request, order, reason, text, now_ns, is_replace=is_replace)


def change(order: Order, wanted: NewOrder, take_out: Callable[[Order], None]) -> bool:
    """Makes `order`, which `take_out` takes out of its queue, what is wanted. Whether it keeps its place
    there. A stop order whose stop is another is in its queue by that, so by the same rule."""
    keeps = keeps_place(order, wanted.qty_e8, wanted.price_e8) and wanted.stop_px_e8 == order.stop_px_e8
    take_out(order)
    order.cl_ord_id, order.qty_e8 = wanted.cl_ord_id, wanted.qty_e8
    order.price_e8, order.stop_px_e8, order.tif = wanted.price_e8, wanted.stop_px_e8, wanted.tif
    if order.cum_qty_e8:
        order.status = OrdStatus.PARTIALLY_FILLED
    return keeps


def _cancel_reject(
    request: CancelRequest,
    order: Order | None,
    reason: int,
    text: str,
    now_ns: int,
    *,
    is_replace: bool,
) -> CancelReject:
    return CancelReject(
        owner=request.owner,
        order_id=order.order_id if order else UNKNOWN,
        cl_ord_id=request.cl_ord_id,
        orig_cl_ord_id=request.orig_cl_ord_id,
        status=order.status if order else OrdStatus.REJECTED,
        reason=reason,
        text=text,
        time_ns=now_ns,
        is_replace=is_replace,
    )
