"""Random histories against the plain model: each decision, each number, and the same state from the log again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from actors.replay import Replica
from actors.snapshot import Snapshot, restore, state_hash, take
from actors.tables import R_POSITIONS, State
from core import commands
from core.events import Event
from core.records import (
    AccountState,
    BreakKind,
    EventKind,
    ExecType,
    InstrumentState,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from core.units import INT64_MAX, QTY_E8_MAX, cash_e6, qty_e8
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from tests.actors import desk as stories
from tests.actors import model_money
from tests.actors.desk import ASK_E8, LOT_E8, SEGMENT_BYTES, TICK_E8, Desk
from tests.actors.model import Account, Instrument, Model, Order
from tests.actors.money_rules import MoneyRules
from tests.core.test_positions import Oracle

ACCOUNTS = st.sampled_from([1, 1, 1, 2, 3])  # 3 is opened by no one
INSTRUMENTS = st.sampled_from([1, 1, 1, 2, 3, 3, 4])  # 3 is paid with euros, 4 is defined by no one
QTY = st.one_of(
    st.integers(1, 40).map(lambda n: n * qty_e8(1)),
    st.integers(1, 10**6).map(lambda n: n * LOT_E8),
    st.sampled_from([0, -LOT_E8, LOT_E8 + 1, qty_e8(5000), qty_e8(5001), qty_e8(9000), INT64_MAX]),
)
PRICE = st.one_of(
    st.integers(-600, 600).map(lambda n: ASK_E8 + n * TICK_E8),
    st.sampled_from([0, -TICK_E8, TICK_E8 + 1, INT64_MAX, 10**18]),
)
FILL_QTY = st.one_of(QTY, st.sampled_from([QTY_E8_MAX, QTY_E8_MAX + 1, -INT64_MAX - 1]))
FILL_PRICE = st.one_of(PRICE, st.sampled_from([-INT64_MAX, 10**18 + 1]))
AMOUNT = st.one_of(
    st.integers(-2_000_000, 2_000_000).map(lambda n: n * 10**6),
    st.sampled_from([0, 1, -1, INT64_MAX, -INT64_MAX, -INT64_MAX - 1]),
)


def cold_positions(state: State, owner: Any) -> Any:
    """A passive account's."""
    first, count = int(owner["first_position_row"]) - 1, int(owner["cold_positions"])
    return state.cold[first : first + count] if count else []


