"""Cancel-on-disconnect: which accounts' sessions have dropped, since when, and the cancels of what they left open.

Always holds here: a session that is back within its grace keeps its orders. Cancels go through the cancel lane
and wait for room in it; an order that is still on its way to the shard is waited for, so none slips through.
A cancel's request_id is a function of its order, so what a restart asks again is the same cancel.
Must not do: know a socket; the door (`gateways/fix_door.py`, `gateways/binary/door.py`) calls, several times a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.view import StateView
from core import commands
from core.order_states import TERMINAL
from core.records import OrdStatus, Source
from shared_mem.ring import Ring

# How far back an account's orders are read at first; more when that does not show all that are open.
_SCAN: Final = 500
_SCAN_GROWTH: Final = 8
_NOT_TO_CANCEL: Final = TERMINAL | {OrdStatus.PENDING_CANCEL}


class DroppedSessions:
    """Accounts whose session is gone, and when their grace ends. Now is an argument."""

    def __init__(
        self,
        view: StateView,
        cancels: Ring,
        request_id: Callable[[int, int], int],
        source: Source = Source.FIX_CLIENT,
    ) -> None:
        """`source`: of the door whose orders these are."""
        self._source = source
        self._view = view
        self._cancels = cancels
        self._request_id = request_id  # of (account, order_id)
        self._ends: dict[int, int] = {}

    def dropped(self, account: int, grace_ns: int, now_ns: int) -> None:
        self._ends[account] = now_ns + grace_ns

    def back(self, account: int) -> None:
        self._ends.pop(account, None)

    def due(self, now_ns: int) -> list[int]:
        return [account for account, end_ns in self._ends.items() if end_ns <= now_ns]

    def cancel_all(self, account: int) -> int | None:
        """Asks the shard to cancel every open order that came by its door: how many it asked for; None when the lane
        is full, then call again. Raises StateBusy."""
        asked = 0
        for order_id in self._open(account):
            command = commands.cancel(
                source=self._source,
                request_id=self._request_id(account, order_id),
                account=account,
                order_id=order_id,
            )
            if not self._cancels.try_push(command):
                return None
            asked += 1
        del self._ends[account]
        return asked

    def _open(self, account: int) -> list[int]:
        owner = self._view.account(account)
        expected, scan = 0 if owner is None else owner.open_orders, _SCAN
        while True:
            orders = self._view.orders(account, limit=scan)
            is_open = [order for order in orders if order.ord_status not in TERMINAL]
            if len(is_open) >= expected or len(orders) < scan:
                break
            scan *= _SCAN_GROWTH
        return [
            order.order_id
            for order in is_open
            if order.source == self._source and order.ord_status not in _NOT_TO_CANCEL
        ]
