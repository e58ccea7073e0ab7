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
from actors.tables import R_COMMANDS, R_POSITIONS, State
from core import commands
from core.events import Event
from core.records import (
    AccountState,
    BreakKind,
    CommandKind,
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
from tests.actors.desk import ASK_E8, LOT_E8, SEGMENT_BYTES, STEP_NS, TICK_E8, Desk
from tests.actors.model import Account, Instrument, Model, Order, Report, Terms
from tests.actors.money_rules import IN_EUROS, MoneyRules
from tests.actors.status_rules import StatusRules
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
EXEC_ID = st.sampled_from(["", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8"])
TIF = st.sampled_from(TimeInForce)
LASTS = st.sampled_from([-1, 0, 3 * STEP_NS, 30 * STEP_NS])  # how long a GTD order lasts
AMOUNT = st.one_of(
    st.integers(-2_000_000, 2_000_000).map(lambda n: n * 10**6),
    st.sampled_from([0, 1, -1, INT64_MAX, -INT64_MAX, -INT64_MAX - 1]),
)


def cold_positions(state: State, owner: Any) -> Any:
    """A passive account's."""
    first, count = int(owner["first_position_row"]) - 1, int(owner["cold_positions"])
    return state.cold[first : first + count] if count else []


class History(MoneyRules, StatusRules):
    a_desk: type[Desk] = Desk

    @initialize()
    def a_market(self) -> None:
        self._folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        (self._folder / "run").mkdir()
        self.desk = self.a_desk(self._folder / "log", self._folder / "run")
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
        quoted=st.sampled_from([True, True, True, False]), tif=TIF, lasts=LASTS,
    )  # fmt: skip
    def new_order(
        self, account: int, instrument: int, side: Side, ord_type: OrdType, qty: int, price: int, name: int,
        age_ms: int, quoted: bool, tif: TimeInForce, lasts: int,
    ) -> None:  # fmt: skip
        desk, model = self.desk, self.model
        now, quote = desk.next_ns, self.quoted(age_ms, quoted)
        terms = Terms(qty, price, 0, tif, now + lasts if tif is TimeInForce.GTD else 0)
        code, route_price = model.judge(account, instrument, side, ord_type, terms, f"c{name}", quote, now)
        event = desk.do(
            stories.order(
                f"c{name}", account=account, instrument=instrument, side=side, ord_type=ord_type, qty_e8=qty,
                price_e8=price, tif=tif, expire_time_ns=terms.expire_ns,
            )
        )  # fmt: skip
        assert event.reject_code == code
        if code:
            assert (event.ord_status, event.exec_type) == (OrdStatus.REJECTED, ExecType.REJECTED)
            if code is Reject.DUPLICATE_CLIENT_ORDER_ID:
                assert model.named(account, f"c{name}") is model.orders[event.order_id]
            return
        assert (event.ord_status, event.exec_type) == (OrdStatus.PENDING_NEW, ExecType.PENDING_NEW)
        assert event.route_price_e8 == route_price
        assert event.order_id == event.cause_seq
        model.accounts[account].positions.setdefault(instrument, Oracle())
        terms = terms._replace(route_price=route_price)
        order = Order(event.order_id, account, instrument, side, ord_type, terms, f"c{name}", now, now)
        model.orders[event.order_id] = order
        self.shows(event, order)
        if side is Side.BUY:
            assert self.is_covered(event)

    @precondition(lambda self: len(self.model.orders) < 60)
    @rule(account=st.sampled_from([1, 2]), lots=st.integers(1, 400), tif=TIF, name=st.integers(1, 60))
    def a_good_order(self, account: int, lots: int, tif: TimeInForce, name: int) -> None:
        """So that a history has orders to do things with."""
        self.all_is_open_again(account)
        self.new_order(
            account, 1, Side.BUY, OrdType.LIMIT, lots * LOT_E8, ASK_E8, name, 0, True, tif, 30 * STEP_NS
        )

    @rule(
        account=st.sampled_from([1, 2]), household=st.sampled_from([4, 4, 5, 7, 0]), unlimited=st.booleans(),
        trades=st.lists(
            st.tuples(
                st.sampled_from([1, 1, 2, IN_EUROS]), st.sampled_from([Side.BUY, Side.BUY, Side.SELL]),
                st.integers(1, 40), st.integers(0, 2),
            ),
            min_size=1, max_size=6,
        ),
    )  # fmt: skip
    def good_orders_under_levels(
        self, account: int, household: int, unlimited: bool, trades: list[tuple[int, Side, int, int]]
    ) -> None:
        """So that limits, settlement and exposure have something to count. A trade: instrument, side, shares, and
        whether it is filled: not, whole or by half."""
        self.account_state(account, AccountState.ACTIVE)
        self.opens_the_way(account, household, unlimited)
        for instrument, side, shares, filled in trades:
            before = len(self.model.orders)
            if before >= 60:
                return
            self.instrument_state(instrument, InstrumentState.OPEN)
            name = 1000 + int(self.desk.state.registers[R_COMMANDS])
            self.new_order(
                account,
                instrument,
                side,
                OrdType.LIMIT,
                qty_e8(shares),
                ASK_E8,
                name,
                0,
                True,
                TimeInForce.DAY,
                0,
            )
            if filled and len(self.model.orders) > before:
                order_id = [*self.model.orders][-1]
                self.apply_report(Report(order_id, ExecType.TRADE, qty_e8(shares) // filled, ASK_E8))

    def some_order(self, data: st.DataObject) -> int:
        """Any order's number; seldom one that no order has."""
        is_none = not self.model.orders or data.draw(st.integers(0, 15)) == 7
        return 10**6 if is_none else data.draw(st.sampled_from([*self.model.orders]))

    def quoted(self, age_ms: int, is_there: bool) -> tuple[int, int, int]:
        """Bid, ask and age of the quote that the next order meets."""
        desk = self.desk
        desk.bid_e8, desk.ask_e8 = (stories.BID_E8, ASK_E8) if is_there else (0, 0)
        desk.quote_age_ms = age_ms
        return desk.bid_e8, desk.ask_e8, age_ms

    def is_covered(self, event: Event) -> bool:
        """What a purchase reserves is there, unless a venue undid or overfilled trades: then cash is short."""
        return event.reserved_e6 <= event.cash_e6

    @precondition(lambda self: self.model.orders)
    @rule(
        data=st.data(), qty=st.one_of(st.just(0), QTY), price=st.one_of(st.just(0), PRICE),
        name=st.integers(1, 60), age_ms=st.sampled_from([0, 0, 0, 2001]), tif=st.one_of(st.just(0), TIF),
        lasts=LASTS, odd=st.sampled_from([False] * 8 + [True]),
    )  # fmt: skip
    def replace(
        self, data: st.DataObject, qty: int, price: int, name: int, age_ms: int, tif: int, lasts: int,
        odd: bool,
    ) -> None:  # fmt: skip
        """odd: somebody else's account, another instrument, an order that never was."""
        model, desk = self.model, self.desk
        order = data.draw(st.sampled_from([*model.orders.values()]))
        where = (order.account, order.instrument, order.order_id)
        if odd:
            where = data.draw(st.tuples(ACCOUNTS, INSTRUMENTS, st.sampled_from([order.order_id, 10**6])))
        if order.ord_type is OrdType.MARKET:
            price = 0
        now, quote = desk.next_ns, self.quoted(age_ms, True)
        asked = Terms(qty, price, 0, tif, now + lasts if tif == TimeInForce.GTD else 0)
        account, instrument, order_id = where
        holder = desk.state.accounts[order.account - 1]
        was_covered = holder["reserved_e6"] <= holder["cash_e6"]
        code, terms = model.replace(account, instrument, order_id, f"c{name}", asked, quote, now)
        event = desk.do(
            stories.replace(
                order_id, f"c{name}", account=account, instrument=instrument, qty_e8=qty, price_e8=price, tif=tif,
                expire_time_ns=asked.expire_ns,
            )
        )  # fmt: skip
        assert event.reject_code == code
        assert event.exec_type == (ExecType.REPLACE_REJECT if code else ExecType.PENDING_REPLACE)
        if code is not Reject.ORDER_UNKNOWN:
            self.shows(event, model.orders[order_id])
        if terms is not None:
            if order.side is Side.BUY and was_covered:
                assert self.is_covered(event)
            asked_for = (event.asked_replacement, event.asked_qty_e8, event.asked_price_e8, event.asked_tif)
            assert asked_for == (order.asked, terms.qty, terms.route_price, terms.tif)

    @rule(data=st.data(), account=ACCOUNTS)
    def cancel(self, data: st.DataObject, account: int) -> None:
        order_id = self.some_order(data)
        order = self.model.orders.get(order_id)
        account = data.draw(st.sampled_from([account, order.account if order else account]))
        code = self.model.cancel(account, order_id, self.desk.next_ns)
        event = self.desk.cancel(order_id, account)
        assert event.reject_code == code
        assert event.exec_type == (ExecType.CANCEL_REJECT if code else ExecType.PENDING_CANCEL)
        if code is not Reject.ORDER_UNKNOWN:
            self.shows(event, self.model.orders[order_id])

    @rule(
        data=st.data(), exec_type=st.sampled_from([*ExecType, ExecType.TRADE, ExecType.TRADE, 0, 255]),
        qty=FILL_QTY, px=FILL_PRICE, told=st.sampled_from([*OrdStatus, 0, 255]), exec_id=EXEC_ID,
        exec_ref_id=EXEC_ID, number=st.integers(0, 3),
    )  # fmt: skip
    def report(
        self, data: st.DataObject, exec_type: int, qty: int, px: int, told: int, exec_id: str,
        exec_ref_id: str, number: int,
    ) -> None:  # fmt: skip
        order_id = self.some_order(data)
        self.apply_report(Report(order_id, exec_type, qty, px, told, exec_id, exec_ref_id, number))

    @precondition(lambda self: any(o.open_qty for o in self.model.orders.values()))
    @rule(data=st.data(), share=st.integers(1, 4), exec_id=EXEC_ID)
    def fill_of_what_is_open(self, data: st.DataObject, share: int, exec_id: str) -> None:
        order = data.draw(st.sampled_from([o for o in self.model.orders.values() if o.open_qty]))
        qty = max(order.open_qty // share, 1)
        px = order.terms.route_price
        self.apply_report(Report(order.order_id, ExecType.TRADE, qty, px, exec_id=exec_id))

    @precondition(lambda self: any(o.replacing for o in self.model.orders.values()))
    @rule(
        data=st.data(), kind=st.sampled_from([ExecType.REPLACED, ExecType.REPLACED, ExecType.REPLACE_REJECT])
    )
    def the_venue_answers_a_replace(self, data: st.DataObject, kind: ExecType) -> None:
        order = data.draw(st.sampled_from([o for o in self.model.orders.values() if o.replacing]))
        assert order.replacing is not None
        self.apply_report(Report(order.order_id, kind, replacement=order.replacing.number))

    @precondition(lambda self: any(o.fills for o in self.model.orders.values()))
    @rule(
        data=st.data(), corrects=st.booleans(), told=st.sampled_from(OrdStatus), qty=st.integers(1, 40),
        ticks=st.integers(-50, 50), exec_id=EXEC_ID,
    )  # fmt: skip
    def a_fill_is_undone(
        self, data: st.DataObject, corrects: bool, told: OrdStatus, qty: int, ticks: int, exec_id: str
    ) -> None:
        order = data.draw(st.sampled_from([o for o in self.model.orders.values() if o.fills]))
        ref = data.draw(st.sampled_from([*order.fills]))
        kind = ExecType.TRADE_CORRECT if corrects else ExecType.TRADE_CANCEL
        px = ASK_E8 + ticks * TICK_E8
        self.apply_report(Report(order.order_id, kind, qty * LOT_E8, px, told, exec_id, ref))

    def apply_report(self, report: Report) -> None:
        order = self.model.orders.get(report.order_id)
        done = order.fills.get(report.exec_ref_id) if order is not None else None
        was = (done.qty, done.px) if done is not None else (0, 0)
        code, told_as = self.model.report(report, self.desk.next_ns)
        event = self.desk.report(
            report.order_id, report.exec_type, report.qty, report.px, ord_status=report.ord_status,
            exec_id=report.exec_id, exec_ref_id=report.exec_ref_id, replacement=report.replacement,
        )  # fmt: skip
        assert event.reject_code == code
        assert event.exec_type == told_as
        if order is not None:
            self.shows(event, order)
            assert event.source == 1, "the answer finds the door that the order came by"
            assert event.request_id == 3
        shows_report = told_as in (ExecType.TRADE, ExecType.TRADE_CORRECT) and not code
        shown = (report.qty, report.px) if shows_report else (0, 0)
        if told_as == ExecType.TRADE_CANCEL and not code:
            shown = was
        assert (event.last_qty_e8, event.last_px_e8) == shown

    @rule(
        data=st.data(), kind=st.sampled_from([CommandKind.DAY_END, CommandKind.EXPIRE, CommandKind.ASK_STATUS]),
        account=ACCOUNTS, before=st.sampled_from([-1, 0, 1, 5, 30]),
    )  # fmt: skip
    def a_timer_runs_out(self, data: st.DataObject, kind: CommandKind, account: int, before: int) -> None:
        order_id = self.some_order(data)
        order = self.model.orders.get(order_id)
        account = data.draw(st.sampled_from([account, order.account if order else account]))
        now = self.desk.next_ns
        due = now - before * STEP_NS
        code = self.model.timer(kind, account, order_id, due, now)
        event = self.desk.timer(kind, order_id, due, account)
        assert event.reject_code == code
        done = {CommandKind.DAY_END: ExecType.EXPIRED, CommandKind.EXPIRE: ExecType.PENDING_CANCEL}
        assert event.exec_type == (ExecType.ORDER_STATUS if code else done.get(kind, ExecType.ORDER_STATUS))
        if code is not Reject.ORDER_UNKNOWN:
            self.shows(event, self.model.orders[order_id])

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
        assert event.text == order.name
        assert event.replacement == (order.replaced.number if order.replaced else 0)
        assert (event.qty_e8, event.price_e8, event.tif) == (order.qty, order.terms.price, order.terms.tif)
        assert event.route_price_e8 == order.terms.route_price

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

    @invariant()
    def nothing_is_held_when_nothing_is_open(self) -> None:
        if not hasattr(self, "model"):
            return
        for number in self.model.accounts:
            if not self.model.open_orders(number):
                row = self.desk.state.accounts[number - 1]
                assert (row["reserved_e6"], row["open_orders"]) == (0, 0)

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
    max_examples=120, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
