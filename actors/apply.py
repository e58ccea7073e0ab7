"""apply(state, command) -> events: the one way in which the state of a shard changes.

Always holds: a pure function of its arguments. Time, sequence number and quote stand in the command and its log
record; there is no clock, no randomness and no float below here. The same commands give the same events and the
same state hash: in the shard, in its recovery and in every replica.
"""

from __future__ import annotations

from typing import Final

from actors import account, cash, groups, instrument, price_tables
from actors.breaks import on_break
from actors.cancel import on_cancel
from actors.emit import P_EPOCH, P_POSITION, P_SEQ, P_TIME, Command, Out, emit, journal, new_event
from actors.new_order import on_new_order
from actors.passive import on_passivate
from actors.quarantine import on_passed_over, on_quarantine, on_retry
from actors.replace import on_replace
from actors.report import on_report
from actors.resolve import on_resolve
from actors.status import on_ask, on_fate_unknown, on_status
from actors.tables import LANES_MAX, R_COMMANDS, R_EPOCH, R_LANES, R_POSITION, R_SEQ, R_TIME, State
from actors.timers import on_timer
from core.records import LANE_SHIFT, CommandKind, EventKind
from core.rejects import Reject
from shared_mem.jit import jit, whole

_NEW_ORDER: Final = int(CommandKind.NEW_ORDER)
_CANCEL: Final = int(CommandKind.CANCEL)
_VENUE_REPORT: Final = int(CommandKind.VENUE_REPORT)
_OPEN_ACCOUNT: Final = int(CommandKind.OPEN_ACCOUNT)
_DEPOSIT: Final = int(CommandKind.DEPOSIT)
_DEFINE_INSTRUMENT: Final = int(CommandKind.DEFINE_INSTRUMENT)
_SET_ACCOUNT_STATE: Final = int(CommandKind.SET_ACCOUNT_STATE)
_SET_INSTRUMENT_STATE: Final = int(CommandKind.SET_INSTRUMENT_STATE)
_BREAK: Final = int(CommandKind.BREAK)
_PASSIVATE: Final = int(CommandKind.PASSIVATE)
_SETTLE_DAY: Final = int(CommandKind.SETTLE_DAY)
_DEFINE_GROUP: Final = int(CommandKind.DEFINE_GROUP)
_SET_GROUP_STATE: Final = int(CommandKind.SET_GROUP_STATE)
_MOVE_ACCOUNT: Final = int(CommandKind.MOVE_ACCOUNT)
_SET_REFERENCE_PRICE: Final = int(CommandKind.SET_REFERENCE_PRICE)
_DEFINE_TICK_TABLE: Final = int(CommandKind.DEFINE_TICK_TABLE)
_DEFINE_LOT_TABLE: Final = int(CommandKind.DEFINE_LOT_TABLE)
_REPLACE: Final = int(CommandKind.REPLACE)
_DAY_END: Final = int(CommandKind.DAY_END)
_EXPIRE: Final = int(CommandKind.EXPIRE)
_ASK_STATUS: Final = int(CommandKind.ASK_STATUS)
_ASK_VENUE: Final = int(CommandKind.ASK_VENUE)
_VENUE_STATUS: Final = int(CommandKind.VENUE_STATUS)
_FATE_UNKNOWN: Final = int(CommandKind.FATE_UNKNOWN)
_RESOLVE: Final = int(CommandKind.RESOLVE)
_QUARANTINE: Final = int(CommandKind.QUARANTINE)
_RETRY: Final = int(CommandKind.RETRY)
_PASSED_OVER: Final = int(CommandKind.PASSED_OVER)
_ORDER_EVENT: Final = int(EventKind.ORDER)
_UNKNOWN: Final = int(Reject.COMMAND_UNKNOWN)


@whole
def _apply_other(state: State, out: Out, command: Command) -> None:
    """What is neither a new order nor a report: called, for it is too much code to be copied into every loop."""
    kind = int(command.head[0].kind)
    if kind == _CANCEL:
        on_cancel(state, out, command)
    elif kind == _REPLACE:
        on_replace(state, out, command)
    elif kind == _DAY_END or kind == _EXPIRE or kind == _ASK_STATUS:
        on_timer(state, out, command)
    elif kind == _VENUE_STATUS:
        on_status(state, out, command)
    elif kind == _ASK_VENUE:
        on_ask(state, out, command)
    elif kind == _FATE_UNKNOWN:
        on_fate_unknown(state, out, command)
    elif kind == _RESOLVE:
        on_resolve(state, out, command)
    elif kind == _OPEN_ACCOUNT:
        account.open_account(state, out, command)
    elif kind == _DEPOSIT:
        cash.move_cash(state, out, command)
    elif kind == _DEFINE_INSTRUMENT:
        instrument.define(state, out, command)
    elif kind == _SET_ACCOUNT_STATE:
        account.set_state(state, out, command)
    elif kind == _SET_INSTRUMENT_STATE:
        instrument.set_state(state, out, command)
    elif kind == _PASSIVATE:
        on_passivate(state, out, command)
    elif kind == _BREAK:
        on_break(state, out, command)
    elif kind == _SETTLE_DAY:
        cash.settle_day(state, out, command)
    elif kind == _DEFINE_GROUP:
        groups.define(state, out, command)
    elif kind == _SET_GROUP_STATE:
        groups.set_state(state, out, command)
    elif kind == _MOVE_ACCOUNT:
        groups.move_account(state, out, command)
    elif kind == _SET_REFERENCE_PRICE:
        instrument.set_reference_price(state, out, command)
    elif kind == _DEFINE_TICK_TABLE:
        price_tables.define_tick_table(state, out, command)
    elif kind == _DEFINE_LOT_TABLE:
        price_tables.define_lot_table(state, out, command)
    elif kind == _QUARANTINE:
        on_quarantine(state, out, command)
    elif kind == _RETRY:
        on_retry(state, out, command)
    elif kind == _PASSED_OVER:
        on_passed_over(state, out, command)
    else:
        event = new_event(out, _ORDER_EVENT, command)
        event.reject_code = _UNKNOWN
        event.observed_value = kind
        emit(out)


@jit
def apply(state: State, out: Out, command: Command) -> None:
    """Do what the command asks and emit its events. The pen's next seq is one past the command's own."""
    if command.head[0].kind == _NEW_ORDER:
        on_new_order(state, out, command)
    elif command.head[0].kind == _VENUE_REPORT:
        on_report(state, out, command)
    else:
        _apply_other(state, out, command)
    registers = state.registers
    registers[R_SEQ] = out.pen[P_SEQ] - 1
    registers[R_POSITION] = out.pen[P_POSITION]
    registers[R_TIME] = out.pen[P_TIME]
    registers[R_EPOCH] = out.pen[P_EPOCH]
    registers[R_COMMANDS] += 1
    lane = int(command.head[0].flags) >> LANE_SHIFT & (LANES_MAX - 1)
    registers[R_LANES + lane] = command.head[0].lane_seq


@jit
def journal_and_apply(state: State, out: Out, command: Command) -> None:
    """What the shard does with a command: name it, write it to the log, apply it. The caller publishes."""
    if command.head[0].kind == _NEW_ORDER:
        command.head[0].order_id = out.pen[P_SEQ]
    journal(out, command)
    apply(state, out, command)
