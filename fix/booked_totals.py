"""Fills that our log has without an ExecID, beside what a venue's drop copy tells of them.

A fill whose report never came is booked by the venue's total (`actors/status.py`), or by a person's word
(`actors/resolve.py`): one fill here may be several there. It stands for a stretch of its order's CumQty (14), and the
copies that tell that stretch, in any order, are the same money when their quantities fill it and their amounts add up
to its own.

Always holds: a copy is counted in one stretch at most, and a stretch leaves by its last copy or as missing.
Must not do: know the time, or how long is long enough (`fix/reconciler.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.records import BreakKind, ExecType
from core.units import notional_e6
from fix.executions import Break, Execution

# What half of the last place of the venue's average (10**-8) is of a quantity e8, in money e6: 1 / this.
_ROUNDING_DIVISOR = 2 * 10**10


@dataclass(slots=True)
class _Stretch:
    since_ns: int
    execution: Execution  # as it was booked: its quantity ends at its CumQty
    left_e8: int  # what no copy has told yet
    told_e6: int  # what the copies' quantities times their prices come to
    copies: int

    def holds(self, copy: Execution) -> bool:
        ours = self.execution
        begins = ours.cum_qty_e8 - ours.last_qty_e8 <= copy.cum_qty_e8 - copy.last_qty_e8
        fits = begins and copy.cum_qty_e8 <= ours.cum_qty_e8 and 0 < copy.last_qty_e8 <= self.left_e8
        return fits and (copy.side, copy.symbol) == (ours.side, ours.symbol)


# What a snapshot has of one: since when, the execution, what is left of it, what was told, by how many copies.
Kept = tuple[int, Execution, int, int, int]


class BookedTotals:
    """The stretches that are not told whole yet, of all orders; oldest first."""

    def __init__(self) -> None:
        self._stretches: list[_Stretch] = []

    def __len__(self) -> int:
        return len(self._stretches)

    def add(self, execution: Execution, since_ns: int) -> None:
        self._stretches.append(_Stretch(since_ns, execution, execution.last_qty_e8, 0, 0))

    def tells(self, copy: Execution) -> tuple[bool, Break | None]:
        """Whether the copy tells a part of one; and the break, when it was the last part and the money differs."""
        if copy.exec_type != ExecType.TRADE:
            return False, None
        for stretch in self._stretches:
            if stretch.execution.order_id == copy.order_id and stretch.holds(copy):
                stretch.left_e8 -= copy.last_qty_e8
                stretch.told_e6 += notional_e6(copy.last_qty_e8, copy.last_px_e8)
                stretch.copies += 1
                return True, self._whole(stretch, copy) if stretch.left_e8 == 0 else None
        return False, None

    def missing(self, to_ns: int) -> Iterator[Break]:
        """Those that have waited since this time or longer: the venue does not tell them."""
        for stretch in [each for each in self._stretches if each.since_ns <= to_ns]:
            self._stretches.remove(stretch)
            yield Break(BreakKind.MISSING_AT_VENUE, stretch.execution, stretch.left_e8, 0)

    def drop(self, order_id: int) -> None:
        """The oldest of this order is settled: a break about it stands in the log."""
        for stretch in self._stretches:
            if stretch.execution.order_id == order_id:
                self._stretches.remove(stretch)
                return

    def kept(self) -> list[Kept]:
        return [(s.since_ns, s.execution, s.left_e8, s.told_e6, s.copies) for s in self._stretches]

    def restore(self, kept: list[Kept]) -> None:
        self._stretches = [_Stretch(*each) for each in kept]

    def _whole(self, stretch: _Stretch, copy: Execution) -> Break | None:
        self._stretches.remove(stretch)
        ours = stretch.execution
        booked_e6 = notional_e6(ours.last_qty_e8, ours.last_px_e8)
        # The venue's average and our price of the rest are rounded, and each copy's amount is.
        rounding_e6 = (ours.cum_qty_e8 + ours.last_qty_e8) // _ROUNDING_DIVISOR + stretch.copies + 2
        if abs(booked_e6 - stretch.told_e6) <= rounding_e6:
            return None
        return Break(BreakKind.PRICE, ours, ours.last_px_e8, copy.last_px_e8)
