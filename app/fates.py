"""What `tradewind status` says of orders whose fate at the venue is unknown.

Must not do: change anything, or fail where no shard runs.
"""

from __future__ import annotations

from actors.fates import orders_of_unknown_fate
from actors.view import StateBusy, StateView
from app.config import Config
from core import units
from shared_mem.segment import SegmentError


def unknown_fates(config: Config) -> list[str]:
    """A line for each order; none where no shard runs."""
    try:
        view = StateView.attach(config.run_dir)
        orders = orders_of_unknown_fate(view)
        lines = []
        for order in orders:
            account, instrument = view.account(order.account), view.instrument(order.instrument)
            whose = account.text if account is not None else "?"
            what = instrument.symbol if instrument is not None else "?"
            filled, qty = units.qty_text(order.cum_qty_e8), units.qty_text(order.qty_e8)
            lines.append(f"order {order.order_id} of {whose}: {filled} of {qty} {what} known to be filled")
        return lines
    except (SegmentError, StateBusy):
        return []
