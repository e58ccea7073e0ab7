"""The order's life: the table in the module's docstring, the table in its code and the compiled lookup are one."""

from __future__ import annotations

import pytest

from core import order_states
from core.order_states import ILLEGAL, TERMINAL, TRANSITIONS, is_terminal, status_after
from core.records import ExecType, OrdStatus

PAIRS = [(status, exec_type) for status in OrdStatus for exec_type in ExecType]
COLUMNS = [ExecType.NEW, ExecType.TRADE, ExecType.CANCELED, ExecType.REJECTED, ExecType.EXPIRED]


def documented() -> dict[tuple[OrdStatus, ExecType], str]:
    """The docstring's table: (status, report) -> the word that stands there."""
    lines = (order_states.__doc__ or "").splitlines()
    header = next(n for n, line in enumerate(lines) if line.split()[:2] == ["NEW", "TRADE"])
    assert [ExecType[word] for word in lines[header].split()] == COLUMNS
    found = {}
    for line in lines[header + 1 : header + 8]:
        words = line.replace(" (overfill)", "").split()
        name = "PARTIALLY_FILLED" if words[0] == "PARTIALLY_F." else words[0]
        for column, word in zip(COLUMNS, words[1:], strict=True):
            found[OrdStatus[name], column] = word
    return found


def test_the_docstrings_table_is_the_one_that_is_applied() -> None:
    table = documented()
    assert len(table) == 7 * len(COLUMNS)
    for (status, exec_type), word in table.items():
        after = TRANSITIONS[status].get(exec_type)
        names = {"-": set(), "PARTIALLY_FILLED/FILLED": {"PARTIALLY_FILLED"}}.get(word, {word})
        assert (set() if after is None else {after.name}) == names, f"{status.name} on {exec_type.name}"


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


def test_an_ended_order_never_opens_again() -> None:
    for status in TERMINAL:
        assert is_terminal(status)
        for exec_type in ExecType:
            assert status_after(status, exec_type, 1, 2) in (ILLEGAL, status)


def test_only_the_four_are_terminal() -> None:
    assert {status for status in range(256) if is_terminal(status)} == {int(s) for s in TERMINAL}


def test_a_trade_is_booked_in_every_status_an_order_can_have() -> None:
    for status in TRANSITIONS:
        assert status_after(status, ExecType.TRADE, 1, 2) != ILLEGAL
