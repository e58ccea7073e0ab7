"""What the exchange is asked, what it keeps of an order, and what it reports. Plain data; quantities and
prices are e8 integers, times ns.

Always holds: qty = cum + leaves for an order that is open; a report carries the whole state of its order, so
that the reports alone, in the order of their ExecIDs, make the exchange's orders again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.records import OrdStatus, Side
from core.units import PRICE_E8_MAX
from fix.simulator.words import IMMEDIATE, LIMITED, STOPS, ExecType, OrdType, Phase, TimeInForce


class Instrument(NamedTuple):
    tick_e8: int
    lot_e8: int


class NewOrder(NamedTuple):
    """`price_e8` 0: no limit; `stop_px_e8` 0: no stop."""

    owner: str  # the session it came from, by its CompID
    cl_ord_id: str
    symbol: str
    side: Side
    tif: TimeInForce
    qty_e8: int
    price_e8: int
    ord_type: OrdType = OrdType.LIMIT
    stop_px_e8: int = 0


class CancelRequest(NamedTuple):
    owner: str
    cl_ord_id: str
    orig_cl_ord_id: str


class ReplaceRequest(NamedTuple):
    """`order` is what the order shall be: its quantity counts what has traded already."""

    order: NewOrder
    orig_cl_ord_id: str


class MassCancelRequest(NamedTuple):
    """`symbol` "": orders in every instrument."""

    owner: str
    cl_ord_id: str
    symbol: str


class OrderQuestion(NamedTuple):
    """An OrderStatusRequest: `cl_ord_id` is any that the order goes or went by."""

    owner: str
    cl_ord_id: str
    symbol: str
    side: Side


class MassQuestion(NamedTuple):
    """An OrderMassStatusRequest: of all open orders, or of those in `symbol`."""

    owner: str
    request_id: str
    symbol: str


@dataclass(slots=True)
class Order:
    """An order at the exchange. `place`: the recording index up to which recorded orders stand before it.
    `first_seq`: MsgSeqNum of its first report, from which on the reports tell all about it. `arrival`: the
    number in the ExecID of the report that gave it its place in time."""

    owner: str
    cl_ord_id: str
    order_id: str
    symbol: str
    side: Side
    tif: TimeInForce
    qty_e8: int
    price_e8: int
    ord_type: OrdType = OrdType.LIMIT
    stop_px_e8: int = 0
    is_triggered: bool = False
    place: int = 0
    arrival: int = 0
    first_seq: int = 0
    cum_qty_e8: int = 0
    cum_notional_e16: int = 0
    status: OrdStatus = OrdStatus.NEW
    last_qty_e8: int = 0  # of its last trade
    last_px_e8: int = 0

    @property
    def leaves_qty_e8(self) -> int:
        return self.qty_e8 - self.cum_qty_e8

    @property
    def is_open(self) -> bool:
        return self.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)

    @property
    def waits(self) -> bool:
        """A stop order whose price has not been reached."""
        return self.ord_type in STOPS and not self.is_triggered

    @property
    def must_trade_now(self) -> bool:
        """What it does not get at once, in continuous trading, is canceled."""
        return self.tif in IMMEDIATE or self.ord_type not in LIMITED

    @property
    def limit_e8(self) -> int:
        """The worst price it takes: for an order without a limit, one that no other can be worse than."""
        if self.ord_type in LIMITED:
            return self.price_e8
        return PRICE_E8_MAX if self.side is Side.BUY else 0

    def keeps_limit(self, price_e8: int) -> bool:
        """Whether a trade at this price is no worse than the limit."""
        return price_e8 <= self.limit_e8 if self.side is Side.BUY else price_e8 >= self.limit_e8

    def trade(self, price_e8: int, qty_e8: int) -> None:
        """Counts a trade; a negative quantity takes one back."""
        self.cum_qty_e8 += qty_e8
        self.cum_notional_e16 += qty_e8 * price_e8
        if qty_e8:
            self.last_qty_e8, self.last_px_e8 = (qty_e8, price_e8) if qty_e8 > 0 else (0, 0)

    @property
    def avg_px_e8(self) -> int:
        """Rounded half up; for people (AvgPx, 6)."""
        if self.cum_qty_e8 == 0:
            return 0
        return (2 * self.cum_notional_e16 + self.cum_qty_e8) // (2 * self.cum_qty_e8)


class Report(NamedTuple):
    """An ExecutionReport. `cl_ord_id` is that of the request it answers, else the order's; `orig_cl_ord_id`
    is set when that request was a cancel or a replace. `recorded_order_id` 0: the market is only quotes, or
    nothing was traded with it.

    `contra_exec_id`: the other member's report of the same trade, "" when the trade was with the market.
    `exec_ref_id`: of a bust or correction, the ExecID it undoes; `was_qty_e8` and `was_px_e8` what that said.
    """

    owner: str
    order_id: str
    exec_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    exec_type: ExecType
    status: OrdStatus
    symbol: str
    side: Side
    tif: TimeInForce
    qty_e8: int
    price_e8: int
    last_qty_e8: int
    last_px_e8: int
    cum_qty_e8: int
    leaves_qty_e8: int
    avg_px_e8: int
    recording_index: int
    recorded_order_id: int
    reject_reason: int
    text: str
    time_ns: int
    ord_type: OrdType = OrdType.LIMIT
    stop_px_e8: int = 0
    contra_exec_id: str = ""
    exec_ref_id: str = ""
    was_qty_e8: int = 0
    was_px_e8: int = 0

    @property
    def number(self) -> int:
        """Counts all that the exchange has reported: what a smaller number tells happened before."""
        return int(self.exec_id[1:])


class CancelReject(NamedTuple):
    """An OrderCancelReject. `order_id` is "NONE" for an order that is not known."""

    owner: str
    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    status: OrdStatus
    reason: int
    text: str
    time_ns: int
    is_replace: bool = False


class Standing(NamedTuple):
    """An ExecutionReport that tells how an order stands (150=I), and is no event of it: no ExecID is used, and the
    exchange need not remember it. `order` None: it is not known, or, with `request_id`, none is open. `request_id`,
    `total`, `is_last`: of the answer to a MassQuestion."""

    owner: str
    cl_ord_id: str
    symbol: str
    side: Side
    order: Order | None
    time_ns: int
    request_id: str = ""
    total: int = 0
    is_last: bool = False


class MassCancelReport(NamedTuple):
    """An OrderMassCancelReport. `reason` -1: done; the canceled orders' own reports follow."""

    owner: str
    order_id: str
    cl_ord_id: str
    symbol: str
    affected: int
    reason: int
    text: str
    time_ns: int


class StatusReport(NamedTuple):
    """A SecurityStatus: the phase an instrument is in, and the last price, 0 for none."""

    owner: str
    request_id: str
    symbol: str
    phase: Phase
    last_px_e8: int
    text: str
    time_ns: int


class TradeAck(NamedTuple):
    """A TradeCaptureReportAck: what became of a bust or a correction. `text` "": done."""

    owner: str
    request_id: str
    exec_type: ExecType
    exec_id: str
    symbol: str
    text: str
    time_ns: int


Answer = Report | CancelReject | MassCancelReport | StatusReport | TradeAck | Standing
