"""Rules of the random histories: currencies, settlement days, the levels above accounts, static prices and tables.

Joined to the history of `test_model.py`, so that each meets every other rule of it.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.balances import payable_e6, receivable_e6, withdrawable_e6
from actors.tables import R_CASH, find_cash
from core import commands
from core.currencies import EUR, USD
from core.records import NO_LIMIT, AccountState, InstrumentState, Level
from core.rejects import Reject
from core.units import PRICE_E8_MAX, cash_e6, price_e8, qty_e8
from tests.actors import desk as stories
from tests.actors import model_money
from tests.actors.desk import ASK_E8, LOT_E8, TICK_E8, Desk
from tests.actors.model import Instrument, Model
from tests.actors.model_money import Group

# 1 firm <- 2 desk <- 3 advisor <- 4 household; a household of the firm alone; a firm in euros with its own.
GROUPS = [
    Group(Level.FIRM, 0),
    Group(Level.DESK, 1),
    Group(Level.ADVISOR, 2),
    Group(Level.HOUSEHOLD, 3),
    Group(Level.HOUSEHOLD, 1),
    Group(Level.FIRM, 0, EUR),
    Group(Level.HOUSEHOLD, 6, EUR),
]
NUMBERS = st.integers(0, len(GROUPS) + 1)
TICKS = [(0, TICK_E8), (price_e8("50"), 2 * TICK_E8), (price_e8("100"), 5 * TICK_E8)]
IN_EUROS = 3  # the instrument that is paid with euros
LIMIT = st.one_of(st.just(NO_LIMIT), st.integers(0, 4_000).map(cash_e6), st.just(-1))
AMOUNT = st.one_of(
    st.integers(-3_000, 9_000).map(cash_e6), st.sampled_from([1, -1, 0, -NO_LIMIT - 1, NO_LIMIT])
)


class MoneyRules(RuleBasedStateMachine):
    desk: Desk
    model: Model

    def a_money_market(self) -> None:
        """Groups, a tick and a lot table, and an instrument in euros that settles after two days."""
        desk, money = self.desk, self.model.money
        for number, group in enumerate(GROUPS, 1):
            event = desk.do(
                commands.define_group(
                    request_id=1,
                    name=f"G{number}",
                    level=group.level,
                    parent=group.parent,
                    currency=group.currency,
                )
            )
            assert (event.reject_code, event.group, event.text) == (0, number, f"G{number}")
            money.groups[number] = Group(group.level, group.parent, group.currency)
        for raw in commands.define_tick_table(request_id=1, table=1, bands=TICKS):
            assert desk.do(raw).bands == len(TICKS)
        assert (
            desk.do(
                commands.define_lot_table(request_id=1, table=1, round_lot_e8=qty_e8(5), odd_lots=0)
            ).lot_table
            == 1
        )
        money.tick_tables[1], money.lot_tables[1] = TICKS, (qty_e8(5), False)
        self.model.instruments[IN_EUROS] = Instrument(
            TICK_E8, LOT_E8, qty_e8(5000), stories.COLLAR_BPS, 2000, currency=EUR
        )
        self.instrument_is_defined(IN_EUROS, 2, 0, 0, 0, NO_LIMIT)

    @rule(steps=st.integers(0, 3))
    def a_settlement_day_ends(self, steps: int) -> None:
        money = self.model.money
        date = max(money.settle_date, 20261123) + steps if money.settle_date else 20261124
        event = self.desk.do(commands.settle_day(request_id=9, date=date))
        later = date > money.settle_date
        assert event.reject_code == (Reject.NONE if later else Reject.SETTLE_DAY_NOT_LATER)
        if later:
            money.settle_date = date
            money.days_ended += 1
        assert event.date == money.settle_date

    @rule(account=st.integers(1, 3), amount=AMOUNT, currency=st.sampled_from([0, USD, EUR, EUR, 99]))
    def deposit_in(self, account: int, amount: int, currency: int) -> None:
        code = model_money.deposit(self.model, account, amount, currency)
        event = self.desk.do(stories.deposit(amount, account=account, currency=currency))
        assert Reject(event.reject_code) is code
        if account in self.model.accounts and code is not Reject.CURRENCY_UNKNOWN:
            owner = self.model.accounts[account]
            assert event.currency == (currency or owner.currency)
            held, ended = model_money.balance(owner, event.currency), self.model.money.days_ended
            assert event.cash_e6 == held.cash
            assert (event.receivable_e6, event.payable_e6) == (held.receivable(ended), held.payable(ended))

    @rule(account=st.sampled_from([1, 2]), settled_only=st.booleans())
    def buys_with_settled_cash_only(self, account: int, settled_only: bool) -> None:
        event = self.desk.do(stories.account(f"TW00000{account}", settled_only=int(settled_only)))
        found = self.model.accounts[account]
        found.settled_only = settled_only
        found.max_qty, found.max_notional, found.max_position = (
            qty_e8(10_000),
            cash_e6(500_000),
            qty_e8(50_000),
        )
        assert (event.reject_code, event.settled_only, event.group) == (0, settled_only, found.household)

    @rule(number=st.integers(1, len(GROUPS)), order=LIMIT, opened=LIMIT, gross=LIMIT)
    def limits_of_a_group(self, number: int, order: int, opened: int, gross: int) -> None:
        group = self.model.money.groups[number]
        event = self.desk.do(
            commands.define_group(
                request_id=9, name=f"G{number}", level=group.level, parent=group.parent, currency=group.currency,
                max_order_notional_e6=order, max_open_notional_e6=opened, max_gross_e6=gross,
            )
        )  # fmt: skip
        group.max_order, group.max_open, group.max_gross = (max(limit, 0) for limit in (order, opened, gross))
        assert (event.reject_code, event.group) == (0, number)
        assert event.reserved_e6 == model_money.group_reserved(self.model, number)
        assert event.gross_e6 == model_money.group_gross(self.model, number)

    @rule(number=st.integers(1, len(GROUPS)))
    def a_group_has_no_limits(self, number: int) -> None:
        self.limits_of_a_group(number, NO_LIMIT, NO_LIMIT, NO_LIMIT)

    @rule(number=NUMBERS, state=st.sampled_from([AccountState.ACTIVE, *AccountState]))
    def state_of_a_group(self, number: int, state: AccountState) -> None:
        event = self.desk.do(commands.set_group_state(request_id=9, group=number, state=state))
        known = number in self.model.money.groups
        assert event.reject_code == (Reject.NONE if known else Reject.GROUP_UNKNOWN)
        if known:
            self.model.money.groups[number].state = state
            assert (event.state, event.text) == (state, f"G{number}")

    @rule(account=st.integers(1, 3), household=st.one_of(NUMBERS, st.sampled_from([4, 4, 5, 7])))
    def an_account_moves(self, account: int, household: int) -> None:
        code = model_money.move(self.model, account, household)
        event = self.desk.do(commands.move_account(request_id=9, account=account, household=household))
        assert Reject(event.reject_code) is code
        if account in self.model.accounts:
            assert event.group == self.model.accounts[account].household

    def opens_the_way(self, account: int, household: int, unlimited: bool) -> None:
        """The account is in the household if that has room for it, has cash in both currencies, and no level halts."""
        for number, _ in [*self.model.money.chain(household)]:
            self.state_of_a_group(number, AccountState.ACTIVE)
            if unlimited:
                self.a_group_has_no_limits(number)
        self.an_account_moves(account, household)
        for number, _ in [*self.model.money.chain(self.model.accounts[account].household)]:
            self.state_of_a_group(number, AccountState.ACTIVE)
        self.deposit_in(account, cash_e6(3_000), EUR)

    @rule(
        instrument=st.sampled_from([1, 2, IN_EUROS]), days=st.integers(0, 3), ticks=st.sampled_from([0, 0, 1, 2]),
        lots=st.sampled_from([0, 0, 1]), band=st.sampled_from([0, 0, 1, 200]),
        most=st.sampled_from([NO_LIMIT, NO_LIMIT, qty_e8(25)]),
    )  # fmt: skip
    def instrument_is_defined(
        self, instrument: int, days: int, ticks: int, lots: int, band: int, most: int
    ) -> None:
        """And it trades continuously again."""
        found = self.model.instruments[instrument]
        event = self.desk.do(
            stories.instrument(
                f"SYM{instrument}", tick_e8=TICK_E8, collar_bps=stories.COLLAR_BPS, currency=found.currency,
                settle_days=days, tick_table=ticks, lot_table=lots, band_bps=band, max_exposure_qty_e8=most,
            )
        )  # fmt: skip
        assert event.reject_code == (Reject.NONE if ticks < 2 else Reject.TABLE_UNKNOWN)
        if not event.reject_code:
            found.tick, found.collar_bps, found.settle_days = TICK_E8, stories.COLLAR_BPS, days
            found.tick_table, found.lot_table, found.band_bps, found.max_exposure = ticks, lots, band, most
        self.desk.do(
            commands.set_instrument_state(request_id=9, instrument=instrument, state=InstrumentState.OPEN)
        )
        found.state = InstrumentState.OPEN

    @rule(
        instrument=st.integers(1, 4), close=st.sampled_from([0, ASK_E8, ASK_E8 + TICK_E8, -1, PRICE_E8_MAX + 1]),
        reference=st.sampled_from([0, 0, ASK_E8, ASK_E8 + 3]),
    )  # fmt: skip
    def static_prices(self, instrument: int, close: int, reference: int) -> None:
        event = self.desk.do(
            commands.set_reference_price(
                request_id=9, instrument=instrument, previous_close_e8=close, reference_e8=reference
            )
        )
        found = self.model.instruments.get(instrument)
        assert event.reject_code == (Reject.INSTRUMENT_UNKNOWN if found is None else Reject.NONE)
        if found is not None:
            found.previous_close, found.reference = min(max(close, 0), PRICE_E8_MAX), reference
            assert (event.previous_close_e8, event.reference_e8) == (found.previous_close, reference)

    @invariant()
    def every_balance_is_the_models(self) -> None:
        if not hasattr(self, "model"):
            return
        state, model = self.desk.state, self.model
        others = 0
        for number, account in model.accounts.items():
            for currency, wanted in account.balances.items():
                others += currency != account.currency
                row = (
                    state.accounts[number - 1]
                    if currency == account.currency
                    else state.cash[find_cash(state, number, currency)]
                )
                ended = model.money.days_ended
                receivable, payable = receivable_e6(state, row), payable_e6(state, row)
                assert (row["cash_e6"], row["reserved_e6"]) == (wanted.cash, model.reserved(number, currency))
                assert (receivable, payable) == (wanted.receivable(ended), wanted.payable(ended))
                settled, unsettled = wanted.cash - receivable + payable, receivable - payable
                assert settled == wanted.cash - sum(wanted.unsettled(ended))
                assert settled + unsettled == wanted.cash
                assert withdrawable_e6(state, row) == wanted.cash - int(row["reserved_e6"]) - receivable
                held = [p for i, p in account.positions.items() if model.instruments[i].currency == currency]
                assert wanted.cash + sum(p.cost - p.realized for p in held) == wanted.paid_in, (
                    "money is conserved"
                )
        assert state.registers[R_CASH] == others

    @invariant()
    def every_level_is_the_sum_of_its_accounts(self) -> None:
        if not hasattr(self, "model"):
            return
        for number in self.model.money.groups:
            row = self.desk.state.groups[number - 1]
            assert row["reserved_e6"] == model_money.group_reserved(self.model, number)
            assert row["gross_e6"] == model_money.group_gross(self.model, number)
            if not self.model.open_orders_of(model_money.members(self.model, number)):
                assert row["reserved_e6"] == 0

    @invariant()
    def every_exposure_is_the_sum_over_accounts(self) -> None:
        if not hasattr(self, "model"):
            return
        for number in self.model.instruments:
            row = self.desk.state.instruments[number - 1]
            found = tuple(int(row[name]) for name in ("long_e8", "short_e8", "open_buy_e8", "open_sell_e8"))
            assert found == model_money.exposure(self.model, number)
