"""What a FIX client hears when nobody knows how an order of its stands at the venue, and when that is known again.

The report is an order status (150=I) that nobody asked for: OrdStatus, quantities and price as the desk last knew them,
for that is all there is to say, and in Text (58) why. Nothing is released by it, and nothing was sent again.

Always holds: each doubt is told once, however many answers and silences make it, and its end once. Where a report of
another kind ends it (a fill, a cancel), that report is the end.
"""

from __future__ import annotations

from typing import Final

from core import events
from core.events import Event
from core.records import ExecType, Fate, Source
from core.rejects import Reject

# Orders of one session in doubt at once of which the end is told too: 9 bytes each in the session's state. Of more the
# doubt is told, perhaps again, and their next report ends it.
DOUBTS_MAX: Final = 500
KNOWN_AGAIN: Final = "fate: the venue says again how the order stands; this is it"
_DOUBTS: Final = frozenset((Reject.VENUE_KNOWS_NOT, Reject.VENUE_SILENT, Reject.VENUE_TELLS_LESS))


def is_of_unknown_fate(event: Event) -> bool:
    return event.state == Fate.UNKNOWN and event.reject_code in _DOUBTS


def text_of(doubts: list[int], event: Event) -> str | None:
    """What the report of this ORDER_STATUS says; None: there is none. doubts: the session's orders in doubt, which are
    kept here."""
    if event.exec_type != ExecType.ORDER_STATUS or event.source != Source.FIX_CLIENT:
        return None  # a question to the venue is a timer's or the venue's
    if is_of_unknown_fate(event):
        if event.order_id in doubts:
            return None
        if len(doubts) < DOUBTS_MAX:
            doubts.append(event.order_id)
        return events.reject_message(event.reject_code, event.limit_value, event.observed_value)
    return KNOWN_AGAIN if event.reject_code == Reject.NONE and _ends(doubts, event) else None


def told(doubts: list[int], event: Event) -> None:
    """A report of another kind went out about the order."""
    _ends(doubts, event)


def _ends(doubts: list[int], event: Event) -> bool:
    if event.state == Fate.UNKNOWN or event.order_id not in doubts:
        return False
    doubts.remove(event.order_id)
    return True
