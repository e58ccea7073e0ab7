"""A shard's actors, to look at: what an account, an instrument or a group is now, in the units and words of people.

    >>> shard.account(1).balances["USD"].withdrawable
    Decimal('998000')

Always holds: everything is read, nothing is asked of the shard; amounts are exact decimals. A limit's headroom is what
a purchase may still take of it. Rows are of one moment each, not all of the same (actors/view.py).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from actors.view import AccountView, BalanceView, GroupView, InstrumentView, StateView
from core import currencies, units
from core.records import NO_LIMIT, AccountState, InstrumentState, Level


class Balance(msgspec.Struct, frozen=True):
    """Money in one currency. settled + unsettled = cash; withdrawable is settled and spoken for by nothing."""

    currency: str
    cash: Decimal
    reserved: Decimal
    settled: Decimal
    unsettled: Decimal
    free: Decimal
    withdrawable: Decimal

    def __repr__(self) -> str:
        return (
            f"{self.currency} {self.cash} cash = {self.settled} settled + {self.unsettled} unsettled; "
            f"{self.reserved} reserved, {self.free} free, {self.withdrawable} withdrawable"
        )


class Limit(msgspec.Struct, frozen=True):
    """most and headroom are None where there is no limit. used: of an order's limit, nothing ever."""

    name: str
    used: Decimal
    most: Decimal | None
    headroom: Decimal | None

    def __repr__(self) -> str:
        if self.most is None:
            return f"{self.name}: {self.used} used, no limit"
        return f"{self.name}: {self.used} used of {self.most}, {self.headroom} left"


class Group(msgspec.Struct, frozen=True):
    """A level above accounts. above: the groups over it, from the next one up to the firm."""

    number: int
    name: str
    level: Level
    state: str
    currency: str
    limits: tuple[Limit, ...]
    above: tuple[str, ...]

    def __repr__(self) -> str:
        chain = f", under {' < '.join(self.above)}" if self.above else ""
        head = f"{self.level.name.lower()} {self.name!r} ({self.number}), {self.state}, in {self.currency}{chain}"
        return "\n".join((head, *(f"  {limit!r}" for limit in self.limits)))


class Account(msgspec.Struct, frozen=True):
    """An account with its money by currency, its levels from the household up, and what each limit leaves it."""

    number: int
    name: str
    state: str
    currency: str
    settled_only: bool
    open_orders: int
    balances: dict[str, Balance]
    groups: tuple[Group, ...]
    positions: dict[str, Decimal]

    @property
    def headroom(self) -> Decimal | None:
        """What one more purchase in the account's currency may cost by the limits above it; None without any. An
        account that a halted level is above has none left."""
        if any(group.state == AccountState.HALTED.name for group in self.groups):
            return Decimal(0)
        left = [
            limit.headroom for group in self.groups for limit in group.limits if limit.headroom is not None
        ]
        return max(min(left), Decimal(0)) if left else None

    def __repr__(self) -> str:
        pays = "settled cash only" if self.settled_only else "unsettled proceeds too"
        lines = [
            f"account {self.name!r} ({self.number}), {self.state}, in {self.currency}, buys with {pays}, "
            f"{self.open_orders} orders open"
        ]
        lines += [f"  {balance!r}" for balance in self.balances.values()]
        lines += [f"  holds {qty} {symbol}" for symbol, qty in self.positions.items()]
        lines += [f"  {line}" for group in self.groups for line in repr(group).splitlines()]
        return "\n".join(lines)


class Instrument(msgspec.Struct, frozen=True):
    """An instrument with its session, its static prices, and its position over all accounts."""

    number: int
    symbol: str
    session: str
    currency: str
    settle_days: int
    bid: Decimal
    ask: Decimal
    last: Decimal
    previous_close: Decimal
    reference: Decimal
    net: Decimal
    gross: Decimal
    open_buy: Decimal
    open_sell: Decimal
    exposure: Limit

    def __repr__(self) -> str:
        return "\n".join(
            (
                f"instrument {self.symbol!r} ({self.number}), {self.session}, in {self.currency}, "
                f"settles after {self.settle_days} days",
                f"  {self.bid} bid, {self.ask} ask, {self.last} last; "
                f"reference {self.reference}, previous close {self.previous_close}",
                f"  all accounts: net {self.net}, gross {self.gross}, open {self.open_buy} to buy and "
                f"{self.open_sell} to sell",
                f"  {self.exposure!r}",
            )
        )


