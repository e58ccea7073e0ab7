"""The order's life: the table in the module's docstring, the table in its code and the compiled lookup are one."""

from __future__ import annotations

import re

import pytest

from core import order_states
from core.order_states import (
    ILLEGAL,
    OPEN_WORDS,
    TERMINAL,
    TRANSITIONS,
    is_terminal,
    may_cancel,
    may_replace,
    shown_status,
    status_after,
    status_after_undo,
)
from core.records import ExecType, OrdStatus

PAIRS = [(status, exec_type) for status in OrdStatus for exec_type in ExecType]
UNDOES = (ExecType.TRADE_CANCEL, ExecType.TRADE_CORRECT)
COLUMNS = [
    ExecType.NEW,
    ExecType.TRADE,
    ExecType.CANCELED,
    ExecType.REJECTED,
    ExecType.EXPIRED,
    ExecType.REPLACED,
    ExecType.TRADE_CANCEL,
]
BY_QUANTITY = ("by quantity", "by the report")


def documented() -> dict[tuple[OrdStatus, ExecType], str]:
    """The docstring's first table: (status, report) -> the words that stand there."""
    lines = (order_states.__doc__ or "").splitlines()
    header = next(n for n, line in enumerate(lines) if line.split()[:2] == ["NEW", "TRADE"])
    heads = re.split(r" {2,}", lines[header].strip().replace("TRADE_CANCEL/_CORRECT", "TRADE_CANCEL"))
    assert [ExecType[word] for word in heads] == COLUMNS
    found = {}
    for line in lines[header + 1 : header + 8]:
        words = re.split(r" {2,}", line.strip())
        name = "PARTIALLY_FILLED" if words[0] == "PARTIALLY_F." else words[0]
        for column, word in zip(COLUMNS, words[1:], strict=True):
            found[OrdStatus[name], column] = word
    return found


def test_the_docstrings_table_is_the_one_that_is_applied() -> None:
    table = documented()
    assert len(table) == 7 * len(COLUMNS)
    for (status, exec_type), word in table.items():
        after = TRANSITIONS[status].get(exec_type)
        name = "PARTIALLY_FILLED" if word in BY_QUANTITY else word
        assert ("-" if after is None else after.name) == name, f"{status.name} on {exec_type.name}"
        if exec_type is ExecType.TRADE_CANCEL:
            assert TRANSITIONS[status][ExecType.TRADE_CORRECT] is after
    assert set().union(*TRANSITIONS.values()) == {*COLUMNS, ExecType.TRADE_CORRECT}


@pytest.mark.parametrize(("status", "exec_type"), PAIRS)
def test_every_pair_of_status_and_report(status: OrdStatus, exec_type: ExecType) -> None:
    wanted = TRANSITIONS.get(status, {}).get(exec_type, ILLEGAL)
    assert status_after(status, exec_type, 1, 2) == wanted
    filled = OrdStatus.FILLED if wanted == OrdStatus.PARTIALLY_FILLED else wanted
    assert status_after(status, exec_type, 2, 2) == filled
    assert status_after(status, exec_type, 3, 2) == filled


def test_a_code_outside_ascii_is_no_other_code_in_disguise() -> None:
    for status, exec_type in PAIRS:
        assert status_after(status, exec_type + 128, 1, 2) == ILLEGAL
        assert status_after(status + 128, exec_type, 1, 2) == ILLEGAL


def test_an_ended_order_opens_again_only_by_the_venues_word() -> None:
    """A filled one, by an accepted replace or an undone trade; the other ends are final."""
    for status in TERMINAL:
        assert is_terminal(status)
        for exec_type in ExecType:
            opens = status is OrdStatus.FILLED and exec_type in (ExecType.REPLACED, *UNDOES)
            assert status_after(status, exec_type, 1, 2) in (
                (OrdStatus.PARTIALLY_FILLED,) if opens else (ILLEGAL, status)
            )


@pytest.mark.parametrize("exec_type", UNDOES)
@pytest.mark.parametrize("told", [*OrdStatus, 0, 127, 128, 255])
def test_an_undone_trade_of_a_filled_order_leaves_what_the_venue_says(exec_type: int, told: int) -> None:
    after = OrdStatus.CANCELED
    if told in OPEN_WORDS:
        after = OrdStatus.PARTIALLY_FILLED
    elif told in (OrdStatus.EXPIRED, OrdStatus.FILLED):
        after = OrdStatus(told)
    assert status_after_undo(OrdStatus.FILLED, exec_type, told, 1, 2) == after
    assert status_after_undo(OrdStatus.FILLED, exec_type, told, 2, 2) == OrdStatus.FILLED
    nothing_left = OrdStatus.NEW if told in OPEN_WORDS else after
    assert status_after_undo(OrdStatus.FILLED, exec_type, told, 0, 2) == nothing_left


@pytest.mark.parametrize("exec_type", UNDOES)
@pytest.mark.parametrize("told", OrdStatus)
def test_an_undone_trade_of_an_open_order_goes_by_quantity_alone(exec_type: int, told: int) -> None:
    for status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED):
        for cum, after in ((0, OrdStatus.NEW), (1, OrdStatus.PARTIALLY_FILLED), (2, OrdStatus.FILLED)):
            assert status_after_undo(status, exec_type, told, cum, 2) == after
    for status in TERMINAL - {OrdStatus.FILLED}:
        assert status_after_undo(status, exec_type, told, 1, 2) == status


def test_the_docstrings_second_table_is_the_one_that_is_applied() -> None:
    lines = (order_states.__doc__ or "").splitlines()
    header = next(n for n, line in enumerate(lines) if line.split() == ["cancel", "replace"])
    table = {}
    for line in lines[header + 1 : header + 7]:
        name, cancel, replace = line.split()
        table["PARTIALLY_FILLED" if name == "PARTIALLY_F." else name] = (cancel, replace)
    ended = table.pop("ended")
    assert set(table) == {status.name for status in OrdStatus if status not in TERMINAL}
    for status in OrdStatus:
        cancel, replace = table.get(status.name, ended)
        assert (may_cancel(status), may_replace(status)) == (cancel != "-", replace != "-")
        if status.name.startswith("PENDING_") and status is not OrdStatus.PENDING_NEW:
            continue
        if cancel != "-":
            assert shown_status(status, True, False) == OrdStatus[cancel]
            assert shown_status(status, False, True) == OrdStatus[replace]
    assert shown_status(OrdStatus.NEW, True, True) == OrdStatus.PENDING_CANCEL
    assert shown_status(OrdStatus.FILLED, False, True) == OrdStatus.PENDING_REPLACE
    assert shown_status(OrdStatus.CANCELED, True, False) == OrdStatus.CANCELED


def test_only_the_four_are_terminal() -> None:
    assert {status for status in range(256) if is_terminal(status)} == {int(s) for s in TERMINAL}


def test_a_trade_is_booked_in_every_status_an_order_can_have() -> None:
    for status in TRANSITIONS:
        assert status_after(status, ExecType.TRADE, 1, 2) != ILLEGAL
