"""Events of the log as OrderEvents.

Always holds: whether an event is told, and every field but the symbol, is a function of the event alone; a symbol
never changes its instrument. So what a session was sent under a seq is the same whenever, and by whichever process,
it is sent again.
"""

from __future__ import annotations

from typing import Final

from actors.view import StateView
from core.events import Event
from core.records import ExecType, Source
from core.rejects import Reject
from gateways.binary.layout import SYMBOL_BYTES, TOKEN_BYTES
from gateways.binary.messages import OrderEvent, encode
from gateways.fix_fates import is_of_unknown_fate
from gateways.order_events import changed_nothing
from gateways.order_figures import average_price_e8, leaves_qty_e8

_REFUSALS: Final = (ExecType.CANCEL_REJECT, ExecType.REPLACE_REJECT)
_QUESTIONS: Final = (Source.TIMER, Source.VENUE)


def is_told(event: Event) -> bool:
    """All but questions to the venue and what changed nothing. A rejected request is told, for it is an answer; that
    nobody knows how an order stands, as often as the log says it, and when it is known again."""
    if event.exec_type in _REFUSALS:
        return event.reject_code != Reject.REPORT_UNEXPECTED
    if event.exec_type == ExecType.ORDER_STATUS:
        known_again = event.reject_code == Reject.NONE and event.source not in _QUESTIONS
        return known_again or is_of_unknown_fate(event)
    return not changed_nothing(event)


class Reports:
    """`view`: for the symbols. Raises StateBusy while the shard restarts."""

    def __init__(self, view: StateView) -> None:
        self._view = view
        self._symbols: dict[int, str] = {}  # bounded by the instruments

    def report(self, event: Event) -> bytes | None:
        """None for an event that changed nothing: nobody is told of it."""
        if not is_told(event):
            return None
        return encode(
            OrderEvent(
                seq=event.seq,
                time_ns=event.time_ns,
                request_id=event.request_id,
                order_id=event.order_id,
                token=event.text[:TOKEN_BYTES],  # of another door's order it may be longer
                symbol=self._symbol(event.instrument),
                exec_type=event.exec_type,
                ord_status=event.ord_status,
                side=event.side,
                ord_type=event.ord_type,
                tif=event.tif,
                source=event.source,
                code=event.reject_code,
                qty_e8=event.qty_e8,
                price_e8=event.price_e8,
                cum_qty_e8=event.cum_qty_e8,
                leaves_qty_e8=leaves_qty_e8(event),
                last_qty_e8=event.last_qty_e8,
                last_px_e8=event.last_px_e8,
                avg_px_e8=average_price_e8(event),
                asked_qty_e8=event.asked_qty_e8,
                asked_price_e8=event.asked_price_e8,
                ref_seq=event.ref_seq,
                limit_value=event.limit_value,
                observed_value=event.observed_value,
            )
        )

    def _symbol(self, number: int) -> str:
        symbol = self._symbols.get(number)
        if symbol is None:
            instrument = self._view.instrument(number)
            if instrument is None:
                return ""
            symbol = self._symbols[number] = instrument.symbol[:SYMBOL_BYTES]
        return symbol