class History(MoneyRules):
    @initialize()
    def a_market(self) -> None:
        self._folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        (self._folder / "run").mkdir()
        self.desk = Desk(self._folder / "log", self._folder / "run")
        self.model = Model()
        self.snapshot: Snapshot | None = None
        for number in (1, 2):
            self.desk.do(stories.account(f"TW00000{number}"))
            self.desk.do(stories.instrument(f"SYM{number}"))
            self.model.accounts[number] = Account(qty_e8(10_000), cash_e6(500_000), qty_e8(50_000))
            self.model.instruments[number] = Instrument(
                TICK_E8, LOT_E8, qty_e8(5000), stories.COLLAR_BPS, 2000
            )
            self.deposit(number, cash_e6(100_000))
        self.a_money_market()

    @precondition(
        lambda self: len(self.model.orders) < 60
    )  # the order table has 64 rows; test_order_table.py
    @rule(
        account=ACCOUNTS, instrument=INSTRUMENTS, side=st.sampled_from(Side), ord_type=st.sampled_from(OrdType),
        qty=QTY, price=PRICE, name=st.integers(1, 30), age_ms=st.sampled_from([0, 0, 0, 2000, 2001]),
        quoted=st.sampled_from([True, True, True, False]),
    )  # fmt: skip
    def new_order(
        self, account: int, instrument: int, side: Side, ord_type: OrdType, qty: int, price: int, name: int,
        age_ms: int, quoted: bool,
    ) -> None:  # fmt: skip
        desk, model = self.desk, self.model
        desk.bid_e8, desk.ask_e8 = (stories.BID_E8, ASK_E8) if quoted else (0, 0)
        desk.quote_age_ms = age_ms
        code, route_price = model.judge(
            account, instrument, side, ord_type, qty, price, f"c{name}", desk.bid_e8, desk.ask_e8, age_ms
        )
        event = desk.do(
            stories.order(
                f"c{name}", account=account, instrument=instrument, side=side, ord_type=ord_type, qty_e8=qty,
                price_e8=price, tif=TimeInForce.DAY,
            )
        )  # fmt: skip
        assert event.reject_code == code
        if code:
            assert (event.ord_status, event.exec_type) == (OrdStatus.REJECTED, ExecType.REJECTED)
            if code is Reject.DUPLICATE_CLIENT_ORDER_ID:
                original = model.orders[event.order_id]
                assert (original.account, original.client_order_id) == (account, f"c{name}")
            return
        assert (event.ord_status, event.exec_type) == (OrdStatus.PENDING_NEW, ExecType.PENDING_NEW)
        assert event.route_price_e8 == route_price
        assert event.order_id == event.cause_seq
        model.accounts[account].positions.setdefault(instrument, Oracle())
        order = Order(event.order_id, account, instrument, side, qty, route_price, f"c{name}")
        model.orders[event.order_id] = order
        self.shows(event, order)
        if side is Side.BUY:
            assert event.reserved_e6 <= event.cash_e6

    @rule(data=st.data(), account=ACCOUNTS)
    def cancel(self, data: st.DataObject, account: int) -> None:
        order_id = data.draw(st.sampled_from([*self.model.orders, 10**6]))
        order = self.model.orders.get(order_id)
        account = data.draw(st.sampled_from([account, order.account if order else account]))
        code = self.model.cancel(account, order_id)
        event = self.desk.cancel(order_id, account)
        assert event.reject_code == code
        assert event.exec_type == (ExecType.CANCEL_REJECT if code else ExecType.PENDING_CANCEL)
        if code is not Reject.ORDER_UNKNOWN:
            self.shows(event, self.model.orders[order_id])

    @rule(
        data=st.data(), exec_type=st.sampled_from([*ExecType, ExecType.TRADE, ExecType.TRADE, 0, 255]),
        qty=FILL_QTY, px=FILL_PRICE,
    )  # fmt: skip
    def report(self, data: st.DataObject, exec_type: int, qty: int, px: int) -> None:
        self.apply_report(data.draw(st.sampled_from([*self.model.orders, 10**6])), exec_type, qty, px)

    @precondition(lambda self: any(o.leaves for o in self.model.orders.values()))
    @rule(data=st.data(), share=st.integers(1, 4))
    def fill_of_what_is_open(self, data: st.DataObject, share: int) -> None:
        order = data.draw(st.sampled_from([o for o in self.model.orders.values() if o.leaves]))
        qty = max(order.leaves // share, 1)
        self.apply_report(order.order_id, ExecType.TRADE, qty, order.route_price)

    def apply_report(self, order_id: int, exec_type: int, qty: int, px: int) -> None:
        code = self.model.report(order_id, exec_type, qty, px)
        event = self.desk.report(order_id, exec_type, qty, px)
        assert event.reject_code == code
        assert event.exec_type == exec_type
        if code is not Reject.ORDER_UNKNOWN:
            self.shows(event, self.model.orders[order_id])
            assert event.source == 1, "the answer finds the door that the order came by"
            assert event.request_id == 3
        traded = exec_type == ExecType.TRADE and not code
        assert (event.last_qty_e8, event.last_px_e8) == ((qty, px) if traded else (0, 0))

    @rule(account=ACCOUNTS, amount=AMOUNT)
    def deposit(self, account: int, amount: int) -> None:
        code = model_money.deposit(self.model, account, amount, 0)
        event = self.desk.do(stories.deposit(amount, account=account))
        assert event.reject_code == code
        if account in self.model.accounts:
            assert event.cash_e6 == self.model.accounts[account].cash

    @rule(account=ACCOUNTS, state=st.sampled_from(AccountState))
    def account_state(self, account: int, state: AccountState) -> None:
        event = self.desk.do(commands.set_account_state(request_id=9, account=account, state=state))
        known = account in self.model.accounts
        assert event.reject_code == (Reject.NONE if known else Reject.ACCOUNT_UNKNOWN)
        if known:
            self.model.accounts[account].state = state
            assert (event.state, event.text) == (state, f"TW00000{account}")

    @rule(
        data=st.data(), account=st.sampled_from([0, 1, 2, 3]), kind=st.sampled_from(BreakKind),
        ours=FILL_QTY, venues=FILL_QTY,
    )  # fmt: skip
    def the_venues_copy_differs(
        self, data: st.DataObject, account: int, kind: BreakKind, ours: int, venues: int
    ) -> None:
        order_id = data.draw(st.sampled_from([*self.model.orders, 0, 10**6]))
        event = self.desk.break_found(kind, account=account, order_id=order_id, ours=ours, venues=venues)
        owner = self.model.break_found(account, order_id)
        assert (event.kind, event.break_kind, event.account) == (EventKind.BREAK, kind, owner)
        assert (event.limit_value, event.observed_value, event.text) == (ours, venues, "X1")
        assert event.state == (self.model.accounts[owner].state if owner else 0)

    @rule(number=st.sampled_from([1, 2]))
    def all_is_open_again(self, number: int) -> None:
        self.account_state(number, AccountState.ACTIVE)
        self.instrument_state(number, InstrumentState.OPEN)

    @rule(instrument=INSTRUMENTS, state=st.sampled_from([InstrumentState.OPEN, *InstrumentState]))
    def instrument_state(self, instrument: int, state: InstrumentState) -> None:
        event = self.desk.do(commands.set_instrument_state(request_id=9, instrument=instrument, state=state))
        known = instrument in self.model.instruments
        assert event.reject_code == (Reject.NONE if known else Reject.INSTRUMENT_UNKNOWN)
        if known:
            self.model.instruments[instrument].state = state
            assert (event.state, event.text) == (state, f"SYM{instrument}")

    @rule(
        account=st.sampled_from([1, 2]),
        qty=st.integers(1, 20_000),
        money=st.integers(1, 10**6),
        most=st.integers(1, 900),
    )
    def limits_change(self, account: int, qty: int, money: int, most: int) -> None:
        limits = {
            "max_order_qty_e8": qty_e8(qty), "max_order_notional_e6": cash_e6(money),
            "max_position_qty_e8": qty_e8(most),
        }  # fmt: skip
        event = self.desk.do(stories.account(f"TW00000{account}", **limits))
        assert (event.account, event.reject_code) == (account, 0)
        found = self.model.accounts[account]
        found.max_qty, found.max_notional, found.max_position = limits.values()
        found.settled_only = False

    @rule(
        instrument=st.sampled_from([1, 2]),
        ticks=st.sampled_from([1, 5]),
        bps=st.sampled_from([0, 3, 500, 10_000]),
    )
    def instrument_changes(self, instrument: int, ticks: int, bps: int) -> None:
        self.desk.do(stories.instrument(f"SYM{instrument}", tick_e8=ticks * TICK_E8, collar_bps=bps))
        was = self.model.instruments[instrument]
        found = Instrument(ticks * TICK_E8, LOT_E8, qty_e8(5000), bps, 2000, was.state)
        found.previous_close, found.reference = was.previous_close, was.reference
        self.model.instruments[instrument] = found

    @rule(account=ACCOUNTS)
    def becomes_passive(self, account: int) -> None:
        """The model knows nothing of it: it changes no number."""
        event = self.desk.do(commands.passivate(request_id=9, account=account))
        if account not in self.model.accounts:
            assert event.reject_code == Reject.ACCOUNT_UNKNOWN
        else:
            open_orders = len(self.model.open_orders(account))
            assert event.reject_code == (Reject.ACCOUNT_NOT_IDLE if open_orders else Reject.NONE)
            assert event.observed_value == open_orders

    @rule()
    def a_snapshot(self) -> None:
        self.snapshot = take(self.desk.state)

    def shows(self, event: Event, order: Order) -> None:
        account, held = self.model.accounts[order.account], self.model.held(order.account, order.instrument)
        assert event.order_id == order.order_id
        assert event.ord_status == order.shown_status
        assert (event.cum_qty_e8, event.cum_notional_e6) == (order.filled, order.notional)
        currency = self.model.instruments[order.instrument].currency
        cash = model_money.balance(account, currency).cash
        reserved = self.model.reserved(order.account, currency)
        assert (event.currency, event.cash_e6, event.reserved_e6) == (currency, cash, reserved)
        assert (event.position_qty_e8, event.position_cost_e6) == (held.qty, held.cost)
        assert event.realized_e6 == held.realized
        assert event.text == order.client_order_id

    @invariant()
    def the_book_is_the_models(self) -> None:
        if not hasattr(self, "model"):
            return
        state, model = self.desk.state, self.model
        for number in model.accounts:
            row = state.accounts[number - 1]
            assert row["open_orders"] == len(model.open_orders(number))
        rows = state.positions[: int(state.registers[R_POSITIONS])]
        hot = {(int(r["account"]), int(r["instrument"])): r for r in rows if r["account"]}
        cold = {
            (number, int(r["instrument"])): r
            for number in model.accounts
            for r in cold_positions(state, state.accounts[number - 1])
        }
        assert not set(hot) & set(cold)
        found = {**hot, **cold}
        wanted = {(a, i): p for a, account in model.accounts.items() for i, p in account.positions.items()}
        assert set(found) == set(wanted)
        for (account_no, instrument), position in wanted.items():
            row = found[account_no, instrument]
            numbers = (row["qty_e8"], row["cost_e6"], row["realized_e6"])
            assert numbers == (position.qty, position.cost, position.realized)
            open_qty = [model.open_qty(account_no, instrument, side) for side in (Side.BUY, Side.SELL)]
            is_hot = (account_no, instrument) in hot
            assert open_qty == ([row["open_buy_e8"], row["open_sell_e8"]] if is_hot else [0, 0])

    def teardown(self) -> None:
        if not hasattr(self, "desk"):
            return
        live = self.desk.hash()
        assert state_hash(self.desk.replica().state) == live
        if self.snapshot is not None:
            replica = Replica(self.desk.capacity, SEGMENT_BYTES)
            restore(self.snapshot, replica.state)
            replica.follow(LogReader(self.desk.log_dir, self.desk.run_dir, Reader.AUDIT, replica.position))
            assert state_hash(replica.state) == live
        self.desk.close()
        shutil.rmtree(self._folder)


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=80, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