_MONEY: Final = units.MONEY_SCALE
_QTY: Final = units.QTY_SCALE


def _exact(value: int, scale: int) -> Decimal:
    return Decimal(units.from_fixed(value, scale))


def _state(state: int) -> str:
    return AccountState(state).name if state in set(AccountState) else str(state)


def _limit(name: str, used: int, most: int, scale: int) -> Limit:
    if most == NO_LIMIT:
        return Limit(name, _exact(used, scale), None, None)
    return Limit(name, _exact(used, scale), _exact(most, scale), _exact(most - used, scale))


def _balance(found: BalanceView) -> Balance:
    parts = (
        found.cash_e6,
        found.reserved_e6,
        found.settled_e6,
        found.unsettled_e6,
        found.free_e6,
        found.withdrawable_e6,
    )
    return Balance(currencies.code_of(found.currency), *(_exact(part, _MONEY) for part in parts))


class Face:
    """The actors of one shard by number, read through its view. Each method: None for what is not there."""

    def __init__(self, view: StateView) -> None:
        self._view = view

    def account(self, number: int) -> Account | None:
        found = self._view.account(number)
        return None if found is None else self._account(found)

    def group(self, number: int) -> Group | None:
        found = self._view.group(number)
        return None if found is None else self._group(found)

    def instrument(self, number: int) -> Instrument | None:
        found = self._view.instrument(number)
        return None if found is None else self._instrument(found)

    def _account(self, found: AccountView) -> Account:
        view = self._view
        held = {}
        for position in view.positions(found.account):
            instrument = view.instrument(position.instrument)
            if position.qty_e8 and instrument is not None:
                held[instrument.symbol] = _exact(position.qty_e8, _QTY)
        balances = [_balance(balance) for balance in view.balances(found.account)]
        return Account(
            number=found.account,
            name=found.text,
            state=_state(found.state),
            currency=currencies.code_of(found.balance.currency),
            settled_only=bool(found.settled_only),
            open_orders=found.open_orders,
            balances={balance.currency: balance for balance in balances},
            groups=tuple(self._group(group) for group in view.groups_above(found.household)),
            positions=held,
        )

    def _group(self, found: GroupView) -> Group:
        above = (self._view.group(number) for number in (found.advisor, found.desk, found.firm))
        used = found.gross_e6 + found.reserved_e6
        return Group(
            number=found.group,
            name=found.name,
            level=Level(found.level),
            state=_state(found.state),
            currency=currencies.code_of(found.currency),
            limits=(
                _limit("order notional", 0, found.max_order_notional_e6, _MONEY),
                _limit("open notional", found.reserved_e6, found.max_open_notional_e6, _MONEY),
                _limit("gross exposure with open orders", used, found.max_gross_e6, _MONEY),
            ),
            above=tuple(group.name for group in above if group is not None),
        )

    def _instrument(self, found: InstrumentView) -> Instrument:
        net = found.long_e8 - found.short_e8
        return Instrument(
            number=found.instrument,
            symbol=found.symbol,
            session=(
                InstrumentState(found.state).name if found.state in set(InstrumentState) else str(found.state)
            ),
            currency=currencies.code_of(found.currency),
            settle_days=found.settle_days,
            bid=_exact(found.bid_e8, units.PRICE_SCALE),
            ask=_exact(found.ask_e8, units.PRICE_SCALE),
            last=_exact(found.last_e8, units.PRICE_SCALE),
            previous_close=_exact(found.previous_close_e8, units.PRICE_SCALE),
            reference=_exact(found.reference_e8, units.PRICE_SCALE),
            net=_exact(net, _QTY),
            gross=_exact(found.long_e8 + found.short_e8, _QTY),
            open_buy=_exact(found.open_buy_e8, _QTY),
            open_sell=_exact(found.open_sell_e8, _QTY),
            exposure=_limit("exposure", net + found.open_buy_e8, found.max_exposure_qty_e8, _QTY),
        )
