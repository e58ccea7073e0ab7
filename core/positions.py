"""What a fill does to a position: quantity, cost and realised gain, exactly.

A position keeps its total cost, not an average: the average is cost / quantity, and needs no rounding here.
A sale takes the share of the cost that its quantity has in the position; the last unit takes all that is left,
so that an empty position has cost zero. cost + what sales took = what purchases paid, always.
"""

from __future__ import annotations

from core.money import share
from core.records import Side
from shared_mem.jit import jit

_BUY = int(Side.BUY)


@jit
def after_fill(
    side: int, qty_e8: int, notional_e6: int, held_e8: int, cost_e6: int, realized_e6: int
) -> tuple[int, int, int]:
    """(quantity, cost, realised) after `qty` for `notional`. A sale of more than is held (a venue's overfill)
    leaves a short position, whose cost is what the sale brought in, negative."""
    if side == _BUY:
        if held_e8 >= 0:
            return held_e8 + qty_e8, cost_e6 + notional_e6, realized_e6
        closed = min(qty_e8, -held_e8)
        paid = share(notional_e6, closed, qty_e8)
        brought = share(-cost_e6, closed, -held_e8)
        return held_e8 + qty_e8, cost_e6 + brought + notional_e6 - paid, realized_e6 + brought - paid
    if held_e8 <= 0:
        return held_e8 - qty_e8, cost_e6 - notional_e6, realized_e6
    closed = min(qty_e8, held_e8)
    brought = share(notional_e6, closed, qty_e8)
    paid = share(cost_e6, closed, held_e8)
    return held_e8 - qty_e8, cost_e6 - paid - (notional_e6 - brought), realized_e6 + brought - paid


@jit
def without_fill(
    moved_e8: int, moved_cost_e6: int, moved_realized_e6: int, held_e8: int, cost_e6: int, realized_e6: int
) -> tuple[int, int, int]:
    """(quantity, cost, realised) without a fill that moved these by so much: a bust.

    What the fill itself moved is taken back. Where nothing traded in between, all is as if it had not been. Where
    something did, quantity and cost - realised still are; a cost that can't stand with the quantity (of an empty
    position, or of the wrong sign) is then a gain or loss that has been made, and goes to realised."""
    held, cost, realized = held_e8 - moved_e8, cost_e6 - moved_cost_e6, realized_e6 - moved_realized_e6
    if held == 0 or (held > 0) != (cost > 0):
        return held, 0, realized - cost
    return held, cost, realized
