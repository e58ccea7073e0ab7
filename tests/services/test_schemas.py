"""Subjects and bodies: what goes in comes out, and any event of a log can be said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ids
from core.events import Event
from core.records import BreakKind, EventKind, ExecType, OrdStatus, Side
from core.rejects import Reject
from services import schemas
from services.projection import Batch
from services.schemas import OrderUpdate
from services.translate import average_px_e8, to_update

INT64 = st.integers(-(2**63), 2**63 - 1)
U8 = st.integers(0, 2**8 - 1)
U16 = st.integers(0, 2**16 - 1)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)

# Whatever bits a log may hold, but for the numbers that the shard itself counts.
SEQ = st.integers(1, 2**62 - 1)
events = st.builds(
    Event,
    seq=SEQ,
    time_ns=st.integers(0, 2**63 - 1),
    kind=st.sampled_from(sorted(map(int, EventKind))),
    source=U16,
    reject_code=st.one_of(st.just(0), st.sampled_from(sorted(map(int, Reject))), U16),
    account=U32,
    instrument=U32,
    request_id=U64,
    order_id=SEQ,
    cause_seq=SEQ,
    side=U8,
    ord_type=U8,
    tif=U8,
    ord_status=st.one_of(st.sampled_from(sorted(map(int, OrdStatus))), U8),
    exec_type=st.one_of(st.sampled_from(sorted(map(int, ExecType))), U8),
    state=U8,
    break_kind=U8,
    cum_qty_e8=st.integers(0, 2**63 - 1),
    cum_notional_e6=st.integers(0, 2**63 - 1),
    text=st.text(st.characters(max_codepoint=127), max_size=128),
    **{
        name: INT64
        for name in Event.__struct_fields__
        if name.endswith(("_e8", "_e6", "_value")) and name not in ("cum_qty_e8", "cum_notional_e6")
    },
)


@given(events, st.text(max_size=8), st.text(max_size=8))
def test_any_event_becomes_an_update_that_reads_back_the_same(
    event: Event, account: str, symbol: str
) -> None:
    update = to_update(event, shard=3, prior_seq=event.seq - 1, account=account, symbol=symbol)
    body = schemas.encode(update)
    assert schemas.decode(body) == update
    assert schemas.decode_link(body) == schemas.Link(event.seq, event.seq - 1)
    assert b"\\u0000" not in msgspec.json.encode([getattr(update, "client_order_id", "")])


@given(events, st.text(max_size=8))
def test_every_subject_is_in_its_shards_wildcard_and_has_six_tokens(event: Event, name: str) -> None:
    subject = schemas.subject_of(to_update(event, shard=3, prior_seq=0, account=name, symbol=name))
    tokens = subject.split(".")
    assert len(tokens) == 6
    assert tokens[:2] == ["tradewind", "v1"]
    assert tokens[3] == "3"
    assert all(token and not set(token) & set(" *>\t\r\n\0") for token in tokens)


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_names_have_different_tokens(one: str, other: str) -> None:
    assert (one == other) == (schemas.token(one) == schemas.token(other))


@given(st.integers(1, 10**18), st.integers(1, 10**18))
def test_the_average_price_is_rounded_half_to_even(cum_notional_e6: int, cum_qty_e8: int) -> None:
    exact = Decimal(cum_notional_e6) * 10**10 / Decimal(cum_qty_e8)
    found = average_px_e8(cum_notional_e6, cum_qty_e8)
    assert found is not None
    assert abs(found * cum_qty_e8 - cum_notional_e6 * 10**10) * 2 <= cum_qty_e8, exact


def test_the_average_price_of_half_a_unit_goes_to_the_even_side() -> None:
    assert average_px_e8(1, 4 * 10**10) == 0  # 0.25
    assert average_px_e8(1, 2 * 10**10) == 0  # 0.5
    assert average_px_e8(3, 2 * 10**10) == 2  # 1.5
    assert average_px_e8(0, 0) is None


@pytest.mark.parametrize(
    "name", ["order", "cash", "account", "instrument", "break", "group", "settlement", "table"]
)
def test_the_type_in_a_body_is_the_root_of_its_subject(name: str) -> None:
    tags = [update.__struct_config__.tag for update in schemas.UPDATES]
    assert f"tradewind.v1.{name}" in tags


def _event(kind: EventKind, **changes: int) -> Event:
    fields: dict[str, Any] = dict.fromkeys(Event.__struct_fields__, 0)
    return Event(**{**fields, "text": "", "kind": kind, "seq": 1, "account": 1, **changes})


def a_report(exec_type: ExecType, reject: Reject) -> OrderUpdate:
    event = _event(EventKind.ORDER, exec_type=exec_type, reject_code=reject)
    update = to_update(event, shard=0, prior_seq=0, account="", symbol="")
    assert isinstance(update, OrderUpdate)
    return update


def test_a_refused_report_of_a_trade_is_no_trade() -> None:
    refused = a_report(ExecType.TRADE, Reject.REPORT_UNEXPECTED)
    assert (refused.exec_type, refused.last_qty, refused.last_px) == ("report_refused", None, None)
    assert a_report(ExecType.TRADE, Reject.ORDER_UNKNOWN).exec_type == "report_refused"
    assert a_report(ExecType.REJECTED, Reject.VENUE_REJECTED).exec_type == "rejected"
    assert a_report(ExecType.CANCEL_REJECT, Reject.ORDER_NOT_OPEN).exec_type == "cancel_reject"


def test_a_break_says_what_both_sides_say_in_the_unit_of_its_kind() -> None:
    said = []
    for kind, ours, venues in (
        (BreakKind.QUANTITY, 10 * 10**8, 7 * 10**8),
        (BreakKind.PRICE, 150 * 10**8, 15_025_000_000),
        (BreakKind.SIDE, Side.BUY, Side.SELL),
        (BreakKind.MISSING_HERE, 0, 10**8),
        (BreakKind.ORDER, 7, 8),
    ):
        event = _event(EventKind.BREAK, break_kind=kind, limit_value=ours, observed_value=venues)
        update = to_update(event, shard=0, prior_seq=0, account="TW000001", symbol="AAPL")
        assert isinstance(update, schemas.BreakUpdate)
        said.append((update.kind, update.ours, update.venues))
    assert said == [
        ("quantity", "10", "7"), ("price", "150", "150.25"), ("side", "buy", "sell"), ("missing_here", None, "1"),
        ("order", "7", "8"),
    ]  # fmt: skip


def test_a_break_of_an_order_that_never_was_can_be_said() -> None:
    event = _event(EventKind.BREAK, order_id=2**64 - 1, account=0)
    update = to_update(event, shard=0, prior_seq=0, account="", symbol="")
    assert isinstance(update, schemas.BreakUpdate)
    assert (update.order_id, update.state, update.account) == (None, None, "")
    assert schemas.subject_of(update) == "tradewind.v1.break.0._.0"


def test_a_bust_names_the_fill_that_it_takes_back() -> None:
    event = _event(
        EventKind.ORDER, exec_type=ExecType.TRADE_CANCEL, ref_seq=7, last_qty_e8=10**8, last_px_e8=10**9
    )
    update = to_update(event, shard=0, prior_seq=0, account="", symbol="")
    assert isinstance(update, OrderUpdate)
    found = (update.exec_type, update.last_qty, update.last_px, update.execution_ref_seq)
    assert found == ("trade_cancel", "1", "10", 7)
    assert update.execution_ref_id == str(ids.execution_uuid(0, 7))


def test_a_pending_replace_says_what_is_asked_for() -> None:
    event = _event(
        EventKind.ORDER, exec_type=ExecType.PENDING_REPLACE, asked_replacement=1, asked_qty_e8=10**8,
        asked_price_e8=10**9,
    )  # fmt: skip
    update = to_update(event, shard=0, prior_seq=0, account="", symbol="")
    assert isinstance(update, OrderUpdate)
    assert (update.asked_qty, update.asked_price, update.replacement) == ("1", "10", 0)


def test_the_executions_are_the_trades_that_stand() -> None:
    """One is taken back, one corrected."""
    batch = Batch()
    told = (
        (ExecType.TRADE, 1, 0, 5), (ExecType.TRADE, 2, 0, 5), (ExecType.TRADE_CANCEL, 3, 1, 5),
        (ExecType.TRADE_CORRECT, 4, 2, 4),
    )  # fmt: skip
    for kind, seq, ref_seq, qty in told:
        event = _event(
            EventKind.ORDER, seq=seq, exec_type=kind, ref_seq=ref_seq, last_qty_e8=qty * 10**8, order_id=9
        )
        batch.add(to_update(event, shard=0, prior_seq=0, account="TW1", symbol="AAPL"))
    assert {seq: row["last_qty"] for seq, row in batch.executions.items()} == {1: "0", 2: "0", 4: "4"}
    assert batch.executions[1]["execution_id"] == str(ids.execution_uuid(0, 1))
