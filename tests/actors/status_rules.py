"""Rules of the random histories: the venue is asked, answers, knows nothing, changes terms; and a person resolves."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core import commands
from core.events import Event
from core.records import ExecType, Fate, OrdStatus
from core.rejects import Reject
from core.units import QTY_E8_MAX, qty_e8
from tests.actors import model_status
from tests.actors.desk import ASK_E8, LOT_E8, TICK_E8, Desk
from tests.actors.model import Model, Order
from tests.actors.model_status import Standing

WORDS = st.one_of(st.sampled_from([OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED]), st.sampled_from(OrdStatus))
PRICES = st.integers(-50, 50).map(lambda n: ASK_E8 + n * TICK_E8)
MORE = st.one_of(st.just(0), st.integers(1, 40).map(lambda n: n * LOT_E8), st.integers(1, 9).map(qty_e8))


class StatusRules(RuleBasedStateMachine):
    desk: Desk
    model: Model

    def shows(self, event: Event, order: Order) -> None:
        raise NotImplementedError("the history's")

    def some_order(self, data: st.DataObject) -> int:
        raise NotImplementedError("the history's")

    @rule(data=st.data())
    def the_venue_is_asked(self, data: st.DataObject) -> None:
        order_id = self.some_order(data)
        code = model_status.ask(self.model, order_id)
        assert self.desk.do(commands.ask_venue(account=1, order_id=order_id)).reject_code == code

    @rule(data=st.data(), code=st.sampled_from([Reject.VENUE_KNOWS_NOT, Reject.VENUE_SILENT]))
    def nobody_knows(self, data: st.DataObject, code: Reject) -> None:
        order_id = self.some_order(data)
        told = model_status.fate_unknown(self.model, order_id, code)
        event = self.desk.fate_unknown(order_id, code)
        assert event.reject_code == told
        if order_id in self.model.orders:
            self.shows(event, self.model.orders[order_id])

    @precondition(lambda self: self.model.orders)
    @rule(
        data=st.data(), word=WORDS, more=MORE, px=PRICES, is_last=st.booleans(), odd=st.integers(0, 11),
        is_pending=st.booleans(),
    )  # fmt: skip
    def the_venue_answers(
        self,
        data: st.DataObject,
        word: OrdStatus,
        more: int,
        px: int,
        is_last: bool,
        odd: int,
        is_pending: bool,
    ) -> None:
        """Mostly with what could be; odd: a total that is none."""
        order = data.draw(st.sampled_from([*self.model.orders.values()]))
        number = order.replaced.number if order.replaced is not None else 0
        if is_pending and order.replacing is not None:
            number = order.replacing.number
        cum = {0: order.filled - 1, 1: QTY_E8_MAX + 1, 2: QTY_E8_MAX}.get(odd, order.filled + more)
        paid = order.notional * 10**10 + (cum - order.filled) * px
        avg = {3: 0, 4: 1, 5: 10**18 + 1}.get(odd, paid // cum if cum > 0 else 0)
        last = (more, px) if is_last else (0, 0)
        self.apply_standing(
            Standing(
                order.order_id, word, max(cum, 0), min(max(avg, 0), 2 * 10**18), *last, replacement=number
            )
        )

    @rule(
        data=st.data(), kind=st.sampled_from([ExecType.RESTATED, ExecType.REPLACED, ExecType.ORDER_STATUS]),
        qty=st.one_of(MORE, st.just(10**17)), px=st.one_of(st.just(0), PRICES), number=st.integers(0, 2),
    )  # fmt: skip
    def the_venue_changes_terms(
        self, data: st.DataObject, kind: ExecType, qty: int, px: int, number: int
    ) -> None:
        order_id = self.some_order(data)
        order = self.model.orders.get(order_id)
        cum, paid = (order.filled, order.notional) if order is not None else (0, 0)
        avg = paid * 10**10 // cum if cum else 0
        standing = Standing(order_id, OrdStatus.NEW, cum, avg, qty=qty, price=px, replacement=number)
        self.apply_standing(standing._replace(exec_type=kind))

    def apply_standing(self, told: Standing) -> None:
        order = self.model.orders.get(told.order_id)
        wanted = model_status.answer(self.model, told, self.desk.next_ns)
        events = self.desk.standing(
            told.order_id, told.ord_status, avg_px_e8=told.avg_px, cum_qty_e8=told.cum, last_qty_e8=told.last_qty,
            last_px_e8=told.last_px, qty_e8=told.qty, price_e8=told.price, replacement=told.replacement,
            exec_type=told.exec_type,
        )  # fmt: skip
        found = [(event.reject_code, event.exec_type, event.state) for event in events]
        assert found == wanted
        if order is not None:
            self.shows(events[-1], order)
            assert {(event.source, event.request_id) for event in events} == {(1, 3)}

    @precondition(lambda self: self.model.orders)
    @rule(
        data=st.data(), kind=st.sampled_from([ExecType.TRADE, ExecType.TRADE, ExecType.CANCELED, ExecType.NEW]),
        more=MORE, px=PRICES, account=st.sampled_from([1, 2]), whole=st.booleans(),
    )  # fmt: skip
    def a_person_resolves(
        self, data: st.DataObject, kind: ExecType, more: int, px: int, account: int, whole: bool
    ) -> None:
        doubtful = [o for o in self.model.orders.values() if o.fate is Fate.UNKNOWN]
        order = data.draw(st.sampled_from(doubtful or [*self.model.orders.values()]))
        account = data.draw(st.sampled_from([account, order.account, order.account]))
        qty = order.qty - order.filled if whole else more
        wanted = model_status.resolve(self.model, account, order.order_id, kind, qty, px, self.desk.next_ns)
        event = self.desk.do(
            commands.resolve(
                request_id=9, account=account, order_id=order.order_id, exec_type=kind, last_qty_e8=qty,
                last_px_e8=px,
            )
        )  # fmt: skip
        assert (event.reject_code, event.exec_type, event.request_id) == (*wanted, 9)
        if event.reject_code != Reject.ORDER_UNKNOWN:
            self.shows(event, order)

    @invariant()
    def doubts_are_the_models(self) -> None:
        if not hasattr(self, "model"):
            return
        rows = {int(row["order_id"]): row for row in self.desk.state.orders if row["order_id"]}
        for number, order in self.model.orders.items():
            assert (rows[number]["fate"], rows[number]["told_qty_e8"]) == (order.fate, order.told)
