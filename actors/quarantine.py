"""Quarantine: a command that made the shard die each time it was applied is journaled and not applied.

Always holds: of the state that it would have met nothing is read but what is needed to be safe, for that is what it
died of. An order, a cancel or a replace is refused to its sender, by COMMAND_QUARANTINED in an order's event. A
venue's report is known as taken, so that a later one is not held for a repetition; its account may only reduce
until a person sets it ACTIVE again, as after a break (`actors/breaks.py`): what the venue said is not in the books.
RETRY books it.

Which command it is, and how often, stands in the journaled command: a replay does the same. PASSED_OVER tells of a
command that was applied and is left out of replays now (`actors/amended.py`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from actors.account import account_row, reject
from actors.emit import P_SEQ, Command, Out, emit, new_event, new_quarantine_event, set_text
from actors.report import on_report
from actors.tables import R_VENUE_SEQ, State, begin_write, end_write, find_order
from core.records import LANE_SHIFT, AccountState, CommandKind, EventKind, ExecType, OrdStatus
from core.rejects import Reject
from shared_mem.jit import jit, whole

_ORDER: Final = int(EventKind.ORDER)
_QUARANTINE: Final = int(EventKind.QUARANTINE)
_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_CANCEL: Final = int(CommandKind.CANCEL)
_REPLACE: Final = int(CommandKind.REPLACE)
_VENUE_REPORT: Final = int(CommandKind.VENUE_REPORT)
_REJECTED: Final = int(OrdStatus.REJECTED)
_EXEC_REJECTED: Final = int(ExecType.REJECTED)
_EXEC_CANCEL_REJECT: Final = int(ExecType.CANCEL_REJECT)
_EXEC_REPLACE_REJECT: Final = int(ExecType.REPLACE_REJECT)
_QUARANTINED: Final = int(Reject.COMMAND_QUARANTINED)
_ACTIVE: Final = int(AccountState.ACTIVE)
_REDUCING: Final = int(AccountState.REDUCING)


@jit
def _refuse(out: Out, command: Command, kind: int, crashes: int) -> None:
    """To the sender of an order, a cancel or a replace, in the words that it knows a reject by."""
    event = new_event(out, _ORDER, command)
    if kind == _NEW_ORDER:
        asked = command.order[0]
        event.side = asked.side
        event.ord_type = asked.ord_type
        event.tif = asked.tif
        event.qty_e8 = asked.qty_e8
        event.price_e8 = asked.price_e8
        event.ord_status = _REJECTED
        event.exec_type = _EXEC_REJECTED
        event.order_id = out.pen[P_SEQ] - 1
    else:
        event.exec_type = _EXEC_CANCEL_REJECT if kind == _CANCEL else _EXEC_REPLACE_REJECT
    reject(event, _QUARANTINED, 0, crashes)
    set_text(out, command.text, int(command.head[0].text_length))
    emit(out)


@jit
def _reduce_only(state: State, at: int, event: Any) -> None:
    """The account in this row (-1: there is none) may only reduce from now on."""
    if at < 0:
        return
    owner = state.accounts[at]
    if owner.state == _ACTIVE:
        begin_write(owner)
        owner.state = np.uint8(_REDUCING)
        end_write(owner)
    event.account = at + 1
    event.state = owner.state


@jit
def _owner_row(state: State, order_id: int) -> int:
    row = find_order(state, order_id)
    return account_row(state, int(state.orders[row].account)) if row >= 0 else -1


@whole
def on_quarantine(state: State, out: Out, command: Command) -> None:
    asked = command.quarantine[0]
    kind, crashes = int(asked.original_kind), int(asked.crashes)
    if kind == _NEW_ORDER or kind == _CANCEL or kind == _REPLACE:
        _refuse(out, command, kind, crashes)
        return
    event = new_quarantine_event(out, _QUARANTINE, command)
    event.original_kind = kind
    event.crashes = crashes
    event.lane = int(asked.flags) >> LANE_SHIFT
    event.place = asked.lane_seq
    if kind == _VENUE_REPORT:
        report = command.report[0]
        state.registers[R_VENUE_SEQ] = max(state.registers[R_VENUE_SEQ], np.int64(report.venue_seq))
        _reduce_only(state, _owner_row(state, int(np.int64(report.order_id))), event)
    reject(event, _QUARANTINED, 0, crashes)
    set_text(out, command.text, int(asked.text_length))
    emit(out)


@whole
def on_passed_over(state: State, out: Out, command: Command) -> None:
    """A command of the log that an operator has left out: its account's books lack it."""
    asked = command.quarantine[0]
    event = new_quarantine_event(out, _QUARANTINE, command)
    event.original_kind = asked.original_kind
    event.crashes = asked.crashes
    event.place = asked.word_0
    _reduce_only(state, account_row(state, int(asked.account)), event)
    reject(event, _QUARANTINED, 0, int(asked.crashes))
    emit(out)


@whole
def on_retry(state: State, out: Out, command: Command) -> None:
    """The report as if it came now; what the venue has said since stays said."""
    last = state.registers[R_VENUE_SEQ]
    on_report(state, out, command)
    state.registers[R_VENUE_SEQ] = last
