"""Commands: what is packed is read back, as a ring's slot and as the log keeps it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import commands, ids, records
from core.commands import CommandError
from core.logged import LOGGED_BYTES
from core.records import (
    COMMAND_BYTES,
    COMMAND_LAYOUTS,
    FIELDS_BYTES,
    TEXT_BYTES_MAX,
    BreakKind,
    CommandKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    Source,
    TimeInForce,
)

U1 = st.integers(0, 255)
U2 = st.integers(0, 2**16 - 1)
U4 = st.integers(0, 2**32 - 1)
U8 = st.integers(0, 2**64 - 1)
I8 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=TEXT_BYTES_MAX)


def _four_bands(**names: Any) -> bytes:
    """A tick table of as many bands as one command holds."""
    [made] = commands.define_tick_table(bands=[(0, 1), (10, 5), (100, 10), (1000, 50)], **names)
    return made


def _a_cancel(**names: Any) -> bytes:
    return commands.cancel(source=Source.GATEWAY, **names)


# Each kind: the function that packs it, its arguments, and the name its text has there.
MADE: dict[CommandKind, tuple[Any, dict[str, st.SearchStrategy[Any]], str]] = {
    CommandKind.NEW_ORDER: (
        commands.new_order,
        {
            "source": st.sampled_from(Source), "request_id": U8, "account": U4, "instrument": U4,
            "side": st.sampled_from(Side), "ord_type": st.sampled_from(OrdType),
            "tif": st.sampled_from(TimeInForce), "qty_e8": I8, "price_e8": I8, "expire_time_ns": I8,
        },
        "client_order_id",
    ),
    CommandKind.CANCEL: (
        commands.cancel,
        {"source": st.sampled_from(Source), "request_id": U8, "account": U4, "order_id": U8},
        "",
    ),
    CommandKind.VENUE_REPORT: (
        commands.venue_report,
        {
            "venue_seq": U8, "order_id": U8, "exec_type": st.sampled_from(ExecType),
            "ord_status": st.sampled_from(OrdStatus), "last_qty_e8": I8, "last_px_e8": I8, "cum_qty_e8": I8,
            "leaves_qty_e8": I8, "transact_time_ns": I8, "replacement": st.integers(0, 2**16 - 1),
        },
        "text",
    ),
    CommandKind.OPEN_ACCOUNT: (
        commands.open_account,
        {
            "request_id": U8, "max_order_qty_e8": I8, "max_order_notional_e6": I8, "max_position_qty_e8": I8,
            "currency": U1, "settled_only": U1, "household": U4,
        },
        "number",
    ),
    CommandKind.DEPOSIT: (
        commands.deposit, {"request_id": U8, "account": U4, "amount_e6": I8, "currency": U1}, "reference",
    ),
    CommandKind.DEFINE_INSTRUMENT: (
        commands.define_instrument,
        {
            "request_id": U8, "tick_e8": I8, "lot_e8": I8, "max_order_qty_e8": I8, "collar_bps": U4,
            "quote_age_ms_max": U4, "currency": U1, "settle_days": U1, "band_bps": U4, "tick_table": U2,
            "lot_table": U2, "max_exposure_qty_e8": I8,
        },
        "symbol",
    ),
    CommandKind.SET_ACCOUNT_STATE: (
        commands.set_account_state,
        {"request_id": U8, "account": U4, "state": st.integers(0, 255)},
        "",
    ),
    CommandKind.SET_INSTRUMENT_STATE: (
        commands.set_instrument_state,
        {"request_id": U8, "instrument": U4, "state": st.integers(0, 255)},
        "",
    ),
    CommandKind.PASSIVATE: (commands.passivate, {"request_id": U8, "account": U4}, ""),
    CommandKind.REPLACE: (
        commands.replace,
        {
            "source": st.sampled_from(Source), "request_id": U8, "account": U4, "instrument": U4, "order_id": U8,
            "qty_e8": I8, "price_e8": I8, "tif": st.sampled_from(TimeInForce), "expire_time_ns": I8,
        },
        "client_order_id",
    ),
    **{
        kind: (partial(commands.timer, kind), {"account": U4, "order_id": U8, "due_ns": I8}, "")
        for kind in (CommandKind.DAY_END, CommandKind.EXPIRE, CommandKind.ASK_STATUS)
    },
    CommandKind.ASK_VENUE: (commands.ask_venue, {"account": U4, "order_id": U8}, ""),
    CommandKind.VENUE_STATUS: (
        commands.venue_status,
        {
            "venue_seq": U8, "order_id": U8, "exec_type": st.sampled_from(ExecType),
            "ord_status": st.sampled_from(OrdStatus), "cum_qty_e8": I8, "avg_px_e8": I8, "last_qty_e8": I8,
            "last_px_e8": I8, "qty_e8": I8, "price_e8": I8, "transact_time_ns": I8, "replacement": U2,
        },
        "text",
    ),
    CommandKind.FATE_UNKNOWN: (commands.fate_unknown, {"order_id": U8, "code": U2}, "text"),
    CommandKind.RESOLVE: (
        commands.resolve,
        {
            "request_id": U8, "account": U4, "order_id": U8, "exec_type": st.sampled_from(ExecType),
            "last_qty_e8": I8, "last_px_e8": I8,
        },
        "text",
    ),
    CommandKind.BREAK: (
        commands.break_found,
        {
            "break_kind": st.sampled_from(BreakKind), "account": U4, "instrument": U4, "order_id": U8,
            "side": st.integers(0, 255), "last_qty_e8": I8, "last_px_e8": I8, "ours": I8, "venues": I8,
            "transact_time_ns": I8,
        },
        "exec_id",
    ),
    CommandKind.SETTLE_DAY: (commands.settle_day, {"request_id": U8, "date": U4}, ""),
    CommandKind.DEFINE_GROUP: (
        commands.define_group,
        {
            "request_id": U8, "level": U1, "parent": U4, "currency": U1, "max_order_notional_e6": I8,
            "max_open_notional_e6": I8, "max_gross_e6": I8,
        },
        "name",
    ),
    CommandKind.SET_GROUP_STATE: (commands.set_group_state, {"request_id": U8, "group": U4, "state": U1}, ""),
    CommandKind.MOVE_ACCOUNT: (commands.move_account, {"request_id": U8, "account": U4, "household": U4}, ""),
    CommandKind.SET_REFERENCE_PRICE: (
        commands.set_reference_price,
        {"request_id": U8, "instrument": U4, "previous_close_e8": I8, "reference_e8": I8},
        "",
    ),
    CommandKind.DEFINE_TICK_TABLE: (_four_bands, {"request_id": U8, "table": U2}, ""),
    CommandKind.DEFINE_LOT_TABLE: (
        commands.define_lot_table,
        {"request_id": U8, "table": U2, "round_lot_e8": I8, "odd_lots": U1},
        "",
    ),
    CommandKind.QUARANTINE: (
        lambda **names: commands.quarantine(_a_cancel(**names), 3),
        {"request_id": U8, "account": U4, "order_id": U8},
        "",
    ),
    CommandKind.PASSED_OVER: (
        lambda **names: commands.passed_over(kind=1, crashes=3, seq=names.pop("word_0"), **names),
        {"account": U4, "word_0": st.integers(0, 2**63 - 1)},
        "",
    ),
    CommandKind.RETRY: (
        lambda **names: commands.retry(_a_cancel(**names)),
        {"request_id": U8, "account": U4, "order_id": U8},
        "",
    ),
}  # fmt: skip


def test_every_kind_can_be_made() -> None:
    assert set(MADE) == set(CommandKind) == set(COMMAND_LAYOUTS)


@pytest.mark.parametrize("kind", CommandKind)
@given(data=st.data())
def test_a_command_reads_back_from_its_slot_and_from_the_log(kind: CommandKind, data: st.DataObject) -> None:
    make, fields, text_name = MADE[kind]
    given_values = {name: data.draw(strategy, name) for name, strategy in fields.items()}
    text = data.draw(TEXT, "text") if text_name else ""
    raw = make(**given_values, **({text_name: text} if text_name else {}))
    assert len(raw) == COMMAND_BYTES
    logged = raw[: LOGGED_BYTES[kind]] + raw[FIELDS_BYTES : FIELDS_BYTES + len(text)]
    for stored in (raw, logged):
        found = commands.decode(stored)
        assert found["kind"] == kind
        assert found["text"] == text
        assert {name: found[name] for name in given_values} == given_values
    row = np.frombuffer(raw, COMMAND_LAYOUTS[kind])[0]
    assert {name: int(row[name]) for name in given_values} == given_values


@pytest.mark.parametrize("kind", CommandKind)
def test_the_head_is_the_same_in_every_layout(kind: CommandKind) -> None:
    layout, head = COMMAND_LAYOUTS[kind], records.HEAD
    assert layout.fields is not None
    assert head.fields is not None
    assert all(layout.fields[name] == head.fields[name] for name in head.fields)
    assert layout.itemsize == COMMAND_BYTES
    assert layout.fields["text"][1] == FIELDS_BYTES


@pytest.mark.parametrize("kind", CommandKind)
def test_a_quarantine_has_room_for_every_field_of_what_it_holds(kind: CommandKind) -> None:
    if COMMAND_LAYOUTS[kind] is not records.QUARANTINE:
        assert LOGGED_BYTES[kind] <= records.ORIGINAL_KIND


def test_a_quarantine_holds_a_command_as_it_was_sent() -> None:
    sent = commands.deposit(request_id=7, account=3, amount_e6=-5, reference="wire")
    kept = commands.quarantine(sent, 4)
    told = commands.decode(kept)
    assert (told["original_kind"], told["crashes"], told["text"]) == (CommandKind.DEPOSIT, 4, "wire")
    at = slice(2, records.ORIGINAL_KIND)
    assert kept[at] == sent[at] == commands.retry(sent)[at]


def test_text_is_never_cut() -> None:
    with pytest.raises(CommandError, match="text of 129 characters; the most is 128"):
        commands.deposit(request_id=1, account=1, amount_e6=1, reference="x" * 129)
    with pytest.raises(CommandError, match="'é' is not ASCII"):
        commands.deposit(request_id=1, account=1, amount_e6=1, reference="é")


@pytest.mark.parametrize("raw", [bytes(COMMAND_BYTES), b"\xff\xff", b""])
def test_an_unknown_kind_is_named(raw: bytes) -> None:
    with pytest.raises(CommandError, match=r"command kind \d+ is unknown; known are \[1, 2"):
        commands.decode(raw)


def test_a_long_tick_table_is_several_commands_that_go_on_where_the_last_one_ended() -> None:
    bands = [(n * 100, n + 1) for n in range(9)]
    made = [commands.decode(raw) for raw in commands.define_tick_table(request_id=1, table=7, bands=bands)]
    assert [(c["first_band"], c["bands"]) for c in made] == [(0, 4), (4, 4), (8, 1)]
    found = [(c[f"from_{n}_e8"], c[f"tick_{n}_e8"]) for c in made for n in range(1, c["bands"] + 1)]
    assert found == bands


def test_a_report_names_its_executions_by_hash() -> None:
    raw = commands.venue_report(
        venue_seq=1, order_id=2, exec_type=1, ord_status=1, exec_id="A", exec_ref_id="B"
    )
    found = commands.decode(raw)
    assert (found["exec_hash"], found["exec_ref_hash"]) == (ids.exec_hash("A"), ids.exec_hash("B"))
