"""Reading a shard's state from another process, without a copy of the tables and without stopping the shard.

Always holds: a row is returned as it was at one moment (its seqlock was even and unchanged around the read). Rows
of different tables may be of different moments. Nothing here writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from actors.rows import NAME_BYTES
from actors.snapshot import state_hash
from actors.state_file import CAPACITIES, OWNER, RETIRED, TABLES, state_path
from actors.tables import (
    LAYOUT,
    R_ACCOUNTS,
    R_GROUPS,
    R_INSTRUMENTS,
    R_SEQ,
    R_SETTLE_DATE,
    R_SETTLEMENTS,
    R_VENUE_SEQ,
    VERSION,
    Array,
    Capacity,
    State,
    find_cash,
    find_client_order,
    find_name,
    find_order,
    find_position,
    map_state,
    text_hash,
)
from core.currencies import CURRENCIES
from core.order_states import is_terminal, shown_status
from core.records import SETTLE_DAYS_MAX, TEXT_BYTES_MAX, OrdStatus
from shared_mem.atomics import acquire_fence, copy_bytes, load_u32, pause
from shared_mem.jit import jit
from shared_mem.segment import Segment

# A row is written in well under a microsecond. A lock that stays odd this long belongs to a shard that died in
# the middle of a write; its successor rebuilds the row.
SPINS_MAX: Final = 1_000_000
# An account's positions move when it becomes passive and when it is active again: once in hours.
LOOKS_MAX: Final = 100


class StateBusy(RuntimeError):
    """A row that stays locked: its shard died while it wrote. Try again when it is back."""


@jit
def read_row(address: int, size: int, target: int, spins: int) -> bool:
    """Copy one row, whose first four bytes are its seqlock, to address `target`; False when it stays locked."""
    for _ in range(spins):
        before = load_u32(address)
        if before & 1 == 0:
            acquire_fence()
            copy_bytes(target, address, size)
            acquire_fence()
            if load_u32(address) == before:
                return True
        pause()
    return False


class BalanceView(msgspec.Struct, frozen=True):
    """Money of one account in one currency, as `actors/balances.py` defines it, settled up to the last SETTLE_DAY."""

    currency: int
    cash_e6: int
    reserved_e6: int
    receivable_e6: int
    payable_e6: int

    @property
    def settled_e6(self) -> int:
        return self.cash_e6 - self.receivable_e6 + self.payable_e6

    @property
    def unsettled_e6(self) -> int:
        return self.receivable_e6 - self.payable_e6

    @property
    def free_e6(self) -> int:
        return self.cash_e6 - self.reserved_e6

    @property
    def withdrawable_e6(self) -> int:
        return self.free_e6 - self.receivable_e6


class AccountView(msgspec.Struct, frozen=True):
    """household: a group's number; 0: none. balance: in the account's own currency."""

    account: int
    text: str
    state: int
    cash_e6: int
    reserved_e6: int
    max_order_qty_e8: int
    max_order_notional_e6: int
    max_position_qty_e8: int
    open_orders: int
    household: int
    settled_only: int
    balance: BalanceView


class GroupView(msgspec.Struct, frozen=True):
    """A level above accounts. Numbers of other groups: 0 for none. Money in its currency."""

    group: int
    name: str
    level: int
    state: int
    currency: int
    parent: int
    firm: int
    desk: int
    advisor: int
    reserved_e6: int
    gross_e6: int
    max_order_notional_e6: int
    max_open_notional_e6: int
    max_gross_e6: int


class PositionView(msgspec.Struct, frozen=True):
    account: int
    instrument: int
    qty_e8: int
    cost_e6: int
    realized_e6: int
    open_buy_e8: int
    open_sell_e8: int


class InstrumentView(msgspec.Struct, frozen=True):
    instrument: int
    symbol: str
    tick_e8: int
    lot_e8: int
    max_order_qty_e8: int
    collar_bps: int
    quote_age_ms_max: int
    state: int
    currency: int
    settle_days: int
    tick_table: int
    lot_table: int
    band_bps: int
    static_e8: int
    previous_close_e8: int
    reference_e8: int
    max_exposure_qty_e8: int
    long_e8: int  # of all accounts, as the next three
    short_e8: int
    open_buy_e8: int
    open_sell_e8: int
    bid_e8: int
    ask_e8: int
    bid_size_e8: int
    ask_size_e8: int
    last_e8: int
    last_size_e8: int
    quote_time_ns: int
    trade_time_ns: int


# Those up to here are the instrument's row, the others its quote's.
_INSTRUMENT_FIELDS: Final = InstrumentView.__struct_fields__.index("bid_e8")


class OrderView(msgspec.Struct, frozen=True):
    order_id: int
    account: int
    instrument: int
    side: int
    ord_type: int
    tif: int
    ord_status: int
    qty_e8: int
    price_e8: int
    route_price_e8: int
    cum_qty_e8: int
    cum_notional_e6: int
    leaves_qty_e8: int
    reserved_e6: int
    reject_code: int
    client_order_id: str
    created_ns: int
    updated_ns: int
    filled_ns: int
    canceled_ns: int
    source: int
    request_id: int
    expire_time_ns: int
    fate: int  # records.Fate: what is known of it at its venue


def _name_of(state: State, row: int, order: Any) -> str:
    """The client's id for the order: since its last replace, the one that came with that."""
    replacement = int(order["replacement"])
    if replacement == 0:
        text, length = state.order_texts[row], order["text_length"]
    else:
        text = state.replacement_texts[replacement - 1]
        length = state.replacements[replacement - 1]["text_length"]
    return text.tobytes()[:length].decode("ascii", "replace")


