"""What the book should say of the venue's answers and of doubts, in plain Python; beside `model.py`."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from actors.status import TERMS_NOTIONAL_E6_MAX, TERMS_QTY_E8_MAX
from core.records import ExecType, Fate, OrdStatus, OrdType
from core.rejects import Reject
from core.units import INT64_MAX, PRICE_E8_MAX, QTY_E8_MAX, notional_e6, notional_up_e6
from tests.actors.model import ENDED, PENDING, Model, Order, Replacement, Report, by_quantity, is_possible

Told = tuple[Reject, ExecType, Fate]  # of one event


class Standing(NamedTuple):
    """The venue's word on an order."""

    order_id: int
    ord_status: OrdStatus
    cum: int = 0
    avg_px: int = 0
    last_qty: int = 0
    last_px: int = 0
    qty: int = 0
    price: int = 0
    replacement: int = 0
    exec_type: ExecType = ExecType.ORDER_STATUS


def ask(model: Model, order_id: int) -> Reject:
    order = model.orders.get(order_id)
    if order is None:
        return Reject.ORDER_UNKNOWN
    if not order.is_open:
        return Reject.NOT_ASKED
    order.fate = Fate.ASKED
    return Reject.NONE


def fate_unknown(model: Model, order_id: int, code: Reject) -> Reject:
    order = model.orders.get(order_id)
    if order is None:
        return Reject.ORDER_UNKNOWN
    if not order.is_open or (code is Reject.VENUE_SILENT and order.fate not in (Fate.ASKED, Fate.OVERTAKEN)):
        return Reject.NOT_ASKED
    order.fate = Fate.UNKNOWN
    return code


def answer(model: Model, told: Standing, now_ns: int) -> list[Told]:
    """The events of an answer, or of terms that the venue tells."""
    order = model.orders.get(told.order_id)
    if order is None:
        return [(Reject.ORDER_UNKNOWN, told.exec_type, Fate.SURE)]
    was_asked = order.fate is Fate.ASKED
    events = [(Reject.NONE, kind, Fate.SURE) for kind in _terms(model, order, told)]
    if events:
        _moved(order, now_ns)
    if told.exec_type is ExecType.ORDER_STATUS:
        total = _total(model, order, told, now_ns)
        events += total
        if any(code for code, _, _ in total):
            return events
        events += _status(order, told, was_asked, now_ns)
    if events:
        return events
    if told.exec_type is ExecType.REPLACED:
        return [(Reject.REPORT_UNEXPECTED, ExecType.REPLACED, _shown(order))]
    if order.is_open:
        _moved(order, now_ns)
    return [(Reject.NONE, ExecType.ORDER_STATUS, Fate.SURE)]


def _shown(order: Order) -> Fate:
    return order.fate if order.fate is Fate.UNKNOWN else Fate.SURE


def _moved(order: Order, now_ns: int) -> None:
    order.fate = Fate.SURE
    order.updated_ns = now_ns
    if order.status in ENDED - {OrdStatus.FILLED}:
        order.replacing = None
    if not order.is_open:
        order.cancel_asked = False


def _doubt(order: Order) -> list[Told]:
    if order.is_open:
        order.fate = Fate.UNKNOWN
    return [(Reject.VENUE_TELLS_LESS, ExecType.ORDER_STATUS, _shown(order))]


def _accepted(model: Model, order: Order, number: int) -> Replacement | None:
    """The request that the venue has accepted: the pending one, or one that counted as refused."""
    asked = order.replacing
    if asked is not None and asked.number == number:
        return asked
    latest = order.replaced.number if order.replaced is not None else 0
    if order.status in ENDED - {OrdStatus.FILLED} or number <= latest:
        return None
    for named in model.ring:
        if named is not None and named.order is order and named.number == number:
            return named
    return None


def _terms(model: Model, order: Order, told: Standing) -> list[ExecType]:
    accepted = _accepted(model, order, told.replacement)
    latest = order.replaced.number if order.replaced is not None else 0
    if accepted is not None:
        order.terms = accepted.terms._replace(qty=max(accepted.terms.qty, order.filled))
        order.replaced = accepted
        if order.replacing is accepted:
            order.replacing = None
    elif order.status in ENDED or latest != told.replacement:
        return []
    qty = max(told.qty, order.filled) if told.qty > 0 else order.qty
    price = told.price if told.price > 0 else order.terms.route_price
    is_other = (qty, price) != (order.qty, order.terms.route_price)
    can_be = qty <= TERMS_QTY_E8_MAX and price <= PRICE_E8_MAX
    if is_other and can_be and notional_up_e6(qty, price) <= TERMS_NOTIONAL_E6_MAX:
        limit = price if order.ord_type is OrdType.LIMIT else order.terms.price
        order.terms = order.terms._replace(qty=qty, route_price=price, price=limit)
    elif accepted is None:
        return []
    if accepted is not None:
        order.status = OrdStatus.NEW if order.status is OrdStatus.PENDING_NEW else by_quantity(order)
        return [ExecType.REPLACED]
    if order.filled >= order.qty:
        order.status = OrdStatus.FILLED
    return [ExecType.RESTATED]


