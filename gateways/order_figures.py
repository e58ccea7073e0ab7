"""Figures of a report that its event does not have, but follow from it: what is still open, and the average price.

Must not do: know a protocol.
"""

from __future__ import annotations

from typing import Final

from core import units
from core.events import Event
from core.records import OrdStatus

ENDED: Final = frozenset((OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED))


def leaves_qty_e8(event: Event) -> int:
    return 0 if event.ord_status in ENDED else max(event.qty_e8 - event.cum_qty_e8, 0)


def average_price_e8(event: Event) -> int:
    """cum_notional / cum_qty, half up: e6 / e8 gives e-2, so ten more zeros make it e8. 0 before the first fill."""
    if event.cum_qty_e8 == 0:
        return 0
    doubled = 2 * event.cum_notional_e6 * units.NOTIONAL_DIVISOR + event.cum_qty_e8
    return doubled // (2 * event.cum_qty_e8)
