"""The projection's rows out of a shard's state: for tables that were lost when the log's beginning has gone too.

What the state knows is told: accounts, instruments, groups, money, positions, and the orders that are still in its
table, as of one event. What only history knew (executions, orders of long ago) is not there; nobody makes it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from actors.tables import (
    R_ACCOUNTS,
    R_CASH,
    R_COLD,
    R_GROUPS,
    R_INSTRUMENTS,
    R_ORDERS,
    R_POSITIONS,
    R_SEQ,
    R_TIME,
    State,
)
from core import currencies, ids, units
from core.order_states import is_terminal, shown_status
from core.records import NO_LIMIT, AccountState, InstrumentState, Level, OrdStatus, OrdType, Side, TimeInForce
from services.translate import average_px_e8
from services.upsert import Row

# Rows of one table in one statement: some megabytes.
ROWS_AT_ONCE: Final = 5_000


class Seed:
    """The rows of each table, in runs of at most ROWS_AT_ONCE; `seq`: the event after which the state is so."""

    def __init__(self, state: State, shard: int) -> None:
        self._state = state
        self._shard = shard
        self.seq = int(state.registers[R_SEQ])
        self._time_ns = int(state.registers[R_TIME])

    def _count(self, register: int) -> int:
        return int(self._state.registers[register])

    def _stamp(self) -> Row:
        return {"shard": self._shard, "seq": self.seq, "updated_ns": self._time_ns}

    def account_name(self, number: int) -> str:
        row = self._state.accounts[number - 1]
        return _text(self._state.account_names[number - 1], row["text_length"])

    def symbol(self, number: int) -> str:
        row = self._state.instruments[number - 1]
        return _text(self._state.instrument_names[number - 1], row["text_length"])

    def accounts(self) -> Iterator[Row]:
        for number in range(1, self._count(R_ACCOUNTS) + 1):
            row = self._state.accounts[number - 1]
            yield {
                **self._stamp(),
                "account_id": number,
                "account": self.account_name(number),
                "state": AccountState(row["state"]).name.lower(),
                "household_id": int(row["household"]),
            }

    def cash(self) -> Iterator[Row]:
        """Of each account in its own currency, then in the others."""
        for number in range(1, self._count(R_ACCOUNTS) + 1):
            yield self._balance(number, self._state.accounts[number - 1])
        for row in self._state.cash[: self._count(R_CASH)]:
            yield self._balance(int(row["account"]), row)

    def _balance(self, account: int, row: Any) -> Row:
        return {
            **self._stamp(),
            "account_id": account,
            "account": self.account_name(account),
            "currency": currencies.code_of(int(row["currency"])),
            "cash": units.cash_text(int(row["cash_e6"])),
            "reserved": units.cash_text(int(row["reserved_e6"])),
        }

    def positions(self) -> Iterator[Row]:
        """In which something was ever traded: an order alone makes a row in the state and none in the projection."""
        for row in self._state.positions[: self._count(R_POSITIONS)]:
            if row["account"]:
                yield from self._position(int(row["account"]), row)
        cold = self._state.cold[: self._count(R_COLD)]
        for number in range(1, self._count(R_ACCOUNTS) + 1):
            owner = self._state.accounts[number - 1]
            first = int(owner["first_position_row"]) - 1
            for row in cold[first : first + int(owner["cold_positions"])] if owner["cold_positions"] else ():
                yield from self._position(number, row)

    def _position(self, account: int, row: Any) -> Iterator[Row]:
        held, cost, realized = int(row["qty_e8"]), int(row["cost_e6"]), int(row["realized_e6"])
        if held or cost or realized:
            yield {
                **self._stamp(),
                "account_id": account,
                "instrument_id": int(row["instrument"]),
                "account": self.account_name(account),
                "symbol": self.symbol(int(row["instrument"])),
                "qty": units.qty_text(held),
                "cost": units.cash_text(cost),
                "realized": units.cash_text(realized),
            }

    def instruments(self) -> Iterator[Row]:
        for number in range(1, self._count(R_INSTRUMENTS) + 1):
            row = self._state.instruments[number - 1]
            yield {
                **self._stamp(),
                "instrument_id": number,
                "symbol": self.symbol(number),
                "state": InstrumentState(row["state"]).name.lower(),
                "tick_size": units.price_text(int(row["tick_e8"])),
                "lot_size": units.qty_text(int(row["lot_e8"])),
                "currency": currencies.code_of(int(row["currency"])),
                "previous_close": _price_or_none(row["previous_close_e8"]),
                "reference_price": _price_or_none(row["reference_e8"]),
            }

    def groups(self) -> Iterator[Row]:
        for number in range(1, self._count(R_GROUPS) + 1):
            row = self._state.groups[number - 1]
            limits = ("max_order_notional", "max_open_notional", "max_gross")
            yield {
                **self._stamp(),
                "group_id": number,
                "name": _text(self._state.group_names[number - 1], row["text_length"]),
                "level": Level(row["level"]).name.lower(),
                "parent_id": int(row["parent"]),
                "state": AccountState(row["state"]).name.lower(),
                "currency": currencies.code_of(int(row["currency"])),
                **{name: _limit_or_none(row[f"{name}_e6"]) for name in limits},
            }

    def orders(self) -> Iterator[Row]:
        for at in range(self._count(R_ORDERS)):
            yield self._order(at, self._state.orders[at])

    def _order(self, at: int, row: Any) -> Row:
        account, instrument, number = int(row["account"]), int(row["instrument"]), int(row["order_id"])
        text, length = self._state.order_texts[at], row["text_length"]
        if replacement := int(row["replacement"]):
            text = self._state.replacement_texts[replacement - 1]
            length = self._state.replacements[replacement - 1]["text_length"]
        status = int(row["status"])
        leaves = 0 if is_terminal(status) else max(int(row["qty_e8"]) - int(row["cum_qty_e8"]), 0)
        shown = int(shown_status(status, bool(row["cancel_pending"]), bool(row["replacing"])))
        average = average_px_e8(int(row["cum_notional_e6"]), int(row["cum_qty_e8"]))
        code = int(row["reject_code"])
        return {
            "shard": self._shard,
            "order_number": number,
            "order_id": str(ids.order_uuid(self._shard, number)),
            "client_order_id": _text(text, length),
            "account_id": account,
            "account": self.account_name(account),
            "instrument_id": instrument,
            "symbol": self.symbol(instrument),
            "side": Side(row["side"]).name.lower(),
            "ord_type": OrdType(row["ord_type"]).name.lower(),
            "tif": TimeInForce(row["tif"]).name.lower(),
            "ord_status": OrdStatus(shown).name.lower(),
            "qty": units.qty_text(int(row["qty_e8"])),
            "price": units.price_text(int(row["price_e8"])) if row["ord_type"] == OrdType.LIMIT else None,
            "route_price": _price_or_none(row["route_price_e8"]),
            "cum_qty": units.qty_text(int(row["cum_qty_e8"])),
            "leaves_qty": units.qty_text(leaves),
            "avg_px": None if average is None else units.price_text(average),
            "cum_notional": units.cash_text(int(row["cum_notional_e6"])),
            "reject_code": code or None,
            "reject_message": f"rejected (code {code})" if code else None,
            "seq": self.seq,
            "created_ns": int(row["created_ns"]),
            "updated_ns": int(row["updated_ns"]),
        }


def _text(raw: np.ndarray[Any, np.dtype[Any]], length: Any) -> str:
    return raw.tobytes()[: int(length)].decode("ascii", "replace").replace("\0", "\ufffd")


def _price_or_none(fixed: Any) -> str | None:
    return units.price_text(int(fixed)) if fixed else None


def _limit_or_none(fixed: Any) -> str | None:
    return None if int(fixed) == NO_LIMIT else units.cash_text(int(fixed))
