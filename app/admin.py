"""`tradewind admin`: what a person asks of a running shard, as journaled commands; and what it then looks like. Its
words are `app/admin_command.py`'s.

Always holds: one person at a time (the shard's admin lane has one producer: a lock in the run folder keeps it so), and
what is printed is the shard's own answer, read from its log. A refusal is exit code 1 with the reject's text.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

from actors.face import Face
from actors.shard import BELL_FILE, LANE_FILES, Lane
from actors.view import StateView
from app.config import Config
from app.faults import StackError
from core import commands, currencies, units
from core.currencies import CurrencyUnknown
from core.events import Event, decode, reject_message
from core.records import NO_LIMIT, AccountState, EventKind, ExecType, InstrumentState, Level
from core.units import UnitError
from shared_mem.bell import Bell
from shared_mem.log import Reader
from shared_mem.log_reader import LogReader
from shared_mem.ring import Ring
from shared_mem.segment import SegmentError

LOCK_FILE: Final = "admin.lock"
# The shard answers in microseconds; a loaded machine may take longer to run it at all.
ANSWER_TIMEOUT_S: Final = 10.0


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """While nobody else puts commands into the lane: the shard's role when it starts, or another such command."""
    descriptor = os.open(config.run_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def ask(config: Config, command: bytes, request_id: int) -> Event:
    """The shard's answer to one command. Raises StackError when it gives none."""
    with alone(config):
        try:
            bell = Bell.attach(config.run_dir / BELL_FILE)
            lane = Ring.attach(config.run_dir / LANE_FILES[Lane.ADMIN], bell=bell)
            reader = LogReader(config.log_dir, config.run_dir, Reader.AUDIT)
        except SegmentError as error:
            raise StackError(f"no shard runs on {config.data_dir}: {error}") from error
        try:
            reader.position = reader.end_position()
            if not lane.try_push(command):
                raise StackError("the shard's admin lane is full; is the shard running?")
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while time.monotonic() < deadline:
                for record in reader.read():
                    if record.kind in set(EventKind):
                        event = decode(record.seq, record.time_ns, record.payload)
                        if event.request_id == request_id:
                            return event
                time.sleep(0.001)
        finally:
            reader.close()
    raise StackError(f"no answer within {ANSWER_TIMEOUT_S:g} s; is the shard running? `tradewind status`")


# -- what can be asked ---------------------------------------------------------------------------------------


def _view(config: Config) -> StateView:
    try:
        return StateView.attach(config.run_dir)
    except SegmentError as error:
        raise StackError(f"no shard runs on {config.data_dir}: {error}") from error


def _group(view: StateView, name: str) -> int:
    found = view.group_by_name(name)
    if found is None:
        raise StackError(f"there is no group {name!r}; `tradewind admin group NAME LEVEL` defines one")
    return found.group


def _account(view: StateView, number: str) -> int:
    found = view.account_by_text(number)
    if found is None:
        raise StackError(f"there is no account {number!r}; `tradewind admin open NUMBER` opens one")
    return found.account


def _instrument(view: StateView, symbol: str) -> int:
    found = view.instrument_by_symbol(symbol)
    if found is None:
        raise StackError(f"there is no instrument {symbol!r}")
    return found.instrument


def _limit(amount: str | None) -> int:
    return NO_LIMIT if amount is None else units.cash_e6(amount)


def _settle_day(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    return commands.settle_day(request_id=request, date=int(words.date.replace("-", "")))


def _define_group(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    known = view.group_by_name(words.name)
    parent = _group(view, words.parent) if words.parent else (known.parent if known else 0)
    return commands.define_group(
        request_id=request,
        name=words.name,
        level=Level[words.level.upper()],
        parent=parent,
        currency=currencies.number_of(words.currency),
        max_order_notional_e6=_limit(words.max_order),
        max_open_notional_e6=_limit(words.max_open),
        max_gross_e6=_limit(words.max_gross),
    )


def _group_state(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    state = AccountState[words.state.upper()]
    return commands.set_group_state(request_id=request, group=_group(view, words.name), state=state)


def _open(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    return commands.open_account(
        request_id=request,
        number=words.number,
        max_order_qty_e8=units.qty_e8(words.max_order_qty),
        max_order_notional_e6=units.cash_e6(words.max_order),
        max_position_qty_e8=units.qty_e8(words.max_position_qty),
        currency=currencies.number_of(words.currency),
        settled_only=int(words.settled_only),
        household=_group(view, words.household) if words.household else 0,
    )


def _account_state(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    state = AccountState[words.state.upper()]
    return commands.set_account_state(request_id=request, account=_account(view, words.number), state=state)


def _move(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    household = 0 if words.household == "-" else _group(view, words.household)
    account = _account(view, words.number)
    return commands.move_account(request_id=request, account=account, household=household)


def _pay(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    currency = currencies.number_of(words.currency) if words.currency else currencies.NO_CURRENCY
    return commands.deposit(
        request_id=request,
        account=_account(view, words.number),
        amount_e6=units.cash_e6(Decimal(words.amount)),
        currency=currency,
    )


def _session(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    instrument = _instrument(view, words.symbol)
    state = InstrumentState[words.state.upper()]
    return commands.set_instrument_state(request_id=request, instrument=instrument, state=state)


def _reference(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    return commands.set_reference_price(
        request_id=request,
        instrument=_instrument(view, words.symbol),
        previous_close_e8=units.price_e8(words.close),
        reference_e8=units.price_e8(words.price),
    )


def _resolve(words: argparse.Namespace, view: StateView, request: int) -> bytes:
    order = view.order(int(words.order))
    if order is None:
        raise StackError(f"there is no order {words.order}; `tradewind status` lists those of unknown fate")
    if (words.outcome == "filled") != (words.fill is not None):
        raise StackError("say `filled QTY@PRICE`, or `canceled` and no more")
    qty, _, price = (words.fill or "0@0").partition("@")
    filled = words.outcome == "filled"
    return commands.resolve(
        request_id=request,
        account=order.account,
        order_id=order.order_id,
        exec_type=ExecType.TRADE if filled else ExecType.CANCELED,
        last_qty_e8=units.qty_e8(qty),
        last_px_e8=units.price_e8(price),
        text=words.because,
    )


_MAKERS: Final[dict[str, Callable[[argparse.Namespace, StateView, int], bytes]]] = {
    "settle-day": _settle_day,
    "group": _define_group,
    "group-state": _group_state,
    "open": _open,
    "account-state": _account_state,
    "move": _move,
    "pay": _pay,
    "session": _session,
    "reference": _reference,
    "resolve": _resolve,
}


def _show(view: StateView, kind: str, name: str) -> int:
    face = Face(view)
    if kind == "account":
        print(repr(face.account(_account(view, name))))
    elif kind == "group":
        print(repr(face.group(_group(view, name))))
    else:
        print(repr(face.instrument(_instrument(view, name))))
    return 0


def act(config: Config, words: argparse.Namespace) -> int:
    """Do one action. Raises StackError when it could not be asked."""
    view = _view(config)
    if words.action == "show":
        return _show(view, words.kind, words.name)
    request = time.time_ns()
    try:
        command = _MAKERS[words.action](words, view, request)
    except (CurrencyUnknown, UnitError, ValueError) as error:
        raise StackError(str(error)) from error
    event = ask(config, command, request)
    if event.reject_code:
        print(reject_message(event.reject_code, event.limit_value, event.observed_value), file=sys.stderr)
        return 1
    print(f"done: {EventKind(event.kind).name.lower()} event, seq {event.seq}")
    return 0
