"""The exchange: our orders against the market's liquidity, in price-time priority. Pure; time comes in.

Limit orders, day or immediate-or-cancel. What an order meets it takes at once, at the prices the market
shows; the rest of a day order rests and is tried again whenever the market has changed, the rest of an
immediate one is canceled. The market never closes, so a day order rests until it is canceled. Our orders
trade with the market only, never with each other: the recording would not have seen such a trade.

Always holds: no fill is at a worse price than the limit, or of more than the market gave; cum + leaves = qty;
every report has an ExecID of its own, counted up, never used again; the number of open orders is bounded.
Must not do: FIX, files, clocks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final

from core.records import ExecType, OrdStatus, Side, TimeInForce
from core.units import PRICE_E8_MAX, QTY_E8_MAX, price_text, qty_text
from fix.simulator.market import Fill, Liquidity, Print, is_within
from fix.simulator.orders import Answer, CancelReject, CancelRequest, Instrument, NewOrder, Order, Report
from fix.tags import CxlRejReason, OrdRejReason

# Fifty thousand resting orders are 20 MB here. A restart reads all reports since the oldest of them.
OPEN_ORDERS_MAX: Final = 50_000
# Ids of requests, kept to know one that comes twice: a day of a busy desk, some 40 MB.
KNOWN_IDS_MAX: Final = 100_000

UNKNOWN: Final = "NONE"  # OrderID (37) of an order that is not known, as FIX 4.4 has it for OrderCancelReject
DUPLICATE_CANCEL: Final = 6  # CxlRejReason (102): duplicate ClOrdID

_SIDES: Final = (Side.BUY, Side.SELL)
_NONE: Final[OrderedDict[str, Order]] = OrderedDict()


class Exchange:
    """`instruments` by symbol; `next_number` is the first that no OrderID or ExecID has used yet."""

    def __init__(
        self, instruments: dict[str, Instrument], liquidity: Liquidity, next_number: int = 1
    ) -> None:
        self._instruments = instruments
        self._liquidity = liquidity
        self.next_number = next_number
        self._open: dict[str, OrderedDict[str, Order]] = {}  # by owner, then by order id, the oldest first
        self._open_count = 0
        # Every request's id: the order it made or asked to cancel. Those whose order is over may be
        # forgotten.
        self._known: OrderedDict[tuple[str, str], Order | None] = OrderedDict()
        self._resting: dict[tuple[str, Side], list[tuple[int, int, Order]]] = {}
        self._arrivals = 0

    # --- what is asked --------------------------------------------------------------------------------

    def is_known(self, owner: str, cl_ord_id: str) -> bool:
        """Whether this id has been used by a request of this owner."""
        return (owner, cl_ord_id) in self._known

    def new_order(self, request: NewOrder, now_ns: int, first_seq: int = 0) -> list[Answer]:
        """The reports of a new order: rejected, or new and what it traded at once. `first_seq`: see Order."""
        reason, text = self._objection(request)
        if text:
            return self.reject(request, reason, text, now_ns)
        order = self._order(request, first_seq)
        order.place = self._liquidity.place(order.symbol)
        self._add(order)
        answers: list[Answer] = [self._report(order, ExecType.NEW, now_ns)]
        answers += self._match(order, now_ns, fresh=False)
        if not order.is_open:
            self._close(order)
        elif order.tif is TimeInForce.IOC:
            text = "immediate or cancel: the market had no more at the limit"
            answers.append(self._end(order, OrdStatus.CANCELED, now_ns, text=text))
        else:
            self._rest(order)
        return answers

    def reject(self, request: NewOrder, reason: int, text: str, now_ns: int) -> list[Answer]:
        """The report of an order that is not taken. `reason`: OrdRejReason (103)."""
        if not self.is_known(request.owner, request.cl_ord_id):
            self._remember(request.owner, request.cl_ord_id, None)
        order = self._order(request, 0)
        order.status = OrdStatus.REJECTED
        return [self._report(order, ExecType.REJECTED, now_ns, reject_reason=reason, text=text)]

    def cancel(self, request: CancelRequest, now_ns: int) -> list[Answer]:
        if self.is_known(request.owner, request.cl_ord_id):
            text = f"ClOrdID {request.cl_ord_id} was used before; give each request its own"
            return [_cancel_reject(request, None, DUPLICATE_CANCEL, text, now_ns)]
        order = self._known.get((request.owner, request.orig_cl_ord_id))
        self._remember(request.owner, request.cl_ord_id, order)
        if order is None:
            text = f"order {request.orig_cl_ord_id} is not known here"
            return [_cancel_reject(request, None, CxlRejReason.UNKNOWN_ORDER, text, now_ns)]
        if not order.is_open:
            text = f"order {request.orig_cl_ord_id} is already {order.status.name.lower()}"
            return [_cancel_reject(request, order, CxlRejReason.TOO_LATE_TO_CANCEL, text, now_ns)]
        return [self._end(order, OrdStatus.CANCELED, now_ns, cl_ord_id=request.cl_ord_id)]

    def expire(self, order: Order, now_ns: int, text: str) -> Report:
        """Ends an open order that its owner did not cancel."""
        return self._end(order, OrdStatus.EXPIRED, now_ns, text=text)

    def open_orders(self, owner: str) -> list[Order]:
        """The oldest first."""
        return list(self._open.get(owner, _NONE).values())

    def oldest(self, owner: str) -> Order | None:
        return next(iter(self._open.get(owner, _NONE).values()), None)

    # --- what the market does -------------------------------------------------------------------------

    def moved(self, symbol: str, now_ns: int) -> list[Answer]:
        """The market of an instrument shows something new: resting orders that meet it now trade."""
        if not self._liquidity.is_market(symbol):
            return []
        answers: list[Answer] = []
        for side in _SIDES:
            resting = self._resting.get((symbol, side))
            while resting and self._liquidity.crosses(symbol, side, resting[0][2].price_e8):
                order = resting[0][2]
                answers += self._match(order, now_ns, fresh=True)
                if order.is_open:
                    break  # it took all there was within its limit, and the others' limits are no better
                self._close(order)
        self._liquidity.looked(symbol)
        return answers

    def printed(self, trade: Print, now_ns: int) -> list[Answer]:
        """A trade in the market, which orders resting at its price or better may claim."""
        answers: list[Answer] = []
        reached = []
        for _, _, order in self._resting.get((trade.symbol, trade.side), ()):
            if not is_within(trade.side, trade.price_e8, order.price_e8):
                break
            reached.append(order)
        for order in reached:
            fill = trade.claim(order.price_e8, order.place, order.leaves_qty_e8)
            if fill is not None:
                answers.append(self._fill(order, fill, now_ns))
                if not order.is_open:
                    self._close(order)
        return answers

    def queue_anew(self, symbol: str) -> None:
        """The recording began again: our resting orders stand behind everything that is in the book now."""
        place = self._liquidity.place(symbol)
        for side in _SIDES:
            for _, _, order in self._resting.get((symbol, side), ()):
                order.place = place

    # --- after a restart ------------------------------------------------------------------------------

    def restore(self, report: Answer, seq: int) -> None:
        """Takes a report that was sent before, in the order of sending; `seq` is its MsgSeqNum."""
        if isinstance(report, CancelReject):
            if not self.is_known(report.owner, report.cl_ord_id):
                self._remember(report.owner, report.cl_ord_id, None)
            return
        for number in (report.order_id, report.exec_id):
            self.next_number = max(self.next_number, int(number[1:]) + 1)
        order = self._open.get(report.owner, _NONE).get(report.order_id)
        if report.exec_type is ExecType.NEW:
            order = self._restored(report, seq)
        if order is None:  # rejected, or of an order that is older than what is read
            if not self.is_known(report.owner, report.cl_ord_id):
                self._remember(report.owner, report.cl_ord_id, None)
            return
        if report.orig_cl_ord_id:
            self._remember(report.owner, report.cl_ord_id, order)
        order.cum_qty_e8 += report.last_qty_e8
        order.cum_notional_e16 += report.last_qty_e8 * report.last_px_e8
        order.status = report.status
        assert order.cum_qty_e8 == report.cum_qty_e8, (
            f"report {report.exec_id} tells another sum than those before"
        )
        if not order.is_open:
            self._close(order)

    def _restored(self, report: Report, seq: int) -> Order:
        order = Order(
            report.owner, report.cl_ord_id, report.order_id, report.symbol, report.side, report.tif,
            report.qty_e8, report.price_e8, place=report.recording_index, first_seq=seq,
        )  # fmt: skip
        self._add(order)
        self._rest(order)
        return order

    # --- inside ---------------------------------------------------------------------------------------

    def _number(self, letter: str) -> str:
        number = self.next_number
        self.next_number += 1
        return f"{letter}{number}"

    def _order(self, request: NewOrder, first_seq: int) -> Order:
        return Order(
            request.owner, request.cl_ord_id, self._number("S"), request.symbol, request.side, request.tif,
            request.qty_e8, request.price_e8, first_seq=first_seq,
        )  # fmt: skip

    def _objection(self, request: NewOrder) -> tuple[int, str]:
        """Why an order is not taken: OrdRejReason (103) and text; (0, "") when it is."""
        if self.is_known(request.owner, request.cl_ord_id):
            text = f"ClOrdID {request.cl_ord_id} was used before; give each order its own"
            return OrdRejReason.DUPLICATE_ORDER, text
        instrument = self._instruments.get(request.symbol)
        if instrument is None:
            return OrdRejReason.UNKNOWN_SYMBOL, f"symbol {request.symbol} is not traded here"
        if not 0 < request.qty_e8 <= QTY_E8_MAX or request.qty_e8 % instrument.lot_e8:
            text = f"OrderQty {qty_text(request.qty_e8)} is not a positive multiple of "
            return OrdRejReason.INCORRECT_QUANTITY, text + qty_text(instrument.lot_e8)
        if not 0 < request.price_e8 <= PRICE_E8_MAX or request.price_e8 % instrument.tick_e8:
            text = f"Price {price_text(request.price_e8)} is not a positive multiple of "
            return OrdRejReason.OTHER, text + price_text(instrument.tick_e8)
        if self._open_count >= OPEN_ORDERS_MAX:
            return OrdRejReason.ORDER_EXCEEDS_LIMIT, f"{OPEN_ORDERS_MAX} orders are open here; cancel some"
        return 0, ""

    def _add(self, order: Order) -> None:
        self._remember(order.owner, order.cl_ord_id, order)
        self._open.setdefault(order.owner, OrderedDict())[order.order_id] = order
        self._open_count += 1

    def _remember(self, owner: str, cl_ord_id: str, order: Order | None) -> None:
        self._known[owner, cl_ord_id] = order
        # Ids of open orders are kept, so two are looked at for each that comes: in the end the bound is
        # reached.
        for _ in range(2):
            if len(self._known) <= KNOWN_IDS_MAX:
                return
            key, oldest = self._known.popitem(last=False)
            if oldest is not None and oldest.is_open:
                self._known[key] = oldest

    def _rest(self, order: Order) -> None:
        self._arrivals += 1
        order.arrival = self._arrivals
        insort(self._resting.setdefault((order.symbol, order.side), []), (*_priority(order), order))

    def _close(self, order: Order) -> None:
        """An order is over: it leaves the open ones, and its queue when it rests."""
        del self._open[order.owner][order.order_id]
        self._open_count -= 1
        if order.arrival:
            resting = self._resting[order.symbol, order.side]
            at = bisect_left(resting, _priority(order))
            assert resting[at][2] is order
            del resting[at]

    def _match(self, order: Order, now_ns: int, *, fresh: bool) -> list[Answer]:
        if not self._liquidity.is_market(order.symbol):
            return []
        fills = self._liquidity.take(
            order.symbol, order.side, order.price_e8, order.leaves_qty_e8, fresh=fresh
        )
        return [self._fill(order, fill, now_ns) for fill in fills]

    def _fill(self, order: Order, fill: Fill, now_ns: int) -> Report:
        assert 0 < fill.qty_e8 <= order.leaves_qty_e8
        better = (
            fill.price_e8 <= order.price_e8 if order.side is Side.BUY else fill.price_e8 >= order.price_e8
        )
        assert better, f"fill of {order.order_id} at {fill.price_e8}, its limit is {order.price_e8}"
        order.cum_qty_e8 += fill.qty_e8
        order.cum_notional_e16 += fill.qty_e8 * fill.price_e8
        order.status = OrdStatus.PARTIALLY_FILLED if order.leaves_qty_e8 else OrdStatus.FILLED
        return self._report(order, ExecType.TRADE, now_ns, fill=fill)

    def _end(
        self, order: Order, status: OrdStatus, now_ns: int, *, cl_ord_id: str = "", text: str = ""
    ) -> Report:
        exec_type = ExecType.CANCELED if status is OrdStatus.CANCELED else ExecType.EXPIRED
        order.status = status
        self._close(order)
        return self._report(order, exec_type, now_ns, cl_ord_id=cl_ord_id, text=text)

    def _report(
        self,
        order: Order,
        exec_type: ExecType,
        now_ns: int,
        *,
        fill: Fill | None = None,
        cl_ord_id: str = "",
        reject_reason: int = 0,
        text: str = "",
    ) -> Report:
        index = fill.recording_index if fill else self._index(order.symbol)
        return Report(
            owner=order.owner,
            order_id=order.order_id,
            exec_id=self._number("E"),
            cl_ord_id=cl_ord_id or order.cl_ord_id,
            orig_cl_ord_id=order.cl_ord_id if cl_ord_id else "",
            exec_type=exec_type,
            status=order.status,
            symbol=order.symbol,
            side=order.side,
            tif=order.tif,
            qty_e8=order.qty_e8,
            price_e8=order.price_e8,
            last_qty_e8=fill.qty_e8 if fill else 0,
            last_px_e8=fill.price_e8 if fill else 0,
            cum_qty_e8=order.cum_qty_e8,
            leaves_qty_e8=order.leaves_qty_e8 if order.is_open else 0,
            avg_px_e8=order.avg_px_e8,
            recording_index=index,
            recorded_order_id=fill.recorded_order_id if fill else 0,
            reject_reason=reject_reason,
            text=text,
            time_ns=now_ns,
        )

    def _index(self, symbol: str) -> int:
        return self._liquidity.place(symbol) if symbol in self._instruments else 0


def _priority(order: Order) -> tuple[int, int]:
    """What resting orders of a side are sorted by: the better price, then the earlier arrival."""
    return (-order.price_e8 if order.side is Side.BUY else order.price_e8, order.arrival)


def _cancel_reject(
    request: CancelRequest, order: Order | None, reason: int, text: str, now_ns: int
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
    )
