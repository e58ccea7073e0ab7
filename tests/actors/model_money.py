"""The money side of the plain model: balances, the levels above accounts, exposures, static prices and tables.

Nothing here is kept that can be summed up: what has not settled is a list of amounts with the settlement day that each
waits for, a group's sums are taken over its accounts, an instrument's over all. A chain is found by walking parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.currencies import CURRENCIES, USD
from core.records import NO_LIMIT, AccountState, InstrumentState, Level, OrdType, Side
from core.rejects import Reject
from core.units import INT64_MAX

if TYPE_CHECKING:
    from tests.actors.model import Account, Instrument, Model


@dataclass
class Balance:
    cash: int = 0
    paid_in: int = 0
    waiting: list[tuple[int, int]] = field(
        default_factory=list
    )  # amount, settled when so many days have ended

    def unsettled(self, ended: int) -> list[int]:
        return [amount for amount, due in self.waiting if due > ended]

    def receivable(self, ended: int) -> int:
        return sum(amount for amount in self.unsettled(ended) if amount > 0)

    def payable(self, ended: int) -> int:
        return -sum(amount for amount in self.unsettled(ended) if amount < 0)


@dataclass
class Group:
    level: Level
    parent: int
    currency: int = USD
    state: int = AccountState.ACTIVE
    max_order: int = NO_LIMIT
    max_open: int = NO_LIMIT
    max_gross: int = NO_LIMIT


class Money:
    """What the whole desk has beside accounts, instruments and orders."""

    def __init__(self) -> None:
        self.groups: dict[int, Group] = {}
        self.tick_tables: dict[int, list[tuple[int, int]]] = {}
        self.lot_tables: dict[int, tuple[int, bool]] = {}
        self.days_ended = 0
        self.settle_date = 0

    def chain(self, household: int) -> Iterator[tuple[int, Group]]:
        """From the household up."""
        number = household
        while number:
            yield number, self.groups[number]
            number = self.groups[number].parent


def balance(account: Account, currency: int) -> Balance:
    """The account's balance; an empty one, which is not kept, where it has none."""
    return account.balances.get(currency, Balance())


def members(model: Model, group: int) -> list[int]:
    return [n for n, a in model.accounts.items() if group in (g for g, _ in model.money.chain(a.household))]


def group_reserved(model: Model, number: int) -> int:
    currency = model.money.groups[number].currency
    return sum(model.reserved(account, currency) for account in members(model, number))


def account_gross(model: Model, account: int, currency: int) -> int:
    held = model.accounts[account].positions.items()
    return sum(abs(p.cost) for i, p in held if model.instruments[i].currency == currency)


def group_gross(model: Model, number: int) -> int:
    currency = model.money.groups[number].currency
    return sum(account_gross(model, account, currency) for account in members(model, number))


def exposure(model: Model, instrument: int) -> tuple[int, int, int, int]:
    """(long, short, open to buy, open to sell) over all accounts."""
    held = [a.positions[instrument].qty for a in model.accounts.values() if instrument in a.positions]
    opened = [
        sum(model.open_qty(n, instrument, side) for n in model.accounts) for side in (Side.BUY, Side.SELL)
    ]
    return sum(q for q in held if q > 0), -sum(q for q in held if q < 0), opened[0], opened[1]


# --- what an order meets ---------------------------------------------------------------------------------------


def judge_states(model: Model, account: Account, buying: bool) -> Reject:
    for _, group in model.money.chain(account.household):
        if group.state == AccountState.REDUCING and buying:
            return Reject[f"{group.level.name}_REDUCING"]
        if group.state not in (AccountState.ACTIVE, AccountState.REDUCING):
            return Reject[f"{group.level.name}_NOT_ACTIVE"]
    return Reject.NONE


def judge_session(instrument: Instrument, ord_type: OrdType, immediate: bool) -> Reject:
    state = instrument.state
    if state == InstrumentState.CLOSED:
        return Reject.SESSION_CLOSED
    if state not in (InstrumentState.OPEN, InstrumentState.PRE_OPEN, InstrumentState.AUCTION):
        return Reject.INSTRUMENT_HALTED
    refused = immediate or (state == InstrumentState.PRE_OPEN and ord_type is not OrdType.LIMIT)
    return Reject.NOT_IN_THIS_SESSION if state != InstrumentState.OPEN and refused else Reject.NONE


def tick_at(model: Model, instrument: Instrument, price: int) -> int:
    bands = model.money.tick_tables.get(instrument.tick_table)
    if bands is None:
        return instrument.tick
    below = [tick for start, tick in bands if start <= price]
    return below[-1] if below else bands[0][1]


def judge_lot(model: Model, instrument: Instrument, qty: int) -> Reject:
    round_lot, odd_lots = model.money.lot_tables.get(instrument.lot_table, (1, True))
    return Reject.NONE if odd_lots or qty % round_lot == 0 else Reject.ODD_LOT


