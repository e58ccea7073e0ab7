from __future__ import annotations

import pytest

from core.records import OrdStatus, Side
from core.units import price_e8, qty_e8
from fix.codec import Message, MissingTag, encode, parse
from fix.simulator.exchange import Exchange
from fix.simulator.market import Quotes
from fix.simulator.messages import RECORDED_ORDER_ID, RECORDING_INDEX, answer_of, outgoing
from fix.simulator.orders import Answer, CancelReject, NewOrder
from fix.simulator.requests import CL_ORD_ID_CHARS_MAX, Objection, Refused, cancel_of, new_order_of
from fix.simulator.words import TimeInForce
from fix.tags import MsgType, OrdRejReason, Tag
from tests.simulator.desk import IOC, NOW_NS, OWNER, SHARES, buy, cancel, reports, sell

ORDER = {
    Tag.ClOrdID: "TW000-7", Tag.Symbol: "AAPL", Tag.Side: "1", Tag.OrderQty: "10", Tag.OrdType: "2",
    Tag.Price: "100.25", Tag.TimeInForce: "0",
}  # fmt: skip


def new_order_single(**changes: str | None) -> Message:
    fields = {**ORDER, **{Tag[name]: value for name, value in changes.items()}}
    return Message([(35, "D"), *((int(tag), value) for tag, value in fields.items() if value is not None)])


def written(answer: Answer) -> Message:
    msg_type, fields = outgoing(answer)
    return parse(encode("FIX.4.4", [(Tag.MsgType, msg_type), *fields]))


def every_kind_of_answer() -> list[Answer]:
    quotes = Quotes()
    exchange = Exchange(SHARES, quotes)
    quotes.on_quote("AAPL", price_e8("100"), price_e8("100.02"), qty_e8(5), qty_e8(5), 41)
    answers = exchange.new_order(buy(8, "100.02", cl="A"), NOW_NS)
    quotes.on_quote("AAPL", price_e8("100"), price_e8("100.01"), qty_e8(5), qty_e8(1), 42)
    answers += exchange.moved("AAPL", NOW_NS)
    for request in (cancel("C1", "A"), cancel("C2", "A"), cancel("C3", "nothing")):
        answers += exchange.cancel(request, NOW_NS)
    for order in (sell(9, "99", IOC), sell(1, "99.001"), buy(1, "98", cl="B")):
        answers += exchange.new_order(order, NOW_NS)
    answers.append(exchange.expire(exchange.open_orders(OWNER)[0], NOW_NS, "too old"))
    return answers


@pytest.mark.parametrize("answer", every_kind_of_answer())
def test_an_answer_reads_back_as_it_was_written(answer: Answer) -> None:
    assert answer_of(written(answer), OWNER) == answer


def test_an_execution_report_says_all_that_fix_asks_for() -> None:
    fill = next(r for r in reports(every_kind_of_answer()) if r.status is OrdStatus.PARTIALLY_FILLED)
    message = written(fill._replace(recorded_order_id=6412777))
    told = {tag: message.get(tag) for tag, _ in message.fields}
    assert message.type == MsgType.ExecutionReport
    expected = {
        11: "A", 150: "F", 39: "1", 55: "AAPL", 54: "1", 38: "8", 40: "2", 44: "100.02", 59: "0",
        32: "5", 31: "100.02", 14: "5", 151: "3", 6: "100.02",
        RECORDING_INDEX: "41", RECORDED_ORDER_ID: "6412777",
    }  # fmt: skip
    assert expected.items() <= told.items()
    assert {37, 17, 60} <= told.keys()


def test_a_cancel_s_report_names_both_requests() -> None:
    message = written(next(r for r in reports(every_kind_of_answer()) if r.orig_cl_ord_id))
    assert (message.get(11), message.get(41), message.get(150), message.get(151)) == ("C1", "A", "4", "0")


def test_a_cancel_reject_says_what_it_answers_and_why() -> None:
    unknown = [written(a) for a in every_kind_of_answer() if isinstance(a, CancelReject)][-1]
    assert unknown.type == MsgType.OrderCancelReject
    assert [unknown.get(tag) for tag in (37, 11, 41, 39, 434, 102)] == [
        "NONE",
        "C3",
        "nothing",
        "8",
        "1",
        "1",
    ]


def test_an_order_is_read_exactly() -> None:
    expected = NewOrder(OWNER, "TW000-7", "AAPL", Side.BUY, TimeInForce.DAY, qty_e8(10), price_e8("100.25"))
    assert new_order_of(new_order_single(), OWNER) == expected
    assert new_order_of(new_order_single(TimeInForce=None), OWNER) == expected


@pytest.mark.parametrize("missing", ["ClOrdID", "Symbol", "Side", "OrderQty", "OrdType", "Price"])
def test_a_missing_tag_is_named(missing: str) -> None:
    with pytest.raises(MissingTag, match=f"tag {int(Tag[missing])} "):
        new_order_of(new_order_single(**{missing: None}), OWNER)


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        ("OrdType", "P", OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC),
        ("TimeInForce", "6", OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC),
        ("OrderQty", "ten", OrdRejReason.INCORRECT_QUANTITY),
        ("Price", "0.000000001", OrdRejReason.OTHER),
        ("Price", "NaN", OrdRejReason.OTHER),
    ],
)
def test_what_can_be_read_but_not_taken_becomes_a_reject_of_the_order(
    tag: str, value: str, reason: OrdRejReason
) -> None:
    with pytest.raises(Objection) as raised:
        new_order_of(new_order_single(**{tag: value}), OWNER)
    assert raised.value.reason == reason
    assert raised.value.request.cl_ord_id == "TW000-7"
    assert value in str(raised.value)


def test_a_side_that_no_report_could_repeat_is_refused() -> None:
    with pytest.raises(Refused, match="Side"):
        new_order_of(new_order_single(Side="5"), OWNER)


def test_an_id_of_any_length_is_not_kept() -> None:
    with pytest.raises(Refused, match=f"the most is {CL_ORD_ID_CHARS_MAX}"):
        new_order_of(new_order_single(ClOrdID="x" * (CL_ORD_ID_CHARS_MAX + 1)), OWNER)
    request = Message([(35, "F"), (11, "C1"), (41, "x" * (CL_ORD_ID_CHARS_MAX + 1))])
    with pytest.raises(Refused, match="tag 41"):
        cancel_of(request, OWNER)
