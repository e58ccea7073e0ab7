"""What the doors that report orders have in common: which events are told at all, and the names in them.

Must not do: know a client, or a session.
"""

from __future__ import annotations

from actors.view import StateView
from core.events import Event
from core.records import ExecType, Source
from core.rejects import Reject
from gateways.fix_wire import NO_ID


def changed_nothing(event: Event) -> bool:
    """A report or timer that was recorded and not applied, or a question to the venue: no client is told of it."""
    if event.exec_type == ExecType.ORDER_STATUS:
        return True
    refused = event.exec_type != ExecType.REJECTED and event.reject_code != Reject.NONE
    return refused or event.reject_code == Reject.REPORT_UNEXPECTED


def is_echo(view: StateView, event: Event) -> bool:
    """The duplicate of an order by itself: the client FIX door pushed it twice, because it was killed in between."""
    if event.reject_code != Reject.DUPLICATE_CLIENT_ORDER_ID or event.source != Source.FIX_CLIENT:
        return False
    original = view.order(event.order_id)
    return original is not None and (original.source, original.request_id) == (
        Source.FIX_CLIENT,
        event.request_id,
    )


def symbol_of(view: StateView, number: int) -> str:
    instrument = view.instrument(number)
    return NO_ID if instrument is None else instrument.symbol


def account_text_of(view: StateView, number: int) -> str:
    """The account's number as people know it."""
    account = view.account(number)
    return NO_ID if account is None else account.text