def judge_money(model: Model, account_no: int, currency: int, needed: int, buying: bool) -> Reject:
    account = model.accounts[account_no]
    if currency != account.currency and currency not in account.balances:
        return Reject.CURRENCY_NOT_HELD
    held = balance(account, currency)
    free = held.cash - model.reserved(account_no, currency)
    if buying and needed > free:
        return Reject.BUYING_POWER
    if buying and account.settled_only and needed > free - held.receivable(model.money.days_ended):
        return Reject.CASH_UNSETTLED
    return Reject.NONE


def judge_exposure(model: Model, instrument_no: int, qty: int, buying: bool) -> Reject:
    bought, owed, open_buy, open_sell = exposure(model, instrument_no)
    worst = bought - owed + open_buy + qty
    if buying and (worst > model.instruments[instrument_no].max_exposure or open_buy + qty > INT64_MAX):
        return Reject.INSTRUMENT_EXPOSURE
    return Reject.INSTRUMENT_EXPOSURE if not buying and open_sell + qty > INT64_MAX else Reject.NONE


def judge_limits(
    model: Model, account: Account, currency: int, needed: int, buying: bool, own: int
) -> Reject:
    """own: what an order that is to be replaced has of what is reserved."""
    for number, group in model.money.chain(account.household):
        if group.currency != currency:
            return Reject.HOUSEHOLD_CURRENCY if buying else Reject.NONE
        if needed > group.max_order:
            return Reject[f"{group.level.name}_ORDER_NOTIONAL"]
        if not buying:
            continue
        reserved = group_reserved(model, number) - own
        if reserved + needed > group.max_open:
            return Reject[f"{group.level.name}_OPEN_NOTIONAL"]
        if reserved + group_gross(model, number) + needed > group.max_gross:
            return Reject[f"{group.level.name}_GROSS_EXPOSURE"]
    return Reject.NONE


def fits(model: Model, account: Account, instrument_no: int, amount: int, qty: int) -> bool:
    """Whether int64 can count what a fill makes of buckets, levels and exposures."""
    currency, ended = model.instruments[instrument_no].currency, model.money.days_ended
    held = balance(account, currency)
    sums = [(held.receivable(ended) if amount >= 0 else held.payable(ended)) + abs(amount)]
    for number, group in model.money.chain(account.household):
        if group.currency == currency:
            sums.append(group_gross(model, number) + abs(amount))
    bought, owed, _, _ = exposure(model, instrument_no)
    return max(*sums, bought + owed + qty) <= INT64_MAX


def pay(model: Model, account: Account, instrument: Instrument, amount: int) -> None:
    held = account.balances[instrument.currency]
    held.cash += amount
    if instrument.settle_days:
        held.waiting.append((amount, model.money.days_ended + instrument.settle_days))


def take_back(model: Model, account: Account, instrument: Instrument, amount: int, due: int) -> None:
    """A trade that was not: its money, and its place among what has not settled."""
    held = account.balances[instrument.currency]
    held.cash -= amount
    if due > model.money.days_ended:
        held.waiting.remove((amount, due))


# --- what an administrator asks ---------------------------------------------------------------------------------


def deposit(model: Model, account_no: int, amount: int, currency: int) -> Reject:
    account = model.accounts.get(account_no)
    if account is None:
        return Reject.ACCOUNT_UNKNOWN
    currency = currency or account.currency
    if currency not in CURRENCIES:
        return Reject.CURRENCY_UNKNOWN
    held = balance(account, currency)
    if abs(held.cash + amount) > INT64_MAX or abs(amount) > INT64_MAX:
        return Reject.AMOUNT_OVERFLOW
    free = held.cash - model.reserved(account_no, currency)
    if amount < 0 and -amount > free:
        return Reject.CASH_NOT_FREE
    if amount < 0 and -amount > free - held.receivable(model.money.days_ended):
        return Reject.WITHDRAWAL_UNSETTLED
    if amount or currency in account.balances:
        account.balances[currency] = held
    held.cash += amount
    held.paid_in += amount
    return Reject.NONE


def move(model: Model, account_no: int, household: int) -> Reject:
    account, groups = model.accounts.get(account_no), model.money.groups
    if account is None:
        return Reject.ACCOUNT_UNKNOWN
    if household and (household not in groups or groups[household].level is not Level.HOUSEHOLD):
        return Reject.GROUP_UNKNOWN
    before = account.household
    if household == before:
        return Reject.NONE
    account.household = household
    for number, group in model.money.chain(household):
        reserved = group_reserved(model, number)
        if reserved > group.max_open:
            code = Reject[f"{group.level.name}_OPEN_NOTIONAL"]
        elif reserved + group_gross(model, number) > group.max_gross:
            code = Reject[f"{group.level.name}_GROSS_EXPOSURE"]
        else:
            continue
        account.household = before
        return code
    return Reject.NONE


def static_price(instrument: Instrument) -> int:
    return instrument.reference or instrument.previous_close
