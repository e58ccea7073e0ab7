"""Reports: an order's state in words, each with an ExecID of its own. Pure; time comes in."""

from __future__ import annotations

from core.records import OrdStatus
from fix.simulator.market import Fill, Liquidity
from fix.simulator.orders import Order, Report
from fix.simulator.registry import Registry
from fix.simulator.words import ExecType

# How the exchange ends an order, and what it is then.
_ENDS = {ExecType.CANCELED: OrdStatus.CANCELED, ExecType.EXPIRED: OrdStatus.EXPIRED}


class Reporter:
    def __init__(self, registry: Registry, liquidity: Liquidity) -> None:
        self._registry = registry
        self._liquidity = liquidity

    def report(
        self,
        order: Order,
        exec_type: ExecType,
        now_ns: int,
        *,
        cl_ord_id: str = "",
        orig_cl_ord_id: str = "",
        reject_reason: int = 0,
        text: str = "",
        is_listed: bool = True,
    ) -> Report:
        """What `order` is now. `is_listed` False: its instrument is not traded here."""
        return Report(
            owner=order.owner,
            order_id=order.order_id,
            exec_id=self._registry.number("E"),
            cl_ord_id=cl_ord_id or order.cl_ord_id,
            orig_cl_ord_id=orig_cl_ord_id,
            exec_type=exec_type,
            status=order.status,
            symbol=order.symbol,
            side=order.side,
            tif=order.tif,
            qty_e8=order.qty_e8,
            price_e8=order.price_e8,
            last_qty_e8=0,
            last_px_e8=0,
            cum_qty_e8=order.cum_qty_e8,
            leaves_qty_e8=order.leaves_qty_e8 if order.is_open else 0,
            avg_px_e8=order.avg_px_e8,
            recording_index=self._liquidity.place(order.symbol) if is_listed else 0,
            recorded_order_id=0,
            reject_reason=reject_reason,
            text=text,
            time_ns=now_ns,
            ord_type=order.ord_type,
            stop_px_e8=order.stop_px_e8,
        )

    def fill(self, order: Order, price_e8: int, qty_e8: int, now_ns: int, fill: Fill | None = None) -> Report:
        """Does a trade to an order, and tells it. Must be within its limit and its quantity."""
        assert order.is_open
        assert 0 < qty_e8 <= order.leaves_qty_e8
        assert order.keeps_limit(price_e8), f"{order.order_id} at {price_e8}, its limit is {order.limit_e8}"
        order.trade(price_e8, qty_e8)
        order.status = OrdStatus.PARTIALLY_FILLED if order.leaves_qty_e8 else OrdStatus.FILLED
        told = self.report(order, ExecType.TRADE, now_ns)._replace(last_qty_e8=qty_e8, last_px_e8=price_e8)
        if fill is None:
            return told
        return told._replace(recording_index=fill.recording_index, recorded_order_id=fill.recorded_order_id)

    def end(self, order: Order, how: ExecType, now_ns: int, *, cl_ord_id: str = "", text: str = "") -> Report:
        """Ends an open order: CANCELED or EXPIRED. `cl_ord_id`: of the request that asked for it."""
        assert order.is_open
        order.status = _ENDS[how]
        orig = order.cl_ord_id if cl_ord_id else ""
        return self.report(order, how, now_ns, cl_ord_id=cl_ord_id, orig_cl_ord_id=orig, text=text)
