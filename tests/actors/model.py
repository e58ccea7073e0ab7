"""What a desk's book should say, in plain Python: the rules as the policy and the order's life state them.

Nothing here is taken from `actors/`: reservations and open quantities are not kept but summed up from the orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from core.currencies import USD
from core.records import (
    NO_LIMIT,
    SETTLE_DAYS_EQUITY,
    AccountState,
    CommandKind,
    ExecType,
    Fate,
    InstrumentState,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from core.rejects import Reject
from core.units import INT64_MAX, PRICE_E8_MAX, QTY_E8_MAX, notional_e6, notional_up_e6
from tests.actors import model_money
from tests.actors.model_money import Balance, Money
from tests.core.test_positions import Oracle

ENDED = {OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED}
PENDING = {OrdStatus.PENDING_NEW, OrdStatus.PENDING_CANCEL, OrdStatus.PENDING_REPLACE}
RESTING = {TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD}
MONEY_MAX = INT64_MAX
REPLACEMENTS = 16  # rows of the table that a desk of these tests has


class Terms(NamedTuple):
    """What an order shall be: quantity, limit (0: none), limit for the venue, how long."""

    qty: int
    price: int
    route_price: int
    tif: int = TimeInForce.DAY
    expire_ns: int = 0


@dataclass
class Replacement:
    """A name in the ring of replacements."""

    order: Order
    number: int
    name: str
    terms: Terms


@dataclass
class Fill:
    """A fill as it was booked, with what it moved; qty 0: undone."""

    qty: int
    px: int
    cost: int
    realized: int
    due: int  # settled when so many days have ended


@dataclass
class Order:
    order_id: int
    account: int
    instrument: int
    side: Side
    ord_type: OrdType
    terms: Terms
    client_order_id: str
    created_ns: int = 0
    updated_ns: int = 0
    status: OrdStatus = OrdStatus.PENDING_NEW
    filled: int = 0
    notional: int = 0
    cancel_asked: bool = False
    fate: Fate = Fate.SURE
    told: int = 0  # all that the venue has told to be filled, once a fill was booked by that
    asked: int = 0  # how many replacements
    replacing: Replacement | None = None
    replaced: Replacement | None = None
    fills: dict[str, Fill] = field(default_factory=dict)

    @property
    def qty(self) -> int:
        return self.terms.qty

    @property
    def is_open(self) -> bool:
        return self.status not in ENDED or self.replacing is not None

    def _rests(self) -> list[tuple[int, int]]:
        """(quantity, price) that may still trade, under the terms that hold and under those that are asked for."""
        rests = [] if self.status in ENDED else [(self.qty - self.filled, self.terms.route_price)]
        if self.replacing is not None:
            rests.append((self.replacing.terms.qty - self.filled, self.replacing.terms.route_price))
        return [(max(qty, 0), price) for qty, price in rests]

    @property
    def open_qty(self) -> int:
        return max((qty for qty, _ in self._rests()), default=0)

    @property
    def reserved(self) -> int:
        if self.side is Side.SELL:
            return 0
        return max((notional_up_e6(qty, price) for qty, price in self._rests()), default=0)

    @property
    def shown_status(self) -> OrdStatus:
        if not self.is_open:
            return self.status
        if self.cancel_asked:
            return OrdStatus.PENDING_CANCEL
        return self.status if self.replacing is None else OrdStatus.PENDING_REPLACE

    def overtake(self) -> None:
        """A request after the question."""
        if self.fate is Fate.ASKED:
            self.fate = Fate.OVERTAKEN

    @property
    def name(self) -> str:
        return self.client_order_id if self.replaced is None else self.replaced.name


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
        self.ring: list[Replacement | None] = [None] * REPLACEMENTS
        self.next_in_ring = 0

    def open_orders(
        self, account: int, instrument: int | None = None, side: Side | None = None
    ) -> list[Order]:
        return [
            o for o in self.orders.values()
            if o.account == account and o.open_qty and instrument in (None, o.instrument) and side in (None, o.side)
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
        return sum(o.open_qty for o in self.open_orders(account, instrument, side))

    def held(self, account: int, instrument: int) -> Oracle:
        return self.accounts[account].positions.get(instrument, Oracle())

    def named(self, account: int, name: str) -> Order | None:
        """The order that has the name, or had it."""
        for order in self.orders.values():
            if (order.account, order.client_order_id) == (account, name):
                return order
        for entry in self.ring:
            if entry is not None and (entry.order.account, entry.name) == (account, name):
                return entry.order
        return None

    # --- orders

    def judge(
        self, account_no: int, instrument_no: int, side: Side, ord_type: OrdType, terms: Terms,
        client_order_id: str, quote: tuple[int, int, int], now_ns: int,
    ) -> tuple[Reject, int]:  # fmt: skip
        """(why not, the price for the venue). quote: bid, ask, age in ms."""
        if not expires_rightly(terms, now_ns):
            return Reject.EXPIRE_TIME_PAST, 0
        if account_no not in self.accounts:
            return Reject.ACCOUNT_UNKNOWN, 0
        if instrument_no not in self.instruments:
            return Reject.INSTRUMENT_UNKNOWN, 0
        if self.named(account_no, client_order_id) is not None:
            return Reject.DUPLICATE_CLIENT_ORDER_ID, 0
        return self.policy(account_no, instrument_no, side, ord_type, terms, quote, None)

    def policy(
        self, account_no: int, instrument_no: int, side: Side, ord_type: OrdType, terms: Terms,
        quote: tuple[int, int, int], replaced: Order | None,
    ) -> tuple[Reject, int]:  # fmt: skip
        """The checks. Of a replacement, what the order it replaces has filled counts as done and what that order
        holds as free."""
        account, instrument = self.accounts[account_no], self.instruments[instrument_no]
        qty, price = terms.qty, terms.price
        bid, ask, age_ms = quote
        buying = side is Side.BUY
        if account.state == AccountState.REDUCING and buying:
            return Reject.ACCOUNT_REDUCING, 0
        if account.state not in (AccountState.ACTIVE, AccountState.REDUCING):
            return Reject.ACCOUNT_NOT_ACTIVE, 0
        code = model_money.judge_states(self, account, buying)
        code = code or model_money.judge_session(instrument, ord_type, immediate=terms.tif == TimeInForce.IOC)
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
        rest, own_open, own_reserved = qty, 0, 0
        if replaced is not None:
            rest, own_open, own_reserved = qty - replaced.filled, replaced.open_qty, replaced.reserved
            needed = notional_up_e6(rest, price)
        more = rest - own_open
        if buying and held + self.open_qty(account_no, instrument_no, Side.BUY) + more > account.max_position:
            return Reject.POSITION_OVER_LIMIT, 0
        if not buying and more > held - self.open_qty(account_no, instrument_no, Side.SELL):
            return Reject.POSITION_NOT_HELD, 0
        currency = instrument.currency
        code = model_money.judge_exposure(self, instrument_no, more, buying)
        code = code or model_money.judge_money(self, account_no, currency, needed - own_reserved, buying)
        code = code or model_money.judge_limits(self, account, currency, needed, buying, own_reserved)
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

    def replace(
        self, account_no: int, instrument_no: int, order_id: int, name: str, asked: Terms,
        quote: tuple[int, int, int], now_ns: int,
    ) -> tuple[Reject, Terms | None]:  # fmt: skip
        """(why not, the terms that are asked for). Zeros in `asked` leave what is."""
        order = self.orders.get(order_id)
        if order is None or order.account != account_no:
            return Reject.ORDER_UNKNOWN, None
        if order.shown_status in ENDED or order.cancel_asked or order.replacing is not None:
            return Reject.ORDER_NOT_REPLACEABLE, None
        if instrument_no != order.instrument:
            return Reject.INSTRUMENT_UNKNOWN, None
        now = order.terms
        terms = Terms(
            asked.qty or now.qty, asked.price or now.price, 0, asked.tif or now.tif,
            asked.expire_ns if asked.tif else now.expire_ns,
        )  # fmt: skip
        if terms.tif != now.tif and terms.tif not in RESTING:
            return Reject.COMMAND_UNKNOWN, None
        if not expires_rightly(terms, now_ns):
            return Reject.EXPIRE_TIME_PAST, None
        if self.named(account_no, name) is not None:
            return Reject.DUPLICATE_CLIENT_ORDER_ID, None
        if terms.qty <= order.filled:
            return Reject.QTY_BELOW_FILLED, None
        code, price = self.policy(account_no, instrument_no, order.side, order.ord_type, terms, quote, order)
        if code:
            return code, None
        at = self._free_in_ring()
        if at is None:
            return Reject.REPLACEMENT_TABLE_FULL, None
        order.asked += 1
        terms = terms._replace(route_price=price)
        order.replacing = self.ring[at] = Replacement(order, order.asked, name, terms)
        self.next_in_ring = (at + 1) % REPLACEMENTS
        order.overtake()
        order.updated_ns = now_ns
        return Reject.NONE, terms

    def _free_in_ring(self) -> int | None:
        """The oldest place whose name no open order is under or waits for."""
        for step in range(REPLACEMENTS):
            at = (self.next_in_ring + step) % REPLACEMENTS
            entry = self.ring[at]
            if entry is None or not entry.order.is_open:
                return at
            if entry is not entry.order.replacing and entry is not entry.order.replaced:
                return at
        return None

    def cancel(self, account: int, order_id: int, now_ns: int) -> Reject:
        order = self.orders.get(order_id)
        if order is None or order.account != account:
            return Reject.ORDER_UNKNOWN
        if not order.is_open or order.cancel_asked:
            return Reject.ORDER_NOT_OPEN
        order.cancel_asked = True
        order.overtake()
        order.updated_ns = now_ns
        return Reject.NONE

    def report(self, report: Report, now_ns: int) -> tuple[Reject, int]:
        """(why it changes nothing, or the venue's reject; the execution type that it is told as)."""
        order = self.orders.get(report.order_id)
        if order is None:
            return Reject.ORDER_UNKNOWN, report.exec_type
        code, told_as = self._report(order, report)
        if code in (Reject.NONE, Reject.VENUE_REJECTED):
            order.fate = Fate.SURE
            order.updated_ns = now_ns
            if order.status in ENDED - {OrdStatus.FILLED}:
                order.replacing = None
            if not order.is_open:
                order.cancel_asked = False
        return code, told_as

    def _report(self, order: Order, report: Report) -> tuple[Reject, int]:
        kind, asked = report.exec_type, order.replacing
        answers = asked is not None and asked.number == report.replacement
        if kind == ExecType.CANCEL_REJECT:
            order.cancel_asked = False
            return Reject.VENUE_REJECTED, kind
        if kind == ExecType.REPLACE_REJECT:
            if answers:
                order.replacing = None
            return Reject.VENUE_REJECTED, kind
        if kind == ExecType.ORDER_STATUS:
            told = {
                OrdStatus.CANCELED: ExecType.CANCELED, OrdStatus.REJECTED: ExecType.REJECTED,
                OrdStatus.EXPIRED: ExecType.EXPIRED,
            }  # fmt: skip
            if order.status == OrdStatus.PENDING_NEW:
                told[OrdStatus.NEW] = ExecType.NEW
            if report.ord_status not in told:
                return Reject.NONE, kind
            kind = told[OrdStatus(report.ord_status)]
        if kind == ExecType.TRADE:
            return self._fill(order, report), kind
        if kind in (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT):
            return self._undo(order, report), kind
        if kind == ExecType.REPLACED and asked is not None and answers:
            order.terms = asked.terms._replace(qty=max(asked.terms.qty, order.filled))
            order.replaced, order.replacing = asked, None
            order.status = by_quantity(order)
            return Reject.NONE, kind
        allowed: dict[int, tuple[set[OrdStatus], OrdStatus]] = {
            ExecType.NEW: ({OrdStatus.PENDING_NEW}, OrdStatus.NEW),
            ExecType.REJECTED: ({OrdStatus.PENDING_NEW, OrdStatus.NEW}, OrdStatus.REJECTED),
            ExecType.CANCELED: (set(OrdStatus) - ENDED, OrdStatus.CANCELED),
            ExecType.EXPIRED: (set(OrdStatus) - ENDED, OrdStatus.EXPIRED),
        }
        from_status, after = allowed.get(kind, (set(), OrdStatus.NEW))
        if order.status not in from_status:
            return Reject.REPORT_UNEXPECTED, report.exec_type
        order.status = after
        return Reject.VENUE_REJECTED if after is OrdStatus.REJECTED else Reject.NONE, kind

    def _fill(self, order: Order, report: Report) -> Reject:
        if not is_possible(report):
            return Reject.REPORT_UNEXPECTED
        code = self.book_fill(order, report, notional_e6(report.qty, report.px))
        if not code and order.status not in ENDED:
            order.status = by_quantity(order)
        return code

    def book_fill(self, order: Order, report: Report, paid: int) -> Reject:
        """Why a fill that costs so much is not booked."""
        if report.exec_id in order.fills:
            return Reject.EXECUTION_REPEATED
        told = max(order.told, report.told)
        if order.told and order.filled + report.qty > told:
            return Reject.EXECUTION_REPEATED
        if not self._can_book(order, report, paid):
            return Reject.AMOUNT_OVERFLOW
        self._book(order, report, paid)
        order.told = told if order.told else 0
        return Reject.NONE

    def _can_book(self, order: Order, report: Report, paid: int, without: Fill | None = None) -> bool:
        """`without`: the fill that it corrects, which the position no longer counts."""
        account, position = self.accounts[order.account], self.held(order.account, order.instrument)
        held, cost, realized = position.qty, position.cost, position.realized
        if without is not None:
            held, cost, realized = position_without(position, order.side, without)
        amount = -sign(order.side) * paid
        cash = model_money.balance(account, self.instruments[order.instrument].currency).cash
        largest = (
            paid, cash + amount, order.filled + report.qty, order.notional + paid,
            abs(held) + report.qty, abs(realized) + abs(cost) + paid,
        )  # fmt: skip
        counted = model_money.fits(self, account, order.instrument, amount, report.qty)
        return counted and all(abs(number) <= INT64_MAX for number in largest)

    def _book(self, order: Order, report: Report, paid: int) -> None:
        account, instrument = self.accounts[order.account], self.instruments[order.instrument]
        position = account.positions[order.instrument]
        cost, realized = position.cost, position.realized
        position.fill(order.side, report.qty, paid)
        model_money.pay(self, account, instrument, -sign(order.side) * paid)
        order.filled += report.qty
        order.notional += paid
        if report.exec_id:
            moved = position.cost - cost, position.realized - realized
            due = self.money.days_ended + instrument.settle_days
            order.fills[report.exec_id] = Fill(report.qty, report.px, *moved, due)

    def _undo(self, order: Order, report: Report) -> Reject:
        """A bust or correction: the fill's own moves are taken back, and a corrected one is booked."""
        done = order.fills.get(report.exec_ref_id)
        if done is None or done.qty == 0:
            return Reject.EXECUTION_UNKNOWN
        corrects = report.exec_type == ExecType.TRADE_CORRECT
        if corrects and report.exec_id in order.fills:
            return Reject.EXECUTION_REPEATED
        if corrects and not is_possible(report):
            return Reject.REPORT_UNEXPECTED
        account, position = self.accounts[order.account], self.held(order.account, order.instrument)
        amount = -sign(order.side) * notional_e6(done.qty, done.px)
        if not self._can_undo(order, done, amount):
            return Reject.AMOUNT_OVERFLOW
        paid = notional_e6(report.qty, report.px) if corrects else 0
        if corrects and not self._can_book(order, report, paid, done):
            return Reject.AMOUNT_OVERFLOW
        position.qty, position.cost, position.realized = position_without(position, order.side, done)
        model_money.take_back(self, account, self.instruments[order.instrument], amount, done.due)
        order.filled -= done.qty
        order.notional -= abs(amount)
        undone, done.qty = done.qty, 0
        if order.told:
            order.told = max(order.told + (report.qty if corrects else 0) - undone, 0)
        if corrects:
            self._book(order, report, paid)
        order.status = after_undo(order, report.ord_status)
        return Reject.NONE

    def _can_undo(self, order: Order, done: Fill, amount: int) -> bool:
        account, position = self.accounts[order.account], self.held(order.account, order.instrument)
        currency = self.instruments[order.instrument].currency
        cost, realized = abs(position.cost) + abs(done.cost), abs(position.realized) + abs(done.realized)
        bought, owed, _, _ = model_money.exposure(self, order.instrument)
        sums = [cost + realized, abs(position.qty) + done.qty, bought + owed + done.qty]
        sums.append(abs(model_money.balance(account, currency).cash - amount))
        for number, group in self.money.chain(account.household):
            if group.currency == currency:
                sums.append(model_money.group_gross(self, number) + abs(done.cost))
        return max(sums) <= INT64_MAX

    # --- timers

    def timer(self, kind: CommandKind, account: int, order_id: int, due_ns: int, now_ns: int) -> Reject:
        order = self.orders.get(order_id)
        if order is None or order.account != account:
            return Reject.ORDER_UNKNOWN
        if kind is CommandKind.DAY_END:
            is_its_day = order.terms.tif == TimeInForce.DAY and order.created_ns < due_ns <= now_ns
            if order.status in ENDED or not is_its_day:
                return Reject.TIMER_NOT_DUE
            order.status, order.cancel_asked, order.replacing = OrdStatus.EXPIRED, False, None
            order.fate = Fate.SURE
            order.updated_ns = now_ns
        elif kind is CommandKind.EXPIRE:
            is_past = order.terms.tif == TimeInForce.GTD and order.terms.expire_ns <= now_ns
            if not is_past or not order.is_open or order.cancel_asked:
                return Reject.TIMER_NOT_DUE
            order.cancel_asked = True
            order.overtake()
            order.updated_ns = now_ns
        else:
            waits = order.shown_status in PENDING and order.fate is Fate.SURE
            if not waits or not order.updated_ns <= due_ns <= now_ns:
                return Reject.TIMER_NOT_DUE
            order.fate = Fate.ASKED
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


class Report(NamedTuple):
    """A venue's report, as far as the book asks."""

    order_id: int
    exec_type: int
    qty: int = 0
    px: int = 0
    ord_status: int = OrdStatus.NEW
    exec_id: str = ""
    exec_ref_id: str = ""
    replacement: int = 0
    told: int = 0  # CumQty


def sign(side: Side) -> int:
    return 1 if side is Side.BUY else -1


def is_possible(report: Report) -> bool:
    return 0 < report.qty <= QTY_E8_MAX and 0 <= report.px <= PRICE_E8_MAX


def expires_rightly(terms: Terms, now_ns: int) -> bool:
    return terms.expire_ns > now_ns if terms.tif == TimeInForce.GTD else terms.expire_ns == 0


def by_quantity(order: Order) -> OrdStatus:
    if order.filled >= order.qty:
        return OrdStatus.FILLED
    return OrdStatus.PARTIALLY_FILLED if order.filled else OrdStatus.NEW


def after_undo(order: Order, told: int) -> OrdStatus:
    """An open order goes by its quantity; a filled one by what the venue says of it; another end stays."""
    if order.status not in ENDED:
        return by_quantity(order)
    if order.status is not OrdStatus.FILLED or order.filled >= order.qty:
        return order.status
    if told in PENDING | {OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED}:
        return by_quantity(order)
    return OrdStatus(told) if told in (OrdStatus.FILLED, OrdStatus.EXPIRED) else OrdStatus.CANCELED


def position_without(position: Oracle, side: Side, fill: Fill) -> tuple[int, int, int]:
    """Quantity, cost and realised without what the fill moved; a cost that does not go with the quantity has been
    gained or lost."""
    qty, cost = position.qty - sign(side) * fill.qty, position.cost - fill.cost
    realized = position.realized - fill.realized
    return (qty, cost, realized) if cost * qty > 0 else (qty, 0, realized - cost)
