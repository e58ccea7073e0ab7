"""What a desk's book should say, in plain Python: the rules as the policy and the order's life state them.

Nothing here is taken from `actors/`: reservations and open quantities are not kept but summed up from the orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from core.currencies import USD
from core.records import (
    NO_LIMIT,
    SETTLE_DAYS_EQUITY,
    AccountState,
    ExecType,
    InstrumentState,
    OrdStatus,
    OrdType,
    Side,
)
from core.rejects import Reject
from core.units import INT64_MAX, PRICE_E8_MAX, QTY_E8_MAX, notional_e6, notional_up_e6
from tests.actors import model_money
from tests.actors.model_money import Balance, Money
from tests.core.test_positions import Oracle

ENDED = {OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED}
MONEY_MAX = INT64_MAX


@dataclass
class Order:
    order_id: int
    account: int
    instrument: int
    side: Side
    qty: int
    route_price: int
    client_order_id: str
    status: OrdStatus = OrdStatus.PENDING_NEW
    filled: int = 0
    notional: int = 0
    cancel_asked: bool = False

    @property
    def leaves(self) -> int:
        return 0 if self.status in ENDED else max(self.qty - self.filled, 0)

    @property
    def reserved(self) -> int:
        return notional_up_e6(self.leaves, self.route_price) if self.side is Side.BUY else 0

    @property
    def shown_status(self) -> OrdStatus:
        return OrdStatus.PENDING_CANCEL if self.cancel_asked and self.status not in ENDED else self.status


@dataclass
class Account:
    max_qty: int
    max_notional: int
    max_position: int
    state: int = AccountState.ACTIVE
    currency: int = USD
    settled_only: bool = False
    household: int = 0
    positions: dict[int, Oracle] = field(default_factory=dict)
    balances: dict[int, Balance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.balances[self.currency] = Balance()

    @property
    def cash(self) -> int:
        """In the account's own currency."""
        return self.balances[self.currency].cash


@dataclass
class Instrument:
    tick: int
    lot: int
    max_qty: int
    collar_bps: int
    quote_age_ms_max: int
    state: int = InstrumentState.OPEN
    currency: int = USD
    settle_days: int = SETTLE_DAYS_EQUITY
    tick_table: int = 0
    lot_table: int = 0
    band_bps: int = 0
    max_exposure: int = NO_LIMIT
    previous_close: int = 0
    reference: int = 0


