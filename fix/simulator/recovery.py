"""After a restart: the exchange made again from what it told its members.

Reports are taken in the order of their ExecIDs, over all sessions: that is the order in which things happened,
also where they were told in another one. So queues, quantities, names and numbers are what they were. What
the market outside showed, and what was taken of it, comes anew with the market; so do a seeded flow's orders.

Always holds: an order is there exactly when its report is. A report in the outbox counts when its cause was
taken. Runs before the acceptor opens the stores.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, NamedTuple

from fix.codec import parse
from fix.simulator.control import OPERATOR
from fix.simulator.copies import is_copy
from fix.simulator.exchange import Exchange, change
from fix.simulator.messages import answer_of
from fix.simulator.orders import Answer, CancelReject, MassCancelReport, NewOrder, Order, Report, StatusReport
from fix.simulator.outbox import Kept, Outbox
from fix.simulator.state import VenueState
from fix.simulator.words import ExecType
from fix.store import Store

# Read besides what open orders need, to know requests that come twice: about half a second.
REPORTS_READ_BACK: Final = 20_000
# How far a report may stand from its place in the order of ExecIDs: an ill temper tells some in another one.
REORDERED_MAX: Final = 64


class _Found(NamedTuple):
    """A report, and its MsgSeqNum; 0: it stands in the outbox only."""

    number: int
    seq: int
    report: Report


def restore(exchange: Exchange, folder: Path) -> list[Report]:
    """Makes the exchange's orders again from the stores in the acceptor's `folder`, and returns the reports
    that their owners have not been sent.

    Raises StoreError.
    """
    if not folder.is_dir():
        return []
    with ExitStack() as stack:
        outbox = stack.enter_context(closing(Outbox(folder)))
        kept = list(outbox.undelivered())
        streams: list[Iterable[_Found]] = []
        stores: dict[str, Store] = {}
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.name.startswith("_") and not is_copy(path.name):
                store = stores[path.name] = stack.enter_context(closing(Store(path)))
                streams.append(_in_order(_sent(exchange, store, path.name, len(kept))))
                if store.state:
                    exchange.registry.next_number = max(
                        exchange.next_number, VenueState.unpack(store.state).next_number
                    )
        streams.append(sorted(_Found(k.report.number, 0, k.report) for k in kept if _was_taken(k, stores)))
        return _replay(exchange, heapq.merge(*streams))


def _replay(exchange: Exchange, found: Iterator[_Found]) -> list[Report]:
    untold: list[Report] = []
    last: _Found | None = None
    for each in found:
        if last is not None and each.number == last.number:
            if last.seq == 0 and untold and untold[-1].number == each.number:
                untold.pop()  # it stands in the outbox, and was told
            continue
        apply(exchange, each.report, each.seq)
        if each.seq == 0:
            untold.append(each.report)
        last = each
    return untold


def _was_taken(kept: Kept, stores: dict[str, Store]) -> bool:
    if kept.cause is None:
        return True
    store = stores.get(kept.cause.owner)
    if store is None:
        return False
    return (store.generation, store.next_in) > (kept.cause.generation, kept.cause.seq)


def _sent(exchange: Exchange, store: Store, owner: str, more: int) -> Iterator[_Found]:
    """The reports in a store. Other answers have no ExecID, and what they tell is taken as they come."""
    needed = VenueState.unpack(store.state).oldest_needed if store.state else 1
    begin = max(1, min(needed, store.next_out - REPORTS_READ_BACK - more))
    for stored in store.read(begin, store.next_out - 1):
        answer = answer_of(parse(stored.raw), owner)
        if isinstance(answer, Report):
            yield _Found(answer.number, stored.seq, answer)
        elif answer is not None:
            _take(exchange, answer, stored.seq)


def _in_order(found: Iterator[_Found]) -> Iterator[_Found]:
    """By ExecID, where they stand near to their place."""
    waiting: list[_Found] = []
    for each in found:
        heapq.heappush(waiting, each)
        if len(waiting) > REORDERED_MAX:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def _take(exchange: Exchange, answer: Answer, seq: int) -> None:
    if isinstance(answer, StatusReport):
        if answer.owner == OPERATOR and answer.symbol in exchange.floor.books:
            exchange.floor.books[answer.symbol].phase = answer.phase
            exchange.phase_told(answer, seq)
    elif isinstance(answer, CancelReject | MassCancelReport):
        exchange.registry.remember(answer.owner, answer.cl_ord_id, None)
        if answer.order_id.startswith("S"):
            exchange.registry.used(int(answer.order_id[1:]))


def apply(exchange: Exchange, report: Report, seq: int = 0) -> None:
    """What a report tells, done to an exchange that knows all that happened before."""
    registry = exchange.registry
    registry.used(report.number)
    registry.used(int(report.order_id[1:]))
    order = registry.open_order(report.owner, report.order_id)
    if report.exec_type is ExecType.NEW:
        order = _entered(exchange, report, seq)
    elif order is None:
        order = registry.find(report.owner, report.orig_cl_ord_id or report.cl_ord_id)
        if order is not None and order.order_id != report.order_id:
            order = None
    if order is None:  # rejected, or of an order that is older than what is read
        registry.remember(report.owner, report.cl_ord_id, None)
        return
    if report.orig_cl_ord_id:
        is_its_name = report.exec_type is ExecType.REPLACED
        registry.remember(report.owner, report.cl_ord_id, order if is_its_name else None)
    _change(exchange, order, report)
    was_open = order.is_open
    order.trade(report.was_px_e8, -report.was_qty_e8)
    order.trade(report.last_px_e8, report.last_qty_e8)
    order.status = report.status
    assert order.cum_qty_e8 == report.cum_qty_e8, (
        f"report {report.exec_id} tells another sum than those before"
    )
    if report.last_qty_e8 or report.exec_ref_id:
        exchange.trades.remember(order, report)
    if report.exec_type is ExecType.TRADE:
        exchange.floor.books[order.symbol].last_e8 = report.last_px_e8
    if was_open and not order.is_open:
        exchange.floor.leave(order)


def _entered(exchange: Exchange, report: Report, seq: int) -> Order:
    order = Order(
        report.owner, report.cl_ord_id, report.order_id, report.symbol, report.side, report.tif,
        report.qty_e8, report.price_e8, report.ord_type, report.stop_px_e8,
        place=report.recording_index, arrival=report.number, first_seq=seq,
    )  # fmt: skip
    exchange.registry.add(order)
    exchange.floor.books[order.symbol].put(order)
    return order


def _change(exchange: Exchange, order: Order, report: Report) -> None:
    """A replace, or a stop order's trigger: another place in the queue, but for a replace that kept it."""
    book = exchange.floor.books[order.symbol]
    keeps = True
    if report.exec_type is ExecType.REPLACED:
        wanted = NewOrder(
            report.owner, report.cl_ord_id, report.symbol, report.side, report.tif, report.qty_e8,
            report.price_e8, report.ord_type, report.stop_px_e8,
        )  # fmt: skip
        keeps = change(order, wanted, book.discard)
    elif report.exec_type is ExecType.RESTATED:
        book.discard(order)
        order.is_triggered, keeps = True, False
    else:
        return
    if not keeps:
        order.arrival, order.place = report.number, report.recording_index
    book.put(order)
