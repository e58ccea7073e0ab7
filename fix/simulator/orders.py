"""What the exchange is asked, what it keeps of an order, and what it reports. Plain data; quantities and
prices are e8 integers, times ns.

Always holds: qty = cum + leaves for an order that is open; a report carries the whole state of its order, so
that the reports alone, in the order in which they were sent, make the exchange's orders again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from core.records import ExecType, OrdStatus, Side, TimeInForce


class Instrument(NamedTuple):
    tick_e8: int
    lot_e8: int


class NewOrder(NamedTuple):
    owner: str  # the session it came from, by its CompID
    cl_ord_id: str
    symbol: str
    side: Side
    tif: TimeInForce
    qty_e8: int
    price_e8: int


class CancelRequest(NamedTuple):
    owner: str
    cl_ord_id: str
    orig_cl_ord_id: str


@dataclass(slots=True)
class Order:
    """An order at the exchange. `place`: the recording index up to which recorded orders stand before it.
    `first_seq`: MsgSeqNum of its first report, from which on the reports tell all about it. `arrival`: counts
    the orders that came to rest; 0 for one that does not."""

    owner: str
    cl_ord_id: str
    order_id: str
    symbol: str
    side: Side
    tif: TimeInForce
    qty_e8: int
    price_e8: int
    place: int = 0
    arrival: int = 0
    first_seq: int = 0
    cum_qty_e8: int = 0
    cum_notional_e16: int = 0
    status: OrdStatus = OrdStatus.NEW

    @property
    def leaves_qty_e8(self) -> int:
        return self.qty_e8 - self.cum_qty_e8

    @property
    def is_open(self) -> bool:
        return self.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED)

    @property
    def avg_px_e8(self) -> int:
        """Rounded half up; for people (AvgPx, 6)."""
        if self.cum_qty_e8 == 0:
            return 0
        return (2 * self.cum_notional_e16 + self.cum_qty_e8) // (2 * self.cum_qty_e8)


class Report(NamedTuple):
    """An ExecutionReport. `cl_ord_id` is that of the request it answers, else the order's; `orig_cl_ord_id`
    is set when that request was a cancel. `recorded_order_id` 0: the market is only quotes, or nothing was
    traded."""

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


Answer = Report | CancelReject
