"""Faults on the simulator's drop copy, for tests of whoever reconciles it. Off unless asked for.

Always holds: each fault asked for happens once in the life of a process, to every FAULT_EVERY-th trade in turn; what
was made up or changed says so in its Text (58). The members' own sessions, and the exchange, are as they should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.records import Side
from core.units import PRICE_SCALE, QTY_SCALE
from fix.simulator.orders import Report
from fix.simulator.words import ExecType, Fault

# So that a test of some dozens of trades sees several, with good ones between them.
FAULT_EVERY: Final = 5

# One that a member's own request never has.
STRANGER: Final = "STRANGER-1"


class CopyFaults:
    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = list(faults)
        self._trades = 0

    def told(self, report: Report) -> list[Report]:
        """What the copy tells instead of this report."""
        if report.exec_type is not ExecType.TRADE:
            return [report]
        self._trades += 1
        if not self._faults or self._trades % FAULT_EVERY:
            return [report]
        return self._wrong(self._faults.pop(0), report)

    def _wrong(self, fault: Fault, report: Report) -> list[Report]:
        if fault is Fault.MISSING:
            return []
        wrong = report._replace(text=f"simulated fault: {fault}")
        invented = wrong._replace(exec_id=f"{report.exec_id}-simulated", cum_qty_e8=report.cum_qty_e8 + 1)
        match fault:
            case Fault.INVENTED:
                return [report, invented]
            case Fault.STRANGER:
                return [report, invented._replace(cl_ord_id=STRANGER, orig_cl_ord_id="")]
            case Fault.ORDER:
                return [wrong._replace(cl_ord_id=STRANGER, orig_cl_ord_id="")]
            case Fault.SIDE:
                return [wrong._replace(side=Side.SELL if report.side is Side.BUY else Side.BUY)]
            case Fault.SYMBOL:
                return [wrong._replace(symbol=f"{report.symbol}.X")]
            case Fault.QUANTITY:
                return [wrong._replace(last_qty_e8=report.last_qty_e8 + QTY_SCALE)]
            case Fault.PRICE:
                return [wrong._replace(last_px_e8=report.last_px_e8 + PRICE_SCALE // 100)]
