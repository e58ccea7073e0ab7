"""Accounts, positions and assets in Alpaca's words.

Always holds here: what is shown is computed from integers, and rounded only where a ratio has no end. A value
that needs a price is null while there is none; nothing is made up.
Must not do: I/O, or ask for the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from actors.view import AccountView, BalanceView, InstrumentView, PositionView
from core import currencies, ids, units
from core.records import AccountState, InstrumentState
from gateways.order_shape import average_price_e8

# Alpaca's AssetExchange has no word for a simulated venue; the empty one is its own for "none of these".
EXCHANGE: Final = ""
ASSET_CLASS: Final = "us_equity"

STATUS_WORDS: Final = {
    int(AccountState.ACTIVE): "ACTIVE",
    int(AccountState.REDUCING): "LIMITED",
    int(AccountState.HALTED): "DISABLED",
}

# Places of a ratio (unrealized_plpc): a ten-thousandth of a basis point.
_RATIO_SCALE: Final = 10**8


class Balance(msgspec.Struct, frozen=True):
    """Ours: the account's money in one currency. settled + unsettled = cash (docs/accounts.md)."""

    currency: str
    cash: str
    reserved: str
    settled: str
    unsettled: str
    withdrawable: str


class Account(msgspec.Struct, frozen=True):
    """GET /v2/account. Money is decimal text in `currency`. `cash` is by trade date and counts what open orders have
    reserved; `cash_withdrawable` is what is settled and neither reserved nor owed for purchases."""

    id: str
    account_number: str
    status: str
    cash: str
    cash_withdrawable: str
    cash_transferable: str
    buying_power: str
    reserved: str  # ours: set aside for open orders
    settled: str  # ours
    unsettled: str  # ours
    balances: list[Balance]  # ours: every currency, its own first
    equity: str
    portfolio_value: str
    long_market_value: str
    trading_blocked: bool
    account_blocked: bool
    currency: str
    short_market_value: str = "0"
    multiplier: str = "1"
    non_marginable_buying_power: str | None = None
    pattern_day_trader: bool = False
    transfers_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = False


class Position(msgspec.Struct, frozen=True):
    """GET /v2/positions. Values at the last trade; without one, at the bid."""

    asset_id: str
    symbol: str
    qty: str
    qty_available: str
    side: str
    avg_entry_price: str
    cost_basis: str
    market_value: str | None
    unrealized_pl: str | None
    unrealized_plpc: str | None
    current_price: str | None
    realized_pl: str  # ours: of what was sold since the account was opened
    exchange: str = EXCHANGE
    asset_class: str = ASSET_CLASS
    asset_marginable: bool = False
    lastday_price: str | None = None
    change_today: str | None = None


class Asset(msgspec.Struct, frozen=True):
    """GET /v2/assets. `attributes` says where its prices come from."""

    id: str
    symbol: str
    name: str
    status: str
    tradable: bool
    fractionable: bool
    min_order_size: str
    min_trade_increment: str
    price_increment: str
    attributes: list[str]
    # alpaca-py reads `class` into asset_class.
    asset_class: str = msgspec.field(name="class", default=ASSET_CLASS)
    exchange: str = EXCHANGE
    marginable: bool = False
    shortable: bool = False
    easy_to_borrow: bool = False


def market_price_e8(instrument: InstrumentView | None) -> int:
    """The price a position is valued at: the last trade, else the bid, else 0 (none)."""
    if instrument is None:
        return 0
    return instrument.last_e8 or instrument.bid_e8


def _ratio_text(numerator: int, denominator: int) -> str | None:
    if denominator == 0:
        return None
    quotient = abs(numerator) * _RATIO_SCALE // abs(denominator)
    negative = (numerator < 0) != (denominator < 0)
    return units.from_fixed(-quotient if negative else quotient, _RATIO_SCALE)


