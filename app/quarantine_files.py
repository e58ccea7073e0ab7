"""The operator's list of commands that were put aside: one small file each, in data_dir/quarantine.

The log is the record of what was put aside (kind `quarantine`); these files are what somebody has to decide about, and
what was decided. They hold the command as its sender sent it, so that it can be asked for again when the log's segment
is long gone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import msgspec

from app.config import Config
from app.faults import StackError

# Beyond this many undecided ones nobody reads a list: no more is put aside, and the shard stays down (app/poisoned.py).
UNDECIDED_MAX: Final = 1000

# In the run folder: what a replay says of itself (actors/amended.py, Watch).
WATCH_FILE: Final = "replay.at"

SKIPPED: Final = "skipped"
RETRIED: Final = "retried"


class Entry(msgspec.Struct, frozen=True):
    """One command, with its bytes as a ring's slot, or of the log's as its record's payload. place: the name of its
    record in its lane's ring. decision: empty until somebody has decided."""

    number: int
    found_ns: int
    kind: int
    lane: int
    place: int
    crashes: int
    account: int
    order_id: int
    command: bytes
    seq: int = 0
    position: int = 0
    """Of a command that stands in the log, where its replay kills; seq 0 for one that never came so far."""
    is_journaled: bool = False
    """Whether the log says that this command of its own is skipped."""
    decision: str = ""
    decided_ns: int = 0


def folder(config: Config) -> Path:
    return config.data_dir / "quarantine"


def entries(config: Config) -> list[Entry]:
    """All, the oldest first."""
    found = [msgspec.json.decode(path.read_bytes(), type=Entry) for path in folder(config).glob("*.json")]
    return sorted(found, key=lambda entry: entry.number)


def undecided(config: Config) -> list[Entry]:
    return [entry for entry in entries(config) if not entry.decision]


def entry(config: Config, number: int) -> Entry:
    """Raises StackError where there is none of that number."""
    for found in entries(config):
        if found.number == number:
            return found
    raise StackError(f"nothing in quarantine has number {number}; `tradewind quarantine list`")


def add(config: Config, made: Entry) -> Entry:
    """Keeps a new one, on disk when this returns; its number is the next. One that is there already, of the same place
    and undecided, is given back: its shard was killed before it could go on."""
    known = entries(config)
    for found in known:
        if (found.lane, found.place) == (made.lane, made.place) and not found.decision:
            return found
    number = 1 + max((found.number for found in known), default=0)
    made = msgspec.structs.replace(made, number=number, found_ns=time.time_ns())
    _write(config, made)
    return made


def journaled(config: Config, found: Entry) -> None:
    _write(config, msgspec.structs.replace(found, is_journaled=True))


def decide(config: Config, found: Entry, decision: str) -> None:
    _write(config, msgspec.structs.replace(found, decision=decision, decided_ns=time.time_ns()))


def holds(config: Config, kind: int, account: int, order_id: int) -> bool:
    """Whether one like it was put aside, and is not to be tried again: what is due is found due again and again."""
    return any(
        (found.kind, found.account, found.order_id) == (kind, account, order_id)
        for found in entries(config)
        if found.decision != RETRIED and not found.seq
    )


def _write(config: Config, kept: Entry) -> None:
    folder(config).mkdir(mode=0o700, exist_ok=True)
    path = folder(config) / f"{kept.number}.json"
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(kept))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
