"""`tradewind quarantine`: what made the shard die and was put aside; and what is to become of it.

    list      what is there, and what was decided
    skip N    it stays undone; of a command of the log, every replay leaves it out from now on
    retry N   it is asked for once more, by a program that can do it now

An order, a cancel or a replace cannot be retried: its sender has its reject, and may have sent another. A venue's
report is booked as if it came now; what an administrator or the drop copy's reconciler asked for is asked for
again; a timer comes by itself, once it is no longer held back.

Always holds: a decision is made once; what is journaled for it is journaled before the list says so.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app import quarantine_files
from app.config import Config
from app.faults import StackError
from app.quarantine_files import RETRIED, SKIPPED, WATCH_FILE, Entry

if TYPE_CHECKING:
    from core.events import Event
    from core.records import CommandKind

# The shard answers in microseconds; a loaded machine may take longer to run it at all.
ANSWER_TIMEOUT_S: Final = 10.0
LOOK_S: Final = 0.001


def add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "skip", "retry"))
    parser.add_argument("number", nargs="?", type=int, metavar="N", help="of an entry, as the list shows it")


def act(config: Config, words: argparse.Namespace) -> int:
    """Raises StackError for what cannot be decided so."""
    if words.action == "list":
        return _list(config)
    if words.number is None:
        raise StackError(f"say which: `tradewind quarantine {words.action} N`; `list` shows the numbers")
    found = quarantine_files.entry(config, words.number)
    if found.decision:
        raise StackError(f"quarantine {found.number} was decided already: {found.decision}")
    if words.action == "retry":
        print(_retry(config, found))
        quarantine_files.decide(config, found, RETRIED)
    else:
        print(_skip(config, found))
        quarantine_files.decide(config, found, SKIPPED)
    return 0


def alert(config: Config) -> str:
    """One line about what waits for a decision; empty when nothing does."""
    waiting = quarantine_files.undecided(config)
    if not waiting:
        return ""
    return f"QUARANTINE: {len(waiting)} put aside and undecided; `tradewind quarantine list` shows what"


def _list(config: Config) -> int:
    from core.records import CommandKind

    found = quarantine_files.entries(config)
    if not found:
        print("nothing was ever put aside")
    for one in found:
        at = datetime.fromtimestamp(one.found_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        print(
            f"{one.number:>4}  {at}  {CommandKind(one.kind).name.lower():<14} account {one.account}  "
            f"order {one.order_id}  died {one.crashes} times  {f'log seq {one.seq}  ' if one.seq else ''}"
            f"{one.decision or 'undecided'}"
        )
    return 0


def _skip(config: Config, found: Entry) -> str:
    if not found.seq:
        return f"skipped: what quarantine {found.number} asked for stays undone"
    from actors.amended import Skip, TooManySkips, add_skip

    try:
        add_skip(config.log_dir, Skip(found.position, found.seq))
    except TooManySkips as error:
        raise StackError(str(error)) from None
    return (
        f"skipped: from its next start on the shard leaves out seq {found.seq} of its log. Whoever was told of it "
        f"still believes it: account {found.account} may only reduce until you set it active, once its books are right"
    )


def _retry(config: Config, found: Entry) -> str:
    from core.records import CommandKind

    if found.seq:
        (config.run_dir / WATCH_FILE).unlink(missing_ok=True)
        return f"the shard's next start applies seq {found.seq} once more"
    kind = CommandKind(found.kind)
    if kind in (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE):
        raise StackError(
            f"quarantine {found.number} is a {kind.name.lower()}: its sender was told that it is rejected, and may "
            f"have sent another; `tradewind quarantine skip {found.number}` closes it"
        )
    if kind in (CommandKind.DAY_END, CommandKind.EXPIRE, CommandKind.ASK_STATUS, CommandKind.PASSIVATE):
        return f"quarantine {found.number} is a timer, and comes by itself when it is due"
    return _ask_again(config, found, kind)


def _ask_again(config: Config, found: Entry, kind: CommandKind) -> str:
    """Into the admin lane, until the log has its event."""
    from actors.shard import BELL_FILE, LANE_FILES, Lane
    from app.admin import alone
    from core import commands, events
    from core.records import CommandKind
    from shared_mem.bell import Bell
    from shared_mem.log import KIND_CLOSING, Reader
    from shared_mem.log_reader import LogReader
    from shared_mem.ring import Ring
    from shared_mem.segment import SegmentError

    raw = commands.retry(found.command) if kind is CommandKind.VENUE_REPORT else found.command
    asked = int.from_bytes(raw[:2], "little")
    with alone(config):
        try:
            lane = Ring.attach(
                config.run_dir / LANE_FILES[Lane.ADMIN], bell=Bell.attach(config.run_dir / BELL_FILE)
            )
            reader = LogReader(config.log_dir, config.run_dir, Reader.AUDIT)
        except SegmentError as error:
            raise StackError(f"no shard runs on {config.data_dir}: {error}") from error
        try:
            reader.position = reader.end_position()
            if not lane.try_push(raw):
                raise StackError("the shard's admin lane is full; is the shard running?")
            cause = 0
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while time.monotonic() < deadline:
                for record in reader.read():
                    if record.kind == asked and record.payload[8:24] == raw[8:24]:
                        cause = record.seq
                    elif cause and record.kind >= KIND_CLOSING:
                        event = events.decode(record.seq, record.time_ns, record.payload)
                        if event.cause_seq == cause:
                            return _said(found, event)
                time.sleep(LOOK_S)
        finally:
            reader.close()
    raise StackError(
        f"no answer within {ANSWER_TIMEOUT_S:g} s: `tradewind status` says whether the shard is there; quarantine "
        f"{found.number} stays undecided, and what was asked for may still be done"
    )


def _said(found: Entry, event: Event) -> str:
    from core.events import reject_message

    if event.reject_code:
        raise StackError(
            f"quarantine {found.number} was asked for again, and refused: "
            f"{reject_message(event.reject_code, event.limit_value, event.observed_value)}"
        )
    return f"done: quarantine {found.number} was applied, seq {event.seq}"