def position_shape(shard: int, instrument: InstrumentView, position: PositionView) -> Position:
    qty_e8, cost_e6 = position.qty_e8, position.cost_e6
    price_e8 = market_price_e8(instrument)
    value_e6 = units.notional_e6(qty_e8, price_e8) if price_e8 else None
    gain_e6 = None if value_e6 is None else value_e6 - cost_e6
    entry_e8 = average_price_e8(abs(cost_e6), abs(qty_e8)) if qty_e8 else 0
    return Position(
        asset_id=str(ids.instrument_uuid(shard, instrument.instrument)),
        symbol=instrument.symbol,
        qty=units.qty_text(qty_e8),
        qty_available=units.qty_text(qty_e8 - position.open_sell_e8),
        side="short" if qty_e8 < 0 else "long",
        avg_entry_price=units.price_text(entry_e8),
        cost_basis=units.cash_text(cost_e6),
        market_value=None if value_e6 is None else units.cash_text(value_e6),
        unrealized_pl=None if gain_e6 is None else units.cash_text(gain_e6),
        unrealized_plpc=None if gain_e6 is None else _ratio_text(gain_e6, cost_e6),
        current_price=units.price_text(price_e8) if price_e8 else None,
        realized_pl=units.cash_text(position.realized_e6),
    )


def _balance_shape(balance: BalanceView) -> Balance:
    return Balance(
        currency=currencies.code_of(balance.currency),
        cash=units.cash_text(balance.cash_e6),
        reserved=units.cash_text(balance.reserved_e6),
        settled=units.cash_text(balance.settled_e6),
        unsettled=units.cash_text(balance.unsettled_e6),
        withdrawable=units.cash_text(max(balance.withdrawable_e6, 0)),
    )


def account_shape(
    shard: int,
    account: AccountView,
    number: str,
    held: Iterable[tuple[PositionView, InstrumentView | None]],
    balances: Iterable[BalanceView],
) -> Account:
    """`held`: the positions with their instruments. One without a price counts at its cost; one that is paid with
    another currency than the account's own does not count: nothing here converts money."""
    own = account.balance
    value_e6 = 0
    for position, instrument in held:
        if instrument is not None and instrument.currency != own.currency:
            continue
        price_e8 = market_price_e8(instrument)
        value_e6 += units.notional_e6(position.qty_e8, price_e8) if price_e8 else position.cost_e6
    withdrawable = units.cash_text(max(own.withdrawable_e6, 0))
    buying_power = units.cash_text(own.withdrawable_e6 if account.settled_only else own.free_e6)
    equity = units.cash_text(account.cash_e6 + value_e6)
    return Account(
        id=str(ids.account_uuid(shard, account.account)),
        account_number=number,
        status=STATUS_WORDS[account.state],
        currency=currencies.code_of(own.currency),
        cash=units.cash_text(account.cash_e6),
        cash_withdrawable=withdrawable,
        cash_transferable=withdrawable,
        buying_power=buying_power,
        non_marginable_buying_power=buying_power,
        reserved=units.cash_text(account.reserved_e6),
        settled=units.cash_text(own.settled_e6),
        unsettled=units.cash_text(own.unsettled_e6),
        balances=[_balance_shape(balance) for balance in balances],
        equity=equity,
        portfolio_value=equity,
        long_market_value=units.cash_text(value_e6),
        trading_blocked=account.state != AccountState.ACTIVE,
        account_blocked=account.state == AccountState.HALTED,
    )


def asset_shape(shard: int, instrument: InstrumentView, name: str, source: str) -> Asset:
    lot = units.qty_text(instrument.lot_e8)
    return Asset(
        id=str(ids.instrument_uuid(shard, instrument.instrument)),
        symbol=instrument.symbol,
        name=name,
        status="active",
        tradable=instrument.state
        in (InstrumentState.OPEN, InstrumentState.PRE_OPEN, InstrumentState.AUCTION),
        fractionable=instrument.lot_e8 < units.QTY_SCALE,
        min_order_size=lot,
        min_trade_increment=lot,
        price_increment=units.price_text(instrument.tick_e8),
        attributes=[f"source: {source}"],
    )
