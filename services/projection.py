"""What a run of updates leaves in the tables: pure, updates in, rows out.

Every update carries the state after it, so that a row is made of the last update about it. Nothing is added
up here, and nothing can drift.
"""

from __future__ import annotations

from core.rejects import Reject
from services.schemas import (
    AccountUpdate,
    BreakUpdate,
    CashUpdate,
    GroupUpdate,
    InstrumentUpdate,
    OrderUpdate,
    QuarantineUpdate,
    Update,
)
from services.upsert import Row

_TRADES = frozenset(("trade", "trade_cancel", "trade_correct"))


class Batch:
    """The rows that a run of updates leaves, each under its key: a later update about the same thing replaces
    it."""

    def __init__(self) -> None:
        self.accounts: dict[int, Row] = {}
        self.instruments: dict[int, Row] = {}
        self.orders: dict[int, Row] = {}
        self.executions: dict[int, Row] = {}
        self.positions: dict[tuple[int, int], Row] = {}
        self.cash: dict[tuple[int, str], Row] = {}
        self.groups: dict[int, Row] = {}

    def add(self, update: Update) -> None:
        match update:
            case OrderUpdate():
                self._add_order(update)
            case CashUpdate() if update.account:
                self._add_cash(update)
            case AccountUpdate() if not update.reject_code:
                self._add_account(update)
                self._add_cash(update)
            case BreakUpdate() if update.account:
                self._add_account(update)
            case QuarantineUpdate() if update.account and update.state is not None:
                self._add_account(update)
            case InstrumentUpdate() if not update.reject_code:
                self.instruments[update.instrument_id] = {
                    "shard": update.shard,
                    "instrument_id": update.instrument_id,
                    "symbol": update.symbol,
                    "state": update.state,
                    "tick_size": update.tick_size,
                    "lot_size": update.lot_size,
                    "currency": update.currency,
                    "previous_close": update.previous_close,
                    "reference_price": update.reference_price,
                    "seq": update.seq,
                    "updated_ns": update.time_ns,
                }

            case GroupUpdate() if not update.reject_code:
                self.groups[update.group_id] = {
                    "shard": update.shard,
                    "group_id": update.group_id,
                    "name": update.group,
                    "level": update.level,
                    "parent_id": update.parent_id,
                    "state": update.state,
                    "currency": update.currency,
                    "max_order_notional": update.max_order_notional,
                    "max_open_notional": update.max_open_notional,
                    "max_gross": update.max_gross,
                    "seq": update.seq,
                    "updated_ns": update.time_ns,
                }

    def _add_order(self, update: OrderUpdate) -> None:
        if update.order_id is None or not update.account or update.reject_code == Reject.ACCOUNT_UNKNOWN:
            return  # nothing came to be, and nothing changed
        before = self.orders.get(update.order_number)
        # A refused cancel's reject is not the order's, and leaves the one that the order may have.
        rejected = update.exec_type == "rejected"
        self.orders[update.order_number] = {
            "shard": update.shard,
            "order_number": update.order_number,
            "order_id": update.order_id,
            "client_order_id": update.client_order_id,
            "account_id": update.account_id,
            "account": update.account,
            "instrument_id": update.instrument_id,
            "symbol": update.symbol,
            "side": update.side,
            "ord_type": update.ord_type,
            "tif": update.tif,
            "ord_status": update.ord_status,
            "qty": update.qty,
            "price": update.price,
            "route_price": update.route_price,
            "cum_qty": update.cum_qty,
            "leaves_qty": update.leaves_qty,
            "avg_px": update.avg_px,
            "cum_notional": update.cum_notional,
            "reject_code": update.reject_code if rejected else before and before["reject_code"],
            "reject_message": update.reject_message if rejected else before and before["reject_message"],
            "seq": update.seq,
            "created_ns": before["created_ns"] if before else update.time_ns,
            "updated_ns": update.time_ns,
        }
        self._add_cash(update)
        if update.exec_type in _TRADES:
            self._add_trade(update)

    def _add_trade(self, update: OrderUpdate) -> None:
        """The executions are the trades that stand: one that was undone stays with quantity 0, and a corrected one is
        an execution of its own."""
        if update.execution_ref_id is not None:
            undone = _execution(update, update.execution_ref_seq, update.execution_ref_id)
            self.executions[update.execution_ref_seq] = {**undone, "last_qty": "0"}
        if update.exec_type != "trade_cancel":
            self.executions[update.seq] = _execution(update, update.seq, update.execution_id)
        self.positions[update.account_id, update.instrument_id] = {
            "shard": update.shard,
            "account_id": update.account_id,
            "instrument_id": update.instrument_id,
            "account": update.account,
            "symbol": update.symbol,
            "qty": update.position_qty,
            "cost": update.position_cost,
            "realized": update.realized,
            "seq": update.seq,
            "updated_ns": update.time_ns,
        }

    def _add_account(self, update: AccountUpdate | BreakUpdate | QuarantineUpdate) -> None:
        """A break or a quarantine tells the state only: the household stays as it is (null: services/portfolio.py)."""
        before = self.accounts.get(update.account_id)
        self.accounts[update.account_id] = {
            "shard": update.shard,
            "account_id": update.account_id,
            "account": update.account,
            "state": update.state,
            "household_id": (
                update.household if isinstance(update, AccountUpdate) else before and before["household_id"]
            ),
            "seq": update.seq,
            "updated_ns": update.time_ns,
        }

    def _add_cash(self, update: OrderUpdate | CashUpdate | AccountUpdate) -> None:
        self.cash[update.account_id, update.currency] = {
            "shard": update.shard,
            "account_id": update.account_id,
            "currency": update.currency,
            "account": update.account,
            "cash": update.cash,
            "reserved": update.reserved,
            "seq": update.seq,
            "updated_ns": update.time_ns,
        }


def _execution(update: OrderUpdate, seq: int, execution_id: str) -> Row:
    return {
        "shard": update.shard,
        "seq": seq,
        "execution_id": execution_id,
        "order_number": update.order_number,
        "account_id": update.account_id,
        "account": update.account,
        "instrument_id": update.instrument_id,
        "symbol": update.symbol,
        "side": update.side,
        "last_qty": update.last_qty,
        "last_px": update.last_px,
        "cum_qty": update.cum_qty,
        "leaves_qty": update.leaves_qty,
        "time_ns": update.time_ns,
    }
