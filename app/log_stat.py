"""`tradewind log verify | stat`: whether the log is whole, what is in it, who is how far, and why what is kept.

Always holds: reading changes nothing, and works while the stack runs and after it has died.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from app.config import Config
from app.faults import StackError
from app.log_filter import KINDS
from app.log_tool import records, segment_bytes_of
from shared_mem import log
from shared_mem.cursors import saved_cursors
from shared_mem.log import LogError, Tail, segment_numbers
from shared_mem.log_reader import Record
from shared_mem.log_recovery import find_end
from shared_mem.retention import Kept, holders, kept, living_readers
from shared_mem.segment import SegmentError

_MIB: Final = 1 << 20


def verify(config: Config, words: argparse.Namespace) -> int:
    """Checksums, sequence and epochs of every record in the files; where the log ends and why."""
    numbers = segment_numbers(config.log_dir)
    if not numbers:
        raise StackError(f"no log in {config.log_dir}; start a stack, or give --data-dir")
    try:
        end = find_end(config.log_dir, segment_bytes_of(config.log_dir))
    except LogError as error:
        result: dict[str, Any] = {"ok": False, "error": str(error)}
    else:
        result = {
            "ok": True,
            "segments": len(numbers),
            "first_segment": numbers[0],
            "end": end.position,
            "last_seq": end.next_seq - 1,
            "epoch": end.epoch,
        }
    if words.json:
        print(json.dumps(result))
    elif result["ok"]:
        print(
            f"ok: {len(numbers)} segments from number {numbers[0]} on, to position {result['end']}, "
            f"last seq {result['last_seq']}, epoch {result['epoch']}"
        )
    else:
        print(f"damaged: {result['error']}", file=sys.stderr)
    return 0 if result["ok"] else 1


def stat(config: Config, words: argparse.Namespace) -> int:
    """How many records of each kind; how the flusher does; who reads where; which files are kept, and why."""
    content = _content(config)
    living = _living(config)
    if words.json:
        print(json.dumps(content | living))
        return 0
    print(
        f"seq {content['first_seq']} to {content['last_seq']}, {content['from']} to {content['to']}, "
        f"positions {content['first_position']} to {content['end_position']}"
    )
    for kind, found in sorted(content["kinds"].items(), key=lambda item: -item[1]["records"]):
        print(f"  {kind:<22}{found['records']:>12,} records{found['bytes']:>16,} bytes")
    if not living:
        print("no tail in memory: nothing writes or follows this log now")
        return 0
    flush = living["flush"]
    print(f"written to {living['written']}, synced to {living['synced']}")
    if living["disk_end"] is not None:
        print(f"THE DISK IS FULL: there is room up to position {living['disk_end']}; new orders are rejected")
    print(
        f"flush window: last {flush['bytes']:,} bytes {flush['ns'] / 1e6:.3f} ms, longest "
        f"{flush['bytes_max']:,} bytes, {flush['ns_max'] / 1e6:.3f} ms, mean {flush['ns_mean'] / 1e6:.3f} ms "
        f"of {flush['flushes']:,}"
    )
    for name, at in living["holders"].items():
        print(f"  {name:<22} at {at:>14,}, {living['written'] - at:,} bytes behind")
    for segment in living["segments"]:
        why = f"kept for {segment['kept_for']}" if segment["kept_for"] else "to be removed"
        size, hours = segment["bytes"] / _MIB, segment["age_s"] / 3600
        print(f"  segment {segment['number']:010d} {size:7.1f} MiB, {hours:7.1f} h old, {why}")
    return 0


def _content(config: Config) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    size: Counter[str] = Counter()
    first: Record | None = None
    last: Record | None = None
    for record in records(config):
        kind = KINDS.get(record.kind, str(record.kind))
        counts[kind] += 1
        size[kind] += record.next_position - record.position
        first, last = first or record, record
    if first is None or last is None:
        raise StackError(f"the log in {config.log_dir} is empty")
    times = [datetime.fromtimestamp(r.time_ns / 1e9, UTC).isoformat() for r in (first, last)]
    return {
        "first_seq": first.seq,
        "last_seq": last.seq,
        "from": times[0],
        "to": times[1],
        "first_position": first.position,
        "end_position": last.next_position,
        "kinds": {kind: {"records": counts[kind], "bytes": size[kind]} for kind in counts},
    }


def _living(config: Config) -> dict[str, Any]:
    """What only the tail in memory knows; empty without one."""
    try:
        tail = Tail.attach(config.run_dir)
    except SegmentError:
        return {}
    held_by = holders(tail, config.cursors_dir)
    segments = kept(config.log_dir, tail.segment_bytes, held_by, config.log_keep_hours * 3600.0, time.time())
    flushes = tail.word(log.FLUSHES)
    disk_end = tail.word(log.DISK_END)
    return {
        "written": tail.written,
        "synced": tail.synced,
        "disk_end": None if disk_end == log.NO_END else disk_end,
        "flush": {
            "flushes": flushes,
            "bytes": tail.word(log.FLUSH_BYTES),
            "bytes_max": tail.word(log.FLUSH_BYTES_MAX),
            "ns": tail.word(log.FLUSH_NS),
            "ns_max": tail.word(log.FLUSH_NS_MAX),
            "ns_mean": tail.word(log.FLUSH_NS_TOTAL) // flushes if flushes else 0,
        },
        "readers": {reader.name.lower(): at for reader, at in living_readers(tail).items()},
        "cursors": {name: at.position for name, at in saved_cursors(config.cursors_dir).items()},
        "holders": {holder.name: holder.position for holder in held_by},
        "segments": [_segment(one) for one in segments],
    }


def _segment(one: Kept) -> dict[str, Any]:
    return {
        "number": one.number,
        "bytes": one.bytes,
        "age_s": round(one.age_s, 1),
        "kept_for": one.reason or None,
    }