def _total(model: Model, order: Order, told: Standing, now_ns: int) -> list[Told]:
    missing = told.cum - order.filled
    if missing == 0:
        return []
    if missing < 0 or told.cum > QTY_E8_MAX or told.avg_px > PRICE_E8_MAX:
        return _doubt(order)
    if told.last_qty == missing and 0 < told.last_px <= PRICE_E8_MAX:
        px, paid = told.last_px, notional_e6(missing, told.last_px)
    elif told.avg_px > 0:
        total = notional_e6(told.cum, told.avg_px)
        paid = total - order.notional if total <= INT64_MAX else -1
        px = round(Fraction(paid * 10**10, missing)) if paid >= 0 else -1
        if paid // missing >= PRICE_E8_MAX // 10**10:
            px = -1
    else:
        return _doubt(order)
    if px <= 0 or paid > INT64_MAX:
        return _doubt(order)
    report = Report(order.order_id, ExecType.TRADE, missing, px, told=told.cum)
    code = model.book_fill(order, report, paid)
    if code:
        if order.is_open:
            order.fate = Fate.UNKNOWN
        return [(code, ExecType.TRADE, _shown(order))]
    order.told = told.cum
    if order.status not in ENDED:
        order.status = by_quantity(order)
    _moved(order, now_ns)
    return [(Reject.NONE, ExecType.TRADE, Fate.RECONCILED)]


def _status(order: Order, told: Standing, was_asked: bool, now_ns: int) -> list[Told]:
    word = told.ord_status
    is_open_word = word in PENDING | {OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED}
    if order.status in ENDED:
        if is_open_word and order.replacing is None:
            return [(Reject.REPORT_UNEXPECTED, ExecType.ORDER_STATUS, _shown(order))]
        return []
    if word in ENDED:
        if word is OrdStatus.FILLED:
            return _doubt(order)
        if word is OrdStatus.REJECTED and order.status is OrdStatus.PARTIALLY_FILLED:
            return _doubt(order)
        order.status = word
        _moved(order, now_ns)
        code = Reject.VENUE_REJECTED if word is OrdStatus.REJECTED else Reject.NONE
        return [(code, ExecType(word), Fate.SURE)]
    events: list[Told] = []
    if order.status is OrdStatus.PENDING_NEW and word is not OrdStatus.PENDING_NEW:
        order.status = OrdStatus.NEW
        _moved(order, now_ns)
        events.append((Reject.NONE, ExecType.NEW, Fate.SURE))
    if was_asked and word in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED):
        if order.cancel_asked:
            order.cancel_asked = False
            events.append((Reject.VENUE_REJECTED, ExecType.CANCEL_REJECT, Fate.SURE))
        if order.replacing is not None:
            order.replacing = None
            events.append((Reject.VENUE_REJECTED, ExecType.REPLACE_REJECT, Fate.SURE))
        if events:
            _moved(order, now_ns)
    return events


def resolve(
    model: Model, account: int, order_id: int, kind: int, qty: int, px: int, now_ns: int
) -> tuple[Reject, ExecType]:
    order = model.orders.get(order_id)
    if order is None or order.account != account:
        return Reject.ORDER_UNKNOWN, ExecType.ORDER_STATUS
    if not order.is_open or order.fate is not Fate.UNKNOWN:
        return Reject.FATE_KNOWN, ExecType.ORDER_STATUS
    leaves = max(order.qty - order.filled, 0) if order.status not in ENDED else 0
    if kind == ExecType.TRADE:
        report = Report(order_id, kind, qty, px, told=order.filled + qty)
        if not is_possible(report) or qty > leaves:
            return Reject.RESOLVED_TOO_MUCH, ExecType.ORDER_STATUS
        code = model.book_fill(order, report, notional_e6(qty, px))
        if not code:
            order.told = max(order.told, order.filled)
            order.status = by_quantity(order)
            _moved(order, now_ns)
            if order.is_open:
                order.fate = Fate.UNKNOWN
        return code, ExecType.TRADE
    if kind != ExecType.CANCELED:
        return Reject.COMMAND_UNKNOWN, ExecType.ORDER_STATUS
    was_filled = order.status is OrdStatus.FILLED
    order.replacing = None
    if not was_filled:
        order.status = OrdStatus.CANCELED
    _moved(order, now_ns)
    return Reject.NONE, ExecType.REPLACE_REJECT if was_filled else ExecType.CANCELED