class Model:
    def __init__(self) -> None:
        self.money = Money()
        self.accounts: dict[int, Account] = {}
        self.instruments: dict[int, Instrument] = {}
        self.orders: dict[int, Order] = {}

    def open_orders(
        self, account: int, instrument: int | None = None, side: Side | None = None
    ) -> list[Order]:
        return [
            o for o in self.orders.values()
            if o.account == account and o.leaves and instrument in (None, o.instrument) and side in (None, o.side)
        ]  # fmt: skip

    def reserved(self, account: int, currency: int | None = None) -> int:
        """In a currency; in the account's own where none is named."""
        currency = currency or self.accounts[account].currency
        return sum(
            o.reserved
            for o in self.open_orders(account)
            if self.instruments[o.instrument].currency == currency
        )

    def open_orders_of(self, accounts: list[int]) -> list[Order]:
        return [order for account in accounts for order in self.open_orders(account)]

    def open_qty(self, account: int, instrument: int, side: Side) -> int:
        return sum(o.leaves for o in self.open_orders(account, instrument, side))

    def held(self, account: int, instrument: int) -> Oracle:
        return self.accounts[account].positions.get(instrument, Oracle())

    # --- orders

    def judge(
        self, account_no: int, instrument_no: int, side: Side, ord_type: OrdType, qty: int, price: int,
        client_order_id: str, bid: int, ask: int, age_ms: int,
    ) -> tuple[Reject, int]:  # fmt: skip
        """(why not, the price for the venue)."""
        if account_no not in self.accounts:
            return Reject.ACCOUNT_UNKNOWN, 0
        if instrument_no not in self.instruments:
            return Reject.INSTRUMENT_UNKNOWN, 0
        account, instrument = self.accounts[account_no], self.instruments[instrument_no]
        if any(
            o.account == account_no and o.client_order_id == client_order_id for o in self.orders.values()
        ):
            return Reject.DUPLICATE_CLIENT_ORDER_ID, 0
        buying = side is Side.BUY
        if account.state == AccountState.REDUCING and buying:
            return Reject.ACCOUNT_REDUCING, 0
        if account.state not in (AccountState.ACTIVE, AccountState.REDUCING):
            return Reject.ACCOUNT_NOT_ACTIVE, 0
        code = model_money.judge_states(self, account, buying)
        code = code or model_money.judge_session(instrument, ord_type, immediate=False)
        if code:
            return code, 0
        if qty <= 0:
            return Reject.QTY_NOT_POSITIVE, 0
        if qty % instrument.lot:
            return Reject.QTY_OFF_LOT, 0
        if ord_type is OrdType.LIMIT and price <= 0:
            return Reject.PRICE_NOT_POSITIVE, 0
        if ord_type is OrdType.LIMIT and price % model_money.tick_at(self, instrument, price):
            return Reject.PRICE_OFF_TICK, 0
        if code := model_money.judge_lot(self, instrument, qty):
            return code, 0
        if qty > min(account.max_qty, instrument.max_qty):
            return Reject.QTY_OVER_MAX, 0
        code, price = self._judge_price(instrument, buying, ord_type, price, ask if buying else bid, age_ms)
        if code:
            return code, 0
        needed = notional_up_e6(qty, price)
        if needed > MONEY_MAX:
            return Reject.AMOUNT_OVERFLOW, 0
        if needed > account.max_notional:
            return Reject.NOTIONAL_OVER_MAX, 0
        held = self.held(account_no, instrument_no).qty
        if buying and held + self.open_qty(account_no, instrument_no, Side.BUY) + qty > account.max_position:
            return Reject.POSITION_OVER_LIMIT, 0
        if not buying and qty > held - self.open_qty(account_no, instrument_no, Side.SELL):
            return Reject.POSITION_NOT_HELD, 0
        code = model_money.judge_exposure(self, instrument_no, qty, buying)
        code = code or model_money.judge_money(self, account_no, instrument.currency, needed, buying)
        code = code or model_money.judge_limits(self, account, instrument.currency, needed, buying)
        return code, 0 if code else price

    def _judge_price(
        self, instrument: Instrument, buying: bool, ord_type: OrdType, price: int, touch: int, age_ms: int
    ) -> tuple[Reject, int]:
        """Collar and static band; the price for the venue."""
        static, continuous = model_money.static_price(instrument), instrument.state == InstrumentState.OPEN
        bps = instrument.band_bps or (0 if continuous else instrument.collar_bps)
        low, high = (static + Fraction(static * sign * bps, 10_000) for sign in (-1, 1))
        banded = not continuous or bool(static and bps)
        if continuous:
            if touch <= 0 or age_ms > instrument.quote_age_ms_max:
                return Reject.NO_FRESH_QUOTE, 0
            room = Fraction(touch * instrument.collar_bps, 10_000)
            worst = touch + room if buying else touch - room
            if ord_type is OrdType.LIMIT and (price > worst if buying else price < worst):
                return Reject.PRICE_OUTSIDE_COLLAR, 0
            if banded:
                worst = min(worst, high) if buying else max(worst, low)
        elif not static:
            return Reject.NO_REFERENCE_PRICE, 0
        else:
            worst = high if buying else low
        if ord_type is not OrdType.LIMIT:  # market with protection: the last tick inside the bound
            tick = model_money.tick_at(self, instrument, worst.__floor__() if buying else worst.__ceil__())
            ticks = worst / tick
            price = (ticks.__floor__() if buying else ticks.__ceil__()) * tick
        if banded and not low <= price <= high:
            return Reject.PRICE_OUTSIDE_BAND, 0
        return Reject.NONE, price

    def cancel(self, account: int, order_id: int) -> Reject:
        order = self.orders.get(order_id)
        if order is None or order.account != account:
            return Reject.ORDER_UNKNOWN
        if order.status in ENDED or order.cancel_asked:
            return Reject.ORDER_NOT_OPEN
        order.cancel_asked = True
        return Reject.NONE

    def report(self, order_id: int, exec_type: int, qty: int, px: int) -> Reject:
        """A fill moves money whatever the status; the rest only moves an order that has not ended."""
        order = self.orders.get(order_id)
        if order is None:
            return Reject.ORDER_UNKNOWN
        if exec_type == ExecType.CANCEL_REJECT:
            order.cancel_asked = False
            return Reject.VENUE_REJECTED
        if exec_type == ExecType.TRADE:
            return self._fill(order, qty, px)
        allowed: dict[int, tuple[set[OrdStatus], OrdStatus]] = {
            ExecType.NEW: ({OrdStatus.PENDING_NEW}, OrdStatus.NEW),
            ExecType.REJECTED: ({OrdStatus.PENDING_NEW, OrdStatus.NEW}, OrdStatus.REJECTED),
            ExecType.CANCELED: (set(OrdStatus) - ENDED, OrdStatus.CANCELED),
            ExecType.EXPIRED: (set(OrdStatus) - ENDED, OrdStatus.EXPIRED),
        }
        from_status, after = allowed.get(exec_type, (set(), OrdStatus.NEW))
        if order.status not in from_status:
            return Reject.REPORT_UNEXPECTED
        order.status = after
        if after in ENDED:
            order.cancel_asked = False
        return Reject.VENUE_REJECTED if after is OrdStatus.REJECTED else Reject.NONE

    def _fill(self, order: Order, qty: int, px: int) -> Reject:
        if not 0 < qty <= QTY_E8_MAX or not 0 <= px <= PRICE_E8_MAX:
            return Reject.REPORT_UNEXPECTED
        paid = notional_e6(qty, px)
        account = self.accounts[order.account]
        position = account.positions[order.instrument]
        instrument = self.instruments[order.instrument]
        amount = -paid if order.side is Side.BUY else paid
        cash = model_money.balance(account, instrument.currency).cash + amount
        largest = (
            paid, cash, order.filled + qty, order.notional + paid, abs(position.qty) + qty,
            abs(position.realized) + abs(position.cost) + paid,
        )  # fmt: skip
        counted = model_money.fits(self, account, order.instrument, amount, qty)
        if not counted or any(abs(number) > INT64_MAX for number in largest):
            return Reject.AMOUNT_OVERFLOW
        position.fill(order.side, qty, paid)
        model_money.pay(self, account, instrument, amount)
        order.filled += qty
        order.notional += paid
        if order.status not in ENDED:
            order.status = OrdStatus.FILLED if order.filled >= order.qty else OrdStatus.PARTIALLY_FILLED
        if order.status in ENDED:
            order.cancel_asked = False
        return Reject.NONE

    # --- breaks

    def break_found(self, account_no: int, order_id: int) -> int:
        """The account that may only reduce from now on; 0: nobody's."""
        order = self.orders.get(order_id)
        account_no = order.account if order is not None else account_no
        if account_no not in self.accounts:
            return 0
        account = self.accounts[account_no]
        account.state = AccountState.HALTED if account.state == AccountState.HALTED else AccountState.REDUCING
        return account_no
