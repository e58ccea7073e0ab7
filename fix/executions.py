"""An execution as one side tells it, the log or a venue's drop copy; and a difference between the two."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from core.records import BreakKind


class Execution(msgspec.Struct, array_like=True, frozen=True):
    """One execution as one side tells it: a trade (ExecType F), its correction (G) or its cancel (H).

    `order_id` 0: of no order of ours. `account` and `instrument`, as the shard numbers them, are known to the log
    only; 0 in a copy. Quantities and prices e8, time ns.
    """

    exec_id: str
    order_id: int
    exec_type: int
    side: int
    symbol: str
    last_qty_e8: int
    last_px_e8: int
    cum_qty_e8: int
    transact_time_ns: int
    account: int = 0
    instrument: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.exec_id, self.order_id

    @property
    def place(self) -> tuple[int, int, int]:
        """What names it without its ExecID: an order comes to each CumQty once by a trade."""
        return self.order_id, self.exec_type, self.cum_qty_e8


class Break(NamedTuple):
    """The execution is the log's where the log has it, else the copy's. ours, venues: see core.records.BREAK."""

    kind: BreakKind
    execution: Execution
    ours: int
    venues: int
