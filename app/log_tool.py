"""`tradewind log cat | verify | stat`: the log for people, read from its files and, when it is there, its tail.

Always holds: reading changes nothing, and works while the stack runs and after it has died. Only numbers that stand
in the records are shown; names (account numbers, symbols) come from the log's own events.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.config import Config
from app.faults import StackError
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
from shared_mem.log import SEGMENT_BYTES, LogError, Reader
from shared_mem.log_reader import LogReader, Record, parse_records
from shared_mem.log_recovery import find_end
from shared_mem.segment import SegmentError

_KINDS: Final = {int(k): k.name.lower() for k in (*CommandKind, *EventKind)}
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
_UNITS: Final = {"e8": units.price_text, "e6": units.cash_text}


def records(config: Config) -> Iterator[Record]:
    """All records of a stack's log, oldest first. Raises StackError when there is none."""
    if not list(config.log_dir.glob("*.log")):
        raise StackError(f"no log in {config.log_dir}; start a stack, or give --data-dir")
    try:
        reader = LogReader(config.log_dir, config.run_dir, Reader.AUDIT)
    except SegmentError:
        yield from _records_of_files(config.log_dir)
        return
    try:
        while found := reader.read(4096):
            yield from found
    finally:
        reader.close()


def _records_of_files(log_dir: Path) -> Iterator[Record]:
    """For when no tail is in memory: after a reboot, or a copy of the folder."""
    end, _, _ = find_end(log_dir, SEGMENT_BYTES, repair=False)
    for path in sorted(log_dir.glob("*.log")):
        start = int(path.stem) * SEGMENT_BYTES
        raw = path.read_bytes()[: max(end - start, 0)]
        found, _ = parse_records(raw, start, SEGMENT_BYTES, sys.maxsize)
        yield from found


def fields(record: Record) -> dict[str, Any]:
    """A record as a dict: header first, then the fields that are not zero, in the units that people use."""
    shown: dict[str, Any] = {
        "seq": record.seq,
        "time": datetime.fromtimestamp(record.time_ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "epoch": record.epoch,
        "kind": _KINDS.get(record.kind, str(record.kind)),
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


def _wanted(shown: dict[str, Any], words: argparse.Namespace) -> bool:
    if words.account is not None and shown.get("account") != words.account:
        return False
    if words.kind is not None and shown["kind"] != words.kind:
        return False
    if words.order is not None and shown.get("order_id") != words.order:
        return False
    return not (
        (words.since and shown["time"] < words.since) or (words.until and shown["time"] >= words.until)
    )


def cat(config: Config, words: argparse.Namespace) -> int:
    """Print the records that the filters let through."""
    for record in records(config):
        shown = fields(record)
        if not _wanted(shown, words):
            continue
        if words.json:
            print(json.dumps(shown))
        else:
            head = f"{shown.pop('seq'):>9} {shown.pop('time')} {shown.pop('kind'):<14}"
            print(head, " ".join(f"{name}={value}" for name, value in shown.items() if name not in _QUIET))
    return 0


def verify(config: Config, words: argparse.Namespace) -> int:
    """Checksums, sequence and epochs of every record in the files; where the log ends and why."""
    numbers = sorted(int(path.stem) for path in config.log_dir.glob("*.log"))
    if not numbers:
        raise StackError(f"no log in {config.log_dir}; start a stack, or give --data-dir")
    try:
        end, next_seq, epoch = find_end(config.log_dir, SEGMENT_BYTES, repair=False)
    except LogError as error:
        result: dict[str, Any] = {"ok": False, "error": str(error)}
    else:
        result = {"ok": True, "segments": len(numbers), "end": end, "last_seq": next_seq - 1, "epoch": epoch}
    if words.json:
        print(json.dumps(result))
    elif result["ok"]:
        print(f"ok: {len(numbers)} segments, {end} bytes, last seq {next_seq - 1}, epoch {epoch}")
    else:
        print(f"damaged: {result['error']}", file=sys.stderr)
    return 0 if result["ok"] else 1


def stat(config: Config, words: argparse.Namespace) -> int:
    """How many records of each kind, how many bytes, from when to when."""
    counts: Counter[str] = Counter()
    size: Counter[str] = Counter()
    first: Record | None = None
    last: Record | None = None
    for record in records(config):
        kind = _KINDS.get(record.kind, str(record.kind))
        counts[kind] += 1
        size[kind] += record.next_position - record.position
        first, last = first or record, record
    if first is None or last is None:
        raise StackError(f"the log in {config.log_dir} is empty")
    times = [datetime.fromtimestamp(r.time_ns / 1e9, UTC).isoformat() for r in (first, last)]
    if words.json:
        kinds = {kind: {"records": counts[kind], "bytes": size[kind]} for kind in counts}
        print(
            json.dumps(
                {
                    "first_seq": first.seq,
                    "last_seq": last.seq,
                    "from": times[0],
                    "to": times[1],
                    "kinds": kinds,
                }
            )
        )
        return 0
    print(f"seq {first.seq} to {last.seq}, {times[0]} to {times[1]}, {last.next_position} bytes")
    for kind, count in counts.most_common():
        print(f"  {kind:<22}{count:>12,} records{size[kind]:>16,} bytes")
    return 0


ACTIONS: Final = {"cat": cat, "verify": verify, "stat": stat}
