"""`tradewind log cat`: the log for people, read from its files and, when it is there, its tail.

Always holds: reading changes nothing, and works while the stack runs and after it has died. Only numbers that stand
in the records are shown; names (account numbers, symbols) come from the log's own events.
"""

from __future__ import annotations

import argparse
import json
import mmap
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.config import Config
from app.faults import StackError
from app.log_filter import KINDS, Filter, LogWordError
from core import commands, events, units
from core.records import (
    BreakKind,
    CommandKind,
    EventKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    Source,
    TimeInForce,
)
from shared_mem.bell import sleep_on
from shared_mem.log import (
    SEGMENT_BYTES,
    SEGMENT_BYTES_MIN,
    LogError,
    Reader,
    Tail,
    segment_numbers,
    segment_path,
)
from shared_mem.log_reader import LogReader, Record, first_kept, parse_records
from shared_mem.log_recovery import find_end
from shared_mem.segment import SegmentError

_WORDS: Final = {
    name: {int(code): code.name.lower() for code in codes}
    for name, codes in {
        "side": Side,
        "ord_type": OrdType,
        "tif": TimeInForce,
        "ord_status": OrdStatus,
        "exec_type": ExecType,
        "source": Source,
        "break_kind": BreakKind,
    }.items()
}
# Bookkeeping of the shard: in --json, not in the lines for people.
_QUIET: Final = (
    "epoch",
    "position",
    "text_length",
    "flags",
    "lane_seq",
    "cause_seq",
    "request_id",
    "quote_time_ns",
)
# Several may follow with one bell, and one of them take the byte that was meant for all.
FOLLOW_POLL_S: Final = 0.25

_UNITS: Final = {"e8": units.price_text, "e6": units.cash_text}


def records(config: Config, *, follow: bool = False) -> Iterator[Record]:
    """All records of a stack's log that are kept, oldest first; then, if asked to, those that come. Raises StackError
    where there is none, or where it is damaged."""
    if not segment_numbers(config.log_dir):
        raise StackError(f"no log in {config.log_dir}; start a stack, or give --data-dir")
    try:
        yield from _records(config, follow)
    except LogError as error:
        raise StackError(str(error)) from None


def _records(config: Config, follow: bool) -> Iterator[Record]:
    try:
        tail = Tail.attach(config.run_dir)
    except SegmentError:
        if follow:
            raise StackError(
                f"nothing writes the log in {config.log_dir} now; leave --follow out, or start it"
            ) from None
        yield from _records_of_files(config.log_dir)
        return
    begin = first_kept(config.log_dir, tail.segment_bytes).position
    reader = LogReader(config.log_dir, config.run_dir, Reader.AUDIT, begin)
    try:
        while True:
            if found := reader.read(4096):
                yield from found
                continue
            if not follow:
                return
            sys.stdout.flush()
            reader.park()
            if reader.end_position() == reader.position:
                sleep_on(reader.fileno(), FOLLOW_POLL_S)
            reader.wake()
    finally:
        reader.close()


def segment_bytes_of(log_dir: Path) -> int:
    """Of a log whose tail is gone: its files are reserved in full, and the largest of them is not cut short."""
    size = max(segment_path(log_dir, number).stat().st_size for number in segment_numbers(log_dir))
    return size if size >= SEGMENT_BYTES_MIN and size % mmap.PAGESIZE == 0 else SEGMENT_BYTES


def _records_of_files(log_dir: Path) -> Iterator[Record]:
    """For when no tail is in memory: after a reboot, or a copy of the folder."""
    size = segment_bytes_of(log_dir)
    end = find_end(log_dir, size).position
    for number in segment_numbers(log_dir):
        start = number * size
        raw = segment_path(log_dir, number).read_bytes()[: max(end - start, 0)]
        found, _ = parse_records(raw, start, size, sys.maxsize)
        yield from found


def fields(record: Record) -> dict[str, Any]:
    """A record as a dict: header first, then the fields that are not zero, in the units that people use."""
    shown: dict[str, Any] = {
        "seq": record.seq,
        "time": datetime.fromtimestamp(record.time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "epoch": record.epoch,
        "kind": KINDS.get(record.kind, str(record.kind)),
        "position": record.position,
    }
    if record.kind in set(EventKind):
        event = events.decode(record.seq, record.time_ns, record.payload)
        values = {name: getattr(event, name) for name in event.__struct_fields__[3:]}
        if event.kind == EventKind.BREAK:
            for name, told in (("ours", "limit_value"), ("venues", "observed_value")):
                values[name] = events.break_value(event.break_kind, values.pop(told)) or ""
        if event.reject_code:
            values["reject"] = events.reject_message(
                event.reject_code, event.limit_value, event.observed_value
            )
    elif record.kind not in set(CommandKind):
        values = {"raw": record.payload.hex()}  # of a kind that this program does not know
    else:
        values = commands.decode(record.payload)
        values.pop("kind")
        kind = values.get("break_kind", 0)
        if kind:
            values |= {name: events.break_value(kind, values[name]) or "" for name in ("ours", "venues")}
    for name, value in values.items():
        if value in (0, ""):
            continue
        scale = name.rsplit("_", 1)[-1]
        if name in _WORDS:
            shown[name] = _WORDS[name].get(value, value)
        elif scale in _UNITS:
            shown[name.rsplit("_", 1)[0]] = _UNITS[scale](value)
        else:
            shown[name] = value
    return shown


def cat(config: Config, words: argparse.Namespace) -> int:
    """Print the records that the filters let through. Raises LogWordError for a word that can't be meant."""
    wanted = Filter(words)
    for record in records(config, follow=words.follow):
        if wanted.is_over(record):
            break
        if not wanted.heads(record):
            continue
        shown = fields(record)
        if not wanted.fields(shown):
            continue
        if words.json:
            print(json.dumps(shown))
        else:
            head = f"{shown.pop('seq'):>9} {shown.pop('time')} {shown.pop('kind'):<14}"
            print(head, " ".join(f"{name}={value}" for name, value in shown.items() if name not in _QUIET))
    if wanted.unknown_account is not None:
        raise LogWordError(
            f"--account {wanted.unknown_account!r} was not opened in what is kept of this log; give its number"
        )
    return 0