class StateView:
    """A window on the tables of the shard that runs in `run_dir`; or on a replica's, in this process."""

    def __init__(self, run_dir: Path, replica: State | None = None) -> None:
        self._run_dir = run_dir
        if replica is None:
            self._attach()
        else:
            self._state, self._retired = replica, np.zeros(1, np.int64)
        tables = ("accounts", "positions", "instruments", "quotes", "orders", "groups", "cash")
        self._rows = {name: np.zeros(1, getattr(self._state, name).dtype) for name in tables}

    @classmethod
    def attach(cls, run_dir: Path) -> StateView:
        """Raises SegmentMissing while the shard has not started, LayoutMismatch for another version's."""
        return cls(run_dir)

    def _attach(self) -> None:
        self._segment = Segment.attach(state_path(self._run_dir), LAYOUT, VERSION, writable=False)
        memory = self._segment.memory
        self._retired = np.frombuffer(memory, np.int64, 1, RETIRED)
        self._owner = np.frombuffer(memory, np.int64, 1, OWNER)
        capacity = Capacity(
            *(int(n) for n in np.frombuffer(memory, np.int64, len(Capacity._fields), CAPACITIES))
        )
        self._state = map_state(memory, capacity, TABLES)

    @property
    def state(self) -> State:
        """The living tables: a restarted shard's, once it has published them."""
        if self._retired[0]:
            self._attach()
        return self._state

    def _read(self, table: str, row: int) -> Any:
        rows: Array = getattr(self.state, table)
        target = self._rows[table]
        size = rows.dtype.itemsize
        if not read_row(rows.ctypes.data + row * size, size, target.ctypes.data, SPINS_MAX):
            raise StateBusy(f"row {row} of {table} stays locked; is the shard running?")
        return target[0]

    @property
    def seq(self) -> int:
        """The last sequence number applied."""
        return int(self.state.registers[R_SEQ])

    @property
    def epoch(self) -> int:
        """Of the shard that has recovered these tables: it rises when they are whole, the log's when it is opened."""
        if self._retired[0]:
            self._attach()
        return int(self._owner[0])

    def venue_seq(self) -> int:
        """MsgSeqNum of the last venue report applied."""
        return int(self.state.registers[R_VENUE_SEQ])

    def account(self, number: int) -> AccountView | None:
        if not 1 <= number <= self.state.registers[R_ACCOUNTS]:
            return None
        row = self._read("accounts", number - 1)
        name = self.state.account_names[number - 1].tobytes()[: row["text_length"]].decode("ascii")
        values: dict[str, Any] = {f: int(row[f]) for f in AccountView.__struct_fields__[2:-1]}
        return AccountView(account=number, text=name, balance=self._balance(row), **values)

    def _balance(self, row: Any) -> BalanceView:
        """Of a row that was read before: the settlement day may be a later one, never an earlier one."""
        behind = int(self.state.registers[R_SETTLEMENTS]) - int(row["settlements"])
        days = range(max(behind, 0) + 1, SETTLE_DAYS_MAX + 1)
        receivable = sum(int(row[f"receive_{day}_e6"]) for day in days)
        payable = sum(int(row[f"pay_{day}_e6"]) for day in days)
        return BalanceView(
            int(row["currency"]), int(row["cash_e6"]), int(row["reserved_e6"]), receivable, payable
        )

    def balances(self, number: int) -> list[BalanceView]:
        """The account's money: its own currency first, then every other that it was ever paid."""
        if not 1 <= number <= self.state.registers[R_ACCOUNTS]:
            return []
        owner = self._read("accounts", number - 1)
        found = [self._balance(owner)]
        for currency in CURRENCIES:
            row = int(find_cash(self.state, number, currency))
            if row >= 0:
                found.append(self._balance(self._read("cash", row)))
        return found

    @property
    def settle_date(self) -> int:
        """YYYYMMDD of the last settlement day that has ended; 0 before the first."""
        return int(self.state.registers[R_SETTLE_DATE])

    def group(self, number: int) -> GroupView | None:
        if not 1 <= number <= self.state.registers[R_GROUPS]:
            return None
        row = self._read("groups", number - 1)
        name = self.state.group_names[number - 1].tobytes()[: row["text_length"]].decode("ascii")
        return GroupView(number, name, *(int(row[field]) for field in GroupView.__struct_fields__[2:]))

    def group_by_name(self, name: str) -> GroupView | None:
        row = self._named(self.state.group_index, self.state.group_names, name)
        return None if row < 0 else self.group(row + 1)

    def groups_above(self, household: int) -> list[GroupView]:
        """The household and the groups above it, from the bottom."""
        lowest = self.group(household)
        if lowest is None:
            return []
        above = (self.group(number) for number in (lowest.advisor, lowest.desk, lowest.firm))
        return [lowest, *(group for group in above if group is not None)]

    def account_by_text(self, text: str) -> AccountView | None:
        row = self._named(self.state.account_index, self.state.account_names, text)
        return None if row < 0 else self.account(row + 1)

    def accounts(self) -> list[AccountView]:
        found = (self.account(n + 1) for n in range(int(self.state.registers[R_ACCOUNTS])))
        return [account for account in found if account is not None]

    def _named(self, index: Array, names: Array, text: str) -> int:
        raw = text.encode("ascii", "replace")
        if not 0 < len(raw) <= NAME_BYTES:
            return -1
        return int(find_name(index, names, np.frombuffer(raw, np.uint8), len(raw)))

    def position(self, account: int, instrument: int) -> PositionView | None:
        row = int(find_position(self.state, account, instrument))
        if row >= 0:
            found = self._position(row)
            if (found.account, found.instrument) == (account, instrument):
                return found
        return next((each for each in self.positions(account) if each.instrument == instrument), None)

    def _position(self, row: int) -> PositionView:
        found = self._read("positions", row)
        return PositionView(*(int(found[field]) for field in PositionView.__struct_fields__))

    def positions(self, account: int) -> list[PositionView]:
        """The account's positions, newest instrument first, empty ones too; of a passive account as well."""
        if not 1 <= account <= self.state.registers[R_ACCOUNTS]:
            return []
        for _ in range(LOOKS_MAX):
            place = self._place_of_positions(account)
            found = self._cold(account, *place) if place[1] else self._chain(account, place[0])
            if found is not None and self._place_of_positions(account) == place:
                return found
        raise StateBusy(
            f"the positions of account {account} moved {LOOKS_MAX} times while they were read; try again"
        )

    def _place_of_positions(self, account: int) -> tuple[int, int]:
        owner = self._read("accounts", account - 1)
        return int(owner["first_position_row"]), int(owner["cold_positions"])

    def _chain(self, account: int, link: int) -> list[PositionView] | None:
        """None when a row is another account's by now."""
        found: list[PositionView] = []
        while link and len(found) < len(self.state.positions):
            row = self._read("positions", link - 1)
            if row["account"] != account:
                return None
            found.append(PositionView(*(int(row[field]) for field in PositionView.__struct_fields__)))
            link = int(row["next_row"])
        return found

    def _cold(self, account: int, first: int, count: int) -> list[PositionView]:
        rows = self.state.cold[first - 1 : first - 1 + count]
        return [
            PositionView(
                account,
                int(r["instrument"]),
                int(r["qty_e8"]),
                int(r["cost_e6"]),
                int(r["realized_e6"]),
                0,
                0,
            )
            for r in rows
        ]

    def instrument(self, number: int) -> InstrumentView | None:
        if not 1 <= number <= self.state.registers[R_INSTRUMENTS]:
            return None
        row = self._read("instruments", number - 1)
        name = self.state.instrument_names[number - 1].tobytes()[: row["text_length"]].decode("ascii")
        parameters = [int(row[field]) for field in InstrumentView.__struct_fields__[2:_INSTRUMENT_FIELDS]]
        quote = self._read("quotes", number - 1)
        live = [int(quote[field]) for field in InstrumentView.__struct_fields__[_INSTRUMENT_FIELDS:]]
        return InstrumentView(number, name, *parameters, *live)

    def instrument_by_symbol(self, symbol: str) -> InstrumentView | None:
        row = self._named(self.state.instrument_index, self.state.instrument_names, symbol)
        return None if row < 0 else self.instrument(row + 1)

    def instruments(self) -> list[InstrumentView]:
        found = (self.instrument(n + 1) for n in range(int(self.state.registers[R_INSTRUMENTS])))
        return [instrument for instrument in found if instrument is not None]

    def order(self, order_id: int) -> OrderView | None:
        """The order, or None: never given out, or ended so long ago that its row was used again."""
        row = int(find_order(self.state, order_id))
        if row < 0:
            return None
        view, _, _ = self._order(row)
        return view if view.order_id == order_id else None

    def order_by_client_id(self, account: int, client_order_id: str) -> OrderView | None:
        """The account's order that has this name, or had it before it was replaced."""
        raw = np.zeros(TEXT_BYTES_MAX, np.uint8)
        text = client_order_id.encode("ascii", "replace")[:TEXT_BYTES_MAX]
        raw[: len(text)] = np.frombuffer(text, np.uint8)
        hashed = text_hash(raw, len(text), account)
        row = int(find_client_order(self.state, account, raw, len(text), hashed))
        if row < 0:
            return None
        view, _, _ = self._order(row)
        # The row may have become another order's before it was read: then the name leads elsewhere now.
        is_still = int(find_client_order(self.state, account, raw, len(text), hashed)) == row
        return view if is_still and view.account == account else None

    def orders(self, account: int, limit: int = 500) -> list[OrderView]:
        """The account's orders that are still in memory, newest first."""
        found: list[OrderView] = []
        if not 1 <= account <= self.state.registers[R_ACCOUNTS]:
            return found
        owner = self._read("accounts", account - 1)
        link, expected = int(owner["last_order_row"]), int(owner["last_order_id"])
        while link and len(found) < limit:
            view, previous, previous_id = self._order(link - 1)
            if view.order_id != expected:
                break
            found.append(view)
            link, expected = previous, previous_id
        return found

    def _order(self, row: int) -> tuple[OrderView, int, int]:
        state = self.state
        while (
            True
        ):  # the text is no part of the row: the two belong together when the row did not change meanwhile
            found = self._read("orders", row)
            text = _name_of(state, row, found)
            if state.orders[row]["version"] == found["version"]:
                break
        status = int(found["status"])
        leaves = 0 if is_terminal(status) else max(int(found["qty_e8"]) - int(found["cum_qty_e8"]), 0)
        status = int(shown_status(status, bool(found["cancel_pending"]), bool(found["replacing"])))
        ended, filled = int(found["ended_ns"]), int(found["status"]) == OrdStatus.FILLED
        given: dict[str, Any] = {"ord_status": status, "leaves_qty_e8": leaves, "client_order_id": text}
        given["filled_ns"], given["canceled_ns"] = (ended, 0) if filled else (0, ended)
        values: dict[str, Any] = {f: int(found[f]) for f in OrderView.__struct_fields__ if f not in given}
        return OrderView(**values, **given), int(found["previous_row"]), int(found["previous_order_id"])

    def state_hash(self) -> str:
        """The hash of the state now. While orders flow it is of no single moment."""
        return state_hash(self.state)
